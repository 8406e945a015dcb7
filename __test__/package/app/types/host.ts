/** Compiled, never run: CivicPress's own classes, as they are declared there, fit ours. */

import type {
  AuthResult,
  ClientConnection,
  ConnectionContext,
  DisconnectContext,
  MessageContext,
  RealtimeServer,
  Room,
  RoomConfig,
  RoomFactory,
  RoomState,
  RoomTypeHandler,
} from '@civicpress/realtime';
import { createRealtimeServer, registerRealtimeServices } from '@civicpress/realtime';

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
