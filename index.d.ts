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
  ClientSocket,
  DeviceIdentity,
  HandlerRegistry,
  RoomManager,
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
 * Where a host keeps copies of rooms, if it wants them in a place of its own (`snapshots.*` says when they are
 * made). A state is a yjs update v1 of the whole document. The engine needs none: its own store has every room.
 */
export interface RoomCopies {
  /** Keeps a state as the room's newest version. A throw is tried again. */
  save(room: string, state: Uint8Array): Awaitable<{ version: number; createdAt: number }>;
  /**
   * The newest copy; `damaged` says what is wrong with it, and then the record's text takes the document's
   * place. A sound one begins a room that the engine's store never saw.
   */
  load(room: string): Awaitable<{ state: Uint8Array } | { damaged: string } | null | undefined>;
  /** Drops copies made before a time (Unix milliseconds), but for rooms in use. Returns how many. */
  expire(before: number, roomsInUse: string[]): Awaitable<number>;
}

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
  /**
   * Whether somebody (`null`: nobody is known) may do something in a room of events, where `events.rules` say
   * `host`. Without it: who may view the record of that name may `join`, who may edit it may `emit`.
   */
  authorizeEvent?(
    caller: RealtimeCaller | null,
    room: string,
    action: 'join' | 'emit' | 'presence',
  ): Awaitable<boolean>;
  /** The record's present text; `null` = no such record. */
  loadRecord(room: string): Awaitable<RecordText | string | null | undefined>;
  /**
   * Replaces the text if the source still holds `expected` (`null`: there was no record). Otherwise writes
   * nothing and answers with the present text.
   */
  saveRecord(room: string, text: string, expected: string | null): Awaitable<SaveOutcome>;
  /** Texts are Markdown from the first byte: what looks like front matter is none. */
  readonly bodiesOnly?: boolean;
  /** The host's own copies of rooms; without them the engine's store keeps them. */
  copies?: RoomCopies;
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
  /** Folder of built pages to serve at `/` (standalone only); those for operators are served anyway. */
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
  /** `connections` equals `connections.total`. */
  server: { listening: boolean; connections: number; port: number | null; host: string | null };
  connections: { total: number; perUser: number; perIP: number };
  /** `averageSize`: sessions per open room; `documentBytes`: estimated memory of their documents. */
  rooms: { total: number; maxRooms: number; averageSize: number; documentBytes: number };
  memory: { heapUsed: number; heapTotal: number; external: number };
  rateLimiting: { activeClients: number; messagesPerSecond: number };
  store: { degraded: string | null; damage: string | null };
  counts: RealtimeCounts;
}

/** What happened since the engine's start. */
export interface RealtimeCounts {
  messages: number;
  /** Over the last five seconds. */
  messagesPerSecond: number;
  snapshotsSaved: number;
  snapshotsFailed: number;
  /** Rooms opened from a snapshot. */
  snapshotsLoaded: number;
  /** Rooms whose stored state could not be read. */
  snapshotLoadsFailed: number;
  authFailures: number;
  permissionDenials: number;
  /** Connections ended by the server, by the code of the reason (`SLOW_CONSUMER`, …). */
  disconnects: Record<string, number>;
}

/** How a notice to a room is meant. */
export type NoticeLevel = 'info' | 'warning' | 'error';

export interface SnapshotReport {
  snapshotCreated: boolean;
  version: number | null;
  timestamp: number;
}

/** What became of a document of a collection. */
export type EventOperation = 'created' | 'updated' | 'deleted';

/** Which connections for events; what is not given fits all. */
export interface EventFilter {
  clientId?: string;
  userId?: string;
  address?: string;
  /** A room it is in. */
  room?: string;
}

/** A connection for events. `connectedAt` is in Unix milliseconds; `queued`: events it did not take yet. */
export interface EventConnection {
  clientId: string;
  userId: string | null;
  name: string | null;
  address: string;
  connectedAt: number;
  rooms: string[];
  queued: number;
}

