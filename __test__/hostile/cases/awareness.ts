/** W: awareness. */

import { varUint, type Arena, type Case } from '../arena.js';
import { frame } from '../wire.js';

const REFUSED = /^close 1008$/;
const EITHER = /^(open|close 1008)$/;

const bytesOf = (text: string): number[] => [...Buffer.from(text)];
const entry = (id: number, clock: number, json: string): number[] => [
  ...varUint(id),
  ...varUint(clock),
  ...varUint(Buffer.byteLength(json)),
  ...bytesOf(json),
];
function awareness(body: number[]): Uint8Array {
  return Uint8Array.from([1, ...varUint(body.length), ...body]);
}
const says = (id: string, what: string, answer: RegExp, ...bodies: number[][]): Case => ({
  id,
  what,
  answer,
  run: async (arena) => await arena.send(bodies.map(awareness)),
});
const states = (...entries: number[][]): number[] => [...varUint(entries.length), ...entries.flat()];

/** Sends, lets it spread, and says what others see. */
async function seen(arena: Arena, word: string, ...bodies: number[][]): Promise<string> {
  await arena.send(bodies.map(awareness));
  return arena.isSeen(word) ? 'seen' : 'unseen';
}

export const awarenessCases: Case[] = [
  {
    id: 'W01',
    what: 'somebody else speaks for ada',
    answer: /^unseen$/,
    run: (arena) => seen(arena, 'forged', states(entry(arena.honestIds[0]!, 1_000, '{"forged":true}'))),
  },
  {
    id: 'W02',
    what: 'somebody else removes ada',
    answer: /^still here$/,
    async run(arena) {
      const [ada] = arena.honestIds;
      await arena.send([awareness(states(entry(ada!, 1_000, 'null')))]);
      return arena.honestAwareness(0) === undefined ? 'gone' : 'still here';
    },
  },
  {
    id: 'W03',
    what: 'a state is gone with its socket',
    answer: /^unseen$/,
    async run(arena) {
      const wire = await arena.enter();
      const state = awareness(states(entry(4_711, 1, '{"user":"ghost"}')));
      wire.write(frame(2, state));
      await arena.settled(wire);
      wire.socket.resetAndDestroy();
      const deadline = performance.now() + 10_000;
      while (arena.isSeen('ghost') && performance.now() < deadline)
        await new Promise((r) => setTimeout(r, 20));
      return arena.isSeen('ghost') ? 'seen' : 'unseen';
    },
  },
  says('W04', 'a state of 1 MB', EITHER, states(entry(5_000, 1, `"${'x'.repeat(1 << 20)}"`))),
  says(
    'W05',
    '20,000 people in one message',
    EITHER,
    states(...Array.from({ length: 20_000 }, (_, n) => entry(10_000 + n, 1, '{}'))),
  ),
  says(
    'W05b',
    '1,000 people, a message each',
    EITHER,
    ...Array.from({ length: 500 }, (_, n) => states(entry(40_000 + n, 1, '{}'))),
  ),
  says('W06', 'a count that says half a billion', REFUSED, [0x80, 0x80, 0x80, 0x80, 1]),
  says('W07', 'no JSON', EITHER, states(entry(5_001, 1, '{'))),
  says(
    'W08',
    'JSON of 10,000 brackets',
    EITHER,
    states(entry(5_002, 1, '['.repeat(10_000) + ']'.repeat(10_000))),
  ),
  says('W09', 'a state that is a number', EITHER, states(entry(5_003, 1, '7'))),
  says('W10', 'a clock of 2^53', EITHER, states(entry(5_004, 2 ** 53, '{}'))),
  says('W11', 'an id of 2^60', REFUSED, states([...varUint(2 ** 53), 0, 1, 2, 0x7b, 0x7d])),
  says('W12', 'JSON that is no UTF-8', REFUSED, states([5, 1, 2, 0xc3, 0x28])),
  says('W13', 'bytes behind the end', EITHER, [...states(entry(5_005, 1, '{}')), 9]),
  says('W14', 'cut off', REFUSED, states(entry(5_006, 1, '{}')).slice(0, -1)),
  says('W15', 'an empty body', EITHER, []),
  says('W16', 'the same id twice', EITHER, states(entry(5_007, 1, '{}'), entry(5_007, 2, '{"a":1}'))),
  says(
    'W17',
    'a clock that goes back',
    /^open$/,
    states(entry(5_008, 9, '{}')),
    states(entry(5_008, 1, '{"old":1}')),
  ),
  says('W18', 'null for nobody', /^open$/, states(entry(5_009, 1, 'null'))),
  says(
    'W19',
    'keys that are traps in JavaScript',
    /^open$/,
    states(entry(5_010, 1, '{"__proto__":{"a":1},"constructor":{"prototype":1}}')),
  ),
];
