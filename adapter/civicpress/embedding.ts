/** A server inside CivicPress: its services, its configuration folder, its log. */

import { dirname, isAbsolute, join, resolve } from 'node:path';

import type { ConfigSources } from '../../binding.js';
import type * as Public from '../../index.js';
import type { Embedding } from '../embedding.js';
import { emitHook } from '../host.js';
import { readConfig, RealtimeConfigManager } from './config-manager.js';
import { CivicPressHost, type Services } from './host.js';
import { civicPressLogger } from './logger.js';
import { RecordRoomHandler } from './record-room-handler.js';
import { openSnapshots, roomCopies, type SnapshotManager } from './snapshots.js';

/** Where CivicPress keeps what is not content. */
export function systemDataDir(config: Public.CivicPressConfig): string {
  if (config.systemDataDir) return config.systemDataDir;
  const { dataDir } = config;
  return join(dirname(isAbsolute(dataDir) ? dataDir : resolve(dataDir)), '.system-data');
}

export class CivicPressEmbedding implements Embedding {
  readonly services: Services;
  readonly logger: Public.RealtimeLogger;
  readonly host: CivicPressHost;
  snapshots: SnapshotManager | null = null;
  readonly #configManager: RealtimeConfigManager;
  readonly #dataDir: string | undefined;
  #hookBus: Public.RecordSnapshotHookBus | undefined;

  constructor(...[logger, hooks, auth, configManager, config]: Public.CivicPressArguments) {
    this.services = { auth, hooks };
    this.logger = civicPressLogger(logger);
    this.#configManager = configManager as unknown as RealtimeConfigManager;
    this.#dataDir = config.dataDir;
    this.host = new CivicPressHost(this.services, this.logger, (name, data) => this.#tellBus(name, data));
  }

  sources(): ConfigSources {
    return RealtimeConfigManager.sources(this.#configManager, this.#dataDir);
  }

  async open(): Promise<void> {
    if (this.snapshots) return;
    const { snapshots } = readConfig(this.sources());
    this.snapshots = await openSnapshots({
      snapshots,
      databaseService: this.services.database,
      dataDir: this.#dataDir ?? '.',
      logger: this.logger,
      emitHook: (name, data) => emitHook(this.host, this.logger, name, data),
    });
    if (this.snapshots) this.host.copies = roomCopies(this.snapshots);
  }

  close(): void {
    this.snapshots = null;
    delete this.host.copies;
  }

  /** A bus that fails must not keep the hook from the hook system. */
  #tellBus(name: string, data: Record<string, unknown>): void {
    try {
      this.#hookBus?.emit(name, data);
    } catch (error) {
      this.logger.warn(`the hook bus failed at ${name}: ${String(error)}`);
    }
  }

  /** Takes over what a handler of record rooms was made with. */
  adopt(handler: RecordRoomHandler): void {
    const { draftPersistence, recordSource, hookBus, authService, recordManager, databaseService } =
      handler.deps;
    const { services } = this;
    if (draftPersistence) services.drafts = draftPersistence;
    if (recordSource) services.recordSource = recordSource;
    if (authService) services.auth = authService;
    if (recordManager) services.records = recordManager;
    if (databaseService) services.database = databaseService;
    if (hookBus) this.#hookBus = hookBus;
  }
}
