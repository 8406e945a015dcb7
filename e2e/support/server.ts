/** The server as people run it: the command line in a process of its own, over a folder of its own. */

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const CLI = fileURLToPath(new URL('../../dist/adapter/cli.js', import.meta.url));
/** The last line of what the server prints once it listens. */
const READY = 'stops it and saves everything';

export type Role = 'viewer' | 'editor' | 'admin';

export class Server {
  readonly folder = mkdtempSync(join(tmpdir(), 'civic-realtime-e2e-'));
  /** What the running server printed. */
  printed = '';
  #port = 0;
  #process: ChildProcess | null = null;
  #ended: Promise<unknown> = Promise.resolve();
  readonly #settings: Record<string, string>;

  /** `settings` are variables of its environment. */
  constructor(settings: Record<string, string> = {}) {
    this.#settings = settings;
  }

  /** Starts on a free port; later starts take the same port again. */
  async start(): Promise<void> {
    // Without the folder of records: where that is missing the samples are put in place.
    mkdirSync(this.#path('data'), { recursive: true });
    const child = spawn(
      process.execPath,
      [CLI, 'start', '--host', '127.0.0.1', '--port', String(this.#port)],
      {
        cwd: this.folder,
        env: this.#environment(),
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    this.#process = child;
    this.printed = '';
    await new Promise<void>((resolve, reject) => {
      const hear = (data: Buffer): void => {
        this.printed += data.toString();
        if (this.printed.includes(READY)) resolve();
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      this.#ended = new Promise((ended) => child.on('close', ended));
      void this.#ended.then(() => reject(new Error(`the server did not start:\n${this.printed}`)));
    });
    this.#port = Number(/listens on http:\/\/127\.0\.0\.1:(\d+)\//.exec(this.printed)?.[1]);
  }

  /** Stops it and waits until it is gone. */
  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#process?.kill(signal);
    await this.#ended;
    this.#process = null;
  }

  async remove(): Promise<void> {
    await this.stop('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/`;
  }

  /** The sign-in link it printed for this role. */
  printedLink(role: 'editor' | 'viewer'): string {
    const link = new RegExp(`as ${role} +(http\\S+)`).exec(this.printed)?.[1];
    if (link === undefined) throw new Error(`no link for ${role} in:\n${this.printed}`);
    return link;
  }

  /** A token for someone, from the command line. */
  async token(name: string, role: Role, expires = '1h'): Promise<string> {
    const user = name.toLowerCase().replace(/\W+/g, '');
    const args = [CLI, 'token', '--user', user, '--name', name, '--role', role, '--expires', expires];
    const options = { cwd: this.folder, env: this.#environment() };
    const { stdout } = await promisify(execFile)(process.execPath, args, options);
    return stdout.trim();
  }

  /** A record's file as it is on disk. */
  read(record: string): string {
    return readFileSync(this.#path('data', 'records', `${record}.md`), 'utf8');
  }

  /** Another program writes a record's file. */
  write(record: string, text: string): void {
    writeFileSync(this.#path('data', 'records', `${record}.md`), text);
  }

  /** The folder of the database. */
  get systemFolder(): string {
    return this.#path('system');
  }

  #environment(): NodeJS.ProcessEnv {
    // Nothing of the developer's own settings; what measures coverage follows into the process.
    const { PATH, NODE_V8_COVERAGE, LLVM_PROFILE_FILE } = process.env;
    return {
      PATH,
      ...(NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }),
      ...(LLVM_PROFILE_FILE === undefined ? {} : { LLVM_PROFILE_FILE }),
      CIVIC_DATA_DIR: this.#path('data'),
      CIVIC_SYSTEM_DATA_DIR: this.#path('system'),
      ...this.#settings,
    };
  }

  #path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }
}
