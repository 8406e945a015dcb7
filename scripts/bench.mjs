/**
 * Benchmarks, each beside something to compare with in the same run: `quick`, our engine and a bare WebSocket
 * relay; `markdown`, our converter and the editor's own packages.
 *
 * node scripts/bench.mjs quick [--clients 10,100,1000] [--rounds 3] [--idle 5000] [--only saturated,paced,idle]
 * node scripts/bench.mjs markdown
 */

import { answers, main, run, StepFailed } from './steps.mjs';

await main(([name, ...args]) => {
  if (name !== 'quick' && name !== 'markdown') throw new StepFailed('Name a benchmark: quick or markdown');
  if (!answers('cargo'))
    throw new StepFailed('The benchmarks are written in Rust, and cargo is not installed');
  // The bench profile inherits everything from release.
  run('cargo', ['bench', '--bench', name, '--', ...args]);
});
