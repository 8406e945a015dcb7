/** M: sync messages and the updates in them. Payloads known to kill, poison or bloat yrs, and classes of them. */

import * as Y from 'yjs';

import { syncFrame } from '../../clients/support.js';
import { Chance } from '../../convergence/random.js';
import { hex, honestUpdate, updateMessage, varUint, type Case } from '../arena.js';
import { frame, type Answer } from '../wire.js';

const REFUSED = /^close 1008$/;
const TOO_LARGE = /^close (1008|1009|4413)$/;
const EITHER = /^(open|close (1008|1013|4413|4500))$/;

const message = (id: string, what: string, answer: RegExp, ...messages: Uint8Array[]): Case => ({
  id,
  what,
  answer,
  run: async (arena) => await arena.send(messages),
});
const update = (id: string, what: string, answer: RegExp, ...updates: (Uint8Array | number[])[]): Case =>
  message(id, what, answer, ...updates.map((bytes) => updateMessage(Uint8Array.from(bytes))));
/** In a room of its own: what passes there is no burden to those in the arena. */
const apart = (id: string, what: string, answer: RegExp, bytes: number[]): Case => ({
  id,
  what,
  answer,
  run: async (arena) =>
    await arena.send([updateMessage(Uint8Array.from(bytes))], { room: `notes/apart-${id}` }),
});
/** Updates in hex; `/` separates messages. */
const known = (id: string, what: string, answer: RegExp, text: string): Case =>
  update(id, what, answer, ...text.split('/').map(hex));

const repeat = (count: number, bytes: number[]): number[] =>
  Array.from({ length: count }, () => bytes).flat();

/** One section of client 77 from clock 0. */
const section = (structs: number, body: number[]): number[] => [1, ...varUint(structs), 77, 0, ...body, 0];
const root = (kind: number, name = 'default'): number[] => [kind, 1, name.length, ...Buffer.from(name)];

function nestedElements(levels: number): number[] {
  const body = [...root(7), 3, 1, 0x70];
  for (let at = 1; at < levels; at += 1) body.push(7, 0, 77, ...varUint(at - 1), 3, 1, 0x70);
  return section(levels, body);
}

/** The same depth, an update a level. */
function nestedInSteps(levels: number): number[][] {
  return Array.from({ length: levels }, (_, at) => [
    ...[1, 1, 77, ...varUint(at)],
    ...(at === 0 ? [...root(7), 3, 1, 0x70] : [7, 0, 77, ...varUint(at - 1), 3, 1, 0x70]),
    0,
  ]);
}

const subdocuments = (count: number): number[] =>
  section(count, repeat(count, [...root(9, 'd'), 1, 0x67, 0x76, 0]));

function mutated(count: number, mutate: (bytes: Buffer, chance: Chance) => Uint8Array): Uint8Array[] {
  const chance = new Chance(42);
  const honest = honestUpdate((doc) => {
    doc.getText('t').insert(0, 'hello 😀 world');
    doc.getText('t').format(2, 4, { strong: {} });
    doc.getMap('m').set('a', [1, { b: null }]);
    doc.getXmlFragment('x').insert(0, [new Y.XmlElement('p')]);
    doc.getText('t').delete(3, 2);
  }, 77);
  return Array.from({ length: count }, () => mutate(Buffer.from(honest), chance));
}

/** Each in a connection of its own, as each may be its last. */
const each = (id: string, what: string, updates: Uint8Array[]): Case => ({
  id,
  what,
  answer: /^as it should$/,
  async run(arena) {
    const odd = new Set<Answer>();
    for (let first = 0; first < updates.length; first += 20) {
      const some = updates.slice(first, first + 20);
      const answers = await Promise.all(some.map((bytes) => arena.send([updateMessage(bytes)])));
      for (const answer of answers) if (!EITHER.test(answer)) odd.add(answer);
    }
    return odd.size === 0 ? 'as it should' : [...odd].join(', ');
  },
});

