/** H: requests that are not what they should be. */

import { setTimeout as sleep } from 'node:timers/promises';

import type { Arena, Case } from '../arena.js';
import { frame, upgrade, type Answer } from '../wire.js';

const PATH = '/realtime/notes/arena';
const REFUSED = /^HTTP 400$/;

const says = (id: string, what: string, answer: RegExp, bytes: Uint8Array | string): Case => ({
  id,
  what,
  answer,
  run: async (arena) => await arena.request(bytes).status(),
});
const lacks = (id: string, what: string, answer: RegExp, changes: Record<string, string | null>): Case =>
  says(id, what, answer, upgrade(PATH, changes));

async function drip(arena: Arena, bytes: string): Promise<Answer> {
  const wire = arena.wire();
  for (const byte of bytes) {
    if (wire.ended || wire.head !== '') break;
    wire.write(byte);
    await sleep(200);
  }
  return await wire.status();
}

/** A head with one byte changed, doubled or left out, at each place. */
function mutated(): Buffer[] {
  const head = Buffer.from(upgrade(PATH, { Authorization: 'Bearer nobody' }));
  return [...head].flatMap((byte, at) => [
    Buffer.concat([head.subarray(0, at), Buffer.from([byte ^ 0x80]), head.subarray(at + 1)]),
    Buffer.concat([head.subarray(0, at), Buffer.from([byte ^ 0x20]), head.subarray(at + 1)]),
    Buffer.concat([head.subarray(0, at), Buffer.from([byte]), head.subarray(at)]),
    Buffer.concat([head.subarray(0, at), head.subarray(at + 1)]),
  ]);
}

const LONG = 'x'.repeat(20_000);

