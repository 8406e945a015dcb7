/** What CivicPress hands in and takes back. Structural types: nothing of `@civicpress/core` is needed. */

import type { RealtimeServer } from './index.js';

type Awaitable<T> = T | Promise<T>;

// What CivicPress hands in.

/** CivicPress's logger; methods that are missing lose their lines. */
export interface CivicLogger {
  debug?(message: string, ...details: any[]): void;
  info?(message: string, ...details: any[]): void;
  warn?(message: string, ...details: any[]): void;
  error?(message: string, ...details: any[]): void;
}

export interface CivicHookSystem {
  emit(name: string, data: any, context?: any): unknown;
  /** Without it sessions are not ended by the hook `auth:sessions:revoked`. */
  registerHook?(name: string, handler: (data: any, context?: any) => any): unknown;
  /** Takes a handler off by identity. */
  removeHook?(name: string, handler: (data: any, context?: any) => any): unknown;
}

export interface CivicAuthUser {
  id: number | string;
  username: string;
  role: string;
  [name: string]: any;
}

export interface CivicAuthService {
  validateSession(token: string): Awaitable<CivicAuthUser | null | undefined>;
  userCan(user: any, permission: string, context?: any): Awaitable<boolean>;
}

/** A record as the record manager gives it; `content` is its Markdown without front matter. */
export interface CivicRecord {
  id: string;
  title: string;
  type: string;
  status?: string | undefined;
  workflowState?: string | null | undefined;
  content?: string | null | undefined;
  metadata?: any;
  geography?: any;
  attachedFiles?: any;
  linkedRecords?: any;
  linkedGeographyFiles?: any;
}

export interface CivicRecordManager {
  getRecord(id: string): Promise<CivicRecord | null>;
}

/** A row of `record_drafts`, as far as it is read. */
export interface CivicDraft {
  id: string;
  type: string;
  status?: string | null | undefined;
  markdown_body?: string | null | undefined;
}

/** A new row of `record_drafts`; what is not text is JSON text. */
export interface CivicNewDraft {
  id: string;
  title: string;
  type: string;
  status?: string;
  workflow_state?: string;
  markdown_body?: string | null;
  metadata?: string | null;
  geography?: string | null;
  attached_files?: string | null;
  linked_records?: string | null;
  linked_geography_files?: string | null;
  author: string;
  created_by: string;
}

/** Where drafts are written. */
export interface RecordDraftPersistence {
  getDraft(id: string): Promise<CivicDraft | null>;
  createDraft(draft: CivicNewDraft): Promise<void>;
  updateDraft(id: string, updates: { markdown_body?: string }): Promise<void>;
}

/** CivicPress's database; one that only queries keeps no drafts. */
export interface CivicDatabaseService extends Partial<RecordDraftPersistence> {
  query(sql: string, params?: any[]): Promise<any>;
}

/** Where a new draft's fields come from. */
export interface RecordContentSource {
  getRecord(id: string): Promise<CivicRecord | null>;
}

export interface CivicServiceContainer {
  singleton(key: string, factory: (container: any) => any): void;
  resolve<T>(key: string): T;
  isRegistered?(key: string): boolean;
}

/** CivicPress's configuration, as far as it is read. */
export interface CivicPressConfig {
  dataDir: string;
  /** Beside `dataDir` as `.system-data` when missing. */
  systemDataDir?: string | undefined;
  [name: string]: any;
}

/** How CivicPress makes a {@link RealtimeServer}. */
export type CivicPressArguments = [
  logger: CivicLogger,
  hookSystem: CivicHookSystem,
  authService: CivicAuthService,
  configManager: RealtimeConfigManager,
  config: CivicPressConfig,
];

export interface RealtimeServerDeps {
  logger: CivicLogger;
  hookSystem: CivicHookSystem;
  authService: CivicAuthService;
  recordManager: CivicRecordManager;
  /** Without one documents are kept in the engine's own store, and write-backs are refused with a hook. */
  databaseService?: CivicDatabaseService | undefined;
}

/**
 * Makes a server from CivicPress's services; `initialize()` starts it. Throws `REALTIME_UNAVAILABLE` where the
 * package has no addon for the platform.
 */
export declare function createRealtimeServer(
  deps: RealtimeServerDeps,
  config: CivicPressConfig,
): RealtimeServer;

/**
 * Registers `realtimeConfigManager`, `realtimeServer` and `realtimeRoomManager` as singletons. Resolves
 * `logger`, `hooks`, `auth`, `recordManager` and, if it is registered, `database`.
 */
