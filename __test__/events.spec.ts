/** Rooms of events as the host has them, with real sockets. */

import { expect, test } from 'vitest';
import WebSocket from 'ws';

import type { EventFact, RealtimeHost } from '../index.js';
import { afterwards, makeServer, memoryHost, until } from './support.js';

type Message = Record<string, any>;

/** A client as go-deployd's pages have it. */
class Client {
  readonly heard: Message[] = [];
  closed: { code: number; reason: string } | undefined;

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (text) => this.heard.push(JSON.parse(String(text)) as Message));
    socket.on('close', (code, reason) => (this.closed = { code, reason: String(reason) }));
    afterwards(() => socket.terminate());
  }

  static async open(port: number, token?: string, path = '/socket.io/'): Promise<Client> {
    const client = new Client(new WebSocket(`ws://127.0.0.1:${port}${path}`));
    await until(() => client.heard.length > 0);
    if (token !== undefined) {
      client.say({ type: 'auth', token });
      await client.answer('auth');
    }
    return client;
  }

  say(message: Message): void {
    this.socket.send(JSON.stringify(message));
  }

  async answer(type: string): Promise<Message> {
    await until(() => this.heard.some((message) => message['type'] === type));
    return this.heard.find((message) => message['type'] === type)!;
  }

  async join(room: string): Promise<void> {
    this.say({ type: 'join', room, ack: room });
    await until(() => this.heard.some((message) => message['ack'] === room));
  }

  async event(name: string): Promise<Message> {
    await until(() => this.heard.some((message) => message['event'] === name));
    return this.heard.find((message) => message['event'] === name)!;
  }
}

async function start(host: RealtimeHost = memoryHost().host, config: Record<string, unknown> = {}) {
  const server = makeServer({ host, config });
  const { port } = await server.initialize();
  return { server, port: port! };
}

test('the host speaks to rooms and to everybody, and asks who is there', async () => {
  const { server, port } = await start();
  const ada = await Client.open(port, 'editor');
  const nobody = await Client.open(port);
  await ada.join('chat');
  expect(server.events.emitToRoom('chat', 'hello', { n: 1 })).toBe(true);
  expect(server.events.emitToAll('news')).toBe(true);
  expect(await ada.event('hello')).toMatchObject({ type: 'emit', room: 'chat', data: { n: 1 } });
  expect(await nobody.event('news')).not.toHaveProperty('room');
  expect(nobody.heard.some(({ event }) => event === 'hello')).toBe(false);
  for (const [name, data] of Object.entries({ zero: 0, empty: '', no: false })) {
    server.events.emitToRoom('chat', name, data);
    expect((await ada.event(name))['data']).toBe(data);
  }
  server.events.emitToRoom('chat', 'nothing', null);
  expect(await ada.event('nothing')).not.toHaveProperty('data');

  expect(await server.events.rooms()).toEqual([{ room: 'chat', members: 1 }]);
  expect(await server.events.presence('chat')).toMatchObject([{ user_id: 'editor', name: 'editor' }]);
  const [first] = await server.events.history('chat');
  expect(first).toMatchObject({ event: 'hello', data: { n: 1 }, offset: 1 });
  const all = await server.events.connections();
  expect(all.map(({ userId, rooms }) => [userId, rooms])).toEqual([
    ['editor', ['chat']],
    [null, []],
  ]);
  expect(await server.events.disconnect({ room: 'chat' }, 'moderated')).toBe(1);
  await until(() => ada.closed !== undefined);
  expect(ada.closed!.code).toBe(4403);
  expect(await server.events.connections({ userId: 'editor' })).toEqual([]);
});

test('what is said in a row of thousands arrives whole, in order, and holds the caller up for no time', async () => {
  const { server, port } = await start();
  const members = await Promise.all([1, 2, 3].map(() => Client.open(port, 'editor')));
  await Promise.all(members.map((member) => member.join('r')));
  for (let n = 0; n < 5000; n += 1) expect(server.events.emitToRoom('r', 'e', n)).toBe(true);
  for (const { heard } of members) {
    await until(() => heard.filter(({ event }) => event === 'e').length === 5000);
    const numbers = heard.filter(({ event }) => event === 'e').map(({ data }) => data as number);
    expect(numbers.every((number, at) => number === at)).toBe(true);
  }
});

