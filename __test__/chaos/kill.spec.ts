/**
 * Rounds of random SIGKILL: what the server called durable is there afterwards, once, and rooms are writable.
 *
 * `npm run chaos -- --rounds 1000 --seed 7 --durability power`; ROUNDS, SEED and DURABILITY say the same here.
 */

import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { it } from 'vitest';

import { Chance } from '../convergence/random.js';
import { temporaryFolder, until } from '../support.js';
import { Play } from './play.js';
import { Server } from './server.js';

const ROUNDS = Number(process.env['ROUNDS'] ?? 40);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1_000_000_000));
const DURABILITY = process.env['DURABILITY'] ?? 'power';
/** Rounds with the same data and people; then both are new. */
const ROUNDS_PER_PLAY = 5;

/** What is going on when the process dies. */
const MOMENTS = {
  /** Everybody types. */
  async typing(_play: Play, chance: Chance) {
    await sleep(chance.int(20, 600));
  },
  /** The rooms are empty: last snapshot, write-back, eviction. */
  async leaving(play: Play, chance: Chance) {
    await sleep(chance.int(20, 300));
    play.leave();
    await sleep(chance.int(0, 120));
  },
  /** Large edits make the log's tail due: snapshot, and deletion of what it covers. */
  async compaction(play: Play, chance: Chance) {
    const [typist] = play.typists;
    for (let paste = 0; paste < 6; paste += 1) typist!.type(64 * 1024);
    const due = typist!.typed;
    await until(() => typist!.client.durable >= due);
    await sleep(chance.int(0, 60));
  },
};
type Moment = keyof typeof MOMENTS;

it(
  `${ROUNDS} rounds of SIGKILL lose and double nothing (SEED=${SEED} DURABILITY=${DURABILITY})`,
  { timeout: 120_000 + ROUNDS * 30_000 },
  async () => {
    const chance = new Chance(SEED);
    const folder = temporaryFolder();
    const server = new Server(folder, { durability: DURABILITY });
    const moments = new Map<string, number>();
    let durable = 0;
    await server.start();
    for (let first = 0; first < ROUNDS; first += ROUNDS_PER_PLAY) {
      const play = new Play(server, first, chance);
      try {
        for (let round = first; round < Math.min(ROUNDS, first + ROUNDS_PER_PLAY); round += 1) {
          const moment = chance.pick(Object.keys(MOMENTS)) as Moment;
          const twice = chance.of(0.25);
          try {
            await oneRound(server, play, chance, moment, twice);
          } catch (error) {
            const kept = mkdtempSync(join(tmpdir(), 'civic-realtime-chaos-'));
            cpSync(folder, kept, { recursive: true });
            const what = `round ${round} (${moment}${twice ? ', killed twice' : ''}), SEED=${SEED}`;
            throw new Error(`${what}; the server's folder is kept in ${kept}`, { cause: error });
          }
          const name = twice ? `${moment}, twice` : moment;
          moments.set(name, (moments.get(name) ?? 0) + 1);
        }
        durable += play.durable;
      } finally {
        play.end();
      }
    }
    const slowest = Math.max(...server.startsMs).toFixed(0);
    const middle = server.startsMs.sort((a, b) => a - b)[server.startsMs.length >> 1]!.toFixed(0);
    console.log(
      `${ROUNDS} rounds (${[...moments].map(([name, count]) => `${name}: ${count}`).join('; ')}), ` +
        `${durable} durable words all there once; ready after ${middle} ms (median), ${slowest} ms (slowest)`,
    );
  },
);

async function oneRound(server: Server, play: Play, chance: Chance, moment: Moment, twice: boolean) {
  play.connect();
  await until(() => play.typists.every(({ client }) => client.isSynced));
  play.keepTyping();
  await MOMENTS[moment](play, chance);
  await server.kill();
  play.leave();
  play.checkFiles();
  if (twice) {
    server.begin();
    await sleep(chance.int(0, 400));
    await server.kill();
    play.checkFiles();
  }
  await server.start();
  await play.checkKept();
  await play.checkWritable();
  play.checkFiles();
}
