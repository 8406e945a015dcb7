/** Pages of a server that takes its connections elsewhere than by default. */

import { expect, it } from 'vitest';

import type { Deployd } from '../client.js';
import { Server } from './support/server.js';
import { stage } from './support/stage.js';

const { server, arrive } = stage(
  new Server({ CIVIC_REALTIME_PATH: '/live', CIVIC_REALTIME_EVENTS__PATH: '/hub' }),
);

it('the editor edits', async () => {
  const [ada, ben] = [await arrive('Ada'), await arrive('Ben')];
  await Promise.all([ada.edit('welcome'), ben.edit('welcome')]);
  await ada.append('Written over another path.');
  await ben.sees('Written over another path.');
});

it('the tools get events', async () => {
  const { page } = await arrive('Ada');
  await page.goto(`${server.url}operator#token=${await server.token('Ada', 'admin')}`);
  await expect.poll(() => page.locator('.tile').count()).toBe(8);
  await page.goto(`${server.url}self-test`);
  await expect.poll(() => page.locator('#state').textContent()).toBe('Connected');
  await page.addScriptTag({ url: '/dpd.js' });
  const answer = await page.evaluate(() => {
    const { dpd } = globalThis as unknown as { dpd: Deployd };
    return new Promise((done) => {
      dpd.socket.join('public:town', (error) => done(error?.message ?? 'joined'));
    });
  });
  expect(answer).toBe('joined');
});
