import { expect, it } from 'vitest';

import { stage } from './support/stage.js';

const { server, arrive } = stage();

const REFUSED = [/status of 401/];

it.each(['bad', 'expired'])('a token that is %s leads to the sign-in, in plain words', async (kind) => {
  const someone = await arrive('Someone');
  const { page } = someone;
  someone.expected.push(...REFUSED);
  const token = kind === 'bad' ? 'aaaa.bbbb.cccc' : await server.token('Ada', 'editor', '1s');
  if (kind === 'expired') await page.waitForTimeout(1100);
  for (const path of ['', 'edit?record=welcome']) {
    await page.goto(`${server.url}${path}#token=${token}`);
    const problem = page.locator('#sign-in-problem');
    await expect.poll(() => problem.textContent()).toBe('Your session has ended. Please sign in again.');
    expect(await page.locator('#sign-in-token').isVisible()).toBe(true);
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
  }
});

it('without a token both pages ask for one', async () => {
  const { page } = await arrive('Someone');
  for (const path of ['', 'edit?record=welcome']) {
    await page.goto(`${server.url}${path}`);
    await page.locator('#sign-in-token').waitFor();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('sign-in-token');
  }
});

it('a session that ends is announced, and a new sign-in goes on where it ended', async () => {
  const ada = await arrive('Ada');
  const { page } = ada;
  ada.expected.push(...REFUSED);
  const token = await server.token('Ada', 'editor', '6s');
  await page.goto(`${server.url}edit?record=welcome#token=${token}`);
  await ada.reaches('saved');
  await ada.append('Before the end.');
  await ada.reaches('saved');
  const banner = page.locator('#banner-text');
  await expect.poll(() => banner.textContent()).toContain('Your session ends at ');
  await expect.poll(() => banner.textContent()).toContain('Your session has ended.');
  await ada.reaches('offline');
  await ada.append('After the end.');

  await page.locator('#banner-action').click();
  await page.locator('#sign-in-token').fill(await server.token('Ada', 'editor'));
  await page.keyboard.press('Enter');
  await ada.reaches('saved');
  await ada.sees('Before the end.');
  await ada.seesMarkdown('After the end.');
  expect(await page.locator('#banner').isVisible()).toBe(false);
});

it('a record that does not exist is said to be missing', async () => {
  const someone = await arrive('Someone');
  const { page } = someone;
  someone.expected.push(/^Permission denied to access /);
  const token = await server.token('Ada', 'editor');
  await page.goto(`${server.url}edit?record=no-such-record#token=${token}`);
  await expect
    .poll(() => page.locator('#unavailable-title').textContent())
    .toBe('This record cannot be opened');
  expect(await page.locator('#unavailable-text').textContent()).toMatch(/does not exist|no such record/i);
  expect(await page.locator('#banner').isVisible()).toBe(false);
  expect(await page.getByTestId('editor').count()).toBe(0);
  await page.goto(`${server.url}edit?record=..%2Fsecret`);
  await expect.poll(() => page.locator('#unavailable-title').textContent()).toBe('Which record?');
  await page.getByRole('link', { name: 'Back to the records' }).click();
  await page.getByTestId('record-link').first().waitFor();
});

it('what others wrote, and how they call themselves, runs nothing', async () => {
  const image = '<img src=x onerror="window.ran = 1">';
  server.write('hostile', '# Hostile\n\n[a link](javascript:window.ran=1)\n');
  server.write('html', `# Hostile\n\n${image}\n\nText. <script>window.ran = 1</script>\n`);
  const [ada, mallory] = await Promise.all([arrive('Ada'), arrive(image)]);
  // What the editor would drop makes a record read only, and says so.
  ada.expected.push(/^Permission denied to access /);
  const token = await server.token('Ada', 'editor');
  await ada.page.goto(`${server.url}edit?record=html#token=${token}`);
  await ada.reaches('readonly');
  await expect.poll(() => ada.page.locator('#banner').textContent()).toContain('The editor would lose');
  expect(await ada.page.evaluate(() => 'ran' in window)).toBe(false);
  await Promise.all([ada.edit('hostile'), mallory.edit('hostile')]);
  await mallory.append(image);
  await ada.sees(image);
  await ada.seesMarkdown(image);
  await expect.poll(() => ada.cursors()).toEqual([image]);
  const link = ada.editor.getByText('a link');
  await link.click({ modifiers: ['ControlOrMeta'] });
  expect(await link.evaluate((element) => element.closest('a')?.getAttribute('href') ?? null)).toBe(null);
  for (const { page } of [ada, mallory]) {
    expect(await page.locator('img[src]').count()).toBe(0);
    expect(await page.evaluate(() => 'ran' in window)).toBe(false);
    expect(page.context().pages()).toHaveLength(1);
  }
});
