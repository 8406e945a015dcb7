/** Copies of rooms as rows of `realtime_snapshots` in the host's database. */

import type { SnapshotDatabase, SnapshotLogger, SnapshotRow, SnapshotStorage } from '../../index.js';

/** Where SQLite and PostgreSQL differ. */
interface Dialect {
  blob: string;
  /** An integer that holds Unix milliseconds. */
  long: string;
  place(number: number): string;
}

const SQLITE: Dialect = { blob: 'BLOB', long: 'INTEGER', place: () => '?' };
const POSTGRES: Dialect = { blob: 'BYTEA', long: 'BIGINT', place: (number) => `$${number}` };

/** The host chooses its adapter by `type` of its database configuration, which the adapter keeps. */
function dialectOf(database: SnapshotDatabase): Dialect {
  const adapter = database.getAdapter?.() as { config?: { type?: unknown } } | null | undefined;
  const type = adapter?.config?.type ?? adapter?.constructor.name;
  return /^postgres/i.test(String(type)) ? POSTGRES : SQLITE;
}

const COLUMNS = [
  'id',
  'room_id',
  'snapshot_data',
  'version',
  'integrity_hash',
  'format_version',
  'byte_size',
  'created_at',
] as const;

type Raw = Record<(typeof COLUMNS)[number], unknown>;

/** PostgreSQL's driver gives large integers as text. */
function keyOf(raw: Raw): Omit<SnapshotRow, 'snapshot_data'> {
  return {
    room_id: String(raw.room_id),
    version: Number(raw.version),
    integrity_hash: String(raw.integrity_hash),
    format_version: Number(raw.format_version),
    byte_size: Number(raw.byte_size),
    created_at: Number(raw.created_at),
  };
}

export class DatabaseSnapshotStorage implements SnapshotStorage {
  readonly #database: SnapshotDatabase;
  readonly #dialect: Dialect;

  /** The logger is taken because the host's own class takes one. */
  constructor(database: SnapshotDatabase, _logger?: SnapshotLogger) {
    this.#database = database;
    this.#dialect = dialectOf(database);
  }

  /** Makes the table and its indexes if they are not there. */
  async makeTable(): Promise<void> {
    try {
      await this.#query('SELECT 1 FROM realtime_snapshots LIMIT 1');
      return;
    } catch {
      // Not there, or the next statement says what is wrong.
    }
    const { blob, long } = this.#dialect;
    await this.#query(`CREATE TABLE IF NOT EXISTS realtime_snapshots (
      id TEXT PRIMARY KEY,
      room_id TEXT NOT NULL,
      snapshot_data ${blob} NOT NULL,
      version INTEGER NOT NULL,
      integrity_hash TEXT NOT NULL DEFAULT '',
      format_version INTEGER NOT NULL DEFAULT 1,
      byte_size INTEGER NOT NULL DEFAULT 0,
      created_at ${long} NOT NULL
    )`);
    await this.#query(
      'CREATE INDEX IF NOT EXISTS idx_realtime_snapshots_room_id ON realtime_snapshots(room_id)',
    );
    await this.#query(
      'CREATE INDEX IF NOT EXISTS realtime_snapshots_created_at_idx ON realtime_snapshots(created_at)',
    );
  }

  async insert(row: SnapshotRow): Promise<void> {
    const id = `${row.room_id}-${row.version}-${row.created_at}`;
    const data = row.snapshot_data;
    const values: Raw = {
      id,
      ...row,
      // A view, not a copy: the drivers take nothing but a Buffer for a blob.
      snapshot_data: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
    };
    const places = COLUMNS.map(() => '?').join(', ');
    const renewed = COLUMNS.filter((name) => name !== 'id').map((name) => `${name} = excluded.${name}`);
    await this.#query(
      `INSERT INTO realtime_snapshots (${COLUMNS.join(', ')}) VALUES (${places})
       ON CONFLICT (id) DO UPDATE SET ${renewed.join(', ')}`,
      COLUMNS.map((name) => values[name]),
    );
  }

  async loadLatestRow(roomId: string): Promise<SnapshotRow | null> {
    const [raw] = await this.#query(
      'SELECT * FROM realtime_snapshots WHERE room_id = ? ORDER BY version DESC, created_at DESC LIMIT 1',
      [roomId],
    );
    if (raw === undefined) return null;
    return { ...keyOf(raw), snapshot_data: new Uint8Array(raw.snapshot_data as Uint8Array) };
  }

  async latestVersion(roomId: string): Promise<number> {
    const sql = 'SELECT MAX(version) AS version FROM realtime_snapshots WHERE room_id = ?';
    const [raw] = await this.#query(sql, [roomId]);
    return Number(raw?.version ?? 0);
  }

  async listVersions(roomId: string): Promise<number[]> {
    const rows = await this.#query(
      'SELECT version FROM realtime_snapshots WHERE room_id = ? ORDER BY version DESC',
      [roomId],
    );
    return rows.map((raw) => Number(raw.version));
  }

  async findOlderThan(cutoff: number): Promise<Omit<SnapshotRow, 'snapshot_data'>[]> {
    const names = COLUMNS.filter((name) => name !== 'snapshot_data').join(', ');
    const rows = await this.#query(
      `SELECT ${names} FROM realtime_snapshots WHERE created_at < ? ORDER BY created_at ASC`,
      [cutoff],
    );
    return rows.map(keyOf);
  }

  async deleteRow(roomId: string, version: number): Promise<void> {
    await this.#query('DELETE FROM realtime_snapshots WHERE room_id = ? AND version = ?', [roomId, version]);
  }

  async #query(sql: string, params: unknown[] = []): Promise<Raw[]> {
    let number = 0;
    const said = sql.replaceAll('?', () => this.#dialect.place((number += 1)));
    return (await this.#database.query(said, params)) as Raw[];
  }
}
