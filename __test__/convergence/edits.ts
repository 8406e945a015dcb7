/** Random edits of every kind a yjs document takes. */

import * as Y from 'yjs';

import type { Chance } from './random.js';

const WORDS = [
  'a',
  'council ',
  'é',
  '😀',
  '👩‍👩‍👧',
  'שלום',
  '\n',
  'long enough to be split more than once ',
  '0',
];
const KEYS = ['title', 'status', 'owner', 'x'];
const MARKS = [
  { strong: {} },
  { em: {} },
  { link: { href: 'https://example.org', title: null } },
  { strong: null },
];
const TAGS = ['paragraph', 'heading', 'blockquote', 'list_item'];

type Edit = (doc: Y.Doc, chance: Chance) => void;

/** A range that does not cut a surrogate pair, as editors select. */
function range(text: string, chance: Chance): [number, number] {
  const isLow = (at: number): boolean => (text.charCodeAt(at) & 0xfc00) === 0xdc00;
  let start = chance.int(0, text.length);
  let end = Math.min(text.length, start + chance.int(1, 6));
  if (isLow(start)) start -= 1;
  if (isLow(end)) end += 1;
  return [start, end - start];
}

function editText(text: Y.Text, chance: Chance): void {
  // Formats are items too, so the positions are those of the visible text.
  const visible = text
    .toDelta()
    .map(({ insert }: { insert: unknown }) => (typeof insert === 'string' ? insert : '\u0001'))
    .join('');
  const [start, length] = range(visible, chance);
  const dice = chance.next();
  if (dice < 0.5 || visible.length === 0) text.insert(start, chance.pick(WORDS));
  else if (dice < 0.6) text.insert(start, chance.pick(WORDS), chance.pick(MARKS));
  else if (dice < 0.85) text.delete(start, length);
  else text.format(start, length, chance.pick(MARKS));
}

function value(chance: Chance): unknown {
  switch (chance.int(0, 6)) {
    case 0:
      return chance.int(-1_000_000, 1_000_000);
    case 1:
      return chance.pick(WORDS);
    case 2:
      return null;
    case 3:
      return { nested: [1, { deep: '😀' }], flag: true };
    case 4:
      return Uint8Array.of(1, 2, 255);
    case 5:
      return new Y.Text(chance.pick(WORDS));
    default:
      return chance.next();
  }
}

const editMap: Edit = (doc, chance) => {
  const map = doc.getMap('m');
  const key = chance.pick(KEYS);
  const present = map.get(key);
  if (present instanceof Y.Text && chance.of(0.5)) editText(present, chance);
  else if (chance.of(0.25)) map.delete(key);
  else map.set(key, value(chance));
};

const editArray: Edit = (doc, chance) => {
  const list = doc.getArray('l');
  const at = chance.int(0, list.length);
  if (list.length > 0 && chance.of(0.4)) {
    const start = Math.min(at, list.length - 1);
    list.delete(start, Math.min(chance.int(1, 3), list.length - start));
  } else if (chance.of(0.2)) {
    list.insert(at, [new Y.Map([[chance.pick(KEYS), value(chance)]]), new Y.Array()]);
  } else {
    list.insert(
      at,
      Array.from({ length: chance.int(1, 3) }, () => value(chance)),
    );
  }
};

const editXml: Edit = (doc, chance) => {
  let parent: Y.XmlFragment | Y.XmlElement = doc.getXmlFragment('default');
  for (let depth = 0; depth < 4; depth += 1) {
    const inner: Y.XmlElement[] = parent.toArray().filter((node) => node instanceof Y.XmlElement);
    if (inner.length === 0 || chance.of(0.3)) break;
    parent = chance.pick(inner);
  }
  const dice = chance.next();
  const children = parent.toArray();
  const texts = children.filter((node) => node instanceof Y.XmlText);
  if (dice < 0.3) {
    const element = new Y.XmlElement(chance.pick(TAGS));
    const text = new Y.XmlText();
    text.insert(0, chance.pick(WORDS));
    element.insert(0, [text]);
    parent.insert(chance.int(0, parent.length), [element]);
  } else if (dice < 0.4) {
    parent.insert(chance.int(0, parent.length), [new Y.XmlText(chance.pick(WORDS))]);
  } else if (dice < 0.7 && texts.length > 0) {
    editText(chance.pick(texts), chance);
  } else if (dice < 0.85 && parent instanceof Y.XmlElement) {
    const key = chance.pick(['level', 'class', 'order']);
    if (chance.of(0.3)) parent.removeAttribute(key);
    // Editors keep numbers as numbers, whatever yjs' types say.
    else parent.setAttribute(key, chance.pick<unknown>([1, 2, 'wide', null, [1, 2]]) as string);
  } else if (parent.length > 0) {
    parent.delete(chance.int(0, parent.length - 1), 1);
  }
};

const EDITS: Edit[] = [
  (doc, chance) => editText(doc.getText('t'), chance),
  (doc, chance) => editText(doc.getText('t'), chance),
  editMap,
  editArray,
  editXml,
  editXml,
];

/** One user action: one edit, or several in one transaction. */
export function edit(doc: Y.Doc, chance: Chance): void {
  doc.transact(() => {
    const count = chance.of(0.15) ? chance.int(2, 4) : 1;
    for (let number = 0; number < count; number += 1) chance.pick(EDITS)(doc, chance);
  });
}

/** Everything the document says, and how far each client got. */
export function contentOf(doc: Y.Doc): string {
  return canonical({
    vector: vectorOf(doc),
    text: doc.getText('t').toDelta(),
    map: doc.getMap('m').toJSON(),
    list: doc.getArray('l').toJSON(),
    xml: doc.getXmlFragment('default').toArray().map(xmlOf),
  });
}

function xmlOf(node: unknown): unknown {
  if (node instanceof Y.XmlElement) {
    return [node.nodeName, node.getAttributes(), node.toArray().map(xmlOf)];
  }
  return node instanceof Y.XmlText ? node.toDelta() : String(node);
}

/** JSON with sorted keys: an object's order of keys is no part of what a document says. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    if (inner instanceof Uint8Array) return { bytes: [...inner] };
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

export function vectorOf(doc: Y.Doc): string {
  return JSON.stringify([...Y.decodeStateVector(Y.encodeStateVector(doc))].sort());
}

/** What waits inside yjs for something that never came. */
export function pendingOf(doc: Y.Doc): string | null {
  const { pendingStructs, pendingDs } = doc.store;
  return pendingStructs === null && pendingDs === null
    ? null
    : JSON.stringify({ missing: [...(pendingStructs?.missing ?? [])], deletes: pendingDs?.length });
}
