/** Pictures for people to look at, in `output/e2e`: what no assertion tells is whether it looks right. */

import { describe, expect, it } from 'vitest';

import type { Person } from './support/person.js';
import { stage } from './support/stage.js';

const { server, arrive } = stage();

const RECORD = 'noise-by-law';
let sample: string | undefined;

const SIZES = { wide: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

async function picture(person: Person, name: string): Promise<void> {
  // Without the blinking caret and half-done transitions.
  await person.page.screenshot({ path: `output/e2e/${name}.png`, animations: 'disabled' });
}

describe.each(['light', 'dark'] as const)('%s', (colorScheme) => {
  it.each(['wide', 'phone'] as const)('%s', async (size) => {
    const look = {
      colorScheme,
      viewport: SIZES[size],
      isMobile: size === 'phone',
      hasTouch: size === 'phone',
    };
    const [ada, ben] = await Promise.all([arrive('Ada Lovelace', look), arrive('Ben Okri', look)]);
    const end = `${size}-${colorScheme}`;
    const { page } = ada;

    await page.goto(server.url);
    await page.locator('#sign-in-token').waitFor();
    await picture(ada, `sign-in-${end}`);
    await page.goto(server.printedLink('editor'));
    await page.getByTestId('record-link').first().waitFor();
    await picture(ada, `list-${end}`);

    // Every run begins with the same text.
    sample ??= server.read(RECORD);
    server.write(RECORD, sample);
    await Promise.all([ada.edit(RECORD), ben.edit(RECORD)]);
    await ben.goTo('The council of the Town', 'End');
    await ben.type(' Written by Ben.');
    await ada.sees('Written by Ben.');
    await ada.goTo('WHEREAS residents', 'End');
    await ada.type(' And Ada.');
    await ben.sees('And Ada.');
    await ben.page.keyboard.press('Shift+Home');
    await expect.poll(async () => (await ada.blocks()).join().match(/And Ada/g)?.length).toBe(1);
    await Promise.all([ada.reaches('saved'), ada.seesMarkdownWhereShown('Written by Ben.')]);
    await page.locator('.remote-selection').first().waitFor();
    await page.evaluate(() => scrollTo(0, 0));
    await picture(ada, `editor-${end}`);
    await ada.editor.locator('table').scrollIntoViewIfNeeded();
    await picture(ada, `editor-table-${end}`);
    if (size === 'phone') {
      await page.getByRole('tab', { name: 'Markdown' }).click();
      await ada.seesMarkdown('Written by Ben.');
      await picture(ada, `markdown-${end}`);
      await page.getByRole('tab', { name: 'Editor' }).click();
    }

    const eve = await arrive('Eve', look);
    await eve.edit(RECORD, 'viewer');
    await eve.page.locator('.remote-caret').first().waitFor();
    await picture(eve, `read-only-${end}`);

    await ada.goOffline();
    await ada.goTo('And Ada.', 'End');
    await ada.type(' Written while offline.');
    await ada.page.evaluate(() => scrollTo(0, 0));
    await picture(ada, `offline-${end}`);
    await ada.goOnline();

    eve.expected.push(/^Permission denied to access /);
    await eve.page.goto(`${server.url}edit?record=no-such-record`);
    await eve.page.locator('#unavailable').waitFor();
    await picture(eve, `missing-${end}`);
  });
});
