/**
 * The face of go-deployd's `dpd.js` for events, without its defects: rooms are joined again after a reconnect, every
 * join arrives, names of properties that are no collections (`then`) are none, and no event of a peer can pass for
 * one of the connection.
 */

import type * as Public from '../../client.js';
import { Emitter } from './emitter.js';
import { RealtimeClient } from './index.js';

const CHANGES = ['created', 'updated', 'deleted'];
/** What happens to the connection; a peer's event of such a name is not heard under it. */
const OWN = ['connect', 'disconnect', 'error', 'collection:changed'];

class Collection extends Emitter implements Public.Collection {
  readonly #join: () => void;

  constructor(join: () => void) {
    super();
    this.#join = join;
  }

  override on(name: string, listener: Public.Listener): this {
    this.#join();
    return super.on(name, listener);
  }
}

class Face {
  /** What its users see of it. */
  self: this = this;
  readonly socket: Public.DeploydSocket;
  readonly client: RealtimeClient;
  readonly #events = new Emitter();
  readonly #collections = new Map<string, Collection>();
  /** Listeners as they are known to the client: they are told the room, as by `dpd.js`. */
  readonly #known = new WeakMap<object, Public.Listener>();

  constructor(url: string, options: Public.ClientOptions) {
    const client = new RealtimeClient(url, options);
    this.client = client;
    client.lifecycle.on('open', () => this.#events.fire('connect'));
    client.lifecycle.on('close', () => this.#events.fire('disconnect'));
    client.lifecycle.on('error', (error: unknown) => this.#events.fire('error', error));
    this.socket = {
      join: (room, callback) => this.join(room, callback),
      leave: (room) => this.leave(room),
      emit: (event, data, room) => this.socketEmit(event, data, room),
      on: (event, listener) => void this.on(event, listener),
      close: () => client.close(),
    };
  }

  on(event: string, listener: Public.DeploydListener): this {
    if (OWN.includes(event)) this.#events.on(event, listener);
    else this.client.on(event, this.#told(listener));
    return this.self;
  }

  once(event: string, listener: Public.DeploydListener): this {
    if (OWN.includes(event)) this.#events.once(event, listener);
    else this.client.once(event, this.#told(listener));
    return this.self;
  }

  off(event: string, listener?: Public.DeploydListener): this {
    this.#events.off(event, listener);
    this.client.off(event, listener && this.#told(listener));
    return this.self;
  }

  #told(listener: Public.DeploydListener): Public.Listener {
    let known = this.#known.get(listener);
    if (!known) this.#known.set(listener, (known = (data, { room }) => listener(data, room)));
    return known;
  }

  join(room: string, callback?: (error?: Error) => void): void {
    this.client.join(room).then(
      () => callback?.(),
      (error: Error) => callback?.(error),
    );
  }

  leave(room: string): void {
    void this.client.leave(room).catch(() => {});
  }

  socketEmit(event: string, data?: unknown, room?: string): void {
    // A refusal is told as `error`.
    this.client.emit(event, data, room).catch((error: unknown) => this.#events.fire('error', error));
  }

  setToken(token: Public.ClientOptions['token']): void {
    void this.client.auth(token).catch(() => {});
  }

  setAuthToken(token: Public.ClientOptions['token']): void {
    this.setToken(token);
  }

  collection(name: string): Collection {
    let known = this.#collections.get(name);
    if (!known) {
      const made = new Collection(() => void this.client.collection(name));
      const room = this.client.room(`collection:${name}`);
      for (const type of CHANGES) {
        room.on(type, (data: unknown, about: unknown) => {
          made.fire(type, data, about);
          made.fire('changed', { type, data }, about);
          this.#events.fire('collection:changed', { collection: name, type, data });
        });
      }
      room.on('changed', (change: unknown, about: unknown) => made.fire('changed', change, about));
      this.#collections.set(name, (known = made));
    }
    return known;
  }
}

/** `new Deployd(url)`: what is no member of it is a collection, joined once somebody listens. */
export const Deployd = function (url: string, options: Public.ClientOptions = {}) {
  const face = new Face(url, options);
  face.self = new Proxy(face, {
    get(face, name) {
      if (typeof name === 'symbol' || name === 'then') return undefined;
      if (name in face) {
        const member = (face as unknown as Record<string, unknown>)[name];
        return typeof member === 'function' ? member.bind(face) : member;
      }
      return face.collection(name);
    },
  });
  return face.self;
} as unknown as Public.DeploydConstructor;
