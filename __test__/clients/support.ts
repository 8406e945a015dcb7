/** What the specs with real yjs clients share: a host that knows everybody, the providers, their sockets. */

import { createHmac } from 'node:crypto';

import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import WebSocket from 'ws';
import * as awarenessProtocol from 'y-protocols/awareness';
import { WebsocketProvider as Provider3 } from 'y-websocket';
import { WebsocketProvider as Provider1 } from 'y-websocket-1';
import { WebsocketProvider as Provider2 } from 'y-websocket-2';
import * as Y from 'yjs';

import type { RealtimeHost } from '../../index.js';
import { afterwards, makeServer, temporaryFolder, until } from '../support.js';

/** The majors of y-websocket that are in use; the first takes no subprotocols, so no token in them. */
export const VERSIONS = [
  { version: '1.5.4', Provider: Provider1 as unknown as typeof Provider3, protocols: false },
  { version: '2.1.0', Provider: Provider2 as unknown as typeof Provider3, protocols: true },
  { version: '3.1.0', Provider: Provider3, protocols: true },
];
export type Version = (typeof VERSIONS)[number];
export const LATEST = VERSIONS[2]!;

/** Limits that no crowd of one test machine meets. */
export const ROOMY = {
  rooms: { open_types: ['notes'], max_rooms: 10_000, grace_period_ms: 60_000 },
  rate_limiting: {
    connections_per_ip: 10_000,
    connections_per_user: 10_000,
    messages_per_second: 10_000,
  },
};

/** Tokens are `editor.<name>` and `viewer.<name>`; every room is open to both. */
export function openHost(): RealtimeHost {
  return {
    authenticate: async (token) => {
      const [role, name] = token.split('.');
      return name && (role === 'editor' || role === 'viewer') ? { id: name, name, role } : null;
    },
    authorize: async (caller, room) =>
      room.endsWith(':locked') ? null : { canEdit: caller.role === 'editor' },
    loadRecord: async () => null,
    saveRecord: async () => ({ saved: true }),
  };
}

/** A server for open rooms; `restart` stops it and starts another on the same port and data. */
export async function openServer(config: Record<string, unknown> = {}) {
  const cwd = temporaryFolder();
  const start = async (port: number) => {
    const server = makeServer({ cwd, host: openHost(), config: { ...ROOMY, ...config, port } });
    return { server, port: (await server.initialize()).port! };
  };
  let { server, port } = await start(0);
  return {
    port,
    cwd,
    get server() {
      return server;
    },
    async restart(pause: () => unknown = () => undefined): Promise<void> {
      await server.shutdown();
      await pause();
      ({ server } = await start(port));
    },
  };
}

/** What one socket of a provider saw. */
export interface Traffic {
  opened: number;
  binary: Uint8Array[];
  text: string[];
  sent: Uint8Array[];
  closes: { code: number; reason: string }[];
}

export interface PeerOptions {
  token?: string;
  room?: string;
  doc?: Y.Doc;
  awareness?: awarenessProtocol.Awareness;
  connect?: boolean;
  query?: Record<string, string>;
}

export interface Peer {
  doc: Y.Doc;
  text: Y.Text;
  provider: Provider3;
  traffic: Traffic;
  /** The connection drops as if the network had gone. */
  drop(): void;
}

/** A stock provider of one version, with its frames written down. Destroyed after the test. */
export function peer(version: Version, port: number, options: PeerOptions = {}): Peer {
  const { token = 'editor.ada', room = 'notes/a', doc = new Y.Doc(), connect = true } = options;
  const traffic: Traffic = { opened: 0, binary: [], text: [], sent: [], closes: [] };
  let socket: WebSocket | undefined;
  class Socket extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols, version.protocols ? {} : { headers: { authorization: `Bearer ${token}` } });
      socket = this;
      this.on('open', () => (traffic.opened += 1));
      this.on('message', (data, isBinary) => {
        if (isBinary) traffic.binary.push(bytesOf(data));
        else traffic.text.push(String(data));
      });
      this.on('close', (code, reason) => traffic.closes.push({ code, reason: String(reason) }));
      // Refused and dropped connections are part of the tests.
      this.on('error', () => undefined);
    }
    override send(data: Uint8Array): void {
      traffic.sent.push(new Uint8Array(data));
      super.send(data);
    }
  }
  const [type = '', ...id] = room.split('/');
  const provider = new version.Provider(`ws://127.0.0.1:${port}/realtime/${type}`, id.join('/'), doc, {
    WebSocketPolyfill: Socket as unknown as typeof globalThis.WebSocket,
    disableBc: true,
    connect,
    ...(version.protocols ? { protocols: [`auth.${token}`] } : {}),
    ...(options.awareness ? { awareness: options.awareness } : {}),
    ...(options.query ? { params: options.query } : {}),
  });
  afterwards(() => provider.destroy());
  return { doc, text: doc.getText('t'), provider, traffic, drop: () => socket?.terminate() };
}

