/** Findings of a review: each test fails as long as its defect is there. */

import { expect, test } from 'vitest';
import WebSocket from 'ws';

import type * as Client from '../client.js';
import type { RealtimeHost } from '../index.js';
import { afterwards, makeServer, memoryHost, until } from './support.js';

const { RealtimeClient } = (await import(
  new URL('../dist/adapter/client/index.js', import.meta.url).href
)) as typeof Client;

function cuttable() {
  const sockets: WebSocket[] = [];
  class Cuttable extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      sockets.push(this);
    }
  }
  return { WebSocket: Cuttable, sockets, cut: () => sockets.at(-1)!.terminate() };
}

async function start(config: Record<string, unknown> = {}, host: RealtimeHost = memoryHost().host) {
  const server = makeServer({ host, config });
  const { port } = await server.initialize();
  return { server, url: `http://127.0.0.1:${port}` };
}

function connect(url: string, options: Client.ClientOptions = {}): Client.RealtimeClient {
  const client = new RealtimeClient(url, { WebSocket, backoff: 20, ...options });
  afterwards(() => client.close());
  return client;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('what is said to everybody is heard once, also after a cut', async () => {
  const { url } = await start({ events: { rules: [{ broadcast: 'users' }] } });
  const sockets: WebSocket[] = [];
  /** Its first socket loses the answer. */
  class Losing extends WebSocket {
    readonly #first = sockets.length === 0;
    constructor(at: string, protocols: string[]) {
      super(at, protocols);
      sockets.push(this);
    }
    override emit(name: string | symbol, ...args: unknown[]): boolean {
      if (this.#first && name === 'message' && String(args[0]).includes('"type":"ack"')) return true;
      return super.emit(name, ...args);
    }
  }
  const bo = connect(url, { token: 'viewer' });
  const heard: unknown[] = [];
  bo.on('e', (data) => heard.push(data));
  await bo.join('r');
  const ada = connect(url, { token: 'editor', WebSocket: Losing });
  await ada.join('r');
  const said = ada.emit('e', 1);
  await until(() => heard.length === 1);
  sockets[0]!.terminate();
  await said;
  await bo.presence('r');
  await pause(100);
  expect(heard).toEqual([1]);
});
