/** Installs the packages of package-lock.json when they are missing or outdated. */

import { readFileSync } from 'node:fs';

import { answers, inRoot, run, step } from './steps.mjs';

function versionOf(name) {
  try {
    return JSON.parse(readFileSync(inRoot('node_modules', name, 'package.json'), 'utf8')).version;
  } catch {
    return undefined;
  }
}

/** Whether every pinned version is there, whoever installed it (npm or pnpm). */
function isCurrent() {
  const { devDependencies } = JSON.parse(readFileSync(inRoot('package.json'), 'utf8'));
  return Object.entries(devDependencies).every(
    // An alias is written `npm:name@version`.
    ([name, wanted]) => versionOf(name) === wanted.split('@').pop(),
  );
}

export async function ensureDeps() {
  if (isCurrent()) return;
  await step('Installing packages (npm ci)', () => {
    // The npm that runs this script, if it is npm; under pnpm the one that came with Node.
    const running = process.env.npm_execpath ?? '';
    const args = ['ci', '--no-audit', '--no-fund'];
    if (/npm-cli\.[cm]?js$/.test(running)) return run(process.execPath, [running, ...args]);
    if (answers('npm')) return run('npm', args);
    // Only pnpm is there. It reads package.json, whose versions are exact.
    return run('pnpm', ['install', '--no-frozen-lockfile']);
  });
}
