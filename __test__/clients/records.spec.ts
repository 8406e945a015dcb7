/** Records as Markdown files and real yjs clients with the editor's own schema: seeded once, merged, written back. */

import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { defaultMarkdownParser, schema } from 'prosemirror-markdown';
import { expect, it } from 'vitest';
import { yXmlFragmentToProseMirrorRootNode } from 'y-prosemirror';
import * as Y from 'yjs';

import { environment, makeServer, temporaryFolder, until } from '../support.js';
import { jwt, LATEST, peer, ROOMY, synced, VERSIONS, type Peer } from './support.js';

const SECRET = 'a secret of a test, long enough to be accepted by all';
const TOKEN = jwt(SECRET, { sub: 'ada', name: 'Ada', role: 'editor' });
const BODY = `# Budget

First *paragraph* with **words**.

* one
* two

> A quote.

\`\`\`js
code();
\`\`\`
`;
/** Not the way it would be written back, which an untouched record keeps. */
const ODD = `---
title: Odd
---

Heading
=======

+ plus
+ bullets


Two   blank lines above, __bold__.   \n`;

async function records(files: Record<string, string>) {
  const cwd = temporaryFolder();
  const env = environment(cwd);
  const dir = join(env['CIVIC_DATA_DIR']!, 'records');
  mkdirSync(dir, { recursive: true });
  const path = (id: string): string => join(dir, `${id}.md`);
  for (const [id, text] of Object.entries(files)) writeFileSync(path(id), text);
  const start = async (port: number) => {
    const server = makeServer({
      cwd,
      env,
      standalone: true,
      config: {
        ...ROOMY,
        rooms: { ...ROOMY.rooms, grace_period_ms: 100 },
        port,
        auth: { jwt: { secret: SECRET } },
        snapshots: { interval: 0, max_updates: 0 },
      },
    });
    return { server, port: (await server.initialize()).port! };
  };
  let { server, port } = await start(0);
  return {
    port,
    path,
    read: (id: string): string => readFileSync(path(id), 'utf8'),
    join: (id: string, version = LATEST): Peer =>
      peer(version, port, { room: `records/${id}`, token: TOKEN }),
    get server() {
      return server;
    },
    async restart(): Promise<void> {
      await server.shutdown();
      ({ server } = await start(port));
    },
  };
}

const fragmentOf = ({ doc }: Peer): Y.XmlFragment => doc.getXmlFragment('default');
/** What an editor with this schema shows; it would delete what the schema does not know. */
function shown(peer: Peer): unknown {
  return yXmlFragmentToProseMirrorRootNode(fragmentOf(peer), schema).toJSON();
}
/** What the editor's own parser makes of Markdown; whether a list is tight is no attribute of the engine's. */
function parsed(markdown: string): unknown {
  return withoutTight(defaultMarkdownParser.parse(markdown).toJSON());
}
function withoutTight(node: unknown): unknown {
  return JSON.parse(JSON.stringify(node, (key, value) => (key === 'tight' ? undefined : value)));
}
const paragraphs = (peer: Peer): string[] =>
  fragmentOf(peer)
    .toArray()
    .map((node) =>
      (node as Y.XmlElement)
        .toArray()
        .map((text) => String(text))
        .join(''),
    );
/** Types at the end of a block. */
function append(peer: Peer, block: number, text: string): void {
  const node = (fragmentOf(peer).get(block) as Y.XmlElement).get(0) as Y.XmlText;
  node.insert(node.length, text);
}
const agree = (...peers: Peer[]): Promise<void> =>
  until(() => new Set(peers.map((peer) => fragmentOf(peer).toString())).size === 1);

it('first joins at the same time load once and seed once', async () => {
  const place = await records({ budget: BODY });
  const peers = Array.from({ length: 12 }, (_, index) => place.join('budget', VERSIONS[index % 3]));
  await synced(...peers);
  await until(() => peers.every((peer) => fragmentOf(peer).length > 0));
  for (const peer of peers) {
    expect(withoutTight(shown(peer))).toEqual(parsed(BODY));
    // Looking through the schema deleted nothing.
    expect(fragmentOf(peer).length).toBe(5);
  }
  const log = await place.server.exportLog('records:budget');
  expect(log).toHaveLength(1);
});

