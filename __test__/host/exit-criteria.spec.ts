/**
 * Contract 9 and 12, as CivicPress's own exit tests ask: a hook bus that only emits, a database that only
 * queries, drafts kept elsewhere, copies in files, ids that are texts, and clients that ask nothing and answer.
 */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { expect, it } from 'vitest';
import WebSocket from 'ws';
import { readSyncMessage, writeUpdate } from 'y-protocols/sync';
import * as Y from 'yjs';

import { afterwards, ENTRY, silent, temporaryFolder, until } from '../support.js';

type Package = typeof import('../../index.js');

const realtime = (await import(ENTRY.href)) as Package;
const SYNC = 0;

/** A server of the services that those tests make. */
async function start(graceMs: number, content = '', interval = 0) {
  const folder = temporaryFolder();
  const system = join(folder, '.system-data');
  mkdirSync(system);
  const config = {
    host: '127.0.0.1',
    port: 0,
    rooms: { grace_period_ms: graceMs },
    snapshots: { interval, storage: 'filesystem' },
  };
  writeFileSync(join(system, 'realtime.yml'), JSON.stringify({ realtime: config }));
  const auth = {
    validateSession: async (token: string) => ({ id: token, username: token, role: 'admin' }),
    userCan: async () => true,
  };
  const record = { title: 'A', type: 'bylaw', status: 'published', content };
  const records = { getRecord: async (id: string) => ({ id, ...record }) };
  const drafts = new Map<string, { id: string; type: string; markdown_body?: string | null }>();
  const server = new realtime.RealtimeServer(
    silent,
    { emit: async () => undefined },
    auth,
    new realtime.RealtimeConfigManager(system),
    { dataDir: folder },
  );
  server.setRecordManager(records);
  server.setDatabaseService({ query: async () => [] });
  const rooms = new realtime.RoomManager(silent, server);
  server.setRoomManager(rooms);
  server.registerRoomTypeHandler(
    new realtime.RecordRoomHandler({
      draftPersistence: {
        getDraft: async (id) => drafts.get(id) ?? null,
        createDraft: async (draft) => void drafts.set(draft.id, draft),
        updateDraft: async (id, updates) => void drafts.set(id, { ...drafts.get(id)!, ...updates }),
      },
      recordSource: records,
      getSnapshotManager: () => server.getSnapshotManager(),
    }),
  );
  await server.initialize();
  afterwards(() => server.shutdown());
  const draft = (): string => drafts.get('a')?.markdown_body ?? '';
  return { server, rooms, draft, folder };
}

type Started = Awaited<ReturnType<typeof start>>;

