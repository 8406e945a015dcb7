import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import type { LogFields } from '../index.js';
import { afterwards, environment, makeServer, RealtimeError, silent, temporaryFolder } from './support.js';

async function failure(work: Promise<unknown>): Promise<InstanceType<typeof RealtimeError>> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RealtimeError);
  expect(error).toBeInstanceOf(Error);
  return error as InstanceType<typeof RealtimeError>;
}

describe('initialize rejects with a code', () => {
  it('when the port is taken', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    afterwards(() => blocker.close());
    await new Promise((resolve) => blocker.on('listening', resolve));
    const { port } = blocker.address() as AddressInfo;
    const server = makeServer({ config: { port } });
    const error = await failure(server.initialize());
    expect(error).toMatchObject({ name: 'RealtimeError', code: 'REALTIME_BIND_FAILED' });
    expect(error.message).toContain(String(port));
    // What the host does then: stop the half-made server. And once the port is free, it starts.
    await server.shutdown();
    await new Promise((resolve) => blocker.close(resolve));
    expect(await server.initialize()).toMatchObject({ port });
  });

  it('when a value is wrong, naming the key', async () => {
    const error = await failure(makeServer({ config: { rooms: { max_rooms: 'many' } } }).initialize());
    expect(error.code).toBe('REALTIME_CONFIG_INVALID');
    expect(error.message).toContain('rooms.max_rooms');
    expect(error.message).toContain('many');
  });

  it('when the file is not there', async () => {
    const error = await failure(makeServer({ configFile: '/nowhere/realtime.yml' }).initialize());
    expect(error.code).toBe('REALTIME_CONFIG_INVALID');
    expect(error.message).toContain('/nowhere/realtime.yml');
  });

  it('when the secret is short, without showing it', async () => {
    const server = makeServer({ config: { auth: { jwt: { secret: 'hunter2' } } } });
    const error = await failure(server.initialize());
    expect(error.code).toBe('REALTIME_CONFIG_INVALID');
    expect(error.message).not.toContain('hunter2');
  });

  it('when another engine holds the store', async () => {
    const folder = temporaryFolder();
    const options = { cwd: folder, env: environment(folder) };
    await makeServer(options).initialize();
    const error = await failure(makeServer(options).initialize());
    expect(error.code).toBe('STORE_LOCKED');
    expect(error.message).toContain('realtime.db');
  });

  it('when the data folder is a file', async () => {
    const folder = temporaryFolder();
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'system'), '');
    const error = await failure(makeServer({ cwd: folder, env: environment(folder) }).initialize());
    expect(error.code).toMatch(/^[A-Z_]+$/);
    expect(error.message).toContain('system');
  });
});

describe('questions reject with a code', () => {
  it('for a room that is not open', async () => {
    const server = makeServer();
    await server.initialize();
    expect(await failure(server.roomMarkdown('records:none'))).toMatchObject({ code: 'ROOM_NOT_FOUND' });
  });

  it('for a name that is no room', async () => {
    const server = makeServer();
    await server.initialize();
    expect(await failure(server.exportLog('no room'))).toMatchObject({ code: 'INVALID_ROOM_ID' });
  });

  it('with what was attempted, under the id its log line has', async () => {
    const lines: (LogFields | undefined)[] = [];
    const logger = { ...silent, info: (_: string, fields?: LogFields) => void lines.push(fields) };
    const server = makeServer({ logger });
    await server.initialize();
    const error = await failure(server.roomMarkdown('records:none'));
    expect(error.context).toEqual({ operation: 'roomMarkdown', roomId: 'records:none' });
    expect(error.correlationId).toMatch(/^[\w-]{16,64}$/);
    expect(lines).toContainEqual(
      expect.objectContaining({
        event: 'operation_failed',
        component: 'realtime',
        code: 'ROOM_NOT_FOUND',
        correlation_id: error.correlationId,
      }),
    );
  });
});
