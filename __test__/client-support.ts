/** What the specs of the client share: a real server or a scripted one, and sockets to be cut. */

import WebSocket, { WebSocketServer } from 'ws';

import type * as Client from '../client.js';
import type { RealtimeHost } from '../index.js';
import { afterwards, makeServer, memoryHost } from './support.js';

export const { RealtimeClient, Deployd } = (await import(
  new URL('../dist/adapter/client/index.js', import.meta.url).href
)) as typeof Client;

/** Sockets as the client makes them, to be cut; one that is `deaf` loses what it is answered to what it says. */
export function cuttable() {
  const sockets: Cuttable[] = [];
  class Cuttable extends WebSocket {
    deaf = false;
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      sockets.push(this);
    }
    override emit(name: string | symbol, ...args: unknown[]): boolean {
      const isLost = this.deaf && name === 'message' && String(args[0]).includes('"type":"ack"');
      return isLost || super.emit(name, ...args);
    }
  }
  return { WebSocket: Cuttable, sockets, cut: () => sockets.at(-1)!.terminate() };
}

export async function start(config: Record<string, unknown> = {}, host: RealtimeHost = memoryHost().host) {
  const server = makeServer({ host, config });
  const { port } = await server.initialize();
  return { server, url: `http://127.0.0.1:${port}` };
}

export function connect(url: string, options: Client.ClientOptions = {}): Client.RealtimeClient {
  const client = new RealtimeClient(url, { WebSocket, backoff: 20, ...options });
  afterwards(() => client.close());
  return client;
}

/** A server that says what a test has it say. */
export async function scripted(
  hear: (message: Record<string, unknown>, say: (message: object) => void, socket: WebSocket) => void,
  greet: (socket: WebSocket) => void = () => {},
) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  afterwards(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  let count = 0;
  server.on('connection', (socket) => {
    const say = (message: object) => socket.send(JSON.stringify({ ...message, meta: { timestamp: 0 } }));
    say({ type: 'connect', data: { client_id: `client_${(count += 1)}` } });
    socket.on('message', (text) => hear(JSON.parse(String(text)) as Record<string, unknown>, say, socket));
    greet(socket);
  });
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  return { url: `http://127.0.0.1:${port}`, server };
}
