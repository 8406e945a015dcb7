/**
 * Everything: packages, build, lints, Rust tests, tests of the pages, addon tests, kill loops, hostile clients,
 * sanitizers, fuzzing, browser tests.
 *
 * node scripts/test.mjs [--profile dev|release|dist] [--only lint,crates,rust,…]
 */

import { existsSync, readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { asan } from './asan.mjs';
import { build } from './build.mjs';
import { ensureChromium } from './chromium.mjs';
import { deny } from './deny.mjs';
import { fuzz } from './fuzz.mjs';
import { lint } from './lint.mjs';
import { answers, elapsed, inRoot, main, run, runTool, say, step, StepFailed } from './steps.mjs';

function rustTests() {
  if (!answers('cargo', ['nextest', '--version'])) return run('cargo', ['test', '--lib', '--tests']);
  return run('cargo', ['nextest', 'run', '--lib', '--tests']);
}

function pagesTests() {
  const files = readdirSync(inRoot('web/test')).filter((name) => name.endsWith('.test.mjs'));
  run(process.execPath, ['--test', ...files.map((name) => inRoot('web/test', name))]);
}

const STEPS = {
  lint: { title: 'Format, lints, types', work: lint },
  crates: {
    title: 'Licences, sources and versions of crates',
    work: () => {
      run(process.execPath, ['--test', inRoot('scripts', 'deny.test.mjs')]);
      deny();
    },
  },
  rust: { title: 'Rust tests', work: rustTests },
  pages: { title: 'Tests of the pages', work: pagesTests },
  addon: {
    title: 'Addon tests',
    work: () => runTool('vitest', ['run', '--exclude', '__test__/{clients,convergence,chaos,hostile}/**']),
  },
  clients: {
    title: 'Tests with stock yjs clients',
    work: () => runTool('vitest', ['run', '__test__/clients']),
  },
  convergence: {
    title: 'Convergence of thousands of sessions',
    work: () => runTool('vitest', ['run', '__test__/convergence']),
  },
  chaos: {
    title: 'Kill loops',
    work: () => runTool('vitest', ['run', '__test__/chaos']),
  },
  hostile: {
    title: 'Hostile clients',
    work: () => runTool('vitest', ['run', '__test__/hostile']),
  },
  asan: { title: 'Hostile bytes under AddressSanitizer and in release', work: () => asan() },
  fuzz: { title: 'Fuzzing, briefly', work: () => fuzz() },
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
