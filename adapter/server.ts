import type {
  CivicDatabaseService,
  CivicPressArguments,
  CivicRecordManager,
  HealthStatus,
  NoticeLevel,
  RecordReference,
  RealtimeServerOptions,
  RoomTypeHandler,
  ServerAddress,
  SnapshotReport,
} from '../index.js';
import type * as Public from '../index.js';
import { addon } from './addon.js';
import { SESSION_REVOKED_HOOK } from './civicpress/constants.js';
import { CivicPressEmbedding } from './civicpress/embedding.js';
import { RecordRoomHandler } from './civicpress/record-room-handler.js';
import type { SnapshotManager } from './civicpress/snapshots.js';
import { ownEmbedding, PAGES_DIR, type Embedding } from './embedding.js';
import { asRealtimeError, RealtimeError, realtimeError } from './errors.js';
import { Events } from './events.js';
import { emitHook, hostCallbacks } from './host.js';
import { logCallback, logFields } from './logging.js';
import { Rooms } from './rooms/index.js';

type Engine = InstanceType<ReturnType<typeof addon>['RealtimeEngine']>;

export class RealtimeServer implements Public.RealtimeServer {
  readonly #embedding: Embedding;
  readonly #engine: Engine;
  readonly #rooms: Rooms;
  /** Live; what device rooms of CivicPress read. */
  readonly connections: Map<string, Public.ClientSocket>;
  readonly clientToDevice: Map<string, Public.DeviceIdentity>;
  readonly events: Events;

