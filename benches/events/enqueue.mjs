/**
 * How long the host is held up when it says something: each call of a row of them, while a thousand clients in
 * another process hear all of it. Run by `npm run bench:events`, against the package as it was built last.
 */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const { WebSocket } = createRequire(import.meta.url)('ws');
const MEMBERS = 1000;
const CALLS = 5000;

if (process.argv[2] === '--members') await members(process.argv[3]);
else await measure();

/** Clients that join and count. */
async function members(url) {
  let heard = 0;
  for (let member = 0; member < MEMBERS; member += 1) {
    await new Promise((joined) => {
      const socket = new WebSocket(url);
      socket.on('close', () => process.exit(1));
      socket.on('open', () => socket.send('{"type":"join","room":"public:r","ack":"in"}'));
      socket.on('message', (text) => {
        if (text.includes('"type":"emit"')) heard += 1;
        else if (text.includes('"joined"')) joined();
      });
    });
  }
  process.stdout.write('in\n');
  process.stdin.on('data', () => process.stdout.write(`${heard}\n`));
}

async function measure() {
  const { RealtimeServer } = await import('../../dist/adapter/index.js');
  const folder = mkdtempSync(join(tmpdir(), 'bench-enqueue-'));
  const host = {
    authenticate: async () => null,
    authorize: async () => null,
    loadRecord: async () => null,
    saveRecord: async () => ({ saved: false, text: '' }),
    emitHook: () => {},
  };
  const server = new RealtimeServer({
    host,
    cwd: folder,
    env: { CIVIC_DATA_DIR: folder, CIVIC_SYSTEM_DATA_DIR: folder, LOG_LEVEL: 'error' },
    config: {
      host: '127.0.0.1',
      port: 0,
      rate_limiting: { connections_per_ip: 10_000, connections_per_user: 10_000 },
      limits: { max_connections: 10_000 },
    },
  });
  const { port } = await server.initialize();
  const clients = spawn(process.execPath, [
    fileURLToPath(import.meta.url),
    '--members',
    `ws://127.0.0.1:${port}/socket.io/`,
  ]);
  clients.stderr.pipe(process.stderr);
  const answer = () =>
    new Promise((told) => clients.stdout.once('data', (data) => told(String(data).trim())));
  await answer();

  const data = { id: 7, filler: 'x'.repeat(80) };
  let due = 0;
  let heard = 0;
  for (const [name, members, say] of [
    ['emitToRoom', MEMBERS, () => server.events.emitToRoom('public:r', 'e', data)],
    ['emitToAll', MEMBERS, () => server.events.emitToAll('e', data)],
    ['emitCollectionChange', 0, () => server.events.emitCollectionChange('todos', 'updated', data)],
  ]) {
    const micros = [];
    let said = 0;
    due += CALLS * members;
    for (let call = 0; call < CALLS; call += 1) {
      const began = process.hrtime.bigint();
      if (say()) said += 1;
      micros.push(Number(process.hrtime.bigint() - began) / 1000);
      // The host's own work goes on between them.
      if (call % 10 === 9) await new Promise((later) => setTimeout(later, 1));
    }
    for (heard = -1; heard < due;) {
      clients.stdin.write('?');
      heard = Number(await answer());
    }
    micros.sort((a, b) => a - b);
    const at = (share) => micros[Math.ceil(CALLS * share) - 1].toFixed(1);
    const slow = micros.filter((time) => time >= 1000).length;
    console.log(
      `${name}: ${said} of ${CALLS} said, heard by ${members} each; the caller was held up p50 ${at(0.5)} us, ` +
        `p99 ${at(0.99)} us, at most ${at(1)} us, ${slow} times for 1 ms or more`,
    );
  }
  clients.kill();
  await server.shutdown();
  rmSync(folder, { recursive: true, force: true });
}