export async function synced(...peers: Peer[]): Promise<void> {
  await until(() => peers.every(({ provider }) => provider.synced));
}

export function bytesOf(data: WebSocket.RawData): Uint8Array {
  if (Array.isArray(data)) return new Uint8Array(Buffer.concat(data));
  return new Uint8Array(data instanceof ArrayBuffer ? data : Uint8Array.from(data));
}

/** Everything a document says, in a form that compares. */
export function contentOf(doc: Y.Doc): string {
  const roots = [...doc.share.keys()].sort();
  return JSON.stringify([
    doc.getText('t').toDelta(),
    roots,
    [...Y.decodeStateVector(Y.encodeStateVector(doc))].sort(),
  ]);
}

export type Frame =
  | { kind: 'step1' | 'step2' | 'update' | 'awareness' | 'denied' | 'query'; body: Uint8Array }
  | { kind: 'json'; body: Uint8Array; json: Record<string, unknown> }
  | { kind: 'unknown'; body: Uint8Array };

const NOTHING = new Uint8Array();

/** Reads a frame of the server (y-websocket's protocol, and JSON that starts with a brace). */
export function decodeFrame(frame: Uint8Array): Frame {
  if (frame[0] === 0x7b) {
    return { kind: 'json', body: frame, json: JSON.parse(Buffer.from(frame).toString()) };
  }
  const decoder = decoding.createDecoder(frame);
  switch (decoding.readVarUint(decoder)) {
    case 0: {
      const kind = (['step1', 'step2', 'update'] as const)[decoding.readVarUint(decoder)];
      return { kind: kind ?? 'unknown', body: decoding.readVarUint8Array(decoder) };
    }
    case 1:
      return { kind: 'awareness', body: decoding.readVarUint8Array(decoder) };
    case 2:
      decoding.readVarUint(decoder);
      return { kind: 'denied', body: Buffer.from(decoding.readVarString(decoder)) };
    case 3:
      return { kind: 'query', body: NOTHING };
    default:
      return { kind: 'unknown', body: frame };
  }
}

/** The entries of an awareness frame's body; a client that left has `null`. */
export function statesOf(body: Uint8Array): { client: number; clock: number; state: unknown }[] {
  const decoder = decoding.createDecoder(body);
  return Array.from({ length: decoding.readVarUint(decoder) }, () => ({
    client: decoding.readVarUint(decoder),
    clock: decoding.readVarUint(decoder),
    state: JSON.parse(decoding.readVarString(decoder)),
  }));
}

export function syncFrame(kind: 'step1' | 'step2' | 'update', body: Uint8Array): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, 0);
  encoding.writeVarUint(encoder, { step1: 0, step2: 1, update: 2 }[kind]);
  encoding.writeVarUint8Array(encoder, body);
  return encoding.toUint8Array(encoder);
}

export function awarenessFrame(awareness: awarenessProtocol.Awareness, ids: number[]): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, 1);
  encoding.writeVarUint8Array(encoder, awarenessProtocol.encodeAwarenessUpdate(awareness, ids));
  return encoding.toUint8Array(encoder);
}

/** A bare socket that writes down the server's frames, decoded and in order. */
export function rawSocket(port: number, path: string, token = 'editor.ada') {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/realtime/${path}`, [`auth.${token}`]);
  const frames: Frame[] = [];
  const texts: string[] = [];
  socket.on('message', (data, isBinary) => {
    if (isBinary) frames.push(decodeFrame(bytesOf(data)));
    else texts.push(String(data));
  });
  socket.on('error', () => undefined);
  afterwards(() => socket.terminate());
  const opened = new Promise<void>((resolve) => socket.on('open', resolve));
  return { socket, frames, texts, opened };
}

/** A signed token as the standalone server takes it (HS256). */
export function jwt(secret: string, claims: Record<string, unknown>): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ exp, ...claims })}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}
