/** Rooms of the client when joins, leaves, cuts and refusals cross each other, and when others do what they should not. */

import { expect, test } from 'vitest';
import WebSocket from 'ws';

import type { RealtimeHost } from '../index.js';
import { connect, cuttable, scripted, start } from './client-support.js';
import { memoryHost, until } from './support.js';

/** How a promise ends, in words if it is no success. */
const within = <T>(promise: Promise<T>, ms = 1500) =>
  Promise.race([
    promise.catch((e: Error & { code?: string }) => `rejected ${e.code ?? e}`),
    new Promise<string>((r) => setTimeout(() => r('never settles'), ms)),
  ]);

function moodyHost() {
  const mood = { down: false, no: false };
  const host: RealtimeHost = {
    ...memoryHost().host,
    authorizeEvent: async () => {
      if (mood.down) throw new Error('database is down');
      return !mood.no;
    },
  };
  return { mood, host };
}

test('a presence join that the host could not answer once can be asked for again', async () => {
  const { mood, host } = moodyHost();
  const { url } = await start(
    { events: { rules: [{ rooms: 'desk:*', join: 'host', presence: 'host' }] } },
    host,
  );
  const ada = connect(url, { token: 'editor' });
  await ada.join('desk:1');
  mood.down = true;
  expect(await within(ada.join('desk:1', { presence: true }))).toBe('rejected AUTH_UNAVAILABLE');
  mood.down = false;
  expect(await within(ada.join('desk:1', { presence: true }))).toMatchObject({ members: 1 });
});

test('after a presence join was refused, leave leaves', async () => {
  const { mood, host } = moodyHost();
  const { url, server } = await start(
    { events: { rules: [{ rooms: 'desk:*', join: 'host', presence: 'host' }] } },
    host,
  );
  const ada = connect(url, { token: 'editor' });
  const heard: unknown[] = [];
  ada.on('e', (data) => heard.push(data));
  await ada.join('desk:1');
  mood.down = true;
  await ada.join('desk:1', { presence: true }).catch(() => {});
  mood.down = false;
  await ada.leave('desk:1');
  server.events.emitToRoom('desk:1', 'e', 1);
  await ada.join('other');
  await new Promise((r) => setTimeout(r, 200));
  expect([heard, await server.events.presence('desk:1')]).toEqual([[], []]);
});

test('what is no JSON and said before the opening spoils nothing else', async () => {
  const { url } = await start();
  const ada = connect(url, { token: 'editor' });
  let opened = 0;
  ada.lifecycle.on('open', () => (opened += 1));
  const bad = within(ada.emit('e', { n: 1n }, 'r'));
  const good = within(ada.emit('e', 1, 'r'));
  expect([await bad, await good, opened]).toEqual([
    expect.stringContaining('rejected'),
    expect.anything(),
    1,
  ]);
  expect(await good).toMatchObject({ offset: 1 });
});

test('what is no JSON and said while open does not spoil the next connections', async () => {
  const { url } = await start();
  const { cut, sockets, ...options } = cuttable();
  const ada = connect(url, { token: 'editor', ...options });
  let opened = 0;
  ada.lifecycle.on('open', () => (opened += 1));
  await ada.join('r');
  expect(await within(ada.emit('e', { n: 1n }, 'r'))).toContain('rejected');
  cut();
  await until(() => !ada.isOpen);
  const good = within(ada.emit('e', 1, 'r'));
  expect([await good, opened]).toEqual([expect.objectContaining({ offset: 1 }), 2]);
});

test('what is said is what it was when it was said', async () => {
  const { url, server } = await start();
  const ada = connect(url, { token: 'editor' });
  const data = { n: 1 };
  const said = ada.emit('e', data, 'r');
  data.n = 2;
  await said;
  expect(await server.events.history('r')).toMatchObject([{ data: { n: 1 } }]);
});

