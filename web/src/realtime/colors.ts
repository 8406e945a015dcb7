/** A person's colour: `color` for carets and labels, `colorLight` for selections. */
export interface UserColor {
  color: string;
  colorLight: string;
}

/** Each carries white text at 4.8:1 or better, and stands out from both page backgrounds at 3.5:1. */
const COLORS = [
  '#2471ca', '#d22d64', '#1b814e', '#b7550f', '#8957ce', '#137d87',
  '#d1372c', '#507d24', '#b143b1', '#8c6c0b', '#5b65d6', '#427b71',
] as const;

/** The same colour for the same person, everywhere and always. */
export function colorOf(userId: string): UserColor {
  // FNV-1a; ids that differ in one character must not look alike.
  let hash = 0x811c9dc5;
  for (let i = 0; i < userId.length; i++) hash = Math.imul(hash ^ userId.charCodeAt(i), 0x01000193);
  const color = COLORS[(hash >>> 0) % COLORS.length] ?? COLORS[0];
  return { color, colorLight: `${color}38` };
}

/** A colour someone else claims to have; their own if it is one of ours, else a computed one. */
export function trustedColor(claimed: unknown, name: string): string {
  return typeof claimed === 'string' && /^#[0-9a-f]{6}$/i.test(claimed) ? claimed : colorOf(name).color;
}
