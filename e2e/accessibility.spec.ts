import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';

import type { Person } from './support/person.js';
import { stage } from './support/stage.js';

const { server, arrive } = stage();

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What people with disabilities would stumble over, as far as a program can tell. */
async function barriers(page: Page): Promise<string[]> {
  // The content policy allows no foreign script; the debugger's evaluation is not bound by it.
  await page.evaluate(AXE);
  const { violations } = (await page.evaluate('axe.run()')) as AxeResults;
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' | ')}`);
}

async function openList(person: Person): Promise<void> {
  await person.page.goto(server.printedLink('editor'));
  await person.page.getByTestId('record-link').first().waitFor();
}

describe.each(['light', 'dark'] as const)('%s', (colorScheme) => {
  it('nothing on either page stands in anyone’s way', async () => {
    const [ada, ben] = await Promise.all([arrive('Ada', { colorScheme }), arrive('Ben', { colorScheme })]);
    await ada.page.goto(server.url);
    await ada.page.locator('#sign-in-token').waitFor();
    expect(await barriers(ada.page)).toEqual([]);
    await openList(ada);
    expect(await barriers(ada.page)).toEqual([]);

    await Promise.all([ada.edit('welcome'), ben.edit('welcome')]);
    await ben.append('Two people are here.');
    await ada.sees('Two people are here.');
    expect(await barriers(ada.page)).toEqual([]);
    await ada.goOffline();
    await ada.append('Offline.');
    expect(await barriers(ada.page)).toEqual([]);
    await ada.goOnline();
    await ada.page.setViewportSize({ width: 390, height: 844 });
    await ada.page.getByRole('tab', { name: 'Markdown' }).click();
    expect(await barriers(ada.page)).toEqual([]);
  });
});

it('the toolbar is one stop, walked with arrow keys', async () => {
  const { page, ...ada } = Object.assign(await arrive('Ada'));
  void ada;
  await openEditor(page);
  const toolbar = page.getByRole('toolbar', { name: 'Formatting' });
  await page.keyboard.press('Alt+F10');
  const focused = (): Promise<string | null> => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? null);
  expect(await focused()).toBe('Undo');
  await page.keyboard.press('ArrowRight');
  expect(await focused()).toBe('Redo');
  await page.keyboard.press('End');
  expect(await focused()).toBe('Insert table');
  expect(await toolbar.locator('[tabindex="0"]').count()).toBe(1);
  await page.keyboard.press('Escape');
  expect(await focused()).toBe('Text of the record');
});

async function openEditor(page: Page): Promise<void> {
  await page.goto(`${server.url}edit?record=welcome#token=${await server.token('Ada', 'editor')}`);
  await page.getByTestId('editor').focus();
}
