/** The pages that an engine serves by itself: the operators' wherever it runs, the records' standalone. */

import { join } from 'node:path';

import { expect, it } from 'vitest';

import { makeServer, memoryHost, ROOT } from './support.js';

const PAGES = join(ROOT, 'dist/web');
const TOOLS = ['/operator', '/operator.html', '/self-test', '/self-test.html', '/dpd.js'];
const RECORDS = ['/', '/edit', '/edit.html', '/index.html'];

async function served(port: number | null, paths: string[]): Promise<number[]> {
  return await Promise.all(
    paths.map(async (path) => (await fetch(`http://127.0.0.1:${port}${path}`)).status),
  );
}

const all = (paths: string[], status: number): number[] => paths.map(() => status);

/** What the page at `path` is made of, to the last script. */
async function assets(port: number | null, path: string, found = new Set<string>()): Promise<Set<string>> {
  const text = await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  for (const [, name] of text.matchAll(/["'(](?:\/assets|\.)\/([\w-]+\.(?:js|css|svg))["')]/g)) {
    const asset = `/assets/${name}`;
    if (found.has(asset)) continue;
    found.add(asset);
    await assets(port, asset, found);
  }
  return found;
}

it('an engine inside a host serves the operators’ pages, and no page of records', async () => {
  const { port } = await makeServer({ host: memoryHost().host }).initialize();
  expect(await served(port, TOOLS)).toEqual(all(TOOLS, 200));
  expect(await served(port, RECORDS)).toEqual(all(RECORDS, 404));
  const parts = [...(await assets(port, '/operator')), ...(await assets(port, '/self-test'))];
  expect(parts.length).toBeGreaterThan(5);
  expect(await served(port, parts)).toEqual(all(parts, 200));

  const alone = makeServer({ pagesDir: PAGES, config: { auth: { jwt: { secret: 'x'.repeat(32) } } } });
  const whole = await alone.initialize();
  expect(await served(whole.port, [...TOOLS, ...RECORDS])).toEqual(
    [...TOOLS, ...RECORDS].map((path) => (path === '/index.html' ? 404 : 200)),
  );
  const editor = [...(await assets(whole.port, '/edit'))].filter((asset) => !parts.includes(asset));
  expect(editor.length).toBeGreaterThan(0);
  expect(await served(port, editor)).toEqual(all(editor, 404));
});

it('what the pages ask for stays guarded', async () => {
  const { port } = await makeServer({
    host: memoryHost().host,
    config: { admin: { token: 'operators-own' } },
  }).initialize();
  const asked = '/_dashboard/api/metrics/realtime';
  expect(await served(port, ['/operator', asked])).toEqual([200, 401]);
  const statusWith = async (token: string): Promise<number> => {
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`http://127.0.0.1:${port}${asked}`, { headers })).status;
  };
  expect(await statusWith('editor')).toBe(401);
  expect(await statusWith('operators-own')).toBe(200);
});

it('admin.pages switches them off, and the records’ pages stay', async () => {
  const config = { admin: { pages: false }, auth: { jwt: { secret: 'x'.repeat(32) } } };
  const inside = await makeServer({ host: memoryHost().host, config }).initialize();
  expect(await served(inside.port, TOOLS)).toEqual(all(TOOLS, 404));
  const alone = await makeServer({ pagesDir: PAGES, config }).initialize();
  expect(await served(alone.port, TOOLS)).toEqual(all(TOOLS, 404));
  expect(await served(alone.port, ['/', '/edit'])).toEqual([200, 200]);
});
