/** R: names of rooms. */

import type { Case } from '../arena.js';

const room = (id: string, path: string, answer: RegExp): Case => ({
  id,
  what: path.length > 60 ? `${path.slice(0, 40)}… (${path.length})` : path,
  answer,
  async run(arena) {
    const wire = arena.knock({ room: path });
    const status = await wire.status();
    if (status !== '101') return status;
    return answer.test('open') ? await arena.settled(wire) : await wire.closed();
  },
});
const REFUSED = /^close 4004$/;
/** A plain name, or none: both are safe. */
const EITHER = /^(open|close 4004)$/;

export const rooms: Case[] = [
  room('R01a', 'notes/..', REFUSED),
  room('R01b', 'notes/%2e%2e/%2e%2e/etc/passwd', REFUSED),
  room('R01c', 'notes/a/../../b', REFUSED),
  room('R01d', 'notes/a%00b', REFUSED),
  room('R01e', 'notes/a%0d%0aSet-Cookie:%20x', REFUSED),
  room('R01f', 'notes/%ff%fe', REFUSED),
  room('R01g', 'notes/%1b%5b31mred', REFUSED),
  room('R01h', 'notes/', REFUSED),
  room('R01i', 'notes', REFUSED),
  room('R01j', '/x', REFUSED),
  room('R01k', '', REFUSED),
  room('R01l', 'unknown/x', REFUSED),
  room('R01m', `notes/${'x'.repeat(300)}`, REFUSED),
  room('R01n', `${'x'.repeat(300)}/a`, REFUSED),
  room('R01o', 'notes/%E2%80%AEtxt.exe', EITHER),
  room('R01p', "notes/'%3B%20DROP%20TABLE%20room%3B--", EITHER),
  room('R01q', 'notes/*', EITHER),
  room('R01r', 'notes/%3E', EITHER),
  room('R01s', 'notes/a.%23', EITHER),
  room('R01t', 'notes/%252e%252e', EITHER),
  room('R01u', 'notes/a%5c..%5cb', EITHER),
  room('R01v', 'notes/__proto__', EITHER),
  room('R01w', 'notes/con', EITHER),
  room('R01x', 'notes/%7B%7B7*7%7D%7D', EITHER),
  room('R01y', 'notes/%', EITHER),
  room('R01z', 'notes/%zz', EITHER),
  room('R04a', 'notes/bud%C2%ADget', REFUSED),
  room('R04b', 'notes/a%D8%9Cb', REFUSED),
  room('R04c', 'notes/a%E2%81%A0', REFUSED),
  room('R04d', 'notes/a%F3%A0%81%81', REFUSED),
  room('R04e', 'notes/a%EF%BF%BE', REFUSED),
  room('R04f', 'notes/%C0%AE%C0%AE', REFUSED),
  room('R04g', 'notes/%ED%A0%80', REFUSED),
  room('R04h', `notes/${'%41'.repeat(256)}`, /^open$/),
  room('R04i', `notes/${'%41'.repeat(257)}`, REFUSED),
  room('R04j', 'notes/%c3%a9', /^open$/),
  room('R04k', 'no%74es/x', REFUSED),
  room('R02a', 'records/%2e%2e/realtime.json', /^close 400[34]$/),
  room('R02b', 'records/..%2f..%2frealtime', /^close 400[34]$/),
  room('R02c', 'records//etc/passwd', /^close 400[34]$/),
  room('R02d', 'records/.hidden', /^close 400[34]$/),
  room('R02e', 'records/a%00.md', /^close 400[34]$/),
  room('R02f', `records/${'d/'.repeat(100)}x`, /^(open|close 400[34]|close 4500)$/),
  {
    id: 'R03',
    what: '200 rooms of one user',
    answer: /^(open|close \d+)$/,
    async run(arena) {
      const wires = Array.from({ length: 200 }, (_, number) =>
        arena.knock({ room: `notes/flood-${number}` }),
      );
      const answers = await Promise.all(wires.map((wire) => arena.settled(wire)));
      return answers.every((answer) => answer === 'open')
        ? 'open'
        : (answers.find((a) => a !== 'open') ?? '');
    },
  },
];
