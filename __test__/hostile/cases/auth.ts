/** A: who may come in. */

import { SECRET, TOKEN } from '../../chaos/server.js';
import { syncFrame } from '../../clients/support.js';
import { honestUpdate, updateMessage, type Arena, type Case, type Entrance } from '../arena.js';
import { frame, type Answer } from '../wire.js';

const REFUSED = /^close 4001$/;
const enters = (id: string, what: string, answer: RegExp, entrance: (arena: Arena) => Entrance): Case => ({
  id,
  what,
  answer,
  async run(arena): Promise<Answer> {
    const wire = arena.knock(entrance(arena));
    const status = await wire.status();
    if (status !== '101') return status;
    if (answer.test('open')) return await arena.settled(wire);
    const closed = await wire.closed();
    const leaked = wire.frames.some(({ payload }) => payload[0] === 0);
    return leaked ? `${closed}, after room data` : closed;
  },
});
const claims = (id: string, what: string, answer: RegExp, some: Record<string, unknown>): Case =>
  enters(id, what, answer, (arena) => ({ token: arena.token(some) }));
const origin = (id: string, value: string, answer: RegExp): Case =>
  enters(id, `Origin: ${value}`, answer, () => ({ headers: { Origin: value } }));

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const unsigned = (header: Record<string, unknown>, signature = ''): string =>
  `${part(header)}.${part({ sub: 'mallory', role: 'editor', exp: 4_000_000_000 })}.${signature}`;
const now = (): number => Math.floor(Date.now() / 1000);

export const auth: Case[] = [
  enters('A01', 'no token', REFUSED, () => ({ token: null })),
  enters('A02', 'no JWT', REFUSED, () => ({ token: 'let-me-in' })),
  enters('A03', 'algorithm none', REFUSED, () => ({ token: unsigned({ alg: 'none' }) })),
  enters('A03b', 'algorithm nOnE', REFUSED, () => ({ token: unsigned({ alg: 'nOnE' }) })),
  enters('A04', 'another secret', REFUSED, (arena) => ({
    token: arena.token({}, 'another secret, which is long enough too'),
  })),
  enters('A04b', 'an empty secret', REFUSED, (arena) => ({ token: arena.token({}, '') })),
  claims('A05', 'expired', REFUSED, { exp: 1_000_000_000 }),
  claims('A06', 'no exp', REFUSED, { exp: undefined }),
  claims('A07', 'exp as a string', REFUSED, { exp: '4000000000' }),
  claims('A07b', 'exp null', REFUSED, { exp: null }),
  claims('A07c', 'exp in a list', REFUSED, { exp: [4_000_000_000] }),
  claims('A07d', 'a negative exp', REFUSED, { exp: -1 }),
  claims('A08', 'nbf in an hour', REFUSED, { nbf: now() + 3_600 }),
  enters('A09', 'the token in the URL', REFUSED, (arena) => ({
    token: null,
    room: `notes/arena?token=${arena.token()}`,
  })),
  enters('A10', 'a token of 9 kB', /^(close 4001|HTTP 431)$/, () => ({ token: 'x'.repeat(9_000) })),
  enters('A11', 'an algorithm of another family', REFUSED, () => ({
    token: unsigned({ alg: 'RS256' }, 'AAAA'),
  })),
  enters('A12', 'changed claims', REFUSED, (arena) => {
    const [header, , signature] = arena.token().split('.');
    return { token: `${header}.${part({ sub: 'root', role: 'admin', exp: 4_000_000_000 })}.${signature}` };
  }),
  enters('A12b', 'a signature cut short', REFUSED, (arena) => ({ token: arena.token().slice(0, -2) })),
  claims('A13', 'a token for other rooms', /^close 4003$/, { rooms: ['notes:other'] }),
  claims('A13b', 'rooms that are no list', /^close 400[13]$/, { rooms: 7 }),
  {
    id: 'A14',
    what: 'edits in the same breath as a bad token',
    answer: /^close 4001$/,
    async run(arena) {
      const wire = arena.knock({ token: 'bad' });
      const update = honestUpdate((doc) => doc.getText('t').insert(0, 'smuggled'));
      wire.write(frame(2, updateMessage(update)));
      const closed = await wire.closed();
      return arena.isSeen('smuggled') ? 'seen' : closed;
    },
  },
  {
    id: 'A15',
    what: 'a viewer edits, by update and by sync step 2',
    answer: /^unseen$/,
    async run(arena) {
      const update = honestUpdate((doc) => doc.getText('t').insert(0, 'by a viewer'));
      const token = arena.token({ role: 'viewer' });
      await arena.send([updateMessage(update), syncFrame('step2', update)], { token });
      return arena.isSeen('by a viewer') ? 'seen' : 'unseen';
    },
  },
  enters('A16', 'a token that ends in a second', /^close 4001(, after room data)?$/, (arena) => ({
    token: arena.token({ exp: now() + 2 }),
  })),
  origin('A17a', 'https://evil.example', /^HTTP 403$/),
  origin('A17b', 'null', /^HTTP 403$/),
  origin('A17c', 'http://127.0.0.1.evil.example', /^HTTP 403$/),
  origin('A17d', 'http://evil.example@127.0.0.1', /^HTTP 403$/),
  origin('A17e', 'file://', /^HTTP 403$/),
  origin('A17f', 'http://127.0.0.1:3030', /^open$/),
  origin('A17g', 'http://[', /^HTTP 403$/),
  origin('A17h', 'http://127.0.0.1\r\nOrigin: https://evil.example', /^HTTP 403$/),
  {
    id: 'A18',
    what: 'the token is not echoed as a subprotocol',
    answer: /^not echoed$/,
    async run(arena) {
      const wire = arena.knock({
        token: null,
        headers: { 'Sec-WebSocket-Protocol': `civicpress.v1, auth.${TOKEN}` },
      });
      await wire.upgraded();
      return wire.head.includes(TOKEN.slice(-20)) ? 'echoed' : 'not echoed';
    },
  },
  claims('A19', 'a role nobody knows', /^close 400[13]$/, { role: 'emperor' }),
  claims('A20', 'no user', REFUSED, { sub: undefined }),
  claims('A20b', 'a user that is an object', REFUSED, { sub: { toString: 'x' } }),
  enters('A21', 'a header that must be understood', REFUSED, () => ({
    token: unsigned({ alg: 'HS256', crit: ['x'], x: 1 }),
  })),
  enters('A22', 'a token with control characters', /^(HTTP 400|close 4001)$/, () => ({ token: 'a\x01b' })),
  enters('A23', 'two Authorization headers in one', REFUSED, (arena) => ({
    token: `bad, Bearer ${arena.token({}, SECRET)}`,
  })),
  {
    id: 'A24',
    what: 'an honest token still opens the door',
    answer: /^open$/,
    run: async (arena) => await arena.settled(arena.knock()),
  },
  {
    id: 'A25',
    what: 'bad tokens, 200 of them',
    answer: /^close 4001$/,
    async run(arena) {
      const wires = Array.from({ length: 200 }, (_, number) => arena.knock({ token: `bad ${number}` }));
      const answers = await Promise.all(wires.map((wire) => wire.closed()));
      return [...new Set(answers)].join(', ');
    },
  },
];