/** Somebody in a room of events; without `user_id` nobody is known. */
export interface EventPerson {
  client_id: string;
  user_id?: string;
  name?: string;
}

/** An event as its room heard it; `meta.timestamp` is in seconds, without `from` the server said it. */
export interface EventRecord {
  type: 'emit';
  event: string;
  data?: unknown;
  room?: string;
  offset?: number;
  from?: { client_id: string; user_id?: string };
  meta: { timestamp: number };
}

/** What can be listened to. */
export interface EventFact {
  /** Somebody came into a room. */
  join: { room: string; person: EventPerson };
  /** Somebody went. */
  leave: { room: string; person: EventPerson };
  /** A client said something in a room, or to everybody. */
  message: EventRecord;
}

/**
 * Rooms of events (`docs/events.md`). What says something returns at once: `true` once it is on its way, `false`
 * if it is not said (the server does not run, too much waits, it has no proper name, it is no JSON). Nothing
 * here throws or rejects, running or not.
 */
export interface RealtimeEvents {
  emitToAll(event: string, data?: unknown): boolean;
  emitToRoom(room: string, event: string, data?: unknown): boolean;
  /**
   * Tells `collection:<collection>` and `collections` of changed documents, without passwords, tokens, and what
   * {@link redact} and `events.redacted_fields` take out. Of more than 100 documents at once only the ids are
   * told, by one event `changed`.
   */
  emitCollectionChange(collection: string, operation: EventOperation, documents: object | object[]): boolean;
  /**
   * Says what is shown of a collection's documents that this program or a hook of its host tells of; nothing
   * (`null`) hides one. What is told over HTTP, and standalone of files, knows `events.redacted_fields` alone.
   */
  redact(collection: string, redaction: ((document: Record<string, unknown>) => unknown) | null): void;
  /** Ends connections with close code 4403 once they heard all that was said before; resolves with how many. */
  disconnect(filter: EventFilter, reason?: string): Promise<number>;
  /** Rooms with members. */
  rooms(): Promise<{ room: string; members: number }[]>;
  connections(filter?: EventFilter): Promise<EventConnection[]>;
  /** Who is in a room. */
  presence(room: string): Promise<EventPerson[]>;
  /** What was said in a room lately, oldest first. */
  history(room: string): Promise<EventRecord[]>;
  /** Facts that this thread is too slow for are left out and counted (`facts_dropped_total`). */
  on<K extends keyof EventFact>(kind: K, listener: (fact: EventFact[K]) => void): this;
  off<K extends keyof EventFact>(kind: K, listener: (fact: EventFact[K]) => void): this;
}

