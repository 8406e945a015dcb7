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
