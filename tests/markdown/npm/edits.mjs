/**
 * Documents that several people edited at once in real editors: ProseMirror without a screen, and what
 * y-prosemirror's binding writes into the shared document.
 */

import { joinBackward, setBlockType, splitBlock, toggleMark, wrapIn } from 'prosemirror-commands';
import { splitListItem, wrapInList } from 'prosemirror-schema-list';
import { EditorState, TextSelection } from 'prosemirror-state';
import { addColumnAfter, addRowAfter, deleteColumn } from 'prosemirror-tables';
import { initProseMirrorDoc, prosemirrorToYXmlFragment, updateYFragment } from 'y-prosemirror';
import * as Y from 'yjs';

import { random } from './random.mjs';
import { tree } from './trees.mjs';

const WORDS = [
  'a',
  ' ',
  'word',
  '* x',
  '_',
  '# ',
  '`',
  '[',
  '😀',
  'é',
  '|',
  '1. ',
  '<b>',
  '&amp;',
  'https://example.org',
  '  ',
];
const PEOPLE = 3;
const TURNS = 8;

/** The shared document after all of it. */
export function edited(schema, called, seed) {
  const chances = random(seed);
  const people = Array.from({ length: PEOPLE }, (_, at) => person(schema, at + 1));
  const [first] = people;
  first.ydoc.transact(() => prosemirrorToYXmlFragment(tree(schema, called, seed), first.fragment));
  people.forEach((one) => one.take(first));
  chances.times(TURNS, TURNS, () => {
    // Some edit apart from each other, then all meet.
    people.forEach((one) => chances.chance(0.7) && one.edit(called, chances));
    people.forEach((one) => people.forEach((other) => one.take(other)));
  });
  people.forEach((one) => people.forEach((other) => one.take(other)));
  // As it arrives: halves of characters that a cut left do not survive the way.
  const arrived = new Y.Doc();
  Y.applyUpdate(arrived, Y.encodeStateAsUpdate(first.ydoc));
  return arrived;
}

function person(schema, clientID) {
  const ydoc = new Y.Doc();
  ydoc.clientID = clientID;
  const fragment = ydoc.getXmlFragment('default');
  return {
    ydoc,
    fragment,
    take(other) {
      Y.applyUpdate(ydoc, Y.encodeStateAsUpdate(other.ydoc, Y.encodeStateVector(ydoc)));
    },
    /** A few steps of one person, each as its own transaction. */
    edit(called, chances) {
      const { doc, meta } = initProseMirrorDoc(fragment, schema);
      let state = EditorState.create({ doc });
      chances.times(1, 6, () => {
        state = step(schema, called, chances, state);
        ydoc.transact(() => updateYFragment(ydoc, fragment, state.doc, meta));
      });
    },
  };
}

function step(schema, called, chances, state) {
  const { below, chance, pick } = chances;
  const at = (max) => below(max + 1);
  const size = state.doc.content.size;
  const [from, to] = [at(size), at(size)].sort((a, b) => a - b);
  const end = Math.min(to, from + 12);
  const selected = state.apply(
    state.tr.setSelection(
      TextSelection.between(state.doc.resolve(from), state.doc.resolve(chance(0.5) ? from : end)),
    ),
  );
  const node = (name) => schema.nodes[called(name)];
  const mark = (name) => schema.marks[called(name)];
  const type = (make) => (now, dispatch) => dispatch(make(now.tr));
  const commands = [
    ...Array(4).fill(type((tr) => tr.insertText(pick(WORDS)))),
    type((tr) => tr.deleteSelection()),
    type((tr) => tr.replaceSelectionWith(node('hard_break').create())),
    type((tr) =>
      tr.replaceSelectionWith(
        node('civicRef').create({ refType: 'record', id: `r-${below(9)}`, label: 'L' }),
      ),
    ),
    type((tr) =>
      tr.replaceSelectionWith(node('image').create({ src: 'x.png', alt: pick([null, 'x']), title: null })),
    ),
    splitBlock,
    joinBackward,
    splitListItem(node('list_item')),
    toggleMark(mark('em')),
    toggleMark(mark('strong')),
    toggleMark(mark('code')),
    toggleMark(mark('link'), { href: pick(['https://example.org', '/a']), title: pick([null, 'T']) }),
    setBlockType(node('heading'), { level: 1 + below(3) }),
    setBlockType(node('code_block')),
    setBlockType(node('paragraph')),
    wrapIn(node('blockquote')),
    wrapInList(node('bullet_list')),
    wrapInList(node('ordered_list'), { [called('order')]: 1 + below(5) }),
    addRowAfter,
    addColumnAfter,
    deleteColumn,
  ];
  let next = selected;
  try {
    pick(commands)(selected, (transaction) => (next = selected.apply(transaction)));
  } catch {
    // Some commands fail at places they do not expect, tables' above all; nobody's editor changes then.
  }
  return next;
}
