/** Rooms that JavaScript handles (sections 5 to 7 of the contract), with a device type like CivicPress's. */

import { expect, it, vi } from 'vitest';

import type {
  AuthResult,
  ClientData,
  ConnectionContext,
  DisconnectContext,
  MessageContext,
  RoomTypeHandler,
} from '../../index.js';
import { connect, makeServer, memoryHost, outcome, RealtimeServer, until } from '../support.js';
import { device, DeviceHandler, DeviceRoom } from './devices.js';

const CLIENT_ID = /^client_\d+_[0-9a-z]{7}$/;

function rooms(server: InstanceType<typeof RealtimeServer>) {
  const made: DeviceRoom[] = [];
  server.getRoomManager().registerRoomType('device', {
    createRoom: (roomId, config) => {
      made.push(new DeviceRoom(roomId, config, server));
      return made.at(-1)!;
    },
    supportsRoomType: (roomType) => roomType === 'device',
  });
  return made;
}

/** A server that serves devices, all of it registered before the start. */
async function start(handler: RoomTypeHandler = new DeviceHandler(), config: Record<string, unknown> = {}) {
  const { host, hooks } = memoryHost();
  const server = makeServer({ host, config });
  const made = rooms(server);
  server.registerRoomTypeHandler(handler);
  const { port } = await server.initialize();
  return { server, hooks, made, port: port! };
}

/** Connects and takes the acknowledgement. */
async function join(port: number, token = 'device-7', path?: string) {
  const client = device(port, token, path);
  const ack = await client.next();
  expect(ack).toMatchObject({ type: 'control', event: 'connection.ack' });
  return { ...client, clientId: String(ack['clientId']) };
}

it('calls a handler in order and speaks JSON text both ways', async () => {
  const handler = new DeviceHandler();
  const { server, hooks, made, port } = await start(handler);
  const client = await join(port);
  expect(client.clientId).toMatch(CLIENT_ID);
  client.say({ type: 'session.manifest', payload: { session: 1 } });
  await until(() => handler.messages.length === 1);

  const [context] = handler.contexts;
  expect(context).toMatchObject({
    clientId: client.clientId,
    clientIp: '127.0.0.1',
    token: 'device-7',
    roomId: '7f',
    fullRoomId: 'device:7f',
    url: '/realtime/devices/7f',
    protocols: ['auth.device-7'],
  });
  expect(context?.headers?.['upgrade']).toBe('websocket');
  const [message] = handler.messages;
  expect(message?.message).toEqual({ type: 'session.manifest', payload: { session: 1 } });
  expect(JSON.parse(message!.rawData.toString())).toEqual(message?.message);
  expect(message?.auth.deviceAuth).toEqual({ deviceId: '7', deviceUuid: '7f', organizationId: 'town' });
  expect(message?.room).toMatchObject({ roomId: 'device:7f', roomType: 'device' });
  expect(message?.room.getState().participants).toEqual([
    expect.objectContaining({
      id: client.clientId,
      roomId: 'device:7f',
      userId: '7',
      username: 'device:7f',
      role: 'device',
      isDevice: true,
    }),
  ]);
  message?.ws.send(JSON.stringify({ type: 'command', action: 'start' }));
  expect(await client.next()).toEqual({ type: 'command', action: 'start' });

  client.socket.close();
  await until(() => handler.left.length === 1);
  expect(handler.calls).toEqual(['onConnect', 'onPostConnect', 'session.manifest', 'onDisconnect']);
  expect(made).toHaveLength(1);
  expect(made[0]?.clients.size).toBe(0);
  expect(server.connections.size).toBe(0);
  const names = hooks.map(({ name }) => name);
  expect(names).toEqual([
    'realtime:room:created',
    'realtime:client:connected',
    'realtime:client:disconnected',
  ]);
  const about = { clientId: client.clientId, roomId: 'device:7f', roomType: 'device' };
  expect(hooks[1]?.data).toMatchObject(about);
});

