/** Contract 9: how edits become drafts, and what of a record they keep. */

import { join } from 'node:path';

import { expect, it } from 'vitest';

import { afterwards, ENTRY, until } from '../support.js';
import { Editor, makeCivic, startCivic, type Civic } from './civic.js';

type Package = typeof import('../../index.js');

const realtime = (await import(ENTRY.href)) as Package;
const AT_ONCE = { rooms: { grace_period_ms: 0 } };
const RECORD = {
  id: 'a',
  title: 'Bylaw 1',
  type: 'bylaw',
  status: 'published',
  content: 'First.\n',
  metadata: { tags: ['noise'] },
  geography: { srid: 4326, center: [1, 2] },
  attachedFiles: [{ id: 'f', path: 'plan.pdf' }],
  linkedRecords: [{ id: 'b', type: 'policy' }],
  linkedGeographyFiles: [{ id: 'g', name: 'ward 3' }],
};

/** Opens, adds a paragraph that reaches the server, leaves; the room is gone afterwards. */
async function visit(civic: Civic, words: string, id = 'a'): Promise<void> {
  const [ada, witness] = [civic.edit(id), civic.edit(id)];
  await Promise.all([ada.synced, witness.synced]);
  ada.addParagraph(words);
  await witness.shows(words);
  ada.leave();
  witness.leave();
  await until(() => civic.server.rooms().length === 0);
}

it('a new draft has all of its record, and says who made it', async () => {
  const civic = await startCivic({ config: AT_ONCE });
  civic.publish(RECORD);
  await visit(civic, 'Second.');
  expect(await civic.database.getDraft('a')).toMatchObject({
    title: 'Bylaw 1',
    type: 'bylaw',
    status: 'published',
    workflow_state: 'draft',
    markdown_body: 'First.\n\nSecond.',
    metadata: JSON.stringify(RECORD.metadata),
    geography: JSON.stringify(RECORD.geography),
    attached_files: JSON.stringify(RECORD.attachedFiles),
    linked_records: JSON.stringify(RECORD.linkedRecords),
    linked_geography_files: JSON.stringify(RECORD.linkedGeographyFiles),
    author: 'realtime-snapshot',
    created_by: 'realtime-snapshot',
  });
  await civic.records.publishDraft('a');
  const { content, ...rest } = RECORD;
  expect(await civic.records.getRecord('a')).toMatchObject({ ...rest, content: `${content}\nSecond.` });
});

it('of a draft that exists only the body changes', async () => {
  const civic = await startCivic({ config: AT_ONCE });
  civic.publish(RECORD);
  const draft = { id: 'a', title: 'New title', type: 'policy', markdown_body: 'Drafted.', author: 'bob' };
  await civic.database.createDraft({ ...draft, geography: '{"srid":1}' });
  await visit(civic, 'Second.');
  expect(await civic.database.getDraft('a')).toMatchObject({
    ...draft,
    geography: '{"srid":1}',
    markdown_body: 'Drafted.\n\nSecond.',
  });
});

it('opening and leaving makes no draft', async () => {
  const civic = await startCivic({ config: AT_ONCE });
  civic.publish(RECORD);
  const ada = civic.edit('a');
  await ada.synced;
  await civic.server.triggerRecordSnapshot('a');
  ada.leave();
  await until(() => civic.server.rooms().length === 0);
  expect(await civic.database.getDraft('a')).toBeNull();
});

it('a draft is written before shutdown resolves, and found by the next start', async () => {
  const civic = await startCivic();
  civic.publish(RECORD);
  const [ada, witness] = [civic.edit('a'), civic.edit('a')];
  await Promise.all([ada.synced, witness.synced]);
  ada.addParagraph('Last words.');
  await witness.shows('Last words.');
  await civic.server.shutdown();
  expect(await civic.draft('a')).toBe('First.\n\nLast words.');
  ada.leave();
  witness.leave();
  await civic.server.initialize();
  const again = civic.edit('a');
  await again.synced;
  expect(again.text).toBe('First.\nLast words.');
});

it('finalizing a room writes it, and is no error for a room that is not open', async () => {
  const civic = await startCivic();
  civic.publish(RECORD);
  const ada = civic.edit('a');
  await ada.synced;
  ada.addParagraph('Second.');
  await until(async () => (await civic.server.roomMarkdown('records:a')).includes('Second.'));
  await civic.server.finalizeRoomSnapshot({ roomId: 'records:a' });
  expect(await civic.draft('a')).toBe('First.\n\nSecond.');
  await civic.server.finalizeRoomSnapshot({ roomId: 'records:none' });
});

it('a discarded draft stays discarded', async () => {
  const civic = await startCivic({ config: AT_ONCE });
  civic.publish(RECORD);
  await visit(civic, 'Second.');
  await civic.database.deleteDraft('a');
  const ada = civic.edit('a');
  await ada.synced;
  await until(() => ada.text === 'First.');
  ada.leave();
  await until(() => civic.server.rooms().length === 0);
  expect(await civic.draft('a')).toBeNull();
});

it('the form and the room change one text', async () => {
  const civic = await startCivic();
  civic.publish({ ...RECORD, content: 'First.\n\nMiddle.\n\nLast.\n' });
  const ada = civic.edit('a');
  await ada.synced;
  ada.addParagraph('Typed.');
  await civic.server.triggerRecordSnapshot('a');
  const form = (await civic.draft('a'))!.replace('Middle.', 'Middle, by form.');
  await civic.database.updateDraft('a', { markdown_body: form });
  await civic.server.triggerRecordSnapshot('a');
  await ada.shows('Middle, by form.');
  expect(ada.text).toBe('First.\nMiddle, by form.\nLast.\nTyped.');
  expect(await civic.draft('a')).toBe('First.\n\nMiddle, by form.\n\nLast.\n\nTyped.');
});

