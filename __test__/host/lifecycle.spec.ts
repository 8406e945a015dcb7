/** Contract 4 and 11: construction, services by name, start and stop, configuration. */

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { afterwards, ENTRY, temporaryFolder } from '../support.js';
import { makeCivic, startCivic } from './civic.js';

type Package = typeof import('../../index.js');

const realtime = (await import(ENTRY.href)) as Package;
const REVOKED = 'auth:sessions:revoked';

afterEach(() => {
  for (const name of ['REALTIME_ENABLED', 'CIVIC_REALTIME_ENABLED', 'CIVIC_REALTIME_PORT']) {
    delete process.env[name];
  }
});

it('is made at once, and listens from initialize to shutdown', async () => {
  const civic = await makeCivic();
  const { server } = civic;
  expect(server.getHealthStatus()).toMatchObject({
    status: 'unhealthy',
    server: { listening: false, port: null, host: null },
  });
  await server.initialize();
  await server.initialize();
  expect(server.getHealthStatus()).toMatchObject({
    status: 'healthy',
    server: { listening: true, port: expect.any(Number), host: '127.0.0.1' },
    connections: { total: 0, perUser: 0, perIP: 0 },
    rooms: { total: 0, maxRooms: 100 },
    rateLimiting: { activeClients: 0, messagesPerSecond: 10 },
  });
  await server.shutdown();
  await server.shutdown();
  expect(server.getHealthStatus().server.listening).toBe(false);
  await server.initialize();
  expect(server.getHealthStatus().server.listening).toBe(true);
});

it('may be stopped before it was started', async () => {
  const { server } = await makeCivic();
  await server.shutdown();
});

it('is made from services alone, as the API does it', async () => {
  const civic = await makeCivic({ folder: temporaryFolder() });
  const server = realtime.createRealtimeServer(
    {
      logger: {},
      hookSystem: civic.hooks,
      authService: civic.auth,
      recordManager: civic.records,
      databaseService: civic.database,
    },
    { dataDir: join(civic.folder, 'data') },
  );
  afterwards(() => server.shutdown());
  await server.initialize();
  expect(server.getHealthStatus().server.listening).toBe(true);
});

it('registers its services by name, each once', async () => {
  const { container, server } = await makeCivic();
  for (const name of ['realtimeConfigManager', 'realtimeServer']) {
    expect(container.isRegistered(name)).toBe(true);
    expect(container.resolve(name)).toBe(container.resolve(name));
  }
  expect(container.resolve('realtimeServer')).toBe(server);
  expect(container.resolve('realtimeConfigManager')).toBeInstanceOf(realtime.RealtimeConfigManager);
});

it("keeps its data below CivicPress's folder of system data", async () => {
  const { folder } = await startCivic();
  expect(existsSync(join(folder, '.system-data', 'realtime', 'realtime.db'))).toBe(true);
});

it('takes systemDataDir where CivicPress names one', async () => {
  const civic = await makeCivic();
  const systemDataDir = join(civic.folder, 'elsewhere');
  mkdirSync(systemDataDir);
  writeFileSync(join(systemDataDir, 'realtime.yml'), 'host: 127.0.0.1\nport: 0\n');
  const server = realtime.createRealtimeServer(
    { logger: {}, hookSystem: civic.hooks, authService: civic.auth, recordManager: civic.records },
    { dataDir: join(civic.folder, 'data'), systemDataDir },
  );
  afterwards(() => server.shutdown());
  await server.initialize();
  expect(existsSync(join(systemDataDir, 'realtime', 'realtime.db'))).toBe(true);
});

it('listens to revoked sessions while it runs, with one function', async () => {
  const { hooks, server } = await makeCivic();
  await server.initialize();
  await server.initialize();
  expect(hooks.listeners(REVOKED)).toBe(1);
  await server.shutdown();
  expect(hooks.listeners(REVOKED)).toBe(0);
});

it('listens to revoked sessions before anybody can be in, and not after a start that failed', async () => {
  const { hooks, server } = await makeCivic();
  const register = vi.spyOn(hooks, 'registerHook').mockImplementationOnce((...given) => {
    expect(server.getHealthStatus().server.listening).toBe(false);
    hooks.registerHook(...given);
  });
  await server.initialize();
  expect(register).toHaveBeenCalled();
  expect(hooks.listeners(REVOKED)).toBe(1);
  const other = await makeCivic({ config: { port: server.getHealthStatus().server.port } });
  await expect(other.server.initialize()).rejects.toMatchObject({ code: 'REALTIME_BIND_FAILED' });
  expect(other.hooks.listeners(REVOKED)).toBe(0);
  expect(other.server.getSnapshotManager()).toBeNull();
});

it('runs with a hook bus that only emits', async () => {
  const civic = await makeCivic();
  const { emit } = civic.hooks;
  const server = realtime.createRealtimeServer(
    {
      logger: {},
      hookSystem: { emit: emit.bind(civic.hooks) },
      authService: civic.auth,
      recordManager: civic.records,
      databaseService: civic.database,
    },
    { dataDir: join(civic.folder, 'data') },
  );
  afterwards(() => server.shutdown());
  await server.initialize();
  await server.shutdown();
});

