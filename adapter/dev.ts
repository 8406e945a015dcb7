/**
 * Runs what a developer of CivicPress wants to have running, in a checkout of it:
 *
 * node dist/adapter/dev.js [api | realtime | api:with-realtime]
 *
 * Without an argument the environment says it: API_ENABLED, and CIVIC_REALTIME_ENABLED or REALTIME_ENABLED.
 */

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { CommandFailed, report, UsageError } from './cli/output.js';
import { serve } from './cli/start.js';

const MODES = ['api', 'realtime', 'api:with-realtime'] as const;
type Mode = (typeof MODES)[number];

function isOn(name: string): boolean {
  return !['false', '0', 'no', 'off'].includes(process.env[name]?.trim().toLowerCase() ?? '');
}

function modeOfEnvironment(): Mode {
  const realtime = isOn('CIVIC_REALTIME_ENABLED') && isOn('REALTIME_ENABLED');
  if (isOn('API_ENABLED')) return realtime ? 'api:with-realtime' : 'api';
  if (realtime) return 'realtime';
  throw new CommandFailed('API_ENABLED and REALTIME_ENABLED are both false: there is nothing to run.');
}

/** The checkout around `folder`. */
function checkout(folder: string): string {
  for (let at = resolve(folder); ; at = dirname(at)) {
    if (existsSync(join(at, 'modules', 'api', 'package.json'))) return at;
    if (at === dirname(at)) throw new CommandFailed(`${folder} is not inside a checkout of CivicPress.`);
  }
}

/** The API's own development script, by the package manager that runs us. */
async function runApi(root: string, withRealtime: boolean): Promise<void> {
  const manager = process.env['npm_execpath'];
  const [program, ...first] = manager === undefined ? ['pnpm'] : [process.execPath, manager];
  const enabled = String(withRealtime);
  const child = spawn(program as string, [...first, 'run', 'dev'], {
    cwd: join(root, 'modules', 'api'),
    stdio: 'inherit',
    env: {
      ...process.env,
      API_ENABLED: 'true',
      REALTIME_ENABLED: enabled,
      CIVIC_REALTIME_ENABLED: enabled,
    },
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

async function main([argument, ...more]: string[]): Promise<void> {
  const mode = argument === undefined ? modeOfEnvironment() : MODES.find((known) => known === argument);
  if (mode === undefined || more.length > 0) throw new UsageError(`one of ${MODES.join(', ')}?`);
  const root = checkout(process.cwd());
  if (mode !== 'realtime') return await runApi(root, mode === 'api:with-realtime');
  // Core finds its configuration from there.
  process.chdir(root);
  await serve({ core: true });
}

main(process.argv.slice(2)).catch((error: unknown) =>
  report(error, () => `Usage: node dist/adapter/dev.js [${MODES.join(' | ')}]`),
);
