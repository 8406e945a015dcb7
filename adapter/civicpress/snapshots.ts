/**
 * Copies of rooms in the host's own database or data folder, for the host and whoever looks into them. The
 * engine does not live on them: its own store has every room.
 */

import { createHash, randomUUID } from 'node:crypto';

import type {
  RoomCopies,
  SnapshotDatabase,
  SnapshotEvents,
  SnapshotLimits,
  SnapshotLogger,
  SnapshotRow,
  SnapshotStorage,
} from '../../index.js';
import type * as Public from '../../index.js';
import { DatabaseSnapshotStorage } from './snapshot-database.js';
import { FilesystemSnapshotStorage } from './snapshot-files.js';

export { DatabaseSnapshotStorage, FilesystemSnapshotStorage };

/** The one format there is: a raw yjs update v1 of the whole document. */
export const SNAPSHOT_FORMAT_V1 = 1;
/** Size above which a copy is kept all the same, and told. */
export const MAX_SNAPSHOT_BYTES = 1024 * 1024;
/** Age after which copies of rooms go that are not in memory, in milliseconds. */
export const SNAPSHOT_TTL_MS = 48 * 60 * 60 * 1000;
export const MAX_SNAPSHOT_VERSIONS_PER_ROOM = 3;

type Listener<Name extends keyof SnapshotEvents> = (event: SnapshotEvents[Name]) => void;

const EVENTS = [
  'realtime:snapshot:saved',
  'realtime:snapshot:oversize',
  'realtime:snapshot:integrity-failed',
  'realtime:snapshot:expired',
  'realtime:snapshot:pruned',
] as const satisfies (keyof SnapshotEvents)[];

/** Who wants to know what becomes of copies. A listener that throws hurts nobody else. */
export class SnapshotHookBus implements Public.SnapshotHookBus {
  readonly #listeners = new Map<keyof SnapshotEvents, Set<Listener<never>>>();

  on<Name extends keyof SnapshotEvents>(name: Name, listener: Listener<Name>): void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
  }

  off<Name extends keyof SnapshotEvents>(name: Name, listener: Listener<Name>): void {
    this.#listeners.get(name)?.delete(listener);
  }

  emit<Name extends keyof SnapshotEvents>(name: Name, event: SnapshotEvents[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        (listener as Listener<Name>)(event);
      } catch {
        // Whatever it wanted to know, the copy is not at fault.
      }
    }
  }
}

/** What is wrong with a row's data; `null` = nothing. */
function fault(row: SnapshotRow): string | null {
  const hash = createHash('sha256').update(row.snapshot_data).digest('hex');
  return hash === row.integrity_hash ? null : 'its SHA-256 is not the one that was stored';
}

export class SnapshotManager implements Public.SnapshotManager {
  readonly #logger: SnapshotLogger;
  readonly #storage: SnapshotStorage;
  readonly #bus: SnapshotHookBus;
  readonly #limits: { keepVersions: number; bytesMax: number };
  /** Per room the save that runs: versions are given out one after the other. */
  readonly #saving = new Map<string, Promise<unknown>>();

  constructor(
    logger: SnapshotLogger,
    storage: SnapshotStorage,
    bus = new SnapshotHookBus(),
    limits: SnapshotLimits = {},
  ) {
    this.#logger = logger;
    this.#storage = storage;
    this.#bus = bus;
    const { keepVersions = MAX_SNAPSHOT_VERSIONS_PER_ROOM, bytesMax = MAX_SNAPSHOT_BYTES } = limits;
    this.#limits = { keepVersions, bytesMax };
  }

  /** Stores a copy as the room's newest version and drops those that are too many. */
  async persist(copy: { roomId: string; blob: Uint8Array }): Promise<void> {
    await this.save(copy.roomId, copy.blob);
  }

