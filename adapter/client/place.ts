/** A room that a client is in, or wants to be in. */

import type * as Public from '../../client.js';

/** Numbers that are kept of what a client said without hearing it. */
const QUIET_MAX = 1000;

/** How a join is answered. */
type Answer = Public.Joined & { epoch: string; offset: number };

interface Waiter {
  /** The join whose answer it waits for; a later one does as well. */
  ask: number;
  done: (answer: Public.Joined) => void;
  failed: (error: Error) => void;
}

export class Place {
  /** It wants to be told who comes and goes. */
  presence = false;
  /** The server has let it in on this socket. */
  answer: Public.Joined | undefined;
  /** Joins under way on this socket. */
  pending = 0;
  /** What was heard last, and of which history. */
  since: { epoch: string; offset: number } | undefined;
  /** The wish for presence was heard on this socket. */
  #watches = false;
  #asks = 0;
  #waiters: Waiter[] = [];
  /** The event of that number may still come: of a room where only the newest counts, right after the first join. */
  #newest = false;
  /** Numbers of what it said here without hearing it itself, as long as a replay may bring them. */
  readonly #quiet = new Set<number>();

  /** Whether another join would tell the server more than it was told. */
  lacks(presence: boolean): boolean {
    return presence && !(this.presence && (this.#watches || this.pending > 0));
  }

  /** The answer to the join under way, or to the next one. */
  wait(next: boolean): Promise<Public.Joined> {
    const ask = this.#asks + (next || this.pending === 0 ? 1 : 0);
    return new Promise((done, failed) => this.#waiters.push({ ask, done, failed }));
  }

  get isAwaited(): boolean {
    return this.#waiters.length > 0;
  }

  /** Begins a join; its number. */
  ask(): number {
    this.pending += 1;
    return (this.#asks += 1);
  }

  /** The server has let it in. What is replayed comes after this answer. */
  entered(ask: number, answer: Answer, presence: boolean): void {
    const { epoch, offset } = answer;
    this.pending -= 1;
    this.answer = answer;
    this.#watches = presence;
    if (!this.since) {
      this.since = { epoch, offset };
      this.#newest = true;
    } else if (this.since.epoch !== epoch) {
      this.since = { epoch, offset: 0 };
      this.#quiet.clear();
    }
    this.settle(ask, ({ done }) => done(answer));
  }

  /** Whoever waits for this join or an earlier one is told. */
  settle(ask: number, tell: (waiter: Waiter) => void): void {
    const over = this.#waiters.filter((waiter) => waiter.ask <= ask);
    this.#waiters = this.#waiters.filter((waiter) => waiter.ask > ask);
    over.forEach(tell);
  }

  /** The server does not have it in any more. */
  out(): void {
    this.answer = undefined;
    this.#watches = false;
  }

  /** So has no server, for there is no socket. */
  cut(): void {
    this.out();
    this.pending = 0;
  }

  /** Whether the event of this number was not heard yet. */
  isNew(offset: number): boolean {
    const { since } = this;
    if (!since) return true;
    if (offset < since.offset || (offset === since.offset && !this.#newest)) return false;
    this.#newest = false;
    const isNew = !this.#quiet.has(offset);
    since.offset = offset;
    this.#pass();
    return isNew;
  }

  /** Notes what a replay is not to say to its author, or takes it for heard if that is all that came meanwhile. */
  keepQuiet(offset: number | undefined): void {
    if (offset === undefined || !this.since || offset <= this.since.offset) return;
    this.#quiet.add(offset);
    this.#pass();
  }

  /** Goes on over what it does not hear. */
  #pass(): void {
    const since = this.since!;
    for (const offset of this.#quiet)
      if (offset <= since.offset || this.#quiet.size > QUIET_MAX) this.#quiet.delete(offset);
    while (this.#quiet.delete(since.offset + 1)) {
      since.offset += 1;
      this.#newest = false;
    }
  }
}
