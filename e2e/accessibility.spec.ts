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
  const ada = await arrive('Ada');
  await ada.edit('welcome');
  const { page } = ada;
  const toolbar = page.getByRole('toolbar', { name: 'Formatting' });
  await ada.editor.focus();
  await page.keyboard.press('Alt+F10');
  const focused = (): Promise<string | null> =>
    page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? null);
  expect(await focused()).toBe('Undo');
  await page.keyboard.press('ArrowRight');
  expect(await focused()).toBe('Redo');
  await page.keyboard.press('End');
  expect(await focused()).toBe('Insert table');
  expect(await toolbar.locator('[tabindex="0"]').count()).toBe(1);
  await page.keyboard.press('Escape');
  expect(await focused()).toBe('Text of the record');
});

it('what changes is said aloud, once it lasts', async () => {
  const ada = await arrive('Ada');
  await ada.edit('welcome');
  const announcer = ada.page.locator('#announcer[aria-live=polite]');
  await expect.poll(() => announcer.textContent()).toBe('Saved');
  await ada.goOffline();
  await ada.append('Unsent.');
  await expect.poll(() => announcer.textContent()).toContain('Offline. Your changes are kept');
  await ada.goOnline();
  await expect.poll(() => announcer.textContent()).toBe('Saved');
});

it('where the focus is can be seen, on every stop of both pages', async () => {
  const ada = await arrive('Ada');
  await openList(ada);
  expect(await unseenStops(ada.page)).toEqual([]);
  await ada.edit('welcome');
  // From the top of the page: in the text Tab would go on to the next list item or cell.
  await ada.page.locator('.skip-link').focus();
  expect(await unseenStops(ada.page)).toEqual([]);
});

it.each([390, 360])('nothing sticks out at %i pixels', async (width) => {
  const ada = await arrive('Ada', { viewport: { width, height: 740 }, hasTouch: true });
  const { page } = ada;
  await page.goto(server.url);
  await page.locator('#sign-in-token').waitFor();
  expect(await widthOf(page)).toBe(width);
  await openList(ada);
  expect(await widthOf(page)).toBe(width);
  for (const record of ['welcome', 'budget-2026-summary', 'noise-by-law']) {
    await ada.edit(record);
    expect(await widthOf(page)).toBe(width);
    await page.getByRole('tab', { name: 'Markdown' }).click();
    await expect.poll(() => ada.markdown()).not.toBe('');
    expect(await widthOf(page)).toBe(width);
  }
});

/** The width that the page needs, in CSS pixels. */
async function widthOf(page: Page): Promise<number> {
  return await page.evaluate(() => document.documentElement.scrollWidth);
}

/** Presses Tab through the page and names the stops that look focused in no way. */
async function unseenStops(page: Page): Promise<string[]> {
  const unseen: string[] = [];
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(() => {
      const element = document.activeElement;
      if (element === null || element === document.body) return null;
      const framed = [element, element.closest('.record'), element.closest('.sheet')].some((candidate) => {
        const style = candidate && getComputedStyle(candidate);
        return (
          style &&
          ((style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1) ||
            candidate.matches('.sheet'))
        );
      });
      return {
        framed,
        text: element.outerHTML.slice(0, 120),
        isText: element.matches('[data-testid=editor]'),
      };
    });
    if (stop === null) break;
    if (!stop.framed) unseen.push(stop.text);
    // Out of the text with Escape and then Tab, as its help says.
    if (stop.isText) await page.keyboard.press('Escape');
  }
  return unseen;
}
