/** TLS with what people use: Node's https, ws, y-websocket; and the command's SIGHUP. */

import { createSign, generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';

import { expect, it } from 'vitest';
import WebSocket from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

import {
  afterwards,
  CLI,
  environment,
  makeServer,
  memoryHost,
  node,
  temporaryFolder,
  until,
} from './support.js';

const tlv = (tag: number, ...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  const { length } = body;
  const written =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...written]), body]);
};
const oid = (hex: string): Buffer => tlv(0x06, Buffer.from(hex, 'hex'));

/** A self-signed certificate for `localhost` and 127.0.0.1, which Node cannot make by itself (RFC 5280). */
function makePair(folder: string): string {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = tlv(0x30, oid('2a8648ce3d040302'));
  const name = tlv(0x30, tlv(0x31, tlv(0x30, oid('550403'), tlv(0x0c, Buffer.from('localhost')))));
  const names = tlv(0x30, tlv(0x82, Buffer.from('localhost')), tlv(0x87, Buffer.from([127, 0, 0, 1])));
  const content = tlv(
    0x30,
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, Buffer.from([1, Math.floor(Math.random() * 128), 7])),
    algorithm,
    name,
    // Years before 2050 have two digits.
    tlv(0x30, tlv(0x17, Buffer.from('200101000000Z')), tlv(0x18, Buffer.from('21200101000000Z'))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, tlv(0x30, tlv(0x30, oid('551d11'), tlv(0x04, names)))),
  );
  const signature = createSign('sha256').update(content).sign(privateKey);
  const der = tlv(0x30, content, algorithm, tlv(0x03, Buffer.from([0]), signature));
  const cert = `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
  writeFileSync(join(folder, 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }), {
    mode: 0o600,
  });
  writeFileSync(join(folder, 'cert.pem'), cert);
  return cert;
}

const tlsOf = (folder: string) => ({
  enabled: true,
  require: true,
  cert: join(folder, 'cert.pem'),
  key: join(folder, 'key.pem'),
});

const fetchHealth = (port: number, ca: string): Promise<number> =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/health', ca, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    }).on('error', reject);
  });

function connect(port: number, ca: string): { doc: Y.Doc; synced: Promise<void> } {
  class Socket extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols, { ca, headers: { authorization: 'Bearer editor' } });
    }
  }
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(`wss://127.0.0.1:${port}/realtime/notes`, 'a', doc, {
    WebSocketPolyfill: Socket as unknown as typeof globalThis.WebSocket,
    disableBc: true,
  });
  afterwards(() => provider.destroy());
  return {
    doc,
    synced: new Promise((resolve) => provider.on('sync', (state: boolean) => state && resolve())),
  };
}

it('serves https and wss, and takes a new certificate', async () => {
  const folder = temporaryFolder();
  const first = makePair(folder);
  const { host } = memoryHost(new Map([['notes:a', '']]));
  const server = makeServer({ host, config: { tls: tlsOf(folder), rooms: { open_types: ['notes'] } } });
  const { port } = await server.initialize();
  expect(await fetchHealth(port!, first)).toBe(200);
  const [ada, bo] = [connect(port!, first), connect(port!, first)];
  await Promise.all([ada.synced, bo.synced]);
  ada.doc.getText('t').insert(0, 'over TLS');
  await until(() => bo.doc.getText('t').toString() === 'over TLS');

  const second = makePair(folder);
  await server.reloadTls();
  expect(await fetchHealth(port!, second)).toBe(200);
  await expect(fetchHealth(port!, first)).rejects.toThrow();
  bo.doc.getText('t').insert(0, 'still ');
  await until(() => ada.doc.getText('t').toString() === 'still over TLS');

  writeFileSync(join(folder, 'key.pem'), 'broken');
  await expect(server.reloadTls()).rejects.toMatchObject({ code: 'REALTIME_CONFIG_INVALID' });
  expect(server.getHealthStatus()).toMatchObject({ status: 'degraded' });
  expect(await fetchHealth(port!, second)).toBe(200);
});

it('refuses to start without what tls.* promises', async () => {
  const folder = temporaryFolder();
  const { host } = memoryHost();
  const start = (tls: object) => makeServer({ host, config: { tls } }).initialize();
  await expect(start({ require: true })).rejects.toThrow('tls.require');
  await expect(start(tlsOf(folder))).rejects.toThrow('tls.cert');
  makePair(folder);
  writeFileSync(join(folder, 'key.pem'), 'x');
  await expect(start(tlsOf(folder))).rejects.toThrow('tls.key');
});

it('warns of a production without encryption', async () => {
  const folder = temporaryFolder();
  const lines: string[] = [];
  const server = makeServer({
    cwd: folder,
    env: { ...environment(folder), NODE_ENV: 'production' },
    host: memoryHost().host,
    config: { host: '0.0.0.0' },
    logger: { debug() {}, info() {}, error() {}, warn: (message) => void lines.push(message) },
  });
  await server.initialize();
  expect(server.getHealthStatus()).toMatchObject({ status: 'degraded' });
  await until(() => lines.some((line) => line.includes('NOT SAFE')));
});

it('reads the certificate again at SIGHUP', async () => {
  const folder = temporaryFolder();
  const first = makePair(folder);
  const { cert, key } = tlsOf(folder);
  const env = {
    ...environment(folder),
    CIVIC_REALTIME_HOST: '127.0.0.1',
    CIVIC_REALTIME_PORT: '0',
    CIVIC_REALTIME_TLS__ENABLED: 'true',
    CIVIC_REALTIME_TLS__CERT: cert,
    CIVIC_REALTIME_TLS__KEY: key,
  };
  const child = node([CLI, 'start'], { cwd: folder, env });
  const banner = await child.printed('Ctrl+C');
  const port = Number(/https:\/\/127\.0\.0\.1:(\d+)/.exec(banner)?.[1]);
  expect(await fetchHealth(port, first)).toBe(200);
  const second = makePair(folder);
  child.process.kill('SIGHUP');
  const trusts = (ca: string): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connectTls({ host: '127.0.0.1', port, ca }, () => resolve(true));
      socket.on('error', () => resolve(false)).on('secureConnect', () => socket.end());
    });
  await until(() => trusts(second));
  child.process.kill('SIGTERM');
  expect((await child.ended).code).toBe(0);
});
