/** A yjs client as small as can be: real documents, real sockets, and switches for bad luck. */

import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import WebSocket from 'ws';
import * as syncProtocol from 'y-protocols/sync';
import * as Y from 'yjs';

import type { Chance } from './random.js';

const SYNC = 0;
/** Begins JSON in a binary frame. */
const BRACE = 0x7b;
/** Applied with this origin, an update stays behind the server's back. */
export const BEHIND = Symbol('behind the server');
const FROM_SERVER = Symbol('from the server');

export class Client {
  readonly doc = new Y.Doc();
  /** This client's own updates, as handed to others behind the server's back. */
  readonly written: Uint8Array[] = [];
  /** Close codes by how often they came; 1006 is a drop. */
  readonly closes = new Map<number, number>();
  texts = 0;
  /** How many of {@link written} are durable, as the server said; the URL has to ask for `?ack=json`. */
  durable = 0;

  readonly #url: string;
  readonly #token: string;
  readonly #chance: Chance;
  #socket: WebSocket | undefined;
  #wanted = false;
  #gone = false;
  #lagging: Uint8Array[] | undefined;
  /** For each sync message of this socket: what of {@link written} the server has with it. */
  #sent: number[] = [];
  #synced = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(url: string, chance: Chance, token = 'editor.ada') {
    this.#url = url;
    this.#token = token;
    this.#chance = chance;
    this.doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin === FROM_SERVER || origin === BEHIND) return;
      this.written.push(update);
      if (!this.isOpen) return;
      const frame = frameOf((encoder) => syncProtocol.writeUpdate(encoder, update));
      if (this.#lagging) this.#lagging.push(frame);
      else this.#sendSync(this.#socket!, frame);
    });
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Whether this connection brought what the server has. */
  get isSynced(): boolean {
    return this.isOpen && this.#synced;
  }

  connect(): void {
    this.#wanted = true;
    if (this.#socket || this.#gone) return;
    const socket = new WebSocket(this.#url, [`auth.${this.#token}`]);
    this.#socket = socket;
    this.#sent = [];
    this.#synced = false;
    socket.on('open', () => {
      socket.send(frameOf((encoder) => syncProtocol.writeSyncStep1(encoder, this.doc)));
    });
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (socket !== this.#socket) return;
      if (isBinary) this.#read(socket, data);
      else this.texts += 1;
    });
    socket.on('error', () => undefined);
    socket.on('close', (code) => {
      this.closes.set(code, (this.closes.get(code) ?? 0) + 1);
      if (socket !== this.#socket) return;
      this.#socket = undefined;
      this.#lagging = undefined;
      if (this.#wanted && !this.#gone)
        this.#retry = setTimeout(() => this.connect(), this.#chance.int(5, 80));
    });
  }

  /** Closes politely and stays away. */
  leave(): void {
    this.#wanted = false;
    clearTimeout(this.#retry);
    this.#socket?.close();
    this.#socket = undefined;
    this.#lagging = undefined;
  }

  /** Loses the connection; comes back by itself. */
  drop(): void {
    this.#socket?.terminate();
  }

  /** From now on updates wait … */
  lag(): void {
    if (this.isOpen) this.#lagging ??= [];
  }

  /** … and then go out in any order. */
  catchUp(): void {
    const frames = this.#lagging;
    this.#lagging = undefined;
    if (!frames || !this.isOpen) return;
    for (const frame of this.#chance.shuffle(frames)) this.#sendSync(this.#socket!, frame);
  }

  /** Asks for what is missing, as `resyncInterval` of stock clients does. */
  resync(): void {
    if (this.isOpen) this.#socket!.send(frameOf((encoder) => syncProtocol.writeSyncStep1(encoder, this.doc)));
  }

  destroy(): void {
    this.#gone = true;
    this.#wanted = false;
    clearTimeout(this.#retry);
    this.#socket?.terminate();
    this.doc.destroy();
  }

  #sendSync(socket: WebSocket, frame: Uint8Array): void {
    this.#sent.push(this.written.length);
    socket.send(frame);
  }

  #read(socket: WebSocket, data: Buffer): void {
    if (data[0] === BRACE) return this.#readJson(data);
    const decoder = decoding.createDecoder(data);
    // Others are awareness, which no test here is about.
    if (decoding.readVarUint(decoder) !== SYNC) return;
    const answer = encoding.createEncoder();
    encoding.writeVarUint(answer, SYNC);
    const kind = syncProtocol.readSyncMessage(decoder, answer, this.doc, FROM_SERVER);
    if (kind === syncProtocol.messageYjsSyncStep2) this.#synced = true;
    if (encoding.length(answer) > 1 && socket.readyState === WebSocket.OPEN) {
      this.#sendSync(socket, encoding.toUint8Array(answer));
    }
  }

  #readJson(data: Buffer): void {
    const message = JSON.parse(data.toString()) as { type: string; updates: number };
    if (message.type === 'ack') this.durable = Math.max(this.durable, this.#sent[message.updates - 1] ?? 0);
  }
}

function frameOf(write: (encoder: encoding.Encoder) => void): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, SYNC);
  write(encoder);
  return encoding.toUint8Array(encoder);
}
