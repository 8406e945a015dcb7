/** Sessions over a server that is killed in the middle, without any farewell, and started again. */

import { setTimeout as sleep } from 'node:timers/promises';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { it } from 'vitest';

import { jwt, openHost, ROOMY } from '../clients/support.js';
import { CLI, environment, makeServer, node, temporaryFolder, until } from '../support.js';
import { Chance } from './random.js';
import { begin, end, settle, verify, type Place } from './session.js';

const SESSIONS = Number(process.env['KILL_SESSIONS'] ?? 60);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1_000_000_000));
const AT_ONCE = 30;
const KILLS = 2;
const SECRET = 'a secret of a test, long enough to be accepted by all';

it(`${SESSIONS} sessions survive kills of the server (SEED=${SEED})`, { timeout: 600_000 }, async () => {
  const cwd = temporaryFolder();
  const file = join(cwd, 'realtime.json');
  const start = async (port: number) => {
    const auth = { jwt: { secret: SECRET } };
    writeFileSync(file, JSON.stringify({ ...ROOMY, host: '127.0.0.1', port, auth }));
    const child = node([CLI, 'start', '--config', file], { cwd, env: environment(cwd) });
    const banner = await child.printed('Ctrl+C');
    return { child, port: Number(/http:\/\/127\.0\.0\.1:(\d+)\//.exec(banner)![1]) };
  };
  let { child, port } = await start(0);
  const token = jwt(SECRET, { sub: 'ada', name: 'Ada', role: 'editor' });
  const place: Place = {
    url: (room) => `ws://127.0.0.1:${port}/realtime/notes/${room}`,
    token,
    exportLog: async () => [],
  };
  for (let first = 0; first < SESSIONS; first += AT_ONCE) {
    const chance = new Chance(SEED + first);
    const sessions = Array.from({ length: Math.min(AT_ONCE, SESSIONS - first) }, (_, index) =>
      begin(SEED + first + index, place, 60),
    );
    try {
      const kills = async (): Promise<void> => {
        for (let kill = 0; kill < KILLS; kill += 1) {
          await sleep(chance.int(150, 500));
          child.process.kill('SIGKILL');
          await child.ended;
          ({ child } = await start(port));
        }
      };
      await Promise.all([kills(), ...sessions.map(({ typed }) => typed)]);
      await Promise.all(sessions.map(settle));
      // Once more, with everything on disk and nobody typing: the next server has it all by itself.
      child.process.kill('SIGTERM');
      await child.ended;
      for (const { clients } of sessions) for (const client of clients) client.leave();
      const server = makeServer({ cwd, env: environment(cwd), host: openHost(), config: { ...ROOMY } });
      const reader = (await server.initialize()).port!;
      await Promise.all(
        sessions.map((session) =>
          verify(session, {
            url: (room) => `ws://127.0.0.1:${reader}/realtime/notes/${room}`,
            exportLog: (room) => server.exportLog(`notes:${room}`),
          }),
        ),
      );
      await server.shutdown();
    } finally {
      sessions.forEach(end);
    }
    ({ child, port } = await start(port));
  }
  child.process.kill('SIGTERM');
  await until(() => child.process.exitCode !== null);
});
