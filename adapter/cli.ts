#!/usr/bin/env node
/** The command `civicpress-realtime`. Exit codes: 0 done, 1 failed, 2 not understood. */

import { backup, restore } from './cli/backup.js';
import { config } from './cli/config.js';
import { doctor } from './cli/doctor.js';
import { emit, stress, tail } from './cli/events.js';
import { helpOf } from './cli/help.js';
import { out, report, UsageError } from './cli/output.js';
import { snapshots } from './cli/snapshots.js';
import { start } from './cli/start.js';
import { token } from './cli/token.js';
import { version } from './version.js';

const COMMANDS: Record<string, (args: string[]) => Promise<void>> = {
  start,
  token,
  config,
  doctor,
  backup,
  restore,
  snapshots,
  emit,
  tail,
  stress,
};

async function main(args: string[]): Promise<void> {
  const [name, ...rest] = args;
  if (name === undefined) throw new UsageError('no command given');
  if (name === '--version' || name === '-v') return out(version);
  if (name === '--help' || name === '-h' || name === 'help') return out(helpOf(rest[0]));
  const command = COMMANDS[name];
  if (!command) throw new UsageError(`there is no command '${name}'`);
  if (rest.includes('--help') || rest.includes('-h')) return out(helpOf(name));
  // Where a command has a --version N of its own, it comes with a number.
  if (name !== 'snapshots' && rest.includes('--version')) return out(version);
  try {
    await command(rest);
  } catch (error) {
    // util.parseArgs tells what it does not understand by code.
    const { code, message } = error as { code?: string; message: string };
    if (code?.startsWith('ERR_PARSE_ARGS')) throw new UsageError(message, name);
    throw error;
  }
}

// A reader that went away (`… | head`) is no reason for a stack trace.
process.stdout.on('error', () => process.exit(1));

main(process.argv.slice(2)).catch((error: unknown) => report(error, helpOf));
