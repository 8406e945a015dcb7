import type { ConfigSources } from '../binding.js';
import type {
  HealthStatus,
  RealtimeHost,
  RealtimeLogger,
  RealtimeServerOptions,
  ServerAddress,
  SnapshotReport,
} from '../index.js';
import type * as Public from '../index.js';
import { RealtimeError } from './errors.js';
import { hostCallbacks } from './host.js';
import { logCallback, logFields, quietConsole } from './logging.js';
import { native } from './native.js';

/** What the native side reads a configuration from. */
export function configSources(
  options: Pick<RealtimeServerOptions, 'config' | 'configFile' | 'env' | 'cwd' | 'standalone'>,
): ConfigSources {
  const set = Object.entries(options.env ?? process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return {
    env: Object.fromEntries(set),
    cwd: options.cwd ?? process.cwd(),
    ...(options.config === undefined ? {} : { config: JSON.stringify(options.config) }),
    ...(options.configFile === undefined ? {} : { configFile: options.configFile }),
    ...(options.standalone === undefined ? {} : { standalone: options.standalone }),
  };
}

/** The host's event that a user's sessions are over. */
const SESSION_REVOKED_HOOK = 'auth:sessions:revoked';

export class RealtimeServer implements Public.RealtimeServer {
  readonly #engine: InstanceType<typeof native.RealtimeEngine>;
  readonly #host: RealtimeHost | undefined;
  readonly #logger: RealtimeLogger;
  readonly #sources: ConfigSources;

  /** One function for life: hosts take handlers off by identity. */
  readonly #revoked = (data: unknown): void => {
    const { userId, reason } = (data ?? {}) as { userId?: unknown; reason?: unknown };
    this.revokeUserConnections(userId as string, typeof reason === 'string' ? reason : '');
  };

  constructor(options: RealtimeServerOptions = {}) {
    this.#host = options.host;
    this.#logger = options.logger ?? quietConsole;
    const standalone = options.standalone ?? options.host === undefined;
    this.#sources = configSources({ ...options, standalone });
    this.#engine = new native.RealtimeEngine({
      ...(options.pagesDir === undefined ? {} : { pagesDir: options.pagesDir }),
    });
  }

  async initialize(): Promise<ServerAddress> {
    const address = await this.#attempt('initialize', {}, () =>
      this.#engine.initialize({
        sources: this.#sources,
        log: logCallback(this.#logger),
        ...(this.#host === undefined ? {} : { host: hostCallbacks(this.#host, this.#logger) }),
      }),
    );
    // Taken off first: initialize() may be called again while it runs.
    this.#host?.removeHook?.(SESSION_REVOKED_HOOK, this.#revoked);
    this.#host?.registerHook?.(SESSION_REVOKED_HOOK, this.#revoked);
    return address;
  }

  async shutdown(): Promise<void> {
    this.#host?.removeHook?.(SESSION_REVOKED_HOOK, this.#revoked);
    await this.#attempt('shutdown', {}, () => this.#engine.shutdown());
    // The last log lines are on their way; let them arrive before the caller goes on to exit.
    await new Promise((resolve) => setImmediate(resolve));
  }

  getHealthStatus(): HealthStatus {
    const { heapUsed, heapTotal, external } = process.memoryUsage();
    return { ...this.#engine.getHealthStatus(), memory: { heapUsed, heapTotal, external } };
  }

  async triggerRecordSnapshot(recordId: string): Promise<SnapshotReport> {
    try {
      return await this.#engine.triggerSnapshot(`records:${recordId}`);
    } catch (error) {
      const { code } = RealtimeError.from(error);
      if (code !== 'REALTIME_NOT_RUNNING' && code !== 'ROOM_NOT_FOUND') {
        throw this.#failed('triggerRecordSnapshot', { recordId }, error);
      }
      return { snapshotCreated: false, version: null, timestamp: Date.now() };
    }
  }

  reloadTls(): Promise<void> {
    return this.#attempt('reloadTls', {}, () => this.#engine.reloadTls());
  }

  revokeUserConnections(userId: string | number, reason = ''): number {
    // Called with what a hook says, whatever that is.
    if (typeof userId !== 'string' && typeof userId !== 'number') return 0;
    return this.#engine.revokeUser(String(userId), String(reason));
  }

  roomMarkdown(room: string): Promise<string> {
    return this.#attempt('roomMarkdown', { roomId: room }, () => this.#engine.roomMarkdown(room));
  }

  exportLog(room: string): Promise<Uint8Array[]> {
    return this.#attempt('exportLog', { roomId: room }, () => this.#engine.exportLog(room));
  }

  rooms(): string[] {
    return this.#engine.rooms();
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
    const error = RealtimeError.from(cause, { operation, ...about });
    const { code, correlationId, context, message } = error;
    const fields = {
      event: 'operation_failed',
      code,
      correlation_id: correlationId,
      context,
      error: message,
    };
    try {
      this.#logger.info(`${operation} failed: ${message}`, logFields(fields));
    } catch {
      // A broken logger must not hide the error.
    }
    return error;
  }
}
