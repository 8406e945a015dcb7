/** Generated documents of the editor, also those that no Markdown says. */

import { random } from './random.mjs';

const TEXTS = [
  'word', ' two words ', '*', '_', '__x__', '# a', '- b', '1. c', '> d', '+ e', '`', '``', '\\', '[x]', '![', '!', '<b>', '&amp;',
  '|', '~', 'https://example.org', ' ', '  ', '\u00a0', 'é😀', 'מועצה', 'a_b', '---', '===', 'x.', '1)', '12. ', '#', '(', ')', '"',
]; // prettier-ignore
const HREFS = ['https://example.org', '/a b', 'a(b)c', 'x"y', '', 'mailto:a@b.c', '#top'];
const TITLES = [null, 'Title', 'a "b"', ''];

/** A valid tree of the schema, as JSON would have it. */
export function tree(schema, seed) {
  const chances = random(seed);
  return schema.node(
    'doc',
    null,
    chances.times(1, 4, () => block(schema, chances, 2)),
  );
}

function block(schema, chances, depth) {
  const { below, chance, pick, times } = chances;
  const blocks = (min, max) => times(min, max, () => block(schema, chances, depth - 1));
  const item = () =>
    schema.node('list_item', null, [paragraph(schema, chances), ...(chance(0.4) ? blocks(0, 2) : [])]);
  const kind = below(depth > 0 ? 9 : 5);
  if (kind < 2) return paragraph(schema, chances);
  if (kind === 2) return schema.node('heading', { level: 1 + below(6) }, line(schema, chances));
  if (kind === 3) {
    const code = times(0, 3, () => pick(TEXTS)).join(pick(['', '\n']));
    return schema.node('code_block', { params: pick(['', 'js', 'a b']) }, code ? [schema.text(code)] : []);
  }
  if (kind === 4) return schema.node('horizontal_rule');
  if (kind === 5) return schema.node('blockquote', null, blocks(1, 3));
  if (kind === 6) return schema.node('bullet_list', null, times(1, 3, item));
  if (kind === 7) return schema.node('ordered_list', { order: pick([1, 0, 3, 9, 99]) }, times(1, 3, item));
  const columns = 1 + below(3);
  const aligns = Array.from({ length: columns }, () => pick([null, 'left', 'center', 'right']));
  const row = (name) =>
    schema.node(
      'table_row',
      null,
      aligns.map((align) =>
        schema.node(
          name,
          { align },
          chance(0.8) ? [paragraph(schema, chances)] : times(1, 2, () => block(schema, chances, 0)),
        ),
      ),
    );
  return schema.node('table', null, [row('table_header'), ...times(0, 3, () => row('table_cell'))]);
}

const paragraph = (schema, chances) => schema.node('paragraph', null, line(schema, chances));

function line(schema, chances) {
  const { below, chance, pick, times } = chances;
  return times(0, 6, () => {
    const marks = [
      ...(chance(0.2) ? [schema.mark('link', { href: pick(HREFS), title: pick(TITLES) })] : []),
      ...['em', 'strong', 'code'].filter(() => chance(0.25)).map((name) => schema.mark(name)),
    ];
    const kind = below(10);
    if (kind === 0) return schema.node('hard_break');
    if (kind === 1)
      return schema.node('image', { src: pick(HREFS), alt: pick([null, 'x', 'a]b']), title: pick(TITLES) });
    if (kind === 2) {
      const refType = pick(['record', 'geography', 'attachment']);
      return schema.node('civicRef', { refType, id: pick(['r', 'a"b--c']), label: pick(['', 'l "q" -- d']) });
    }
    return schema.text(pick(TEXTS), marks);
  });
}