  /** One function for life: hosts take handlers off by identity. */
  readonly #revoked = (data: unknown): void => {
    const { userId, reason } = (data ?? {}) as { userId?: unknown; reason?: unknown };
    this.revokeUserConnections(userId as string, typeof reason === 'string' ? reason : '');
  };

  constructor(...given: [options?: RealtimeServerOptions] | CivicPressArguments) {
    this.#embedding = isCivicPress(given) ? new CivicPressEmbedding(...given) : ownEmbedding(given[0] ?? {});
    const { pagesDir } = this.#embedding;
    const { RealtimeEngine } = addon();
    this.#engine = new RealtimeEngine({
      toolsDir: PAGES_DIR,
      ...(pagesDir === undefined ? {} : { pagesDir }),
    });
    this.#rooms = new Rooms({ server: this, engine: this.#engine, logger: this.#embedding.logger });
    this.events = new Events(this.#engine, this.#embedding.logger);
    this.connections = this.#rooms.connections;
    this.clientToDevice = this.#rooms.clientToDevice;
  }

  async initialize(): Promise<ServerAddress> {
    const { host, logger } = this.#embedding;
    try {
      return await this.#attempt('initialize', {}, async () => {
        await this.#embedding.open?.();
        // Before anybody can be in. Taken off first: initialize() may be called again while it runs.
        host?.removeHook?.(SESSION_REVOKED_HOOK, this.#revoked);
        host?.registerHook?.(SESSION_REVOKED_HOOK, this.#revoked);
        return await this.#engine.initialize({
          sources: this.#embedding.sources(),
          log: logCallback(logger),
          // A standalone server's joins do not wait for this thread.
          rooms: this.#rooms.callbacks(host !== undefined),
          ...(host === undefined ? {} : { host: hostCallbacks(host, logger) }),
        });
      });
    } finally {
      if (this.#engine.getHealthStatus().server.listening) {
        this.events.follow(host);
      } else {
        host?.removeHook?.(SESSION_REVOKED_HOOK, this.#revoked);
        this.#embedding.close?.();
      }
    }
  }

  async shutdown(): Promise<void> {
    this.#embedding.host?.removeHook?.(SESSION_REVOKED_HOOK, this.#revoked);
    this.events.unfollow(this.#embedding.host);
    await this.#attempt('shutdown', {}, () => this.#engine.shutdown());
    await this.#rooms.stopped();
    this.#embedding.close?.();
    // The last log lines are on their way; let them arrive before the caller goes on to exit.
    await new Promise((resolve) => setImmediate(resolve));
  }

  setRecordManager(records: CivicRecordManager): void {
    this.#civicPress().services.records = records;
  }

  setDatabaseService(database: CivicDatabaseService): void {
    this.#civicPress().services.database = database;
  }

  registerRoomTypeHandler(handler: RoomTypeHandler): void {
    if (handler instanceof RecordRoomHandler) {
      this.#civicPress().adopt(handler);
      RecordRoomHandler.attach(handler, (roomId) => this.#engine.triggerSnapshot(roomId));
    }
    this.#rooms.registry.registerRoomTypeHandler(handler);
  }

  getSnapshotManager(): SnapshotManager | null {
    return this.#embedding.snapshots ?? null;
  }

  emitHook(name: string, data: Record<string, unknown>): void {
    const { host, logger } = this.#embedding;
    if (host) emitHook(host, logger, name, data);
  }

  getHealthStatus(): HealthStatus {
    const { heapUsed, heapTotal, external } = process.memoryUsage();
    return { ...this.#engine.getHealthStatus(), memory: { heapUsed, heapTotal, external } };
  }

  async triggerRecordSnapshot(recordId: string): Promise<SnapshotReport> {
    try {
      return await this.#engine.triggerSnapshot(`records:${recordId}`);
    } catch (error) {
      const { code } = asRealtimeError(error);
      if (code !== 'REALTIME_NOT_RUNNING' && code !== 'ROOM_NOT_FOUND') {
        throw this.#failed('triggerRecordSnapshot', { recordId }, error);
      }
      return { snapshotCreated: false, version: null, timestamp: Date.now() };
    }
  }

  async finalizeRoomSnapshot({ roomId }: { roomId: string }): Promise<void> {
    if (await this.#rooms.finalize(roomId)) return;
    await this.#engine.triggerSnapshot(roomId).catch(() => {});
  }

  reloadTls(): Promise<void> {
    return this.#attempt('reloadTls', {}, () => this.#engine.reloadTls());
  }

  revokeUserConnections(userId: string | number, reason = ''): number {
    // Called with what a hook says, whatever that is.
    if (typeof userId !== 'string' && typeof userId !== 'number') return 0;
    return this.#rooms.revoke(String(userId), String(reason));
  }

  roomMarkdown(room: string): Promise<string> {
    return this.#attempt('roomMarkdown', { roomId: room }, () => this.#engine.roomMarkdown(room));
  }

  references(room: string): Promise<RecordReference[]> {
    return this.#attempt('references', { roomId: room }, async () => {
      return JSON.parse(await this.#engine.references(room)) as RecordReference[];
    });
  }

  kickUser(room: string, userId: string | number, reason = ''): Promise<number> {
    const context = { roomId: room, userId: String(userId) };
    return this.#attempt('kickUser', context, () => this.#engine.kickUser(room, String(userId), reason));
  }

  lockRoom(room: string): Promise<number> {
    return this.#attempt('lockRoom', { roomId: room }, () => this.#engine.lockRoom(room, true));
  }

  unlockRoom(room: string): Promise<number> {
    return this.#attempt('unlockRoom', { roomId: room }, () => this.#engine.lockRoom(room, false));
  }

  notifyRoom(room: string, message: string, level: NoticeLevel = 'info'): Promise<number> {
    return this.#attempt('notifyRoom', { roomId: room }, () => this.#engine.notifyRoom(room, message, level));
  }

  exportLog(room: string): Promise<Uint8Array[]> {
    return this.#attempt('exportLog', { roomId: room }, () => this.#engine.exportLog(room));
  }

  getHandlerRegistry(): Public.HandlerRegistry {
    return this.#rooms.registry;
  }

  getRoomManager(): Public.RoomManager {
    return this.#rooms.manager;
  }

  setRoomManager(manager: Public.RoomManager): void {
    this.#rooms.manager = manager;
  }

  getConnection(clientId: string): Public.ClientSocket | undefined {
    return this.connections.get(clientId);
  }

  getConnections(): ReadonlyMap<string, Public.ClientSocket> {
    return this.connections;
  }

  getConnectionCounts(): ReadonlyMap<string, number> {
    return this.#rooms.connectionCounts;
  }

  getUserConnections(): ReadonlyMap<string, ReadonlySet<string>> {
    return this.#rooms.userConnections;
  }

  rooms(): string[] {
    return this.#engine.rooms();
  }

  #civicPress(): CivicPressEmbedding {
    if (this.#embedding instanceof CivicPressEmbedding) return this.#embedding;
    throw realtimeError('REALTIME_NOT_CIVICPRESS', 'this server has a host of its own, not CivicPress');
  }

  /** Runs native code; what it throws or rejects with becomes a {@link RealtimeError}, which is logged. */
  async #attempt<T>(operation: string, context: Record<string, unknown>, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#failed(operation, context, error);
    }
  }

  #failed(operation: string, about: Record<string, unknown>, cause: unknown): RealtimeError {
    const error = asRealtimeError(cause, { operation, ...about });
    const { code, correlationId, context, message } = error;
    const fields = {
      event: 'operation_failed',
      code,
      correlation_id: correlationId,
      context,
      error: message,
    };
    try {
      this.#embedding.logger.info(`${operation} failed: ${message}`, logFields(fields));
    } catch {
      // A broken logger must not hide the error.
    }
    return error;
  }
}

function isCivicPress(given: unknown[]): given is CivicPressArguments {
  return given.length > 1;
}
