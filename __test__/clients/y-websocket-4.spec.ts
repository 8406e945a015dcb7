/** The acknowledgement of `@y/websocket` 4: its own update comes back, once it is durable. */

import { expect, it } from 'vitest';
import * as Y from 'yjs';

import { RealtimeServer, afterwards, environment, until } from '../support.js';
import {
  decodeFrame,
  LATEST,
  openHost,
  openServer,
  peer,
  rawSocket,
  ROOMY,
  syncFrame,
  synced,
} from './support.js';

/** A document whose updates are sent by hand. */
function author() {
  const doc = new Y.Doc();
  const updates: Uint8Array[] = [];
  doc.on('update', (update) => updates.push(update));
  return {
    doc,
    type(text: string): Uint8Array {
      doc.getText('t').insert(doc.getText('t').length, text);
      return updates.at(-1)!;
    },
  };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const echoes = (raw: ReturnType<typeof rawSocket>): string[] =>
  raw.frames.filter(({ kind }) => kind === 'update').map(({ body }) => hex(body));

it('comes for each update, in order, and never as a text frame', async () => {
  const { port } = await openServer();
  const raw = rawSocket(port, 'notes/a?ack=echo');
  await raw.opened;
  const { doc, type } = author();
  raw.socket.send(syncFrame('step1', Y.encodeStateVector(doc)));
  const sent: string[] = [];
  for (let turn = 0; turn < 100; turn += 1) {
    const update = type(`${turn} `);
    sent.push(hex(update));
    raw.socket.send(syncFrame('update', update));
  }
  await until(() => echoes(raw).length >= sent.length);
  expect(echoes(raw)).toEqual(sent);
  expect(raw.texts).toEqual([]);
});

it('comes for content sent as an answer to step 1 too', async () => {
  const { port } = await openServer();
  const raw = rawSocket(port, 'notes/a?ack=echo');
  await raw.opened;
  const { doc, type } = author();
  type('offline');
  raw.socket.send(syncFrame('step1', Y.encodeStateVector(doc)));
  raw.socket.send(syncFrame('step2', Y.encodeStateAsUpdate(doc)));
  await until(() => echoes(raw).length === 1);
  const echoed = new Y.Doc();
  Y.applyUpdate(echoed, Buffer.from(echoes(raw)[0]!, 'hex'));
  expect(echoed.getText('t').toString()).toBe('offline');
});

it('is not given to those who did not ask, nor for edits of a viewer', async () => {
  const { port } = await openServer();
  const ada = peer(LATEST, port);
  await synced(ada);
  ada.text.insert(0, 'mine');
  const viewer = rawSocket(port, 'notes/a?ack=echo', 'viewer.vi');
  await viewer.opened;
  const { doc, type } = author();
  viewer.socket.send(syncFrame('step1', Y.encodeStateVector(doc)));
  await until(() => viewer.frames.some(({ kind }) => kind === 'step2'));
  viewer.socket.send(syncFrame('update', type('not wanted')));
  await until(() => viewer.frames.some(({ kind }) => kind === 'denied'));
  // What comes after the refusal has passed everything before it.
  ada.text.insert(0, 'still ');
  await until(() => echoes(viewer).some((update) => update.includes(Buffer.from('still ').toString('hex'))));
  expect(echoes(viewer).some((update) => update.includes(Buffer.from('not wanted').toString('hex')))).toBe(
    false,
  );
  expect(ada.traffic.binary.map(decodeFrame).some(({ kind }) => kind === 'update')).toBe(false);
});

it('waits for what the update builds on', async () => {
  const { port } = await openServer();
  const raw = rawSocket(port, 'notes/a?ack=echo');
  await raw.opened;
  const { doc, type } = author();
  raw.socket.send(syncFrame('step1', Y.encodeStateVector(new Y.Doc())));
  await until(() => raw.frames.some(({ kind }) => kind === 'step2'));
  const [first, second] = [type('first '), type('second')];
  raw.frames.length = 0;
  raw.socket.send(syncFrame('update', second));
  // The server asks for what is missing instead of claiming to have it.
  await until(() => raw.frames.some(({ kind }) => kind === 'step1'));
  raw.socket.send(Uint8Array.of(3));
  raw.socket.send(syncFrame('step1', Y.encodeStateVector(doc)));
  await until(() => raw.frames.some(({ kind }) => kind === 'step2'));
  expect(echoes(raw)).toEqual([]);
  raw.socket.send(syncFrame('update', first));
  const expected = [hex(first), hex(second)].sort();
  await until(() => new Set(echoes(raw)).size === expected.length);
  expect([...new Set(echoes(raw))].sort()).toEqual(expected);
});

/** What was echoed is in the log, whatever happens next: here the log is read as soon as the echo is. */
it('comes only after the update is durable', async () => {
  const open = await openServer();
  const raw = rawSocket(open.port, 'notes/a?ack=echo');
  await raw.opened;
  const { doc, type } = author();
  raw.socket.send(syncFrame('step1', Y.encodeStateVector(doc)));
  for (let turn = 1; turn <= 30; turn += 1) {
    raw.socket.send(syncFrame('update', type(`${turn} `)));
    await until(() => echoes(raw).length === turn);
    const logged = new Y.Doc();
    for (const update of await open.server.exportLog('notes:a')) Y.applyUpdate(logged, update);
    expect(logged.getText('t').toString()).toBe(doc.getText('t').toString());
  }
  // And it is there for another engine on the same data.
  await open.server.shutdown();
  const again = new RealtimeServer({
    cwd: open.cwd,
    env: environment(open.cwd),
    host: openHost(),
    config: { ...ROOMY, host: '127.0.0.1', port: 0 },
  });
  afterwards(() => again.shutdown());
  const { port } = await again.initialize();
  const reader = peer(LATEST, port!);
  await synced(reader);
  expect(reader.text.toString()).toBe(doc.getText('t').toString());
});
