/** The default rate limits never get into the way of somebody who writes. */

import { expect, it } from 'vitest';

import { stage } from './support/stage.js';

const { server, arrive } = stage();

const KEYS_PER_SECOND = 15;
const SECONDS = 30;

it('fifteen keys a second with cursor movements for half a minute are not slowed down', async () => {
  const [ada, ben] = await Promise.all([arrive('Ada Lovelace'), arrive('Ben Okri')]);
  await Promise.all([ada.edit('welcome'), ben.edit('welcome')]);
  await ada.append('Here: ');
  await ben.sees('Here:');
  const letters = 'the quick brown fox jumps over the lazy dog ';
  let typed = '';
  const begin = Date.now();
  for (let key = 0; key < KEYS_PER_SECOND * SECONDS; key += 1) {
    const letter = letters[key % letters.length]!;
    await ada.page.keyboard.press(letter === ' ' ? 'Space' : letter);
    typed += letter;
    await ada.page.waitForTimeout(Math.max(0, begin + ((key + 1) * 1000) / KEYS_PER_SECOND - Date.now()));
  }
  await ben.sees(`Here: ${typed.trimEnd()}`);
  await ada.reaches('saved');
  expect(await ada.blocks()).toEqual(await ben.blocks());
  const metrics = await (await fetch(new URL('metrics', server.url))).text();
  // The editor sends its cursor with each key: more than the 10 messages a second that may go on for ever.
  expect(Number(/_awareness_in_total (\d+)/.exec(metrics)?.[1])).toBeGreaterThan(KEYS_PER_SECOND * SECONDS);
  expect(Number(/_updates_applied_total (\d+)/.exec(metrics)?.[1])).toBeGreaterThan(
    KEYS_PER_SECOND * SECONDS,
  );
  expect(metrics).not.toContain('throttled_total{');
  expect(metrics).toContain('rate_notices_total 0');
  expect(metrics).not.toContain('closes_total{code="RATE_LIMIT_EXCEEDED"}');
}, 120_000);