export const documents: Case[] = [
  known('M01', 'an abort while unwinding', REFUSED, '030102ffffffff0f000401020000020103b8c6f69d0f000200'),
  known(
    'M02',
    'a use after free',
    REFUSED,
    '0201010004010764656661756c74044141414101010004010764656661756c74044242424200',
  ),
  known(
    'M02b',
    'the same with a type',
    REFUSED,
    '0202010007010764656661756c740301700400010005696e6e657201010004010764656661756c74015a00',
  ),
  known(
    'M03',
    'a segmentation fault out of gaps',
    EITHER,
    '02010200a1010602030100250101740171077b2261223a317d00044403010478797a620102010905/02020201a701040fe1010703000401030068020102797800',
  ),
  update('M04', 'arrays in arrays, 50,000', REFUSED, [
    1,
    1,
    1,
    0,
    8,
    1,
    1,
    0x74,
    1,
    ...repeat(50_000, [0x75, 1]),
    0x7e,
    0,
  ]),
  update('M04b', 'maps in maps, 50,000', REFUSED, [
    1,
    1,
    1,
    0,
    8,
    1,
    1,
    0x74,
    1,
    ...repeat(50_000, [0x76, 1, 0]),
    0x7e,
    0,
  ]),
  update('M05', '21,875 clients without structs', REFUSED, [
    ...varUint(21_875),
    ...Array.from({ length: 21_875 }, (_, n) => [0, ...varUint(n), 0]).flat(),
    0,
  ]),
  update('M06', '7,265 nested elements', TOO_LARGE, nestedElements(7_265)),
  update(
    'M06b',
    '7,265 nested elements, then their deletion',
    TOO_LARGE,
    nestedElements(7_265),
    [0, 1, 77, 1, 0, 1],
  ),
  update('M07', '400 nested elements, an update each', TOO_LARGE, ...nestedInSteps(400)),
  known('M08', 'half a gigabyte from five bytes', REFUSED, '8080808001'),
  known('M08b', 'a map that says it is huge', REFUSED, '01010100080101740176808080200076'),
  update('M08c', 'forty of them in each other', REFUSED, [
    1,
    1,
    1,
    0,
    8,
    1,
    1,
    0x74,
    1,
    ...repeat(40, [0x76, 0x80, 0x80, 0x80, 0x20, 0]),
  ]),
  known('M09', 'a room nobody can join (JSON)', REFUSED, '0101030042030500013100'),
  known('M10', 'a room nobody can join (clock)', REFUSED, '010201ffffffff0f04010174046869686904010174017800'),
  known(
    'M11',
    'a room nobody can join (pending)',
    EITHER,
    '02010100a70204050170010200450200077b2261223a317d00',
  ),
  known('M12', 'an empty section', REFUSED, '0100010000'),
  known(
    'M14',
    'an endless loop later',
    REFUSED,
    '0201010004010764656661756c7408414243444546474801010204010764656661756c740c78797a78797a78797a78797a00',
  ),
  known('M15', 'JSON of old Yjs', EITHER, '0101010002010174010322612200'),
  known('M16', 'a parent that is a letter', EITHER, '0101010004010174016100/0101020004000100016200'),
  known('M16b', 'the same, the letter later', EITHER, '0101020004000100016200/0101010004010174016100'),
  update(
    'M17',
    'a clock of 2^31',
    REFUSED,
    [1, 1, 77, 0xff, 0xff, 0xff, 0xff, 7, 4, 1, 1, 0x74, 2, 0x61, 0x61, 0],
  ),
  update('M18', 'a client id of 2^53', REFUSED, [1, 1, ...varUint(2 ** 53), 0, 4, 1, 1, 0x74, 1, 0x61, 0]),
  update('M19', 'a struct that follows itself', REFUSED, section(1, [0x84, 77, 0, 1, 0x61])),
  update(
    'M20',
    'structs in a circle',
    REFUSED,
    [2, 1, 1, 0, 0x84, 2, 0, 1, 0x61, 1, 2, 0, 0x84, 1, 0, 1, 0x62, 0],
  ),
  update('M21', 'a hole', EITHER, section(2, [10, 5, ...root(4, 't'), 1, 0x61])),
  update('M22', 'no length', REFUSED, section(1, [0, 0])),
  update('M23', 'an unknown content', REFUSED, section(1, [11, 1, 1, 0x74, 1])),
  update('M24', 'an unknown type', REFUSED, section(1, [...root(7), 9])),
  update('M25', 'a value nobody knows', REFUSED, section(1, [...root(8), 1, 9])),
  update('M26', 'a string that is no UTF-8', REFUSED, section(1, [...root(4), 2, 0xc3, 0x28])),
  update('M27', 'a format whose JSON is none', REFUSED, section(1, [...root(6), 1, 0x61, 1, 0x7b])),
  update(
    'M28',
    'an embed of 50,000 brackets',
    REFUSED,
    section(1, [...root(5), ...varUint(50_000), ...repeat(50_000, [0x5b])]),
  ),
  update('M29', 'a deletion of what nobody wrote', EITHER, [0, 1, 99, 1, 5, 5]),
  update('M30', 'a deletion without length', REFUSED, [0, 1, 77, 1, 0, 0]),
  update('M31', 'a deletion past all clocks', REFUSED, [0, 1, 77, 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]),
  update('M32', 'a client twice among the deletions', REFUSED, [0, 2, 5, 1, 0, 1, 5, 1, 3, 1]),
  apart('M33', '20,000 subdocuments', EITHER, subdocuments(20_000)),
  apart('M33b', '400,000 subdocuments', TOO_LARGE, subdocuments(400_000)),
  apart(
    'M34',
    '50,000 roots',
    EITHER,
    section(50_000, Array.from({ length: 50_000 }, (_, n) => [...root(4, `r${n}`), 1, 0x61]).flat()),
  ),
  apart('M35', '500,000 collected structs', EITHER, section(500_000, repeat(500_000, [0, 1]))),
  update(
    'M36',
    'an insertion inside an emoji',
    EITHER,
    section(2, [...root(4, 't'), 4, 0xf0, 0x9f, 0x98, 0x80, 0xc4, 77, 0, 77, 1, 1, 0x78]),
  ),
  update('M37', 'version 2 of updates', REFUSED, hex('000002a50100000401008374010374686901000002')),
  update('M38', 'bytes behind the end', REFUSED, [0, 0, 0]),
  update('M39', 'nothing', REFUSED, []),
  update(
    'M40',
    '64 and more that wait for ever',
    EITHER,
    ...Array.from({ length: 80 }, (_, n) => [1, 1, ...varUint(1_000 + n), 5, 4, 1, 1, 0x74, 1, 0x61, 0]),
  ),
  update(
    'M41',
    '2,000 writes of one key',
    EITHER,
    ...Array.from({ length: 200 }, (_, n) => [
      1,
      1,
      ...varUint(2_000 + n),
      0,
      0x28,
      1,
      1,
      0x6d,
      1,
      0x6b,
      1,
      0x7d,
      1,
      0,
    ]),
  ),
  each(
    'M42',
    'an honest update with a bit flipped, 200 times',
    mutated(200, (bytes, chance) => {
      bytes[chance.int(0, bytes.length - 1)]! ^= 1 << chance.int(0, 7);
      return bytes;
    }),
  ),
  each(
    'M43',
    'an honest update cut off, 60 times',
    mutated(60, (bytes, chance) => bytes.subarray(0, chance.int(0, bytes.length - 1))),
  ),
  each(
    'M44',
    'an honest update with bytes doubled, 100 times',
    mutated(100, (bytes, chance) => {
      const at = chance.int(0, bytes.length - 1);
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(chance.int(0, at))]);
    }),
  ),
  each(
    'M45',
    'chance bytes, 100 times',
    mutated(100, (_, chance) => Uint8Array.from({ length: chance.int(1, 80) }, () => chance.int(0, 255))),
  ),
  message('M50', 'a state vector that says half a billion', REFUSED, syncFrame('step1', hex('8080808001'))),
  message(
    'M51',
    'a state vector of 200,000 clients',
    REFUSED,
    syncFrame(
      'step1',
      Uint8Array.from([
        ...varUint(200_000),
        ...Array.from({ length: 200_000 }, (_, n) => [...varUint(n), 1]).flat(),
      ]),
    ),
  ),
  message(
    'M52',
    'a state vector with more behind it',
    REFUSED,
    syncFrame('step1', Uint8Array.of(1, 7, 3, 0)),
  ),
  message('M53', 'an empty state vector', REFUSED, syncFrame('step1', Uint8Array.of())),
  message('M54', 'an empty message', REFUSED, Uint8Array.of()),
  ...[2, 4, 5, 9, 99, 102].map((type) =>
    message(`M55-${type}`, `message type ${type}`, REFUSED, Uint8Array.of(type, 0, 0)),
  ),
  message('M56', 'a type in ten bytes', REFUSED, Uint8Array.from(repeat(12, [0xff]))),
  ...[3, 7, 100].map((kind) =>
    message(`M57-${kind}`, `sync message ${kind}`, REFUSED, Uint8Array.of(0, kind, 0)),
  ),
  message('M58', 'a length beyond the message', REFUSED, Uint8Array.of(0, 2, 200, 1)),
  message('M59', 'bytes behind the message', REFUSED, Uint8Array.of(0, 2, 2, 0, 0, 9, 9)),
  {
    id: 'M60',
    what: 'two who write with one client id, each something else',
    answer: EITHER,
    async run(arena) {
      const wires = await Promise.all([arena.enter(), arena.enter()]);
      wires.forEach((wire, index) => {
        const own = honestUpdate((doc) => doc.getText('t').insert(0, `number ${index}`), 4_712);
        wire.write(frame(2, updateMessage(own)));
      });
      const answers = await Promise.all(wires.map((wire) => arena.settled(wire)));
      return answers.find((answer) => answer !== 'open') ?? 'open';
    },
  },
  {
    id: 'M61',
    what: 'a deletion of what ada is yet to write',
    answer: EITHER,
    async run(arena) {
      const [ada] = arena.honestIds;
      const ahead = [0, 1, ...varUint(ada!), 1, ...varUint(arena.honestClock(0)), ...varUint(1_000)];
      // Whether what she writes from now on is still there is looked at after each case.
      return await arena.send([updateMessage(Uint8Array.from(ahead))]);
    },
  },
];