/** A client that sends its edits and answers questions, and never asks for the state itself. */
async function joined({ server }: Started, user: string) {
  const doc = new Y.Doc();
  const fragment = doc.getXmlFragment('default');
  const { port } = server.getHealthStatus().server;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/realtime/records/a`, {
    headers: { authorization: `Bearer ${user}` },
  });
  afterwards(() => socket.terminate());
  const send = (write: (encoder: encoding.Encoder) => void): void => {
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, SYNC);
    write(encoder);
    if (encoding.length(encoder) > 1) socket.send(encoding.toUint8Array(encoder));
  };
  socket.on('message', (data: Buffer) => {
    const decoder = decoding.createDecoder(new Uint8Array(data));
    if (decoding.readVarUint(decoder) !== SYNC) return;
    send((encoder) => void readSyncMessage(decoder, encoder, doc, 'server'));
  });
  doc.on('update', (update: Uint8Array, origin) => {
    if (origin !== 'server') send((encoder) => writeUpdate(encoder, update));
  });
  await new Promise((resolve) => socket.once('open', resolve));
  // An empty record is an empty paragraph, beside which a client has its first.
  const text = (): string =>
    fragment
      .toArray()
      .map((block) => (block as Y.XmlElement).toArray().join(''))
      .filter((words) => words !== '')
      .join('\n');
  const write = (words: string): void => {
    const paragraph = new Y.XmlElement('paragraph');
    paragraph.insert(0, [new Y.XmlText(words)]);
    fragment.push([paragraph]);
  };
  const append = (words: string): void => {
    const first = (fragment.get(0) as Y.XmlElement).get(0) as Y.XmlText;
    first.insert(first.length, words);
  };
  return { text, write, append, drop: () => socket.terminate() };
}

async function evicted({ rooms }: Started): Promise<void> {
  await until(() => rooms.getRoom('records:a') === null);
}

it('what was typed at once, before any state came, is there for who drops and returns', async () => {
  const started = await start(60_000);
  const first = await joined(started, 'user-a');
  first.write('Hello world.');
  await until(async () => (await started.server.roomMarkdown('records:a').catch(() => '')) !== '');
  const room = started.rooms.getRoom('records:a');
  first.drop();
  await until(() => started.server.getUserConnections().size === 0);
  const again = await joined(started, 'user-a');
  await until(() => again.text() === 'Hello world.');
  expect(started.rooms.getRoom('records:a')).toBe(room);
});

it('two converge after one of them drops in the middle of the other’s edit', async () => {
  const started = await start(60_000);
  const first = await joined(started, 'user-a');
  first.write('A1 ');
  await until(async () => (await started.server.roomMarkdown('records:a').catch(() => '')) !== '');
  first.drop();
  const bob = await joined(started, 'user-b');
  await until(() => bob.text() === 'A1 ');
  bob.append('B1 ');
  const again = await joined(started, 'user-a');
  await until(() => again.text() === 'A1 B1 ');
  again.append('A2 ');
  await until(() => bob.text() === 'A1 B1 A2 ');
  expect(again.text()).toBe(bob.text());
});

it('a room whose grace is over is in its draft and in a copy, and opens from what it was', async () => {
  const started = await start(100, '# Bylaw\n\nOriginal.\n');
  const ada = await joined(started, 'user-a');
  await until(() => ada.text() === 'Bylaw\nOriginal.');
  ada.write('Persist me.');
  await until(async () => (await started.server.roomMarkdown('records:a')).includes('Persist me.'));
  ada.drop();
  await evicted(started);
  expect(started.draft()).toBe('# Bylaw\n\nOriginal.\n\nPersist me.');
  expect(await started.server.getSnapshotManager()?.loadLatestVerified('records:a')).not.toBeNull();
  const again = await joined(started, 'user-b');
  await until(() => again.text() === 'Bylaw\nOriginal.\nPersist me.');
});

it('a copy that was corrupted gives the record’s text back', async () => {
  const started = await start(100, '# Bylaw\n\nOriginal.\n');
  const ada = await joined(started, 'user-a');
  await until(() => ada.text() === 'Bylaw\nOriginal.');
  ada.write('Lost with the copy.');
  await until(async () => (await started.server.roomMarkdown('records:a')).includes('Lost'));
  ada.drop();
  await evicted(started);
  const copies = started.server.getSnapshotManager()!;
  expect(await copies.loadLatestVerified('records:a')).not.toBeNull();
  const folder = join(started.folder, 'realtime', 'snapshots', 'records:a');
  const newest = readdirSync(folder).findLast((name) => name.endsWith('.meta.json'))!;
  const meta = JSON.parse(readFileSync(join(folder, newest), 'utf8')) as object;
  writeFileSync(join(folder, newest), JSON.stringify({ ...meta, integrity_hash: 'corrupted' }));
  expect(await copies.loadLatestVerified('records:a')).toBeNull();
  const bob = await joined(started, 'user-b');
  await until(() => bob.text() !== '');
  expect(bob.text()).toBe('Bylaw\nOriginal.');
});

it('the timer writes two people’s edits into the draft, below the record’s heading', async () => {
  const started = await start(60_000, '# Title\n\nInitial.\n', 0.1);
  const [alice, bob] = [await joined(started, 'alice'), await joined(started, 'bob')];
  await until(() => [alice, bob].every((client) => client.text() === 'Title\nInitial.'));
  alice.write('Alice was here.');
  await until(() => bob.text().includes('Alice was here.'));
  bob.write('Bob was here.');
  await until(() => started.draft() === '# Title\n\nInitial.\n\nAlice was here.\n\nBob was here.');
});

it('a hundred who come and go at once leave nothing in the maps', async () => {
  const started = await start(0);
  for (let number = 0; number < 100; number += 1) (await joined(started, `user-${number}`)).drop();
  const { server } = started;
  await until(() => server.getHealthStatus().connections.total === 0);
  await until(() => server.getConnectionCounts().size + server.getUserConnections().size === 0);
  expect(server.connections.size + server.clientToDevice.size).toBe(0);
});