it('goes through maps, room, acknowledgement, handler and hook in this order, and back', async () => {
  const steps: string[] = [];
  /** What whoever is called finds. */
  const note = (step: string, clientId: string): void => {
    const inMaps = server.connections.has(clientId) && server.clientToDevice.has(clientId);
    const inRoom = made[0]?.clients.has(clientId) === true;
    steps.push(`${step}: ${inMaps ? 'in the maps' : 'not in the maps'}, ${inRoom ? 'in the room' : 'not'}`);
  };
  class Telling extends DeviceRoom {
    override addClient(clientId: string, data: ClientData): void {
      note('addClient', clientId);
      // Takes the way of all frames: what is sent here comes before the acknowledgement.
      server.connections.get(clientId)?.send('{"type":"from addClient"}');
      super.addClient(clientId, data);
    }
    override removeClient(clientId: string): void {
      note('removeClient', clientId);
      super.removeClient(clientId);
    }
  }
  class Noting extends DeviceHandler {
    override async onConnect(context: ConnectionContext): Promise<AuthResult> {
      note('onConnect', context.clientId);
      return super.onConnect(context);
    }
    override async onPostConnect(context: ConnectionContext): Promise<void> {
      note('onPostConnect', context.clientId);
      context.ws.send('{"type":"from onPostConnect"}');
      throw new Error('on purpose: onPostConnect');
    }
    override onDisconnect(context: DisconnectContext): void {
      note('onDisconnect', context.clientId);
    }
  }
  const { host } = memoryHost();
  host.emitHook = (name) => void (name.includes(':client:') && steps.push(name));
  const server = makeServer({ host });
  const made: DeviceRoom[] = [];
  server.getRoomManager().registerRoomType('device', {
    createRoom: (roomId, config) => (made[0] = new Telling(roomId, config, server)),
    supportsRoomType: () => true,
  });
  server.registerRoomTypeHandler(new Noting());
  const { port } = await server.initialize();
  const client = device(port!, 'device-7');
  const came = [await client.next(), await client.next(), await client.next()];
  expect(came.map(({ type, event }) => event ?? type)).toEqual([
    'from addClient',
    'connection.ack',
    'from onPostConnect',
  ]);
  client.socket.close();
  await until(() => steps.includes('realtime:client:disconnected'));
  expect(steps).toEqual([
    'onConnect: not in the maps, not',
    'addClient: in the maps, not',
    'onPostConnect: in the maps, in the room',
    'realtime:client:connected',
    'onDisconnect: not in the maps, in the room',
    'removeClient: not in the maps, in the room',
    'realtime:client:disconnected',
  ]);
});

it('shows connections and devices in maps that are clean after them', async () => {
  const { server, made, port } = await start();
  const client = await join(port);
  expect([...server.connections.keys()]).toEqual([client.clientId]);
  expect(server.connections.get(client.clientId)?.readyState).toBe(1);
  expect(server.getConnection(client.clientId)).toBe(server.connections.get(client.clientId));
  expect(server.clientToDevice.get(client.clientId)).toEqual({
    deviceId: '7',
    deviceUuid: '7f',
    organizationId: 'town',
  });
  expect([...server.getConnectionCounts()]).toEqual([['127.0.0.1', 1]]);
  expect(server.getUserConnections().get('device:7')).toEqual(new Set([client.clientId]));

  expect(made[0]?.sendToDevice({ type: 'command', id: 1 })).toBe(true);
  expect(await client.next()).toEqual({ type: 'command', id: 1 });

  const socket = server.connections.get(client.clientId)!;
  const told = new Promise((resolve) => socket.on('close', (code) => resolve(code)));
  client.socket.close();
  await told;
  expect(socket.readyState).toBe(3);
  expect(made[0]?.sendToDevice({ type: 'command', id: 2 })).toBe(false);
  for (const map of [
    server.connections,
    server.clientToDevice,
    server.getConnectionCounts(),
    server.getUserConnections(),
  ]) {
    expect(map.size).toBe(0);
  }
});

it('shows document connections in the same maps, before their clients know', async () => {
  const { server, port } = await start();
  const client = connect(port, 'records:a', 'editor');
  expect(await outcome(client)).toBe('synced');
  const [clientId] = [...server.connections.keys()];
  expect(clientId).toMatch(CLIENT_ID);
  expect([...server.getUserConnections().keys()]).toEqual(['editor']);
  const room = server.getRoomManager().getRoom('records:a')!;
  expect(room.getState()).toMatchObject({
    roomId: 'records:a',
    roomType: 'records',
    participants: [{ id: clientId, userId: 'editor' }],
  });
  const { version } = room.getState();
  client.doc.getXmlFragment('default').delete(0, 1);
  await until(() => room.getState().version > version);
  client.provider.destroy();
  await until(() => server.connections.size === 0);
  expect(server.getConnectionCounts().size + server.getUserConnections().size).toBe(0);
});

