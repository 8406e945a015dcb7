/** Bytes on a TCP connection, for those who keep to no protocol. */

import { connect, type Socket } from 'node:net';

/** What became of a request or connection, in few words: `HTTP 400`, `101`, `close 1002`, `ended`, `open`. */
export type Answer = string;

const PATIENCE_MS = 20_000;

/** A WebSocket request that is all right; `changes` replaces or adds lines, by header name, `null` leaves one out. */
export function upgrade(
  path: string,
  changes: Record<string, string | null> = {},
  first = `GET ${path} HTTP/1.1`,
) {
  const headers: Record<string, string | null> = {
    Host: '127.0.0.1',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...changes,
  };
  const lines = Object.entries(headers).filter(([, value]) => value !== null);
  return `${[first, ...lines.map(([name, value]) => `${name}: ${value}`)].join('\r\n')}\r\n\r\n`;
}

export interface FrameOptions {
  fin?: boolean;
  rsv?: number;
  masked?: boolean;
  /** The length the head says, if not the payload's. */
  says?: bigint;
}

/** A frame as clients send it; the mask is zero. */
export function frame(opcode: number, payload: Uint8Array | string = '', options: FrameOptions = {}): Buffer {
  const { fin = true, rsv = 0, masked = true } = options;
  const body = Buffer.from(payload as Uint8Array);
  const length = options.says ?? BigInt(body.length);
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const mask = masked ? 0x80 : 0;
  let head: Buffer;
  if (length < 126n) head = Buffer.from([first, mask | Number(length)]);
  else if (length < 0x1_0000n) {
    head = Buffer.alloc(4);
    head.set([first, mask | 126]);
    head.writeUInt16BE(Number(length), 2);
  } else {
    head = Buffer.alloc(10);
    head.set([first, mask | 127]);
    head.writeBigUInt64BE(length, 2);
  }
  return Buffer.concat([head, masked ? Buffer.alloc(4) : Buffer.alloc(0), body]);
}

/** One TCP connection that writes anything and reads HTTP and the server's frames. */
export class Wire {
  readonly socket: Socket;
  /** The answer's head, once it is there. */
  head = '';
  /** Opcode and payload of each frame. */
  readonly frames: { opcode: number; payload: Buffer }[] = [];
  ended = false;

  #pending = Buffer.alloc(0);
  #changed: (() => void)[] = [];

  constructor(port: number, localAddress?: string) {
    this.socket = connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      ...(localAddress ? { localAddress } : {}),
    });
    this.socket.on('data', (data) => this.#read(data));
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.ended = true;
      this.#tell();
    });
  }

  write(bytes: Uint8Array | string): void {
    if (!this.socket.destroyed) this.socket.write(bytes as Uint8Array);
  }

  /** Writes much without filling this process: waits while the kernel takes no more, but not for ever. */
  async pour(chunks: Iterable<Uint8Array>, patienceMs = 3_000): Promise<void> {
    for (const chunk of chunks) {
      if (this.socket.destroyed) return;
      if (this.socket.write(chunk)) continue;
      const drained = new Promise((resolve) => this.socket.once('drain', () => resolve(true)));
      const late = new Promise((resolve) => setTimeout(() => resolve(false), patienceMs));
      const closed = this.#until(() => this.ended).then(() => true);
      if (!(await Promise.race([drained, late, closed]))) return;
    }
  }

  async upgraded(): Promise<void> {
    await this.#until(() => this.head !== '' || this.ended);
  }

  /** The HTTP status, or how it went otherwise. */
  async status(): Promise<Answer> {
    await this.#until(() => this.head !== '' || this.ended);
    const status = /^HTTP\/1\.1 (\d+)/.exec(this.head)?.[1];
    if (status === '101') return '101';
    return status ? `HTTP ${status}` : this.ended ? 'ended' : 'silence';
  }

  /** How the server ends the connection. */
  async closed(): Promise<Answer> {
    await this.#until(() => this.ended || this.#close() !== undefined);
    return this.#close() ?? (this.ended ? 'ended' : 'open');
  }

  /** `open` once the server did everything sent before: `question` has to be answered by `isAnswer`. */
  async answered(question: Uint8Array, isAnswer: (payload: Buffer) => boolean): Promise<Answer> {
    const before = this.frames.length;
    this.write(question);
    const answer = (): boolean => this.frames.slice(before).some(({ payload }) => isAnswer(payload));
    await this.#until(() => this.ended || this.#close() !== undefined || answer());
    return this.#close() ?? (this.ended ? 'ended' : answer() ? 'open' : 'silence');
  }

  async pong(): Promise<Answer> {
    const mark = `mark ${this.frames.length} ${Math.random()}`;
    return await this.answered(frame(9, mark), (payload) => payload.toString() === mark);
  }

  destroy(): void {
    this.socket.destroy();
  }

  #close(): Answer | undefined {
    const close = this.frames.find(({ opcode }) => opcode === 8);
    if (!close) return undefined;
    return `close ${close.payload.length >= 2 ? close.payload.readUInt16BE(0) : 1005}`;
  }

  #read(data: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, data]);
    if (this.head === '') {
      const end = this.#pending.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.head = this.#pending.subarray(0, end).toString('latin1');
      this.#pending = this.#pending.subarray(end + 4);
    }
    if (this.head.startsWith('HTTP/1.1 101')) while (this.#readFrame());
    this.#tell();
  }

  #readFrame(): boolean {
    const bytes = this.#pending;
    if (bytes.length < 2) return false;
    const short = bytes[1]! & 0x7f;
    const head = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (bytes.length < head) return false;
    const length =
      short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
    if (bytes.length < head + length) return false;
    this.frames.push({ opcode: bytes[0]! & 15, payload: bytes.subarray(head, head + length) });
    this.#pending = bytes.subarray(head + length);
    return true;
  }

  #tell(): void {
    for (const look of this.#changed.splice(0)) look();
  }

  /** Waits until `check` holds, as long as patience lasts. */
  async #until(check: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!check() && performance.now() < deadline) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1_000);
        this.#changed.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }
}
