/** Somebody who types numbered words and remembers which of them the server called durable. */

import * as Y from 'yjs';

import { Client } from '../convergence/client.js';
import type { Chance } from '../convergence/random.js';
import { TOKEN } from './server.js';

/** Where words stand in a room's document: paragraphs of a record, a list elsewhere. */
const isRecord = (room: string): boolean => room.startsWith('records/');

export class Typist {
  readonly name: string;
  readonly room: string;
  readonly client: Client;
  readonly #chance: Chance;
  #typing = false;

  constructor(name: string, room: string, url: string, chance: Chance) {
    this.name = name;
    this.room = room;
    this.client = new Client(url, chance, TOKEN);
    this.#chance = chance;
  }

  get typed(): number {
    return this.client.written.length;
  }

  /** Types a word; `padding` makes a large update of it. */
  type(padding = 0): void {
    const word = `${this.name}x${this.typed + 1}`;
    const doc = this.client.doc;
    const chance = this.#chance;
    doc.transact(() => {
      if (!isRecord(this.room)) {
        const list = doc.getArray<string>('words');
        list.insert(chance.int(0, list.length), [word + ' '.repeat(padding)]);
        return;
      }
      const fragment = doc.getXmlFragment('default');
      const last = fragment.length > 0 ? fragment.get(chance.int(0, fragment.length - 1)) : undefined;
      const text = last instanceof Y.XmlElement && last.nodeName === 'paragraph' ? last.get(0) : undefined;
      if (text instanceof Y.XmlText && chance.of(0.6)) return text.insert(text.length, ` ${word}`);
      const paragraph = new Y.XmlElement('paragraph');
      paragraph.insert(0, [new Y.XmlText(word)]);
      fragment.insert(chance.int(0, fragment.length), [paragraph]);
    });
  }

  /** Types until told to stop. */
  async keepTyping(): Promise<void> {
    this.#typing = true;
    while (this.#typing) {
      if (this.client.isSynced) this.type();
      await new Promise((resolve) => setTimeout(resolve, this.#chance.int(1, 12)));
    }
  }

  stop(): void {
    this.#typing = false;
  }
}

/** How often each word stands in a document. */
export function wordsOf(doc: Y.Doc, room: string): Map<string, number> {
  const text = isRecord(room)
    ? doc
        .getXmlFragment('default')
        .toString()
        .replace(/<[^>]*>/g, ' ')
    : doc.getArray<string>('words').toArray().join(' ');
  return countWords(text);
}

export function countWords(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [word] of text.matchAll(/\b[a-z]+\d+[a-z]\d+x\d+\b/g)) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

/** What is wrong with these words, if `expected` of each typist must be there. */
export function faults(words: Map<string, number>, typists: Typist[], expected: (typist: Typist) => number) {
  const found: string[] = [];
  for (const [word, count] of words) if (count > 1) found.push(`${word} stands there ${count} times`);
  for (const typist of typists) {
    const numbers = [...words.keys()]
      .filter((word) => word.startsWith(`${typist.name}x`))
      .map((word) => Number(word.slice(typist.name.length + 1)));
    const there = new Set(numbers);
    const highest = Math.max(0, ...numbers);
    for (let number = 1; number <= Math.max(highest, expected(typist)); number += 1) {
      if (!there.has(number)) {
        found.push(`${typist.name}x${number} is missing (highest ${highest}, due ${expected(typist)})`);
      }
    }
  }
  return found;
}
