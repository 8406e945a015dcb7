/** Installs the packages of package-lock.json when they are missing or outdated. */

import { existsSync, statSync } from 'node:fs';

import { answers, inRoot, run, step } from './steps.mjs';

/** Written last by npm and by pnpm, so its time is the installation's. */
const MARKS = ['node_modules/.package-lock.json', 'node_modules/.modules.yaml'];

function isCurrent() {
  const mark = MARKS.map((path) => inRoot(path)).find((path) => existsSync(path));
  if (!mark || !existsSync(inRoot('node_modules/typescript/package.json'))) return false;
  return statSync(mark).mtimeMs >= statSync(inRoot('package-lock.json')).mtimeMs;
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
