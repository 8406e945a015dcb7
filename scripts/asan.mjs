/**
 * The tests that hand hostile bytes to the document, under AddressSanitizer and as a release build: what a debug
 * build survives by its checks must be survived without them, and what is only read wrongly must be seen.
 *
 * npm run asan [-- --only asan,release]
 */

import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { ENV, TARGET } from './sanitized.mjs';
import { inRoot, main, run, step, StepFailed } from './steps.mjs';

/** Unit tests by the modules that touch peers' bytes. */
const MODULES = ['protocol::', 'room::document', 'room::awareness', 'markdown::'];
const FILES = ['hostile_documents'].filter((name) => existsSync(inRoot('tests', `${name}.rs`)));

const RUNS = {
  asan: {
    title: 'Hostile bytes under AddressSanitizer',
    args: ['--target', TARGET],
    env: { ...ENV, RUST_MIN_STACK: String(64 << 20) },
  },
  // With the target named, as the addon is built, so that what is compiled for that serves here too.
  release: {
    title: 'Hostile bytes in a release build',
    args: ['--release', '--target', TARGET],
    env: process.env,
  },
};

export async function asan(names = Object.keys(RUNS)) {
  for (const { title, args, env } of names.map((name) => RUNS[name])) {
    await step(title, () => {
      run('cargo', ['test', '--locked', '--lib', ...args, '--', ...MODULES], { env });
      for (const file of FILES) run('cargo', ['test', '--locked', '--test', file, ...args], { env });
    });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(async (args) => {
    const { values } = parseArgs({ args, options: { only: { type: 'string' } } });
    const names = values.only?.split(',') ?? Object.keys(RUNS);
    if (names.some((name) => !Object.hasOwn(RUNS, name))) throw new StepFailed('--only takes asan, release');
    await asan(names);
  });
}
