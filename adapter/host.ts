/** Turns a host of plain functions, which may throw, into the callbacks the engine calls, which answer. */

import type {
  AuthAnswer,
  CopyCallbacks,
  CopyLoadAnswer,
  GrantAnswer,
  HostCallbacks,
  LoadAnswer,
  SaveAnswer,
} from '../binding.js';
import type { RealtimeHost, RealtimeLogger, RealtimeUser, RecordText, RoomCopies } from '../index.js';

interface Refusal {
  ok: false;
  code: string;
  message: string;
}

function refusal(code: string, message: string): Refusal {
  return { ok: false, code, message };
}

/** Whatever `work` throws is an answer too: the engine must see a code, not only a text. */
async function answered<T>(what: string, work: () => T | Promise<T>): Promise<T | Refusal> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
    return refusal(
      typeof code === 'string' ? code : 'HOST_FAILED',
      `${what}: ${typeof message === 'string' ? message : String(error)}`,
    );
  }
}

function authAnswer(user: RealtimeUser | null | undefined): AuthAnswer {
  if (user === null || user === undefined) return refusal('AUTH_FAILED', 'nobody has this token');
  const { id, name, role, expiresAt, rooms } = user;
  const isName = typeof id === 'string' ? id !== '' : Number.isFinite(id);
  if (!isName) {
    return refusal('HOST_FAILED', 'authenticate: the user has no id');
  }
  return {
    ok: true,
    userId: String(id),
    ...(name === undefined ? {} : { name: String(name) }),
    ...(role === undefined ? {} : { role: String(role) }),
    // Number() of a broken date is NaN, which the engine refuses: a limit must not become no limit.
    ...(expiresAt === undefined ? {} : { expiresAtMs: Number(expiresAt) }),
    ...(rooms === undefined ? {} : { rooms }),
  };
}

function loadAnswer(record: RecordText | string | null | undefined): LoadAnswer {
  if (record === null || record === undefined) return { ok: true };
  if (typeof record === 'string') return { ok: true, text: record };
  if (typeof record.text !== 'string') return refusal('HOST_FAILED', 'loadRecord: the record has no text');
  return { ok: true, text: record.text, ...(record.source === undefined ? {} : { source: record.source }) };
}

function copyCallbacks(copies: RoomCopies): CopyCallbacks {
  return {
    save: (room, state) =>
      answered('copies.save', async () => {
        const { version, createdAt } = await copies.save(room, state);
        return { ok: true, version, createdAtMs: createdAt };
      }),
    load: (room) =>
      answered('copies.load', async (): Promise<CopyLoadAnswer> => {
        const newest = await copies.load(room);
        if (newest === null || newest === undefined) return { ok: true };
        return { ok: true, ...newest };
      }),
    expire: (before, inUse) =>
      answered('copies.expire', async () => ({ ok: true, expired: await copies.expire(before, inUse) })),
  };
}

/** The engine's callbacks for `host`. They never throw, and reject nothing. */
export function hostCallbacks(host: RealtimeHost, logger: RealtimeLogger): HostCallbacks {
  return {
    authenticate: (token): Promise<AuthAnswer> =>
      answered('authenticate', async () => authAnswer(await host.authenticate(token))),
    authorize: (caller, room): Promise<GrantAnswer> =>
      answered('authorize', async () => {
        const grant = await host.authorize(caller, room);
        if (grant === null || grant === undefined || grant === false) {
          return refusal('PERMISSION_DENIED', 'permission denied');
        }
        if (typeof grant !== 'object' || typeof grant.canEdit !== 'boolean') {
          return refusal('HOST_FAILED', 'authorize: the grant does not say canEdit');
        }
        return { ok: true, canEdit: grant.canEdit };
      }),
    loadRecord: (room): Promise<LoadAnswer> =>
      answered('loadRecord', async () => loadAnswer(await host.loadRecord(room))),
    saveRecord: (room, text, expected): Promise<SaveAnswer> =>
      answered('saveRecord', async () => ({ ok: true, ...(await host.saveRecord(room, text, expected)) })),
    emitHook: (name, data): void => emitHook(host, logger, name, JSON.parse(data)),
    ...(host.bodiesOnly === undefined ? {} : { bodiesOnly: host.bodiesOnly }),
    ...(host.copies === undefined ? {} : { copies: copyCallbacks(host.copies) }),
    ...(host.authorizeEvent === undefined ? {} : { authorizeEvent: eventCallback(host) }),
  };
}

/** Only `true` is a yes. */
function eventCallback(host: RealtimeHost): NonNullable<HostCallbacks['authorizeEvent']> {
  return (caller, room, action) =>
    answered('authorizeEvent', async () => {
      const allowed = await host.authorizeEvent?.(caller, room, action as 'join' | 'emit' | 'presence');
      return { ok: true, canEdit: allowed === true };
    });
}

/** Tells `host` a fact. A host that fails at it loses it. */
export function emitHook(
  host: RealtimeHost,
  logger: RealtimeLogger,
  name: string,
  data: Record<string, unknown>,
): void {
  const failed = (error: unknown): void => logger.warn(`hook ${name} failed: ${String(error)}`);
  try {
    Promise.resolve(host.emitHook?.(name, data)).catch(failed);
  } catch (error) {
    failed(error);
  }
}