test('nothing throws, running or not, whatever is said', async () => {
  const server = makeServer({ host: memoryHost().host, config: { enabled: false } });
  const cycle: Message = {};
  cycle['self'] = cycle;
  const quiet = async () => {
    expect(server.events.emitToAll('e')).toBe(false);
    expect(server.events.emitToRoom('r', 'e', 1n)).toBe(false);
    expect(server.events.emitToRoom('r', 'e', cycle)).toBe(false);
    expect(server.events.emitCollectionChange('todos', 'created', cycle)).toBe(false);
    expect(await server.events.rooms()).toEqual([]);
    expect(await server.events.presence('r')).toEqual([]);
    expect(await server.events.disconnect({})).toBe(0);
  };
  await quiet();
  await server.initialize();
  await quiet();
  await server.shutdown();
  await quiet();
});

test('collections are shown as the host says, without secrets', async () => {
  const { server, port } = await start();
  const ada = await Client.open(port, 'editor');
  await ada.join('collection:users');
  server.events.redact('users', (user) => (user['hidden'] ? null : { ...user, email: undefined }));
  const user = { id: 1, email: 'a@b', password: 'x', name: 'Ada' };
  expect(server.events.emitCollectionChange('users', 'created', user)).toBe(true);
  user.name = 'changed later';
  server.events.emitCollectionChange('users', 'updated', [{ id: 2, hidden: true }, { id: 3 }]);
  expect((await ada.event('created'))['data']).toEqual({ id: 1, name: 'Ada' });
  expect((await ada.event('updated'))['data']).toEqual({ id: 3 });
});

test('a change is told as it was when it was told: one, several, many, and what hooks bring', async () => {
  const handlers = new Map<string, (data: unknown) => void>();
  const host: RealtimeHost = {
    ...memoryHost().host,
    registerHook: (name, handler) => handlers.set(name, handler),
    removeHook: (name) => handlers.delete(name),
  };
  const { server, port } = await start(host);
  const ada = await Client.open(port, 'editor');
  await ada.join('collection:todos');
  await ada.join('collection:records');
  const one: Message = { id: 1, deep: { words: ['as', 'told'] }, gone: true };
  const several = [1, 2, 3].map((id): Message => ({ id, deep: { n: id } }));
  const many = Array.from({ length: 101 }, (_, id): Message => ({ id }));
  const record: Message = { id: 'budget', title: 'As told' };
  // A command that increments tells the whole document it leaves, as any other update does.
  const counted: Message = { id: 9, count: 1 };
  server.events.emitCollectionChange('todos', 'created', one);
  server.events.emitCollectionChange('todos', 'updated', several);
  server.events.emitCollectionChange('todos', 'deleted', many);
  for (let n = 0; n < 3; n += 1) {
    counted['count'] += 1;
    server.events.emitCollectionChange('todos', 'updated', counted);
  }
  server.events.emitToRoom('collection:todos', 'custom', one);
  handlers.get('record:updated')!({ record });
  one['deep'].words.push('later');
  delete one['gone'];
  for (const todo of several) todo['deep'].n = 'later';
  several.push({ id: 'later' });
  for (const todo of many) todo['id'] = 'later';
  record['title'] = 'later';
  counted['count'] = 'later';
  server.events.emitToRoom('collection:records', 'last');
  await ada.event('last');
  await until(() => ada.heard.filter(({ event }) => event === 'updated').length === 7);
  await ada.event('custom');
  const told = (room: string, event: string) =>
    ada.heard
      .filter((message) => message['room'] === room && message['event'] === event)
      .map(({ data }) => data);
  const whole = { id: 1, deep: { words: ['as', 'told'] }, gone: true };
  expect(told('collection:todos', 'created')).toEqual([whole]);
  expect(told('collection:todos', 'custom')).toEqual([whole]);
  expect(told('collection:todos', 'updated')).toEqual([
    ...[1, 2, 3].map((id) => ({ id, deep: { n: id } })),
    ...[2, 3, 4].map((count) => ({ id: 9, count })),
  ]);
  const ids = Array.from({ length: 101 }, (_, id) => id);
  expect(told('collection:todos', 'changed')).toEqual([{ type: 'deleted', count: 101, ids }]);
  expect(told('collection:records', 'updated')).toEqual([{ id: 'budget', title: 'As told' }]);
});

