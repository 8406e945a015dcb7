import { dropCursor } from 'prosemirror-dropcursor';
import { gapCursor } from 'prosemirror-gapcursor';
import { Fragment, Slice, type Node } from 'prosemirror-model';
import { EditorState, Plugin } from 'prosemirror-state';
import { tableEditing } from 'prosemirror-tables';
import { Decoration, DecorationSet, EditorView } from 'prosemirror-view';
import type { Awareness } from 'y-protocols/awareness';
import type * as Y from 'yjs';
import { ySyncPlugin, ySyncPluginKey } from 'y-prosemirror';
import { safeHref, schema } from '../schema';
import { cursors } from './cursors';
import { history } from './history';
import { keys, type KeyActions } from './keys';
import { imageView, tableView } from './nodes';
import { rules } from './rules';

/** What the editor is built from. */
export interface EditorParts extends KeyActions {
  mount: HTMLElement;
  doc: Y.Doc;
  awareness: Awareness;
  canEdit(): boolean;
  /** The selection, marks or content may have changed. */
  updated(view: EditorView): void;
}

/** Mounts the editor. The document must be complete: an empty one would be filled before its content came. */
export function createEditor(parts: EditorParts): EditorView {
  const fragment = parts.doc.getXmlFragment('default');
  const view = new EditorView(
    { mount: parts.mount },
    {
      state: EditorState.create({
        schema,
        plugins: [
          ySyncPlugin(fragment) as Plugin,
          cursors(parts.awareness),
          history(fragment),
          guard(parts.canEdit),
          rules(),
          ...keys(parts),
          dropCursor({ class: 'drop-cursor', color: false }),
          gapCursor(),
          tableEditing(),
          placeholder(),
          new Plugin({ view: () => ({ update: () => parts.updated(view) }) }),
        ],
      }),
      nodeViews: { image: imageView, table: tableView },
      editable: parts.canEdit,
      attributes: () => ({
        class: 'record-text-body',
        'data-testid': 'editor',
        role: 'textbox',
        'aria-multiline': 'true',
        'aria-label': 'Text of the record',
        'aria-describedby': 'editor-help',
        'aria-readonly': String(!parts.canEdit()),
        spellcheck: 'true',
        // Readers scroll and select with the keyboard too.
        tabindex: '0',
      }),
      transformPasted: withoutEmbeddedImages,
      handleClick: (_view, _pos, event) => openLink(event, parts.canEdit()),
    },
  );
  parts.updated(view);
  return view;
}

/** Lets nothing but the synchronised document change the text of someone who may only read it. */
function guard(canEdit: () => boolean): Plugin {
  return new Plugin({
    filterTransaction: (tr) => !tr.docChanged || canEdit() || tr.getMeta(ySyncPluginKey) !== undefined,
  });
}

function placeholder(): Plugin {
  return new Plugin({
    props: {
      decorations({ doc }) {
        const only = doc.childCount === 1 ? doc.firstChild : null;
        if (only === null || !only.isTextblock || only.content.size > 0) return null;
        return DecorationSet.create(doc, [
          Decoration.node(0, only.nodeSize, { class: 'is-empty', 'data-placeholder': 'Start writing…' }),
        ]);
      },
    },
  });
}

/** Pasted pictures carry their bytes in the address; in a text record they would only fill it up. */
function withoutEmbeddedImages(slice: Slice): Slice {
  const clean = (fragment: Fragment): Fragment => {
    const kept: Node[] = [];
    fragment.forEach((node) => {
      const embedded =
        node.type === schema.nodes.image && !/^(?:https?:|\/|\.|[^:]*$)/i.test(String(node.attrs['src']));
      if (!embedded) kept.push(node.isLeaf ? node : node.copy(clean(node.content)));
    });
    return Fragment.fromArray(kept);
  };
  return new Slice(clean(slice.content), slice.openStart, slice.openEnd);
}

/** While editing a plain click sets the cursor, so following a link takes Ctrl or Cmd. */
function openLink(event: MouseEvent, editable: boolean): boolean {
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  const href = safeHref(link?.getAttribute('href'));
  if (href === null || (editable && !event.ctrlKey && !event.metaKey)) return false;
  event.preventDefault();
  window.open(href, '_blank', 'noopener,noreferrer');
  return true;
}
