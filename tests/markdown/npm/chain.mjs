/**
 * The editor's own chain: markdown-it → prosemirror-markdown → y-prosemirror, put together as CivicPress does it;
 * and the same with Tiptap's names for nodes, marks and attributes.
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

/** What Tiptap calls otherwise. */
const TIPTAP = {
  bullet_list: 'bulletList',
  code_block: 'codeBlock',
  hard_break: 'hardBreak',
  horizontal_rule: 'horizontalRule',
  list_item: 'listItem',
  ordered_list: 'orderedList',
  table_cell: 'tableCell',
  table_header: 'tableHeader',
  table_row: 'tableRow',
  em: 'italic',
  strong: 'bold',
  order: 'start',
  params: 'language',
};

function chain(called) {
  const schema = schemaOf(called);
  return { called, schema, parser: parserOf(called, schema), serializer: serializerOf(called) };
}

/** The same entries under other names. */
function renamed(entries, called) {
  return Object.fromEntries(Object.entries(entries).map(([name, value]) => [called(name), value]));
}

/** Basic nodes, lists without `tight`, tables with `align`, and the reference atom. */
function schemaOf(called) {
  const nodes = {
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
  };
  for (const [name, spec] of Object.entries(nodes)) {
    nodes[name] = { ...spec };
    if (spec.content) nodes[name].content = spec.content.replace(/[a-z_]+/g, called);
    if (spec.attrs) nodes[name].attrs = renamed(spec.attrs, called);
  }
  return new Schema({ nodes: renamed(nodes, called), marks: renamed(basicMarks, called) });
}

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

function parserOf(called, schema) {
  const tokens = {
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
  };
  for (const [name, spec] of Object.entries(tokens)) {
    tokens[name] = { ...spec };
    for (const kind of ['block', 'node', 'mark']) if (spec[kind]) tokens[name][kind] = called(spec[kind]);
    if (spec.getAttrs) tokens[name].getAttrs = (...token) => renamed(spec.getAttrs(...token), called);
  }
  return new MarkdownParser(schema, tokenizer, tokens);
}

// Tree to Markdown.

const attribute = (value) => value.replaceAll('"', '&quot;').replaceAll('--', '&#45;&#45;');

const civicRef = (state, { attrs }) =>
  state.write(
    `<!--civic-ref type="${attribute(attrs.refType)}" id="${attribute(attrs.id)}" label="${attribute(attrs.label)}"-->`,
  );

function serializerOf(called) {
  const nodes = {
    ...defaultMarkdownSerializer.nodes,
    civicRef,
    // These two read an attribute that may be called otherwise; they are prosemirror-markdown's own.
    ordered_list: (state, node) => originally(state, node, 'ordered_list', 'order'),
    code_block: (state, node) => originally(state, node, 'code_block', 'params'),
  };
  const originally = (state, node, name, attr) => {
    const attrs = { ...node.attrs, [attr]: node.attrs[called(attr)] };
    const under = new Proxy(node, {
      get: (target, key) => {
        if (key === 'attrs') return attrs;
        const value = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    defaultMarkdownSerializer.nodes[name](state, under);
  };
  const marks = renamed(defaultMarkdownSerializer.marks, called);
  const options = { hardBreakNodeName: called('hard_break') };
  const cellSerializer = new MarkdownSerializer(
    renamed(
      {
        ...nodes,
        paragraph: (state, node) => state.renderInline(node),
        hard_break: (state) => state.write('<br>'),
      },
      called,
    ),
    marks,
    options,
  );
  const cellText = (cell) =>
    cellSerializer
      .serialize(cell, { tightLists: true })
      .replace(/[\r\n]+/g, ' ')
      .trim()
      .replace(/\|/g, '\\|');
  const table = (state, node) => {
    const lines = node.children.map((row) => `| ${row.children.map(cellText).join(' | ')} |`);
    const sides = node.firstChild.children.map((cell) => DELIMITERS[cell.attrs.align] ?? '---');
    lines.splice(1, 0, `| ${sides.join(' | ')} |`);
    state.text(lines.join('\n'), false);
    state.closeBlock(node);
  };
  return new MarkdownSerializer(renamed({ ...nodes, table }, called), marks, options);
}

export const civicpress = chain((name) => name);
export const tiptap = chain((name) => TIPTAP[name] ?? name);
