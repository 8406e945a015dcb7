/** One server and one browser per file of tests; people come and go with each test. */

import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { chromium, type Browser, type BrowserContextOptions } from 'playwright-core';

import { Person } from './person.js';
import { Server } from './server.js';

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export interface Stage {
  readonly server: Server;
  arrive(name: string, options?: BrowserContextOptions): Promise<Person>;
}

export function stage(server = new Server()): Stage {
  let browser: Browser;
  let people: Person[] = [];

  beforeAll(async () => {
    const executablePath = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';
    [browser] = await Promise.all([chromium.launch({ executablePath, args: ARGS }), server.start()]);
  });
  afterEach(async () => {
    const present = people.splice(0);
    await Promise.all(present.map((person) => person.context.close()));
    // Whatever a test is about: the console of every page stays clean.
    expect(present.flatMap(({ name, problems }) => problems.map((problem) => `${name}: ${problem}`))).toEqual(
      [],
    );
  });
  afterAll(async () => {
    await browser?.close();
    await server.remove();
  });

  return {
    server,
    async arrive(name, options) {
      const person = await Person.arrive(browser, server, name, options);
      people.push(person);
      return person;
    },
  };
}
