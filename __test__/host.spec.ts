import { expect, it } from 'vitest';

import type { RealtimeHost } from '../index.js';
import {
  connect,
  ENTRY,
  environment,
  LOOPBACK,
  makeServer,
  memoryHost,
  node,
  outcome,
  temporaryFolder,
  until,
} from './support.js';

const SHORT = { auth: { timeout_ms: 300 } };

async function serverOf(host: RealtimeHost, config: Record<string, unknown> = {}) {
  const server = makeServer({ host, config });
  const { port } = await server.initialize();
  return { server, port: port! };
}

it('lets in whom the host lets in, and writes back what they wrote', async () => {
  const { host, hooks, records } = memoryHost();
  const { server, port } = await serverOf(host);
  const client = connect(port, 'records:a', 'editor');
  expect(await outcome(client)).toBe('synced');
  expect(server.rooms()).toEqual(['records:a']);
  const heading = client.doc.getXmlFragment('default').get(0);
  expect(heading.toString()).toContain('A');
  expect(await server.roomMarkdown('records:a')).toContain('# A');

  expect(await server.triggerRecordSnapshot('a')).toMatchObject({ snapshotCreated: true });
  expect((await server.exportLog('records:a')).length).toBeGreaterThan(0);
  await server.shutdown();
  expect(records.get('records:a')).toContain('# A');
  const names = hooks.map(({ name }) => name);
  expect(names).toContain('realtime:room:created');
  expect(names).toContain('realtime:client:connected');
});

it('keeps a user to the rooms the token was limited to', async () => {
  const { host } = memoryHost();
  const limited = { ...host, authenticate: async () => ({ id: 1, role: 'editor', rooms: ['records:b*'] }) };
  const { port } = await serverOf(limited);
  expect(await outcome(connect(port, 'records:a', 'editor'))).toMatchObject({ code: 4003 });
});

it('ends the sessions of a revoked user', async () => {
  const { server, port } = await serverOf(memoryHost().host);
  const client = connect(port, 'records:a', 'editor');
  expect(await outcome(client)).toBe('synced');
  client.provider.shouldConnect = false;
  expect(server.revokeUserConnections('editor', 'left the office')).toBe(1);
  expect(await client.closed).toMatchObject({ code: 4001 });
  expect(server.revokeUserConnections('editor')).toBe(0);
  expect(server.getHealthStatus().connections).toEqual({ total: 0, perUser: 0, perIP: 0 });
});

const REFUSALS: [string, Partial<RealtimeHost>, number][] = [
  ['authenticate answers null', { authenticate: () => null }, 4001],
  ['authenticate answers nobody', { authenticate: () => ({}) as never }, 4001],
  ['authenticate answers a broken date', { authenticate: () => ({ id: 1, expiresAt: new Date('x') }) }, 4001],
  [
    'authenticate answers an id that is no number',
    { authenticate: () => ({ id: NaN, role: 'editor' }) },
    4001,
  ],
  ['authenticate answers a number', { authenticate: () => 42 as never }, 4001],
  ['authorize answers null', { authorize: () => null }, 4003],
  ['authorize answers false', { authorize: () => false }, 4003],
];

it.each(REFUSALS)('keeps out when %s', async (_what, answers, code) => {
  const { port } = await serverOf({ ...memoryHost().host, ...answers });
  const client = connect(port, 'records:a', 'editor');
  const result = await outcome(client);
  expect(result).not.toBe('synced');
  if (result !== 'synced') expect([code, 4001, 4003, 4500]).toContain(result.code);
});

const FAILURES: [string, () => unknown][] = [
  [
    'throws',
    () => {
      throw new Error('broken');
    },
  ],
  [
    'throws nothing sensible',
    () => {
      throw undefined;
    },
  ],
  ['rejects', () => Promise.reject(new Error('broken'))],
  ['rejects with a string', () => Promise.reject('broken')],
  ['never answers', () => new Promise(() => {})],
  ['answers a function', () => () => {}],
  ['answers a symbol', () => Symbol('x')],
];
const DECISIONS = ['authenticate', 'authorize', 'loadRecord'] as const;
const CASES = DECISIONS.flatMap((name) => FAILURES.map(([what, fails]) => [name, what, fails] as const));

it.each(CASES)('keeps out, and lives on, when %s %s', async (name, _what, fails) => {
  let failing = true;
  const good = memoryHost().host;
  const flaky = {
    ...good,
    [name]: (...args: never[]) =>
      failing ? fails() : (good[name] as (...given: never[]) => unknown)(...args),
  } as RealtimeHost;
  const { server, port } = await serverOf(flaky, SHORT);
  const refused = connect(port, 'records:a', 'editor');
  expect(await outcome(refused)).not.toBe('synced');
  refused.provider.destroy();
  failing = false;
  expect(await outcome(connect(port, 'records:a', 'editor'))).toBe('synced');
  expect(server.getHealthStatus().status).toBe('healthy');
});

it('lives on when hooks and write-backs fail', async () => {
  const host: RealtimeHost = {
    ...memoryHost().host,
    emitHook: () => Promise.reject(new Error('broken hook')),
    saveRecord: () => {
      throw new Error('broken save');
    },
  };
  const { server, port } = await serverOf(host, SHORT);
  const client = connect(port, 'records:a', 'editor');
  expect(await outcome(client)).toBe('synced');
  await server.triggerRecordSnapshot('a').catch(() => {});
  expect(server.getHealthStatus().server.listening).toBe(true);
  await server.shutdown();
});

it('lets go of connections whose host hung', async () => {
  const host: RealtimeHost = { ...memoryHost().host, authenticate: () => new Promise(() => {}) };
  const { server, port } = await serverOf(host, SHORT);
  const clients = Array.from({ length: 80 }, () => connect(port, 'records:a', 'editor'));
  for (const client of clients) {
    client.provider.shouldConnect = false;
    expect(await outcome(client)).not.toBe('synced');
  }
  await until(() => server.getHealthStatus().connections.total === 0);
});

it('does not block on a busy JavaScript thread once people are in', async () => {
  const { server, port } = await serverOf(memoryHost().host);
  expect(await outcome(connect(port, 'records:a', 'editor'))).toBe('synced');
  const until = Date.now() + 300;
  while (Date.now() < until);
  expect(server.getHealthStatus().status).toBe('healthy');
});

it('lets go of everything a stopped server used', async () => {
  const folder = temporaryFolder();
  const code = `
    const { RealtimeServer } = await import(${JSON.stringify(ENTRY.href)});
    const held = [];
    for (let round = 0; round < 20; round += 1) {
      const host = {
        authenticate: () => null, authorize: () => null, loadRecord: () => null,
        saveRecord: () => ({ saved: true }), emitHook: () => {},
      };
      const logger = { debug() {}, info() {}, warn() {}, error() {} };
      const server = new RealtimeServer({
        host, logger, env: ${JSON.stringify(environment(folder))}, config: ${JSON.stringify(LOOPBACK)},
      });
      await server.initialize();
      await server.shutdown();
      held.push(new WeakRef(host), new WeakRef(logger), new WeakRef(server));
    }
    for (let turn = 0; turn < 20; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      gc();
    }
    console.log(held.filter((reference) => reference.deref() !== undefined).length);`;
  const child = node(['--expose-gc', '--input-type=module', '-e', code], { cwd: folder });
  const { code: exit, stdout } = await child.ended;
  expect(exit).toBe(0);
  // The last round's may still stand on the stack.
  expect(Number(stdout)).toBeLessThanOrEqual(3);
});
