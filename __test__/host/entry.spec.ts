/** Contract 3: what the package exports, and how it stands to the host's core. */

import { describe, expect, it } from 'vitest';

import { ENTRY, until } from '../support.js';
import { startCivic } from './civic.js';
import { installed } from './installed.js';

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
