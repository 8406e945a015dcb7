/**
 * Thousands of seeded sessions over real sockets, with drops, restarts and updates out of order.
 *
 * SESSIONS=n runs more or fewer, SEED=n starts at another seed (SESSIONS=1 with a seed from a failure repeats it).
 */

import { expect, it } from 'vitest';

import { openServer } from '../clients/support.js';
import { Chance } from './random.js';
import { begin, end, settle, verify, type Place, type Session } from './session.js';

const SESSIONS = Number(process.env['SESSIONS'] ?? 2000);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1_000_000_000));
const AT_ONCE = 100;

it(`${SESSIONS} sessions converge (SEED=${SEED})`, { timeout: 120_000 + SESSIONS * 2_000 }, async () => {
  const open = await openServer({
    // Rooms leave memory and come back while their people are away.
    rooms: { open_types: ['notes'], max_rooms: 10_000, grace_period_ms: 30 },
    snapshots: { durability: 'process' },
  });
  const place: Place = {
    url: (room) => `ws://127.0.0.1:${open.port}/realtime/notes/${room}`,
    exportLog: (room) => open.server.exportLog(`notes:${room}`),
  };
  const refused = new Map<number, number>();
  for (let first = 0; first < SESSIONS; first += AT_ONCE) {
    const count = Math.min(AT_ONCE, SESSIONS - first);
    const chance = new Chance(SEED + first);
    const sessions = Array.from({ length: count }, (_, index) => begin(SEED + first + index, place));
    try {
      const restart = new Promise((resolve) => setTimeout(resolve, chance.int(100, 400))).then(() =>
        open.restart(),
      );
      await Promise.all([restart, ...sessions.map(({ typed }) => typed)]);
      await Promise.all(sessions.map(settle));
      await Promise.all(sessions.map((session) => verify(session, place)));
      tally(sessions, refused);
    } finally {
      sessions.forEach(end);
    }
  }
  // Honest clients are never accused of breaking the protocol.
  expect(refused.get(1008) ?? 0).toBe(0);
  expect(refused.get(1002) ?? 0).toBe(0);
});

function tally(sessions: Session[], into: Map<number, number>): void {
  for (const client of sessions.flatMap(({ clients }) => clients)) {
    expect(client.texts).toBe(0);
    for (const [code, count] of client.closes) into.set(code, (into.get(code) ?? 0) + count);
  }
}
