/** The same with the stock provider of every version: fewer sessions, because it reconnects at its leisure. */

import { setTimeout as sleep } from 'node:timers/promises';

import { expect, it } from 'vitest';
import * as Y from 'yjs';

import { openServer, peer, VERSIONS, type Peer } from '../clients/support.js';
import { until } from '../support.js';
import { contentOf, edit, pendingOf, vectorOf } from './edits.js';
import { Chance } from './random.js';

const SESSIONS = Number(process.env['STOCK_SESSIONS'] ?? 60);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1_000_000_000));
const AT_ONCE = 20;

async function type(peers: Peer[], chance: Chance): Promise<void> {
  for (let step = 0; step < 40; step += 1) {
    const { doc, provider, drop } = chance.pick(peers);
    const dice = chance.next();
    if (dice < 0.8) edit(doc, chance);
    else if (dice < 0.88) drop();
    else if (dice < 0.92) provider.disconnect();
    else if (dice < 0.98) provider.connect();
    // As between two tabs: the receiver passes it on to the server as well.
    else Y.applyUpdate(doc, Y.encodeStateAsUpdate(chance.pick(peers).doc), 'channel');
    if (chance.of(0.5)) await sleep(chance.int(0, 50));
  }
}

const agree = (docs: Y.Doc[]): boolean =>
  docs.every((doc) => pendingOf(doc) === null && vectorOf(doc) === vectorOf(docs[0]!)) &&
  docs.every((doc) => contentOf(doc) === contentOf(docs[0]!));

it(`${SESSIONS} sessions of stock providers converge (SEED=${SEED})`, { timeout: 600_000 }, async () => {
  const open = await openServer({ rooms: { open_types: ['notes'], max_rooms: 10_000, grace_period_ms: 50 } });
  const refused: number[] = [];
  for (let first = 0; first < SESSIONS; first += AT_ONCE) {
    const sessions = Array.from({ length: Math.min(AT_ONCE, SESSIONS - first) }, (_, index) => {
      const chance = new Chance(SEED + first + index);
      const room = `notes/stock-${first + index}`;
      const peers = Array.from({ length: chance.int(3, 4) }, (_, number) =>
        peer(VERSIONS[(number + first + index) % VERSIONS.length]!, open.port, { room }),
      );
      return { seed: SEED + first + index, room, peers, typed: type(peers, chance) };
    });
    await Promise.all([sleep(500).then(() => open.restart()), ...sessions.map(({ typed }) => typed)]);
    await Promise.all(
      sessions.map(async ({ seed, room, peers }) => {
        for (const { provider } of peers) provider.connect();
        const fresh = peer(VERSIONS[2]!, open.port, { room });
        const docs = [...peers, fresh].map(({ doc }) => doc);
        const deadline = performance.now() + 60_000;
        while (!agree(docs)) {
          if (performance.now() > deadline) {
            throw new Error(`SEED=${seed} STOCK_SESSIONS=1:\n${docs.map(contentOf).join('\n')}`);
          }
          await sleep(50);
        }
        await until(async () => {
          const replayed = new Y.Doc();
          for (const update of await open.server.exportLog(room.replace('/', ':'))) {
            Y.applyUpdate(replayed, update);
          }
          return agree([docs[0]!, replayed]);
        });
        for (const { provider, traffic } of [...peers, fresh]) {
          provider.destroy();
          expect(traffic.text).toEqual([]);
          refused.push(
            ...traffic.closes.map(({ code }) => code).filter((code) => code < 1005 || code === 1008),
          );
        }
      }),
    );
  }
  // Honest clients are never accused of breaking the protocol; 1000 and 1001 are goodbyes.
  expect(refused.filter((code) => code > 1001)).toEqual([]);
});
