/** The first line of the input is a text as JSON; for each further line it is converted once. */

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { prosemirrorToYDoc, yDocToProsemirrorJSON } from 'y-prosemirror';

import { civicpress } from '../../tests/markdown/npm/chain.mjs';

const { parser, schema, serializer } = civicpress;

/** Milliseconds this thread ran. */
const ran = () => Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6;

const timed = (work) => {
  const since = ran();
  return [work(), ran() - since];
};

let text;
for await (const line of createInterface({ input: process.stdin })) {
  if (text === undefined) {
    text = JSON.parse(line);
    continue;
  }
  const [doc, parse] = timed(() => parser.parse(text));
  const [, serialize] = timed(() => serializer.serialize(doc));
  const [ydoc, share] = timed(() => prosemirrorToYDoc(parser.parse(text), 'default'));
  const [, read] = timed(() => schema.nodeFromJSON(yDocToProsemirrorJSON(ydoc, 'default')));
  process.stdout.write(`${JSON.stringify([parse, serialize, share, read])}\n`);
}
