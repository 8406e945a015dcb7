/** F: frames that RFC 6455 forbids, and some it allows that cost. */

import type { Case } from '../arena.js';
import { frame, type Answer, type Wire } from '../wire.js';

const within = (id: string, what: string, answer: RegExp, act: (wire: Wire) => unknown): Case => ({
  id,
  what,
  answer,
  async run(arena): Promise<Answer> {
    const wire = await arena.enter();
    await act(wire);
    return answer.test('open') ? await wire.pong() : await wire.closed();
  },
});
const writes = (id: string, what: string, answer: RegExp, ...frames: Uint8Array[]): Case =>
  within(id, what, answer, (wire) => wire.write(Buffer.concat(frames)));

const BAD_UTF8 = Buffer.from([0xce, 0xba, 0xe1, 0xed, 0xa0, 0x80]);
const BROKEN = /^close 1002$/;
const TOO_BIG = /^close 1009$/;

function* times(count: number, chunk: Uint8Array): Generator<Uint8Array> {
  for (let number = 0; number < count; number += 1) yield chunk;
}
const many = (count: number, bytes: Uint8Array): Uint8Array =>
  Buffer.concat(Array.from({ length: count }, () => bytes));

/** Messages of all kinds in a row, masked. */
const HONEST = Buffer.concat(
  [
    frame(2, Uint8Array.of(0, 0, 1, 0)),
    frame(9, 'ping'),
    frame(1, '{"type":"ping"}'),
    frame(2, Uint8Array.of(3)),
  ].map((bytes) => Buffer.from(bytes)),
);

export const framing: Case[] = [
  writes('F01', 'a frame without a mask', BROKEN, frame(2, 'x', { masked: false })),
  ...[1, 2, 4].map((rsv) => writes(`F0${1 + rsv}`, `reserved bit ${rsv}`, BROKEN, frame(2, 'x', { rsv }))),
  ...[3, 7, 11, 15].map((opcode) => writes(`F06-${opcode}`, `opcode ${opcode}`, BROKEN, frame(opcode, 'x'))),
  writes('F09', 'a ping of 126 bytes', BROKEN, frame(9, 'p'.repeat(126))),
  writes('F10', 'text that is no UTF-8', /^close 1007$/, frame(1, BAD_UTF8)),
  writes(
    'F11',
    'the same in two pieces',
    /^close 1007$/,
    frame(1, BAD_UTF8.subarray(0, 3), { fin: false }),
    frame(0, BAD_UTF8.subarray(3)),
  ),
  writes('F12', 'text that ends inside a character', /^close 1007$/, frame(1, Buffer.from([0xce]))),
  writes('F13', 'a ping in pieces', BROKEN, frame(9, 'a', { fin: false })),
  writes('F14', 'a continuation of nothing', BROKEN, frame(0, 'x')),
  writes('F15', 'a message within a message', BROKEN, frame(2, 'a', { fin: false }), frame(2, 'b')),
  writes('F16', 'a close with one byte', BROKEN, frame(8, Buffer.from([3]))),
  ...[0, 999, 1004, 1005, 1006, 1016, 2999].map((code) =>
    writes(
      `F17-${code}`,
      `a close with code ${code}`,
      BROKEN,
      frame(8, Buffer.from([code >> 8, code & 255])),
    ),
  ),
  writes('F18', 'a frame that says 2^63 bytes', /^close (1002|1009)$/, frame(2, 'x', { says: 1n << 63n })),
  writes('F18b', 'a frame that says 1 TiB', TOO_BIG, frame(2, 'x', { says: 1n << 40n })),
  writes('F19', 'a frame that says 64 MiB', TOO_BIG, frame(2, 'x', { says: 64n << 20n })),
  within('F19b', 'pieces of 12 MiB together', TOO_BIG, async (wire) => {
    wire.write(frame(2, '', { fin: false }));
    await wire.pour(times(12, frame(0, Buffer.alloc(1 << 20), { fin: false })));
  }),
  writes(
    'F20',
    'a close whose reason is no UTF-8',
    /^close (1002|1007)$/,
    frame(8, Buffer.from([3, 0xe8, 0xff, 0xff])),
  ),
  within('F21', '200,000 pieces of one byte', /^(open|close 100[89]|close 4029)$/, async (wire) => {
    wire.write(frame(2, '', { fin: false }));
    await wire.pour(times(200, many(1_000, frame(0, 'x', { fin: false }))));
  }),
  within('F22', '200,000 empty pieces', /^(open|close 100[89]|close 4029)$/, async (wire) => {
    wire.write(frame(2, '', { fin: false }));
    await wire.pour(times(200, many(1_000, frame(0, '', { fin: false }))));
  }),
  writes('F24', 'a pong nobody asked for', /^open$/, frame(10, 'x')),
  writes('F25', 'many pings in one packet', /^open$/, many(20, frame(9, 'x'))),
  writes(
    'F27',
    'a length in more bytes than needed',
    /^(open|close 1002)$/,
    Buffer.concat([Buffer.from([0x89, 0xfe, 0, 1, 0, 0, 0, 0]), Buffer.from('x')]),
  ),
  writes(
    'F28',
    'a message after the close frame',
    /^close 1000$/,
    frame(8, Buffer.from([3, 0xe8])),
    frame(2, 'x'),
  ),
  within('F29', 'half a frame and silence', /^open$/, () => undefined),
  {
    id: 'F30',
    what: 'half a frame, then gone',
    answer: /^gone$/,
    async run(arena) {
      const wire = await arena.enter();
      wire.write(frame(2, 'x', { says: 1_000n }));
      wire.socket.resetAndDestroy();
      return 'gone';
    },
  },
  within('F31', 'a ping, byte by byte', /^open$/, async (wire) => {
    for (const byte of frame(9, 'slow')) {
      wire.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
  }),
  {
    id: 'F32',
    what: 'frames with one byte changed, at every place',
    answer: /^as it should$/,
    async run(arena): Promise<Answer> {
      const odd = new Set<Answer>();
      const changes = [1, 0x10, 0x80, 0xff];
      for (let at = 0; at < HONEST.length; at += 1) {
        const wires = await Promise.all(changes.map(() => arena.enter()));
        for (const [index, wire] of wires.entries()) {
          const bytes = Buffer.from(HONEST);
          bytes[at]! ^= changes[index]!;
          wire.write(bytes);
          // What waits for more bytes ends here.
          wire.socket.end();
          const answer = await wire.closed();
          if (!/^(ended|close (1002|1007|1008|1009))$/.test(answer)) odd.add(answer);
          wire.destroy();
        }
      }
      return odd.size === 0 ? 'as it should' : [...odd].join(', ');
    },
  },
];