it('gives one object per room for the whole of its life', async () => {
  const { server, made, port } = await start(undefined, { rooms: { grace_period_ms: 50 } });
  const manager = server.getRoomManager();
  expect(manager.getRoom('device:7f')).toBeNull();
  const room = manager.getOrCreateRoom('device:7f', 'device', {});
  const client = await join(port);
  expect(manager.getOrCreateRoom('device:7f', 'device')).toBe(room);
  expect(made).toEqual([room]);
  const another = new (manager.constructor as typeof import('../../index.js').RoomManager)({}, server);
  expect(another.getRoom('device:7f')).toBe(room);
  expect(() => manager.getOrCreateRoom('doors:1', 'doors')).toThrow(
    expect.objectContaining({ code: 'ROOM_NOT_FOUND' }),
  );
  client.socket.close();
  await until(() => manager.getRoom('device:7f') === null);
  expect(made[0]?.destroyed).toBe(true);

  const before = manager.getOrCreateRoom('records:a', 'records');
  expect(manager.getRoom('records:a')).toBeNull();
  const first = connect(port, 'records:a', 'editor');
  expect(await outcome(first)).toBe('synced');
  expect(manager.getRoom('records:a')).toBe(before);
  expect(manager.getOrCreateRoom('records:a', 'records')).toBe(before);
  first.provider.destroy();
  await until(() => manager.getRoom('records:a') === null);
  expect(await outcome(connect(port, 'records:a', 'editor'))).toBe('synced');
  expect(manager.getRoom('records:a')).not.toBe(before);
});

it('takes types and handlers after the start, and a new handler from the next connection on', async () => {
  const { host } = memoryHost();
  const server = makeServer({ host });
  const { port } = await server.initialize();
  expect(await device(port!, 'device-7').closed).toEqual({
    code: 4004,
    reason: '{"code":"ROOM_TYPE_NOT_REGISTERED","roomType":"device"}',
  });
  rooms(server);
  const [first, second] = [new DeviceHandler(), new DeviceHandler()];
  server.registerRoomTypeHandler(first);
  expect(server.getHandlerRegistry().hasHandler('device')).toBe(true);
  const one = await join(port!);
  server.registerRoomTypeHandler(second);
  const two = await join(port!, 'device-8');
  one.say({ type: 'to the first' });
  two.say({ type: 'to the second' });
  await until(() => first.messages.length + second.messages.length === 2);
  expect(first.calls.at(-1)).toBe('to the first');
  expect(second.calls.at(-1)).toBe('to the second');
  expect(server.getHandlerRegistry().unregisterRoomTypeHandler('device')).toBe(true);
  expect((await device(port!, 'device-9').closed).code).toBe(4004);
});

it('tells a refusal, an error and a missing identity by frame and code', async () => {
  class Odd extends DeviceHandler {
    override async onConnect(context: ConnectionContext): Promise<AuthResult> {
      if (context.token === 'throws-1') throw Object.assign(new Error('no such device'), { code: 'GONE' });
      if (context.token === 'nobody-1') return { success: true };
      if (context.token === 'closes-1') {
        context.ws.send('{"type":"sorry"}');
        context.ws.close(4005, 'not today');
      }
      return super.onConnect(context);
    }
  }
  const { server, port } = await start(new Odd());
  for (const [token, code, told] of [
    ['unknown-1', 4003, 'PERMISSION_DENIED'],
    ['throws-1', 4003, 'GONE'],
    ['nobody-1', 4001, 'AUTH_FAILED'],
  ] as const) {
    const client = device(port, token);
    expect(await client.next()).toMatchObject({ event: 'error', error: { code: told } });
    expect((await client.closed).code).toBe(code);
  }
  const closes = device(port, 'closes-1');
  expect(await closes.next()).toEqual({ type: 'sorry' });
  expect(await closes.closed).toEqual({ code: 4005, reason: 'not today' });
  expect(server.connections.size + server.getConnectionCounts().size).toBe(0);
});

