/** Contract 9: where a record's text comes from, and where edits go. */

import { expect, it } from 'vitest';

import { until } from '../support.js';
import { startCivic } from './civic.js';

it('two editors write a draft, which a person publishes', async () => {
  const civic = await startCivic();
  civic.publish({ id: 'a', content: '# Title\n\nFirst.\n' });
  const [ada, bob] = [civic.edit('a'), civic.edit('a', civic.session({ id: 2, username: 'bob' }))];
  await Promise.all([ada.synced, bob.synced]);
  expect(ada.text).toBe('Title\nFirst.');

  ada.addParagraph('Second.');
  await bob.shows('Second.');
  bob.addParagraph('Third.');
  await ada.shows('Third.');
  expect(await civic.server.triggerRecordSnapshot('a')).toMatchObject({ snapshotCreated: true });
  expect(await civic.draft('a')).toBe('# Title\n\nFirst.\n\nSecond.\n\nThird.');

  await civic.records.publishDraft('a');
  expect((await civic.records.getRecord('a'))?.content).toContain('Third.');
  await civic.server.triggerRecordSnapshot('a');
  expect(await civic.draft('a'), 'publishing leaves no phantom draft').toBeNull();
});

it('what two people wrote while one was offline is in the draft, once', async () => {
  const civic = await startCivic();
  civic.publish({ id: 'a', content: 'First.\n' });
  const [ada, bob] = [civic.edit('a'), civic.edit('a')];
  await Promise.all([ada.synced, bob.synced]);
  ada.provider.disconnect();
  ada.addParagraph('Offline.');
  bob.addParagraph('Online.');
  ada.provider.connect();
  await Promise.all([ada.shows('Online.'), bob.shows('Offline.')]);
  expect(ada.text).toBe(bob.text);
  await civic.server.triggerRecordSnapshot('a');
  expect((await civic.draft('a'))?.split('\n\n').sort()).toEqual(['First.', 'Offline.', 'Online.']);
});

it('the timer writes drafts by itself, and fractions of a second are a time', async () => {
  const civic = await startCivic({ config: { snapshots: { interval: 0.1 } } });
  civic.publish({ id: 'a', content: 'First.\n' });
  const ada = civic.edit('a');
  await ada.synced;
  ada.addParagraph('Second.');
  await until(async () => (await civic.draft('a')) === 'First.\n\nSecond.');
});

it('people who stay through a restart double nothing', async () => {
  const civic = await startCivic();
  civic.publish({ id: 'a', content: 'First.\n' });
  const { port } = civic;
  const ada = civic.edit('a');
  await ada.synced;
  ada.addParagraph('Second.');
  await civic.server.shutdown();
  civic.configure({ port });
  await civic.server.initialize();
  const bob = civic.edit('a');
  await bob.synced;
  await bob.shows('Second.');
  expect(bob.text).toBe('First.\nSecond.');
});

it('a record that is only a draft opens with its text', async () => {
  const civic = await startCivic({ config: { rooms: { grace_period_ms: 0 } } });
  await civic.database.createDraft({ id: 'd', title: 'D', type: 'bylaw', markdown_body: 'Only a draft.' });
  const ada = civic.edit('d');
  await ada.synced;
  expect(ada.text).toBe('Only a draft.');
  ada.leave();
  await until(() => civic.server.rooms().length === 0);
  expect(await civic.draft('d')).toBe('Only a draft.');
});
