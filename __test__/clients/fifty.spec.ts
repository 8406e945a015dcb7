/** Fifty people type in one room for a minute (FIFTY_SECONDS), again and again; the server gives the memory back. */

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

import { afterwards, CLI, environment, node, temporaryFolder, until } from '../support.js';
import { jwt } from './support.js';

const SECONDS = Number(process.env['FIFTY_SECONDS'] ?? 60);
const EDITS_PER_SECOND = 2;
const PROCESSES = 2;
const PEOPLE = 25;
const SECRET = 'a secret of a test, long enough to be accepted by all';
const MIB = 1024 * 1024;

/** A server of its own process, as an operator starts it. */
async function startServer() {
  const folder = temporaryFolder();
  const file = join(folder, 'realtime.json');
  writeFileSync(
    file,
    JSON.stringify({
      host: '127.0.0.1',
      port: 0,
      rooms: { open_types: ['notes'], grace_period_ms: 200 },
      rate_limiting: { connections_per_user: 1000, connections_per_ip: 1000 },
      auth: { jwt: { secret: SECRET } },
    }),
  );
  const child = node([CLI, 'start', '--config', file], { cwd: folder, env: environment(folder) });
  const banner = await child.printed('Ctrl+C');
  const port = Number(/http:\/\/127\.0\.0\.1:(\d+)\//.exec(banner)![1]);
  const health = async () =>
    (await (await fetch(`http://127.0.0.1:${port}/health`)).json()) as {
      connections: { total: number };
      rooms: { total: number };
    };
  return { child, port, health };
}

/** Resident memory of a process, in bytes. */
function residentBytes(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return Number(kib) * 1024;
}

async function answer<T>(child: ChildProcess): Promise<T> {
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`people left early (${code})`);
  });
  return (await Promise.race([once(child, 'message'), ended]))[0] as T;
}

/** One round: all join, type, agree and leave. */
async function round(port: number, room: string): Promise<void> {
  const crowds = Array.from({ length: PROCESSES }, () => {
    const task = {
      url: `ws://127.0.0.1:${port}/realtime/notes`,
      room,
      token: jwt(SECRET, { sub: 'ada', name: 'Ada', role: 'editor' }),
      count: PEOPLE,
      seconds: SECONDS,
      editsPerSecond: EDITS_PER_SECOND,
    };
    const crowd = fork(fileURLToPath(new URL('./crowd.mjs', import.meta.url)), [JSON.stringify(task)], {
      execArgv: [],
      // yjs clients print what they do not know.
      silent: true,
    });
    crowd.stdout?.resume();
    crowd.stderr?.resume();
    afterwards(() => crowd.kill('SIGKILL'));
    return crowd;
  });
  const all = async <T>(message?: object): Promise<T[]> => {
    const answers = crowds.map((crowd) => answer<T>(crowd));
    if (message) for (const crowd of crowds) crowd.send(message);
    return await Promise.all(answers);
  };
  await all();
  const typed = (await all<{ typed: [string, number][] }>({ do: 'type' })).flatMap(({ typed }) => typed);
  expect(typed).toHaveLength(PROCESSES * PEOPLE);
  const edits = typed.reduce((sum, [, count]) => sum + count, 0);
  expect(edits).toBeGreaterThan(PROCESSES * PEOPLE * SECONDS * EDITS_PER_SECOND * 0.5);
  const told = await all<{ states: [string, string][]; closes: string[] }>({
    do: 'compare',
    typed: Object.fromEntries(typed),
  });
  const states = told.flatMap(({ states }) => states.map((state) => state.join(' ')));
  expect(states).toHaveLength(PROCESSES * PEOPLE);
  expect(new Set(states).size).toBe(1);
  // Honest typing is never cut.
  expect(told.flatMap(({ closes }) => closes)).toEqual([]);
  const left = crowds.map((crowd) => once(crowd, 'exit'));
  for (const crowd of crowds) crowd.send({ do: 'leave' });
  await Promise.all(left);
}

it(
  'a room of fifty converges, and leaves nothing behind',
  { timeout: 180_000 + SECONDS * 10_000 },
  async () => {
    const { child, port, health } = await startServer();
    const pid = child.process.pid!;
    const evicted = async (): Promise<number> => {
      await until(async () => {
        const { connections, rooms } = await health();
        return connections.total === 0 && rooms.total === 0;
      });
      return residentBytes(pid);
    };
    const sizes = [residentBytes(pid)];
    const play = async (): Promise<void> => {
      await round(port, `round-${sizes.length}`);
      sizes.push(await evicted());
    };
    await play();
    await play();
    // How much the allocator keeps depends on how far the server lagged; what is leaked grows with each round.
    const grows = (): boolean => sizes.at(-1)! > Math.max(sizes.at(-2)! * 1.2, sizes.at(-2)! + 16 * MIB);
    while (grows() && sizes.length < 5) await play();
    console.log(
      `server memory, MiB, at its start and after each round: ${sizes.map((size) => (size / MIB).toFixed(1)).join(', ')}`,
    );
    expect(grows()).toBe(false);
    child.process.kill('SIGTERM');
    expect((await child.ended).code).toBe(0);
  },
);
