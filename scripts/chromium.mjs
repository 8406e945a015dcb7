/** Finds a Chromium for the browser tests, or installs one where that is possible without asking. */

import { existsSync } from 'node:fs';

import { answers, run, say, StepFailed } from './steps.mjs';

const PLACES = [
  process.env.CHROMIUM_PATH,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
const INSTALL = ['install', '-y', '--no-install-recommends', 'chromium'];

function find() {
  return PLACES.find((place) => place && existsSync(place));
}

/** The path of a Chromium. */
export function ensureChromium() {
  const found = find();
  if (found) return found;
  const mayInstall = process.getuid?.() === 0 && existsSync('/etc/debian_version') && answers('apt-get');
  if (!mayInstall) {
    throw new StepFailed(
      `The browser tests need Chromium. Install it (Debian: sudo apt-get ${INSTALL.join(' ')}) ` +
        'or name one in CHROMIUM_PATH.',
    );
  }
  say('Chromium is missing; installing it with apt-get');
  run('apt-get', ['update']);
  run('apt-get', INSTALL, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  const installed = find();
  if (!installed) throw new StepFailed('apt-get installed Chromium, but it is not where it should be.');
  return installed;
}
