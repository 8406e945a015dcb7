/** The browser tests: real pages in a real Chromium against the real server. Arguments go to vitest. */

import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { ensureChromium } from '../scripts/chromium.mjs';
import { inRoot, main, runTool } from '../scripts/steps.mjs';

await main((args) => {
  const { positionals } = parseArgs({ args, strict: false });
  // Pictures of an earlier run say nothing about this one.
  if (positionals.length === 0) rmSync(inRoot('output/e2e'), { recursive: true, force: true });
  runTool('vitest', ['run', '--config', 'e2e/vitest.config.ts', ...args], {
    env: { ...process.env, CHROMIUM_PATH: ensureChromium() },
  });
});
