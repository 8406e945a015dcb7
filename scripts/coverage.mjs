/**
 * Line coverage of both languages: Rust from cargo's tests, the addon's and the browser's; TypeScript from the
 * latter two. Fails under 80 %.
 *
 * node scripts/coverage.mjs [--only rust,addon,e2e]
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { build } from './build.mjs';
import { ensureChromium } from './chromium.mjs';
import { inRoot, main, run, runTool, say, step, StepFailed } from './steps.mjs';

const PERCENT_MIN = 80;
const FOLDER = inRoot('target', 'coverage');
const RAW = join(FOLDER, 'profraw');
const V8 = join(FOLDER, 'v8');
const MERGED = join(FOLDER, 'merged.profdata');
/** Other crates, generated code, and tests, which would all count as covered. */
const NOT_OURS = '(/registry/|/rustc/|/target/|/tests/|/tests\\.rs$|build\\.rs$)';
const ENV = {
  ...process.env,
  CARGO_TARGET_DIR: FOLDER,
  RUSTC_WORKSPACE_WRAPPER: inRoot('scripts', 'instrumented-rustc'),
  LLVM_PROFILE_FILE: join(RAW, '%p-%m.profraw'),
};
/** Where the runs below leave their traces. Children of the tests are given both. */
const TRACED = { ...process.env, LLVM_PROFILE_FILE: ENV.LLVM_PROFILE_FILE, NODE_V8_COVERAGE: V8 };

/** What a program says, with the rest of its output shown. */
function answerOf(program, args, env = process.env) {
  const { status, stdout, error } = spawnSync(program, args, {
    cwd: inRoot(),
    env,
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (error) throw new StepFailed(`${program} cannot be started: ${error.message}`);
  if (status !== 0) throw new StepFailed(`${program} ${args.join(' ')} ended with ${status}`);
  return stdout;
}

function llvmTool(name) {
  const libraries = join(answerOf('rustc', ['--print', 'sysroot']).trim(), 'lib', 'rustlib');
  const found = readdirSync(libraries)
    .map((target) => join(libraries, target, 'bin', name))
    .find((file) => existsSync(file));
  if (!found) throw new StepFailed(`${name} IS MISSING. Install it: rustup component add llvm-tools`);
  return found;
}

/** Builds the test programs; returns their paths. */
function testPrograms() {
  const args = ['test', '--lib', '--tests', '--no-run', '--message-format=json-render-diagnostics'];
  return answerOf('cargo', args, ENV)
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter(({ profile, executable }) => profile?.test && executable)
    .map(({ executable }) => executable);
}

const addons = () => readdirSync(inRoot()).filter((name) => name.endsWith('.node'));

/** The next build makes everything anew: what stands there now is instrumented. */
function forgetBuild() {
  for (const name of addons()) rmSync(inRoot(name));
  for (const name of ['addon', 'adapter']) rmSync(inRoot('dist', `.${name}.json`), { force: true });
}

async function buildInstrumented() {
  await build({ profile: 'dev' });
  forgetBuild();
  await step('Building the instrumented addon', () =>
    runTool(
      '@napi-rs/cli',
      ['build', '--platform', '--no-js', '--dts', join('target', 'coverage', 'unused.d.ts')],
      {
        env: ENV,
      },
    ),
  );
  await step('Building the adapter with source maps', () =>
    runTool('typescript', ['-p', 'tsconfig.json', '--sourceMap']),
  );
}

const RUNS = {
  rust: () => run('cargo', ['test', '--lib', '--tests'], { env: ENV }),
  addon: () => runTool('vitest', ['run'], { env: TRACED }),
  e2e: () => {
    if (!existsSync(inRoot('e2e/run.mjs'))) return say('There are no browser tests.');
    run(process.execPath, ['e2e/run.mjs'], { env: { ...TRACED, CHROMIUM_PATH: ensureChromium() } });
  },
};

function rustPercent(programs) {
  const raw = readdirSync(RAW).map((name) => join(RAW, name));
  const list = join(FOLDER, 'profraw.txt');
  writeFileSync(list, `${raw.join('\n')}\n`);
  // A process that was killed in the middle of its last words leaves half a file.
  run(llvmTool('llvm-profdata'), ['merge', '--sparse', '--failure-mode=all', '-o', MERGED, '-f', list]);
  const [first, ...others] = [...programs, ...addons().map((name) => inRoot(name))];
  const objects = [first, ...others.flatMap((object) => ['--object', object])];
  const args = [`--instr-profile=${MERGED}`, `--ignore-filename-regex=${NOT_OURS}`, ...objects];
  const tool = llvmTool('llvm-cov');
  const [{ files, totals }] = JSON.parse(answerOf(tool, ['export', '--summary-only', ...args])).data;
  const rows = files
    .map(({ filename, summary }) => [summary.lines.percent, filename.slice(inRoot().length + 1)])
    .sort(([a], [b]) => a - b);
  for (const [percent, file] of rows.slice(0, 10)) say(`  ${percent.toFixed(1).padStart(5)} %  ${file}`);
  return totals.lines.percent;
}

function typescriptPercent() {
  const where = ['--temp-directory', V8, '--reports-dir', join(FOLDER, 'typescript')];
  const what = ['--all', '--src', 'adapter', '--include', 'adapter/**', '--exclude-after-remap'];
  runTool('c8', ['report', ...where, ...what, '--reporter', 'text', '--reporter', 'json-summary']);
  const summary = JSON.parse(readFileSync(join(FOLDER, 'typescript', 'coverage-summary.json'), 'utf8'));
  return summary.total.lines.pct;
}

await main(async (args) => {
  const { values } = parseArgs({ args, options: { only: { type: 'string' } } });
  const names = values.only?.split(',') ?? Object.keys(RUNS);
  const unknown = names.filter((name) => !Object.hasOwn(RUNS, name));
  if (unknown.length > 0) throw new StepFailed(`--only takes ${Object.keys(RUNS).join(', ')}`);
  const withNode = names.some((name) => name !== 'rust');
  for (const tool of ['llvm-profdata', 'llvm-cov']) llvmTool(tool);
  for (const folder of [RAW, V8]) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
  }
  try {
    if (withNode) await buildInstrumented();
    const programs = await step('Building the instrumented tests', testPrograms);
    for (const name of names) await step(`Running ${name}`, RUNS[name]);
    const percents = { Rust: rustPercent(programs) };
    if (withNode) percents.TypeScript = typescriptPercent();
    for (const [language, percent] of Object.entries(percents)) {
      say(`${language}: ${percent.toFixed(1)} % of lines`);
    }
    const low = Object.keys(percents).filter((language) => percents[language] < PERCENT_MIN);
    if (low.length > 0) throw new StepFailed(`COVERAGE UNDER ${PERCENT_MIN} %: ${low.join(', ')}`);
  } finally {
    if (withNode) forgetBuild();
  }
});
