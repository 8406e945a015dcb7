/**
 * The quick load test: our engine against a bare WebSocket relay, in one run.
 *
 * node scripts/bench.mjs [--clients 10,100,1000] [--rounds 3] [--idle 5000] [--only saturated,paced,idle]
 */

import { answers, main, run, StepFailed } from './steps.mjs';

await main((args) => {
  if (!answers('cargo')) throw new StepFailed('The load test is written in Rust, and cargo is not installed');
  // The bench profile inherits everything from release.
  run('cargo', ['bench', '--bench', 'quick', '--', ...args]);
});
