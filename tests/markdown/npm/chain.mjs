/**
 * The editor's own chain: markdown-it → prosemirror-markdown → y-prosemirror, put together as CivicPress does it.
 *
 * The packages' versions count, since the serializer's edge cases changed between them (package.json pins them).
 */

import MarkdownIt from 'markdown-it';
import Token from 'markdown-it/lib/token.mjs';
import {
  MarkdownParser,
  MarkdownSerializer,
  defaultMarkdownParser,
  defaultMarkdownSerializer,
} from 'prosemirror-markdown';
import { Schema } from 'prosemirror-model';
import { nodes as basicNodes, marks as basicMarks } from 'prosemirror-schema-basic';
import { bulletList, listItem, orderedList } from 'prosemirror-schema-list';
import { tableNodes } from 'prosemirror-tables';

const REF_TYPES = ['record', 'geography', 'attachment'];
const ALIGNMENTS = ['left', 'center', 'right'];
const DELIMITERS = { left: ':--', center: ':-:', right: '--:' };

// The schema: basic nodes, lists without `tight`, tables with `align`, and the reference atom.

export const schema = new Schema({
  nodes: {
    ...basicNodes,
    code_block: { ...basicNodes.code_block, attrs: { params: { default: '' } } },
    ordered_list: { ...orderedList, content: 'list_item+', group: 'block' },
    bullet_list: { ...bulletList, content: 'list_item+', group: 'block' },
    list_item: { ...listItem, content: 'paragraph block*' },
    ...tableNodes({
      tableGroup: 'block',
      cellContent: 'block+',
      cellAttributes: { align: { default: null } },
    }),
    civicRef: {
      group: 'inline',
      inline: true,
      atom: true,
      attrs: { refType: { default: 'record' }, id: { default: '' }, label: { default: '' } },
    },
  },
  marks: basicMarks,
});

// Markdown to tree.

const COMMENT = /^<!--civic-ref\s+type="([^"]+)"\s+id="([^"]+)"\s+label="([^"]*)"-->$/;

const tokenizer = MarkdownIt('commonmark', { html: true });
tokenizer.enable('table');
tokenizer.core.ruler.push('references', (state) => {
  for (const block of state.tokens) {
    for (const child of (block.type === 'inline' && block.children) || []) {
      if (child.type === 'html_inline' && COMMENT.test(child.content)) child.type = 'reference';
    }
  }
});
tokenizer.core.ruler.push('cell_paragraphs', (state) => {
  state.tokens = state.tokens.flatMap((token, index, all) => {
    const before = all[index - 1]?.type;
    const inCell = token.type === 'inline' && (before === 'th_open' || before === 'td_open');
    if (!inCell) return [token];
    return [new Token('paragraph_open', 'p', 1), token, new Token('paragraph_close', 'p', -1)];
  });
});

const cellAttrs = (token) => {
  const style = token.attrGet('style') ?? '';
  return { align: ALIGNMENTS.find((side) => style.includes(`text-align:${side}`)) ?? null };
};

export const parser = new MarkdownParser(schema, tokenizer, {
  ...defaultMarkdownParser.tokens,
  reference: {
    node: 'civicRef',
    getAttrs: (token) => {
      const [, type, id, label] = COMMENT.exec(token.content);
      return {
        refType: REF_TYPES.includes(type) ? type : 'record',
        id,
        label: label.replaceAll('&quot;', '"').replaceAll('&#45;&#45;', '--'),
      };
    },
  },
  table: { block: 'table' },
  thead: { ignore: true },
  tbody: { ignore: true },
  tr: { block: 'table_row' },
  th: { block: 'table_header', getAttrs: cellAttrs },
  td: { block: 'table_cell', getAttrs: cellAttrs },
  html_inline: { ignore: true, noCloseToken: true },
  html_block: { ignore: true, noCloseToken: true },
});

// Tree to Markdown.

const attribute = (value) => value.replaceAll('"', '&quot;').replaceAll('--', '&#45;&#45;');

const civicRef = (state, { attrs }) =>
  state.write(
    `<!--civic-ref type="${attribute(attrs.refType)}" id="${attribute(attrs.id)}" label="${attribute(attrs.label)}"-->`,
  );

const cellSerializer = new MarkdownSerializer(
  {
    ...defaultMarkdownSerializer.nodes,
    civicRef,
    paragraph: (state, node) => state.renderInline(node),
    hard_break: (state) => state.write('<br>'),
  },
  defaultMarkdownSerializer.marks,
);

const cellText = (cell) =>
  cellSerializer
    .serialize(cell, { tightLists: true })
    .replace(/[\r\n]+/g, ' ')
    .trim()
    .replace(/\|/g, '\\|');

export const serializer = new MarkdownSerializer(
  {
    ...defaultMarkdownSerializer.nodes,
    civicRef,
    table: (state, table) => {
      const lines = table.children.map((row) => `| ${row.children.map(cellText).join(' | ')} |`);
      const sides = table.firstChild.children.map((cell) => DELIMITERS[cell.attrs.align] ?? '---');
      lines.splice(1, 0, `| ${sides.join(' | ')} |`);
      state.text(lines.join('\n'), false);
      state.closeBlock(table);
    },
  },
  defaultMarkdownSerializer.marks,
);