it('asks the host who it is, unless the handler authenticates', async () => {
  class Desk extends DeviceHandler {
    override readonly authenticatesConnection = false;
    override async onConnect(context: ConnectionContext): Promise<AuthResult> {
      this.contexts.push(context);
      return { success: true };
    }
  }
  const handler = new Desk();
  const { server, port } = await start(handler);
  expect((await device(port, 'nonsense').closed).code).toBe(4001);
  expect(handler.contexts).toHaveLength(0);
  await join(port, 'viewer');
  expect([...server.getUserConnections().keys()]).toEqual(['viewer']);
});

it('keeps what comes before the handler is ready, in order', async () => {
  let release = (): void => {};
  class Slow extends DeviceHandler {
    override async onPostConnect(): Promise<void> {
      await new Promise<void>((resolve) => (release = resolve));
      this.calls.push('onPostConnect');
    }
  }
  const handler = new Slow();
  const { port } = await start(handler);
  const client = device(port, 'device-7');
  client.socket.on('open', () => {
    for (let number = 0; number < 10; number += 1) client.say({ type: number });
    client.say({ type: 'ping' });
  });
  expect(await client.next()).toMatchObject({ event: 'connection.ack' });
  // The pong says that all before it has been read.
  expect(await client.next()).toMatchObject({ type: 'pong' });
  expect(handler.calls).toEqual(['onConnect']);
  release();
  await until(() => handler.messages.length === 10);
  expect(handler.calls).toEqual(['onConnect', 'onPostConnect', ...'0123456789']);
});

it('leaks nothing when the socket closes during a slow onPostConnect', async () => {
  let release = (): void => {};
  class Slow extends DeviceHandler {
    override async onPostConnect(): Promise<void> {
      await new Promise<void>((resolve) => (release = resolve));
    }
  }
  const handler = new Slow();
  const { server, made, port } = await start(handler);
  const client = await join(port);
  expect(server.connections.size).toBe(1);
  client.socket.close();
  await until(() => server.connections.size === 0);
  release();
  await join(port);
  expect([...server.getConnectionCounts()]).toEqual([['127.0.0.1', 1]]);
  expect(server.getUserConnections().get('device:7')?.size).toBe(1);
  expect(server.clientToDevice.size).toBe(1);
  expect(made[0]?.clients.size).toBe(1);
  expect(handler.calls).not.toContain('onDisconnect');
});

it('keeps the order of a thousand messages', async () => {
  const handler = new DeviceHandler();
  const { port } = await start(handler, { rate_limiting: { messages_per_second: 10_000 } });
  const client = await join(port);
  const numbers = Array.from({ length: 1000 }, (_, number) => String(number));
  for (const number of numbers) client.say({ type: number });
  client.socket.close();
  await until(() => handler.left.length === 1);
  expect(handler.calls).toEqual(['onConnect', 'onPostConnect', ...numbers, 'onDisconnect']);
});

it('reads no more from whom a slow handler is behind with, and serves the others', async () => {
  const held: (() => void)[] = [];
  let busy = true;
  class Busy extends DeviceHandler {
    override async onMessage(context: MessageContext): Promise<void> {
      await super.onMessage(context);
      if (busy && context.auth.deviceAuth?.deviceId === '7') {
        await new Promise<void>((resolve) => held.push(resolve));
      }
    }
  }
  const handler = new Busy();
  const { port } = await start(handler, { rate_limiting: { messages_per_second: 10_000 } });
  const behind = await join(port);
  for (let number = 0; number < 500; number += 1) behind.say({ type: number });
  await until(() => held.length === 64);
  const other = await join(port, 'device-8');
  other.say({ type: 'hello' });
  await until(() => handler.calls.at(-1) === 'hello');
  expect(held).toHaveLength(64);
  busy = false;
  for (const release of held) release();
  await until(() => handler.messages.length === 501);
});

