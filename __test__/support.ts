/** What the specs share: folders that go away, servers that stop, hosts, clients. */

import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach } from 'vitest';
import WebSocket from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

import type { RealtimeHost, RealtimeServerOptions } from '../index.js';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
export const ENTRY = new URL('../dist/adapter/index.js', import.meta.url);
export const CLI = fileURLToPath(new URL('../dist/adapter/cli.js', import.meta.url));

// The built package, as its users load it.
export const { RealtimeError, RealtimeServer, version } = (await import(
  ENTRY.href
)) as typeof import('../index.js');
type Server = InstanceType<typeof RealtimeServer>;

const cleanups: (() => unknown)[] = [];

/** Runs after the test, last registered first. */
export function afterwards(cleanup: () => unknown): void {
  cleanups.push(cleanup);
}

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'civic-realtime-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Environment of an engine that keeps everything below `folder` and sees nothing of the developer's own. */
export function environment(folder: string): Record<string, string> {
  mkdirSync(join(folder, 'data', 'records'), { recursive: true });
  return {
    PATH: process.env['PATH'] ?? '',
    CIVIC_DATA_DIR: join(folder, 'data'),
    CIVIC_SYSTEM_DATA_DIR: join(folder, 'system'),
  };
}

export const LOOPBACK = { host: '127.0.0.1', port: 0 };

/** A server on a free port of this machine, stopped after the test. */
export function makeServer(options: RealtimeServerOptions = {}): Server {
  const folder = options.cwd ?? temporaryFolder();
  const server = new RealtimeServer({
    cwd: folder,
    env: environment(folder),
    logger: silent,
    ...options,
    config: { ...LOOPBACK, ...options.config },
  });
  cleanups.push(() => server.shutdown());
  return server;
}

export const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** A host that knows the tokens `editor` and `viewer` and keeps records in a map. */
export function memoryHost(records = new Map<string, string>([['records:a', '# A\n']])) {
  const hooks: { name: string; data: Record<string, unknown> }[] = [];
  const host: RealtimeHost = {
    authenticate: async (token) =>
      token === 'editor' || token === 'viewer' ? { id: token, name: token, role: token } : null,
    authorize: async (caller, room) => (records.has(room) ? { canEdit: caller.role === 'editor' } : null),
    loadRecord: async (room) => records.get(room) ?? null,
    saveRecord: async (room, text, expected) => {
      const present = records.get(room) ?? null;
      if (present !== expected) return { saved: false, text: present ?? '' };
      records.set(room, text);
      return { saved: true };
    },
    emitHook: (name, data) => void hooks.push({ name, data }),
  };
  return { host, hooks, records };
}

export interface Client {
  doc: Y.Doc;
  provider: WebsocketProvider;
  synced: Promise<void>;
  closed: Promise<{ code: number; reason: string }>;
}

/** A stock yjs client. */
export function connect(port: number, room: string, token: string): Client {
  class Socket extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols, { headers: { authorization: `Bearer ${token}` } });
    }
  }
  const doc = new Y.Doc();
  const [type = '', id = ''] = room.split(':');
  const provider = new WebsocketProvider(`ws://127.0.0.1:${port}/realtime/${type}`, id, doc, {
    WebSocketPolyfill: Socket as unknown as typeof globalThis.WebSocket,
    disableBc: true,
    connect: false,
  });
  const synced = new Promise<void>((resolve) => provider.on('sync', (state: boolean) => state && resolve()));
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    provider.on('connection-close', (event) => event && resolve({ code: event.code, reason: event.reason })),
  );
  provider.connect();
  cleanups.push(() => {
    provider.destroy();
    doc.destroy();
  });
  return { doc, provider, synced, closed };
}

/** Whichever comes first, by name. */
export async function outcome(client: Client): Promise<'synced' | { code: number; reason: string }> {
  return await Promise.race([client.synced.then(() => 'synced' as const), client.closed]);
}

export interface Child {
  process: ChildProcessWithoutNullStreams;
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }>;
  /** Resolves once `text` was printed on stdout. */
  printed(text: string): Promise<string>;
}

/** All that children get of the developer's environment: where their coverage goes, if it is measured. */
const TRACES = Object.fromEntries(
  ['LLVM_PROFILE_FILE', 'NODE_V8_COVERAGE']
    .map((name) => [name, process.env[name]] as const)
    .filter((entry): entry is readonly [string, string] => entry[1] !== undefined),
);

/** A Node process, of this version unless another `program` is given, killed after the test if it still runs. */
export function node(
  args: string[],
  options: { cwd?: string; env?: Record<string, string>; program?: string } = {},
): Child {
  const { program = process.execPath, cwd } = options;
  const env = { PATH: process.env['PATH'] ?? '', ...options.env, ...TRACES };
  const child = spawn(program, args, { cwd, env });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => (stdout += data));
  child.stderr.on('data', (data) => (stderr += data));
  const ended = new Promise<Awaited<Child['ended']>>((resolve) =>
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr })),
  );
  cleanups.push(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const printed = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (stdout.includes(text)) resolve(stdout);
      };
      child.stdout.on('data', look);
      void ended.then(({ code, signal }) =>
        reject(new Error(`ended (${code ?? signal}) without '${text}'\n${stdout}\n${stderr}`)),
      );
      look();
    });
  return { process: child, ended, printed };
}

/** Waits until `check` holds; the test's own time-out ends it. */
export async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await new Promise((resolve) => setTimeout(resolve, 10));
}
