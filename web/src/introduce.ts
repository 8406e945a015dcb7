import type { Awareness } from 'y-protocols/awareness';
import type { Me } from './api';
import { colorOf, hashOf, type UserColor } from './realtime/colors';

interface User extends UserColor {
  name: string;
  /** The same in all tabs of one person; a hash, because the id itself may be an address. */
  key: string;
}

let stop: (() => void) | null = null;

/** Tells the others who is here. Where two people have the same colour, one of them takes another. */
export function introduce(awareness: Awareness, { userId, name }: Me): void {
  stop?.();
  const key = hashOf(userId).toString(36);
  let color: UserColor = colorOf(userId);
  const tell = (): void => awareness.setLocalStateField('user', { name, key, ...color } satisfies User);

  const choose = (): void => {
    const users = [...awareness.getStates()]
      .filter(([id]) => id !== awareness.clientID)
      .map(([id, state]) => ({ id, user: (state['user'] ?? {}) as Partial<User> }));
    const others = users.filter(({ user }) => user.key !== key);
    // Only one of two may give way, or both would for ever; all see the same order of ids.
    const before = users.filter(({ id }) => id < awareness.clientID);
    const elsewhere = before.find(({ user }) => user.key === key)?.user;
    let wanted = color;
    if (elsewhere?.color !== undefined && elsewhere.colorLight !== undefined) {
      wanted = { color: elsewhere.color, colorLight: elsewhere.colorLight };
    } else if (before.some(({ user }) => user.key !== key && user.color === color.color)) {
      wanted = colorOf(userId, new Set(others.map(({ user }) => user.color ?? '')));
    }
    if (wanted.color === color.color) return;
    color = wanted;
    tell();
  };
  awareness.on('change', choose);
  stop = () => awareness.off('change', choose);
  tell();
  choose();
}
