import { createConnection } from 'node:net';

import { expect, it } from 'vitest';

import { makeServer, temporaryFolder } from './support.js';

async function accepts(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

it('listens between initialize and shutdown', async () => {
  const server = makeServer();
  const { host, port } = await server.initialize();
  expect(host).toBe('127.0.0.1');
  expect(port).toBeGreaterThan(0);
  expect(await accepts(port!)).toBe(true);
  await server.shutdown();
  expect(await accepts(port!)).toBe(false);
});

it('tells its health before, while and after', async () => {
  const server = makeServer({ config: { rooms: { max_rooms: 7 } } });
  expect(server.getHealthStatus()).toMatchObject({
    status: 'unhealthy',
    server: { listening: false, port: null, host: null },
    connections: { total: 0, perUser: 0, perIP: 0 },
  });
  const { port } = await server.initialize();
  const health = server.getHealthStatus();
  expect(health).toMatchObject({
    status: 'healthy',
    server: { listening: true, port, host: '127.0.0.1' },
    rooms: { total: 0, maxRooms: 7 },
    store: { degraded: null, damage: null },
  });
  expect(health.memory.heapUsed).toBeGreaterThan(0);
  expect(health.rateLimiting.messagesPerSecond).toBeGreaterThan(0);
  await server.shutdown();
  expect(server.getHealthStatus()).toMatchObject({
    status: 'unhealthy',
    server: { listening: false, port: null, host: null },
  });
});

it('takes initialize and shutdown any number of times', async () => {
  const server = makeServer();
  await server.shutdown();
  const first = await server.initialize();
  expect(await server.initialize()).toEqual(first);
  await Promise.all([server.shutdown(), server.shutdown()]);
  await server.shutdown();
});

it('does what it was told in the order it was told', async () => {
  const server = makeServer();
  const [, , { port }] = await Promise.all([server.initialize(), server.shutdown(), server.initialize()]);
  expect(await accepts(port!)).toBe(true);
});

it('starts again after a shutdown, also in the same folder', async () => {
  const server = makeServer();
  for (let round = 0; round < 3; round += 1) {
    const { port } = await server.initialize();
    expect(await accepts(port!)).toBe(true);
    await server.shutdown();
  }
});

it('runs two servers in one process', async () => {
  const [one, two] = [makeServer(), makeServer()];
  const [first, second] = await Promise.all([one.initialize(), two.initialize()]);
  expect(first.port).not.toBe(second.port);
  await one.shutdown();
  expect(await accepts(second.port!)).toBe(true);
});

it('does not listen when enabled is false', async () => {
  const server = makeServer({ config: { enabled: false } });
  expect(await server.initialize()).toEqual({ host: null, port: null });
  expect(server.getHealthStatus().server.listening).toBe(false);
  await server.shutdown();
});

it('answers questions about rooms before it runs', async () => {
  const server = makeServer({ cwd: temporaryFolder() });
  expect(await server.triggerRecordSnapshot('a')).toMatchObject({ snapshotCreated: false, version: null });
  expect(server.revokeUserConnections('nobody')).toBe(0);
  expect(server.rooms()).toEqual([]);
  await expect(server.exportLog('records:a')).rejects.toMatchObject({ code: 'REALTIME_NOT_RUNNING' });
});
