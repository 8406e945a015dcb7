/**
 * Everything: packages, build, lints, Rust tests, tests of the pages, addon tests, kill loops, hostile clients,
 * sanitizers, fuzzing, browser tests.
 *
 * node scripts/test.mjs [--profile dev|release|dist] [--only lint,crates,rust,…]
 */

import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
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

/** Lines of a failed step that are shown again at the end, where they are found. */
const LINES_AGAIN = 80;

/** Runs a step in a process of its own, shows what it prints, and resolves with whether it passed and its last lines. */
function runApart(name) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), '--step', name], {
      stdio: ['inherit', 'pipe', 'pipe'],
    });
    let tail = '';
    for (const [from, to] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ]) {
      from.setEncoding('utf8').on('data', (text) => {
        to.write(text);
        tail = (tail + text).split('\n').slice(-LINES_AGAIN).join('\n');
      });
    }
    child.on('error', reject);
    child.on('close', (code) => resolve({ passed: code === 0, tail }));
  });
}

async function runAll(names) {
  const since = Date.now();
  const passed = [];
  const failed = [];
  for (const name of names) {
    const { title, skip } = STEPS[name];
    if (skip?.()) continue;
    const result = await runApart(name);
    (result.passed ? passed : failed).push({ title, tail: result.tail });
  }
  const titles = (steps) => steps.map(({ title }) => title).join('; ');
  for (const { title, tail } of failed) process.stderr.write(`\n[realtime] The end of: ${title}\n${tail}\n`);
  if (failed.length > 0) throw new StepFailed(`FAILED after ${elapsed(since)}: ${titles(failed)}`);
  say(`ALL TESTS PASSED in ${elapsed(since)}: ${titles(passed)}`);
}

await main(async (args) => {
  const { values } = parseArgs({
    args,
    options: { profile: { type: 'string' }, only: { type: 'string' }, step: { type: 'string' } },
  });
  if (values.step) return step(STEPS[values.step].title, STEPS[values.step].work);
  const names = values.only?.split(',') ?? Object.keys(STEPS);
  const unknown = names.filter((name) => !Object.hasOwn(STEPS, name));
  if (unknown.length > 0) throw new StepFailed(`--only takes ${Object.keys(STEPS).join(', ')}`);
  await build(values.profile === undefined ? {} : { profile: values.profile });
  await runAll(names);
});
