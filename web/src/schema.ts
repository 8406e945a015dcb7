// The document schema CivicPress's server and editors share: ProseMirror's basic nodes under their snake_case
// names, lists, GFM tables and civic references. A name, attribute or default that differs from the server's
// would make this editor rewrite, or delete, what others wrote. Needs no DOM, so Node can use it too.
import { Schema, type MarkSpec, type NodeSpec } from 'prosemirror-model';
import { marks as basicMarks, nodes as basicNodes } from 'prosemirror-schema-basic';
import { bulletList, listItem, orderedList } from 'prosemirror-schema-list';
import { tableNodes } from 'prosemirror-tables';

const ALIGNMENTS = ['left', 'center', 'right'];
const REF_TYPES = ['record', 'geography', 'attachment'];

const codeBlock: NodeSpec = {
  ...basicNodes.code_block,
  attrs: { params: { default: '' } },
  parseDOM: [
    {
      tag: 'pre',
      preserveWhitespace: 'full',
      getAttrs: (dom) => ({ params: dom.getAttribute('data-params') ?? '' }),
    },
  ],
  toDOM: ({ attrs }) => {
    const params = String(attrs['params'] ?? '');
    return ['pre', params === '' ? {} : { 'data-params': params }, ['code', 0]];
  },
};

const civicRef: NodeSpec = {
  group: 'inline',
  inline: true,
  atom: true,
  attrs: { refType: { default: 'record' }, id: { default: '' }, label: { default: '' } },
  parseDOM: [
    {
      tag: 'span[data-civic-ref]',
      getAttrs: (dom) => ({
        refType: oneOf(REF_TYPES, dom.getAttribute('data-ref-type')) ?? 'record',
        id: dom.getAttribute('data-id') ?? '',
        label: dom.getAttribute('data-label') ?? '',
      }),
    },
  ],
  toDOM: ({ attrs }) => {
    const [refType, id, label] = [attrs['refType'], attrs['id'], attrs['label']].map(String);
    return [
      'span',
      {
        class: 'civic-ref',
        'data-civic-ref': 'true',
        'data-ref-type': refType,
        'data-id': id,
        'data-label': label,
        title: `${refType}: ${id}`,
      },
      label || id || 'reference',
    ];
  },
  leafText: ({ attrs }) => String(attrs['label'] ?? ''),
};

const tables = tableNodes({
  tableGroup: 'block',
  cellContent: 'block+',
  cellAttributes: {
    align: {
      default: null,
      getFromDOM: (dom) => oneOf(ALIGNMENTS, dom.getAttribute('data-align')),
      setDOMAttr: (value, attrs) => {
        const align = oneOf(ALIGNMENTS, value);
        if (align !== null) attrs['data-align'] = align;
      },
    },
  },
});

/** Links come from other people: one that could run a script is shown, but leads nowhere. */
const link: MarkSpec = {
  ...basicMarks.link,
  toDOM: ({ attrs }) => {
    const href = safeHref(attrs['href']);
    const title = attrs['title'] === null ? {} : { title: String(attrs['title']) };
    return ['a', { ...(href === null ? {} : { href }), ...title, rel: 'noopener noreferrer nofollow' }, 0];
  },
};

/** The schema of a record's `default` fragment. */
export const schema = new Schema({
  nodes: {
    doc: basicNodes.doc,
    paragraph: basicNodes.paragraph,
    blockquote: basicNodes.blockquote,
    horizontal_rule: basicNodes.horizontal_rule,
    heading: basicNodes.heading,
    code_block: codeBlock,
    text: basicNodes.text,
    image: basicNodes.image,
    hard_break: basicNodes.hard_break,
    ordered_list: { ...orderedList, content: 'list_item+', group: 'block' },
    bullet_list: { ...bulletList, content: 'list_item+', group: 'block' },
    list_item: { ...listItem, content: 'paragraph block*' },
    table: tables.table,
    table_row: tables.table_row,
    table_cell: tables.table_cell,
    table_header: tables.table_header,
    civicRef,
  },
  marks: { link, em: basicMarks.em, strong: basicMarks.strong, code: basicMarks.code },
});

/** The address if a browser may follow it: http(s), mail, telephone, or relative. */
export function safeHref(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  // Browsers skip control characters and spaces before and within a scheme.
  const bare = value.replace(/[\u0000-\u0020\u007f]/g, '');
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(bare)?.[1]?.toLowerCase();
  return scheme === undefined || ['http', 'https', 'mailto', 'tel'].includes(scheme) ? value : null;
}

function oneOf(values: readonly string[], value: unknown): string | null {
  return typeof value === 'string' && values.includes(value) ? value : null;
}
