/** J: JSON in text and binary frames. */

import type { Case } from '../arena.js';
import { frame } from '../wire.js';

const EITHER = /^(open|close (1007|1008|1009))$/;
const says = (id: string, what: string, text: string | Uint8Array, answer = EITHER): Case[] =>
  [1, 2].map((opcode) => ({
    id: `${id}-${opcode === 1 ? 'text' : 'binary'}`,
    what,
    answer,
    async run(arena) {
      const wire = await arena.enter();
      wire.write(frame(opcode, text));
      return await arena.settled(wire);
    },
  }));

export const json: Case[] = [
  ...says('J01', 'not JSON', '{nonsense'),
  ...says('J02', 'JSON that is no object', '{"a":1}[]'),
  ...says('J03', '100,000 brackets', '{"a":'.repeat(20_000)),
  ...says('J04', 'a megabyte', `{"type":"${'x'.repeat(1 << 20)}"}`),
  ...says('J05', 'a type that is a number', '{"type":7}'),
  ...says('J06', 'keys that are traps in JavaScript', '{"type":"ping","__proto__":{"type":"x"}}', /^open$/),
  ...says('J07', 'a key twice', '{"type":"ping","type":"auth"}'),
  ...says('J08', 'numbers beyond measure', '{"type":"ping","n":1e999999}'),
  ...says('J09', 'what servers say', '{"type":"ack","updates":999999}'),
  ...says('J10', 'requests of an event protocol', '{"type":"join","room":"records:secret"}'),
  ...says('J11', 'lone surrogates', '{"type":"\\ud800"}'),
  ...says('J12', 'no UTF-8', Buffer.from([0x7b, 0xff, 0x7d])),
  ...says('J13', 'a ping', '{"type":"ping"}', /^open$/),
];