  /** The same, and says what it is known by. */
  async save(roomId: string, blob: Uint8Array): Promise<{ version: number; createdAt: number }> {
    const before = this.#saving.get(roomId);
    const saving = Promise.resolve(before?.catch(() => {})).then(() => this.#save(roomId, blob));
    this.#saving.set(roomId, saving);
    try {
      return await saving;
    } finally {
      if (this.#saving.get(roomId) === saving) this.#saving.delete(roomId);
    }
  }

  async #save(roomId: string, blob: Uint8Array): Promise<{ version: number; createdAt: number }> {
    const timestamp = Date.now();
    const byteSize = blob.byteLength;
    const cap = this.#limits.bytesMax;
    if (byteSize > cap) {
      this.#logger.warn(`the copy of ${roomId} has ${byteSize} bytes, more than ${cap}`, {
        operation: 'realtime:snapshot:oversize',
        roomId,
        byteSize,
      });
      this.#bus.emit('realtime:snapshot:oversize', { roomId, byteSize, cap, timestamp });
    }
    const version = (await this.#latestVersion(roomId)) + 1;
    await this.#storage.insert({
      room_id: roomId,
      version,
      snapshot_data: blob,
      integrity_hash: createHash('sha256').update(blob).digest('hex'),
      format_version: SNAPSHOT_FORMAT_V1,
      byte_size: byteSize,
      created_at: timestamp,
    });
    this.#bus.emit('realtime:snapshot:saved', { roomId, version, byteSize, timestamp });
    await this.pruneVersions(roomId).catch((error: unknown) =>
      this.#logger.warn(`old copies of ${roomId} were not dropped: ${String(error)}`, {
        operation: 'realtime:snapshot:prune-failed',
        roomId,
      }),
    );
    return { version, createdAt: timestamp };
  }

  async #latestVersion(roomId: string): Promise<number> {
    if (this.#storage.latestVersion !== undefined) return this.#storage.latestVersion(roomId);
    return (await this.#storage.loadLatestRow(roomId))?.version ?? 0;
  }

  /** The newest row as it is stored, sound or not. */
  loadLatest(roomId: string): Promise<SnapshotRow | null> {
    return this.#storage.loadLatestRow(roomId);
  }

  /** The newest row, if it is what was stored and of a format that is known. */
  async loadLatestVerified(roomId: string): Promise<SnapshotRow | null> {
    const newest = await this.examineLatest(roomId);
    return newest !== null && 'row' in newest ? newest.row : null;
  }

  /** The newest row, what is wrong with it, or `null` if there is none that is for us. */
  async examineLatest(roomId: string): Promise<{ row: SnapshotRow } | { damaged: string } | null> {
    const row = await this.loadLatest(roomId);
    if (row === null) return null;
    if (row.format_version > SNAPSHOT_FORMAT_V1) {
      this.#logger.warn(`the newest copy of ${roomId} has the unknown format ${row.format_version}`, {
        operation: 'realtime:snapshot:unknown-format',
        roomId,
      });
      return null;
    }
    const damaged = fault(row);
    if (damaged === null) return { row };
    const { version } = row;
    this.#logger.warn(`version ${version} of the copies of ${roomId} is damaged: ${damaged}`, {
      operation: 'realtime:snapshot:integrity-failed',
      roomId,
      version,
    });
    const event = { roomId, version, error: damaged, timestamp: Date.now() };
    this.#bus.emit('realtime:snapshot:integrity-failed', event);
    return { damaged };
  }

  /** Drops copies older than {@link SNAPSHOT_TTL_MS} of rooms that are not in memory; returns how many. */
  async cleanupExpired(options: { activeRoomIds: ReadonlySet<string>; before?: number }): Promise<number> {
    const { activeRoomIds, before = Date.now() - SNAPSHOT_TTL_MS } = options;
    let expired = 0;
    for (const row of await this.#storage.findOlderThan(before)) {
      const { room_id: roomId, version, created_at: createdAt } = row;
      if (activeRoomIds.has(roomId)) continue;
      await this.#storage.deleteRow(roomId, version);
      expired += 1;
      this.#bus.emit('realtime:snapshot:expired', { roomId, version, createdAt, timestamp: Date.now() });
    }
    return expired;
  }

  /** Drops all but the newest versions of a room; returns how many. */
  async pruneVersions(roomId: string, keep = this.#limits.keepVersions): Promise<number> {
    const old = (await this.#storage.listVersions(roomId)).slice(keep);
    // The oldest first, as they came.
    for (const version of old.reverse()) {
      await this.#storage.deleteRow(roomId, version);
      this.#bus.emit('realtime:snapshot:pruned', { roomId, version, keep, timestamp: Date.now() });
    }
    return old.length;
  }
}

/** The engine's way to the host's copies. */
export function roomCopies(manager: SnapshotManager): RoomCopies {
  return {
    save: (room, state) => manager.save(room, state),
    load: async (room) => {
      const newest = await manager.examineLatest(room);
      return newest !== null && 'row' in newest ? { state: newest.row.snapshot_data } : newest;
    },
    expire: (before, inUse) => manager.cleanupExpired({ activeRoomIds: new Set(inUse), before }),
  };
}

/**
 * Opens the copies where the configuration wants them, and passes their events on. `null`: they are switched
 * off, or there is no place for them at the host, and the engine keeps its own.
 */
export async function openSnapshots(options: {
  snapshots: Public.RealtimeConfig['snapshots'];
  databaseService?: SnapshotDatabase | null | undefined;
  /** The host's data folder. */
  dataDir: string;
  logger: SnapshotLogger;
  emitHook(name: string, data: Record<string, unknown>): void;
}): Promise<SnapshotManager | null> {
  const { snapshots, databaseService, dataDir, logger, emitHook } = options;
  if (!snapshots.enabled) return null;
  let storage: SnapshotStorage;
  if (snapshots.storage === 'filesystem') {
    storage = new FilesystemSnapshotStorage(dataDir, logger);
  } else if (snapshots.storage === 'database' && databaseService) {
    const database = new DatabaseSnapshotStorage(databaseService, logger);
    try {
      await database.makeTable();
    } catch (error) {
      logger.warn(`the host's table of copies cannot be used, they stay with the engine: ${String(error)}`, {
        operation: 'realtime:snapshot:table-failed',
      });
      return null;
    }
    storage = database;
  } else {
    return null;
  }
  const bus = new SnapshotHookBus();
  for (const name of EVENTS) {
    bus.on(name, (event: Record<string, unknown>) =>
      emitHook(name, { ...event, correlationId: randomUUID() }),
    );
  }
  const { keep_versions: keepVersions, max_bytes_warning: bytesMax } = snapshots;
  return new SnapshotManager(logger, storage, bus, { keepVersions, bytesMax });
}
