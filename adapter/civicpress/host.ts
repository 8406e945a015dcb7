/** CivicPress's services as the engine's host: who may do what, what a record says, where edits go. */

import { randomUUID } from 'node:crypto';

import type * as Public from '../../index.js';
import { core } from './core.js';

/** Who wrote a draft that came out of a room. */
const AUTHOR = 'realtime-snapshot';
/** Users kept between a validated session and the questions about it. */
const USERS_MAX = 10_000;

/** What a server was given; some of it is set after construction. */
export interface Services {
  auth: Public.CivicAuthService;
  hooks: Public.CivicHookSystem;
  records?: Public.CivicRecordManager | undefined;
  database?: Public.CivicDatabaseService | undefined;
  /** Where drafts are written, if not to the database service. */
  drafts?: Public.RecordDraftPersistence | undefined;
  /** Where a new draft's other fields come from, if not from the record manager. */
  recordSource?: Public.RecordContentSource | undefined;
}

interface Present {
  text: string;
  source: 'draft' | 'record';
}

export class CivicPressHost implements Public.RealtimeHost {
  readonly bodiesOnly = true;
  /** Set while the server runs, if the configuration wants copies. */
  copies?: Public.RoomCopies;
  readonly #services: Services;
  readonly #logger: Public.RealtimeLogger;
  readonly #told: (name: string, data: Record<string, unknown>) => void;
  readonly #users = new Map<string, Public.CivicAuthUser>();

  /** @param told Hears of each hook about snapshots, too. */
  constructor(
    services: Services,
    logger: Public.RealtimeLogger,
    told: (name: string, data: Record<string, unknown>) => void,
  ) {
    this.#services = services;
    this.#logger = logger;
    this.#told = told;
  }

  async authenticate(token: string): Promise<Public.RealtimeUser | null> {
    const user = await this.#services.auth.validateSession(token);
    if (!user) return null;
    const key = String(user.id);
    // Last in, last out: whoever is asked about next was validated just now.
    this.#users.delete(key);
    this.#users.set(key, user);
    if (this.#users.size > USERS_MAX) {
      for (const oldest of this.#users.keys()) {
        this.#users.delete(oldest);
        break;
      }
    }
    return { id: user.id, name: user.username, role: user.role };
  }

