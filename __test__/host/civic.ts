/** A small CivicPress: real files, a real database, real sessions, a container of services. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import WebSocket from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

import { afterwards, ENTRY, silent, temporaryFolder } from '../support.js';
import { Container } from './container.js';
import { DatabaseService } from './database.js';
import { HookSystem } from './hooks.js';
import { RecordManager, type RecordData } from './records.js';
import { AuthService, type AuthUser } from './users.js';

type Package = typeof import('../../index.js');
type Server = InstanceType<Package['RealtimeServer']>;

export interface CivicOptions {
  /** Keys of `realtime.yml`; JSON is YAML. */
  config?: Record<string, unknown>;
  /** The package under test; without it the one that was built last. */
  realtime?: Package;
  folder?: string;
  withDatabase?: boolean;
}

const ADA: AuthUser = { id: 1, username: 'ada', role: 'clerk' };

export class Civic {
  readonly folder: string;
  readonly container = new Container();
  readonly hooks = new HookSystem();
  /** What the services were asked, in order. */
  readonly calls: string[] = [];
  readonly auth = new AuthService(this.hooks, this.calls);
  readonly database: DatabaseService;
  readonly records: RecordManager;
  readonly server: Server;

  constructor(realtime: Package, folder: string, options: CivicOptions) {
    this.folder = folder;
    const dataDir = join(folder, 'data');
    const system = join(folder, '.system-data');
    mkdirSync(system, { recursive: true });
    this.configure(options.config);
    this.database = new DatabaseService(join(system, 'civic.db'));
    this.records = new RecordManager(join(dataDir, 'records'), this.database, this.calls);
    this.container.registerInstance('logger', silent);
    this.container.registerInstance('hooks', this.hooks);
    this.container.registerInstance('auth', this.auth);
    this.container.registerInstance('recordManager', this.records);
    if (options.withDatabase !== false) this.container.registerInstance('database', this.database);
    realtime.registerRealtimeServices(this.container, { dataDir });
    this.server = this.container.resolve('realtimeServer');
  }

  /** Writes `realtime.yml`, for the next start. */
  configure(keys: Record<string, unknown> = {}): void {
    const realtime = { host: '127.0.0.1', port: 0, ...keys };
    writeFileSync(join(this.folder, '.system-data', 'realtime.yml'), JSON.stringify({ realtime }));
  }

  get port(): number {
    return this.server.getHealthStatus().server.port!;
  }

  session(user: Partial<AuthUser> = {}): string {
    return this.auth.createSession({ ...ADA, ...user });
  }

  /** A published record. */
  publish(record: Partial<RecordData> & { id: string }): void {
    this.records.write({ title: record.id, type: 'bylaw', status: 'published', content: '', ...record });
  }

  /** What the clerks' form shows. */
  async draft(id: string): Promise<string | null> {
    return (await this.database.getDraft(id))?.markdown_body ?? null;
  }

  /** A client as CivicPress's editor makes it. */
  edit(id: string, token = this.session(), type = 'records'): Editor {
    return new Editor(this.port, id, token, type);
  }
}

/** A small CivicPress whose realtime server runs, stopped after the test. */
export async function startCivic(options: CivicOptions = {}): Promise<Civic> {
  const civic = await makeCivic(options);
  await civic.server.initialize();
  return civic;
}

/** The same before `initialize()`. */
export async function makeCivic(options: CivicOptions = {}): Promise<Civic> {
  const realtime = options.realtime ?? ((await import(ENTRY.href)) as Package);
  const civic = new Civic(realtime, options.folder ?? temporaryFolder(), options);
  afterwards(async () => {
    await civic.server.shutdown();
    civic.database.close();
  });
  return civic;
}

export class Editor {
  readonly doc = new Y.Doc();
  readonly provider: WebsocketProvider;
  readonly synced: Promise<void>;
  readonly closed: Promise<{ code: number; reason: string }>;

  constructor(port: number, id: string, token: string, type = 'records') {
    const url = `ws://127.0.0.1:${port}/realtime/${type}`;
    this.provider = new WebsocketProvider(url, id, this.doc, {
      protocols: [`auth.${token}`],
      WebSocketPolyfill: WebSocket as unknown as typeof globalThis.WebSocket,
      disableBc: true,
    });
    this.synced = new Promise((resolve) => this.provider.on('sync', (state: boolean) => state && resolve()));
    this.closed = new Promise((resolve) =>
      this.provider.on(
        'connection-close',
        (event) => event && resolve({ code: event.code, reason: event.reason }),
      ),
    );
    afterwards(() => this.leave());
  }

  /** How the connection ended, or that it did not. */
  async outcome(): Promise<number | 'synced'> {
    return await Promise.race([
      this.synced.then(() => 'synced' as const),
      this.closed.then(({ code }) => code),
    ]);
  }

  get fragment(): Y.XmlFragment {
    return this.doc.getXmlFragment('default');
  }

  /** The document's text, block by block. */
  get text(): string {
    return this.fragment
      .toArray()
      .map((block) => (block as Y.XmlElement).toArray().join(''))
      .join('\n');
  }

  addParagraph(words: string): void {
    const paragraph = new Y.XmlElement('paragraph');
    paragraph.insert(0, [new Y.XmlText(words)]);
    this.fragment.push([paragraph]);
  }

  /** Resolves once the document shows `words`. */
  async shows(words: string): Promise<void> {
    if (this.text.includes(words)) return;
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!this.text.includes(words)) return;
        this.doc.off('update', look);
        resolve();
      };
      this.doc.on('update', look);
    });
  }

  leave(): void {
    this.provider.destroy();
    this.doc.destroy();
  }
}
