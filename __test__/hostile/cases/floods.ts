/** X: too much of what is allowed. What becomes of the sender is the limits' business; the others must not feel it. */

import { setTimeout as sleep } from 'node:timers/promises';

import { syncFrame } from '../../clients/support.js';
import { honestUpdate, updateMessage, varUint, type Arena, type Case } from '../arena.js';
import { frame } from '../wire.js';

const DONE = /^done$/;

function* times(count: number, chunk: (number: number) => Uint8Array): Generator<Uint8Array> {
  for (let number = 0; number < count; number += 1) yield chunk(number);
}

const flood = (id: string, what: string, count: number, message: (number: number) => Uint8Array): Case => ({
  id,
  what,
  answer: DONE,
  async run(arena) {
    const wire = await arena.enter();
    await wire.pour(times(count, (number) => frame(2, message(number))));
    // Still connected: the others must do well beside it.
    const found = await arena.faultsBeside();
    return found.length === 0 ? 'done' : found.join('; ');
  },
});

const state = (id: number, clock: number): Uint8Array => {
  const body = [1, ...varUint(id), ...varUint(clock), 2, 0x7b, 0x7d];
  return Uint8Array.from([1, body.length, ...body]);
};

async function unread(arena: Arena): Promise<string> {
  const wire = await arena.enter();
  wire.socket.pause();
  // It asks for everything again and again, and reads nothing.
  await wire.pour(times(20_000, () => frame(2, syncFrame('step1', Uint8Array.of(0)))));
  const found = await arena.faultsBeside();
  return found.length === 0 ? 'done' : found.join('; ');
}

const letter = (client: number): Uint8Array =>
  updateMessage(Uint8Array.from([1, 1, ...varUint(client), 0, 4, 1, 1, 0x66, 1, 0x61, 0]));
const page = updateMessage(honestUpdate((doc) => doc.getText('flood').insert(0, 'x'.repeat(100_000)), 9_999));

export const floods: Case[] = [
  flood('X03', '20,000 awareness messages', 20_000, (number) => state(6_000, number + 1)),
  flood('X03b', '20,000 updates that change nothing', 20_000, () => letter(6_001)),
  flood('X03c', '3,000 updates of as many clients', 3_000, (number) => letter(100_000 + number)),
  flood('X03d', '200 times 100 kB', 200, () => page),
  flood('X04', '5,000 questions for everything', 5_000, () => syncFrame('step1', Uint8Array.of(0))),
  flood('X04b', '20,000 questions who is here', 20_000, () => Uint8Array.of(3)),
  { id: 'X05', what: 'a reader that does not read', answer: DONE, run: unread },
  flood('X06', '20,000 JSON pings', 20_000, () => Buffer.from('{"type":"ping"}')),
  {
    id: 'X07',
    what: '50,000 pings, their pongs unread',
    answer: DONE,
    async run(arena) {
      const wire = await arena.enter();
      wire.socket.pause();
      await wire.pour(
        times(500, () => Buffer.concat(Array.from({ length: 100 }, () => frame(9, 'p'.repeat(100))))),
      );
      const found = await arena.faultsBeside();
      return found.length === 0 ? 'done' : found.join('; ');
    },
  },
  {
    id: 'X01',
    what: '1,000 silent connections',
    answer: DONE,
    async run(arena) {
      for (let number = 0; number < 1_000; number += 1) arena.wire();
      await sleep(200);
      const found = await arena.faultsBeside();
      return found.length === 0 ? 'done' : found.join('; ');
    },
  },
  {
    id: 'X02',
    what: 'a forged X-Forwarded-For is nobody to us',
    answer: /^(open|HTTP 4\d\d)$/,
    async run(arena) {
      const wire = arena.knock({
        headers: { 'X-Forwarded-For': '10.0.0.1, 127.0.0.1', Forwarded: 'for=10.0.0.1' },
      });
      const status = await wire.status();
      return status === '101' ? await arena.settled(wire) : status;
    },
  },
  {
    id: 'X08',
    what: 'coming and going, 500 times',
    answer: DONE,
    async run(arena) {
      for (let round = 0; round < 25; round += 1) {
        const wires = Array.from({ length: 20 }, (_, number) =>
          arena.knock({ room: `notes/churn-${number}` }),
        );
        await Promise.all(wires.map((wire) => wire.upgraded()));
        for (const wire of wires) wire.socket.resetAndDestroy();
      }
      return 'done';
    },
  },
  {
    id: 'X09',
    what: 'a newcomer among connections of many addresses that say nothing',
    answer: /^open$/,
    async run(arena) {
      for (let number = 0; number < 1_200; number += 1) arena.wire(`127.0.1.${1 + (number % 40)}`);
      await sleep(1_500);
      return await arena.settled(arena.knock());
    },
  },
  {
    id: 'X10',
    what: '50 readers of a large document that stop reading',
    answer: DONE,
    async run(arena) {
      const room = 'notes/large';
      const large = honestUpdate((doc) => doc.getArray('a').push([new Uint8Array(6 << 20)]));
      const writer = await arena.enter({ room });
      await writer.pour([frame(2, updateMessage(large))]);
      const before = (await arena.settled(writer)) === 'open' ? arena.residentBytes : 0;
      const readers = await Promise.all(
        Array.from({ length: 50 }, async () => {
          const wire = arena.knock({ room });
          await wire.upgraded();
          wire.socket.pause();
          wire.write(frame(2, syncFrame('step1', Uint8Array.of(0))));
          return wire;
        }),
      );
      await sleep(1_500);
      const grown = arena.residentBytes - before;
      for (const wire of readers) wire.destroy();
      return grown < 128 << 20 ? 'done' : `${grown >> 20} MiB more memory`;
    },
  },
];