describe('enabled', () => {
  it.each([
    ['enabled: false in the file', { enabled: false }, {}],
    ['"false" as text in the file', { enabled: 'false' }, {}],
    ['REALTIME_ENABLED=false', {}, { REALTIME_ENABLED: 'false' }],
    ['CIVIC_REALTIME_ENABLED=false', {}, { CIVIC_REALTIME_ENABLED: 'false' }],
  ])('%s: initialize resolves and nothing listens', async (_what, config, env) => {
    Object.assign(process.env, env);
    const { hooks, server } = await makeCivic({ config });
    await server.initialize();
    expect(server.getHealthStatus().server).toMatchObject({ listening: false, port: null, host: null });
    expect(hooks.listeners(REVOKED)).toBe(0);
  });
});

it('starts with the defaults where there is no file', async () => {
  process.env['CIVIC_REALTIME_PORT'] = '0';
  const civic = await makeCivic();
  const server = realtime.createRealtimeServer(
    { logger: {}, hookSystem: civic.hooks, authService: civic.auth, recordManager: civic.records },
    { dataDir: join(temporaryFolder(), 'data') },
  );
  afterwards(() => server.shutdown());
  await server.initialize();
  expect(server.getHealthStatus()).toMatchObject({ server: { listening: true, host: '0.0.0.0' } });
});

it('does not start with a wrong file, and says what is wrong', async () => {
  const { server } = await makeCivic({ config: { rooms: { max_rooms: 0 } } });
  await expect(server.initialize()).rejects.toMatchObject({
    code: 'REALTIME_CONFIG_INVALID',
    message: expect.stringContaining('rooms.max_rooms'),
  });
  await server.shutdown();
});

it('does not claim to listen where the port is taken', async () => {
  const { port } = await startCivic();
  const { server } = await makeCivic({ config: { port } });
  await expect(server.initialize()).rejects.toMatchObject({ code: 'REALTIME_BIND_FAILED' });
  expect(server.getHealthStatus()).toMatchObject({ status: 'unhealthy', server: { listening: false } });
  await server.shutdown();
});

describe('RealtimeConfigManager', () => {
  const managerOf = (text?: string): InstanceType<Package['RealtimeConfigManager']> => {
    const folder = temporaryFolder();
    if (text !== undefined) writeFileSync(join(folder, 'realtime.yml'), text);
    return new realtime.RealtimeConfigManager(folder);
  };

  it('rejects where there is no file', async () => {
    await expect(managerOf().loadConfig()).rejects.toMatchObject({ code: 'REALTIME_CONFIG_MISSING' });
  });

  it.each([
    ['below realtime:', 'realtime:\n  port: 4000\n  rate_limiting:\n    messages_per_second: 15\n'],
    ['at the top', 'port: 4000\nrate_limiting:\n  messages_per_second: 15\n'],
  ])('puts what the file says %s over the defaults', async (_where, text) => {
    expect(await managerOf(text).loadConfig()).toMatchObject({
      enabled: true,
      port: 4000,
      host: '0.0.0.0',
      path: '/realtime',
      rate_limiting: { messages_per_second: 15, connections_per_ip: 100, connections_per_user: 10 },
    });
  });

  it('rejects a file that is wrong', async () => {
    await expect(managerOf('port: many\n').loadConfig()).rejects.toMatchObject({
      code: 'REALTIME_CONFIG_INVALID',
    });
  });

  it('has the documented defaults', () => {
    expect(managerOf('port: 5\n').getDefaultConfig()).toMatchObject({
      enabled: true,
      port: 3001,
      host: '0.0.0.0',
      path: '/realtime',
      rooms: { max_rooms: 100, cleanup_timeout: 3600, grace_period_ms: 300_000 },
      snapshots: { enabled: true, interval: 300, max_updates: 100, storage: 'database' },
      rate_limiting: { messages_per_second: 10, connections_per_ip: 100, connections_per_user: 10 },
      connection_cleanup: { enabled: true, check_interval: 60, stale_threshold: 600 },
    });
  });

  it('finds nothing wrong with its defaults', () => {
    const manager = managerOf('port: many\n');
    manager.validateConfig(manager.getDefaultConfig());
  });

  it.each([
    ['port', { port: -1 }],
    ['port', { port: 65_536 }],
    ['rooms.max_rooms', { rooms: { max_rooms: 0 } }],
    ['rate_limiting.messages_per_second', { rate_limiting: { messages_per_second: 0 } }],
    ['rate_limiting.connections_per_ip', { rate_limiting: { connections_per_ip: -1 } }],
    ['rate_limiting.connections_per_user', { rate_limiting: { connections_per_user: 0 } }],
    ['snapshots.interval', { snapshots: { interval: -1 } }],
    ['snapshots.storage', { snapshots: { storage: 'tape' } }],
    ['connection_cleanup.check_interval', { connection_cleanup: { check_interval: 0 } }],
    ['connection_cleanup.stale_threshold', { connection_cleanup: { stale_threshold: 0 } }],
  ])('refuses a wrong %s: %o', (key, wrong) => {
    const config = { ...managerOf().getDefaultConfig(), ...wrong };
    const validate = (): void => managerOf().validateConfig(config as never);
    expect(validate).toThrow(expect.objectContaining({ code: 'REALTIME_CONFIG_INVALID' }));
    expect(validate).toThrow(key);
  });
});
