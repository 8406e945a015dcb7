/**
 * Copies of rooms as files: `<data folder>/realtime/snapshots/<room>/<room>-<version>-<created_at>.snapshot`,
 * the raw update, and a `.meta.json` of the same name.
 *
 * Each file is written under a temporary name, synced and renamed, the metadata last: whoever finds it finds
 * the whole copy, whenever the power went.
 */

import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import type { SnapshotLogger, SnapshotRow, SnapshotStorage } from '../../index.js';

const DATA = '.snapshot';
const META = '.meta.json';
const UNFINISHED = '.tmp';
/** Longest room name that is a folder's name itself; file systems end at 255 bytes. */
const NAME_BYTES_MAX = 180;

/** A room's folder, and the beginning of its files. Characters that mean something to file systems are escaped. */
function fileName(roomId: string): string {
  const escaped = Array.from(new TextEncoder().encode(roomId), (byte, at) => {
    const letter = String.fromCharCode(byte);
    const plain = /[\w:.-]/.test(letter) && (letter !== '.' || at > 0);
    return plain ? letter : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }).join('');
  if (escaped.length <= NAME_BYTES_MAX) return escaped;
  return `sha256-${createHash('sha256').update(roomId).digest('hex')}`;
}

interface Found {
  stem: string;
  version: number;
  createdAt: number;
}

export class FilesystemSnapshotStorage implements SnapshotStorage {
  readonly #folder: string;
  readonly #logger: SnapshotLogger;

  /** @param dataDir The host's data folder. */
  constructor(dataDir: string, logger: SnapshotLogger) {
    this.#folder = join(dataDir, 'realtime', 'snapshots');
    this.#logger = logger;
  }

  async insert(row: SnapshotRow): Promise<void> {
    const { snapshot_data: data, ...meta } = row;
    const name = fileName(row.room_id);
    const folder = join(this.#folder, name);
    await mkdir(folder, { recursive: true });
    const stem = join(folder, `${name}-${row.version}-${row.created_at}`);
    await writeWhole(`${stem}${DATA}`, data);
    await writeWhole(`${stem}${META}`, JSON.stringify(meta));
    await syncFolder(folder);
    await syncFolder(this.#folder);
  }

  async loadLatestRow(roomId: string): Promise<SnapshotRow | null> {
    const folder = join(this.#folder, fileName(roomId));
    const newest = (await this.#found(folder))[0];
    return newest === undefined ? null : this.#read(folder, newest, roomId);
  }

  async latestVersion(roomId: string): Promise<number> {
    return (await this.listVersions(roomId))[0] ?? 0;
  }

  async listVersions(roomId: string): Promise<number[]> {
    return (await this.#found(join(this.#folder, fileName(roomId)))).map(({ version }) => version);
  }

  async findOlderThan(cutoff: number): Promise<Omit<SnapshotRow, 'snapshot_data'>[]> {
    const rows = [];
    for (const name of await entries(this.#folder)) {
      const folder = join(this.#folder, name);
      for (const found of await this.#found(folder)) {
        if (found.createdAt < cutoff) rows.push(await this.#meta(folder, found));
      }
    }
    return rows.filter(({ room_id }) => room_id !== '');
  }

  async deleteRow(roomId: string, version: number): Promise<void> {
    const folder = join(this.#folder, fileName(roomId));
    for (const { stem } of (await this.#found(folder)).filter((found) => found.version === version)) {
      // The metadata first: a copy without it is none, one without its data is a damaged one.
      await rm(join(folder, `${stem}${META}`), { force: true });
      await rm(join(folder, `${stem}${DATA}`), { force: true });
    }
  }

  /** The whole copies in a room's folder, newest first. */
  async #found(folder: string): Promise<Found[]> {
    const found: Found[] = [];
    for (const name of await entries(folder)) {
      const parts = /^(.*-(\d+)-(\d+))\.meta\.json$/.exec(name);
      if (parts === null) continue;
      found.push({ stem: parts[1]!, version: Number(parts[2]), createdAt: Number(parts[3]) });
    }
    return found.sort((a, b) => b.version - a.version || b.createdAt - a.createdAt);
  }

  async #read(folder: string, found: Found, roomId: string): Promise<SnapshotRow> {
    const meta = await this.#meta(folder, found);
    const data = await readFile(join(folder, `${found.stem}${DATA}`)).catch((error: unknown) => {
      this.#logger.warn(`the copy ${found.stem} has no data: ${String(error)}`, {
        operation: 'realtime:snapshot:unreadable',
        roomId,
      });
      return Buffer.alloc(0);
    });
    return { ...meta, room_id: roomId, snapshot_data: new Uint8Array(data) };
  }

  /** What does not parse has no hash, and so does not verify. */
  async #meta(folder: string, found: Found): Promise<Omit<SnapshotRow, 'snapshot_data'>> {
    let meta: Partial<Record<keyof SnapshotRow, unknown>> | null = null;
    try {
      meta = JSON.parse(await readFile(join(folder, `${found.stem}${META}`), 'utf8'));
    } catch (error) {
      this.#logger.warn(`the metadata of the copy ${found.stem} cannot be read: ${String(error)}`, {
        operation: 'realtime:snapshot:unreadable',
      });
    }
    return {
      room_id: String(meta?.room_id ?? ''),
      version: found.version,
      integrity_hash: String(meta?.integrity_hash ?? ''),
      format_version: Number(meta?.format_version ?? 1),
      byte_size: Number(meta?.byte_size ?? 0),
      created_at: found.createdAt,
    };
  }
}

/** Names in a folder; none if it is not there. */
async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}

async function writeWhole(path: string, content: Uint8Array | string): Promise<void> {
  const unfinished = `${path}${UNFINISHED}`;
  const file = await open(unfinished, 'w');
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(unfinished, path);
}

/** Makes renames survive a loss of power, where the system lets a folder be opened. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
