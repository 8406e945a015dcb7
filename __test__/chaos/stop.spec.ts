/** SIGTERM: bounded, whatever one client does, and everybody is told. */

import type { Socket } from 'node:net';

import { expect, it } from 'vitest';

import { rawSocket, syncFrame } from '../clients/support.js';
import { Chance } from '../convergence/random.js';
import { temporaryFolder, until } from '../support.js';
import { Play } from './play.js';
import { Server, TOKEN } from './server.js';

it('a client that never answers does not hold up the end', async () => {
  const server = new Server(temporaryFolder(), { durability: 'power' });
  await server.start();
  const play = new Play(server, 0, new Chance(1));
  try {
    play.connect();
    await until(() => play.typists.every(({ client }) => client.isSynced));
    const stuck = rawSocket(server.port, 'notes/n0-0', TOKEN);
    await stuck.opened;
    stuck.socket.send(syncFrame('step1', Uint8Array.of(0)));
    await until(() => stuck.frames.some(({ kind }) => kind === 'step2'));
    // From now on it neither reads nor answers; what it is sent fills the kernel's buffers and its outbox.
    (stuck.socket as unknown as { _socket: Socket })._socket.pause();
    for (let paste = 0; paste < 40; paste += 1) play.typists[0]!.type(128 * 1024);
    play.keepTyping();
    await until(() => play.durable > 100);
    server.process.process.kill('SIGTERM');
    const { code, signal } = await server.process.ended;
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    for (const { client } of play.typists) {
      const told = [...client.closes.keys()].filter((close) => close === 4503 || close === 1001);
      expect(told.length, JSON.stringify([...client.closes])).toBeGreaterThan(0);
    }
    play.leave();
    play.checkFiles();
    await server.start();
    await play.checkKept();
    await play.checkWritable();
  } finally {
    play.end();
  }
});
