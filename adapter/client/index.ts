/** A client of rooms of events, for browsers and Node, that depends on nothing. */

import type * as Public from '../../client.js';
import { Emitter } from './emitter.js';
import { Link } from './link.js';
import { Place } from './place.js';

export { Deployd } from './dpd.js';

type Message = Record<string, unknown>;
type Failed = (error: Error) => void;

/** What the server says no to now, and perhaps not later. */
const PASSING = ['AUTH_UNAVAILABLE', 'ROOM_LIMIT_REACHED'];

/** Names of earlier sockets that are kept. */
const IDS_MAX = 100;
/** A new token that is over so soon is no better than the last one, in milliseconds. */
const RENEWED_MS = 1000;

interface Waiting {
  /** As it was when it was said: its data may be another by now. */
  text: string;
  /** It is said again on the next socket. */
  lasts: boolean;
  /** It was said on this one. */
  said: boolean;
  /** What its author is not to hear of it. */
  quiet: string | undefined;
  done: (answer: Message) => void;
  failed: Failed;
}

/** What the server, or the client itself, said no to. */
export class RealtimeClientError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = 'RealtimeClientError';
  }
}

export class RealtimeClient implements Public.RealtimeClient {
  readonly lifecycle: Public.Lifecycle = new Emitter();
  readonly #options: Public.ClientOptions;
  readonly #link: Link;
  readonly #all = new Emitter();
  #every: ((message: Message) => void) | undefined;
  readonly #rooms = new Map<string, Emitter>();
  readonly #places = new Map<string, Place>();
  readonly #waiting = new Map<string, Waiting>();
  /** Who it is to others, and was on earlier sockets: the last first. */
  #ids: string[] = [];
  #count = 0;
  /** Grows with each socket, and its end: a token that comes late is of no use. */
  #turn = 0;
  /** The server knows who this is, and everything may be said. */
  #ready = false;
  /** That it is open was not told. */
  #fresh = false;
  /** The last token's time is over, and another one is on the way. */
  #expired = false;
  /** When another one was taken in its place. */
  #renewedAt = 0;
  /** It is closed for good, and why. */
  #ended: RealtimeClientError | undefined;

