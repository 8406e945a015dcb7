import type { Plugin } from 'prosemirror-state';
import type { DecorationAttrs } from 'prosemirror-view';
import type { Awareness } from 'y-protocols/awareness';
import { yCursorPlugin } from 'y-prosemirror';
import { h } from '../dom';
import { trustedColor } from '../realtime/colors';

interface User {
  name?: unknown;
  color?: unknown;
}

/** Other people's carets with their names, and what they have selected. */
export function cursors(awareness: Awareness): Plugin {
  return yCursorPlugin(awareness, {
    cursorBuilder: (user: User) => {
      const name = String(user.name ?? 'Someone').slice(0, 60);
      const caret = h('span', { class: 'remote-caret' });
      caret.style.setProperty('--user-color', trustedColor(user.color, name));
      // Word joiners keep the caret on the line of the text beside it.
      caret.append('\u2060', h('span', { class: 'remote-name' }, name), '\u2060');
      return caret;
    },
    selectionBuilder: (user: User): DecorationAttrs => ({
      class: 'remote-selection',
      style: `background-color: ${trustedColor(user.color, String(user.name ?? ''))}38`,
    }),
  }) as Plugin;
}
