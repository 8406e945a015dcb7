/**
 * Everything: packages, build, Rust tests, types, addon tests, browser tests.
 *
 * node scripts/test.mjs [--profile dev|release|dist] [--only rust,types,addon,e2e]
 */

import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { build } from './build.mjs';
import { ensureChromium } from './chromium.mjs';
import { answers, elapsed, inRoot, main, run, runTool, say, step, StepFailed } from './steps.mjs';

function rustTests() {
  if (!answers('cargo', ['nextest', '--version'])) return run('cargo', ['test', '--lib', '--tests']);
  return run('cargo', ['nextest', 'run', '--lib', '--tests']);
}

const STEPS = {
  rust: { title: 'Rust tests', work: rustTests },
  types: {
    title: 'Type tests',
    work: () => ['__test__', 'e2e'].forEach((tests) => runTool('typescript', ['--noEmit', '-p', tests])),
  },
  addon: { title: 'Addon tests (real addon, real clients)', work: () => runTool('vitest', ['run']) },
  e2e: {
    title: 'Browser tests',
    skip: () => !existsSync(inRoot('e2e/run.mjs')),
    work: () =>
      run(process.execPath, ['e2e/run.mjs'], {
        env: { ...process.env, CHROMIUM_PATH: ensureChromium() },
      }),
  },
};

await main(async (args) => {
  const { values } = parseArgs({
    args,
    options: { profile: { type: 'string' }, only: { type: 'string' } },
  });
  const names = values.only?.split(',') ?? Object.keys(STEPS);
  const unknown = names.filter((name) => !Object.hasOwn(STEPS, name));
  if (unknown.length > 0) throw new StepFailed(`--only takes ${Object.keys(STEPS).join(', ')}`);

  const since = Date.now();
  await build(values.profile === undefined ? {} : { profile: values.profile });
  const failed = [];
  const passed = [];
  for (const { title, skip, work } of names.map((name) => STEPS[name])) {
    if (skip?.()) continue;
    try {
      await step(title, work);
      passed.push(title);
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error;
      process.stderr.write(`[realtime] ${error.message}\n`);
      failed.push(title);
    }
  }
  if (failed.length > 0) throw new StepFailed(`FAILED after ${elapsed(since)}: ${failed.join('; ')}`);
  say(`ALL TESTS PASSED in ${elapsed(since)}: ${passed.join('; ')}`);
});
