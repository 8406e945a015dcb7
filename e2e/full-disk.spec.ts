/** “Saved” is a promise about the disk: while it takes nothing, nobody’s change is called saved. */

import { afterAll, expect, it } from 'vitest';

import { Disk } from './support/disk.js';
import { stage } from './support/stage.js';

const { server, arrive } = stage();
let disk: Disk | undefined;
afterAll(() => disk?.remove());

async function isReady(): Promise<boolean> {
  return (await fetch(new URL('ready', server.url))).ok;
}

it('while the disk is full nothing is called saved; once it is not, everything is', async () => {
  await server.stop('SIGTERM');
  disk = new Disk(server.systemFolder, '64m');
  await server.start();
  const [ada, ben] = await Promise.all([arrive('Ada'), arrive('Ben')]);
  await Promise.all([ada.edit('welcome'), ben.edit('welcome')]);
  await ada.append('Before. ');
  await ada.reaches('saved');

  disk.fill();
  // The files may have some room left of their own.
  await expect
    .poll(async () => {
      await ada.type('x');
      return await isReady();
    })
    .toBe(false);
  await ada.type(' On a full disk.');
  await ben.sees('On a full disk.');
  expect(await isReady()).toBe(false);
  await ada.reaches('saving');
  expect(await ada.page.title()).toMatch(/^• /);

  disk.free();
  await ada.reaches('saved');
  expect(await isReady()).toBe(true);
  expect(await ada.page.title()).not.toMatch(/^• /);
  const shown = await ada.blocks();

  // Then it is true: somebody who was never there finds it after a crash.
  for (const person of [ada, ben]) person.unreachable = true;
  await server.stop('SIGKILL');
  await server.start();
  const eve = await arrive('Eve');
  await eve.edit('welcome');
  expect(await eve.blocks()).toEqual(shown);
});
