/** Rooms, their typists, and what must hold after a crash. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Client } from '../convergence/client.js';
import { Chance } from '../convergence/random.js';
import { until } from '../support.js';
import { TOKEN, type Server } from './server.js';
import { countWords, faults, Typist, wordsOf } from './typist.js';

const TYPISTS_PER_ROOM = 2;
const FIRST_LINE = '---\ntitle: Minutes\n---\n';
const LAST_LINE = 'The last line of the record.';

/** Some rooms of both kinds with people in them. */
export class Play {
  readonly typists: Typist[];
  readonly #server: Server;
  readonly #rooms: string[];

  constructor(server: Server, number: number, chance: Chance, open = 2, records = 2) {
    this.#server = server;
    this.#rooms = [
      ...Array.from({ length: open }, (_, index) => `notes/n${number}-${index}`),
      ...Array.from({ length: records }, (_, index) => `records/r${number}-${index}`),
    ];
    for (const room of this.#records()) {
      writeFileSync(this.#file(room), `${FIRST_LINE}\n# Minutes\n\nSome text.\n\n${LAST_LINE}\n`);
    }
    this.typists = this.#rooms.flatMap((room, index) =>
      Array.from(
        { length: TYPISTS_PER_ROOM },
        (_, who) =>
          // The last letter keeps one name from being the beginning of another.
          new Typist(
            `w${number}a${index * TYPISTS_PER_ROOM + who}`,
            room,
            server.url(room),
            new Chance(chance.int(0, 2 ** 31)),
          ),
      ),
    );
  }

  connect(): void {
    for (const { client } of this.typists) client.connect();
  }

  /** They go: the rooms will be empty. */
  leave(): void {
    for (const typist of this.typists) {
      typist.stop();
      typist.client.leave();
    }
  }

  keepTyping(): void {
    for (const typist of this.typists) void typist.keepTyping();
  }

  get durable(): number {
    return this.typists.reduce((sum, { client }) => sum + client.durable, 0);
  }

  /** Nobody of them is connected: what strangers get is what the server kept. */
  async checkKept(): Promise<void> {
    const due = new Map(this.typists.map((typist) => [typist, typist.client.durable]));
    await this.#check('after the crash', (typist) => due.get(typist) ?? 0);
  }

  /** They come back with what they have; the rooms take it, each word once. */
  async checkWritable(): Promise<void> {
    this.connect();
    await until(() => this.typists.every(({ client }) => client.isSynced));
    for (const typist of this.typists) typist.type();
    await until(() => this.typists.every(({ client, typed }) => client.durable === typed));
    await this.#check('after their return', (typist) => typist.typed);
  }

  async #check(when: string, due: (typist: Typist) => number): Promise<void> {
    await Promise.all(
      this.#rooms.map(async (room) => {
        const stranger = new Client(this.#server.url(room), new Chance(1), TOKEN);
        const inRoom = this.typists.filter((typist) => typist.room === room);
        try {
          stranger.connect();
          await until(() => stranger.isSynced);
          const found = faults(wordsOf(stranger.doc, room), inRoom, due);
          if (found.length > 0) throw new Error(`${room} ${when}:\n${found.slice(0, 20).join('\n')}`);
        } finally {
          stranger.destroy();
        }
      }),
    );
  }

  /** A record's file is an old text or a new one, whole, whenever it is looked at. */
  checkFiles(): void {
    for (const room of this.#records()) {
      const text = readFileSync(this.#file(room), 'utf8');
      const torn = !text.startsWith(FIRST_LINE) || text.split(LAST_LINE).length !== 2 || !text.endsWith('\n');
      const twice = [...countWords(text)].filter(([, count]) => count > 1);
      if (torn || twice.length > 0) throw new Error(`${room}: torn or doubled on disk:\n${text}`);
    }
  }

  end(): void {
    for (const typist of this.typists) {
      typist.stop();
      typist.client.destroy();
    }
  }

  #records(): string[] {
    return this.#rooms.filter((room) => room.startsWith('records/'));
  }

  #file(room: string): string {
    return join(this.#server.records, `${room.slice('records/'.length)}.md`);
  }
}

/** Everything below a folder, for a failure's report. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
}
