/** Format, lints and types of both languages; says all that is wrong, not only the first. */

import { ensureDeps } from './deps.mjs';
import { main, run, runTool, say, step, StepFailed } from './steps.mjs';

const CHECKS = [
  ['Rust format', () => run('cargo', ['fmt', '--check'])],
  ['Clippy', () => run('cargo', ['clippy', '--all-targets', '--', '-D', 'warnings'])],
  ['Types of the adapter', () => runTool('typescript', ['--noEmit', '-p', 'tsconfig.json'])],
  ['Types of the tests', () => runTool('typescript', ['--noEmit', '-p', '__test__'])],
  ['Types of the browser tests', () => runTool('typescript', ['--noEmit', '-p', 'e2e'])],
  ['Format (prettier)', () => runTool('prettier', ['--check', '.'])],
];

await main(async () => {
  await ensureDeps();
  const failed = [];
  for (const [title, work] of CHECKS) {
    try {
      await step(title, work);
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error;
      failed.push(title);
    }
  }
  if (failed.length > 0) throw new StepFailed(`FAILED: ${failed.join('; ')}`);
  say('Nothing to complain about.');
});