export const handshake: Case[] = [
  says('H01', 'no HTTP at all', REFUSED, 'nonsense\r\n\r\n'),
  says('H02', 'a TLS greeting', /^(HTTP 400|ended)$/, Buffer.from('16030100c8010000c40303', 'hex')),
  says('H03', 'zeros', REFUSED, Buffer.alloc(512)),
  says('H04', 'a path of 20 kB', /^HTTP (414|431)$/, upgrade(`${PATH}${LONG}`)),
  lacks('H05', 'a header of 20 kB', /^HTTP 431$/, { 'X-Long': LONG }),
  says(
    'H06',
    'a hundred headers',
    /^HTTP 431$/,
    upgrade(PATH, Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`X-${n}`, 'y']))),
  ),
  says('H07', 'headers without end', /^HTTP 431$/, `GET ${PATH} HTTP/1.1\r\n${'a: b\r\n'.repeat(12_000)}`),
  lacks('H08', 'a subprotocol list made to be slow', /^(101|HTTP 4\d\d)$/, {
    'Sec-WebSocket-Protocol': `a${' ,'.repeat(5_000)}b`,
  }),
  says('H09', 'an upgrade with a body', REFUSED, `${upgrade(PATH, { 'Content-Length': '5' })}hello`),
  says(
    'H10',
    'an upgrade with chunks',
    REFUSED,
    `${upgrade(PATH, { 'Transfer-Encoding': 'chunked' })}0\r\n\r\n`,
  ),
  lacks('H11', 'no key', REFUSED, { 'Sec-WebSocket-Key': null }),
  lacks('H12', 'a short key', REFUSED, { 'Sec-WebSocket-Key': 'c2hvcnQ=' }),
  {
    id: 'H13',
    what: 'a head that drips',
    answer: /^(HTTP 408|ended)$/,
    run: (arena) => drip(arena, upgrade(PATH, { 'X-Slow': 'y'.repeat(200) })),
  },
  {
    id: 'H14',
    what: 'silence',
    answer: /^(HTTP 408|ended)$/,
    run: async (arena) => await arena.wire().status(),
  },
  says('H15', 'a POST', /^HTTP 405$/, upgrade(PATH, {}, `POST ${PATH} HTTP/1.1`)),
  says('H16', 'HTTP/1.0', /^HTTP (400|426|505)$/, upgrade(PATH, {}, `GET ${PATH} HTTP/1.0`)),
  says('H16b', 'HTTP/2.0 in words', REFUSED, upgrade(PATH, {}, `GET ${PATH} HTTP/2.0`)),
  lacks('H17', 'version 8', /^HTTP 426$/, { 'Sec-WebSocket-Version': '8' }),
  lacks('H17b', 'no version', /^HTTP (400|426)$/, { 'Sec-WebSocket-Version': null }),
  lacks('H18', 'no Connection: Upgrade', REFUSED, { Connection: 'keep-alive' }),
  lacks('H19', 'another upgrade', /^HTTP (400|404|426)$/, { Upgrade: 'h2c' }),
  lacks('H20', 'a NUL in a header', REFUSED, { 'X-A': 'a\0b' }),
  says('H21', 'a space in a header name', REFUSED, upgrade(PATH).replace('Upgrade: web', 'Up grade: web')),
  says('H22', 'a folded header', REFUSED, upgrade(PATH, { 'X-A': 'a\r\n b' })),
  says('H23', 'a bare CR in a header', REFUSED, upgrade(PATH, { 'X-A': 'a\rb' })),
  lacks('H24', 'a key that is no base64', REFUSED, { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!!!' }),
  says(
    'H25',
    'a whole URL as the path',
    /^HTTP (400|401|404)$/,
    upgrade('http://evil.example/realtime/notes/arena'),
  ),
  says('H26', 'no path', /^HTTP (400|401|404)$/, upgrade('*')),
  says('H27', 'a path that is not ours', /^HTTP (401|404)$/, upgrade('/elsewhere')),
  says(
    'H28',
    'a method of 10 kB',
    /^HTTP (400|405|431)$/,
    `${'G'.repeat(10_000)} / HTTP/1.1\r\nHost: a\r\n\r\n`,
  ),
  says('H29', 'one line of 64 kB', /^HTTP (400|431)$/, Buffer.alloc(65_536, 'A')),
  says(
    'H30',
    'bytes beyond ASCII in the path',
    /^(101|HTTP 400)$/,
    Buffer.from(upgrade('/realtime/notes/\xff\xfe'), 'latin1'),
  ),
  {
    id: 'H31',
    what: 'a second request behind the first, which has no token',
    answer: /^close (1002|4001)$/,
    run: async (arena) => await arena.request(upgrade(PATH) + upgrade(PATH)).closed(),
  },
  {
    id: 'H32',
    what: 'connections that are reset at once, 300 of them',
    answer: /^101$/,
    async run(arena) {
      for (let number = 0; number < 300; number += 1) arena.request('GET').socket.resetAndDestroy();
      return await arena.knock().status();
    },
  },
  {
    id: 'H33',
    what: 'permessage-deflate is not agreed to',
    answer: /^not agreed$/,
    async run(arena) {
      const wire = arena.knock({
        headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate; server_no_context_takeover' },
      });
      await wire.upgraded();
      return /extensions/i.test(wire.head) ? 'agreed' : 'not agreed';
    },
  },
  {
    id: 'H34',
    what: 'a head in pieces of one byte is a head',
    answer: /^101$/,
    async run(arena) {
      const wire = arena.wire();
      for (const byte of upgrade(PATH)) {
        wire.write(byte);
        await new Promise(setImmediate);
      }
      return await wire.status();
    },
  },
  {
    id: 'H35',
    what: 'frames in the packet of the request are read',
    answer: /^close 1002$/,
    run: async (arena) =>
      await arena
        .request(
          Buffer.concat([Buffer.from(upgrade(PATH, { Authorization: `Bearer ${arena.token()}` })), frame(3)]),
        )
        .closed(),
  },
  {
    id: 'H36',
    what: 'a request head with one byte changed, at every place',
    answer: /^as it should$/,
    async run(arena) {
      const odd = new Set<Answer>();
      const heads = mutated();
      for (let first = 0; first < heads.length; first += 50) {
        const wires = heads.slice(first, first + 50).map((head) => arena.request(head));
        // Some only end their head with this.
        for (const wire of wires) wire.write('\r\n\r\n');
        for (const wire of wires) {
          const status = await wire.status();
          const answer = status === '101' ? await wire.closed() : status;
          if (!/^(HTTP 4\d\d|close (1002|4001|4004))$/.test(answer)) odd.add(answer);
          wire.destroy();
        }
      }
      return odd.size === 0 ? 'as it should' : [...odd].join(', ');
    },
  },
  {
    id: 'H37',
    what: 'an upgrade behind a plain request of the same connection is no upgrade',
    answer: /^HTTP 200, not upgraded$/,
    async run(arena) {
      const plain = 'GET /health HTTP/1.1\r\nHost: a\r\n\r\n';
      const wire = arena.request(plain + upgrade(PATH, { Authorization: `Bearer ${arena.token()}` }));
      const first = await wire.status();
      const heard: Buffer[] = [];
      wire.socket.on('data', (data) => heard.push(data));
      wire.write(`${plain.replace('Host', 'Connection: close\r\nHost')}`);
      await wire.closed();
      return `${first}, ${Buffer.concat(heard).includes('HTTP/1.1 101') ? 'upgraded' : 'not upgraded'}`;
    },
  },
  says(
    'H38',
    'two lengths',
    REFUSED,
    'POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
  ),
  says('H39', 'a negative length', REFUSED, 'POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n'),
  says('H40', 'two hosts', REFUSED, upgrade(PATH, { Host: 'a\r\nHost: b' })),
  says('H41', 'HTTP/2 without asking', REFUSED, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  ...['request', 'half a request', 'nothing'].map((what, index): Case => ({
    id: `H42-${index}`,
    what: `${what}, and the sending side closed`,
    answer: /^(ended|close \d+|HTTP 4\d\d)$/,
    async run(arena) {
      const whole = upgrade(PATH, { Authorization: `Bearer ${arena.token()}` });
      const wire = arena.wire();
      wire.socket.end(whole.slice(0, whole.length >> (index === 0 ? 0 : index === 1 ? 1 : 16)));
      return await wire.closed();
    },
  })),
];
