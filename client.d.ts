/**
 * A client of rooms of events (`docs/events.md`) for browsers and Node 20 or newer. It depends on nothing.
 */

export interface ClientOptions {
  /**
   * Who it is: a token, or what gives one, asked at each connection and when the last one has expired. If it throws,
   * the client comes back later and asks again.
   */
  token?: string | null | (() => string | null | undefined | Promise<string | null | undefined>) | undefined;
  /** Path of the server's connections for events; `/socket.io/` if missing. */
  path?: string;
  /** The WebSocket to use where there is none of its own (Node < 22: the package `ws`). */
  WebSocket?: unknown;
  /** Messages that may wait for the server, said or unsaid; 1000 if missing. */
  queueMax?: number;
  /**
   * First and longest pause before it comes back, in milliseconds; 500 and 30,000 if missing. It is the first again
   * after a connection that was of use for five seconds.
   */
  backoff?: number;
  backoffMax?: number;
  /** Silence after which it asks for a sign of life, in milliseconds; 25,000 if missing. */
  silence?: number;
}

/** Somebody; without `user_id` nobody is known. */
export interface Person {
  client_id: string;
  user_id?: string;
  name?: string;
}

/** What is known of an event beside its data. `offset`: its number in its room; without `from` the server said it. */
export interface About {
  event: string;
  room?: string;
  offset?: number;
  from?: Person;
}

export interface Joined {
  members: number;
  /** After a reconnect: whether nothing was missed. */
  recovered?: boolean;
}

// Data is what the other side says it is.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Listener = (data: any, about: About) => void;

/** Listeners by name. */
export interface Emitter<L = Listener> {
  on(name: string, listener: L): this;
  once(name: string, listener: L): this;
  /** Takes off what `on` or `once` put on; without a listener all of this name. */
  off(name: string, listener?: L): this;
}

/** A room: its events, `presence:join` and `presence:leave` (with a {@link Person}). */
export type Room = Emitter;
/** A collection: `created`, `updated`, `deleted` (with the document), `changed`. */
export type Collection = Emitter;

/**
 * What happens to the connection: `open`; `close` (`{code, reason, again}`, `again`: milliseconds until it comes back,
 * `null` = never); `gap` (`{room}`: some events are lost); `left` (`{room}`: it was in, and may be no more); `error` (a
 * {@link RealtimeClientError}, or what `token` threw). A peer's event of such a name is not among them.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export interface Lifecycle extends Emitter<(...about: any[]) => void> {
  fire(name: string, ...about: unknown[]): void;
}

/**
 * What was said no to: `code` is the server's (`docs/events.md`), or `QUEUE_FULL`, `CLOSED` (for good, or a question
 * that is not asked again), `LEFT`.
 */
export declare class RealtimeClientError extends Error {
  readonly code: string;
}

/** Connects at once, and again by itself. */
export declare class RealtimeClient {
  /** `url`: `http:`, `https:`, `ws:` or `wss:`, and the host. */
  constructor(url: string, options?: ClientOptions);
  readonly lifecycle: Lifecycle;
  /** Whether the server hears; not while a token is asked for. */
  readonly isOpen: boolean;
  /** Another token, from now on. Fails if there is none to be had; then it is asked for on the next connection. */
  auth(token: ClientOptions['token']): Promise<void>;
  /** Joins, again after each reconnect, and then hears what it missed; resolves once it is in. */
  join(room: string, options?: { presence?: boolean }): Promise<Joined>;
  leave(room: string): Promise<void>;
  /**
   * Says something to a room, or without one to everybody; resolves once the server has it. Without a connection, or
   * while a token is renewed, it waits, and what may have been lost is said again under the same `key`, which the
   * room hears once. With `echo: false` the author does not hear it, after a reconnect neither.
   */
  emit(
    event: string,
    data?: unknown,
    room?: string,
    options?: { echo?: boolean; key?: string },
  ): Promise<{ offset?: number }>;
  /** Who is in a room. */
  presence(room: string): Promise<Person[]>;
  /** A room's events; joining is apart. */
  room(name: string): Room;
  /** Joins a collection's room. */
  collection(name: string): Collection;
  /** Events of this name in any room, or to everybody. */
  on(event: string, listener: Listener): this;
  once(event: string, listener: Listener): this;
  off(event: string, listener?: Listener): this;
  /** For good: what waits fails. */
  close(): void;
}

/** The room is missing of what was said to everybody. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type DeploydListener = (data: any, room?: string) => void;

export interface DeploydSocket {
  join(room: string, callback?: (error?: Error) => void): void;
  leave(room: string): void;
  emit(event: string, data?: unknown, room?: string): void;
  on(event: string, listener: DeploydListener): void;
  close(): void;
}

/** The face of go-deployd's `dpd.js`, for events. What is no member of it is a collection. */
export type Deployd = {
  readonly client: RealtimeClient;
  readonly socket: DeploydSocket;
  /** Events, `connect`, `disconnect`, `error`, and `collection:changed` (`{collection, type, data}`). */
  on(event: string, listener: DeploydListener): Deployd;
  once(event: string, listener: DeploydListener): Deployd;
  off(event: string, listener?: DeploydListener): Deployd;
  join(room: string, callback?: (error?: Error) => void): void;
  leave(room: string): void;
  socketEmit(event: string, data?: unknown, room?: string): void;
  setToken(token: ClientOptions['token']): void;
  setAuthToken(token: ClientOptions['token']): void;
  collection(name: string): Collection;
} & {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly [collection: string]: any;
};

export type DeploydConstructor = new (url: string, options?: ClientOptions) => Deployd;
export declare const Deployd: DeploydConstructor;
