/** Microservice mode: the command with a CivicPress API of plain `node:http` as its host, and stock clients. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

import { expect, it } from 'vitest';
import { applyUpdate, encodeStateAsUpdate } from 'yjs';

import { afterwards, CLI, connect, environment, node, outcome, temporaryFolder, until } from './support.js';

const SERVICE = 'service-token-of-the-engine';
const PERMISSIONS: Record<string, string[]> = {
  editor: ['records:view', 'records:edit'],
  viewer: ['records:view'],
  [SERVICE]: ['*'],
};

/** As much of the API as microservice mode asks for. */
class Api {
  record = 'First.';
  draft: string | undefined;
  /** Copies of the room, as they were given. */
  copies: { state: string; integrityHash: string; formatVersion: number }[] = [];
  /** Answers nothing but 503. */
  down = false;
  #server = createServer((request, response) => void this.#answer(request, response));

  async listen(port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    afterwards(() => this.#server.close());
    return (this.#server.address() as AddressInfo).port;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const send = (status: number, json: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json));
    };
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? '';
    const permissions = PERMISSIONS[token];
    const route = `${request.method} ${request.url?.replace('/api/v1/', '')}`;
    if (this.down) return send(503, {});
    if (permissions === undefined) return send(401, { error: { code: 'INVALID_TOKEN' } });
    if (route === 'GET auth/me') {
      const user = { id: 1, username: token, role: token, permissions };
      return send(200, { success: true, data: { user } });
    }
    const isDraft = this.draft !== undefined && permissions.length > 0;
    const present = isDraft ? this.draft : this.record;
    if (route === 'GET records/budget?edit=true') {
      return send(200, { success: true, data: { isDraft, markdownBody: present, content: present } });
    }
    if (route === 'POST records/budget/collab-snapshot' && token === SERVICE) {
      const { markdown, expected, ...copy } = JSON.parse(body);
      if (copy.state !== undefined) {
        const version = this.copies.push(copy);
        return send(200, { success: true, data: { version, timestamp: Date.now() } });
      }
      if (expected !== present) return send(409, { error: { code: 'CHANGED' } });
      this.draft = markdown;
      return send(200, { success: true, data: { source: 'draft' } });
    }
    const copy = this.copies.at(-1);
    if (route === 'GET records/budget/collab-snapshot' && token === SERVICE && copy) {
      return send(200, { success: true, data: copy });
    }
    send(404, { error: { code: 'RECORD_NOT_FOUND' } });
  }
}

async function start(api: number, env: Record<string, string> = {}) {
  const folder = temporaryFolder();
  const child = node([CLI, 'start', '--port', '0', '--log-format', 'json'], {
    cwd: folder,
    env: {
      ...environment(folder),
      CIVIC_REALTIME_HOST_API__URL: `http://127.0.0.1:${api}`,
      CIVIC_REALTIME_HOST_API__TOKEN: SERVICE,
      ...env,
    },
  });
  const printed = await child.printed('Ctrl+C');
  return { child, printed, port: Number(/127\.0\.0\.1:(\d+)\//.exec(printed)?.[1]) };
}

async function health(port: number): Promise<{ status: string; degraded: string[] }> {
  const answer = await fetch(`http://127.0.0.1:${port}/health`);
  return (await answer.json()) as Awaited<ReturnType<typeof health>>;
}

it('two people edit a record of the API, which gets the text as a draft', async () => {
  const api = new Api();
  const { child, printed, port } = await start(await api.listen());
  expect(printed).toMatch(/host +http:\/\/127\.0\.0\.1:/);
  expect(printed).not.toContain('#token=');
  const ada = connect(port, 'records:budget', 'editor');
  const vi = connect(port, 'records:budget', 'viewer');
  await Promise.all([ada.synced, vi.synced]);
  const content = ada.doc.getXmlFragment('default');
  expect(content.toString()).toContain('First.');
  const [paragraph] = content.toArray() as import('yjs').XmlElement[];
  (paragraph?.get(0) as import('yjs').XmlText).insert(6, ' Second.');
  await until(() => vi.doc.getXmlFragment('default').toString().includes('Second.'));
  expect(await outcome(connect(port, 'records:budget', 'nobody'))).toMatchObject({ code: 4001 });
  expect(await outcome(connect(port, 'records:other', 'editor'))).toMatchObject({ code: 4003 });
  child.process.kill('SIGTERM');
  expect(await child.ended).toMatchObject({ code: 0 });
  expect(api.draft?.trim()).toBe('First. Second.');
  expect(api.record).toBe('First.');
});

it('the operators’ pages are served, and those of records are the API’s own', async () => {
  const { port } = await start(await new Api().listen());
  const statuses = ['/operator', '/self-test.html', '/dpd.js', '/', '/edit'].map(
    async (path) => (await fetch(`http://127.0.0.1:${port}${path}`)).status,
  );
  expect(await Promise.all(statuses)).toEqual([200, 200, 200, 404, 404]);
});

it('an engine whose disk is lost begins with the copy that the API keeps: nothing is there twice', async () => {
  const api = new Api();
  const address = await api.listen();
  const first = await start(address, { CIVIC_REALTIME_SNAPSHOTS__STORAGE: 'api' });
  const ada = connect(first.port, 'records:budget', 'editor');
  const vi = connect(first.port, 'records:budget', 'viewer');
  await Promise.all([ada.synced, vi.synced]);
  const shown = (client: typeof ada): string => client.doc.getXmlFragment('default').toString();
  const [paragraph] = ada.doc.getXmlFragment('default').toArray() as import('yjs').XmlElement[];
  (paragraph?.get(0) as import('yjs').XmlText).insert(6, ' Second.');
  await until(() => shown(vi).includes('Second.'));
  for (const { provider } of [ada, vi]) provider.shouldConnect = false;
  first.child.process.kill('SIGTERM');
  expect(await first.child.ended).toMatchObject({ code: 0 });
  expect(api.copies.at(-1)).toMatchObject({ formatVersion: 1 });

  api.draft = `${api.draft?.trim()}\n\nBy form.`;
  const second = await start(address, { CIVIC_REALTIME_SNAPSHOTS__STORAGE: 'api' });
  const bob = connect(second.port, 'records:budget', 'editor');
  await bob.synced;
  await until(() => shown(bob).includes('By form.'));
  // Who still has the document of before brings nothing that is not there.
  const before = shown(bob);
  applyUpdate(bob.doc, encodeStateAsUpdate(ada.doc));
  expect(shown(bob)).toBe(before);
  expect(before.match(/First\. Second\./g)).toHaveLength(1);
});

it('an API that is down degrades the health, and people go on editing', async () => {
  const api = new Api();
  const { child, port } = await start(await api.listen());
  const ada = connect(port, 'records:budget', 'editor');
  const bob = connect(port, 'records:budget', 'editor');
  await Promise.all([ada.synced, bob.synced]);
  api.down = true;
  // Comes again and again, as clients do.
  const late = connect(port, 'records:budget', 'viewer');
  await until(async () => (await health(port)).status === 'degraded');
  expect((await health(port)).degraded.join()).toContain('CivicPress API');
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  expect(metrics).toContain('civicpress_realtime_host_degraded 1');
  expect(metrics).toMatch(/host_calls_total\{outcome="failed"\} [1-9]/);
  ada.doc.getArray('list').push(['still here']);
  await until(() => bob.doc.getArray('list').length === 1);
  api.down = false;
  await late.synced;
  expect((await health(port)).status).toBe('healthy');
  child.process.kill('SIGTERM');
  const { stderr } = await child.ended;
  expect(stderr).toContain('"event":"host_api_down"');
  expect(stderr).toContain('"event":"host_api_up"');
  expect(stderr).not.toContain(SERVICE);
});

it('a configuration without a token does not start', async () => {
  const folder = temporaryFolder();
  const env = { ...environment(folder), CIVIC_REALTIME_HOST_API__URL: 'http://127.0.0.1:1' };
  const { code, stderr } = await node([CLI, 'start'], { cwd: folder, env }).ended;
  expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('host_api.token') });
});
