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

/** From a client that speaks the JSON protocol; still there if it gets its pong. */
const speaks = (id: string, what: string, texts: string[], answer = /^open$/): Case => ({
  id,
  what,
  answer,
  async run(arena) {
    const wire = arena.knock({ headers: { 'Sec-WebSocket-Protocol': 'civicpress.json.v1' } });
    await wire.upgraded();
    for (const text of texts) wire.write(frame(1, text));
    const isPong = (payload: Buffer): boolean => payload.includes('"type":"pong"');
    return await wire.answered(frame(1, '{"type":"ping"}'), isPong);
  },
});
const sync = (update: Uint8Array | string): string =>
  JSON.stringify({ type: 'sync', update: Buffer.from(update as Uint8Array).toString('base64') });
const presence = (body: object): string => JSON.stringify({ type: 'presence', ...body });
const control = (body: object): string => JSON.stringify({ type: 'control', ...body });

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
  speaks('J14', 'an update that is none', [sync('test'), sync(''), sync('\0'.repeat(50_000))]),
  speaks('J15', 'an update that declares 2^53 structs', [
    sync(Uint8Array.of(1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0)),
  ]),
  speaks('J16', 'no base64', ['{"type":"sync","update":"!!!!"}', '{"type":"sync","update":"A"}']),
  speaks('J17', 'members of another type', [
    '{"type":"sync","update":[1,2,3]}',
    '{"type":"sync","stateVector":{}}',
    '{"type":"presence","event":7}',
    '{"type":"presence","event":"cursor","cursor":{"position":{"__proto__":null}}}',
  ]),
  speaks('J18', 'numbers beyond measure', [
    '{"type":"sync","update":"AAA=","version":1e999999}',
    '{"type":"presence","event":"cursor","cursor":{"position":1e999999}}',
    '{"type":"presence","event":"cursor","cursor":{"position":-1}}',
  ]),
  speaks('J19', "another person's name and colour", [
    presence({
      event: 'cursor',
      user: { id: 'ada', name: 'Mayor', color: 'url(//x)' },
      cursor: { position: 1 },
    }),
    presence({ event: 'left', user: { id: 'ada' } }),
  ]),
  speaks(
    'J20',
    'awareness that is none',
    [presence({ event: 'awareness', awareness: Buffer.alloc(64, 0xff).toString('base64') })],
    EITHER,
  ),
  speaks('J21', 'what admins may', [
    control({ event: 'kick', user: { id: 'ada' } }),
    control({ event: 'lock' }),
    control({ event: 'notice', notice: { level: 'error', message: 'x'.repeat(60_000) } }),
  ]),
  speaks('J22', 'what servers say', [
    control({ event: 'room_state', room: { yjsState: 'AAA=', version: 1 } }),
    '{"type":"ack","updates":999999}',
    control({ event: 'session.revoked' }),
  ]),
  speaks('J23', 'a presence of a megabyte', [
    presence({ event: 'cursor', user: { id: 'x'.repeat(1 << 20) }, cursor: { position: 1 } }),
  ]),
  speaks('J24', '300 questions for everything', Array<string>(300).fill('{"type":"sync"}'), EITHER),
];
