/** A person's colour: `color` for carets and labels, `colorLight` for selections. */
export interface UserColor {
  color: string;
  colorLight: string;
}

/** Each carries white text at 4.8:1 or better, and stands out from both page backgrounds at 3.5:1. */
const COLORS = [
  '#2471ca',
  '#d22d64',
  '#1b814e',
  '#b7550f',
  '#8957ce',
  '#137d87',
  '#d1372c',
  '#507d24',
  '#b143b1',
  '#8c6c0b',
  '#5b65d6',
  '#427b71',
] as const;

/** The same colour for the same person, everywhere and always; another one only where that is `taken`. */
export function colorOf(userId: string, taken: ReadonlySet<string> = new Set()): UserColor {
  const own = hashOf(userId) % COLORS.length;
  const inOrder = [...COLORS.slice(own), ...COLORS.slice(0, own)];
  const color = inOrder.find((candidate) => !taken.has(candidate)) ?? COLORS[own] ?? COLORS[0];
  return { color, colorLight: `${color}38` };
}

/** FNV-1a: ids that differ in one character do not look alike. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** A colour someone else claims to have; their own if it is one of ours, else a computed one. */
export function trustedColor(claimed: unknown, name: string): string {
  return typeof claimed === 'string' && /^#[0-9a-f]{6}$/i.test(claimed) ? claimed : colorOf(name).color;
}
