/** Contract 3: what the package exports, and how it stands to the host's core. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { ENTRY, node, until } from '../support.js';
import { startCivic } from './civic.js';
import { installed, linked } from './installed.js';

type Package = typeof import('../../index.js');
type Errors = Pick<
  Package,
  | 'AuthenticationFailedError'
  | 'ConnectionLimitExceededError'
  | 'InvalidYjsUpdateError'
  | 'PermissionDeniedError'
  | 'RealtimeError'
  | 'RoomNotFoundError'
>;

const realtime = (await import(ENTRY.href)) as Package;

it('names its constants as the host knows them', () => {
  expect(realtime.SESSION_REVOKED_HOOK).toBe('auth:sessions:revoked');
  expect(realtime.MessageType).toEqual({
    SYNC: 'sync',
    PRESENCE: 'presence',
    CONTROL: 'control',
    PING: 'ping',
    PONG: 'pong',
  });
  expect(realtime.PresenceEvent).toEqual({
    JOINED: 'joined',
    LEFT: 'left',
    CURSOR: 'cursor',
    AWARENESS: 'awareness',
  });
  expect(realtime.ControlEvent).toEqual({ ROOM_STATE: 'room_state', ERROR: 'error', NOTICE: 'notice' });
});

it('is entered by @civicpress/realtime/realtime-services, too', async () => {
  const { folder } = installed({ addon: true, core: false });
  const file = join(folder, 'main.mjs');
  writeFileSync(
    file,
    `import { createRealtimeServer } from '@civicpress/realtime';
     import * as services from '@civicpress/realtime/realtime-services';
     console.log(services.createRealtimeServer === createRealtimeServer, typeof services.registerRealtimeServices);`,
  );
  expect((await node([file]).ended).stdout).toBe('true function\n');
});

it('is imported where there is no addon for the platform, and says so once a server is made', async () => {
  const { folder } = installed({ addon: false, core: true });
  const file = join(folder, 'main.mjs');
  writeFileSync(
    file,
    `import { createRealtimeServer, RealtimeServer, version } from '@civicpress/realtime';
     import { CivicPressError } from '@civicpress/core';
     for (const make of [
       () => new RealtimeServer(),
       () => createRealtimeServer({ logger: {}, hookSystem: {}, authService: {}, recordManager: {} }, { dataDir: 'x' }),
     ]) {
       try { make(); } catch (error) { console.log(version, error.code, error instanceof CivicPressError); }
     }`,
  );
  const { stdout, code } = await node([file], { cwd: folder }).ended;
  const line = `${realtime.version} REALTIME_UNAVAILABLE true\n`;
  expect({ stdout, code }).toEqual({ stdout: line + line, code: 0 });
});

const ERRORS: [keyof Errors, (errors: Errors) => Error, string, string, number, string][] = [
  [
    'RealtimeError',
    (e) => new e.RealtimeError('broken', { a: 1 }),
    'CivicPressError',
    'REALTIME_ERROR',
    500,
    'broken',
  ],
  [
    'RoomNotFoundError',
    (e) => new e.RoomNotFoundError('records:a'),
    'NotFoundError',
    'ROOM_NOT_FOUND',
    404,
    "Room 'records:a' not found",
  ],
  [
    'ConnectionLimitExceededError',
    (e) => new e.ConnectionLimitExceededError(7),
    'ValidationError',
    'CONNECTION_LIMIT_EXCEEDED',
    429,
    'Connection limit exceeded: 7',
  ],
  [
    'InvalidYjsUpdateError',
    (e) => new e.InvalidYjsUpdateError('cut'),
    'ValidationError',
    'INVALID_YJS_UPDATE',
    400,
    'Invalid yjs update: cut',
  ],
  [
    'AuthenticationFailedError',
    (e) => new e.AuthenticationFailedError(),
    'UnauthorizedError',
    'AUTH_FAILED',
    401,
    'Authentication failed',
  ],
  [
    'PermissionDeniedError',
    (e) => new e.PermissionDeniedError('records:a'),
    'UnauthorizedError',
    'PERMISSION_DENIED',
    401,
    'Permission denied for resource: records:a',
  ],
];

describe.each(ERRORS)('%s', (name, make, base, code, statusCode, message) => {
  it('has its code, status and message without a core', () => {
    const error = make(realtime);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name, code, statusCode, message });
    expect((error as Error & { correlationId: string }).correlationId).toMatch(/^err_[0-9a-z]+_[0-9a-z]{7}$/);
  });

  it(`is the host's own ${base} beside its core`, async () => {
    const { entry, core } = installed({ addon: false, core: true });
    const classes = (await import(core)) as Record<string, new () => Error>;
    const error = make((await import(entry)) as Errors);
    expect(error).toBeInstanceOf(classes[base]);
    expect(error).toBeInstanceOf(classes['CivicPressError']);
    expect(error).toMatchObject({ name, code, statusCode, message });
  });
});

it('has one core with the host under vitest, too, which loads workspace packages itself', async () => {
  const app = linked();
  writeFileSync(
    join(app, 'one-core.test.ts'),
    `import { CivicPressError } from '@civicpress/core';
     import { RealtimeError, RealtimeServer } from '@civicpress/realtime';
     import { expect, it } from 'vitest';
     it('one core', async () => {
       expect(new RealtimeError('x')).toBeInstanceOf(CivicPressError);
       expect(new RealtimeServer({ config: {} }).getHealthStatus().status).toBe('unhealthy');
     });`,
  );
  const vitest = join(app, 'node_modules', 'vitest', 'vitest.mjs');
  const { code, stdout, stderr } = await node([vitest, 'run'], { cwd: app }).ended;
  expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: expect.stringContaining('1 passed') });
});

describe('where core keeps unpublished records from those who may only view', () => {
  it.each([
    ['public', 'published', 'synced'],
    ['public', 'archived', 'synced'],
    ['public', 'pending_review', 4003],
    ['public', 'draft only', 4003],
    ['reviewer', 'draft only', 'synced'],
    ['clerk', 'draft only', 'synced'],
    ['nobody', 'published', 4003],
  ])('%s and %s: %s', async (role, status, expected) => {
    const { entry } = installed({ addon: true, core: true });
    const civic = await startCivic({ realtime: (await import(entry)) as Package });
    if (status === 'draft only') {
      await civic.database.createDraft({ id: 'a', title: 'A', type: 'bylaw', markdown_body: 'x' });
    } else {
      civic.publish({ id: 'a', status });
    }
    expect(await civic.edit('a', civic.session({ role })).outcome()).toBe(expected);
  });
});

it('keeps what an error is about', () => {
  expect(new realtime.RealtimeError('x', { roomId: 'a' })).toMatchObject({ context: { roomId: 'a' } });
  expect(new realtime.PermissionDeniedError('r', { userId: 1 })).toMatchObject({
    context: { resource: 'r', userId: 1 },
  });
  const error = new realtime.RoomNotFoundError('records:a', { roomType: 'records' });
  expect(error.toJSON()).toMatchObject({ code: 'ROOM_NOT_FOUND', context: { roomId: 'records:a' } });
});

it("writes its log lines through the host's core, each with an operation", async () => {
  const { entry, core } = installed({ addon: true, core: true });
  const { lines } = (await import(core)) as { lines: [string, string, ...unknown[]][] };
  const civic = await startCivic({ realtime: (await import(entry)) as Package });
  civic.publish({ id: 'a', content: 'Text.\n' });
  await civic.edit('a').synced;
  const opened = (): unknown =>
    lines.find(([name, text]) => name === 'coreInfo' && text.includes('records:a'));
  await until(() => opened() !== undefined);
  expect(opened()).toEqual([
    'coreInfo',
    expect.any(String),
    expect.objectContaining({ operation: expect.stringMatching(/^realtime:/), component: 'realtime' }),
  ]);
});
