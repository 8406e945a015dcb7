/** A real SQLite file with core's table of drafts. */

import sqlite from 'node-sqlite3-wasm';

export interface DraftRow {
  id: string;
  title: string;
  type: string;
  status: string | null;
  workflow_state: string | null;
  markdown_body: string | null;
  metadata: string | null;
  geography: string | null;
  attached_files: string | null;
  linked_records: string | null;
  linked_geography_files: string | null;
  author: string | null;
  created_by: string | null;
}

const COLUMNS = [
  'id',
  'title',
  'type',
  'status',
  'workflow_state',
  'markdown_body',
  'metadata',
  'geography',
  'attached_files',
  'linked_records',
  'linked_geography_files',
  'author',
  'created_by',
] as const;

type Value = string | number | bigint | boolean | Uint8Array | null;

export class DatabaseService {
  readonly #database: InstanceType<typeof sqlite.Database>;

  constructor(file: string) {
    this.#database = new sqlite.Database(file);
    this.#database.exec(
      `CREATE TABLE IF NOT EXISTS record_drafts (
         id TEXT PRIMARY KEY, title TEXT NOT NULL, type TEXT NOT NULL, status TEXT DEFAULT 'draft',
         workflow_state TEXT DEFAULT 'draft', markdown_body TEXT, metadata TEXT, geography TEXT,
         attached_files TEXT, linked_records TEXT, linked_geography_files TEXT, author TEXT, created_by TEXT,
         last_draft_saved_at DATETIME DEFAULT CURRENT_TIMESTAMP,
         created_at DATETIME DEFAULT CURRENT_TIMESTAMP, updated_at DATETIME DEFAULT CURRENT_TIMESTAMP)`,
    );
  }

  async query<T = Record<string, unknown>>(sql: string, params: Value[] = []): Promise<T[]> {
    return this.#database.all(sql, params) as T[];
  }

  async execute(sql: string, params: Value[] = []): Promise<void> {
    this.#database.run(sql, params);
  }

  async getDraft(id: string): Promise<DraftRow | null> {
    const [row] = await this.query<DraftRow>('SELECT * FROM record_drafts WHERE id = ?', [id]);
    return row ?? null;
  }

  async createDraft(draft: {
    id: string;
    title: string;
    type: string;
    [column: string]: any;
  }): Promise<void> {
    const values = COLUMNS.map((column) => (draft[column] as Value | undefined) ?? null);
    const places = COLUMNS.map(() => '?').join(', ');
    await this.execute(`INSERT INTO record_drafts (${COLUMNS.join(', ')}) VALUES (${places})`, values);
  }

  async updateDraft(id: string, updates: { [column: string]: any }): Promise<void> {
    const named = COLUMNS.filter((column) => updates[column] !== undefined);
    if (named.length === 0) return;
    const set = named.map((column) => `${column} = ?`).join(', ');
    const values = named.map((column) => updates[column] as Value);
    await this.execute(
      `UPDATE record_drafts SET ${set}, last_draft_saved_at = CURRENT_TIMESTAMP WHERE id = ?`,
      [...values, id],
    );
  }

  async deleteDraft(id: string): Promise<void> {
    await this.execute('DELETE FROM record_drafts WHERE id = ?', [id]);
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }
}
