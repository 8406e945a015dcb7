import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import type { BackupSummary } from '../../binding.js';
import { addon } from '../addon.js';
import { CommandFailed, out, UsageError } from './output.js';
import { commandSources, requireValid } from './sources.js';

function fileOf(command: 'backup' | 'restore', args: string[]): { file: string; config: string | undefined } {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { config: { type: 'string' } },
  });
  const [file, ...extra] = positionals;
  if (file === undefined) throw new UsageError('the file is missing', command);
  if (extra.length > 0) throw new UsageError(`'${extra.join(' ')}' is too much`, command);
  return { file, config: values.config };
}

/** `1.4 MB` and the like. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const [unit, divisor] = bytes < 1e6 ? ['kB', 1e3] : bytes < 1e9 ? ['MB', 1e6] : ['GB', 1e9];
  return `${(bytes / (divisor as number)).toFixed(1)} ${unit}`;
}

export function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}

function content({ rooms, logRows, fileBytes }: BackupSummary): string {
  return `${count(rooms, 'room')}, ${count(logRows, 'log row')}, ${size(fileBytes)}`;
}

/** A backup that holds damaged rooms is a backup, but somebody has to know. */
function requireWhole({ damaged }: BackupSummary): void {
  if (damaged.length === 0) return;
  throw new CommandFailed(
    `${count(damaged.length, 'room')} in it ${damaged.length === 1 ? 'is' : 'are'} damaged, as in the database it was made from:`,
    ...damaged.map((room) => `  ${room}`),
  );
}

export async function backup(args: string[]): Promise<void> {
  const { file, config } = fileOf('backup', args);
  const sources = commandSources(config);
  requireValid(sources);
  const summary = await addon().backupStore(sources, resolve(file));
  out(`${resolve(file)} is complete and verified: ${content(summary)}.`);
  requireWhole(summary);
}

export async function restore(args: string[]): Promise<void> {
  const { file, config } = fileOf('restore', args);
  const sources = commandSources(config);
  requireValid(sources);
  const summary = await addon().restoreStore(sources, resolve(file));
  out(`${summary.databaseFile} is restored: ${content(summary)}.`);
  if (summary.setAside !== undefined) out(`The database that was there is kept as ${summary.setAside}.`);
  requireWhole(summary);
}
