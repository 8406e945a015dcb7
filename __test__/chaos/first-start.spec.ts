/** SIGKILL while everything is made for the first time: folders, database, tables, lock. */

import { setTimeout as sleep } from 'node:timers/promises';

import { it } from 'vitest';

import { Chance } from '../convergence/random.js';
import { temporaryFolder } from '../support.js';
import { Play } from './play.js';
import { Server } from './server.js';

const TRIES = Math.ceil(Number(process.env['ROUNDS'] ?? 40) / 4);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1_000_000_000));
const DURABILITY = process.env['DURABILITY'] ?? 'power';

it(`${TRIES} first starts that are killed (SEED=${SEED})`, { timeout: 60_000 + TRIES * 30_000 }, async () => {
  const chance = new Chance(SEED);
  for (let number = 0; number < TRIES; number += 1) {
    const server = new Server(temporaryFolder(), { durability: DURABILITY });
    for (let kills = chance.int(1, 3); kills > 0; kills -= 1) {
      server.begin();
      await sleep(chance.int(50, 450));
      await server.kill();
    }
    await server.start();
    const play = new Play(server, number, chance, 1, 1);
    try {
      await play.checkWritable();
    } finally {
      play.end();
    }
    await server.kill();
  }
});
