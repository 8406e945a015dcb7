import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

import { expect, it } from 'vitest';
import WebSocket from 'ws';

import {
  afterwards,
  connect,
  ENTRY,
  environment,
  LOOPBACK,
  makeServer,
  memoryHost,
  node,
  outcome,
  temporaryFolder,
} from './support.js';

/** A worker that starts a server, tells its port, and does `then`. */
function workerCode(folder: string, then: string): string {
  return `
    const { parentPort } = require('node:worker_threads');
    import(${JSON.stringify(ENTRY.href)}).then(async ({ RealtimeServer }) => {
      const server = new RealtimeServer({
        cwd: ${JSON.stringify(folder)},
        env: ${JSON.stringify(environment(folder))},
        config: ${JSON.stringify(LOOPBACK)},
      });
      const { port } = await server.initialize();
      parentPort.postMessage(port);
      ${then}
    });`;
}

async function startWorker(then: string) {
  const worker = new Worker(workerCode(temporaryFolder(), then), { eval: true });
  const ended = new Promise<number>((resolve, reject) => worker.on('exit', resolve).on('error', reject));
  const port = await new Promise<number>((resolve, reject) =>
    worker.on('message', resolve).on('error', reject),
  );
  return { worker, ended, port };
}

/** What a connection for events hears first. */
async function greeted(port: number): Promise<unknown> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/`);
  afterwards(() => socket.terminate());
  // Its worker may be terminated under it.
  socket.on('error', () => {});
  const [text] = await once(socket, 'message');
  return JSON.parse(String(text));
}

it('serves from a worker thread, beside one on the main thread', async () => {
  const main = makeServer({ host: memoryHost().host });
  const { port } = await main.initialize();
  const {
    worker,
    ended,
    port: ofWorker,
  } = await startWorker(`parentPort.on('message', () => server.shutdown().then(() => process.exit(0)));`);
  expect(await outcome(connect(port!, 'records:a', 'editor'))).toBe('synced');
  expect(await greeted(port!)).toMatchObject({ type: 'connect' });
  expect(await greeted(ofWorker)).toMatchObject({ type: 'connect' });
  worker.postMessage('stop');
  expect(await ended).toBe(0);
  expect(main.getHealthStatus().status).toBe('healthy');
});

it('survives the termination of a worker that serves', async () => {
  for (let round = 0; round < 3; round += 1) {
    const { worker, ended, port } = await startWorker('');
    expect(await greeted(port)).toMatchObject({ type: 'connect' });
    await worker.terminate();
    expect(await ended).toBe(1);
  }
});

it('frees the store when a worker is terminated', async () => {
  const folder = temporaryFolder();
  const worker = new Worker(workerCode(folder, ''), { eval: true });
  await new Promise((resolve) => worker.on('message', resolve));
  await worker.terminate();
  const server = makeServer({ cwd: folder });
  expect((await server.initialize()).port).toBeGreaterThan(0);
});

it('lets a process end whose workers served', async () => {
  const folder = temporaryFolder();
  const code = `
    const { Worker } = require('node:worker_threads');
    const worker = new Worker(${JSON.stringify(workerCode(join(folder, 'w'), 'server.shutdown();'))}, { eval: true });
    worker.on('exit', (code) => console.log('worker', code));`;
  const child = node(['-e', code], { cwd: folder });
  expect(await child.ended).toMatchObject({ code: 0, stdout: 'worker 0\n' });
});
