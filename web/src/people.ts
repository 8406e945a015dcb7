import type { Awareness } from 'y-protocols/awareness';
import { h } from './dom';
import { trustedColor } from './realtime/colors';

const IDLE_MS = 60_000;
const SHOWN_MAX = 5;

interface Person {
  name: string;
  color: string;
  isMe: boolean;
  idle: boolean;
}

/** Keeps the list of people in the room. */
export function showPeople(root: HTMLElement, awareness: Awareness): void {
  /** When each client last did something; renewals alone do not count. */
  const seen = new Map<number, number>();
  const draw = (): void => render(root, gather(awareness, seen));

  awareness.on('change', ({ added, updated, removed }: Record<'added' | 'updated' | 'removed', number[]>) => {
    for (const id of [...added, ...updated]) seen.set(id, Date.now());
    for (const id of removed) seen.delete(id);
    draw();
  });
  document.addEventListener('visibilitychange', () => awareness.setLocalStateField('away', document.hidden));
  setInterval(draw, IDLE_MS / 4);
  draw();
}

/** One entry per person: who has two tabs open is still one. */
function gather(awareness: Awareness, seen: Map<number, number>): Person[] {
  const people = new Map<string, Person>();
  for (const [id, state] of awareness.getStates()) {
    const user = (state['user'] ?? null) as { name?: unknown; color?: unknown; key?: unknown } | null;
    if (user === null) continue;
    const name = String(user.name ?? 'Someone').slice(0, 60);
    const color = trustedColor(user.color, name);
    const isMe = id === awareness.clientID;
    const idle = state['away'] === true || (!isMe && Date.now() - (seen.get(id) ?? 0) > IDLE_MS);
    const key = `${name}\n${user.key === undefined ? color : String(user.key)}`;
    const known = people.get(key);
    people.set(key, { name, color, isMe: isMe || known?.isMe === true, idle: idle && known?.idle !== false });
  }
  return [...people.values()].sort((a, b) => Number(b.isMe) - Number(a.isMe) || a.name.localeCompare(b.name));
}

function render(root: HTMLElement, people: Person[]): void {
  const list = h('ul', { class: 'avatars' });
  for (const person of people.slice(0, SHOWN_MAX)) {
    const label = `${person.name}${person.isMe ? ' (you)' : ''}${person.idle ? ', idle' : ''}`;
    const avatar = h('li', { class: person.idle ? 'avatar idle' : 'avatar', title: label });
    avatar.append(
      h('span', { 'aria-hidden': 'true' }, initials(person.name)),
      h('span', { class: 'visually-hidden' }, label),
    );
    avatar.style.setProperty('--user-color', person.color);
    list.append(avatar);
  }
  if (people.length > SHOWN_MAX) {
    const rest = people
      .slice(SHOWN_MAX)
      .map((person) => person.name)
      .join(', ');
    list.append(h('li', { class: 'avatar more', title: rest }, `+${people.length - SHOWN_MAX}`));
  }
  const count = people.length === 1 ? 'Only you here' : `${people.length} people here`;
  root.replaceChildren(list, h('span', { class: 'people-count' }, people.length === 0 ? '' : count));
}

function initials(name: string): string {
  const words = name
    .trim()
    .split(/[\s._-]+/)
    .filter(Boolean);
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map(
    (word) => [...(word ?? '')][0] ?? '',
  );
  return letters.join('').toLocaleUpperCase() || '?';
}
