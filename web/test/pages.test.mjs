// Tests of what the pages decide without a browser. Run: node --test web/test/pages.test.mjs
import assert from 'node:assert/strict';
import { rm, mkdtemp } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const source = join(dirname(fileURLToPath(import.meta.url)), '../src');
// Beside the sources, so that the bundles find the packages.
const scratch = await mkdtemp(join(source, '../.test-'));
after(() => rm(scratch, { recursive: true, force: true }));
await build({
  absWorkingDir: source,
  entryPoints: [
    'schema.ts',
    'session.ts',
    'relative-date.ts',
    'realtime/delivery.ts',
    'realtime/closes.ts',
    'realtime/colors.ts',
  ],
  outdir: scratch,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  packages: 'external',
  format: 'esm',
  logLevel: 'warning',
});
const load = (name) => import(pathToFileURL(join(scratch, `${name}.mjs`)).href);
const { schema, safeHref } = await load('schema');
const { parseAnyToken, parseToken } = await load('session');
const { relativeDate } = await load('relative-date');
const { Delivery } = await load('realtime/delivery');
const { ending, isRefusal } = await load('realtime/closes');
const { colorOf, trustedColor } = await load('realtime/colors');

test('the schema has the names, attributes and defaults of the server', () => {
  const attributes = (spec) =>
    Object.fromEntries(Object.entries(spec.attrs ?? {}).map(([name, { default: value }]) => [name, value]));
  const nodes = Object.fromEntries(
    Object.entries(schema.nodes).map(([name, { spec }]) => [name, attributes(spec)]),
  );
  const cell = { colspan: 1, rowspan: 1, colwidth: null, align: null };
  assert.deepEqual(nodes, {
    doc: {},
    paragraph: {},
    blockquote: {},
    horizontal_rule: {},
    heading: { level: 1 },
    code_block: { params: '' },
    text: {},
    image: { src: undefined, alt: null, title: null },
    hard_break: {},
    ordered_list: { order: 1 },
    bullet_list: {},
    list_item: {},
    table: {},
    table_row: {},
    table_cell: cell,
    table_header: cell,
    civicRef: { refType: 'record', id: '', label: '' },
  });
  assert.deepEqual(Object.keys(schema.marks), ['link', 'em', 'strong', 'code']);
});

test('links that could run a script lead nowhere', () => {
  for (const href of [
    'javascript:alert(1)',
    ' JaVa\nScript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    null,
  ]) {
    assert.equal(safeHref(href), null, String(href));
  }
  for (const href of [
    'https://example.org/a:b',
    'mailto:a@b.c',
    '/records/1',
    '#part',
    'minutes.md',
    'tel:+1',
  ]) {
    assert.equal(safeHref(href), href);
  }
});

test('a token is found in a link or on its own', () => {
  assert.equal(parseToken(' https://records.example/#token=aaa.bbb.ccc '), 'aaa.bbb.ccc');
  assert.equal(parseToken('aaa.bbb.ccc'), 'aaa.bbb.ccc');
  assert.equal(parseToken('hello there'), null);
  assert.equal(parseToken('https://records.example/#nothing'), null);
  // A host's tokens, and the operator's, have forms of their own.
  assert.equal(parseAnyToken('https://records.example/#token=aaa.bbb.ccc'), 'aaa.bbb.ccc');
  assert.equal(parseAnyToken(' 7|a#b! '), '7|a#b!');
  for (const none of ['', 'two words', 'a\nb', 'é']) assert.equal(parseAnyToken(none), null);
});

test('saved means that the server has everything on disk', () => {
  const delivery = new Delivery(() => {});
  assert.equal(delivery.state, 'connecting');
  delivery.opened();
  delivery.synced(true);
  assert.equal(delivery.state, 'saving', 'the answer to the server’s step 1 is still to come');
  delivery.sent('step2');
  assert.equal(delivery.state, 'saving');
  delivery.acknowledged(1);
  assert.equal(delivery.state, 'saved');

  delivery.sent('update');
  delivery.changedLocally();
  delivery.sent('update');
  delivery.acknowledged(2);
  assert.deepEqual([delivery.state, delivery.dirty], ['saving', true]);
  delivery.acknowledged(3);
  assert.deepEqual([delivery.state, delivery.dirty], ['saved', false]);
});

test('a change stays unsaved over a lost connection until the next one acknowledges it', () => {
  const delivery = new Delivery(() => {});
  delivery.opened();
  delivery.synced(true);
  delivery.sent('step2');
  delivery.acknowledged(1);
  delivery.sent('update');
  delivery.changedLocally();
  delivery.closed(false);
  assert.deepEqual([delivery.state, delivery.dirty], ['offline', true]);
  delivery.opened();
  delivery.synced(true);
  delivery.acknowledged(0);
  assert.deepEqual([delivery.state, delivery.dirty], ['saving', true]);
  delivery.sent('step2');
  delivery.acknowledged(1);
  assert.deepEqual([delivery.state, delivery.dirty], ['saved', false]);
});

test('readers have nothing to lose', () => {
  const delivery = new Delivery(() => {});
  delivery.allowEditing(false);
  delivery.opened();
  delivery.synced(true);
  delivery.changedLocally();
  assert.deepEqual([delivery.state, delivery.dirty], ['readonly', false]);
});

test('each close code says what happens next', () => {
  assert.equal(ending(4001).then, 'sign-in');
  for (const code of [4003, 4004, 4413, 4499]) assert.equal(ending(code).then, 'stop');
  for (const code of [1008, 1009, 4029, 4500, 4503, 4508]) assert.equal(ending(code).then, 'retry');
  assert.equal(ending(1006), null);
  for (const reason of ['', '{', 'null', '{"code":1}', '{"code":"toString"}'])
    assert.equal(ending(1006, reason), null, reason);
});

test('too many messages are no refusal of what was written', () => {
  const reason = '{"code":"RATE_LIMIT_EXCEEDED","reason":"Rate limit exceeded"}';
  assert.match(ending(1008, reason).text, /too many messages/);
  assert.notEqual(ending(1008).text, ending(1008, reason).text);
  assert.equal(ending(1008, reason).then, 'retry');
  assert.deepEqual(
    [isRefusal(1008, reason), isRefusal(1008), isRefusal(1009), isRefusal(4500)],
    [false, true, true, false],
  );
});

test('a person’s colour is stable and readable', () => {
  assert.deepEqual(colorOf('u1'), colorOf('u1'));
  const linear = (byte) =>
    byte / 255 <= 0.03928 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4;
  for (let i = 0; i < 200; i++) {
    const [r, g, b] = colorOf(`user-${i}`)
      .color.match(/\w\w/g)
      .map((hex) => linear(parseInt(hex, 16)));
    assert.ok(1.05 / (0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05) >= 4.5);
  }
  assert.match(trustedColor('red;background:url(x)', 'A'), /^#[0-9a-f]{6}$/);
});

test('dates are told in words', () => {
  const now = Date.UTC(2026, 5, 15, 12);
  assert.equal(relativeDate(now - 20_000, now), 'just now');
  assert.equal(relativeDate(now - 3 * 3_600_000, now), '3 hours ago');
  assert.equal(relativeDate(now - 86_400_000, now), 'yesterday');
});
