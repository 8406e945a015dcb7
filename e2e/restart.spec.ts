import { expect, it } from 'vitest';

import type { Person } from './support/person.js';
import { stage } from './support/stage.js';

const { server, arrive } = stage();

const RECORD = 'park-renovation-proposal';

async function bothAgree(people: Person[], lines: string[]): Promise<void> {
  for (const person of people) {
    for (const line of lines) await person.sees(line);
    await person.reaches('saved');
    for (const line of lines) await person.seesMarkdown(line);
  }
  const texts = await Promise.all(people.map((person) => person.blocks()));
  for (const text of texts) {
    expect(text).toEqual(texts[0]);
    for (const line of lines) expect(text.filter((block) => block === line)).toHaveLength(1);
    // Nothing of the sample is there twice either.
    const long = text.filter((block) => block.length > 30);
    expect(new Set(long).size).toBe(long.length);
  }
}

it('a restart and a crash of the server lose and double nothing', async () => {
  const people = await Promise.all([arrive('Ada'), arrive('Ben')]);
  const [ada, ben] = people as [Person, Person];
  await Promise.all(people.map((person) => person.edit(RECORD)));
  const lines = ['Before the restart.'];
  await ada.append('Before the restart.');
  await bothAgree(people, lines);
  const shown = await ada.markdown();

  for (const person of people) person.unreachable = true;
  await server.stop('SIGTERM');
  await Promise.all(people.map((person) => person.reaches('offline')));
  expect(server.read(RECORD)).toContain(shown.trim());

  await ada.append('Ada, while it was away.');
  lines.push('Ada, while it was away.');
  await server.start();
  await Promise.all(people.map((person) => person.reaches('saved')));
  await bothAgree(people, lines);
  await ben.append('Ben, after the restart.');
  lines.push('Ben, after the restart.');
  await bothAgree(people, lines);

  // Killed in the middle of the typing of both: what was not stored yet is still in the tabs.
  await ada.append('Ada');
  await ben.sees('Ada');
  await ben.append('Ben');
  await ada.sees('Ben');
  const typing = Promise.all([ada.type(' types through the crash.'), ben.type(' types through it, too.')]);
  await ada.page.waitForTimeout(200);
  await server.stop('SIGKILL');
  await typing;
  await Promise.all(people.map((person) => person.reaches('offline')));
  await server.start();
  await Promise.all(people.map((person) => person.reaches('saved')));
  lines.push('Ada types through the crash.', 'Ben types through it, too.');
  await bothAgree(people, lines);
  await ada.append('Ada, after the crash.');
  lines.push('Ada, after the crash.');
  await bothAgree(people, lines);

  const last = await ben.markdown();
  for (const person of people) person.unreachable = true;
  await server.stop('SIGTERM');
  expect(server.read(RECORD)).toContain(last.trim());

  // Someone who was never there gets the same from the disk alone.
  await server.start();
  const eve = await arrive('Eve');
  await eve.edit(RECORD);
  await bothAgree([eve, ...people], lines);
});
