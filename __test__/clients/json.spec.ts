/** A client written from the first documents' samples, beside a stock one. */

import WebSocket from 'ws';
import { expect, it } from 'vitest';
import * as Y from 'yjs';

import { afterwards, until } from '../support.js';
import { LATEST, openServer, peer, synced } from './support.js';

interface Message {
  type: string;
  event?: string;
  update?: string;
  version?: number;
  from?: string;
  user?: { id: string; name: string; color: string };
  cursor?: { position: number };
  room?: { id: string; participants: { id: string }[]; yjsState: string; version: number };
  notice?: { level: string; message: string };
}

/** As the documents print it: the token in a subprotocol, `JSON.parse` of whatever comes. */
function documented(port: number, token: string, path = 'notes/a') {
  const doc = new Y.Doc();
  const seen: Message[] = [];
  const closes: number[] = [];
  const socket = new WebSocket(`ws://127.0.0.1:${port}/realtime/${path}`, [`auth.${token}`]);
  afterwards(() => socket.terminate());
  const say = (message: object): void => socket.send(JSON.stringify(message));
  socket.on('close', (code) => closes.push(code));
  socket.on('message', (data: Buffer) => {
    let message: Message;
    try {
      message = JSON.parse(data.toString()) as Message;
    } catch {
      // What a stock client would get, until the server has heard this one.
      return;
    }
    seen.push(message);
    const update = message.type === 'sync' ? message.update : message.room?.yjsState;
    if (update !== undefined) Y.applyUpdate(doc, Buffer.from(update, 'base64'), 'server');
  });
  doc.on('update', (update: Uint8Array, origin) => {
    if (origin === 'server') return;
    say({ type: 'sync', update: Buffer.from(update).toString('base64'), version: 0 });
  });
  const opened = new Promise<void>((resolve) => socket.once('open', () => resolve()));
  const find = (event: string): Message | undefined => seen.find((message) => message.event === event);
  return { doc, text: doc.getText('t'), seen, closes, say, opened, find };
}

it('edits a document together with y-websocket', async () => {
  const { port } = await openServer();
  const ada = peer(LATEST, port);
  const text = ada.doc.getText('t');
  await synced(ada);
  text.insert(0, 'from ada ');
  const bo = documented(port, 'editor.bo');
  await bo.opened;
  bo.say({ type: 'presence', event: 'joined', user: { id: 'bo', color: '#3b82f6' } });
  await until(() => bo.text.toString() === 'from ada ');
  expect(bo.find('room_state')?.room).toMatchObject({ id: 'notes:a', version: 1 });
  expect(bo.find('room_state')?.room?.participants.map(({ id }) => id)).toEqual(['ada', 'bo']);
  bo.text.insert(9, 'from bo');
  await until(() => text.toString() === 'from ada from bo');
  text.insert(0, '> ');
  await until(() => bo.text.toString() === '> from ada from bo');
  expect(bo.seen.filter(({ type }) => type === 'sync').map(({ from }) => from)).toEqual(['ada']);
  expect(ada.traffic.text).toEqual([]);

  bo.say({ type: 'presence', event: 'cursor', user: { id: 'bo' }, cursor: { position: 3 } });
  const states = (): unknown[] => [...ada.provider.awareness.getStates().values()];
  await until(() => states().some((state) => (state as { textCursor?: object }).textCursor));
  expect(states()).toContainEqual({
    user: { id: 'bo', name: 'bo', color: '#3b82f6' },
    textCursor: { position: 3 },
  });
  ada.provider.awareness.setLocalStateField('user', { name: 'Ada' });
  await until(() => bo.seen.some(({ event, user }) => event === 'awareness' && user?.id === 'ada'));
});

it('is kept in order by the host', async () => {
  const { port, server } = await openServer();
  const ada = peer(LATEST, port);
  const text = ada.doc.getText('t');
  const bo = documented(port, 'editor.bo', 'notes/a?protocol=json');
  await synced(ada);
  await until(() => bo.find('room_state') !== undefined);
  expect(await server.notifyRoom('notes:a', 'Published in another tab', 'warning')).toBe(2);
  await until(() => bo.find('notice') !== undefined);
  expect(bo.find('notice')?.notice).toEqual({ level: 'warning', message: 'Published in another tab' });

  expect(await server.lockRoom('notes:a')).toBe(2);
  await until(() => bo.find('lock') !== undefined);
  text.insert(0, 'held back');
  expect(await server.unlockRoom('notes:a')).toBe(2);
  await until(() => bo.text.toString() === 'held back');

  expect(await server.kickUser('notes:a', 'bo', 'off topic')).toBe(1);
  await until(() => bo.closes.length > 0);
  expect(bo.closes).toEqual([4403]);
  const health = server.getHealthStatus();
  expect(health.counts.disconnects).toMatchObject({ KICKED: 1 });
  expect(health.server.connections).toBe(health.connections.total);
  expect(health.rooms).toMatchObject({ total: 1 });
  expect(await server.lockRoom('notes:nobody')).toBe(0);
});
