/** Copies of rooms at the host: files and rows, the classes its own code uses, and the engine on top. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, it } from 'vitest';
import * as Y from 'yjs';

import type * as Public from '../../index.js';
import { connect, ENTRY, makeServer, memoryHost, silent, temporaryFolder, until } from '../support.js';

const {
  FilesystemSnapshotStorage,
  MAX_SNAPSHOT_BYTES,
  MAX_SNAPSHOT_VERSIONS_PER_ROOM,
  SNAPSHOT_FORMAT_V1,
  SNAPSHOT_TTL_MS,
  SnapshotHookBus,
  SnapshotManager,
} = (await import(ENTRY.href)) as typeof Public;

const ROOM = 'records:a';

function files(folder = temporaryFolder()) {
  const bus = new SnapshotHookBus();
  const storage = new FilesystemSnapshotStorage(folder, silent);
  const manager = new SnapshotManager(silent, storage, bus);
  return { manager, storage, bus, rooms: join(folder, 'realtime', 'snapshots') };
}

function rewriteMeta(folder: string, change: (meta: Record<string, unknown>) => void): void {
  const name = readdirSync(folder).findLast((file) => file.endsWith('.meta.json'))!;
  const meta = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Record<string, unknown>;
  change(meta);
  writeFileSync(join(folder, name), JSON.stringify(meta));
}

it('keeps a copy as two files that say what they are', async () => {
  const { manager, rooms } = files();
  const blob = new Uint8Array([1, 2, 3]);
  await manager.persist({ roomId: ROOM, blob });
  const [data, meta] = readdirSync(join(rooms, ROOM)).sort().reverse();
  expect(data).toMatch(/^records:a-1-\d{13}\.snapshot$/);
  expect(meta).toBe(data!.replace('.snapshot', '.meta.json'));
  expect(readFileSync(join(rooms, ROOM, data!))).toEqual(Buffer.from(blob));
  expect(JSON.parse(readFileSync(join(rooms, ROOM, meta!), 'utf8'))).toEqual({
    room_id: ROOM,
    version: 1,
    integrity_hash: createHash('sha256').update(blob).digest('hex'),
    format_version: SNAPSHOT_FORMAT_V1,
    byte_size: 3,
    created_at: expect.any(Number),
  });
});

it('counts versions per room, and keeps the newest three', async () => {
  const { manager, storage, bus } = files();
  const pruned: unknown[] = [];
  bus.on('realtime:snapshot:pruned', ({ roomId, version, keep }) => pruned.push([roomId, version, keep]));
  await manager.persist({ roomId: 'records:b', blob: new Uint8Array([9]) });
  // At the same time, too: no version is given out twice.
  const saves = [1, 2, 3, 4, 5].map((n) => manager.persist({ roomId: ROOM, blob: new Uint8Array([n]) }));
  await Promise.all(saves);
  expect(await storage.listVersions(ROOM)).toEqual([5, 4, 3]);
  expect(await storage.listVersions('records:b')).toEqual([1]);
  expect((await manager.loadLatest(ROOM))?.snapshot_data).toEqual(new Uint8Array([5]));
  expect(pruned).toEqual([
    [ROOM, 1, MAX_SNAPSHOT_VERSIONS_PER_ROOM],
    [ROOM, 2, MAX_SNAPSHOT_VERSIONS_PER_ROOM],
  ]);
  expect(await manager.pruneVersions(ROOM, 1)).toBe(2);
});

it('tells what was changed or is of a later format, and does not load it', async () => {
  const { manager, bus, rooms } = files();
  const failed: string[] = [];
  bus.on('realtime:snapshot:integrity-failed', ({ roomId }) => failed.push(roomId));
  await manager.persist({ roomId: ROOM, blob: new Uint8Array([1]) });
  rewriteMeta(join(rooms, ROOM), (meta) => (meta['format_version'] = 99));
  expect(await manager.loadLatestVerified(ROOM)).toBeNull();
  expect(failed).toEqual([]);
  await manager.persist({ roomId: ROOM, blob: new Uint8Array([2]) });
  rewriteMeta(join(rooms, ROOM), (meta) => (meta['integrity_hash'] = 'invalid'));
  expect(await manager.loadLatestVerified(ROOM)).toBeNull();
  expect(failed).toEqual([ROOM]);
  expect((await manager.loadLatest(ROOM))?.integrity_hash).toBe('invalid');
  const torn = readdirSync(join(rooms, ROOM)).find((name) => name.startsWith(`${ROOM}-2-`))!;
  writeFileSync(join(rooms, ROOM, torn), '{');
  expect(await manager.loadLatestVerified(ROOM)).toBeNull();
});

it('keeps a copy that is too large, and tells it', async () => {
  const { manager, bus } = files();
  const told: unknown[] = [];
  bus.on('realtime:snapshot:oversize', ({ byteSize, cap }) => told.push([byteSize, cap]));
  await manager.persist({ roomId: ROOM, blob: new Uint8Array(MAX_SNAPSHOT_BYTES) });
  expect(told).toEqual([]);
  await manager.persist({ roomId: ROOM, blob: new Uint8Array(MAX_SNAPSHOT_BYTES + 1) });
  expect(told).toEqual([[MAX_SNAPSHOT_BYTES + 1, MAX_SNAPSHOT_BYTES]]);
  expect((await manager.loadLatestVerified(ROOM))?.byte_size).toBe(MAX_SNAPSHOT_BYTES + 1);
});

it('drops old copies of rooms that are not in memory', async () => {
  const { manager, storage, bus } = files();
  const expired: unknown[] = [];
  bus.on('realtime:snapshot:expired', ({ roomId, version }) => expired.push([roomId, version]));
  const old = { snapshot_data: new Uint8Array(1), integrity_hash: '', format_version: 1, byte_size: 1 };
  const created_at = Date.now() - SNAPSHOT_TTL_MS - 60_000;
  for (const room_id of ['records:old', 'records:open']) {
    await storage.insert({ ...old, room_id, version: 4, created_at });
  }
  await manager.persist({ roomId: 'records:new', blob: new Uint8Array(1) });
  expect(await manager.cleanupExpired({ activeRoomIds: new Set(['records:open']) })).toBe(1);
  expect(expired).toEqual([['records:old', 4]]);
  expect(await manager.loadLatest('records:old')).toBeNull();
  expect(await manager.loadLatest('records:open')).not.toBeNull();
  expect(await manager.loadLatest('records:new')).not.toBeNull();
});

it('gives rooms with odd names folders of their own, below its own', async () => {
  const { manager, rooms } = files();
  const names = ['records:a/b', 'records:a%2Fb', 'records:é', `records:${'x'.repeat(256)}`, '../../up'];
  for (const [at, roomId] of names.entries()) await manager.persist({ roomId, blob: new Uint8Array([at]) });
  for (const [at, roomId] of names.entries()) {
    expect((await manager.loadLatestVerified(roomId))?.snapshot_data).toEqual(new Uint8Array([at]));
  }
  expect(readdirSync(rooms)).toHaveLength(names.length);
});

it('passes over files of a save that power cut short', async () => {
  const { manager, rooms } = files();
  await manager.persist({ roomId: ROOM, blob: new Uint8Array([1]) });
  writeFileSync(join(rooms, ROOM, 'records:a-2-1700000000000.snapshot'), 'half');
  writeFileSync(join(rooms, ROOM, 'records:a-2-1700000000000.meta.json.tmp'), '{"room');
  expect((await manager.loadLatestVerified(ROOM))?.version).toBe(1);
});

/** A host that keeps copies in memory, beside its records. */
function copyingHost() {
  const { host, records, hooks } = memoryHost(new Map([[ROOM, '# A\n\nFirst.\n']]));
  const kept: Uint8Array[] = [];
  let failures = 0;
  const copies: Public.RoomCopies = {
    save: (_room, state) => {
      if (failures > 0) {
        failures -= 1;
        throw new Error('on purpose');
      }
      return { version: kept.push(new Uint8Array(state)), createdAt: Date.now() };
    },
    load: () => (kept.length === 0 ? null : { state: kept.at(-1)! }),
    expire: () => 0,
  };
  return { host: { ...host, copies }, records, hooks, kept, failNext: (count: number) => (failures = count) };
}