it('survives a handler that throws wherever it can', async () => {
  const thrown = vi.fn((where: string): never => {
    throw new Error(`on purpose: ${where}`);
  });
  class Throwing extends DeviceHandler {
    override async onPostConnect(): Promise<void> {
      thrown('onPostConnect');
    }
    override async onMessage(context: MessageContext): Promise<void> {
      await super.onMessage(context);
      if ((context.message as { type: string }).type === 'bad') thrown('onMessage');
      context.sendError(Object.assign(new Error('not known'), { code: 'UNKNOWN_MESSAGE' }));
    }
    override onDisconnect(): void {
      thrown('onDisconnect');
    }
  }
  const { server, made, port } = await start(new Throwing());
  const client = await join(port);
  client.say({ type: 'bad' });
  client.say({ type: 'good' });
  expect(await client.next()).toEqual({
    type: 'control',
    event: 'error',
    error: { code: 'UNKNOWN_MESSAGE', message: 'not known' },
  });
  client.socket.close();
  await until(() => server.connections.size === 0);
  expect(thrown.mock.calls.flat()).toEqual(['onPostConnect', 'onMessage', 'onDisconnect']);
  expect(made[0]?.clients.size).toBe(0);
  await join(port);
});

it('closes whom a hanging onConnect keeps waiting, and nobody else', async () => {
  class Hanging extends DeviceHandler {
    override onConnect(context: ConnectionContext): Promise<AuthResult> {
      return context.token === 'hangs-1' ? new Promise(() => {}) : super.onConnect(context);
    }
  }
  const { server, port } = await start(new Hanging(), { auth: { timeout_ms: 300 } });
  const hanging = device(port, 'hangs-1');
  await join(port);
  expect(await hanging.closed).toEqual({ code: 4500, reason: '{"code":"HANDLER_FAILED"}' });
  expect(server.connections.size).toBe(1);
});

it('has the handler take a snapshot of a room on request, before its end, and at the stop', async () => {
  const taken: { room: unknown; destroyed: boolean }[] = [];
  class Keeper extends DeviceHandler {
    async snapshot(room: DeviceRoom): Promise<void> {
      taken.push({ room, destroyed: room.destroyed });
      throw new Error('on purpose: snapshot');
    }
  }
  const { server, made, port } = await start(new Keeper(), { rooms: { grace_period_ms: 0 } });
  const client = await join(port);
  await server.finalizeRoomSnapshot({ roomId: 'device:7f' });
  expect(taken).toEqual([{ room: made[0], destroyed: false }]);
  client.socket.close();
  await until(() => server.getRoomManager().getRoom('device:7f') === null);
  expect(taken).toHaveLength(2);
  expect(made[0]?.destroyed).toBe(true);
  await join(port);
  await server.shutdown();
  expect(taken.at(-1)).toEqual({ room: made[1], destroyed: false });
  expect(taken).toHaveLength(3);
});

it('closes whom its room cannot be made for, and nobody else', async () => {
  const { server, port } = await start();
  server.getRoomManager().registerRoomType('device', {
    createRoom: (roomId, config) => {
      if (roomId === 'device:bad') throw new Error('on purpose: createRoom');
      return new DeviceRoom(roomId, config, server);
    },
    supportsRoomType: (roomType) => roomType === 'device',
  });
  const refused = device(port, 'device-1', 'devices/bad');
  expect(await refused.next()).toMatchObject({ event: 'error', error: { code: 'HANDLER_FAILED' } });
  expect((await refused.closed).code).toBe(4500);
  expect(server.connections.size + server.getConnectionCounts().size + server.clientToDevice.size).toBe(0);
  await join(port);
  expect(server.getHealthStatus().connections.total).toBe(1);
});

it('passes messages on to the room and to one client', async () => {
  class Relay extends DeviceHandler {
    override async onMessage({ message, clientId, broadcastToRoom, sendToClient }: MessageContext) {
      const { to } = message as { to?: string };
      if (to === undefined) broadcastToRoom(message, clientId);
      else sendToClient(to, message);
    }
  }
  const { port } = await start(new Relay());
  const [one, two] = [await join(port), await join(port, 'user-3')];
  two.say({ type: 'preview.answer' });
  expect(await one.next()).toEqual({ type: 'preview.answer' });
  one.say({ type: 'status', to: two.clientId });
  expect(await two.next()).toEqual({ type: 'status', to: two.clientId });
});