test("hooks of the host's records are changes of a collection", async () => {
  const handlers = new Map<string, (data: unknown) => void>();
  const host: RealtimeHost = {
    ...memoryHost().host,
    registerHook: (name, handler) => handlers.set(name, handler),
    removeHook: (name) => handlers.delete(name),
  };
  const { server, port } = await start(host);
  const ada = await Client.open(port, 'editor');
  await ada.join('collection:records');
  const record = { id: 'budget', title: 'Budget', status: 'draft', content: '# not for all' };
  handlers.get('record:created')!({ record, user: { id: 1 } });
  handlers.get('record:deleted')!({ recordId: 'budget' });
  handlers.get('record:updated')!(undefined);
  expect((await ada.event('created'))['data']).toEqual({ id: 'budget', title: 'Budget', status: 'draft' });
  expect((await ada.event('deleted'))['data']).toEqual({ id: 'budget' });
  await server.shutdown();
  expect([...handlers.keys()]).toEqual([]);

  const off = await start(host, { events: { record_changes: false } });
  const bo = await Client.open(off.port, 'editor');
  await bo.join('collection:records');
  handlers.get('record:created')!({ record });
  off.server.events.emitToRoom('collection:records', 'last');
  await bo.event('last');
  expect(bo.heard.some(({ event }) => event === 'created')).toBe(false);
});

test('a record that redact hides is not told', async () => {
  const handlers = new Map<string, (data: unknown) => void>();
  const host: RealtimeHost = {
    ...memoryHost().host,
    registerHook: (name, handler) => handlers.set(name, handler),
    removeHook: (name) => handlers.delete(name),
  };
  const { server, port } = await start(host);
  const ada = await Client.open(port, 'editor');
  await ada.join('collection:records');
  const created = handlers.get('record:created')!;
  server.events.redact('records', (record) => (record['status'] === 'draft' ? null : { id: record['id'] }));
  created({ record: { id: 'secret', title: 'Secret', status: 'draft' } });
  created({ record: { id: 'budget', title: 'Budget', status: 'published' } });
  server.events.redact('records', () => undefined);
  created({ record: { id: 'hidden' } });
  server.events.emitToRoom('collection:records', 'last');
  await ada.event('last');
  const told = ada.heard.filter(({ event }) => event === 'created').map(({ data }) => data as unknown);
  expect(told).toEqual([{ id: 'budget' }]);
});

test('who listens hears of joins, leaves and messages', async () => {
  const { server, port } = await start();
  const facts: [keyof EventFact, Message][] = [];
  const note =
    <K extends keyof EventFact>(kind: K) =>
    (fact: EventFact[K]) =>
      facts.push([kind, fact as Message]);
  const messages = note('message');
  server.events.on('join', note('join')).on('leave', note('leave')).on('message', messages);
  server.events.on('join', () => {
    throw new Error('on purpose');
  });
  const ada = await Client.open(port, 'editor');
  await ada.join('r');
  ada.say({ type: 'emit', room: 'r', event: 'e', data: [1] });
  await until(() => facts.length === 2);
  server.events.off('message', messages);
  ada.say({ type: 'emit', room: 'r', event: 'unheard' });
  ada.say({ type: 'leave', room: 'r' });
  await until(() => facts.length === 3);
  expect(facts.map(([kind]) => kind)).toEqual(['join', 'message', 'leave']);
  expect(facts[0]![1]).toMatchObject({ room: 'r', person: { user_id: 'editor' } });
  expect(facts[1]![1]).toMatchObject({ room: 'r', event: 'e', data: [1], from: { user_id: 'editor' } });
});

test('the host decides where the rules leave it to it', async () => {
  const asked: unknown[] = [];
  const host: RealtimeHost = {
    ...memoryHost().host,
    authorizeEvent: async (caller, room, action) => {
      asked.push([caller?.userId ?? null, room, action]);
      if (room === 'desk:broken') throw new Error('on purpose');
      return room === 'desk:1' && action === 'join';
    },
  };
  const { port } = await start(host, {
    events: { rules: [{ rooms: 'desk:*', join: 'host', emit: 'host' }] },
  });
  const nobody = await Client.open(port);
  await nobody.join('desk:1');
  expect(nobody.heard.at(-1)).toMatchObject({ type: 'joined', room: 'desk:1' });
  await nobody.join('desk:2');
  expect(nobody.heard.at(-1)).toMatchObject({ error: 'Permission denied' });
  await nobody.join('desk:broken');
  expect(nobody.heard.at(-1)).toMatchObject({ error: 'Authentication not available' });
  nobody.say({ type: 'emit', room: 'desk:1', event: 'e', ack: 'e' });
  await until(() => nobody.heard.at(-1)?.['ack'] === 'e');
  expect(nobody.heard.at(-1)).toMatchObject({ error: 'Permission denied' });
  expect(asked).toContainEqual([null, 'desk:1', 'emit']);
});
