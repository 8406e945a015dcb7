import { expect, it } from 'vitest';

import { stage } from './support/stage.js';

const { server, arrive } = stage();

it('two people type at once and see each other', async () => {
  const [ada, ben] = await Promise.all([arrive('Ada Lovelace'), arrive('Ben Okri')]);
  await Promise.all([ada.edit('welcome'), ben.edit('welcome')]);
  await ada.append('The meeting place.');
  await ben.sees('The meeting place.');

  // In the very same sentence, one before it and one after it.
  await Promise.all([ada.goTo('The meeting place.', 'Home'), ben.goTo('The meeting place.', 'End')]);
  await Promise.all([
    ada.type('Ada writes all this in front. '),
    ben.type(' Ben writes all this behind it.'),
  ]);
  const sentence = 'Ada writes all this in front. The meeting place. Ben writes all this behind it.';
  for (const person of [ada, ben]) {
    await person.sees(sentence);
    await person.reaches('saved');
    await person.seesMarkdown(sentence);
    await expect.poll(() => person.people()).toHaveLength(2);
  }
  expect(await ada.blocks()).toEqual(await ben.blocks());
  await expect.poll(() => ada.cursors()).toEqual(['Ben Okri']);
  await expect.poll(() => ben.cursors()).toEqual(['Ada Lovelace']);
  // The name goes after a while, for it covers text, and comes back as soon as its owner moves.
  const name = ada.editor.locator('.remote-name');
  await expect.poll(() => name.evaluate((label) => getComputedStyle(label).opacity)).toBe('0');
  await ben.page.keyboard.press('ArrowLeft');
  await expect.poll(() => name.evaluate((label) => getComputedStyle(label).opacity)).toBe('1');
  expect((await ada.people()).sort()).toEqual(['Ada Lovelace (you)', 'Ben Okri']);
  expect(await ada.page.locator('.people-count').textContent()).toBe('2 people here');

  await ben.context.close();
  await expect.poll(() => ada.people()).toEqual(['Ada Lovelace (you)']);
  await expect.poll(() => ada.cursors()).toEqual([]);
});

it('two people type at the very same place, and not a letter is lost', async () => {
  const [ada, ben] = await Promise.all([arrive('Ada'), arrive('Ben')]);
  await Promise.all([ada.edit('minutes/2026-03-council'), ben.edit('minutes/2026-03-council')]);
  await ada.append('Here:');
  await ben.sees('Here:');
  await ben.goTo('Here:', 'End');
  await Promise.all([ada.type('abcdefghijklmnopqrstuvwxyz'), ben.type('ABCDEFGHIJKLMNOPQRSTUVWXYZ')]);
  await Promise.all([ada.reaches('saved'), ben.reaches('saved')]);
  await expect.poll(async () => (await ada.blocks()).at(-1)?.length).toBe('Here:'.length + 2 * 26);
  await expect.poll(() => ben.blocks()).toEqual(await ada.blocks());
  const typed = (await ada.blocks()).at(-1)?.slice('Here:'.length) ?? '';
  expect(typed.replace(/[A-Z]/g, '')).toBe('abcdefghijklmnopqrstuvwxyz');
  expect(typed.replace(/[a-z]/g, '')).toBe('ABCDEFGHIJKLMNOPQRSTUVWXYZ');
  await expect.poll(async () => (await ada.markdown()).includes(typed)).toBe(true);
});

it('formats by keys and by the toolbar, and undoes only what oneself did', async () => {
  const [ada, ben] = await Promise.all([arrive('Ada'), arrive('Ben')]);
  await Promise.all([ada.edit('noise-by-law'), ben.edit('noise-by-law')]);
  await ada.append('plain ');
  await ada.page.keyboard.press('Control+b');
  await ada.type('bold');
  await ada.page.keyboard.press('Control+b');
  await ben.sees('plain bold');
  await ben.append('1. ');
  await ben.type('first');
  await ben.page.keyboard.press('Enter');
  await ben.type('second');
  for (const person of [ada, ben]) {
    await person.seesMarkdown('plain **bold**');
    await person.seesMarkdown('1. first\n\n2. second');
  }

  await ada.page.getByRole('button', { name: 'Undo' }).click();
  for (let i = 0; i < 5 && (await ada.blocks()).join('\n').includes('plain'); i++) {
    await ada.page.keyboard.press('Control+z');
  }
  await expect.poll(async () => (await ben.blocks()).join('\n')).not.toContain('plain');
  await ben.sees('first');
  await ada.page.keyboard.press('Control+y');
  await ben.sees('plain');
});

it('everyone has a colour of their own, in all their tabs', async () => {
  // These three would have the same colour if each chose alone.
  const people = await Promise.all(['Eve', 'Lea', 'Pia', 'Eve'].map((name) => arrive(name)));
  for (const person of people) await person.edit('park-renovation-proposal');
  for (const person of people) {
    await expect.poll(() => person.page.locator('.people-count').textContent()).toBe('3 people here');
    await expect
      .poll(() =>
        person.page
          .locator('.avatar')
          .evaluateAll(
            (avatars) => new Set(avatars.map((avatar) => getComputedStyle(avatar).backgroundColor)).size,
          ),
      )
      .toBe(3);
  }
});

it('a file changed on disk appears in both, and the typing of both stays', async () => {
  const record = 'budget-2026-summary';
  const [ada, ben] = await Promise.all([arrive('Ada'), arrive('Ben')]);
  await Promise.all([ada.edit(record), ben.edit(record)]);
  await ada.append('Ada was here.');
  await ben.sees('Ada was here.');
  await ben.append('Ben was here.');
  await ada.sees('Ben was here.');

  // The file does not know yet what they typed.
  const before = server.read(record);
  const heading = /^# .*$/m.exec(before)?.[0] ?? '';
  server.write(record, before.replace(heading, `${heading}\n\nA line from another program.`));
  await Promise.all([
    ada.type(' And goes on.'),
    ben.type(' Ben goes on, too.'),
    ada.sees('A line from another program.'),
    ben.sees('A line from another program.'),
  ]);
  for (const person of [ada, ben]) {
    await person.sees('Ada was here. And goes on.');
    await person.sees('Ben was here. Ben goes on, too.');
    await person.reaches('saved');
  }
  const text = await ada.blocks();
  expect(await ben.blocks()).toEqual(text);
  for (const part of ['another program', 'Ada was here', 'Ben was here']) {
    expect(text.filter((block) => block.includes(part))).toHaveLength(1);
  }
  expect(text[1]).toBe('A line from another program.');
});

it('the file says what the editor shows when the last one has left', async () => {
  const record = 'emergency-plan';
  const ada = await arrive('Ada');
  await ada.edit(record);
  await ada.append('The last word.');
  await ada.reaches('saved');
  await ada.seesMarkdown('The last word.');
  const shown = await ada.markdown();
  await ada.context.close();
  await expect.poll(() => server.read(record)).toContain('The last word.');
  expect(server.read(record)).toContain(shown.trim());
});
