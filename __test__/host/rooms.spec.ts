/** Contract 4, 5 and 9: record rooms as CivicPress sees them, from the first join to eviction. */

import { expect, it } from 'vitest';

import { ENTRY, until } from '../support.js';
import { startCivic, type Civic } from './civic.js';

const realtime = (await import(ENTRY.href)) as typeof import('../../index.js');
const ROOM = 'records:a';

interface Rooms {
  getRoom(id: string): { roomId: string; roomType: string } | null;
}

/** What CivicPress's container gives whoever asks for rooms. */
function roomsOf(civic: Civic): Rooms {
  return civic.container.resolve<Rooms>('realtimeRoomManager');
}

it('the room manager of the container holds the rooms, even if it is asked for late', async () => {
  const civic = await startCivic();
  civic.publish({ id: 'a' });
  await civic.edit('a').synced;
  const rooms = roomsOf(civic);
  expect(rooms).toBe(civic.server.getRoomManager());
  await until(() => rooms.getRoom(ROOM) !== null);
  expect(rooms.getRoom(ROOM)).toMatchObject({ roomId: ROOM, roomType: 'records' });
  expect(rooms.getRoom(ROOM)).toBe(rooms.getRoom(ROOM));
  expect(rooms.getRoom('records:none')).toBeNull();
});

it('the room of a document is a YjsRoom, also where one is made by hand', async () => {
  const civic = await startCivic();
  civic.publish({ id: 'a', content: 'First.\n' });
  const config = { roomId: ROOM, roomType: 'records' };
  const room = new realtime.YjsRoom(ROOM, config, {}, civic.server);
  expect(room.getState()).toMatchObject({ roomType: 'records', participants: [], version: 0 });
  const ada = civic.edit('a');
  await ada.synced;
  await until(() => roomsOf(civic).getRoom(ROOM) !== null);
  expect(roomsOf(civic).getRoom(ROOM)).toBeInstanceOf(realtime.YjsRoom);
  const later = new realtime.YjsRoom(ROOM, config, {}, civic.server);
  expect(later.getState()).toMatchObject({ participants: [{ userId: '1', username: 'ada' }], version: 1 });
  ada.addParagraph('Second.');
  await until(() => later.getState().version > 1);
  await later.destroy();
  expect(await civic.draft('a')).toBe('First.\n\nSecond.');
  expect(() => new realtime.YjsRoom(ROOM, config, {}, {})).toThrow('needs its RealtimeServer');
});

it('who returns within the grace finds the same room', async () => {
  const civic = await startCivic({ config: { rooms: { grace_period_ms: 600_000 } } });
  civic.publish({ id: 'a' });
  const ada = civic.edit('a');
  await ada.synced;
  const rooms = roomsOf(civic);
  await until(() => rooms.getRoom(ROOM) !== null);
  const room = rooms.getRoom(ROOM);
  ada.leave();
  await until(() => civic.server.getHealthStatus().connections.total === 0);
  await civic.edit('a').synced;
  expect(rooms.getRoom(ROOM)).toBe(room);
});

it('a room that was evicted is in its draft, and opens anew', async () => {
  const civic = await startCivic({ config: { rooms: { grace_period_ms: 50 } } });
  civic.publish({ id: 'a', content: 'First.\n' });
  const ada = civic.edit('a');
  await ada.synced;
  const rooms = roomsOf(civic);
  await until(() => rooms.getRoom(ROOM) !== null);
  const room = rooms.getRoom(ROOM);
  ada.addParagraph('Second.');
  await until(async () => (await civic.server.roomMarkdown(ROOM)).includes('Second.'));
  ada.leave();
  await until(() => rooms.getRoom(ROOM) === null);
  expect(await civic.draft('a')).toBe('First.\n\nSecond.');
  const again = civic.edit('a');
  await again.synced;
  expect(again.text).toBe('First.\nSecond.');
  await until(() => rooms.getRoom(ROOM) !== null);
  expect(rooms.getRoom(ROOM)).not.toBe(room);
});
