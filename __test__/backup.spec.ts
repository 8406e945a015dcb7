import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';

import { CLI, connect, node, temporaryFolder, until, type Client } from './support.js';

const ENV = { CIVIC_REALTIME_ROOMS__OPEN_TYPES: 'notes', CIVIC_REALTIME_ROOMS__GRACE_PERIOD_MS: '0' };

function cli(cwd: string, ...args: string[]) {
  return node([CLI, ...args], { cwd, env: ENV });
}

async function run(cwd: string, ...args: string[]) {
  return await cli(cwd, ...args).ended;
}

async function serve(cwd: string) {
  const child = cli(cwd, 'start', '--port', '0');
  const port = Number(/127\.0\.0\.1:(\d+)/.exec(await child.printed('saves everything'))?.[1]);
  const token = (await run(cwd, 'token', '--user', 'ada')).stdout.trim();
  const stop = async (): Promise<void> => {
    child.process.kill('SIGTERM');
    expect((await child.ended).code).toBe(0);
  };
  return { port, token, stop };
}

/** A folder with one record and a database of one note. */
async function stage() {
  const cwd = temporaryFolder();
  mkdirSync(join(cwd, 'data', 'records'), { recursive: true });
  writeFileSync(join(cwd, 'data', 'records', 'budget.md'), '# Budget\n\nFirst draft.\n');
  return cwd;
}

const list = (client: Client): Y.Array<string> => client.doc.getArray<string>('list');

function addParagraph(client: Client, words: string): void {
  const paragraph = new Y.XmlElement('paragraph');
  paragraph.insert(0, [new Y.XmlText(words)]);
  client.doc.getXmlFragment('default').push([paragraph]);
}

/** Edits a record as one visit: the server writes it back and makes a version when the visitor leaves. */
async function visit(cwd: string, words: string): Promise<void> {
  const { port, token, stop } = await serve(cwd);
  const client = connect(port, 'records:budget', token);
  await client.synced;
  addParagraph(client, words);
  const file = join(cwd, 'data', 'records', 'budget.md');
  await until(() => client.doc.getXmlFragment('default').toString().includes(words));
  // Another client has it, so the server has.
  const other = connect(port, 'records:budget', token);
  await until(() => other.doc.getXmlFragment('default').toString().includes(words));
  client.provider.destroy();
  other.provider.destroy();
  await until(() => readFileSync(file, 'utf8').includes(words));
  await stop();
}

describe('backup and restore', () => {
  it('a backup made while people type holds what they had before, and can be restored elsewhere', async () => {
    const cwd = await stage();
    const { port, token, stop } = await serve(cwd);
    const ada = connect(port, 'notes:list', token);
    const bo = connect(port, 'notes:list', token);
    await Promise.all([ada.synced, bo.synced]);
    let number = 0;
    const typing = setInterval(() => list(ada).push([`edit ${number++}`]), 5);
    await until(() => list(bo).length > 50);
    const before = list(bo).length;
    const made = await run(cwd, 'backup', 'copy.db');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toMatch(/copy\.db is complete and verified: 1 room, \d+ log rows?, [\d.]+ kB\.\n$/);
    clearInterval(typing);

    const again = await run(cwd, 'backup', 'copy.db');
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(again.stderr).toContain('copy.db exists; choose another name');
    const refused = await run(cwd, 'restore', 'copy.db');
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^STORE_LOCKED: .*in use by another engine/);
    await stop();

    const elsewhere = await stage();
    const restored = await run(elsewhere, 'restore', join(cwd, 'copy.db'));
    expect(restored).toMatchObject({ code: 0, stderr: '' });
    const { port: newPort, token: newToken, stop: end } = await serve(elsewhere);
    const eve = connect(newPort, 'notes:list', newToken);
    await eve.synced;
    const edits = list(eve).toArray();
    expect(edits.length).toBeGreaterThanOrEqual(before);
    expect(edits).toEqual(edits.map((_, n) => `edit ${n}`));
    // Who typed on brings the rest back.
    const whole = list(ada).length;
    ada.provider.destroy();
    const back = connect(newPort, 'notes:list', newToken);
    Y.applyUpdate(back.doc, Y.encodeStateAsUpdate(ada.doc));
    await until(() => list(eve).length === whole);
    await end();
  });

  it('keeps the database that was there', async () => {
    const cwd = await stage();
    await visit(cwd, 'Second draft.');
    expect((await run(cwd, 'backup', 'copy.db')).code).toBe(0);
    const { code, stdout } = await run(cwd, 'restore', 'copy.db');
    expect(code).toBe(0);
    const place = /is kept as (.*)\.\n$/.exec(stdout)?.[1];
    expect(place).toMatch(/realtime\.db\.replaced-\d+$/);
    expect(existsSync(place as string)).toBe(true);
  });

  it.each([
    [['backup', 'copy.db'], 'there is no database at'],
    [['restore', 'none.db'], 'there is no database at'],
    [['restore', 'rubbish'], 'is not a database'],
    [['snapshots', 'list'], 'there is no database at'],
  ])('%j fails with a reason where there is nothing', async (args, reason) => {
    const cwd = await stage();
    writeFileSync(join(cwd, 'rubbish'), 'rubbish');
    const { code, stdout, stderr } = await run(cwd, ...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(reason);
  });
});

describe('snapshots', () => {
  it('lists, exports and brings back versions', async () => {
    const cwd = await stage();
    await visit(cwd, 'Second draft.');
    await visit(cwd, 'Third draft.');

    const rooms = await run(cwd, 'snapshots', 'list');
    expect(rooms.stdout).toMatch(/^room +newest version +edits since\nrecords:budget +\d+ +0\n$/);
    const versions = await run(cwd, 'snapshots', 'list', 'records:budget');
    const numbers = [...versions.stdout.matchAll(/^(\d+) .* UTC/gm)].map(([, number]) => number);
    expect(numbers.length).toBeGreaterThan(1);
    const oldest = numbers.at(-1) as string;

    const exported = await run(
      cwd,
      ...['snapshots', 'export', 'records:budget', '--version', oldest, '--markdown', '-o', 'old.md'],
    );
    expect(exported).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(join(cwd, 'old.md'), 'utf8')).toBe('# Budget\n\nFirst draft.\n\nSecond draft.\n');
    expect((await run(cwd, 'snapshots', 'export', 'records:budget', '-o', 'now.bin')).code).toBe(0);
    const doc = new Y.Doc();
    Y.applyUpdate(doc, readFileSync(join(cwd, 'now.bin')));
    expect(doc.getXmlFragment('default').toString()).toContain('Third draft.');

    const restored = await run(cwd, 'snapshots', 'restore', 'records:budget', '--version', oldest);
    expect(restored).toMatchObject({ code: 0, stderr: '' });
    expect(restored.stdout).toContain(`records:budget reads as version ${oldest} again`);
    await visit(cwd, 'Another third draft.');
    expect(readFileSync(join(cwd, 'data', 'records', 'budget.md'), 'utf8').trim()).toBe(
      '# Budget\n\nFirst draft.\n\nSecond draft.\n\nAnother third draft.',
    );
  });

  it.each([
    [['records:none'], 'records:none is not in the store'],
    [['records:budget', '--version', '99'], 'records:budget has no version 99'],
  ])('says what is not there: %j', async (args, reason) => {
    const cwd = await stage();
    await visit(cwd, 'Second draft.');
    const { code, stdout, stderr } = await run(cwd, 'snapshots', 'export', ...args, '-o', 'file');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(`VERSION_NOT_FOUND: ${reason}`);
    expect(existsSync(join(cwd, 'file'))).toBe(false);
  });
});
