import { EventEmitter } from 'node:events';

import type { RoomPeer } from '../../binding.js';

/** Close codes an endpoint may send (RFC 6455, 7.4). */
function isCloseCode(code: number): boolean {
  return (
    (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999)
  );
}

/**
 * A connection of the engine in the shape of a `ws` socket, as far as room handlers use one. Writing to it never
 * waits: what the client is slow to take is queued, and over the engine's bound the connection is closed.
 *
 * Emits `message` (`data: Buffer`) in rooms that JavaScript handles, and `close` (`code`, `reason: Buffer`).
 */
export class ClientSocket extends EventEmitter {
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSING = 2;
  readonly CLOSED = 3;

  readonly #peer: RoomPeer;

  constructor(peer: RoomPeer) {
    super();
    this.#peer = peer;
  }

  /** 1 = open, 2 = closing, 3 = closed. */
  get readyState(): number {
    return this.#peer.readyState;
  }

  /** Sends text as a text frame (to document rooms: as a binary one), bytes as a binary frame. */
  send(data: unknown, options?: unknown, done?: (error?: Error) => void): void {
    const sent = isBytes(data)
      ? this.#peer.sendBinary(asBuffer(data))
      : this.#peer.sendText(typeof data === 'string' ? data : String(data));
    const callback = typeof options === 'function' ? (options as typeof done) : done;
    if (callback) {
      process.nextTick(callback, sent ? undefined : new Error('the connection is not open'));
    }
  }

  /** Closes once what is queued is sent. Throws a `RangeError` for a code or reason no close frame may hold. */
  close(code = 1000, reason: string | Buffer = ''): void {
    if (!isCloseCode(code)) throw new RangeError(`${code} is no code a connection may be closed with`);
    const text = reason.toString();
    if (Buffer.byteLength(text) > 123) throw new RangeError('the reason must not be longer than 123 bytes');
    this.#peer.close(code, text);
  }

  /** Closes, too: the engine gives no peer more than a moment to answer. */
  terminate(): void {
    this.#peer.close(1001, '');
  }
}

function isBytes(data: unknown): data is ArrayBufferLike | ArrayBufferView {
  return ArrayBuffer.isView(data) || data instanceof ArrayBuffer;
}

function asBuffer(data: ArrayBufferLike | ArrayBufferView): Buffer {
  return ArrayBuffer.isView(data)
    ? Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    : Buffer.from(data);
}
