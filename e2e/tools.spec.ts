/** The pages for whoever runs the server: the self-test of events, and the operator's dashboard. */

import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { stage } from './support/stage.js';

const { server, arrive } = stage();
const PICTURES = fileURLToPath(new URL('../output/e2e', import.meta.url));
mkdirSync(PICTURES, { recursive: true });

it('the self-test joins, speaks and shows everything as text', async () => {
  const { page } = await arrive('Nobody');
  await page.goto(`${server.url}self-test.html`);
  await expect.poll(() => page.locator('#state').textContent()).toBe('Connected');
  await page.locator('#join-form button').first().click();
  const rows = page.locator('#messages li');
  await rows.filter({ hasText: 'joined public:self-test, 1 in it' }).waitFor();
  // Whoever has no token may not speak there, and is told so.
  await page.locator('#emit-form button').click();
  await rows.filter({ hasText: 'Permission denied' }).first().waitFor();

  await page.locator('#token').fill(await server.token('Ada', 'editor'));
  await page.locator('#auth-form button').click();
  await rows.filter({ hasText: 'the token was shown' }).waitFor();
  const hostile = '<img src=x onerror=alert(1)>';
  await page.locator('#data').fill(JSON.stringify({ text: hostile }));
  await page.locator('#emit-form button').click();
  await rows.filter({ hasText: hostile }).first().waitFor();
  await rows.filter({ hasText: 'taken as number 1 after' }).waitFor();
  expect(await page.locator('#messages img').count()).toBe(0);
  await page.locator('#data').fill('{');
  await page.locator('#emit-form button').click();
  expect(await page.locator('#data-problem').textContent()).toBe('This is no JSON.');
});

it('the self-test measures round trips for an admin', async () => {
  const { page } = await arrive('Ada');
  await page.goto(`${server.url}self-test#token=${await server.token('Ada', 'admin')}`);
  for (const [id, value] of [
    ['connections', '10'],
    ['rate', '100'],
    ['duration', '1'],
  ] as const)
    await page.locator(`#${id}`).fill(value);
  await page.locator('#stress').click();
  const report = page.locator('#stress-report');
  await report.waitFor();
  expect(await report.textContent()).toMatch(/10 of 10.*100\.00 %.*Round trip p50[\d.]+ ms/);
});

it.each([
  ['desktop', 1440, 900],
  ['phone', 390, 844],
] as const)('the dashboard is live and fits a %s', async (name, width, height) => {
  const { page } = await arrive('Ada', { viewport: { width, height } });
  await page.goto(`${server.url}operator#token=${await server.token('Ada', 'admin')}`);
  await expect.poll(() => page.locator('.tile').count()).toBe(8);
  await expect.poll(() => page.locator('#latency-note').textContent()).toMatch(/p50 ≤ [\d.]+ ms.* of [1-9]/);
  await expect.poll(() => page.locator('#trip').textContent()).toMatch(/takes [\d.]+ ms/);
  await page.locator('#rooms tr', { hasText: 'system:metrics' }).waitFor();
  await page.locator('#clients tr', { hasText: 'Ada' }).waitFor();
  expect(await page.locator('#parts').textContent()).toContain('memory');
  const before = await page.locator('#histogram').textContent();
  await expect.poll(() => page.locator('#histogram').textContent()).not.toBe(before);
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(wider).toBeLessThanOrEqual(0);
  await page.screenshot({ path: join(PICTURES, `operator-${name}.png`), fullPage: true });
  await page.goto(`${server.url}self-test`);
  await expect.poll(() => page.locator('#state').textContent()).toBe('Connected');
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  await page.screenshot({ path: join(PICTURES, `self-test-${name}.png`), fullPage: true });
});

it('the dashboard is for admins', async () => {
  const { page } = await arrive('Ben');
  await page.goto(`${server.url}operator#token=${await server.token('Ben', 'editor')}`);
  await expect.poll(() => page.locator('#sign-in-problem').textContent()).toContain('not an admin');
  expect(await page.locator('#figures').isHidden()).toBe(true);
});
