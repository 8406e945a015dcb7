import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';

import type { StoredRoomSummary, VersionSummary } from '../../binding.js';
import { addon } from '../addon.js';
import { size } from './backup.js';
import { CommandFailed, out, UsageError } from './output.js';
import { commandSources, requireValid } from './sources.js';

const VERSION_MAX = 2 ** 32 - 1;

export async function snapshots(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      version: { type: 'string' },
      markdown: { type: 'boolean', default: false },
      output: { type: 'string', short: 'o' },
    },
  });
  const [action, room, ...extra] = positionals;
  if (extra.length > 0) throw new UsageError(`'${extra.join(' ')}' is too much`, 'snapshots');
  const only = (options: string[]): void => {
    for (const name of ['version', 'markdown', 'output'] as const) {
      if (values[name] && !options.includes(name)) {
        throw new UsageError(`'snapshots ${action}' takes no --${name}`, 'snapshots');
      }
    }
  };
  const required = (): string => {
    if (room === undefined) throw new UsageError('the room is missing, such as records:budget', 'snapshots');
    return room;
  };
  const version = versionOf(values.version);
  const sources = commandSources(values.config);
  switch (action) {
    case 'list':
      only([]);
      requireValid(sources);
      return out(
        room === undefined
          ? rooms(await addon().listRooms(sources))
          : versions(room, await addon().listVersions(sources, room)),
      );
    case 'export': {
      only(['version', 'markdown', 'output']);
      const name = required();
      if (values.output === undefined) throw new UsageError('-o FILE is missing', 'snapshots');
      requireValid(sources);
      const bytes = await addon().exportVersion(sources, name, version, values.markdown);
      await writeNew(values.output, bytes);
      const what = version === undefined ? 'The present state' : `Version ${version}`;
      return out(
        `${what} of ${name} is in ${values.output} (${size(bytes.length)}, ${values.markdown ? 'Markdown' : 'Yjs update v1'}).`,
      );
    }
    case 'restore': {
      only(['version']);
      const name = required();
      if (version === undefined) throw new UsageError('--version N is missing', 'snapshots');
      requireValid(sources);
      const { changed, keptAs } = await addon().restoreVersion(sources, name, version);
      if (!changed) return out(`${name} reads as version ${version} already; nothing was changed.`);
      return out(
        `${name} reads as version ${version} again. What was there before is version ${keptAs}.\n` +
          'Editors get it when the server runs; the Markdown file follows when they leave the record.',
      );
    }
    default:
      throw new UsageError(
        action === undefined ? 'list, export or restore?' : `there is no 'snapshots ${action}'`,
        'snapshots',
      );
  }
}

function versionOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const version = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (version < 1 || version > VERSION_MAX) {
    throw new UsageError(`--version '${text}' is no version; 'snapshots list ROOM' shows them`, 'snapshots');
  }
  return version;
}

async function writeNew(file: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(file, bytes, { flag: 'wx' });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CommandFailed(code === 'EEXIST' ? `${file} exists; choose another name` : message);
  }
}

function rooms(found: StoredRoomSummary[]): string {
  if (found.length === 0) return 'No room is stored.';
  return table(
    ['room', 'newest version', 'edits since'],
    found.map(({ room, newestVersion, logRows }) => [room, String(newestVersion ?? '–'), String(logRows)]),
  );
}

function versions(room: string, found: VersionSummary[]): string {
  if (found.length === 0) return `${room} has no version yet; all it has is in its log.`;
  return table(
    ['version', 'made', 'size', 'stored'],
    found.map(({ version, createdAtMs, stateBytes, storedBytes }) => [
      String(version),
      new Date(createdAtMs).toISOString().replace('T', ' ').slice(0, 19) + ' UTC',
      size(stateBytes),
      size(storedBytes),
    ]),
  );
}

function table(head: string[], rows: string[][]): string {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: string[]): string =>
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)].join('\n');
}
