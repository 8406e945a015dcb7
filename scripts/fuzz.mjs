/**
 * Fuzzes what peers send, each target for a while, under AddressSanitizer; a finding ends it with its file's path.
 *
 * npm run fuzz -- [target …] [--seconds 15] [--jobs 1] [--minimize]
 *
 * fuzz/corpus/<target>/ is where each run begins; what it discovers stays in target/fuzz/<target>/ and joins the
 * next run. `--minimize` replaces the kept corpus by the fewest inputs that reach as much.
 */

import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { ENV, FOLDER, TARGET } from './sanitized.mjs';
import { inRoot, main, run, say, step, StepFailed } from './steps.mjs';

const TARGETS = [
  ...readFileSync(inRoot('fuzz/Cargo.toml'), 'utf8').matchAll(/^path = "fuzz_targets\/(\w+)\.rs"$/gm),
].map(([, name]) => name);
/** The longest input that is tried, and the longest time and most memory one may take. */
const LIMITS = ['-max_len=4096', '-timeout=20', '-rss_limit_mb=2048'];
/** Longest input of a kept corpus: the repository is no place for more. */
const KEPT_BYTES_MAX = 512;

const program = (name) => join(FOLDER, TARGET, 'debug', name);

function folders(name) {
  const found = inRoot('target', 'fuzz', name);
  const artifacts = inRoot('target', 'fuzz', 'artifacts', name);
  const kept = inRoot('fuzz', 'corpus', name);
  for (const folder of [found, artifacts, kept]) mkdirSync(folder, { recursive: true });
  return { found, artifacts, kept };
}

function buildTargets(names) {
  // The same versions as the engine's; what only the fuzzer needs is added.
  copyFileSync(inRoot('Cargo.lock'), inRoot('fuzz', 'Cargo.lock'));
  const bins = names.flatMap((name) => ['--bin', name]);
  run('cargo', ['build', '--target', TARGET, ...bins], { cwd: inRoot('fuzz'), env: ENV });
}

/** Runs one target; resolves with how far it came, rejects if it found something. */
function fuzzOne(name, seconds) {
  const { found, artifacts, kept } = folders(name);
  const args = [...LIMITS, `-max_total_time=${seconds}`, `-artifact_prefix=${artifacts}/`, found, kept];
  return new Promise((resolve, reject) => {
    const child = spawn(program(name), args, { env: ENV, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (data) => (said = (said + data).slice(-64 * 1024)));
    child.on('error', (error) => reject(new StepFailed(`${name} cannot be started: ${error.message}`)));
    child.on('close', (code) => {
      if (code === 0) return resolve(/Done (\d+) runs/.exec(said)?.[1] ?? '?');
      process.stderr.write(`${said.split('\n').slice(-80).join('\n')}\n`);
      const file = /Test unit written to (\S+)/.exec(said)?.[1] ?? 'no file';
      reject(new StepFailed(`${name} FOUND SOMETHING: ${file}\n  again: ${program(name)} ${file}`));
    });
  });
}

async function minimize(name) {
  const { found, kept } = folders(name);
  const merged = `${kept}.merged`;
  rmSync(merged, { recursive: true, force: true });
  mkdirSync(merged);
  const args = ['-set_cover_merge=1', `-max_len=${KEPT_BYTES_MAX}`, merged, found, kept];
  run(program(name), args, { env: ENV, stdio: ['ignore', 'ignore', 'ignore'] });
  rmSync(kept, { recursive: true });
  renameSync(merged, kept);
  say(`${name}: ${readdirSync(kept).length} inputs kept`);
}

/** Runs these targets, `jobs` of them at a time; says all that is found. */
export async function fuzz({ names = TARGETS, seconds = 15, jobs = 1 } = {}) {
  await step('Building the fuzz targets', () => buildTargets(names));
  const waiting = [...names];
  const failed = [];
  const worker = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      try {
        say(`${name}: ${await fuzzOne(name, seconds)} inputs in ${seconds} s, nothing found`);
      } catch (error) {
        if (!(error instanceof StepFailed)) throw error;
        failed.push(error.message);
      }
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  if (failed.length > 0) throw new StepFailed(failed.join('\n'));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(async (args) => {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        seconds: { type: 'string', default: '15' },
        jobs: { type: 'string', default: '1' },
        minimize: { type: 'boolean' },
      },
    });
    const unknown = positionals.filter((name) => !TARGETS.includes(name));
    if (unknown.length > 0) throw new StepFailed(`The targets are ${TARGETS.join(', ')}`);
    const [seconds, jobs] = [values.seconds, values.jobs].map(Number);
    if (!(seconds > 0) || !(jobs > 0)) throw new StepFailed('--seconds and --jobs are numbers above 0');
    const names = positionals.length > 0 ? positionals : TARGETS;
    if (values.minimize) {
      await step('Building the fuzz targets', () => buildTargets(names));
      for (const name of names) if (existsSync(program(name))) await minimize(name);
      return;
    }
    await fuzz({ names, seconds, jobs });
  });
}
