/** The default rate limits never get into the way of somebody who writes. */

import { expect, it } from 'vitest';

import { stage } from './support/stage.js';

const { server, arrive } = stage();

const KEYS_PER_SECOND = 15;
const KEYS = 30 * KEYS_PER_SECOND;

it('fifteen keys a second with cursor movements for half a minute are not slowed down', async () => {
  const [ada, ben] = await Promise.all([arrive('Ada Lovelace'), arrive('Ben Okri')]);
  await Promise.all([ada.edit('welcome'), ben.edit('welcome')]);
  await ada.append('Here: ');
  await ben.sees('Here:');
  let typed = '';
  const begin = Date.now();
  // In pairs, the second letter before the first: each key comes with a movement of the cursor.
  for (let key = 0; key < KEYS; key += 1) {
    const letter = String.fromCharCode(97 + (key % 26));
    await ada.page.keyboard.press(letter);
    await ada.page.keyboard.press(key % 2 === 0 ? 'ArrowLeft' : 'ArrowRight');
    typed = key % 2 === 0 ? typed + letter : typed.slice(0, -1) + letter + typed.slice(-1);
    await ada.page.waitForTimeout(Math.max(0, begin + ((key + 1) * 1000) / KEYS_PER_SECOND - Date.now()));
  }
  await ben.sees(`Here: ${typed}`);
  await ada.reaches('saved');
  expect(await ada.blocks()).toEqual(await ben.blocks());
  const metrics = await (await fetch(new URL('metrics', server.url))).text();
  const count = (name: string): number => Number(new RegExp(`_${name}_total (\\d+)`).exec(metrics)?.[1]);
  expect(count('updates_applied')).toBeGreaterThanOrEqual(KEYS);
  expect(count('awareness_in')).toBeGreaterThanOrEqual(KEYS);
  expect(count('rate_notices')).toBe(0);
  expect(metrics).not.toContain('throttled_total{');
  expect(metrics).not.toContain('closes_total{code="RATE_LIMIT_EXCEEDED"}');
}, 120_000);
