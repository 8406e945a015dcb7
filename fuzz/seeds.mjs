/** Where the corpora begin: real traffic and known attacks, as files in fuzz/corpus. `node fuzz/seeds.mjs` */

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Awareness, encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BYTES_MAX = 4096;

function seed(target, bytes) {
  const content = Buffer.from(bytes);
  if (content.length > BYTES_MAX) return;
  const folder = join(ROOT, 'fuzz', 'corpus', target);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, createHash('sha1').update(content).digest('hex')), content);
}

const lengthOf = (bytes) => [bytes.length & 255, bytes.length >> 8];
const hex = (text) => Buffer.from(text.replace(/\s/g, ''), 'hex');

/** What people do with documents, as the updates it makes. */
function honestUpdates() {
  const updates = [];
  const doc = new Y.Doc();
  doc.clientID = 1;
  doc.on('update', (update) => updates.push(update));
  const text = doc.getText('t');
  text.insert(0, 'hello 😀 world');
  text.insert(3, 'é');
  text.format(0, 5, { strong: {} });
  text.insertEmbed(2, { image: '/a.png' });
  text.delete(1, 4);
  const map = doc.getMap('m');
  map.set('a', [1, { b: null }, 'x']);
  map.set('a', Uint8Array.of(1, 2));
  map.set('d', new Y.Doc({ guid: 'g' }));
  map.delete('a');
  doc.getArray('l').insert(0, [1, 2.5, true, 'x', new Y.Map([['k', 'v']])]);
  doc.getArray('l').delete(1, 2);
  const fragment = doc.getXmlFragment('default');
  const heading = new Y.XmlElement('heading');
  heading.setAttribute('level', 2);
  heading.insert(0, [new Y.XmlText('Title')]);
  const list = new Y.XmlElement('bullet_list');
  const item = new Y.XmlElement('list_item');
  const paragraph = new Y.XmlElement('paragraph');
  paragraph.insert(0, [new Y.XmlText('point')]);
  item.insert(0, [paragraph]);
  list.insert(0, [item]);
  fragment.insert(0, [heading, list]);
  paragraph.get(0).insert(5, ' more', { em: {} });
  const undo = new Y.UndoManager(fragment);
  fragment.delete(0, 1);
  undo.undo();
  const other = new Y.Doc();
  other.clientID = 2;
  Y.applyUpdate(other, Y.encodeStateAsUpdate(doc));
  other.on('update', (update) => updates.push(update));
  other.getText('t').insert(4, 'other');
  other.getXmlFragment('default').delete(0, 1);
  return { updates, states: [Y.encodeStateAsUpdate(other)], vector: Y.encodeStateVector(other) };
}

/** Updates that kill, poison or bloat yrs without a guard, and old Yjs' JSON. */
const ATTACKS = `
030102ffffffff0f000401020000020103b8c6f69d0f000200
0201010004010764656661756c74044141414101010004010764656661756c74044242424200
0202010007010764656661756c740301700400010005696e6e657201010004010764656661756c74015a00
02010200a1010602030100250101740171077b2261223a317d00044403010478797a620102010905
02020201a701040fe1010703000401030068020102797800
010101000801017401 7501750175017501 7e00
0300010000020000030000
8080808001
010101000801017401 76808080200076
0101030042030500013100
010201ffffffff0f04010174046869686904010174017800
02010100a70204050170010200450200077b2261223a317d00
0100010000
0201010004010764656661756c7408414243444546474801010204010764656661756c740c78797a78797a78797a78797a00
0101010002010174010322612200
0101010004000100016200
`
  .trim()
  .split('\n')
  .map(hex);

const { updates, states, vector } = honestUpdates();
const received = (update) => [2, ...lengthOf(update), ...update];
for (const update of [...updates, ...states, ...ATTACKS]) seed('updates', received(update));
for (let first = 0; first < updates.length; first += 4) {
  seed('updates', updates.slice(first, first + 8).flatMap(received));
}
seed('updates', [...updates].reverse().flatMap(received));
seed('updates', [...received(states[0]), 0, 1, ...lengthOf(vector), ...vector]);
for (const attack of ATTACKS) seed('updates', [...received(updates[0]), ...received(attack), 0]);

for (let number = 0; number < 32; number += 1) {
  const bytes = createHash('sha512').update(`structs ${number}`).digest();
  seed('structs', Buffer.concat([bytes, createHash('sha512').update(bytes).digest()]));
}

