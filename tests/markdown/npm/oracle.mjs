/**
 * What the npm chain makes of texts, one JSON object per line, for the tests in Rust to compare with.
 *
 * node oracle.mjs civicpress|tiptap specs|records|texts|trees|edits [first seed] [count]
 */

import { readFileSync, readdirSync } from 'node:fs';
import { prosemirrorToYDoc, yDocToProsemirrorJSON, yXmlFragmentToProseMirrorRootNode } from 'y-prosemirror';
import { Node } from 'prosemirror-model';
import * as Y from 'yjs';

import { civicpress, tiptap } from './chain.mjs';
import { edited } from './edits.mjs';
import { markup, mutated, noise, written } from './texts.mjs';
import { tree } from './trees.mjs';

const [names, suite, first = '0', count = '0'] = process.argv.slice(2);
const { called, parser, schema, serializer } = { civicpress, tiptap }[names];

const near = (path) => new URL(path, import.meta.url);
const json = (name) => JSON.parse(readFileSync(near(`../specs/${name}.json`), 'utf8'));

/** A record's front matter is no part of its document. */
const HEAD = /^---\n[^]*?\n---\n+/;

const records = () =>
  readdirSync(near('../records/'))
    .sort()
    .map((name) => ({
      name: `record ${name}`,
      markdown: readFileSync(near(`../records/${name}`), 'utf8').replace(HEAD, ''),
    }));

const listed = (name) => json(name).map((markdown, at) => ({ name: `${name} ${at + 1}`, markdown }));

const SUITES = {
  specs: () => [...listed('snippets'), ...listed('commonmark-0.31.2'), ...listed('gfm-tables')],
  records,
  texts: (first, count) => {
    const corpus = [...SUITES.specs(), ...records()].map(({ markdown }) => markdown);
    const kinds = { noise, markup, written, mutated: (seed) => mutated(seed, corpus) };
    return Object.entries(kinds).flatMap(([name, make]) =>
      Array.from({ length: count }, (_, at) => ({
        name: `${name} ${first + at}`,
        markdown: make(first + at),
      })),
    );
  },
  edits: (first, count) =>
    Array.from({ length: count }, (_, at) => ({
      name: `edits ${first + at}`,
      ydoc: edited(schema, called, first + at),
    })),
  trees: (first, count) =>
    Array.from({ length: count }, (_, at) => ({
      name: `tree ${first + at}`,
      doc: tree(schema, called, first + at),
    })),
};

function expectation({ name, markdown, doc, ydoc }) {
  if (ydoc !== undefined) {
    // It deletes what concurrent edits left that the schema does not allow, as each editor does.
    doc = yXmlFragmentToProseMirrorRootNode(ydoc.getXmlFragment('default'), schema);
  }
  doc ??= parser.parse(markdown);
  ydoc ??= prosemirrorToYDoc(doc, 'default');
  // The shared document has no marks on inline atoms, so what is saved of a tree is what it reads back as.
  const shared = Node.fromJSON(schema, yDocToProsemirrorJSON(ydoc, 'default'));
  const written = serializer.serialize(doc);
  return {
    name,
    markdown,
    tree: doc.toJSON(),
    written,
    again: serializer.serialize(parser.parse(written)),
    shared: serializer.serialize(shared),
    update: Buffer.from(Y.encodeStateAsUpdate(ydoc)).toString('base64'),
  };
}

for (const one of SUITES[suite](Number(first), Number(count))) {
  let expected;
  try {
    expected = expectation(one);
  } catch (error) {
    // A table within a table's cell: the editor cannot save such a document at all.
    if (!/^Token type `table` not supported/.test(error.message)) throw error;
    continue;
  }
  process.stdout.write(`${JSON.stringify(expected)}\n`);
}
