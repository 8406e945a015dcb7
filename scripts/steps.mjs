/** Shared by the scripts. Node built-ins only: they run before anything is installed. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/[/\\]$/, '');

/** A step failed; its own output already said why. */
export class StepFailed extends Error {}

export function inRoot(...parts) {
  return join(ROOT, ...parts);
}

export function say(text) {
  process.stdout.write(`[realtime] ${text}\n`);
}

export function elapsed(since) {
  const seconds = (Date.now() - since) / 1000;
  return seconds < 60
    ? `${seconds.toFixed(1)} s`
    : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** Says what begins, does it, says how long it took. */
export async function step(name, work) {
  const since = Date.now();
  say(`${name} …`);
  try {
    const result = await work();
    say(`${name}: done in ${elapsed(since)}`);
    return result;
  } catch (error) {
    say(`${name}: FAILED after ${elapsed(since)}`);
    throw error;
  }
}

/** Runs a program in the project's folder with its output shown. */
export function run(program, args, options = {}) {
  const shell = process.platform === 'win32' && !program.endsWith('.exe');
  const { status, signal, error } = spawnSync(program, args, {
    cwd: ROOT,
    stdio: 'inherit',
    shell,
    ...options,
  });
  if (error) throw new StepFailed(`${program} cannot be started: ${error.message}`);
  if (status !== 0) throw new StepFailed(`${program} ${args.join(' ')} ended with ${signal ?? status}`);
}

/** Whether a program is there and answers. */
export function answers(program, args = ['--version']) {
  return spawnSync(program, args, { cwd: ROOT, stdio: 'ignore' }).status === 0;
}

/** Runs a tool that npm installed, without npm. */
export function runTool(packageName, args, options) {
  const folder = inRoot('node_modules', ...packageName.split('/'));
  const { bin, name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const short = name.split('/').pop();
  const entry = typeof bin === 'string' ? bin : (bin[short] ?? Object.values(bin)[0]);
  run(process.execPath, [join(folder, entry), ...args], options);
}

function filesBelow(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true })
    .filter(({ name }) => name !== 'node_modules' && !name.startsWith('.'))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(({ name }) => filesBelow(join(path, name)));
}

/** One hash over the contents of files and folders: times change with every checkout. */
export function hashOf(paths) {
  const hash = createHash('sha256');
  for (const file of paths.flatMap((path) => filesBelow(inRoot(path)))) {
    hash
      .update(`${file.slice(ROOT.length)}\0`)
      .update(readFileSync(file))
      .update('\0');
  }
  return hash.digest('hex');
}

/** What a build step left behind about itself, or an empty object. */
export function readStamp(name) {
  try {
    return JSON.parse(readFileSync(inRoot('dist', `.${name}.json`), 'utf8'));
  } catch {
    return {};
  }
}

export function writeStamp(name, stamp) {
  const file = inRoot('dist', `.${name}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify(stamp));
}

/** Runs a script's main function; a failed step ends it with one line instead of a stack. */
export async function main(work) {
  try {
    await work(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    process.stderr.write(`[realtime] ${error.message}\n`);
    process.exitCode = 1;
  }
}