it('a draft that is published while it is written loses nothing', async () => {
  const civic = await startCivic();
  civic.publish(RECORD);
  const ada = civic.edit('a');
  await ada.synced;
  ada.addParagraph('Second.');
  await civic.server.triggerRecordSnapshot('a');
  const { updateDraft } = civic.database;
  civic.database.updateDraft = async (id, updates) => {
    civic.database.updateDraft = updateDraft;
    await civic.records.publishDraft('a');
    await civic.database.updateDraft(id, updates);
  };
  ada.addParagraph('Third.');
  await until(async () => (await civic.server.roomMarkdown('records:a')).includes('Third.'));
  await civic.server.triggerRecordSnapshot('a');
  expect(ada.text).toBe('First.\nSecond.\nThird.');
  expect(await civic.draft('a')).toBe('First.\n\nSecond.\n\nThird.');
});

it('a body that looks like front matter is none', async () => {
  const civic = await startCivic({ config: AT_ONCE });
  civic.publish({ ...RECORD, content: '---\n\nkey: value\n\n---\n\nText.\n' });
  await visit(civic, 'More.');
  expect(await civic.draft('a')).toBe('---\n\nkey: value\n\n---\n\nText.\n\nMore.');
});

it('a database that fails is told by a hook and tried again', async () => {
  const civic = await startCivic();
  civic.publish(RECORD);
  const ada = civic.edit('a');
  await ada.synced;
  const { createDraft } = civic.database;
  civic.database.createDraft = () => Promise.reject(new Error('disk full'));
  ada.addParagraph('Second.');
  await until(async () => (await civic.server.roomMarkdown('records:a')).includes('Second.'));
  await expect(civic.server.triggerRecordSnapshot('a')).rejects.toMatchObject({ code: 'HOST_FAILED' });
  await until(() => civic.hooks.named('realtime:snapshot:writeback-failed').length > 0);
  expect(civic.hooks.named('realtime:snapshot:writeback-failed')[0]).toMatchObject({
    roomId: 'records:a',
    recordId: 'a',
    stage: 'draft',
    error: expect.stringContaining('disk full'),
  });
  civic.database.createDraft = createDraft;
  await until(async () => (await civic.draft('a')) === 'First.\n\nSecond.');
});

it('without a database the room works, and write-backs are refused with a hook', async () => {
  const civic = await startCivic({ withDatabase: false, config: AT_ONCE });
  civic.publish(RECORD);
  await visit(civic, 'Second.');
  const [failed] = civic.hooks.named('realtime:snapshot:writeback-failed');
  expect(failed).toMatchObject({ stage: 'draft', error: expect.stringContaining('no database service') });
  const ada = civic.edit('a');
  await ada.synced;
  expect(ada.text).toBe('First.\nSecond.');
});

it('drafts may be kept where the database service does not look', async () => {
  const civic = await makeCivic({ config: AT_ONCE });
  civic.publish(RECORD);
  const configManager = new realtime.RealtimeConfigManager(join(civic.folder, '.system-data'));
  const server = new realtime.RealtimeServer({}, civic.hooks, civic.auth, configManager, {
    dataDir: join(civic.folder, 'data'),
  });
  afterwards(() => server.shutdown());
  server.setRecordManager(civic.records);
  server.setDatabaseService({ query: async () => [] });
  const told: string[] = [];
  const handler = new realtime.RecordRoomHandler({
    draftPersistence: civic.database,
    recordSource: civic.records,
    getSnapshotManager: () => null,
    hookBus: {
      emit: (event) => {
        told.push(event);
        throw new Error('a bus that fails');
      },
    },
  });
  server.registerRoomTypeHandler(handler);
  await server.initialize();
  const edit = (): Editor => new Editor(server.getHealthStatus().server.port!, 'a', civic.session());

  const ada = edit();
  await ada.synced;
  ada.addParagraph('Second.');
  await until(async () => (await server.roomMarkdown('records:a')).includes('Second.'));
  const room = { roomId: 'records:a' };
  const running = handler.snapshot(room);
  expect(handler.snapshot(room), 'one snapshot at a time').toBe(running);
  await running;
  expect(await civic.draft('a')).toBe('First.\n\nSecond.');
  ada.addParagraph('Third.');
  await until(async () => (await server.roomMarkdown('records:a')).includes('Third.'));
  ada.leave();
  await until(() => server.rooms().length === 0);
  expect(await civic.draft('a')).toBe('First.\n\nSecond.\n\nThird.');

  const again = edit();
  await again.synced;
  expect(again.text, 'the unchanged record is no outside change').toBe('First.\nSecond.\nThird.');
  civic.database.updateDraft = () => Promise.reject(new Error('disk full'));
  again.addParagraph('Fourth.');
  await until(async () => (await server.roomMarkdown('records:a')).includes('Fourth.'));
  await handler.snapshot(room);
  await until(() => told.includes('realtime:snapshot:writeback-failed'));
  expect(civic.hooks.named('realtime:snapshot:writeback-failed').length).toBeGreaterThan(0);
});
