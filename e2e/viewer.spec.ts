import { expect, it } from 'vitest';
import * as Y from 'yjs';

import { stage } from './support/stage.js';

const { server, arrive } = stage();

/** A y-websocket message: sync (0), then step 2 (1) or update (2), then the update with its length. */
function message(kind: 1 | 2, update: Uint8Array): Uint8Array {
  const length: number[] = [];
  for (let rest = update.length; ; rest >>>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) break;
  }
  return Uint8Array.from([0, kind, ...length, ...update]);
}

function forgedUpdate(): Uint8Array {
  const doc = new Y.Doc();
  const paragraph = new Y.XmlElement('paragraph');
  paragraph.insert(0, [new Y.XmlText('Forged by a viewer.')]);
  doc.getXmlFragment('default').insert(0, [paragraph]);
  return Y.encodeStateAsUpdate(doc);
}

it('a viewer sees edits and cursors, and can change nothing', async () => {
  const [ada, eve] = await Promise.all([arrive('Ada'), arrive('Eve')]);
  await ada.edit('welcome');
  await eve.page.goto(server.printedLink('viewer'));
  await eve.page.getByRole('link', { name: 'Welcome - start here' }).click();
  await eve.reaches('readonly');
  await ada.append('Live for the readers.');
  await eve.sees('Live for the readers.');
  await eve.seesMarkdown('Live for the readers.');
  await expect.poll(() => eve.cursors()).toEqual(['Ada']);
  await expect.poll(() => ada.people()).toEqual(['Ada (you)', 'Viewer']);

  expect(await eve.editor.getAttribute('contenteditable')).toBe('false');
  expect(await eve.editor.getAttribute('aria-readonly')).toBe('true');
  expect(await eve.page.locator('#toolbar').isVisible()).toBe(false);
  const before = await ada.blocks();
  await eve.editor.click();
  await eve.type('Typed by a viewer.');
  await eve.page.keyboard.press('Control+b');
  expect(await eve.blocks()).toEqual(before);

  eve.expected.push(/^Permission denied to access .*\nread-only$/);
  for (const kind of [1, 2] as const) await eve.forge(message(kind, forgedUpdate()));
  // Whatever the server did with them, it has done it when the next change has gone around.
  await ada.type(' Still live.');
  await eve.sees('Live for the readers. Still live.');
  await eve.reaches('readonly');
  await ada.reaches('saved');
  for (const person of [ada, eve]) {
    const text = (await person.blocks()).join('\n');
    expect(text).not.toContain('Forged');
    expect(text).not.toContain('Typed by a viewer');
  }
  await ada.seesMarkdown('Still live.');
  expect(await ada.markdown()).not.toContain('Forged');
});

it('a viewer reads on after a restart', async () => {
  const eve = await arrive('Eve');
  await eve.edit('noise-by-law', 'viewer');
  const before = await eve.blocks();
  eve.unreachable = true;
  await server.stop('SIGTERM');
  await eve.reaches('offline');
  await server.start();
  await eve.reaches('readonly');
  eve.unreachable = false;
  const ada = await arrive('Ada');
  await ada.edit('noise-by-law');
  await ada.append('After the restart.');
  await eve.sees('After the restart.');
  expect(await eve.blocks()).toEqual([...before, 'After the restart.']);
  await eve.seesMarkdown('After the restart.');
});
