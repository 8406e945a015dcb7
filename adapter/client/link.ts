/**
 * One socket after the other to the same server: comes back by itself, slower each time and never all clients at
 * once, unless the server's close code says that it is of no use.
 */

import type { ClientOptions } from '../../client.js';

/** What is used of a WebSocket, a browser's or the package `ws`'s. */
export interface Socket {
  readonly readyState: number;
  onopen: (() => unknown) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: (() => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

type Message = Record<string, unknown>;
type Timer = ReturnType<typeof setTimeout>;

export interface LinkEvents {
  opened(): void;
  message(message: Message): void;
  /** `again`: milliseconds until the next attempt; `null` = there is none. */
  closed(code: number, reason: string, again: number | null): void;
}

/** Codes after which the same client would be refused again. */
const FINAL = [1002, 1007, 1009, 4003, 4004, 4403, 4413];
/** Codes of a server that is full, stopping, or was sent too much. */
const LATER = [1008, 4029, 4503];
/** A connection of use that lasted so long makes the next attempt a first one. */
const STEADY_MS = 5000;
const OPEN = 1;

export class Link {
  readonly #url: string;
  readonly #events: LinkEvents;
  readonly #options: ClientOptions;
  #socket: Socket | undefined;
  #timer: Timer | undefined;
  #pulse: Timer | undefined;
  #attempt = 0;
  /** Since when the connection has been of use. */
  #useful: number | undefined;

  constructor(url: string, options: ClientOptions, events: LinkEvents) {
    const path = options.path ?? '/socket.io/';
    this.#url = `${url.replace(/^http/, 'ws').replace(/\/$/, '')}${path}${path.includes('?') ? '&' : '?'}batch=true`;
    this.#options = options;
    this.#events = events;
  }

  open(): void {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    const Make = this.#options.WebSocket ?? (globalThis as { WebSocket?: unknown }).WebSocket;
    if (!Make)
      throw new Error('There is no WebSocket here; give one as options.WebSocket (Node < 22: package ws)');
    const socket = new (Make as new (url: string, protocols: string[]) => Socket)(this.#url, [
      'civicpress.events.v1',
    ]);
    this.#socket = socket;
    // One that was given up may have more to say.
    const isHeard = (): boolean => socket === this.#socket;
    socket.onopen = () => isHeard() && this.#events.opened();
    socket.onmessage = ({ data }) => {
      if (isHeard()) this.#watch();
      messagesOf(data, () => this.drop()).forEach((message) => isHeard() && this.#events.message(message));
    };
    // A close follows each error.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => this.#lost(socket, code, reason);
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === OPEN;
  }

  send(text: string): void {
    this.#socket?.send(text);
  }

  /** Gives the socket up for another one, later. */
  drop(): void {
    const socket = this.#socket;
    if (socket) this.#lost(socket, 1006, '');
    socket?.close();
  }

  /** Says that the connection is of use: a server that greets and closes is left alone longer each time. */
  served(): void {
    this.#useful ??= Date.now();
  }

  /** For good; told between two sockets, too. */
  close(): void {
    const socket = this.#socket;
    clearTimeout(this.#timer);
    this.#end(1000, '');
    socket?.close(1000);
  }

  /** Browsers show no pings: silence is asked about, and then ends the socket. */
  #watch(): void {
    clearTimeout(this.#pulse);
    const socket = this.#socket;
    const silence = this.#options.silence ?? 25_000;
    this.#pulse = setTimeout(() => {
      this.send('{"type":"ping"}');
      this.#pulse = setTimeout(() => {
        if (socket === this.#socket) this.drop();
      }, silence / 2);
    }, silence);
  }

  #lost(socket: Socket, code: number, reason: string): void {
    if (socket === this.#socket) this.#end(code, reason);
  }

  #end(code: number, reason: string): void {
    this.#socket = undefined;
    clearTimeout(this.#pulse);
    if (Date.now() - (this.#useful ?? Infinity) > STEADY_MS) this.#attempt = 0;
    this.#useful = undefined;
    const again = this.#pause(code, reason);
    if (again !== null) this.#timer = setTimeout(() => this.open(), again);
    this.#events.closed(code, reason, again);
  }

  #pause(code: number, reason: string): number | null {
    const { backoff = 500, backoffMax = 30_000, token } = this.#options;
    const refused = code === 1008 && !reason.includes('RATE_LIMIT');
    const unknown = code === 4001 && (typeof token !== 'function' || reason.includes('REVOKED'));
    if (code === 1000 || FINAL.includes(code) || refused || unknown) return null;
    const least = LATER.includes(code) ? backoff * 8 : backoff;
    const most = Math.min(backoffMax, least * 2 ** this.#attempt++);
    return most * (0.5 + Math.random() / 2);
  }
}

/** Several messages at once are an array. A peer that says what is no JSON is no server of events. */
function messagesOf(data: unknown, otherwise: () => void): Message[] {
  try {
    return [JSON.parse(String(data)) as Message | Message[]].flat();
  } catch {
    otherwise();
    return [];
  }
}