export declare function registerRealtimeServices(
  container: CivicServiceContainer,
  config: CivicPressConfig,
): void;

// Configuration.

/** The effective configuration; `docs/configuration.md` lists all keys. */
export interface RealtimeConfig {
  enabled: boolean;
  port: number;
  host: string;
  path: string;
  rooms: {
    max_rooms: number;
    /** Seconds. */
    cleanup_timeout: number;
    grace_period_ms: number;
    [key: string]: unknown;
  };
  snapshots: {
    enabled: boolean;
    /** Seconds; 0 = no timer. */
    interval: number;
    max_updates: number;
    storage: 'database' | 'filesystem' | 'api';
    keep_versions?: number;
    ttl_hours?: number;
    max_bytes_warning?: number;
    [key: string]: unknown;
  };
  rate_limiting: {
    messages_per_second: number;
    connections_per_ip: number;
    connections_per_user: number;
    [key: string]: unknown;
  };
  connection_cleanup?: {
    enabled: boolean;
    /** Seconds. */
    check_interval: number;
    /** Seconds. */
    stale_threshold: number;
    [key: string]: unknown;
  };
  [key: string]: unknown;
}

/** Reads `realtime.yml` of a folder. */
export declare class RealtimeConfigManager {
  /** @param basePath CivicPress's folder of system data. */
  constructor(basePath?: string);
  /** The file's values over the defaults, under the environment's. Rejects if it is missing or invalid. */
  loadConfig(): Promise<RealtimeConfig>;
  getDefaultConfig(): RealtimeConfig;
  /** Throws `REALTIME_CONFIG_INVALID` with all that is wrong. */
  validateConfig(config: RealtimeConfig): void;
}

// Rooms and their handlers.

/** A connection in the shape of a `ws` socket, as far as handlers and rooms use one. */
export interface ClientSocket {
  /** Never waits: over the engine's bound the connection is closed. Without effect once it closes. */
  send(data: string | Uint8Array): void;
  /** 1000 when no code is given. Throws a `RangeError` for a code or reason no close frame may hold. */
  close(code?: number, reason?: string): void;
  terminate(): void;
  /** 1 = open, 2 = closing, 3 = closed. */
  readonly readyState: number;
  on(event: 'close', listener: (code: number, reason: Buffer) => void): this;
  on(event: 'message', listener: (data: Buffer) => void): this;
}

export interface DeviceIdentity {
  deviceId: string;
  deviceUuid: string;
  organizationId: string;
}

export interface AuthResult {
  success: boolean;
  error?: string;
  errorCode?: string;
  deviceAuth?: DeviceIdentity;
  userAuth?: {
    userId: number | string;
    username: string;
    role: string;
    permissions: { canView: boolean; canEdit: boolean };
  };
  /** Kept with the connection. */
  clientMetadata?: Record<string, unknown>;
}

export interface ConnectionContext {
  ws: any;
  /** `client_<ms>_<7 base36 digits>`, as the client is told it. */
  clientId: string;
  clientIp: string;
  token: string;
  /** Without the type. */
  roomId: string;
  /** `type:id`. */
  fullRoomId: string;
  url: string;
  headers?: Record<string, string>;
  protocols?: string[];
}

export interface MessageContext {
  ws: any;
  clientId: string;
  /** The parsed JSON. */
  message: unknown;
  rawData: Buffer;
  room: RoomReference;
  auth: AuthResult;
  sendToClient: (targetClientId: string, message: unknown) => void;
  broadcastToRoom: (message: unknown, excludeClientId?: string) => void;
  sendError: (error: Error) => void;
}

export interface DisconnectContext {
  clientId: string;
  room: RoomReference;
  auth: AuthResult;
}

export interface ClientData {
  id: string;
  roomId: string;
  /** Unix milliseconds. */
  connectedAt: number;
  /** Unix milliseconds. */
  lastActivity: number;
  [key: string]: any;
}

export interface RoomState {
  roomId: string;
  roomType: string;
  participants: any[];
  version: number;
  /** Unix milliseconds. */
  createdAt: number;
  /** Unix milliseconds. */
  lastActivity: number;
  yjsState?: Uint8Array;
}

export interface RoomReference {
  roomId: string;
  roomType: string;
  getState(): RoomState;
  addClient(clientId: string, clientData: ClientData): void;
  removeClient(clientId: string): void;
  updateActivity(): void;
}

