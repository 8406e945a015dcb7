/**
 * What peers may send, case by case, against the server as an operator starts it. After each case two honest
 * people in the same room and a newcomer must converge, nobody honest was cut off, and memory has not grown by
 * more than a bound. CASE=M07 runs one.
 */

import { describe, expect, it } from 'vitest';

import { Arena, type Case } from './arena.js';
import { auth } from './cases/auth.js';
import { awarenessCases } from './cases/awareness.js';
import { documents } from './cases/documents.js';
import { floods } from './cases/floods.js';
import { framing } from './cases/framing.js';
import { handshake } from './cases/handshake.js';
import { json } from './cases/json.js';
import { rooms } from './cases/rooms.js';

const GROWTH_BYTES_MAX = 192 << 20;
const ONLY = process.env['CASE'];

const GROUPS: Record<string, Case[]> = {
  handshake,
  framing,
  auth,
  rooms,
  documents,
  awareness: awarenessCases,
  floods,
  json,
};

const CHOSEN = Object.entries(GROUPS)
  .map(([name, all]) => [name, all.filter(({ id }) => !ONLY || id.startsWith(ONLY))] as const)
  .filter(([, cases]) => cases.length > 0);

describe.each(CHOSEN)('%s', (_name, cases) => {
  it(`${cases.length} cases`, { timeout: 600_000 }, async () => {
    const wrong: string[] = [];
    const arena = new Arena();
    await arena.open();
    let most = 0;
    for (const { id, what, run, answer } of cases) {
      const before = arena.residentBytes;
      const given = await run(arena);
      if (!answer.test(given)) wrong.push(`${id} ${what}: ${given} instead of ${answer}`);
      const faults = await arena.faults();
      for (const fault of faults) wrong.push(`${id} ${what}: afterwards, ${fault}`);
      if (arena.hasDied) break;
      const growth = arena.residentBytes - before;
      most = Math.max(most, growth);
      if (growth > GROWTH_BYTES_MAX) wrong.push(`${id} ${what}: ${growth >> 20} MiB more memory`);
    }
    console.log(`${cases.length} cases, most growth ${most >> 20} MiB`);
    expect(wrong).toEqual([]);
  });
});