test('without echo in a room of the newest, after a cut before the answer', async () => {
  const rules = [{ rooms: 'load:*', join: 'users', emit: 'users', latest: true }];
  const { url, server } = await start({ events: { rules } });
  const { cut, sockets, ...options } = cuttable();
  const ada = connect(url, { token: 'editor', ...options });
  const heard: unknown[] = [];
  ada.on('load', (data) => heard.push(data));
  await ada.join('load:a');
  sockets[0]!.deaf = true;
  const said = ada.emit('load', 'mine', 'load:a', { echo: false });
  await until(async () => (await server.events.history('load:a')).length === 1);
  cut();
  await said;
  await ada.presence('load:a');
  expect(heard).toEqual([]);
});

test('whoever asks for presence too, before the newest has come, hears the newest', async () => {
  const said: string[] = [];
  const { url } = await scripted(({ type, ack, since, room }, say) => {
    said.push(`${type} ${JSON.stringify(since)}`);
    if (type !== 'join') return;
    say({
      type: 'joined',
      ack,
      room,
      members: 1,
      offset: 7,
      epoch: 'e',
      ...(since ? { recovered: true } : {}),
    });
    // As two frames that do not come together; a browser's are two tasks even then.
    if (!since) setTimeout(() => say({ type: 'emit', event: 'load', room, data: 7, offset: 7 }), 50);
  });
  const ada = connect(url);
  const heard: unknown[] = [];
  ada.on('load', (data) => heard.push(data));
  await ada.join('load:a');
  await ada.join('load:a', { presence: true });
  await until(() => heard.length > 0);
  expect(heard).toEqual([7]);
});

test('a left that crosses a join, and a cut: the join settles', async () => {
  let joins = 0;
  const { url } = await scripted(({ type, ack, room }, say, socket) => {
    if (type !== 'join') return;
    joins += 1;
    if (joins === 2) {
      say({ type: 'left', room });
      setTimeout(() => socket.terminate(), 50);
      return;
    }
    say({ type: 'joined', ack, room, members: 1, offset: 0, epoch: 'e' });
  });
  const ada = connect(url);
  await ada.join('r');
  expect(await within(ada.join('r', { presence: true }))).not.toBe('never settles');
});

test('a left that crosses leave and join: the room is joined again after a cut', async () => {
  const heard: string[] = [];
  const { url } = await scripted(({ type, ack, room }, say, socket) => {
    heard.push(`${type} ${room}`);
    if (type === 'leave') {
      // Put out just before it came.
      say({ type: 'left', room });
      say({ type: 'left', room, ack });
    }
    if (type === 'join') say({ type: 'joined', ack, room, members: 1, offset: 0, epoch: 'e' });
    if (type === 'emit') socket.terminate();
  });
  const ada = connect(url);
  let opened = 0;
  ada.lifecycle.on('open', () => (opened += 1));
  await ada.join('r');
  void ada.leave('r');
  await ada.join('r');
  ada.emit('cut').catch(() => {});
  await until(() => opened >= 2);
  await until(() => heard.filter((one) => one === 'join r').length >= 3);
});

test('leaving while the connection is cut is no failure', async () => {
  const { url } = await scripted(({ type, ack, room }, say, socket) => {
    if (type === 'leave') socket.terminate();
    if (type === 'join') say({ type: 'joined', ack, room, members: 1, offset: 0, epoch: 'e' });
  });
  const ada = connect(url);
  await ada.join('r');
  expect(await within(ada.leave('r'))).toBe(undefined);
});