export declare class RealtimeServer {
  /** Rooms of events. */
  readonly events: RealtimeEvents;
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
  /** The host's copies of rooms; `null` before `initialize`, and when `snapshots.enabled` is false. */
  getSnapshotManager(): SnapshotManager | null;
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
  /**
   * Says who serves the rooms of a type, from the next connection on; replaces another one of the type.
   * `records` are the engine's own: a handler for them is kept and not called.
   */
  registerRoomTypeHandler(handler: RoomTypeHandler): void;
  getHandlerRegistry(): HandlerRegistry;
  getRoomManager(): RoomManager;
  /** The manager `getRoomManager` answers with; it shows the same rooms. */
  setRoomManager(manager: RoomManager): void;
  /**
   * Connections by client id, live: those of rooms that JavaScript handles and, where there is a host, those of
   * documents. To the latter text is sent in binary frames.
   */
  readonly connections: Map<string, ClientSocket>;
  /** The devices among them. */
  readonly clientToDevice: Map<string, DeviceIdentity>;
  getConnection(clientId: string): ClientSocket | undefined;
  getConnections(): ReadonlyMap<string, ClientSocket>;
  /** Connections by address, live; no empty entries. */
  getConnectionCounts(): ReadonlyMap<string, number>;
  /** Client ids by user (a device is `device:<id>`), live; no empty entries. */
  getUserConnections(): ReadonlyMap<string, ReadonlySet<string>>;
  /** Tells the host a fact, fire and forget. */
  emitHook(name: string, data: Record<string, unknown>): void;
  /** Writes a document back, or has a room's handler take its snapshot. Never rejects: hook and log tell. */
  finalizeRoomSnapshot(room: { roomId: string }): Promise<void>;
  /**
   * Ends a user's sessions in an open room (`records:<id>`) with close code 4403 and keeps them out of it for a
   * minute; resolves with how many.
   */
  kickUser(room: string, userId: string | number, reason?: string): Promise<number>;
  /**
   * From now on nobody edits an open room; its clients are told, and resolves with how many. Lasts until
   * {@link unlockRoom} or until the room leaves memory.
   */
  lockRoom(room: string): Promise<number>;
  /** Edits are taken again, those from meanwhile included. */
  unlockRoom(room: string): Promise<number>;
  /** Tells everybody in an open room a sentence; resolves with how many. */
  notifyRoom(room: string, message: string, level?: NoticeLevel): Promise<number>;
  /** An open room's document as Markdown, front matter included. */
  roomMarkdown(room: string): Promise<string>;
  /**
   * What a record refers to, by its room (`records:<id>`), in the text's order. The room need not be open; without
   * such a record it rejects with `ROOM_NOT_FOUND`.
   */
  references(room: string): Promise<RecordReference[]>;
  /** Raw yjs updates (v1) that rebuild the room: its snapshot, if any, then its log in order. */
  exportLog(room: string): Promise<Uint8Array[]>;
  /** Names of the open rooms. */
  rooms(): string[];
}

/** A reference in a record's text. */
export interface RecordReference {
  type: 'record' | 'geography' | 'attachment';
  /** What it points to, by its own id. */
  id: string;
  /** What is shown for it. */
  label: string;
}

/** The package's version. */
export declare const version: string;

/** The one format of copies there is: a raw yjs update v1 of the whole document. */
export declare const SNAPSHOT_FORMAT_V1: 1;
/** Size above which a copy is told, in bytes. */
export declare const MAX_SNAPSHOT_BYTES: number;
/** Age after which copies of rooms go that are not in memory, in milliseconds. */
export declare const SNAPSHOT_TTL_MS: number;
export declare const MAX_SNAPSHOT_VERSIONS_PER_ROOM: number;

/** A copy of a room, as the host's database or a file has it. */
export interface SnapshotRow {
  room_id: string;
  /** Counts up per room from 1. */
  version: number;
  /** A yjs update v1 of the whole document. */
  snapshot_data: Uint8Array;
  /** SHA-256 of `snapshot_data`, in hexadecimal. */
  integrity_hash: string;
  format_version: number;
  byte_size: number;
  /** Unix milliseconds. */
  created_at: number;
}

/** Where copies are. */
export interface SnapshotStorage {
  insert(row: SnapshotRow): Promise<void>;
  /** The row of the highest version. */
  loadLatestRow(roomId: string): Promise<SnapshotRow | null>;
  /** The highest version, 0 = none; without this method the row is asked. */
  latestVersion?(roomId: string): Promise<number>;
  /** All versions, newest first. */
  listVersions(roomId: string): Promise<number[]>;
  /** Rows made before a time in Unix milliseconds, without their data. */
  findOlderThan(cutoff: number): Promise<Omit<SnapshotRow, 'snapshot_data'>[]>;
  deleteRow(roomId: string, version: number): Promise<void>;
}

/** What becomes of copies; the names are hooks of the host's, too. */
export interface SnapshotEvents {
  'realtime:snapshot:saved': { roomId: string; version: number; byteSize: number; timestamp: number };
  /** It is larger than `cap`, and kept all the same. */
  'realtime:snapshot:oversize': { roomId: string; byteSize: number; cap: number; timestamp: number };
  'realtime:snapshot:integrity-failed': {
    roomId: string;
    version: number;
    error: string;
    timestamp: number;
  };
  'realtime:snapshot:expired': { roomId: string; version: number; createdAt: number; timestamp: number };
  'realtime:snapshot:pruned': { roomId: string; version: number; keep: number; timestamp: number };
}