export interface RoomConfig {
  roomId: string;
  roomType: string;
  maxClients?: number;
  cleanupTimeout?: number;
}

export interface Room {
  roomId: string;
  roomType: string;
  addClient(clientId: string, connection: any): void;
  removeClient(clientId: string): void;
  broadcast(message: any, excludeClientId?: string): void;
  getState(): RoomState;
  destroy(): Promise<void>;
}

export interface RoomFactory {
  createRoom(roomId: string, config: RoomConfig): Room;
  supportsRoomType(roomType: string): boolean;
}

/** Serves the rooms of one type in JavaScript. */
export interface RoomTypeHandler {
  roomType: string;
  /** The handler authenticates connections itself, in `onConnect`. */
  authenticatesConnection?: boolean;
  onConnect?: (context: ConnectionContext) => Promise<AuthResult>;
  onPostConnect?: (context: ConnectionContext, auth: AuthResult) => Promise<void>;
  onMessage?: (context: MessageContext) => Promise<void>;
  onDisconnect?: (context: DisconnectContext) => void;
  snapshot?: (room: any) => Promise<void>;
}

export interface HandlerRegistry {
  /** Replaces a handler of the same type. */
  registerRoomTypeHandler(handler: RoomTypeHandler): void;
  getHandler(roomType: string): RoomTypeHandler | undefined;
  hasHandler(roomType: string): boolean;
  getRegisteredRoomTypes(): string[];
  /** Whether there was one. */
  unregisterRoomTypeHandler(roomType: string): boolean;
}

/** The rooms of a server. All managers of one server show, and change, the same rooms. */
export declare class RoomManager {
  constructor(logger: any, server: any);
  /** Says who makes the rooms of a type; counts for the rooms made from now on. */
  registerRoomType(roomType: string, factory: RoomFactory): void;
  /** The very object a factory made, or the room of a document while the engine has it open. */
  getRoom(roomId: string): Room | null;
  /** Throws `ROOM_NOT_FOUND` for a type without a factory. */
  getOrCreateRoom(roomId: string, roomType: string, config?: Partial<RoomConfig>): Room;
  getAllRooms(): Room[];
  getActiveRoomIds(): Set<string>;
  getRoomCount(): number;
  /** Milliseconds an empty room of JavaScript is kept; documents follow `rooms.grace_period_ms`. */
  setGracePeriodMs(gracePeriodMs: number): void;
  /** Ends a room; one of a document is written back, and leaves memory once nobody is there. */
  removeRoom(roomId: string): Promise<void>;
  cleanupEmptyRooms(): Promise<void>;
}

/** The room of a document. The engine has it; this shows it, while it is open. */
export declare class YjsRoom implements Room {
  constructor(roomId: string, config: Partial<RoomConfig>, logger: any, server: any);
  readonly roomId: string;
  readonly roomType: string;
  /** Without effect: who is in it is the engine's to say. */
  addClient(): void;
  /** Without effect. */
  removeClient(): void;
  broadcast(message: any, excludeClientId?: string): void;
  getState(): RoomState;
  /** Writes the document back now; the room leaves memory by itself, once nobody is there. */
  destroy(): Promise<void>;
}

/** Handlers by type. */
export declare class DefaultHandlerRegistry implements HandlerRegistry {
  registerRoomTypeHandler(handler: RoomTypeHandler): void;
  getHandler(roomType: string): RoomTypeHandler | undefined;
  hasHandler(roomType: string): boolean;
  getRegisteredRoomTypes(): string[];
  unregisterRoomTypeHandler(roomType: string): boolean;
}

export declare function createHandlerRegistry(): HandlerRegistry;

export interface SnapshotPersister {
  persist(request: { roomId: string; blob: Uint8Array }): Promise<unknown>;
}

export interface RecordSnapshotHookBus {
  emit(event: string, payload: Record<string, unknown>): void;
}

export interface RecordRoomHandlerDeps {
  draftPersistence?: RecordDraftPersistence | undefined;
  recordSource?: RecordContentSource | undefined;
  getSnapshotManager?: (() => SnapshotPersister | null) | undefined;
  hookBus?: RecordSnapshotHookBus | undefined;
  authService?: CivicAuthService | undefined;
  recordManager?: CivicRecordManager | undefined;
  databaseService?: CivicDatabaseService | undefined;
  logger?: CivicLogger | undefined;
}

/**
 * The handler of record rooms. The engine serves them; registering the handler tells it where drafts go.
 */