  async authorize(caller: Public.RealtimeCaller, room: string): Promise<{ canEdit: boolean } | null> {
    const user = this.#users.get(caller.userId);
    if (!user) throw new Error('the session has to be validated again');
    const [type, id] = parts(room);
    if (type !== 'records') return await this.#mayDo(user, undefined);
    const { records } = this.#services;
    const record = await records?.getRecord(id);
    const found = record ?? (await this.#draft(id));
    if (!found) return null;
    const grant = await this.#mayDo(user, found.type);
    if (!grant || this.#isPublic(record) || grant.canEdit) return grant;
    return (await this.#can(user, 'records:view_unpublished')) ? grant : null;
  }

  async loadRecord(room: string): Promise<Present | null> {
    const [, id] = parts(room);
    const draft = await this.#draft(id);
    if (draft) return { text: withLineEnd(draft.markdown_body), source: 'draft' };
    const record = await this.#services.records?.getRecord(id);
    return record ? { text: withLineEnd(record.content), source: 'record' } : null;
  }

  async saveRecord(room: string, text: string, expected: string | null): Promise<Public.SaveOutcome> {
    const [, id] = parts(room);
    const drafts = this.#drafts();
    const present = await this.loadRecord(room);
    if ((present?.text ?? null) !== expected) return changed(room, present);

    const body = text.replace(/[\r\n]+$/, '');
    const draft = await drafts.getDraft(id);
    if (draft) await drafts.updateDraft(id, { markdown_body: body });
    else await drafts.createDraft(await this.#newDraft(id, body));

    if (await this.#draft(id)) return { saved: true, source: 'draft' };
    const { database } = this.#services;
    const seen = typeof database?.getDraft === 'function' && drafts === database;
    // Published or discarded while it was written, so that there was nothing to update any more.
    if (seen) return changed(room, await this.loadRecord(room));
    return { saved: true, source: 'draft', elsewhere: true };
  }

  emitHook(name: string, data: Record<string, unknown>): unknown {
    const told = { timestamp: Date.now(), correlationId: randomUUID() as string, ...data };
    if (name.startsWith('realtime:snapshot:')) this.#told(name, told);
    return this.#services.hooks.emit(name, told, {
      timestamp: new Date(told.timestamp),
      metadata: { event: name, correlationId: told.correlationId },
    });
  }

  registerHook(name: string, handler: (data: unknown) => void): void {
    const { hooks } = this.#services;
    if (hooks.registerHook) hooks.registerHook(name, handler);
    else this.#logger.warn(`the hook system takes no listeners: ${name} will not be heard of`);
  }

  removeHook(name: string, handler: (data: unknown) => void): void {
    this.#services.hooks.removeHook?.(name, handler);
  }

  async #mayDo(
    user: Public.CivicAuthUser,
    recordType: string | undefined,
  ): Promise<{ canEdit: boolean } | null> {
    if (!(await this.#can(user, 'records:view', { recordType, action: 'view' }))) return null;
    return { canEdit: await this.#can(user, 'records:edit', { recordType, action: 'edit' }) };
  }

  async #can(user: Public.CivicAuthUser, permission: string, about?: object): Promise<boolean> {
    return Boolean(await this.#services.auth.userCan(user, permission, about));
  }

  /** Whether everybody who may view records may view this one; hosts that draw no such line say nothing. */
  #isPublic(record: Public.CivicRecord | null | undefined): boolean {
    const statuses = core?.CentralConfigManager?.getPublicRecordStatuses?.();
    if (!statuses) return true;
    return record?.status !== undefined && statuses.includes(record.status);
  }

  async #draft(id: string): Promise<Public.CivicDraft | null> {
    return (await this.#services.database?.getDraft?.(id)) ?? null;
  }

  #drafts(): Public.RecordDraftPersistence {
    const { drafts, database } = this.#services;
    if (drafts) return drafts;
    if (database?.getDraft && database.createDraft && database.updateDraft) {
      return database as Public.RecordDraftPersistence;
    }
    throw Object.assign(new Error('there is no database service that keeps drafts'), {
      code: 'WRITE_BACK_REFUSED',
    });
  }

  /** A draft of a record that has none: with all of the record's fields, since publishing writes them back. */
  async #newDraft(id: string, body: string): Promise<Public.CivicNewDraft> {
    const { recordSource, records } = this.#services;
    const record = await (recordSource ?? records)?.getRecord(id);
    return {
      id,
      title: record?.title ?? id,
      type: record?.type ?? 'unknown',
      status: record?.status ?? 'draft',
      workflow_state: record?.workflowState ?? 'draft',
      markdown_body: body,
      metadata: asJson(record?.metadata),
      geography: asJson(record?.geography),
      attached_files: asJson(record?.attachedFiles),
      linked_records: asJson(record?.linkedRecords),
      linked_geography_files: asJson(record?.linkedGeographyFiles),
      author: AUTHOR,
      created_by: AUTHOR,
    };
  }
}

function parts(room: string): [type: string, id: string] {
  const colon = room.indexOf(':');
  return [room.slice(0, colon), room.slice(colon + 1)];
}

/** Hosts keep bodies with and without a last line end; the engine counts that as no difference. */
function withLineEnd(body: string | null | undefined): string {
  const text = (body ?? '').replace(/[\r\n]+$/, '');
  return text === '' ? '' : `${text}\n`;
}

function changed(room: string, present: Present | null): Public.SaveOutcome {
  // An empty text would delete what people are writing.
  if (!present) throw new Error(`${room} is gone`);
  return { saved: false, ...present };
}

function asJson(value: unknown): string | null {
  if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return null;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
