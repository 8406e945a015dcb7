/** The server as an operator starts it, with its whole process to kill. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { jwt, ROOMY } from '../clients/support.js';
import { CLI, environment, node, type Child } from '../support.js';

export const SECRET = 'a secret of a test, long enough to be accepted by all';
export const TOKEN = jwt(SECRET, { sub: 'ada', name: 'Ada', role: 'editor', exp: 4_000_000_000 });

export interface Options {
  durability: string;
  /** How long empty rooms stay, in milliseconds. */
  graceMs?: number;
  /** Limits of messages: none that a program meets, or those an operator gets who sets nothing. */
  limits?: 'none' | 'default';
}

export class Server {
  /** From the start of the process to its readiness, of each start that was waited for, in milliseconds. */
  readonly startsMs: number[] = [];
  port = 0;

  readonly #folder: string;
  readonly #options: Options;
  #child: Child | undefined;

  constructor(folder: string, options: Options) {
    this.#folder = folder;
    this.#options = options;
  }

  get records(): string {
    return join(this.#folder, 'data', 'records');
  }

  get process(): Child {
    return this.#child!;
  }

  url(room: string): string {
    return `ws://127.0.0.1:${this.port}/realtime/${room}?ack=json`;
  }

  /** Begins a start; whoever wants to kill it early does not wait for it. */
  begin(): Child {
    const file = join(this.#folder, 'realtime.json');
    const { durability, graceMs = 30, limits = 'none' } = this.#options;
    const messages = limits === 'none' ? { messages_per_second: 100_000, burst: 100_000 } : {};
    const config = {
      ...ROOMY,
      host: '127.0.0.1',
      port: this.port,
      auth: { jwt: { secret: SECRET } },
      records: { create_missing: true },
      rooms: { ...ROOMY.rooms, grace_period_ms: graceMs },
      rate_limiting: { ...ROOMY.rate_limiting, ...messages },
      snapshots: { durability, interval: 1, max_updates: 20 },
    };
    writeFileSync(file, JSON.stringify(config));
    const env = environment(this.#folder);
    this.#child = node([CLI, 'start', '--config', file], { cwd: this.#folder, env });
    return this.#child;
  }

  async start(): Promise<void> {
    const since = performance.now();
    const banner = await this.begin().printed('Ctrl+C');
    this.port = Number(/http:\/\/127\.0\.0\.1:(\d+)\//.exec(banner)![1]);
    const ready = await fetch(`http://127.0.0.1:${this.port}/ready`);
    if (!ready.ok) throw new Error(`/ready says ${ready.status}: ${await ready.text()}`);
    this.startsMs.push(performance.now() - since);
  }

  async kill(): Promise<void> {
    this.process.process.kill('SIGKILL');
    await this.process.ended;
  }
}