const AT_ONCE = { rooms: { grace_period_ms: 0 }, snapshots: { interval: 0 } };

function paragraph(doc: Y.Doc, words: string): void {
  const element = new Y.XmlElement('paragraph');
  element.insert(0, [new Y.XmlText(words)]);
  const fragment = doc.getXmlFragment('default');
  fragment.insert(fragment.length, [element]);
}

it('is given the whole document as a yjs update, and gives it to an engine that never saw the room', async () => {
  const { host, records, kept, failNext } = copyingHost();
  const first = makeServer({ host, config: AT_ONCE });
  const { port } = await first.initialize();
  const ada = connect(port!, ROOM, 'editor');
  await ada.synced;
  failNext(1);
  paragraph(ada.doc, 'Typed.');
  await until(async () => (await first.roomMarkdown(ROOM)).includes('Typed.'));
  ada.provider.destroy();
  await until(() => first.rooms().length === 0);
  const copy = new Y.Doc();
  Y.applyUpdate(copy, kept.at(-1)!);
  const names = (doc: Y.Doc) => doc.getXmlFragment('default').toString();
  expect(names(copy)).toBe(names(ada.doc));
  await first.shutdown();

  // Another engine with a store of its own; meanwhile somebody wrote into the record.
  records.set(ROOM, `${records.get(ROOM)!}\nBy hand.\n`);
  const second = makeServer({ host, config: AT_ONCE });
  const bo = connect((await second.initialize()).port!, ROOM, 'editor');
  await bo.synced;
  await until(() => names(bo.doc).includes('By hand.'));
  // A tab that still has the old document brings nothing twice: the yjs ids are the copy's.
  Y.applyUpdate(bo.doc, Y.encodeStateAsUpdate(ada.doc));
  expect(names(bo.doc).match(/Typed\./g)).toHaveLength(1);
  expect(names(bo.doc).match(/First\./g)).toHaveLength(1);
});

it('reports the version of a copy that was asked for', async () => {
  const { host } = copyingHost();
  const server = makeServer({ host, config: AT_ONCE });
  const ada = connect((await server.initialize()).port!, ROOM, 'editor');
  await ada.synced;
  expect(await server.triggerRecordSnapshot('a')).toMatchObject({ snapshotCreated: true, version: 1 });
  expect(await server.triggerRecordSnapshot('a')).toMatchObject({ snapshotCreated: true, version: 2 });
});
