/**
 * What rooms of events cost, beside `ws` and `socket.io` from npm, in one run.
 *
 * node scripts/bench-events.mjs [base] [idle] [fanout] [burst] [messages] [jitter] [paced] [enqueue]
 */

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';

import { answers, inRoot, main, run, StepFailed } from './steps.mjs';

const PEERS = { 'socket.io': '4.8.1', ws: '8.18.3' };

await main((args) => {
  if (!answers('cargo')) throw new StepFailed('The load test is written in Rust, and cargo is not installed');
  const folder = inRoot('target', 'bench-peers');
  if (!existsSync(`${folder}/node_modules/socket.io`)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/package.json`, JSON.stringify({ private: true, dependencies: PEERS }));
    run('npm', ['install', '--no-audit', '--no-fund', '--prefix', folder]);
  }
  if (args.length === 0 || args.includes('enqueue')) {
    if (!existsSync(inRoot('dist', 'adapter', 'index.js'))) throw new StepFailed('npm run build comes first');
    run('node', [inRoot('benches', 'events', 'enqueue.mjs')]);
    if (args.length === 1) return;
  }
  run('cargo', ['bench', '--bench', 'events', '--', ...args], {
    env: { ...process.env, BENCH_PEERS: folder },
  });
});
