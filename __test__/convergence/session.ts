/** One seeded session: some people, some bad luck, and in the end one document. */

import { setTimeout as sleep } from 'node:timers/promises';

import * as Y from 'yjs';

import { BEHIND, Client } from './client.js';
import { contentOf, edit, pendingOf, vectorOf } from './edits.js';
import { Chance } from './random.js';

const CONVERGES_WITHIN_MS = 45_000;

/** What a session needs to know of the server. */
export interface Place {
  url(room: string): string;
  token?: string;
  /** Updates of the room's log. */
  exportLog(room: string): Promise<Uint8Array[]>;
}

export class Diverged extends Error {
  constructor(seed: number, what: string, states: Record<string, string>) {
    const shown = Object.entries(states).map(([who, state]) => `  ${who}: ${state.slice(0, 1500)}`);
    super(`session with SEED=${seed}: ${what}\n${shown.join('\n')}`);
  }
}

export interface Session {
  seed: number;
  room: string;
  clients: Client[];
  /** Edits and misfortunes; resolves when all is typed, whoever is connected then. */
  typed: Promise<void>;
}

export function begin(seed: number, place: Place, steps = 40): Session {
  const chance = new Chance(seed);
  const room = `s-${seed}`;
  const clients = Array.from(
    { length: chance.int(3, 5) },
    () => new Client(place.url(room), new Chance(chance.int(0, 2 ** 31)), place.token),
  );
  for (const client of clients) if (chance.of(0.8)) client.connect();
  return { seed, room, clients, typed: type(clients, chance, steps) };
}

async function type(clients: Client[], chance: Chance, steps: number): Promise<void> {
  for (let step = 0; step < steps; step += 1) {
    const client = chance.pick(clients);
    const dice = chance.next();
    if (dice < 0.7) edit(client.doc, chance);
    else if (dice < 0.76) client.drop();
    else if (dice < 0.8) client.leave();
    else if (dice < 0.86) client.connect();
    else if (dice < 0.9) client.lag();
    else if (dice < 0.93) client.catchUp();
    else if (dice < 0.94) client.resync();
    else whisper(client, chance.pick(clients), chance);
    if (chance.of(0.5)) await sleep(chance.int(0, 25));
  }
}

/** Hands updates over directly; the server meets what builds on them before it meets them. */
function whisper(from: Client, to: Client, chance: Chance): void {
  if (from === to) return;
  if (chance.of(0.3)) {
    Y.applyUpdate(to.doc, Y.encodeStateAsUpdate(from.doc, Y.encodeStateVector(to.doc)), BEHIND);
  } else if (from.written.length > 0) {
    // A few, not all and not in order: the receiver may have to wait for the rest itself.
    const count = chance.int(1, Math.min(3, from.written.length));
    for (let number = 0; number < count; number += 1) {
      Y.applyUpdate(to.doc, chance.pick(from.written), BEHIND);
    }
  }
}

/** Connects everybody and waits until they agree; throws {@link Diverged} if they do not. */
export async function settle({ seed, clients }: Session): Promise<void> {
  for (const client of clients) {
    client.catchUp();
    client.connect();
  }
  const [first, ...others] = clients;
  const deadline = performance.now() + CONVERGES_WITHIN_MS;
  for (let round = 1; ; round += 1) {
    const agree =
      clients.every(({ doc }) => pendingOf(doc) === null) &&
      others.every(({ doc }) => vectorOf(doc) === vectorOf(first!.doc)) &&
      others.every(({ doc }) => contentOf(doc) === contentOf(first!.doc));
    if (agree && clients.every(({ isOpen }) => isOpen)) return;
    if (performance.now() > deadline) {
      throw new Diverged(seed, 'clients do not agree', statesOf(clients));
    }
    await sleep(Math.min(200, 5 * round));
  }
}

/** The server agrees too: what it gives a newcomer, and what its log replays to. */
export async function verify({ seed, room, clients }: Session, place: Place): Promise<void> {
  const expected = contentOf(clients[0]!.doc);
  const agrees = async (what: string, content: () => Promise<Y.Doc>): Promise<void> => {
    const deadline = performance.now() + CONVERGES_WITHIN_MS;
    for (;;) {
      const doc = await content();
      if (contentOf(doc) === expected && pendingOf(doc) === null) return;
      // The log is committed a moment after the relay.
      if (performance.now() > deadline) {
        const states = { ...statesOf(clients), [what]: `${pendingOf(doc)} ${contentOf(doc)}` };
        throw new Diverged(seed, `${what} does not agree`, states);
      }
      await sleep(20);
    }
  };
  const newcomer = new Client(place.url(room), new Chance(seed), place.token);
  try {
    newcomer.connect();
    await agrees('a newcomer', async () => newcomer.doc);
  } finally {
    newcomer.destroy();
  }
  await agrees('the replayed log', async () => {
    const doc = new Y.Doc();
    for (const update of await place.exportLog(room)) Y.applyUpdate(doc, update);
    return doc;
  });
}

export function end({ clients }: Session): void {
  for (const client of clients) client.destroy();
}

function statesOf(clients: Client[]): Record<string, string> {
  return Object.fromEntries(
    clients.map((client, index) => {
      const closes = JSON.stringify([...client.closes]);
      return [
        `client ${index} (open ${client.isOpen}, closes ${closes})`,
        `${pendingOf(client.doc)} ${contentOf(client.doc)}`,
      ];
    }),
  );
}