test('without echo, the answer and the replay in one piece', async () => {
  let sockets = 0;
  const { url } = await scripted(({ type, ack, room, since }, say, socket) => {
    if (type === 'join' && !since) {
      sockets = 1;
      say({ type: 'joined', ack, room, members: 1, offset: 0, epoch: 'e' });
    } else if (type === 'emit' && sockets === 1) {
      sockets = 2;
      socket.terminate();
    } else if (type === 'emit') {
      // What only the newest counts of goes after all else.
      const raw = (socket as unknown as { _socket: { cork(): void; uncork(): void } })._socket;
      raw.cork();
      say({ type: 'joined', ack: join, room, members: 1, offset: 1, epoch: 'e', recovered: true });
      say({ type: 'ack', ack, room, offset: 1 });
      say({ type: 'emit', event: 'load', room, data: 'mine', offset: 1, from: { client_id: 'client_1' } });
      raw.uncork();
    } else if (type === 'join') join = ack;
  });
  let join: unknown;
  const ada = connect(url);
  const heard: unknown[] = [];
  ada.on('load', (data) => heard.push(data));
  await ada.join('load:a');
  await ada.emit('load', 'mine', 'load:a', { echo: false });
  await new Promise((r) => setTimeout(r, 100));
  expect(heard).toEqual([]);
});

test('whoever asks for presence too hears the newest, as browsers give messages', async () => {
  const rules = [{ rooms: 'load:*', join: 'users', latest: true }];
  const { server, url } = await start({ events: { rules } });
  server.events.emitToRoom('load:a', 'load', 7);
  class Tasks extends WebSocket {
    constructor(at: string, protocols: string[]) {
      super(at, protocols, { allowSynchronousEvents: false });
    }
  }
  const ada = connect(url, { token: 'editor', WebSocket: Tasks });
  const heard: unknown[] = [];
  ada.on('load', (data) => heard.push(data));
  await ada.join('load:a');
  await ada.join('load:a', { presence: true });
  await until(() => heard.length > 0);
  expect(heard).toEqual([7]);
});

test('a token whose time is over when it is shown does not make a storm', async () => {
  let asked = 0;
  const host: RealtimeHost = {
    ...memoryHost().host,
    authenticate: async () => {
      asked += 1;
      return { id: 'ada', name: 'Ada', role: 'editor', expiresAt: Date.now() - 1 };
    },
  };
  const { url } = await start({}, host);
  connect(url, { token: () => 't' });
  await new Promise((r) => setTimeout(r, 1500));
  expect(asked).toBeLessThan(50);
});

test('after joining twice at once, a cut loses nothing', async () => {
  let joins = 0;
  const heard: unknown[] = [];
  const { url } = await scripted(({ type, ack, room, since }, say, socket) => {
    if (type !== 'join') return;
    joins += 1;
    heard.push(since);
    // The second waits for the host, and the connection is cut.
    if (joins === 1) {
      say({ type: 'joined', ack, room, members: 1, offset: 3, epoch: 'e' });
      say({ type: 'emit', event: 'e', room, data: 4, offset: 4 });
    }
    if (joins === 2) setTimeout(() => socket.terminate(), 50);
    if (joins === 3) say({ type: 'joined', ack, room, members: 1, offset: 9, epoch: 'e' });
  });
  const ada = connect(url);
  await until(() => ada.isOpen);
  const [first, second] = [ada.join('r'), ada.join('r', { presence: true })];
  await first;
  await second;
  expect(heard[2]).toEqual({ epoch: 'e', offset: 4 });
});

test('what is null is no document', async () => {
  const { server } = await start();
  server.events.emitCollectionChange('todos', 'deleted', [null as never]);
  await new Promise((r) => setTimeout(r, 100));
  expect(await server.events.history('collection:todos')).toEqual([]);
});

test('join tells the truth of a room that it was not let in again', async () => {
  let joins = 0;
  const { url } = await scripted(({ type, ack, room }, say, socket) => {
    if (type === 'emit') socket.terminate();
    if (type !== 'join') return;
    joins += 1;
    if (joins === 1) say({ type: 'joined', ack, room, members: 1, offset: 3, epoch: 'e' });
    else say({ type: 'error', ack, error: 'Room limit of the server reached', code: 'ROOM_LIMIT_REACHED' });
  });
  const ada = connect(url);
  const errors: string[] = [];
  ada.lifecycle.on('error', ({ code }) => errors.push(code));
  await ada.join('r');
  ada.emit('cut').catch(() => {});
  await until(() => errors.length >= 1);
  expect(await within(ada.join('r'), 500)).not.toMatchObject({ members: 1 });
});

