/** Contract 9 and 16: texts that change outside while people edit, and what must never be written. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { expect, it } from 'vitest';
import * as Y from 'yjs';

import { until } from '../support.js';
import { startCivic, type Civic, type Editor } from './civic.js';

const AT_ONCE = { rooms: { grace_period_ms: 0 }, snapshots: { interval: 0 } };

async function leave(civic: Civic, ...editors: Editor[]): Promise<void> {
  for (const editor of editors) editor.leave();
  await until(() => civic.server.rooms().length === 0);
}

async function rows(civic: Civic): Promise<{ room_id: string; version: number }[]> {
  return await civic.database.query('SELECT room_id, version FROM realtime_snapshots ORDER BY version');
}

/** The document as a form would show it. */
function markdown(editor: Editor): string {
  return editor.text.split('\n').join('\n\n');
}

it('defect 2: a record that is only a draft keeps its text, opened, left and stopped', async () => {
  const civic = await startCivic({ config: AT_ONCE });
  await civic.database.createDraft({ id: 'd', title: 'D', type: 'bylaw', markdown_body: 'Only *here*.' });
  const ada = civic.edit('d');
  await ada.synced;
  await leave(civic, ada);
  const bob = civic.edit('d');
  await bob.synced;
  await civic.server.shutdown();
  expect(await civic.draft('d')).toBe('Only *here*.');
});

it('defect 2: a published record with a newer draft opens with the draft', async () => {
  const civic = await startCivic({ config: AT_ONCE });
  civic.publish({ id: 'a', content: 'Published.\n' });
  await civic.database.createDraft({ id: 'a', title: 'A', type: 'bylaw', markdown_body: 'Drafted.' });
  const ada = civic.edit('a');
  await ada.synced;
  expect(ada.text).toBe('Drafted.');
  await leave(civic, ada);
  expect(await civic.draft('a')).toBe('Drafted.');
});

const CHANGES: [string, (civic: Civic) => Promise<void>][] = [
  ['the form', (civic) => civic.database.updateDraft('a', { markdown_body: 'First.\n\nBy the form.' })],
  [
    'Git',
    async (civic) => {
      await civic.database.deleteDraft('a');
      civic.publish({ id: 'a', content: 'First.\n\nBy Git.\n' });
    },
  ],
  ['a discarded draft', (civic) => civic.database.deleteDraft('a')],
];

it.each(CHANGES)('defect 4: a stale copy never beats newer text of %s', async (_what, change) => {
  const civic = await startCivic({ config: AT_ONCE });
  civic.publish({ id: 'a', content: 'First.\n' });
  const ada = civic.edit('a');
  await ada.synced;
  ada.addParagraph('Struck out.');
  await until(async () => (await civic.server.roomMarkdown('records:a')).includes('Struck out.'));
  await leave(civic, ada);
  expect(await rows(civic)).toEqual([{ room_id: 'records:a', version: 1 }]);
  await change(civic);
  const wanted = (await civic.draft('a')) ?? (await civic.records.getRecord('a'))!.content.trim();

  const bob = civic.edit('a');
  await bob.synced;
  expect(markdown(bob)).toBe(wanted);
  await leave(civic, bob);
  expect((await civic.draft('a')) ?? wanted).toBe(wanted);
});

it('defect 5: opening, leaving and stopping write neither draft nor copy', async () => {
  const civic = await startCivic({ config: AT_ONCE });
  civic.publish({ id: 'a', content: '* one\n* two\n' });
  const ada = civic.edit('a');
  await ada.synced;
  await leave(civic, ada);
  const bob = civic.edit('a');
  await bob.synced;
  await civic.server.shutdown();
  expect(await civic.draft('a')).toBeNull();
  expect(await rows(civic)).toEqual([]);
});

