/** Compiled, never run: CivicPress's own classes, as they are declared there, fit ours. */

import type {
  AuthResult,
  BaseMessage,
  ClientConnection,
  ClientData,
  ConnectionContext,
  ControlMessage,
  DisconnectContext,
  MessageContext,
  PresenceMessage,
  RealtimeConfig,
  RealtimeServer,
  Room,
  RoomConfig,
  RoomFactory,
  RoomManager,
  RoomState,
  RoomTypeHandler,
  SyncMessage,
} from '@civicpress/realtime';
import {
  ControlEvent,
  createRealtimeServer,
  MessageType,
  PresenceEvent,
  RealtimeConfigManager,
  registerRealtimeServices,
} from '@civicpress/realtime';

export class DeviceRoom implements Room {
  public readonly roomId: string;
  public readonly roomType: string = 'device';
  readonly #server: RealtimeServer;
  readonly #clients = new Map<string, ClientConnection>();

  constructor(roomId: string, _config: RoomConfig, server: RealtimeServer) {
    this.roomId = roomId;
    this.#server = server;
  }

  addClient(clientId: string, connection: ClientConnection): void {
    this.#clients.set(clientId, connection);
  }

  removeClient(clientId: string): void {
    this.#clients.delete(clientId);
  }

  broadcast(message: any, excludeClientId?: string): void {
    this.#server.emitHook('device', { message, excludeClientId });
  }

  getState(): RoomState {
    const participants = [...this.#clients.values()];
    return { ...this, participants, version: 1, createdAt: 0, lastActivity: 0 };
  }

  async destroy(): Promise<void> {}
}

export class DeviceRoomHandler implements RoomTypeHandler {
  public readonly roomType = 'device';
  readonly authenticatesConnection = true;

  async onConnect(context: ConnectionContext): Promise<AuthResult> {
    const deviceAuth = { deviceId: '1', deviceUuid: context.roomId, organizationId: '1' };
    return { success: context.token !== '', deviceAuth };
  }

  async onPostConnect(context: ConnectionContext, _auth: AuthResult): Promise<void> {
    context.ws.send(JSON.stringify({ type: 'manifest' }));
  }

  async onMessage(context: MessageContext): Promise<void> {
    context.sendToClient(context.clientId, context.message);
  }

  onDisconnect(context: DisconnectContext): void {
    context.room.removeClient(context.clientId);
  }
}

export const factory = (server: RealtimeServer): RoomFactory => ({
  createRoom: (roomId, config) => new DeviceRoom(roomId, config, server),
  supportsRoomType: (type: string) => type === 'device',
});

interface AuthUser {
  id: number;
  username: string;
  role: string;
  email?: string;
}
interface HookContext {
  timestamp: Date;
  metadata?: Record<string, any>;
}
interface DraftRow {
  id: string;
  title: string;
  type: string;
  status?: string;
  markdown_body?: string;
}

declare class Logger {
  info(message: string, ...args: any[]): void;
  warn(message: string, ...args: any[]): void;
  error(message: string, ...args: any[]): void;
  debug(message: string, ...args: any[]): void;
}
declare class HookSystem {
  emit(name: string, data: any, context?: Partial<HookContext>): Promise<void>;
  registerHook(name: string, handler: (data: any, context: HookContext) => Promise<void> | void): void;
  removeHook(name: string, handler: (data: any, context: HookContext) => Promise<void> | void): void;
}
declare class AuthService {
  validateSession(token: string): Promise<AuthUser | null>;
  userCan(user: AuthUser, permission: string, context?: { recordType?: string }): Promise<boolean>;
}
declare class RecordManager {
  getRecord(id: string): Promise<{
    id: string;
    title: string;
    type: string;
    status: string;
    workflowState?: string;
    content?: string;
    metadata?: Record<string, any>;
    attachedFiles?: { id: string; path: string }[];
  } | null>;
}
declare class DatabaseService {
  query<T = unknown>(sql: string, params?: (string | number | null)[]): Promise<T[]>;
  getDraft(id: string): Promise<DraftRow | null>;
  createDraft(draft: {
    id: string;
    title: string;
    type: string;
    status?: string;
    markdown_body?: string | null;
    geography?: string | null;
    author: string;
    created_by: string;
  }): Promise<void>;
  updateDraft(id: string, updates: { title?: string; markdown_body?: string }): Promise<void>;
}

interface CivicPressConfig {
  dataDir: string;
  systemDataDir?: string;
  database?: { type: 'sqlite' };
}
declare const config: CivicPressConfig;

type Class<T> = new (...args: any[]) => T;
declare class ServiceContainer {
  singleton<T>(key: string | Class<T>, factory: (container: ServiceContainer) => T): void;
  resolve<T>(key: string | Class<T>): T;
  isRegistered(key: string | Class<any>): boolean;
}
registerRealtimeServices(new ServiceContainer(), config);

export const server: RealtimeServer = createRealtimeServer(
  {
    logger: new Logger(),
    hookSystem: new HookSystem(),
    authService: new AuthService(),
    recordManager: new RecordManager(),
    databaseService: new DatabaseService(),
  },
  config,
);

/** As the device commands look up their room: the very class comes back. */
export function roomOf(rooms: RoomManager, uuid: string): DeviceRoom {
  return (rooms.getRoom(`device:${uuid}`) ??
    rooms.getOrCreateRoom(`device:${uuid}`, 'device', {})) as DeviceRoom;
}

/** As the API's tests read a server. */
export function counted(of: RealtimeServer): number {
  const ids: Set<string>[] = [...of.getUserConnections().values()].map((each) => new Set(each));
  const perAddress: number = of.getConnectionCounts().get('127.0.0.1') ?? 0;
  return of.connections.size + of.clientToDevice.size + of.getConnections().size + ids.length + perAddress;
}

export class ObservedRoom extends DeviceRoom {
  override addClient(clientId: string, data: ClientData & ClientConnection): void {
    super.addClient(clientId, { ...data, lastActivity: Date.now() });
  }
}

/** A configuration as CivicPress declares it, with none of our own keys. */
const realtimeConfig: RealtimeConfig = {
  enabled: true,
  port: 3001,
  host: '0.0.0.0',
  path: '/realtime',
  rooms: { max_rooms: 100, cleanup_timeout: 3600, grace_period_ms: 300_000 },
  snapshots: { enabled: true, interval: 300, max_updates: 100, storage: 'database' },
  rate_limiting: { messages_per_second: 10, connections_per_ip: 100, connections_per_user: 10 },
};
new RealtimeConfigManager('.system-data').validateConfig(realtimeConfig);

const sync: SyncMessage = { type: MessageType.SYNC, update: 'AAA=', version: 1, from: '7' };
const presence: PresenceMessage = {
  type: MessageType.PRESENCE,
  event: PresenceEvent.CURSOR,
  user: { id: '7', name: 'Ada', color: '#3b82f6' },
  cursor: { position: 1, selection: { start: 1, end: 2 } },
};
const control: ControlMessage = {
  type: MessageType.CONTROL,
  event: ControlEvent.ROOM_STATE,
  room: { id: 'record:a', participants: [], yjsState: 'AAA=', version: 1 },
};
export const messages: BaseMessage[] = [sync, presence, control];
