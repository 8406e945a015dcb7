import type { Plugin } from 'prosemirror-state';
import { defaultDeleteFilter, defaultProtectedNodes, ySyncPluginKey, yUndoPlugin } from 'y-prosemirror';
import * as Y from 'yjs';

/** Undo and redo of this person's own changes. */
export function history(fragment: Y.XmlFragment): Plugin {
  const undoManager = new Y.UndoManager(fragment, {
    trackedOrigins: new Set([ySyncPluginKey]),
    deleteFilter: (item) => defaultDeleteFilter(item, defaultProtectedNodes),
    captureTransaction: (transaction) =>
      transaction.meta.get('addToHistory') !== false && !isFiller(transaction, fragment),
  });
  return yUndoPlugin({ undoManager }) as Plugin;
}

/**
 * Whether the transaction only gave an empty fragment the empty paragraph the editor cannot do without. Nobody
 * typed it: as a step of its own it would empty the redo list whenever everything had been undone.
 */
function isFiller(transaction: Y.Transaction, fragment: Y.XmlFragment): boolean {
  // yjs types its keys by a base class that its own fragments do not match.
  const changed = transaction.changed as Map<unknown, unknown>;
  if (!changed.has(fragment) || transaction.deleteSet.clients.size > 0 || fragment.length !== 1) return false;
  const only = fragment.get(0);
  return only instanceof Y.XmlElement && only.nodeName === 'paragraph' && only.length === 0;
}