  constructor(url: string, options: Public.ClientOptions = {}) {
    this.#options = { ...options };
    this.#link = new Link(url, this.#options, {
      opened: () => this.#opened(),
      message: (message) => this.#hear(message),
      closed: (code, reason, again) => this.#closed(code, reason, again),
    });
    this.#link.open();
  }

  get isOpen(): boolean {
    return this.#ready;
  }

  async auth(token: Public.ClientOptions['token']): Promise<void> {
    this.#options.token = token;
    if (this.#link.isOpen) await this.#introduce();
  }

  join(room: string, { presence = false } = {}): Promise<Public.Joined> {
    if (this.#ended) return Promise.reject(this.#ended);
    const place = this.#places.get(room) ?? new Place();
    this.#places.set(room, place);
    const lacks = place.lacks(presence);
    place.presence ||= presence;
    if (place.answer && !lacks) return Promise.resolve(place.answer);
    const joined = place.wait(lacks);
    if (this.#ready && (lacks || place.pending === 0)) this.#enter(room, place);
    return joined;
  }

  async leave(room: string): Promise<void> {
    const left = new RealtimeClientError('LEFT', `${room} was left`);
    this.#places.get(room)?.settle(Infinity, ({ failed }) => failed(left));
    this.#places.delete(room);
    // Without a connection it is in no room.
    if (this.#link.isOpen) await this.#ask({ type: 'leave', room }).catch(unlessClosed);
  }

  emit(
    event: string,
    data?: unknown,
    room?: string,
    { echo = true, key = Math.random().toString(36).slice(2) + Date.now() } = {},
  ): Promise<{ offset?: number }> {
    const message = { type: 'emit', event, data, room, key, ...(echo ? {} : { echo }) };
    return new Promise((done, failed) => {
      const taken = (answer: { offset?: number }): void => {
        if (!echo) this.#places.get(room!)?.keepQuiet(answer.offset);
        done(answer);
      };
      this.#say(message, true, taken, failed, echo ? undefined : () => contentOf(event, room, data));
    });
  }

  async presence(room: string): Promise<Public.Person[]> {
    return (await this.#ask({ type: 'presence', room }, true))['people'] as Public.Person[];
  }

  room(name: string): Emitter {
    let known = this.#rooms.get(name);
    if (!known) this.#rooms.set(name, (known = new Emitter()));
    return known;
  }

  collection(name: string): Emitter {
    const room = `collection:${name}`;
    // Whoever listens is in; that it may not is told.
    this.join(room).catch(() => {});
    return this.room(room);
  }

  on(event: string, listener: Public.Listener): this {
    this.#all.on(event, listener);
    return this;
  }

  once(event: string, listener: Public.Listener): this {
    this.#all.once(event, listener);
    return this;
  }

  off(event: string, listener?: Public.Listener): this {
    this.#all.off(event, listener);
    return this;
  }

  /** Has `every` event heard as it came. */
  heard(every: (message: Message) => void): void {
    this.#every = every;
  }

  close(): void {
    if (!this.#ended) this.#link.close();
  }

  #opened(): void {
    this.#fresh = true;
    // Why there is no token was told.
    this.#introduce().catch(() => {});
  }

  #expire(): void {
    // Else a host that takes tokens whose time is over would be asked without end.
    if (Date.now() - this.#renewedAt < RENEWED_MS) return this.#link.drop();
    this.#expired = true;
    this.#introduce().catch(() => {});
  }

  /** Shows a token, and then says all that waited for that. Fails if there is none to be had. */
  async #introduce(): Promise<void> {
    const turn = (this.#turn += 1);
    this.#ready = false;
    try {
      await this.#authenticate(turn);
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#tell(error);
      // It may be had the next time; as nobody the client would lose its rooms and what waits. Who was told may
      // have given another.
      if (turn === this.#turn) this.#link.drop();
      throw error;
    }
    if (turn !== this.#turn) return;
    this.#ready = true;
    if (this.#expired) this.#renewedAt = Date.now();
    this.#expired = false;
    this.#link.served();
    for (const [room, place] of this.#places) {
      // Where presence was not for the last one it may be for this one.
      if (place.pending === 0 && (!place.answer || place.presence)) this.#enter(room, place);
    }
    for (const waiting of this.#waiting.values()) if (!waiting.said) this.#send(waiting);
    if (this.#fresh) this.lifecycle.fire('open');
    this.#fresh = false;
  }

  /** A token is asked for each time: the last one may have expired. */
  async #authenticate(turn: number): Promise<void> {
    const { token } = this.#options;
    const shown = typeof token === 'function' ? await token() : token;
    if (!shown || turn !== this.#turn) return;
    await this.#ask({ type: 'auth', token: shown }).catch((error: RealtimeClientError) => {
      if (error.code !== 'AUTH_FAILED') throw error;
      // A token that does not hold leaves nobody, who may hear public rooms.
      this.#tell(error);
    });
  }

  #enter(room: string, place: Place): void {
    const { presence, since } = place;
    const ask = place.ask();
    const done = (answer: Message): void => {
      if (answer['recovered'] === false) this.lifecycle.fire('gap', { room });
      place.entered(ask, answer as unknown as Parameters<Place['entered']>[1], presence);
    };
    this.#say({ type: 'join', room, presence, since }, false, done, (error) => {
      const { code } = error as RealtimeClientError;
      // Another socket tries again.
      if (code === 'CLOSED') return;
      place.pending -= 1;
      if (this.#wasNobody(code)) return;
      const passes = PASSING.includes(code);
      // It was in already, and asked for more.
      if (place.answer) place.presence &&= passes;
      // Where it was in before it comes back once the server can.
      else if (!(since && passes)) this.#isOut(room, place);
      this.#tell(error);
      place.settle(ask, ({ failed }) => failed(error));
    });
  }

  /** It is not in a room any more; who was, is told. */
  #isOut(room: string, place: Place): void {
    if (this.#places.get(room) !== place) return;
    this.#places.delete(room);
    if (place.since) this.lifecycle.fire('left', { room });
  }

  #ask(message: Message, lasts = false): Promise<Message> {
    return new Promise((done, failed) => this.#say(message, lasts, done, failed));
  }

  #say(message: Message, lasts: boolean, done: Waiting['done'], failed: Failed, quiet?: () => string): void {
    if (this.#ended) return failed(this.#ended);
    const queued = [...this.#waiting.values()].filter(({ lasts }) => lasts).length;
    if (lasts && queued >= (this.#options.queueMax ?? 1000)) {
      return failed(new RealtimeClientError('QUEUE_FULL', 'too much waits for the server'));
    }
    const ack = String((this.#count += 1));
    // What is no JSON throws here, before it waits.
    const text = JSON.stringify({ ...message, ack });
    const waiting = { text, lasts, said: false, quiet: quiet?.(), done, failed };
    this.#waiting.set(ack, waiting);
    if (this.#ready || !lasts) this.#send(waiting);
  }

  #send(waiting: Waiting): void {
    waiting.said = true;
    this.#link.send(waiting.text);
  }

  #hear(message: Message): void {
    const { type, ack, event, room, code, error } = message as Record<string, string>;
    const waiting = this.#waiting.get(ack!);
    if (waiting) {
      waiting.said = !(waiting.lasts && this.#wasNobody(code));
      // What reached the server too late for the old token is said again with the new one.
      if (!waiting.said) return;
      this.#waiting.delete(ack!);
      if (type === 'error') waiting.failed(new RealtimeClientError(code!, error!));
      else waiting.done(message);
    } else if (type === 'emit') {
      this.#event(message);
    } else if (type === 'connect') {
      const { client_id: id } = message['data'] as Public.Person;
      this.#ids = [id, ...this.#ids].slice(0, IDS_MAX);
    } else if (type === 'presence') {
      const name = `presence:${event}`;
      this.#rooms.get(room!)?.fire(name, message['person'], { event: name, room });
    } else if (type === 'left') {
      const place = this.#places.get(room!);
      // A join under way, or to come, decides.
      if (place?.pending || place?.isAwaited) place.out();
      else if (place) this.#isOut(room!, place);
    } else if (type === 'error') {
      if (code === 'TOKEN_EXPIRED') this.#expire();
      this.#tell(new RealtimeClientError(code!, error!));
    }
  }

  /** Whether it was refused because the token's time was over, and another one is on the way. */
  #wasNobody(code: string | undefined): boolean {
    return this.#expired && code === 'PERMISSION_DENIED';
  }

  #event(message: Message): void {
    const { event, data, room, offset, from } = message as unknown as Public.About & { data: unknown };
    const place = this.#places.get(room!);
    if (place && offset !== undefined && !place.isNew(offset)) return;
    if (this.#isOwnQuiet(message)) return;
    this.#every?.(message);
    const about = { event, room, offset, from };
    this.#rooms.get(room!)?.fire(event, data, about);
    this.#all.fire(event, data, about);
  }

  /** Whether it said this itself on an earlier socket, not to hear it, and has no answer yet. */
  #isOwnQuiet({ event, data, room, from }: Message): boolean {
    if (this.#ids.indexOf((from as Public.Person | undefined)?.client_id ?? '') < 1) return false;
    const content = contentOf(event, room, data);
    return [...this.#waiting.values()].some(({ quiet }) => quiet === content);
  }

  #closed(code: number, reason: string, again: number | null): void {
    this.#ready = this.#expired = false;
    this.#turn += 1;
    for (const place of this.#places.values()) place.cut();
    const error = new RealtimeClientError('CLOSED', reason || `the connection was closed (${code})`);
    for (const [ack, waiting] of this.#waiting) {
      waiting.said = false;
      if (waiting.lasts && again !== null) continue;
      this.#waiting.delete(ack);
      waiting.failed(error);
    }
    if (again === null) {
      this.#ended = error;
      for (const place of this.#places.values()) place.settle(Infinity, ({ failed }) => failed(error));
      this.#places.clear();
    }
    this.lifecycle.fire('close', { code, reason, again });
  }

  readonly #tell = (error: unknown): void => this.lifecycle.fire('error', error);
}

/** What an event says, however its members are given. */
function contentOf(...parts: unknown[]): string {
  return JSON.stringify(parts.map((part) => part ?? null));
}

function unlessClosed(error: RealtimeClientError): void {
  if (error.code !== 'CLOSED') throw error;
}
