/** A WebSocket for this command where Node has none of its own (below 22): as much as the client uses. */

import { randomBytes } from 'node:crypto';
import { request as plain, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as encrypted } from 'node:https';
import type { Duplex } from 'node:stream';

/** How long a peer may take to say goodbye. */
const FAREWELL_MS = 1000;
const OPEN = 1;
const CLOSED = 3;
const TEXT = 0x1;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;

export class NodeSocket {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly #request: ClientRequest;
  #stream: Duplex | undefined;
  #received = Buffer.alloc(0);

  constructor(url: string, protocols: string[]) {
    const request = (url.startsWith('wss:') ? encrypted : plain)(url.replace(/^ws/, 'http'), {
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
        'Sec-WebSocket-Protocol': protocols.join(', '),
      },
    });
    request.on('upgrade', (_: IncomingMessage, stream: Duplex, head: Buffer) => {
      this.#stream = stream;
      this.readyState = OPEN;
      this.onopen?.();
      stream.on('data', (bytes: Buffer) => this.#take(bytes));
      stream.on('error', () => {});
      stream.on('close', () => this.#ended(1006, ''));
      if (head.length > 0) this.#take(head);
    });
    request.on('response', ({ statusCode }) => {
      this.#ended(1006, `the server answered ${statusCode}`);
      // Nobody reads the answer to its end.
      request.destroy();
    });
    request.on('error', ({ message }) => this.#ended(1006, message));
    request.end();
    this.#request = request;
  }

  send(text: string): void {
    this.#write(TEXT, Buffer.from(text));
  }

  close(code = 1000): void {
    const reason = Buffer.alloc(2);
    reason.writeUInt16BE(code);
    this.#write(CLOSE, reason);
    this.#leave();
  }

  /** Keeps no process alive for a peer that does not answer. */
  #leave(): void {
    const stream = this.#stream;
    if (!stream) return void this.#request.destroy();
    stream.end();
    setTimeout(() => stream.destroy(), FAREWELL_MS).unref();
  }

  #write(opcode: number, payload: Buffer): void {
    const length = payload.length;
    const head = length < 126 ? Buffer.alloc(2) : Buffer.alloc(4);
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | (length < 126 ? length : 126);
    if (length >= 126) head.writeUInt16BE(length, 2);
    const mask = randomBytes(4);
    const masked = Buffer.from(payload.map((byte, at) => byte ^ mask[at % 4]!));
    this.#stream?.write(Buffer.concat([head, mask, masked]));
  }

  /** Frames of this server are whole and not masked. */
  #take(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const { length: there } = this.#received;
      if (there < 2) return;
      const short = this.#received[1]! & 0x7f;
      const start = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (there < start) return;
      const length =
        short === 126
          ? this.#received.readUInt16BE(2)
          : short === 127
            ? Number(this.#received.readBigUInt64BE(2))
            : short;
      if (there < start + length) return;
      const opcode = this.#received[0]! & 0x0f;
      const payload = this.#received.subarray(start, start + length);
      this.#received = this.#received.subarray(start + length);
      if (opcode === TEXT) this.onmessage?.({ data: payload.toString() });
      else if (opcode === PING) this.#write(PONG, payload);
      else if (opcode === CLOSE) {
        this.#ended(length < 2 ? 1005 : payload.readUInt16BE(0), payload.subarray(2).toString());
        this.#leave();
      }
    }
  }

  #ended(code: number, reason: string): void {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    this.onclose?.({ code, reason });
  }
}
