/** Generated documents of the editor, also those that no Markdown says. */

import { random } from './random.mjs';

const TEXTS = [
  'word', ' two words ', '*', '_', '__x__', '# a', '- b', '1. c', '> d', '+ e', '`', '``', '\\', '[x]', '![', '!', '<b>', '&amp;',
  '|', '~', 'https://example.org', ' ', '  ', '\u00a0', 'é😀', 'מועצה', 'a_b', '---', '===', 'x.', '1)', '12. ', '#', '(', ')', '"',
]; // prettier-ignore
const HREFS = ['https://example.org', '/a b', 'a(b)c', 'x"y', '', 'mailto:a@b.c', '#top'];
const TITLES = [null, 'Title', 'a "b"', ''];

/** A valid tree of the schema. */
export function tree(schema, called, seed) {
  const chances = random(seed);
  const make = maker(schema, called);
  return make.node(
    'doc',
    null,
    chances.times(1, 4, () => block(make, chances, 2)),
  );
}

/** Makes nodes and marks of a schema by CivicPress's names. */
function maker(schema, called) {
  const renamed = (attrs) =>
    attrs && Object.fromEntries(Object.entries(attrs).map(([name, value]) => [called(name), value]));
  return {
    node: (name, attrs, content) => schema.node(called(name), renamed(attrs), content),
    mark: (name, attrs) => schema.mark(called(name), attrs),
    text: (text, marks) => schema.text(text, marks),
  };
}

function block(make, chances, depth) {
  const { below, chance, pick, times } = chances;
  const blocks = (min, max) => times(min, max, () => block(make, chances, depth - 1));
  const item = () =>
    make.node('list_item', null, [paragraph(make, chances), ...(chance(0.4) ? blocks(0, 2) : [])]);
  const kind = below(depth > 0 ? 9 : 5);
  if (kind < 2) return paragraph(make, chances);
  if (kind === 2) return make.node('heading', { level: 1 + below(6) }, line(make, chances));
  if (kind === 3) {
    const code = times(0, 3, () => pick(TEXTS)).join(pick(['', '\n']));
    return make.node('code_block', { params: pick(['', 'js', 'a b']) }, code ? [make.text(code)] : []);
  }
  if (kind === 4) return make.node('horizontal_rule');
  if (kind === 5) return make.node('blockquote', null, blocks(1, 3));
  if (kind === 6) return make.node('bullet_list', null, times(1, 3, item));
  if (kind === 7) return make.node('ordered_list', { order: pick([1, 0, 3, 9, 99]) }, times(1, 3, item));
  const columns = 1 + below(3);
  const aligns = Array.from({ length: columns }, () => pick([null, 'left', 'center', 'right']));
  const row = (name) =>
    make.node(
      'table_row',
      null,
      aligns.map((align) =>
        make.node(
          name,
          { align },
          chance(0.8) ? [paragraph(make, chances)] : times(1, 2, () => block(make, chances, 0)),
        ),
      ),
    );
  return make.node('table', null, [row('table_header'), ...times(0, 3, () => row('table_cell'))]);
}

const paragraph = (make, chances) => make.node('paragraph', null, line(make, chances));

function line(make, chances) {
  const { below, chance, pick, times } = chances;
  return times(0, 6, () => {
    const marks = [
      ...(chance(0.2) ? [make.mark('link', { href: pick(HREFS), title: pick(TITLES) })] : []),
      ...['em', 'strong', 'code'].filter(() => chance(0.25)).map((name) => make.mark(name)),
    ];
    const kind = below(10);
    if (kind === 0) return make.node('hard_break');
    if (kind === 1)
      return make.node('image', { src: pick(HREFS), alt: pick([null, 'x', 'a]b']), title: pick(TITLES) });
    if (kind === 2) {
      const refType = pick(['record', 'geography', 'attachment']);
      return make.node('civicRef', { refType, id: pick(['r', 'a"b--c']), label: pick(['', 'l "q" -- d']) });
    }
    return make.text(pick(TEXTS), marks);
  });
}
