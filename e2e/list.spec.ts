import { expect, it } from 'vitest';

import { stage } from './support/stage.js';

const { server, arrive } = stage();

it('opens by the printed link, shows the samples and leads to the editor by keyboard', async () => {
  const { page } = await arrive('Someone');
  await page.goto(server.printedLink('editor'));
  const links = page.getByTestId('record-link');
  await links.first().waitFor();
  expect(new URL(page.url()).hash).toBe('');
  expect(await page.evaluate(() => history.length)).toBeLessThanOrEqual(2);
  expect(await page.locator('#account-name').textContent()).toBe('Editor');
  expect(await links.allTextContents()).toContain('Welcome - start here');
  expect(await page.locator('#result-count').textContent()).toBe(`${await links.count()} records`);

  const focused = (): Promise<string | null> =>
    page.evaluate(() => document.activeElement?.getAttribute('href') ?? null);
  const wanted = '/edit?record=welcome';
  for (let presses = 0; presses < 40 && (await focused()) !== wanted; presses++)
    await page.keyboard.press('Tab');
  expect(await focused()).toBe(wanted);
  await page.keyboard.press('Enter');
  await page.getByTestId('editor').waitFor();
  expect(await page.locator('#record-title').textContent()).toBe('Welcome - start here');
  expect(await page.title()).toBe('Welcome - start here — CivicPress');

  await page.goBack();
  await links.first().waitFor();
});

it('filters by words and by status, and says when nothing matches', async () => {
  const { page } = await arrive('Someone');
  await page.goto(server.printedLink('editor'));
  const links = page.getByTestId('record-link');
  await links.first().waitFor();
  const all = await links.count();

  await page.locator('#filter').fill('noise');
  await expect.poll(() => links.count()).toBe(1);
  await page.locator('#filter').fill('no such record');
  await expect.poll(() => page.locator('#empty-title').textContent()).toBe('Nothing matches');
  await page.locator('#empty-action').press('Enter');
  await expect.poll(() => links.count()).toBe(all);
  await page.locator('.chip', { hasText: 'Published' }).click();
  await expect.poll(() => links.count()).toBeLessThan(all);
});

it('signs out, and takes a pasted link', async () => {
  const { page } = await arrive('Someone');
  await page.goto(server.printedLink('viewer'));
  await page.locator('#sign-out').click();
  await page.locator('#sign-in-token').fill('no link at all');
  await page.keyboard.press('Enter');
  expect(await page.locator('#sign-in-problem').textContent()).toContain('This is not a sign-in link.');
  await page.locator('#sign-in-token').fill(server.printedLink('viewer'));
  await page.keyboard.press('Enter');
  await page.getByTestId('record-link').first().waitFor();
  expect(await page.locator('#account-role').textContent()).toBe('viewer');
});