it('defect 6: a collaborative draft keeps geography, attachments and links', async () => {
  const civic = await startCivic({ config: AT_ONCE });
  const fields = {
    geography: { srid: 4326, zone: 'north' },
    attachedFiles: [{ id: 'plan.pdf' }],
    linkedRecords: [{ id: 'b' }],
    linkedGeographyFiles: [{ id: 'map.geojson' }],
    metadata: { number: '2026-7' },
  };
  civic.publish({ id: 'a', content: 'First.\n', ...fields });
  const ada = civic.edit('a');
  await ada.synced;
  ada.addParagraph('Second.');
  await until(async () => (await civic.server.roomMarkdown('records:a')).includes('Second.'));
  await civic.server.triggerRecordSnapshot('a');
  await civic.records.publishDraft('a');
  expect(await civic.records.getRecord('a')).toMatchObject({ ...fields, content: 'First.\n\nSecond.' });
});

it('defect 7: a snapshot takes no unknown node and no unknown mark out of the document', async () => {
  const civic = await startCivic({ config: AT_ONCE });
  civic.publish({ id: 'a', content: 'First.\n' });
  const [ada, bob] = [civic.edit('a'), civic.edit('a', civic.session({ id: 2, username: 'bob' }))];
  await Promise.all([ada.synced, bob.synced]);
  const poll = new Y.XmlElement('poll');
  poll.setAttribute('question', 'Why?');
  const words = new Y.XmlText();
  words.insert(0, 'marked', { sparkle: {} });
  const paragraph = new Y.XmlElement('paragraph');
  paragraph.insert(0, [words]);
  ada.fragment.push([poll, paragraph]);
  await bob.shows('marked');
  const before = ada.fragment.toString();
  expect(await civic.server.triggerRecordSnapshot('a')).toMatchObject({ snapshotCreated: true });
  bob.addParagraph('After.');
  await ada.shows('After.');
  expect(ada.fragment.toString()).toBe(`${before}<paragraph>After.</paragraph>`);
  await leave(civic, ada, bob);
  const cara = civic.edit('a');
  await cara.synced;
  expect(cara.fragment.toString()).toBe(`${before}<paragraph>After.</paragraph>`);
});

it('keeps rows in the host’s database, and tells its hooks', async () => {
  const civic = await startCivic({ config: AT_ONCE });
  civic.publish({ id: 'a', content: 'First.\n' });
  expect(civic.server.getSnapshotManager()).not.toBeNull();
  const ada = civic.edit('a');
  await ada.synced;
  for (let version = 1; version <= 4; version += 1) {
    expect(await civic.server.triggerRecordSnapshot('a')).toMatchObject({ version });
  }
  expect((await rows(civic)).map(({ version }) => version)).toEqual([2, 3, 4]);
  const row = await civic.server.getSnapshotManager()!.loadLatestVerified('records:a');
  const copy = new Y.Doc();
  Y.applyUpdate(copy, row!.snapshot_data);
  expect(copy.getXmlFragment('default').toString()).toBe(ada.fragment.toString());
  await until(() => civic.hooks.named('realtime:snapshot:pruned').length === 1);
  expect(civic.hooks.named('realtime:snapshot:saved')).toHaveLength(4);
  const { data, context } = civic.hooks.told.find(({ name }) => name === 'realtime:snapshot:saved')!;
  expect(data).toMatchObject({ roomId: 'records:a', version: 1, correlationId: expect.any(String) });
  expect(context.timestamp.getTime()).toBe(data.timestamp);
  await civic.server.shutdown();
  expect(civic.server.getSnapshotManager()).toBeNull();
});

/** Rewrites the hash of a room's newest copy, as bit rot would make it. */
function corrupt(civic: Civic): void {
  const folder = join(civic.folder, 'data', 'realtime', 'snapshots', 'records:a');
  const name = readdirSync(folder).findLast((file) => file.endsWith('.meta.json'))!;
  const meta = JSON.parse(readFileSync(join(folder, name), 'utf8')) as object;
  writeFileSync(join(folder, name), JSON.stringify({ ...meta, integrity_hash: 'rotten' }));
}