it('a restart with people inside doubles nothing and loses nothing', async () => {
  const place = await records({ budget: BODY });
  const [ada, bo] = [place.join('budget'), place.join('budget', VERSIONS[0])];
  await synced(ada, bo);
  for (let round = 0; round < 3; round += 1) {
    append(ada, 1, ` ada${round}`);
    append(bo, 0, ` bo${round}`);
    await place.restart();
    await synced(ada, bo);
    await agree(ada, bo);
    expect(fragmentOf(ada).length).toBe(5);
  }
  const fresh = place.join('budget');
  await synced(fresh);
  await agree(ada, fresh);
  expect(paragraphs(fresh).slice(0, 1)).toEqual(['Budget bo0 bo1 bo2']);
  expect(fragmentOf(fresh).toString()).toContain('ada0 ada1 ada2');
  await place.server.triggerRecordSnapshot('budget');
  expect(place.read('budget')).toContain('# Budget bo0 bo1 bo2\n');
});

it('the file says what the document says, on request and after the last one left', async () => {
  const place = await records({ note: '---\ntitle: Note\nstatus: draft\n---\n\n# Note\n\nText.\n' });
  const ada = place.join('note');
  await synced(ada);
  await until(() => fragmentOf(ada).length === 2);
  append(ada, 1, ' More.');
  const reader = place.join('note');
  await synced(reader);
  await agree(ada, reader);
  const report = await place.server.triggerRecordSnapshot('note');
  expect(report.snapshotCreated).toBe(true);
  const expected = '---\ntitle: Note\nstatus: draft\n---\n\n# Note\n\nText. More.';
  expect(place.read('note').trimEnd()).toBe(expected);

  append(reader, 1, ' Last.');
  await agree(ada, reader);
  ada.provider.disconnect();
  reader.provider.disconnect();
  await until(() => place.read('note').trimEnd() === `${expected} Last.`);
  await until(() => place.server.rooms().length === 0);

  // Opened again, it is the same document, not a second seed.
  ada.provider.connect();
  await synced(ada);
  const later = place.join('note');
  await synced(later);
  await agree(ada, later);
  expect(paragraphs(later)).toEqual(['Note', 'Text. More. Last.']);
});

it('an outside change of the file merges while people type', async () => {
  const place = await records({ note: '# Note\n\nOne.\n\nTwo.\n\nThree.\n' });
  const [ada, bo] = [place.join('note'), place.join('note')];
  await synced(ada, bo);
  await until(() => fragmentOf(ada).length === 4 && fragmentOf(bo).length === 4);
  let words = 0;
  const typing = setInterval(() => append(ada, 1, ` w${(words += 1)}`), 20);
  try {
    await until(() => words > 10);
    writeFileSync(place.path('note'), '# Note\n\nOne.\n\nTwo, changed outside.\n\nThree.\n\nFour.\n');
    await until(() => fragmentOf(bo).toString().includes('Two, changed outside.'));
    await until(() => fragmentOf(bo).toString().includes('Four.'));
    const before = words;
    await until(() => words > before + 10);
  } finally {
    clearInterval(typing);
  }
  await agree(ada, bo);
  const typed = Array.from({ length: words }, (_, index) => ` w${index + 1}`).join('');
  expect(paragraphs(bo)).toEqual(['Note', `One.${typed}`, 'Two, changed outside.', 'Three.', 'Four.']);
  await place.server.triggerRecordSnapshot('note');
  expect(place.read('note').trimEnd()).toBe(
    `# Note\n\nOne.${typed}\n\nTwo, changed outside.\n\nThree.\n\nFour.`,
  );
});

it('a record that was only looked at stays byte for byte', async () => {
  const place = await records({ odd: ODD, budget: BODY });
  const before = statSync(place.path('odd'));
  const [ada, bo] = [place.join('odd'), place.join('odd')];
  await synced(ada, bo);
  await until(() => fragmentOf(ada).length > 0);
  ada.provider.awareness.setLocalStateField('user', { name: 'Ada' });
  expect((await place.server.triggerRecordSnapshot('odd')).snapshotCreated).toBe(true);
  await place.restart();
  await synced(ada, bo);
  ada.provider.disconnect();
  bo.provider.disconnect();
  await until(() => place.server.rooms().length === 0);
  await place.server.shutdown();
  expect(place.read('odd')).toBe(ODD);
  expect(statSync(place.path('odd')).mtimeMs).toBe(before.mtimeMs);
  expect(statSync(place.path('odd')).ino).toBe(before.ino);
});
