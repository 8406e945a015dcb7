/**
 * Builds what is not up to date: the addon (cargo), the adapter (tsc), the pages (web/build.mjs).
 *
 * node scripts/build.mjs [--profile dev|release|dist] [--force]
 */

import { existsSync, readdirSync, rmSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { ensureDeps } from './deps.mjs';
import {
  answers,
  hashOf,
  inRoot,
  main,
  readStamp,
  run,
  runTool,
  say,
  step,
  StepFailed,
  writeStamp,
} from './steps.mjs';

/** From quick to build to quick to run; a better build than the one asked for is good enough. */
const PROFILES = ['dev', 'release', 'dist'];
const PROFILE_ARGS = { dev: [], release: ['--release'], dist: ['--profile', 'dist'] };
const ADDON_SOURCES = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'src', '.cargo'];
const ADAPTER_SOURCES = [
  'adapter',
  'index.d.ts',
  'civicpress.d.ts',
  'cli.d.ts',
  'client.d.ts',
  'binding.d.ts',
  'tsconfig.json',
];
const PAGES_SOURCES = ['web', 'adapter/client', 'package-lock.json'];

function addonIsThere() {
  return readdirSync(inRoot()).some((name) => name.endsWith('.node'));
}

async function buildAddon(profile, force) {
  const hash = hashOf(ADDON_SOURCES);
  const stamp = readStamp('addon');
  const fresh = stamp.hash === hash && PROFILES.indexOf(stamp.profile) >= PROFILES.indexOf(profile);
  if (fresh && !force && addonIsThere()) return say(`addon (${stamp.profile}): up to date`);
  if (!answers('cargo')) {
    throw new StepFailed('The addon is written in Rust, and cargo is not installed: see https://rustup.rs');
  }
  const patience = existsSync(inRoot('target', profile === 'dev' ? 'debug' : profile))
    ? ''
    : ', the first time takes some minutes';
  await step(`Building the addon (${profile}${patience})`, () => {
    const args = ['build', '--platform', '--no-js', '--dts', 'binding.d.ts'];
    runTool('@napi-rs/cli', [...args, ...PROFILE_ARGS[profile]]);
  });
  writeStamp('addon', { hash, profile });
}

async function buildAdapter(force) {
  const hash = hashOf(ADAPTER_SOURCES);
  if (readStamp('adapter').hash === hash && !force && existsSync(inRoot('dist/adapter/index.js'))) {
    return say('adapter: up to date');
  }
  await step('Building the adapter', () => {
    rmSync(inRoot('dist/adapter'), { recursive: true, force: true });
    runTool('typescript', ['-p', 'tsconfig.json']);
  });
  writeStamp('adapter', { hash });
}

async function buildPages(force) {
  if (!existsSync(inRoot('web/build.mjs'))) return;
  const hash = hashOf(PAGES_SOURCES);
  if (readStamp('pages').hash === hash && !force && existsSync(inRoot('dist/web'))) {
    return say('pages: up to date');
  }
  await step('Building the pages', () => run(process.execPath, ['web/build.mjs']));
  writeStamp('pages', { hash });
}

export async function build({ profile = 'release', force = false } = {}) {
  if (!PROFILES.includes(profile)) throw new StepFailed(`--profile is one of ${PROFILES.join(', ')}`);
  await ensureDeps();
  await buildAddon(profile, force);
  await buildAdapter(force);
  await buildPages(force);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main((args) => {
    const { values } = parseArgs({
      args,
      options: { profile: { type: 'string' }, force: { type: 'boolean' } },
    });
    return build(values);
  });
}
