import { expect, it } from 'vitest';

import { stage } from './support/stage.js';

const { arrive } = stage();

it('what both wrote while one was offline is there afterwards, once', async () => {
  const [ada, ben] = await Promise.all([arrive('Ada'), arrive('Ben')]);
  await Promise.all([ada.edit('welcome'), ben.edit('welcome')]);
  await ada.append('Written together.');
  await ben.sees('Written together.');

  await ada.goOffline();
  await ada.append('Written on the train.');
  expect(await ada.page.locator('#offline-note').isVisible()).toBe(true);
  await ben.append('Written at the desk.');
  await ben.reaches('saved');
  // Longer than the pause before a new attempt: it must have tried, and failed.
  await ada.page.waitForTimeout(2500);
  expect(await ada.page.getByTestId('connection-state').getAttribute('data-state')).toBe('offline');
  expect((await ada.blocks()).join('\n')).not.toContain('desk');
  expect((await ben.blocks()).join('\n')).not.toContain('train');

  await ada.goOnline();
  expect(await ada.page.locator('#offline-note').isVisible()).toBe(false);
  await ada.sees('Written at the desk.');
  await ben.sees('Written on the train.');
  for (const person of [ada, ben]) {
    await person.reaches('saved');
    await person.seesMarkdown('Written at the desk.');
    await person.seesMarkdown('Written on the train.');
  }
  const text = await ada.blocks();
  expect(await ben.blocks()).toEqual(text);
  expect(new Set(text).size).toBe(text.length);
  for (const line of ['Written together.', 'Written on the train.', 'Written at the desk.'])
    expect(text).toContain(line);

  await ada.type(' And more.');
  await ben.sees('Written on the train. And more.');
});

it('leaving with unsent changes is asked about, and warned of in the title', async () => {
  const ada = await arrive('Ada');
  await ada.edit('noise-by-law');
  await ada.goOffline();
  await ada.append('Nobody has this yet.');
  expect(await ada.page.title()).toMatch(/^• /);
  const asked = ada.page.waitForEvent('dialog');
  const closing = ada.page.close({ runBeforeUnload: true });
  const dialog = await asked;
  expect(dialog.type()).toBe('beforeunload');
  await dialog.dismiss();
  await closing;
  await ada.goOnline();
  expect(await ada.page.title()).not.toMatch(/^• /);
});
