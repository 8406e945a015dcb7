/** Generated Markdown: noise of characters, noise of markup, and documents as people write them. */

import { random } from './random.mjs';

const CHARACTERS = [...'-*_>#|`~[]()!<>ab😀 \n\n0. :\\&;"\'=+é\t{}/?%^'];

const MARKUP = [
  '\n', '\n', '\n\n', ' ', '  ', '   ', '    ', '\t', '* ', '- ', '+ ', '1. ', '2) ', '10. ', '> ', '>', '# ', '## ',
  '#', '```', '````', '~~~', '`', '``', '---', '***', '===', '- - -', '*', '**', '***', '_', '__', '[', ']', '](', ')',
  '![', '[x](y)', '[x](<y z> "t")', '[x]', '[x]: /y', '[x]: /y "t"', '[x][x]', '<b>', '</b>', '<br>', '<!-- c -->',
  '<div>', '</div>', '<http://a.b>', '<a@b.c>', '&amp;', '&#35;', '&nbsp;', '&copy', '\\', '\\*', '\\\n', '  \n', '|',
  '| a | b |', '|---|---|', '| :-- | --: |', '| - |', 'a | b', '\\|', 'word', 'two words', 'é', '😀', 'http://x.y',
  '<!--civic-ref type="record" id="r" label="l"-->', '<!--civic-ref type="geography" id="g" label=""-->', '!', '"', '\u00a0',
]; // prettier-ignore

const WORDS = [
  'council', 'budget', 'règlement', 'maire', 'séance', '2026', '$1,250.00', 'a_b', 'n°', '3.', 'façade', 'Über', '町役場',
  'מועצה', 'قرار', '😀', '👩‍👩‍👧', 'by-law', '#12', '1*2*3', 'C:\\path', 'R&D', 'x<y', 'e.g.', 'ñandú', '[sic]', '50%', '~10',
]; // prettier-ignore

export function noise(seed) {
  const { pick, times } = random(seed);
  return times(0, 80, () => pick(CHARACTERS)).join('');
}

export function markup(seed) {
  const { pick, times } = random(seed);
  return times(1, 30, () => pick(MARKUP)).join('');
}

/** A text of the corpus with a few pieces put in or cut out. */
export function mutated(seed, corpus) {
  const { below, chance, pick, times } = random(seed);
  let text = pick(corpus).slice(0, 400);
  times(1, 4, () => {
    const at = below(text.length + 1);
    text = chance(0.3)
      ? text.slice(0, at) + text.slice(at + below(6))
      : text.slice(0, at) + pick(MARKUP) + text.slice(at);
  });
  return text.toWellFormed();
}

export function written(seed) {
  const chances = random(seed);
  return blocks(chances, 1, 6, 3);
}

function blocks(chances, min, max, depth) {
  return chances.times(min, max, () => block(chances, depth)).join(chances.chance(0.9) ? '\n\n' : '\n');
}

function block(chances, depth) {
  const { below, chance, pick, times } = chances;
  const line = () => inline(chances, 2);
  const nested = (first, indent) =>
    blocks(chances, 1, 2, depth - 1)
      .split('\n')
      .map((text, at) => (at === 0 ? first + text : text && ' '.repeat(indent) + text))
      .join('\n');
  const kind = below(depth > 0 ? 11 : 7);
  if (kind === 0) return `${'#'.repeat(1 + below(6))} ${line()}`;
  if (kind === 1) return pick(['---', '***', '- - -']);
  if (kind === 2) {
    const fence = pick(['```', '~~~', '````']);
    return `${fence}${pick(['', 'js', ' yaml x="1"'])}\n${times(0, 4, () => pick([line(), '  x', '', '```'])).join('\n')}\n${fence}`;
  }
  if (kind === 3) return table(chances);
  if (kind === 4)
    return pick(['<div>\nraw\n</div>', '<!-- note -->', `    ${pick(WORDS)}\n    code`, `${line()}\n===`]);
  if (kind < 7) return times(1, 3, line).join(pick(['\n', '  \n', '\\\n']));
  if (kind === 7)
    return nested('> ', 0)
      .replace(/\n(?=.)/g, chance(0.8) ? '\n> ' : '\n')
      .replace(/\n\n/g, '\n>\n');
  const separator = pick(['\n', '\n\n']);
  if (kind === 8) {
    const first = pick([0, 1, 7, 99]);
    const mark = pick(['.', ')']);
    return times(1, 4, (at) => nested(`${first + at}${mark} `, `${first + at}`.length + 2)).join(separator);
  }
  const bullet = pick(['-', '*', '+']);
  return times(1, 4, () => nested(`${bullet} `, 2)).join(separator);
}

function table(chances) {
  const { below, chance, pick, times } = chances;
  const columns = 1 + below(4);
  const row = (cell) => `| ${Array.from({ length: columns }, cell).join(' | ')} |`;
  const cell = () => (chance(0.15) ? '' : inline(chances, 1).replace(/\n/g, ' ').replace(/\|/g, '\\|'));
  const rows = times(0, 4, () => row(cell));
  return [row(cell), row(() => pick(['---', ':--', ':-:', '--:', '-'])), ...rows].join('\n');
}

function inline(chances, depth) {
  const { below, chance, pick, times } = chances;
  return times(1, 5, () => {
    const words = () => times(1, 4, () => pick(WORDS)).join(' ');
    if (depth === 0 || chance(0.5)) return words();
    const inner = () => inline(chances, depth - 1);
    return [
      () => `*${inner()}*`,
      () => `**${inner()}**`,
      () => `_${inner()}_`,
      () => `\`${words()}\``,
      () =>
        `[${inner()}](https://example.org/${pick(['', 'a(b)c', 'ä?q=1&r=%20'])}${pick(['', ' "A title"'])})`,
      () => `<https://example.org/${pick(['', 'ü', '?a=b'])}>`,
      () => `![${words()}](plan.png${pick(['', ' "Plan"'])})`,
      () =>
        `<!--civic-ref type="${pick(['record', 'geography', 'attachment'])}" id="${pick(['r-1', 'a/b'])}" label="${pick(['', 'Zoning', '&quot;x&quot; &#45;&#45; y'])}"-->`,
      () =>
        pick(['<b>bold</b>', '<br>', '&amp;', '&eacute;', '\\*', '~~gone~~', 'a\nb', 'https://example.org']),
    ][below(9)]();
  }).join(pick([' ', ' ', '']));
}