/** Who wants to know what becomes of copies. A listener that throws hurts nobody else. */
export declare class SnapshotHookBus {
  on<Name extends keyof SnapshotEvents>(name: Name, listener: (event: SnapshotEvents[Name]) => void): void;
  off<Name extends keyof SnapshotEvents>(name: Name, listener: (event: SnapshotEvents[Name]) => void): void;
  emit<Name extends keyof SnapshotEvents>(name: Name, event: SnapshotEvents[Name]): void;
}

/** What copies need of a logger. */
export interface SnapshotLogger {
  warn(message: string, fields?: object): void;
}

/** What copies need of a database service; rows are plain objects. */
export interface SnapshotDatabase {
  query(sql: string, params?: unknown[]): Promise<unknown[]>;
  /** Its adapter says by `config.type` whether it is `sqlite` or `postgres`. */
  getAdapter?(): unknown;
}

/** What copies are kept to. */
export interface SnapshotLimits {
  /** Versions kept per room; {@link MAX_SNAPSHOT_VERSIONS_PER_ROOM} when missing. */
  keepVersions?: number | undefined;
  /** Size above which a copy is told, in bytes; {@link MAX_SNAPSHOT_BYTES} when missing. */
  bytesMax?: number | undefined;
}

/** Copies of rooms, for the host and whoever looks into its data. */
export declare class SnapshotManager {
  constructor(
    logger: SnapshotLogger,
    storage: SnapshotStorage,
    bus?: SnapshotHookBus,
    limits?: SnapshotLimits,
  );
  /** Stores a copy as the room's newest version, and drops those that are too many. */
  persist(copy: { roomId: string; blob: Uint8Array }): Promise<void>;
  /** The newest row as it is stored, sound or not. */
  loadLatest(roomId: string): Promise<SnapshotRow | null>;
  /** The newest row, if it is what was stored and of a format that is known. */
  loadLatestVerified(roomId: string): Promise<SnapshotRow | null>;
  /** Drops copies made before a time (without one: 48 hours ago) of rooms not in memory; returns how many. */
  cleanupExpired(options: { activeRoomIds: ReadonlySet<string>; before?: number }): Promise<number>;
  /** Drops all but the newest versions of a room; returns how many. */
  pruneVersions(roomId: string, keep?: number): Promise<number>;
}

/** Copies as rows of the table `realtime_snapshots`. */
export declare class DatabaseSnapshotStorage implements SnapshotStorage {
  constructor(database: SnapshotDatabase, logger?: SnapshotLogger);
  /** Makes the table and its indexes if they are not there. */
  makeTable(): Promise<void>;
  insert(row: SnapshotRow): Promise<void>;
  loadLatestRow(roomId: string): Promise<SnapshotRow | null>;
  latestVersion(roomId: string): Promise<number>;
  listVersions(roomId: string): Promise<number[]>;
  findOlderThan(cutoff: number): Promise<Omit<SnapshotRow, 'snapshot_data'>[]>;
  deleteRow(roomId: string, version: number): Promise<void>;
}

/** Copies as files below `<data folder>/realtime/snapshots`. */
export declare class FilesystemSnapshotStorage implements SnapshotStorage {
  constructor(dataDir: string, logger: SnapshotLogger);
  insert(row: SnapshotRow): Promise<void>;
  loadLatestRow(roomId: string): Promise<SnapshotRow | null>;
  latestVersion(roomId: string): Promise<number>;
  listVersions(roomId: string): Promise<number[]>;
  findOlderThan(cutoff: number): Promise<Omit<SnapshotRow, 'snapshot_data'>[]>;
  deleteRow(roomId: string, version: number): Promise<void>;
}
