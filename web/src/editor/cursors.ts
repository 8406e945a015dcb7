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

/** How long a name stays beside a caret that does not move: it covers the line above. */
const NAMED_MS = 8000;

/** Other people's carets with their names, and what they have selected. */
export function cursors(awareness: Awareness): Plugin {
  const names = new Names();
  awareness.on('change', ({ updated, removed }: Record<'updated' | 'removed', number[]>) => {
    for (const id of updated) names.moved(id, (awareness.getStates().get(id)?.['user'] ?? {}) as User);
    for (const id of removed) names.left(id);
  });
  return yCursorPlugin(awareness, {
    cursorBuilder: (user: User, client: number) => {
      const caret = h('span', { class: 'remote-caret', 'data-client': String(client) });
      // Word joiners keep the caret on the line of the text beside it.
      caret.append('\u2060', h('span', { class: 'remote-name' }, nameOf(user)), '\u2060');
      names.drawn(client, caret, user);
      return caret;
    },
    selectionBuilder: (user: User): DecorationAttrs => ({
      class: 'remote-selection',
      style: `background-color: ${trustedColor(user.color, nameOf(user))}38`,
    }),
  }) as Plugin;
}

function nameOf(user: User): string {
  return String(user.name ?? 'Someone').slice(0, 60);
}

/** Which carets show their names. The editor keeps a caret's element as long as it can, whatever changes. */
class Names {
  #timers = new Map<number, ReturnType<typeof setTimeout>>();
  #quiet = new Set<number>();

  drawn(client: number, caret: HTMLElement, user: User): void {
    caret.style.setProperty('--user-color', trustedColor(user.color, nameOf(user)));
    if (!this.#quiet.has(client) && !this.#timers.has(client)) this.moved(client, user);
    caret.classList.toggle('quiet', this.#quiet.has(client));
  }

  moved(client: number, user: User): void {
    clearTimeout(this.#timers.get(client));
    this.#quiet.delete(client);
    caretOf(client)?.classList.remove('quiet');
    caretOf(client)?.style.setProperty('--user-color', trustedColor(user.color, nameOf(user)));
    this.#timers.set(
      client,
      setTimeout(() => {
        this.#timers.delete(client);
        this.#quiet.add(client);
        caretOf(client)?.classList.add('quiet');
      }, NAMED_MS),
    );
  }

  left(client: number): void {
    clearTimeout(this.#timers.get(client));
    this.#timers.delete(client);
    this.#quiet.delete(client);
  }
}

function caretOf(client: number): HTMLElement | null {
  return document.querySelector<HTMLElement>(`.remote-caret[data-client="${client}"]`);
}
