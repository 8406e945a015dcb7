/** With the host's event loop blocked, edits still flow between people. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { expect, it } from 'vitest';

import { afterwards, until } from '../support.js';
import { openServer } from './support.js';

const BLOCK_MS = 2000;
const BLOCKED = 0;

it('edits flow while JavaScript stands still', async () => {
  const { port, server } = await openServer();
  // One flag and one counter for each of the two.
  const shared = new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT);
  const view = new Int32Array(shared);
  const workers = ['ada', 'bo'].map((name, index) => {
    const worker = new Worker(new URL('./typist.mjs', import.meta.url), {
      workerData: {
        url: `ws://127.0.0.1:${port}/realtime/notes`,
        room: 'a',
        token: `editor.${name}`,
        name,
        shared,
        slot: index + 1,
      },
    });
    afterwards(() => worker.terminate());
    return worker;
  });
  await Promise.all(workers.map((worker) => once(worker, 'message')));

  Atomics.store(view, BLOCKED, 1);
  const end = performance.now() + BLOCK_MS;
  while (performance.now() < end);
  Atomics.store(view, BLOCKED, 0);
  const [toAda, toBo] = [Atomics.load(view, 1), Atomics.load(view, 2)];

  expect(toAda).toBeGreaterThanOrEqual(50);
  expect(toBo).toBeGreaterThanOrEqual(50);

  // And nothing was lost for it.
  type Edit = { from: string; number: number };
  const ask = async <T>(worker: Worker, question: string): Promise<T> => {
    const answer = once(worker, 'message');
    worker.postMessage(question);
    return (await answer)[0] as T;
  };
  const typed = await Promise.all(workers.map((worker) => ask<{ typed: number }>(worker, 'stop')));
  const total = typed.reduce((sum, { typed }) => sum + typed, 0);
  let edits: Edit[][] = [];
  await until(async () => {
    const told = await Promise.all(workers.map((worker) => ask<{ edits: Edit[] }>(worker, 'tell')));
    edits = told.map(({ edits }) => edits);
    return edits.every(({ length }) => length === total);
  });
  expect(edits[0]).toEqual(edits[1]);
  for (const [index, name] of ['ada', 'bo'].entries()) {
    const numbers = edits[0]!.filter(({ from }) => from === name).map(({ number }) => number);
    expect(numbers).toEqual(Array.from({ length: typed[index]!.typed }, (_, at) => at + 1));
  }
  for (const worker of workers) worker.postMessage('leave');
  await until(() => server.getHealthStatus().connections.total === 0);
});
