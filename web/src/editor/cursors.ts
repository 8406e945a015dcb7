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
  awareness.on('change', ({ updated }: { updated: number[] }) => {
    for (const id of updated) showName(id);
  });
  return yCursorPlugin(awareness, {
    cursorBuilder: (user: User, client: number) => {
      const name = String(user.name ?? 'Someone').slice(0, 60);
      const caret = h('span', { 'class': 'remote-caret', 'data-client': String(client) });
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

/** Names fade away, for they cover the line above; whoever moves is named again. */
function showName(client: number): void {
  const name = document.querySelector(`.remote-caret[data-client="${client}"] > .remote-name`);
  for (const fading of name?.getAnimations() ?? []) fading.currentTime = 0;
}
