/** Format, lints, documentation and types of both languages; says all that is wrong, not only the first. */

import { pathToFileURL } from 'node:url';

import { ensureDeps } from './deps.mjs';
import { main, run, runTool, say, step, StepFailed } from './steps.mjs';

const CHECKS = [
  ['Rust format', () => run('cargo', ['fmt', '--check'])],
  ['Clippy', () => run('cargo', ['clippy', '--all-targets', '--', '-D', 'warnings'])],
  [
    'Rust documentation',
    () => run('cargo', ['doc', '--no-deps'], { env: { ...process.env, RUSTDOCFLAGS: '-D warnings' } }),
  ],
  ['Types of the adapter', () => runTool('typescript', ['--noEmit', '-p', 'tsconfig.json'])],
  ['Types of the tests', () => runTool('typescript', ['--noEmit', '-p', '__test__'])],
  ['Types of the pages', () => runTool('typescript', ['--noEmit', '-p', 'web'])],
  ['Types of the browser tests', () => runTool('typescript', ['--noEmit', '-p', 'e2e'])],
  ['Format (prettier)', () => runTool('prettier', ['--check', '.'])],
];

export async function lint() {
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
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(async () => {
    await ensureDeps();
    await lint();
    say('Nothing to complain about.');
  });
}
