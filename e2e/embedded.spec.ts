/** The pages for operators where the engine runs inside a host, whose tokens are not ours. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';

import { EmbeddedServer, OPERATOR } from './support/embedded.js';
import { stage } from './support/stage.js';

const { server, arrive } = stage(new EmbeddedServer());
const PICTURES = fileURLToPath(new URL('../output/e2e', import.meta.url));
mkdirSync(PICTURES, { recursive: true });

const SIZES = [
  ['desktop', 1280, 800],
  ['phone', 390, 844],
] as const;

async function signIn(page: Page, token: string): Promise<void> {
  await page.goto(`${server.url}operator`);
  await page.locator('#sign-in-token').fill(token);
  await page.locator('#sign-in-form button').click();
}

async function fits(page: Page, picture: string): Promise<void> {
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  await page.screenshot({ path: join(PICTURES, `${picture}.png`), fullPage: true });
}

it.each(SIZES)('an admin of the host signs in on a %s, and is asked no more', async (name, width, height) => {
  const { page } = await arrive('Ada', { viewport: { width, height } });
  await page.goto(`${server.url}operator`);
  await page.locator('#sign-in-token').waitFor();
  await fits(page, `embedded-sign-in-${name}`);
  await signIn(page, await server.token('Ada', 'admin'));
  await page.locator('#clients tr', { hasText: 'Ada' }).waitFor();
  await expect.poll(() => page.locator('.tile').count()).toBe(8);
  expect(await page.locator('#state').textContent()).toBe('Live');
  await fits(page, `embedded-operator-${name}`);
  await page.reload();
  await page.locator('#clients tr', { hasText: 'Ada' }).waitFor();

  await page.goto(`${server.url}self-test.html`);
  await page.locator('#join-form button').first().click();
  const rows = page.locator('#messages li');
  await rows.filter({ hasText: 'joined public:self-test, 1 in it' }).waitFor();
  await page.locator('#emit-form button').click();
  await rows.filter({ hasText: 'taken as number' }).waitFor();
  await fits(page, `embedded-self-test-${name}`);
  await page.locator('.wordmark').click();
  await page.locator('#clients tr', { hasText: 'Ada' }).waitFor();
});

it('the operator’s own token shows the figures, live, and runs a load test', async () => {
  const { page } = await arrive('Olive');
  await signIn(page, OPERATOR);
  await expect.poll(() => page.locator('.tile').count()).toBe(8);
  expect(await page.locator('#parts').textContent()).toContain('memory');
  await expect.poll(() => page.locator('#state').textContent()).toBe('Live');
  const before = await page.locator('#histogram').textContent();
  await expect.poll(() => page.locator('#histogram').textContent()).not.toBe(before);

  await page.goto(`${server.url}self-test`);
  for (const [id, value] of [
    ['connections', '10'],
    ['rate', '100'],
    ['duration', '1'],
  ] as const)
    await page.locator(`#${id}`).fill(value);
  await page.locator('#stress').click();
  await page.locator('#stress-report').waitFor();
  expect(await page.locator('#stress-report').textContent()).toMatch(/10 of 10.*100\.00 %/);
});

it('nobody else sees them', async () => {
  const ben = await arrive('Ben');
  await signIn(ben.page, await server.token('Ben', 'editor'));
  const problem = ben.page.locator('#sign-in-problem');
  await expect.poll(() => problem.textContent()).toContain('not an admin');
  await signIn(ben.page, 'made-up');
  await expect.poll(() => problem.textContent()).toContain('not an admin');
  expect(await ben.page.locator('#figures').isHidden()).toBe(true);
});