it('revokes a user at once and leaves devices alone', async () => {
  const handler = new DeviceHandler();
  const { server, made, port } = await start(handler);
  const [watching, unharmed] = [await join(port, 'user-7'), await join(port, 'device-7')];
  const record = connect(port, 'records:a', 'editor');
  expect(await outcome(record)).toBe('synced');
  record.provider.shouldConnect = false;

  expect(server.revokeUserConnections(7, 'left the office')).toBe(1);
  expect(server.getUserConnections().has('7')).toBe(false);
  expect(server.connections.has(watching.clientId)).toBe(false);
  expect(handler.calls.at(-1)).toBe('onDisconnect');
  expect([...(made[0]?.clients.keys() ?? [])]).toEqual([unharmed.clientId]);
  expect(await watching.next()).toMatchObject({ event: 'session.revoked', reason: 'left the office' });
  expect((await watching.closed).code).toBe(4001);

  expect(server.revokeUserConnections('editor')).toBe(1);
  expect([...server.connections.keys()]).toEqual([unharmed.clientId]);
  expect((await record.closed).code).toBe(4001);
  expect([...server.getConnectionCounts()]).toEqual([['127.0.0.1', 1]]);
  expect(server.connections.get(unharmed.clientId)?.readyState).toBe(1);
});

it('keeps rooms to rooms.max_rooms, whoever made them', async () => {
  const config = { rooms: { max_rooms: 1, grace_period_ms: 0 } };
  const { server, port } = await start(undefined, config);
  const first = await join(port);
  const second = device(port, 'device-8', 'devices/8a');
  expect(await second.next()).toMatchObject({ error: { code: 'ROOM_LIMIT_REACHED' } });
  expect((await second.closed).code).toBe(4503);
  const refused = connect(port, 'records:a', 'editor');
  expect(await outcome(refused)).toMatchObject({ code: 4503 });
  // It would come back by itself, and take the place as soon as there is one.
  refused.provider.disconnect();
  await join(port, 'device-9');
  expect(server.getHealthStatus()).toMatchObject({ status: 'unhealthy', rooms: { total: 1, maxRooms: 1 } });
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  expect(metrics).toContain('\ncivicpress_realtime_rooms 1\n');

  for (const connection of server.connections.values()) connection.close();
  await first.closed;
  await until(() => server.getHealthStatus().rooms.total === 0);
  const record = connect(port, 'records:a', 'editor');
  expect(await outcome(record)).toBe('synced');
  const late = device(port, 'device-7');
  expect(await late.next()).toMatchObject({ error: { code: 'ROOM_LIMIT_REACHED' } });
});

/** Revokes `user` as soon as the engine counts a connection, in the same turn: this thread has heard of nothing. */
async function revokeMeanwhile(server: InstanceType<typeof RealtimeServer>, user: string): Promise<void> {
  // By then the answer that is on its way is with the engine.
  for (let hop = 0; hop < 100; hop += 1) await null;
  while (server.getHealthStatus().connections.total === 0);
  expect(server.revokeUserConnections(user)).toBe(1);
}

it('never shows who is revoked while the maps are about to be told', async () => {
  const { host } = memoryHost();
  const { authorize } = host;
  class Watched extends DeviceHandler {
    override async onConnect(context: ConnectionContext): Promise<AuthResult> {
      void revokeMeanwhile(server, '7');
      return super.onConnect(context);
    }
  }
  host.authorize = (caller, room) => {
    void revokeMeanwhile(server, 'editor');
    return authorize(caller, room);
  };
  const server = makeServer({ host });
  const made = rooms(server);
  const handler = new Watched();
  server.registerRoomTypeHandler(handler);
  const { port } = await server.initialize();
  const shown = vi.spyOn(server.connections, 'set');
  const record = connect(port!, 'records:a', 'editor');
  record.provider.shouldConnect = false;
  expect(await outcome(record)).toMatchObject({ code: 4001 });
  await until(() => server.getHealthStatus().connections.total === 0);
  const watching = device(port!, 'user-7');
  expect(await watching.next()).toMatchObject({ event: 'session.revoked' });
  expect((await watching.closed).code).toBe(4001);
  expect(shown).not.toHaveBeenCalled();
  expect({ made, calls: handler.calls }).toEqual({ made: [], calls: ['onConnect'] });
});

it('ends connections and rooms with the server, and serves again', async () => {
  const handler = new DeviceHandler();
  const { server, made, port } = await start(handler);
  const client = await join(port);
  await server.shutdown();
  expect((await client.closed).code).toBe(4503);
  expect(handler.calls.at(-1)).toBe('onDisconnect');
  expect(made[0]?.destroyed).toBe(true);
  expect(server.connections.size + server.getRoomManager().getRoomCount()).toBe(0);
  const { port: again } = await server.initialize();
  await join(again!);
});