it('a corrupt copy gives the record’s text back, and an untouched one the room’s own', async () => {
  const config = { ...AT_ONCE, snapshots: { interval: 0, storage: 'filesystem' } };
  const civic = await startCivic({ config });
  civic.publish({ id: 'a', content: '# Title\n\nOriginal.\n' });
  const ada = civic.edit('a');
  await ada.synced;
  ada.addParagraph('Typed together.');
  await until(async () => (await civic.server.roomMarkdown('records:a')).includes('Typed together.'));
  await leave(civic, ada);
  const bob = civic.edit('a');
  await bob.synced;
  expect(bob.text).toBe('Title\nOriginal.\nTyped together.');
  await leave(civic, bob);

  // Its draft is gone with it, as for a host whose drafts nobody can read.
  await civic.database.deleteDraft('a');
  corrupt(civic);
  expect(await civic.server.getSnapshotManager()!.loadLatestVerified('records:a')).toBeNull();
  const cara = civic.edit('a');
  await cara.synced;
  expect(cara.text).toBe('Title\nOriginal.');
  expect(civic.hooks.named('realtime:snapshot:integrity-failed')[0]).toMatchObject({ roomId: 'records:a' });
});

/** Types words that nobody types twice, and now and then takes a paragraph of its own out again. */
class Typist {
  readonly there = new Set<string>();
  readonly gone = new Set<string>();
  readonly #paragraphs: { element: Y.XmlElement; words: string[] }[] = [];
  #count = 0;

  constructor(
    readonly editor: Editor,
    readonly name: string,
  ) {}

  type(): void {
    this.#count += 1;
    const word = `${this.name}${this.#count}`;
    this.there.add(word);
    const last = this.#paragraphs.at(-1);
    if (last === undefined || this.#count % 12 === 0) {
      const element = new Y.XmlElement('paragraph');
      element.insert(0, [new Y.XmlText(word)]);
      this.editor.fragment.push([element]);
      this.#paragraphs.push({ element, words: [word] });
    } else {
      const text = last.element.get(0) as Y.XmlText;
      text.insert(text.length, ` ${word}`);
      last.words.push(word);
    }
    if (this.#count % 60 === 0) this.#strikeOut();
  }

  #strikeOut(): void {
    const [struck] = this.#paragraphs.splice(-2, 1);
    if (struck === undefined) return;
    const { fragment } = this.editor;
    fragment.delete(fragment.toArray().indexOf(struck.element));
    for (const word of struck.words) {
      this.there.delete(word);
      this.gone.add(word);
    }
  }
}

const AUTHORS: [string, (civic: Civic, ada: Editor) => Promise<string>][] = [
  ['one of them', async (_civic, ada) => markdown(ada)],
  ['a form', async (civic) => (await civic.draft('a'))!],
];

it.each(AUTHORS)(
  'two type for half a minute while %s saves a text 100 ms old each second: nothing lost, doubled, resurrected',
  { timeout: 120_000 },
  async (_who, textOf) => {
    const civic = await startCivic({
      config: { snapshots: { interval: 0.3 }, rate_limiting: { messages_per_second: 1000 } },
    });
    await civic.database.createDraft({ id: 'a', title: 'A', type: 'bylaw', markdown_body: 'Begin.' });
    const editors = [civic.edit('a'), civic.edit('a', civic.session({ id: 2, username: 'bob' }))] as const;
    await Promise.all(editors.map((editor) => editor.synced));
    const typists = [new Typist(editors[0], 'a'), new Typist(editors[1], 'b')];
    const end = Date.now() + 30_000;
    const typing = typists.map(async (typist) => {
      while (Date.now() < end) {
        typist.type();
        await sleep(20 + Math.random() * 60);
      }
    });
    const saving = (async () => {
      while (Date.now() < end) {
        const text = await textOf(civic, editors[0]);
        await sleep(100);
        await civic.database.updateDraft('a', { markdown_body: text });
        await sleep(900);
      }
    })();
    await Promise.all([...typing, saving]);
    const said = (): string[] => editors[0].text.split(/\s+/);
    await until(() => editors[0].text === editors[1].text);
    await civic.server.triggerRecordSnapshot('a');
    const wanted = ['Begin.', ...typists.flatMap(({ there }) => [...there])];
    expect(said().sort()).toEqual(wanted.sort());
    expect((await civic.draft('a'))!.split(/\s+/).sort()).toEqual(wanted);
    expect(typists.every(({ gone }) => gone.size > 0)).toBe(true);
  },
);