test('after a presence join was refused for good, leave leaves', async () => {
  const said: unknown[] = [];
  const { url } = await scripted(({ type, ack, room, presence }, say) => {
    said.push(type);
    if (type === 'join' && presence)
      say({ type: 'error', ack, error: 'Permission denied', code: 'PERMISSION_DENIED' });
    else if (type === 'join') say({ type: 'joined', ack, room, members: 1, offset: 3, epoch: 'e' });
    else if (type === 'leave') say({ type: 'left', ack, room });
  });
  const ada = connect(url);
  await ada.join('r');
  await ada.join('r', { presence: true }).catch(() => {});
  await ada.leave('r');
  expect(said).toEqual(['join', 'join', 'leave']);
});

test('another history, and presence asked for while it comes back: in order and once', async () => {
  let socketsSeen = 0;
  const pending: Record<string, unknown>[] = [];
  const { url, server } = await scripted((message, say) => {
    const { type, ack, room } = message;
    if (type !== 'join') return;
    if (socketsSeen === 1) {
      say({ type: 'joined', ack, room, members: 1, offset: 2, epoch: 'e1' });
      return;
    }
    // Both joins are there before the first is answered.
    pending.push(message);
    if (pending.length < 2) return;
    for (const { ack } of pending) {
      say({ type: 'joined', ack, room, members: 1, offset: 3, epoch: 'e2', recovered: false });
      for (const offset of [1, 2, 3]) say({ type: 'emit', event: 'e', room, data: offset, offset });
    }
  });
  server.on('connection', () => (socketsSeen += 1));
  const ada = connect(url);
  const heard: unknown[] = [];
  let opened = 0;
  ada.on('e', (data) => heard.push(data));
  ada.lifecycle.on('open', () => {
    opened += 1;
    if (opened === 2) void ada.join('r', { presence: true });
  });
  await ada.join('r');
  for (const socket of server.clients) socket.terminate();
  await until(() => heard.includes(3));
  await new Promise((r) => setTimeout(r, 100));
  expect(heard).toEqual([1, 2, 3]);
});

test('who becomes somebody on the live connection is told who comes, as it asked', async () => {
  const { url } = await start({
    events: { rules: [{ rooms: 'desk:*', join: 'anyone', presence: 'users' }] },
  });
  const ada = connect(url);
  const came: unknown[] = [];
  ada.room('desk:1').on('presence:join', ({ user_id }) => came.push(user_id));
  await ada.join('desk:1', { presence: true });
  await ada.auth('editor');
  await ada.join('desk:1', { presence: true });
  const bo = connect(url, { token: 'viewer' });
  await bo.join('desk:1');
  await until(() => came.length > 0);
  expect(came).toEqual(['viewer']);
});

test('a server that says what is no JSON is left, and come back to', async () => {
  let sockets = 0;
  const { url } = await scripted(
    () => {},
    (socket) => {
      sockets += 1;
      if (sockets === 1) socket.send('{');
    },
  );
  const ada = connect(url);
  await until(() => sockets === 2 && ada.isOpen);
});

test('who was in and is not let in again is told', async () => {
  let joins = 0;
  const { url, server } = await scripted(({ type, ack, room }, say) => {
    if (type !== 'join') return;
    joins += 1;
    if (joins === 1) say({ type: 'joined', ack, room, members: 1, offset: 3, epoch: 'e' });
    else say({ type: 'error', ack, error: 'Permission denied', code: 'PERMISSION_DENIED' });
  });
  const ada = connect(url);
  const left: unknown[] = [];
  ada.lifecycle.on('left', (about) => left.push(about));
  await ada.join('r');
  for (const socket of server.clients) socket.terminate();
  await until(() => left.length > 0);
  expect(left).toEqual([{ room: 'r' }]);
});
