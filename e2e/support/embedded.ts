/** An engine inside a host, which is this process: the host knows tokens, records and roles. */

import type * as Public from '../../index.js';
import { Server } from './server.js';

// The built package, as its users load it.
const { RealtimeServer } = (await import(
  new URL('../../dist/adapter/index.js', import.meta.url).href
)) as typeof Public;

/** Opens operators' routes. */
export const OPERATOR = 'the-operators,own!';

/** A token is a role and a name: `admin|Ada`, which no sign-in link of ours looks like. */
const host: Public.RealtimeHost = {
  authenticate: async (token) => {
    const [role = '', name] = token.split('|');
    return name === undefined ? null : { id: name.toLowerCase(), name, role };
  },
  authorize: async () => null,
  loadRecord: async () => null,
  saveRecord: async () => ({ saved: true }),
  emitHook: () => {},
};

export class EmbeddedServer extends Server {
  #server: Public.RealtimeServer | undefined;
  #port = 0;

  override async start(): Promise<void> {
    this.#server = new RealtimeServer({
      host,
      cwd: this.folder,
      env: { CIVIC_DATA_DIR: this.folder, CIVIC_SYSTEM_DATA_DIR: this.systemFolder },
      config: { host: '127.0.0.1', port: this.#port, admin: { token: OPERATOR } },
    });
    this.#port = (await this.#server.initialize()).port ?? 0;
  }

  override async stop(): Promise<void> {
    await this.#server?.shutdown();
  }

  override get url(): string {
    return `http://127.0.0.1:${this.#port}/`;
  }

  override token(name: string, role: string): Promise<string> {
    return Promise.resolve(`${role}|${name}`);
  }
}