/** A masked frame; the mask is 0, so that the fuzzer sees the payload. */
const frame = (opcode, payload, fin = true) => [
  (fin ? 0x80 : 0) | opcode,
  ...(payload.length < 126 ? [0x80 | payload.length] : [0xfe, payload.length >> 8, payload.length & 255]),
  0,
  0,
  0,
  0,
  ...payload,
];
const message = (type, kind, body) => [type, ...kind, body.length & 127, ...body];
const short = updates.filter(({ length }) => length < 128);
const awareness = new Awareness(new Y.Doc());
awareness.setLocalState({ user: { name: 'Ada', color: '#fff' }, cursor: null });
const states1 = encodeAwarenessUpdate(awareness, [awareness.clientID]);
const messages = [
  message(0, [0], vector),
  ...short.map((update) => message(0, [2], update)),
  message(0, [1], short[0]),
  message(1, [], states1),
  [3],
  [...Buffer.from('{"type":"ping"}')],
  [0, 0, 5, 0x80, 0x80, 0x80, 0x80, 0x01],
];
for (const body of messages) seed('frames', [255, ...frame(2, body)]);
seed('frames', [7, ...messages.flatMap((body) => frame(2, body))]);
seed('frames', [255, ...frame(1, [...Buffer.from('{"type":"ping"}')])]);
seed('frames', [255, ...frame(2, [0], false), ...frame(9, [1, 2]), ...frame(0, [0, 1, 0])]);
seed('frames', [255, ...frame(8, [0x03, 0xe8]), ...frame(10, [])]);
seed('frames', [1, 0x82, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

const said = (session, body) => [session, 3, ...lengthOf(body), ...body];
awareness.setLocalStateField('cursor', { anchor: 1 });
const later = encodeAwarenessUpdate(awareness, [awareness.clientID]);
awareness.setLocalState(null);
const gone = encodeAwarenessUpdate(awareness, [awareness.clientID]);
seed('awareness', said(0, states1));
seed('awareness', [
  0,
  2,
  0,
  1,
  2,
  0,
  ...said(0, states1),
  ...said(1, later),
  0,
  0,
  2,
  1,
  255,
  ...said(1, gone),
]);
seed('awareness', said(1, [2, 1, 0, 4, ...Buffer.from('null'), 2, 5, 2, ...Buffer.from('{}')]));
seed('awareness', said(1, hex('8080808001')));

// Its timer would keep the process.
awareness.destroy();

for (const said of [
  { type: 'auth', token: 'eyJhbGciOiJIUzI1NiJ9.e30.x' },
  { type: 'join', room: 'collection:todos' },
  { type: 'join', room: 'a', since: { epoch: 'x-1', offset: 3 }, presence: true, ack: '1' },
  { type: 'leave', room: 'Règlement 😀', ack: 7 },
  { type: 'emit', event: 'hello', data: { text: 'Hi', list: [1, -2.5e3, null, true] }, room: 'a' },
  { type: 'emit', event: 'e', data: 0, room: '', echo: false, key: 'k1', ack: -1 },
  { type: 'emit', event: 'emit', data: { type: 'auth', ack: 1, room: 'b' } },
  { type: 'emit', event: 'à', data: 'é\u0001', room: 'Règlement 😀', ack: 'é' },
  { type: 'emit', event: '\u202e', room: 'a' },
  { type: 'presence', room: 'a', ack: 'x' },
  { type: 'ping' },
  { type: 'subscribe', ack: 'x' },
  { type: 5 },
  {},
  ['join'],
]) {
  seed('events', Buffer.from(JSON.stringify(said)));
}
for (const text of [
  '{"type":"emit","event":"e","data":1e999,"ack":1e999}',
  '{"type":"emit","event":"e","data":"\\ud800\\u0000\\/"}',
  ' \n{"type":"emit","data":[ {"a" : {}},"[[[" ],"event":"\\u0061","event":"e"}',
  `{"type":"emit","event":"e","data":${'['.repeat(70)}${']'.repeat(70)}}`,
]) {
  seed('events', Buffer.from(text));
}

const upgrade = (path, more = '') =>
  `GET ${path} HTTP/1.1\r\nHost: localhost:3001\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`;
for (const head of [
  upgrade('/realtime/records/a?ack=json', 'Sec-WebSocket-Protocol: civicpress.v1, auth.token\r\n'),
  upgrade('/realtime/notes/%C3%A4%20b', 'Authorization: Bearer token\r\nOrigin: https://example.org\r\n'),
  upgrade('/records/%2e%2e%2fetc?token=x%20y', 'Origin: https://a.example.org:8443\r\n'),
  upgrade('/notes/a', 'Origin: null\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n'),
  upgrade('/notes/a', 'Origin: http://user@[::1]:80\r\nSec-WebSocket-Protocol: a/b\r\n'),
  upgrade('/notes/a').replace('HTTP/1.1', 'HTTP/1.0'),
  'POST /api/v1/records HTTP/1.1\r\nHost: a\r\n\r\n',
]) {
  seed('heads', Buffer.from(head));
}

for (const claims of [
  { sub: 'ada', name: 'Ada', role: 'editor', exp: 1_900_000_000, rooms: ['records:*'] },
  { sub: 'ada', exp: 1_700_000_000, nbf: 1_700_000_000, iat: 1 },
  { user_id: 7, username: 'ada', is_root: true, exp: 1.9e9 },
  { sub: ['a'], exp: '1900000000', role: null },
  { sub: 'a', exp: 1e300, rooms: 'all' },
]) {
  seed('tokens', Buffer.from(JSON.stringify(claims)));
}
seed('tokens', Buffer.from('eyJhbGciOiJub25lIn0.e30.'));

const snippets = JSON.parse(readFileSync(join(ROOT, 'tests/markdown/specs/snippets.json'), 'utf8'));
for (const text of snippets) if (text.length < 512) seed('markdown', Buffer.from(text));
seed('markdown', Buffer.from('---\ntitle: A\n---\n# A\n\ntext\n\u0001# A\n\ntext changed\n\nmore\n'));
seed(
  'markdown',
  Buffer.from('- a\n  - b\n    1. c\n\n| a | b |\n|:-|-:|\n| 1 | 2 |\n\n> quote\n\n```rust\nx\n```\n'),
);
