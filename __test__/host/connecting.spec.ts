/** Contract 5 and 7: what the host is asked, in which order, and what its answers mean. */

import { expect, it } from 'vitest';

import { until } from '../support.js';
import { makeCivic, startCivic } from './civic.js';

it('asks for session, record and permissions in this order', async () => {
  const civic = await startCivic();
  civic.publish({ id: 'a', type: 'motion' });
  await civic.edit('a').synced;
  expect(civic.calls.slice(0, 4)).toEqual([
    'validateSession',
    'getRecord a',
    'userCan ada records:view motion',
    'userCan ada records:edit motion',
  ]);
});

it('asks the draft where there is no record', async () => {
  const civic = await startCivic();
  await civic.database.createDraft({ id: 'd', title: 'D', type: 'policy', markdown_body: 'x' });
  await civic.edit('d').synced;
  expect(civic.calls).toContain('userCan ada records:view policy');
});

it.each([
  ['a clerk', { role: 'clerk' }, 'a', 'synced'],
  ['who may only view', { role: 'public' }, 'a', 'synced'],
  ['who may not even view', { role: 'nobody' }, 'a', 4003],
  ['whose record does not exist', { role: 'admin' }, 'none', 4003],
  ['whose id is a text', { id: 'user-a' }, 'a', 'synced'],
  ['whose id is a number', { id: 4711 }, 'a', 'synced'],
])('%s: %o in %s is %s', async (_who, user, id, expected) => {
  const civic = await startCivic();
  civic.publish({ id: 'a' });
  expect(await civic.edit(id, civic.session(user)).outcome()).toBe(expected);
});

it('closes 4001 on a session that does not hold', async () => {
  const civic = await startCivic();
  civic.publish({ id: 'a' });
  expect(await civic.edit('a', 'f'.repeat(64)).outcome()).toBe(4001);
});

it('takes no edit of somebody who may only view', async () => {
  const civic = await startCivic();
  civic.publish({ id: 'a', content: 'Text.\n' });
  const clerk = civic.edit('a');
  const viewer = civic.edit('a', civic.session({ id: 2, username: 'eve', role: 'public' }));
  await Promise.all([clerk.synced, viewer.synced]);
  viewer.addParagraph('Graffiti.');
  clerk.addParagraph('Minutes.');
  await viewer.shows('Minutes.');
  await civic.server.triggerRecordSnapshot('a');
  expect(await civic.draft('a')).toBe('Text.\n\nMinutes.');
  expect(clerk.text).not.toContain('Graffiti.');
});

it('asks for the same permissions in rooms that have no record', async () => {
  const civic = await startCivic({ config: { rooms: { open_types: ['notes'] } } });
  const clerk = civic.edit('n', civic.session(), 'notes');
  const viewer = civic.edit('n', civic.session({ id: 2, role: 'public' }), 'notes');
  await Promise.all([clerk.synced, viewer.synced]);
  viewer.addParagraph('Graffiti.');
  clerk.addParagraph('Minutes.');
  await viewer.shows('Minutes.');
  expect(clerk.text).toBe('Minutes.');
  expect(await civic.edit('n', civic.session({ id: 3, role: 'nobody' }), 'notes').outcome()).toBe(4003);
  expect(civic.calls).toContain('userCan ada records:edit -');
});

it('ends the sessions of a user whose sessions the host revokes', async () => {
  const civic = await startCivic();
  civic.publish({ id: 'a' });
  const [ada, bob] = [civic.edit('a'), civic.edit('a', civic.session({ id: 2, username: 'bob' }))];
  await Promise.all([ada.synced, bob.synced]);
  ada.provider.shouldConnect = false;
  await civic.auth.deleteUserSessions(1, 'password-changed');
  expect(await ada.closed).toMatchObject({ code: 4001, reason: expect.stringContaining('SESSION_REVOKED') });
  expect(civic.server.getHealthStatus().connections.total).toBe(1);
  expect(bob.provider.wsconnected).toBe(true);
});

it.each([undefined, null, 'ada', {}, { userId: null }, { userId: { id: 1 } }])(
  'ignores the revocation %o',
  async (payload) => {
    const civic = await startCivic();
    civic.publish({ id: 'a' });
    const ada = civic.edit('a');
    await ada.synced;
    await civic.hooks.emit('auth:sessions:revoked', payload);
    expect(civic.server.getHealthStatus().connections.total).toBe(1);
    expect(ada.provider.wsconnected).toBe(true);
  },
);

it('lets nobody in where the services fail, and everybody once they do not', async () => {
  const civic = await makeCivic();
  civic.publish({ id: 'a' });
  const { getRecord } = civic.records;
  civic.records.getRecord = () => Promise.reject(new Error('the disk is gone'));
  await civic.server.initialize();
  const ada = civic.edit('a');
  expect(await ada.outcome()).not.toBe('synced');
  civic.records.getRecord = getRecord;
  await ada.synced;
});

it('answers for a record that nobody has open', async () => {
  const civic = await startCivic();
  expect(await civic.server.triggerRecordSnapshot('none')).toEqual({
    snapshotCreated: false,
    version: null,
    timestamp: expect.any(Number),
  });
  await civic.server.shutdown();
  expect(await civic.server.triggerRecordSnapshot('none')).toMatchObject({ snapshotCreated: false });
});

it('counts connections by user and address', async () => {
  const civic = await startCivic();
  civic.publish({ id: 'a' });
  const token = civic.session();
  const editors = [civic.edit('a', token), civic.edit('a', token), civic.edit('a', civic.session({ id: 2 }))];
  await Promise.all(editors.map((editor) => editor.synced));
  expect(civic.server.getHealthStatus()).toMatchObject({
    connections: { total: 3, perUser: 2, perIP: 1 },
    rooms: { total: 1 },
  });
  for (const editor of editors) editor.leave();
  await until(() => civic.server.getHealthStatus().connections.total === 0);
});
