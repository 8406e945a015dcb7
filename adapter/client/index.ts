/** A client of rooms of events, for browsers and Node, that depends on nothing. */

import type * as Public from '../../client.js';
import { Emitter } from './emitter.js';
import { Link } from './link.js';

export { Deployd } from './dpd.js';

type Message = Record<string, unknown>;
type Failed = (error: Error) => void;

/** What the server says no to now, and perhaps not later. */
const PASSING = ['AUTH_UNAVAILABLE', 'ROOM_LIMIT_REACHED'];

/** Numbers that are kept of a room, and names of earlier sockets. */
const QUIET_MAX = 1000;
const IDS_MAX = 100;

/** A room it is in, or wants to be in. */
interface Place {
  presence: boolean;
  /** This socket has asked for it, and was not refused. */
  asked: boolean;
  /** What was heard last, and of which history. */
  since?: { epoch: string; offset: number };
  /** The event of that number may still come: of a room where only the newest counts, right after the first join. */
  newest: boolean;
  /** Numbers of what it said here without hearing it itself, as long as a replay may bring them. */
  quiet: Set<number>;
  joined: Promise<Public.Joined>;
  done: (answer: Public.Joined) => void;
  failed: Failed;
}

interface Waiting {
  message: Message;
  /** It is said again on the next socket. */
  lasts: boolean;
  /** It was said on this one. */
  said: boolean;
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
    const known = this.#places.get(room);
    if (known && (known.presence || !presence)) {
      // It was not let in again: now it may be.
      if (this.#ready && !known.asked) this.#enter(room, known);
      return known.joined;
    }
    const place = { quiet: new Set(), presence } as unknown as Place;
    if (known?.since) Object.assign(place, { since: known.since, quiet: known.quiet });
    place.joined = new Promise((done, failed) => Object.assign(place, { done, failed }));
    if (known) place.joined.then(known.done, known.failed);
    this.#places.set(room, place);
    if (this.#ready || this.#ended) this.#enter(room, place);
    return place.joined;
  }

  async leave(room: string): Promise<void> {
    const place = this.#places.get(room);
    this.#places.delete(room);
    place?.failed(new RealtimeClientError('LEFT', `${room} was left`));
    if (place?.asked) await this.#ask({ type: 'leave', room });
  }

  async emit(
    event: string,
    data?: unknown,
    room?: string,
    { echo = true, key = Math.random().toString(36).slice(2) + Date.now() } = {},
  ): Promise<{ offset?: number }> {
    const message = { type: 'emit', event, data, room, key, ...(echo ? {} : { echo }) };
    const answer = (await this.#ask(message, true)) as { offset?: number };
    const place = this.#places.get(room!);
    if (!echo && place) this.#keepQuiet(place, answer.offset!);
    return answer;
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
    this.#expired = false;
    this.#link.served();
    for (const [room, place] of this.#places) if (!place.asked) this.#enter(room, place);
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
    const done = (answer: Message): void => {
      const { epoch, offset, recovered } = answer as unknown as Public.Joined & {
        epoch: string;
        offset: number;
      };
      // What is replayed comes after this answer.
      if (!since) Object.assign(place, { since: { epoch, offset }, newest: true });
      else if (since.epoch !== epoch) {
        place.since = { epoch, offset: 0 };
        place.quiet.clear();
      }
      if (recovered === false) this.lifecycle.fire('gap', { room });
      place.done(answer as unknown as Public.Joined);
    };
    place.asked = true;
    this.#say({ type: 'join', room, presence, since }, false, done, (error) => {
      const { code } = error as RealtimeClientError;
      // Another socket tries again.
      if (code === 'CLOSED' && !this.#ended) return;
      place.asked = false;
      if (this.#wasNobody(code)) return;
      // Where it was in it comes back once the server can.
      const stays = since && PASSING.includes(code);
      if (!stays && this.#places.get(room) === place) this.#places.delete(room);
      this.#tell(error);
      place.failed(error);
    });
  }

  #ask(message: Message, lasts = false): Promise<Message> {
    return new Promise((done, failed) => this.#say(message, lasts, done, failed));
  }

  #say(message: Message, lasts: boolean, done: Waiting['done'], failed: Failed): void {
    if (this.#ended) return failed(this.#ended);
    const queued = [...this.#waiting.values()].filter(({ lasts }) => lasts).length;
    if (lasts && queued >= (this.#options.queueMax ?? 1000)) {
      return failed(new RealtimeClientError('QUEUE_FULL', 'too much waits for the server'));
    }
    const ack = String((this.#count += 1));
    const waiting = { message: { ...message, ack }, lasts, said: false, done, failed };
    this.#waiting.set(ack, waiting);
    if (this.#ready || !lasts) this.#send(waiting);
  }

  #send(waiting: Waiting): void {
    waiting.said = true;
    this.#link.send(waiting.message);
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
      this.#rooms.get(room!)?.fire(`presence:${event}`, message['person']);
    } else if (type === 'left') {
      this.#places.delete(room!);
      this.lifecycle.fire('left', { room });
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
    if (place && offset !== undefined && !this.#isNew(place, offset)) return;
    if (this.#isOwnQuiet(message)) return;
    this.#every?.(message);
    const about = { event, room, offset, from };
    this.#rooms.get(room!)?.fire(event, data, about);
    this.#all.fire(event, data, about);
  }

  #isNew(place: Place, offset: number): boolean {
    const { since, newest, quiet } = place;
    if (!since) return true;
    if (offset < since.offset || (offset === since.offset && !newest)) return false;
    place.newest = false;
    const isNew = !quiet.has(offset);
    since.offset = offset;
    this.#pass(place);
    return isNew;
  }

  /** Notes what a replay is not to say to its author, or takes it for heard if that is all that came meanwhile. */
  #keepQuiet(place: Place, offset: number): void {
    if (!place.since || !(offset > place.since.offset)) return;
    place.quiet.add(offset);
    this.#pass(place);
  }

  /** Goes on over what it does not hear. */
  #pass({ since, quiet }: Place): void {
    for (const offset of quiet) if (offset <= since!.offset || quiet.size > QUIET_MAX) quiet.delete(offset);
    while (quiet.delete(since!.offset + 1)) since!.offset += 1;
  }

  /** Whether it said this itself on an earlier socket, not to hear it, and has no answer yet. */
  #isOwnQuiet({ event, data, room, from }: Message): boolean {
    if (this.#ids.indexOf((from as Public.Person | undefined)?.client_id ?? '') < 1) return false;
    const same = (one: unknown, other: unknown): boolean =>
      JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
    return [...this.#waiting.values()].some(
      ({ message: said }) =>
        said['echo'] === false &&
        said['event'] === event &&
        same(said['room'], room) &&
        same(said['data'], data),
    );
  }

  #closed(code: number, reason: string, again: number | null): void {
    this.#ready = this.#expired = false;
    this.#turn += 1;
    for (const place of this.#places.values()) place.asked = false;
    const error = new RealtimeClientError('CLOSED', reason || `the connection was closed (${code})`);
    for (const [ack, waiting] of this.#waiting) {
      waiting.said = false;
      if (waiting.lasts && again !== null) continue;
      this.#waiting.delete(ack);
      waiting.failed(error);
    }
    if (again === null) {
      this.#ended = error;
      for (const place of this.#places.values()) place.failed(error);
      this.#places.clear();
    }
    this.lifecycle.fire('close', { code, reason, again });
  }

  readonly #tell = (error: unknown): void => this.lifecycle.fire('error', error);
}
