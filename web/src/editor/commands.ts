import { wrapIn } from 'prosemirror-commands';
import type { MarkType, NodeType, ResolvedPos } from 'prosemirror-model';
import { liftListItem, wrapInList } from 'prosemirror-schema-list';
import { NodeSelection, TextSelection, type Command, type EditorState } from 'prosemirror-state';
import { isInTable } from 'prosemirror-tables';
import { liftTarget } from 'prosemirror-transform';
import { safeHref, schema } from '../schema';

const { bullet_list, list_item, ordered_list, blockquote, paragraph, hard_break, horizontal_rule } =
  schema.nodes;

/** Whether the mark is on the selection, or would be on the next letter. */
export function markActive(state: EditorState, type: MarkType): boolean {
  const { from, to, empty, $from } = state.selection;
  if (empty) return type.isInSet(state.storedMarks ?? $from.marks()) !== undefined;
  return state.doc.rangeHasMark(from, to, type);
}

/** Depth of the nearest ancestor of one of these types, or -1. */
function depthOf($pos: ResolvedPos, ...types: NodeType[]): number {
  for (let depth = $pos.depth; depth > 0; depth--) {
    if (types.includes($pos.node(depth).type)) return depth;
  }
  return -1;
}

/** Whether the selection is within a node of this type; of lists, the innermost counts. */
export function inside(state: EditorState, type: NodeType): boolean {
  const { $from } = state.selection;
  const depth = isList(type) ? depthOf($from, bullet_list, ordered_list) : depthOf($from, type);
  return depth > 0 && $from.node(depth).type === type;
}

/** Makes a list, turns a list of the other kind into this one, or ends it. */
export function toggleList(type: NodeType): Command {
  return (state, dispatch, view) => {
    const { $from } = state.selection;
    const depth = depthOf($from, bullet_list, ordered_list);
    if (depth < 0) return wrapInList(type)(state, dispatch, view);
    if ($from.node(depth).type === type) return liftListItem(list_item)(state, dispatch);
    dispatch?.(state.tr.setNodeMarkup($from.before(depth), type).scrollIntoView());
    return true;
  };
}

/** Puts the selection into a quote, or takes it out. */
export const toggleQuote: Command = (state, dispatch, view) => {
  const { $from, $to } = state.selection;
  const depth = depthOf($from, blockquote);
  if (depth < 0) return wrapIn(blockquote)(state, dispatch, view);
  const range = $from.blockRange($to, (node) => node.type === blockquote);
  const target = range && liftTarget(range);
  if (range === null || target === null) return false;
  dispatch?.(state.tr.lift(range, target).scrollIntoView());
  return true;
};

/** A line break within the block. */
export const insertBreak: Command = (state, dispatch) => {
  if (!state.selection.$from.parent.inlineContent || state.selection.$from.parent.type.spec.code)
    return false;
  dispatch?.(state.tr.replaceSelectionWith(hard_break.create()).scrollIntoView());
  return true;
};

/** A horizontal rule. */
export const insertRule: Command = (state, dispatch) => {
  if (isInTable(state)) return false;
  dispatch?.(state.tr.replaceSelectionWith(horizontal_rule.create()).scrollIntoView());
  return true;
};

/** A table with a header row, which is what Markdown can hold; the cursor goes to its first cell. */
export const insertTable: Command = (state, dispatch) => {
  if (isInTable(state)) return false;
  const { table, table_row, table_cell, table_header } = schema.nodes;
  const row = (cell: NodeType) =>
    table_row.create(
      null,
      [0, 1, 2].map(() => cell.create(null, paragraph.create())),
    );
  const node = table.create(null, [row(table_header), row(table_cell), row(table_cell)]);
  const { $from } = state.selection;
  if (dispatch) {
    const tr = state.tr;
    // Inside a list or quote the table goes where the block stands; an empty paragraph makes room for it.
    const at = $from.depth === 0 ? state.selection.to : $from.after($from.depth);
    const replaced = $from.depth > 0 && $from.parent.type === paragraph && $from.parent.content.size === 0;
    const start = replaced ? $from.before($from.depth) : at;
    tr.replaceWith(start, at, node);
    const end = start + node.nodeSize;
    if (tr.doc.resolve(end).nodeAfter === null) tr.insert(end, paragraph.create());
    tr.setSelection(TextSelection.near(tr.doc.resolve(start + 1)));
    dispatch(tr.scrollIntoView());
  }
  return true;
};

/** The whole link around the cursor or at the selection's start. */
export function linkAt(state: EditorState): { from: number; to: number; href: string } | null {
  const { $from, empty } = state.selection;
  const type = schema.marks.link;
  const mark =
    type.isInSet($from.marks()) ?? (empty ? undefined : type.isInSet($from.nodeAfter?.marks ?? []));
  if (mark === undefined) return null;
  const start = $from.start();
  let from = $from.pos;
  let to = $from.pos;
  $from.parent.forEach((child, offset) => {
    if (!mark.isInSet(child.marks)) return;
    const [childFrom, childTo] = [start + offset, start + offset + child.nodeSize];
    if (childFrom <= to && childTo >= from) [from, to] = [Math.min(from, childFrom), Math.max(to, childTo)];
  });
  return { from, to, href: String(mark.attrs['href']) };
}

/** Links the selection, changes the link at the cursor, or inserts the address as linked text. */
export function setLink(href: string): Command {
  return (state, dispatch) => {
    if (safeHref(href) === null || state.selection instanceof NodeSelection) return false;
    const mark = schema.marks.link.create({ href });
    const tr = state.tr;
    const existing = linkAt(state);
    const { from, to, empty } = state.selection;
    if (existing !== null && (empty || (from >= existing.from && to <= existing.to))) {
      tr.removeMark(existing.from, existing.to, schema.marks.link).addMark(existing.from, existing.to, mark);
    } else if (empty) tr.replaceSelectionWith(schema.text(href, [mark]), false);
    else tr.removeMark(from, to, schema.marks.link).addMark(from, to, mark);
    dispatch?.(tr.removeStoredMark(schema.marks.link).scrollIntoView());
    return true;
  };
}

/** Takes the link at the cursor or in the selection away; its text stays. */
export const removeLink: Command = (state, dispatch) => {
  const range = linkAt(state) ?? state.selection;
  if (range.from === range.to) return false;
  dispatch?.(state.tr.removeMark(range.from, range.to, schema.marks.link));
  return true;
};

function isList(type: NodeType): boolean {
  return type === bullet_list || type === ordered_list;
}
