/**
 * The realtime engine of CivicPress: many people edit one public record at the same time.
 *
 * The engine is native code on its own threads. JavaScript is called only to decide (who is this, what may
 * they do, what does the record say) and to be told (hooks, log lines), never per edit.
 */

import type {
  CivicDatabaseService,
  CivicPressArguments,
  CivicRecordManager,
  RoomTypeHandler,
} from './civicpress.js';

export * from './civicpress.js';

/** A person, as `authenticate` tells it. */
export interface RealtimeUser {
  /** The host's id of the user. */
  id: string | number;
  /** Name shown to others; the id when missing. */
  name?: string;
  /** The host's role name; `viewer` when missing. */
  role?: string;
  /** When the session ends: a date or Unix milliseconds. */
  expiresAt?: Date | number;
  /** Room patterns (`type:id`, `*` at the end) the user is limited to. */
  rooms?: string[];
}

/** A user, as the engine hands it back. */
export interface RealtimeCaller {
  userId: string;
  name: string;
  role: string;
}

/** A record's text, front matter included. */
export interface RecordText {
  text: string;
  /** Where it is from; the base of later merges is kept per source. */
  source?: 'draft' | 'record' | 'file';
}

type Awaitable<T> = T | Promise<T>;

/**
 * What became of a write-back. `elsewhere`: the text was taken, but `loadRecord` does not read it from there.
 */
export type SaveOutcome =
  { saved: true; source?: RecordText['source']; elsewhere?: boolean } | ({ saved: false } & RecordText);

/**
 * Whoever owns users, permissions and records. Functions may throw; a throw, a late answer
 * (`auth.timeout_ms`) and nonsense all mean no. An error's `code` of `AUTH_FAILED` or `PERMISSION_DENIED` is a
 * verdict, any other a failure that clients may retry.
 */
export interface RealtimeHost {
  /** The user a token belongs to; `null` = nobody. */
  authenticate(token: string): Awaitable<RealtimeUser | null | undefined>;
  /** What a user may do in a room (`records:<id>`); `null` or `false` = not even view it. */
  authorize(caller: RealtimeCaller, room: string): Awaitable<{ canEdit: boolean } | null | undefined | false>;
  /** The record's present text; `null` = no such record. */
  loadRecord(room: string): Awaitable<RecordText | string | null | undefined>;
  /**
   * Replaces the text if the source still holds `expected` (`null`: there was no record). Otherwise writes
   * nothing and answers with the present text.
   */
  saveRecord(room: string, text: string, expected: string | null): Awaitable<SaveOutcome>;
  /** Texts are Markdown from the first byte: what looks like front matter is none. */
  readonly bodiesOnly?: boolean;
  /** Is told a fact. */
  emitHook?(name: string, data: Record<string, unknown>): unknown;
  /**
   * Calls `handler` with the data of each `name` that happens at the host. The engine listens to
   * `auth:sessions:revoked` (`{ userId, reason }`), which ends the user's sessions.
   */
  registerHook?(name: string, handler: (data: unknown) => void): unknown;
  /** Takes a handler off again. */
  removeHook?(name: string, handler: (data: unknown) => void): unknown;
}

/** What a log line says, for machines; `docs/logging.md` lists events and fields. */
export interface LogFields {
  component: 'realtime';
  /** `realtime:<event>`, the form CivicPress's own log lines use. */
  operation?: string;
  event?: string;
  [name: string]: unknown;
}

/** Where log lines go. */
export interface RealtimeLogger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export interface RealtimeServerOptions {
  /** Configuration keys, in place of a file's. */
  config?: Record<string, unknown>;
  /** Configuration file; without it the usual places are looked at. */
  configFile?: string;
  /** Environment; without it the process's. */
  env?: Record<string, string | undefined>;
  /** Folder that relative paths start from; without it the process's. */
  cwd?: string;
  /** The host; without it the engine runs standalone. */
  host?: RealtimeHost;
  /** Records are Markdown files and tokens are JWT. Follows from `host` when missing. */
  standalone?: boolean;
  /** Folder of built pages to serve at `/` (standalone only). */
  pagesDir?: string;
  /** Where log lines go; without it warnings and errors go to the console. */
  logger?: RealtimeLogger;
}

/** Where a server listens; both `null` when `enabled` is false. */
export interface ServerAddress {
  host: string | null;
  port: number | null;
}

export interface HealthStatus {
  /** `degraded`: serves, but not as an operator wants it. */
  status: 'healthy' | 'degraded' | 'unhealthy';
  /** What an operator should look at, one sentence each. */
  degraded: string[];
  server: { listening: boolean; port: number | null; host: string | null };
  connections: { total: number; perUser: number; perIP: number };
  rooms: { total: number; maxRooms: number };
  memory: { heapUsed: number; heapTotal: number; external: number };
  rateLimiting: { activeClients: number; messagesPerSecond: number };
  store: { degraded: string | null; damage: string | null };
}

export interface SnapshotReport {
  snapshotCreated: boolean;
  version: number | null;
  timestamp: number;
}

export declare class RealtimeServer {
  constructor(options?: RealtimeServerOptions);
  /** Inside CivicPress; see `createRealtimeServer`. */
  constructor(...civicPress: CivicPressArguments);
  /**
   * Starts and resolves once the port accepts connections. Rejects with a {@link RealtimeError}. Idempotent;
   * works again after `shutdown`. While it listens, it keeps the process alive.
   */
  initialize(): Promise<ServerAddress>;
  /**
   * Stops gracefully: rooms are snapshotted and written back. Idempotent, safe before `initialize`. Await it
   * on SIGTERM: what is acknowledged is safe without it, but Markdown is written back only here.
   */
  shutdown(): Promise<void>;
  /** At any time. */
  getHealthStatus(): HealthStatus;
  /** Writes `records:<recordId>` back now, if it is open. */
  triggerRecordSnapshot(recordId: string): Promise<SnapshotReport>;
  /**
   * Reads the certificate's files again, for new connections; changed files are noticed without it. Rejects
   * if they cannot be used: the certificate before stays.
   */
  reloadTls(): Promise<void>;
  /**
   * Ends all sessions of a user at once; returns how many. When it returns, no room takes anything of them any
   * more, and joins under way do not complete. A number and its text are the same user; anything else is
   * nobody. The host's hook `auth:sessions:revoked` does the same.
   */
  revokeUserConnections(userId: string | number, reason?: string): number;
  /** Inside CivicPress: who knows the records. */
  setRecordManager(records: CivicRecordManager): void;
  /** Inside CivicPress: who keeps drafts. */
  setDatabaseService(database: CivicDatabaseService): void;
  /** Says who serves the rooms of a type, from the next connection on; replaces another one of the type. */
  registerRoomTypeHandler(handler: RoomTypeHandler): void;
  /** Tells the host a fact, fire and forget. */
  emitHook(name: string, data: Record<string, unknown>): void;
  /** Writes a room back. Never rejects: hook and log tell. */
  finalizeRoomSnapshot(room: { roomId: string }): Promise<void>;
  /** An open room's document as Markdown, front matter included. */
  roomMarkdown(room: string): Promise<string>;
  /** Raw yjs updates (v1) that rebuild the room: its snapshot, if any, then its log in order. */
  exportLog(room: string): Promise<Uint8Array[]>;
  /** Names of the open rooms. */
  rooms(): string[];
}

/** The package's version. */
export declare const version: string;
