/** Published records as Markdown files with front matter. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { DatabaseService } from './database.js';

export interface RecordData {
  id: string;
  title: string;
  type: string;
  status: string;
  workflowState?: string;
  content: string;
  metadata?: Record<string, unknown>;
  geography?: unknown;
  attachedFiles?: unknown[];
  linkedRecords?: unknown[];
  linkedGeographyFiles?: unknown[];
}

const FILE = /^---\n(?<head>.*?)\n---\n\n?(?<content>.*)$/s;

export class RecordManager {
  readonly #folder: string;
  readonly #database: DatabaseService;
  readonly #calls: string[];

  constructor(folder: string, database: DatabaseService, calls: string[]) {
    this.#calls = calls;
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
    this.#database = database;
  }

  async getRecord(id: string): Promise<RecordData | null> {
    this.#calls.push(`getRecord ${id}`);
    const file = this.#file(id);
    if (!existsSync(file)) return null;
    const { head = '{}', content = '' } = FILE.exec(readFileSync(file, 'utf8'))?.groups ?? {};
    return { ...(JSON.parse(head) as Omit<RecordData, 'content'>), content };
  }

  /** JSON is YAML, so the front matter is one. */
  write({ content, ...head }: RecordData): void {
    writeFileSync(this.#file(head.id), `---\n${JSON.stringify(head)}\n---\n\n${content}`);
  }

  /** Makes the draft the record, with all of its fields, and takes the draft away. */
  async publishDraft(id: string): Promise<void> {
    const draft = await this.#database.getDraft(id);
    if (!draft) throw new Error(`no draft ${id}`);
    const parsed = (json: string | null): any => (json === null ? undefined : JSON.parse(json));
    this.write({
      id,
      title: draft.title,
      type: draft.type,
      status: 'published',
      content: draft.markdown_body ?? '',
      metadata: parsed(draft.metadata),
      geography: parsed(draft.geography),
      attachedFiles: parsed(draft.attached_files),
      linkedRecords: parsed(draft.linked_records),
      linkedGeographyFiles: parsed(draft.linked_geography_files),
    });
    await this.#database.deleteDraft(id);
  }

  #file(id: string): string {
    return join(this.#folder, `${id}.md`);
  }
}
