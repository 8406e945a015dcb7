/** What fuzz.mjs and asan.mjs share: AddressSanitizer from the stable compiler, in a target folder of its own. */

import { execFileSync } from 'node:child_process';

import { inRoot } from './steps.mjs';

/** This machine's, named so that build scripts and macros, which are built for it by themselves, stay as they are. */
export const TARGET = /^host: (\S+)$/m.exec(execFileSync('rustc', ['-vV'], { encoding: 'utf8' }))[1];
export const FOLDER = inRoot('target', 'sanitized');

/** What cargo-fuzz passes. The tests need no coverage, but so both use the same compiled crates. */
const FLAGS = [
  '-Cpasses=sancov-module',
  '-Cllvm-args=-sanitizer-coverage-level=4',
  '-Cllvm-args=-sanitizer-coverage-inline-8bit-counters',
  '-Cllvm-args=-sanitizer-coverage-pc-table',
  '-Cllvm-args=-sanitizer-coverage-trace-compares',
  '-Zsanitizer=address',
];

export const ENV = {
  ...process.env,
  // The sanitizers are unstable options; their runtime comes with the stable toolchain all the same.
  RUSTC_BOOTSTRAP: '1',
  RUSTFLAGS: FLAGS.join(' '),
  CARGO_TARGET_DIR: FOLDER,
  // The process runs for long and ends at once; what is left then is no leak.
  ASAN_OPTIONS: 'detect_leaks=0:detect_stack_use_after_return=0',
};