export declare class RecordRoomHandler implements RoomTypeHandler {
  constructor(deps?: RecordRoomHandlerDeps);
  readonly roomType: 'records';
  /** Writes the room back. Calls while one runs get its promise; it never rejects: hook and log tell. */
  snapshot(room: { roomId: string }): Promise<void>;
}

/** A connection's identity. */
export interface ClientConnection {
  id: string;
  userId: string;
  username: string;
  role: string;
  roomId: string;
  /** Unix milliseconds. */
  connectedAt: number;
  /** Unix milliseconds. */
  lastActivity: number;
  permissions: { canEdit: boolean; canView: boolean };
}

// Messages of the JSON protocol.

export declare enum MessageType {
  SYNC = 'sync',
  PRESENCE = 'presence',
  CONTROL = 'control',
  PING = 'ping',
  PONG = 'pong',
}

export declare enum PresenceEvent {
  JOINED = 'joined',
  LEFT = 'left',
  CURSOR = 'cursor',
  AWARENESS = 'awareness',
}

export declare enum ControlEvent {
  ROOM_STATE = 'room_state',
  ERROR = 'error',
  NOTICE = 'notice',
}

export interface BaseMessage {
  type: MessageType;
  /** Unix milliseconds. */
  timestamp?: number;
  [key: string]: any;
}

export interface SyncMessage extends BaseMessage {
  type: MessageType.SYNC;
  /** A yjs update (v1), base64. */
  update?: string;
  version?: number;
  /** User id. */
  from?: string;
}

export interface CursorPosition {
  position: number;
  selection?: { start: number; end: number };
}

export interface PresenceMessage extends BaseMessage {
  type: MessageType.PRESENCE;
  event: PresenceEvent;
  user: { id: string; name?: string; color?: string };
  cursor?: CursorPosition;
  /** A yjs awareness update, base64. */
  awareness?: string;
}

export interface ControlMessage extends BaseMessage {
  type: MessageType.CONTROL;
  event: ControlEvent;
  room?: {
    id: string;
    participants: { id: string; name: string; color: string }[];
    /** A yjs update (v1), base64. */
    yjsState?: string;
    version: number;
  };
  error?: { code: string; message: string };
  notice?: { level: 'info' | 'warning' | 'error'; message: string };
}

/** The host's hook that a user's sessions are over: `{ userId, reason }`. */
export declare const SESSION_REVOKED_HOOK: 'auth:sessions:revoked';

// Errors. Beside `@civicpress/core` they are instances of its classes.

export interface CivicPressErrorJson {
  name: string;
  code: string;
  message: string;
  statusCode: number;
  context?: Record<string, unknown>;
  correlationId: string;
}

/** The shape of core's base class. */
export interface CivicPressError extends Error {
  code: string;
  /** HTTP status. */
  statusCode: number;
  context?: Record<string, unknown> | undefined;
  /** Names this failure in the log, too. */
  readonly correlationId: string;
  toJSON(): CivicPressErrorJson;
  getOutputDetails(): {
    message: string;
    code: string;
    details: unknown;
    context: Record<string, unknown>;
  };
}

interface CivicPressErrorClass {
  new (message: string, detail?: any): CivicPressError;
}
declare const Base: CivicPressErrorClass;

/** Any failure; `code` is stable, such as `REALTIME_BIND_FAILED`, `REALTIME_CONFIG_INVALID`, `STORE_LOCKED`. */
export declare class RealtimeError extends Base {
  constructor(message: string, context?: Record<string, unknown>);
  /** What was attempted: `operation`, and what it was about, such as `roomId`. */
  context: Record<string, unknown>;
}

/** `ROOM_NOT_FOUND`, 404. */
export declare class RoomNotFoundError extends Base {
  constructor(roomId: string, context?: Record<string, unknown>);
}

/** `CONNECTION_LIMIT_EXCEEDED`, 429. */
export declare class ConnectionLimitExceededError extends Base {
  constructor(limit: number, context?: Record<string, unknown>);
}

/** `INVALID_YJS_UPDATE`, 400. */
export declare class InvalidYjsUpdateError extends Base {
  constructor(message: string, context?: Record<string, unknown>);
}

/** `AUTH_FAILED`, 401. */
export declare class AuthenticationFailedError extends Base {
  constructor(context?: Record<string, unknown>);
}

/** `PERMISSION_DENIED`, 401. */
export declare class PermissionDeniedError extends Base {
  constructor(resource: string, context?: Record<string, unknown>);
}

export {};
