/** Contract 12: rows of `realtime_snapshots`, in both of the host's databases. */

import { PGlite } from '@electric-sql/pglite';
import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import type * as Public from '../../index.js';
import { afterwards, ENTRY, silent, temporaryFolder, until } from '../support.js';
import { startCivic } from './civic.js';
import { DatabaseService } from './database.js';

const { DatabaseSnapshotStorage, SnapshotManager } = (await import(ENTRY.href)) as typeof Public;

const ROOM = 'records:a';

function sqlite(): Public.SnapshotDatabase {
  const database = new DatabaseService(join(temporaryFolder(), 'civic.db'));
  afterwards(() => database.close());
  return database as unknown as Public.SnapshotDatabase;
}

function postgres(): Public.SnapshotDatabase {
  const database = new PGlite();
  afterwards(() => database.close());
  return {
    query: async (sql, params) => (await database.query(sql, params)).rows,
    // As the host's own adapter is known.
    getAdapter: () => ({ config: { type: 'postgres' } }),
  };
}

const DATABASES: [string, () => Public.SnapshotDatabase][] = [
  ['SQLite', sqlite],
  ['PostgreSQL', postgres],
];

it.each(DATABASES)('keeps, counts, prunes, verifies and expires rows in %s', async (_name, make) => {
  const database = make();
  const asked: string[] = [];
  const query = (sql: string, params?: unknown[]) => {
    asked.push(sql);
    return database.query(sql, params);
  };
  const storage = new DatabaseSnapshotStorage({ query, getAdapter: () => database.getAdapter?.() }, silent);
  await storage.makeTable();
  asked.length = 0;
  await storage.makeTable();
  expect(asked, 'what is there is not made again').toEqual(['SELECT 1 FROM realtime_snapshots LIMIT 1']);

  const manager = new SnapshotManager(silent, storage);
  expect(await manager.loadLatest(ROOM)).toBeNull();
  for (let n = 1; n <= 5; n += 1) await manager.persist({ roomId: ROOM, blob: new Uint8Array([0, n, 255]) });
  await manager.persist({ roomId: 'records:b', blob: new Uint8Array() });
  expect(await storage.listVersions(ROOM)).toEqual([5, 4, 3]);
  const row = (await manager.loadLatestVerified(ROOM))!;
  const blob = new Uint8Array([0, 5, 255]);
  expect(row).toEqual({
    room_id: ROOM,
    version: 5,
    snapshot_data: blob,
    integrity_hash: createHash('sha256').update(blob).digest('hex'),
    format_version: 1,
    byte_size: 3,
    created_at: expect.any(Number),
  });
  const ids = (await database.query('SELECT id FROM realtime_snapshots WHERE version = 5')) as {
    id: string;
  }[];
  expect(ids).toEqual([{ id: `${ROOM}-5-${row.created_at}` }]);

  await storage.insert(row);
  expect(await storage.listVersions(ROOM), 'the same row twice is one').toEqual([5, 4, 3]);
  await storage.insert({ ...row, integrity_hash: 'invalid' });
  expect(await manager.loadLatestVerified(ROOM)).toBeNull();

  const inUse = new Set(['records:b']);
  expect(await manager.cleanupExpired({ activeRoomIds: inUse })).toBe(0);
  expect(await manager.cleanupExpired({ activeRoomIds: inUse, before: row.created_at + 60_000 })).toBe(3);
  expect(await manager.loadLatest(ROOM)).toBeNull();
  expect(await manager.loadLatest('records:b')).not.toBeNull();
});

it('a database that fails costs no copy that is stored, and says so', async () => {
  const exploding = {
    query: async (sql: string) => {
      if (sql.startsWith('SELECT version')) throw new Error('boom');
      return [];
    },
  };
  const manager = new SnapshotManager(silent, new DatabaseSnapshotStorage(exploding, silent));
  await expect(manager.persist({ roomId: ROOM, blob: new Uint8Array([1]) })).resolves.toBeUndefined();
  const down = { query: () => Promise.reject(new Error('down')) };
  const nowhere = new SnapshotManager(silent, new DatabaseSnapshotStorage(down, silent));
  await expect(nowhere.persist({ roomId: ROOM, blob: new Uint8Array([1]) })).rejects.toThrow('down');
});

it('keeps as many as the configuration says, and tells what it calls large', async () => {
  const civic = await startCivic({ config: { snapshots: { keep_versions: 2, max_bytes_warning: 10 } } });
  civic.publish({ id: 'a', content: 'First.\n' });
  await civic.edit('a').synced;
  for (let version = 1; version <= 3; version += 1) {
    expect(await civic.server.triggerRecordSnapshot('a')).toMatchObject({ version });
  }
  expect(await civic.database.query('SELECT version FROM realtime_snapshots ORDER BY version')).toEqual([
    { version: 2 },
    { version: 3 },
  ]);
  await until(() => civic.hooks.named('realtime:snapshot:oversize').length === 3);
  expect(civic.hooks.named('realtime:snapshot:oversize')[0]).toMatchObject({ roomId: ROOM, cap: 10 });
  expect(civic.hooks.named('realtime:snapshot:pruned')).toMatchObject([{ version: 1, keep: 2 }]);
});
