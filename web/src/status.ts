import { byId } from './dom';
import type { Delivery, State } from './realtime/delivery';

const WORDS: Record<State, string> = {
  offline: 'Offline',
  connecting: 'Connecting…',
  saving: 'Saving…',
  saved: 'Saved',
  readonly: 'Read only',
};
const HINTS: Record<State, string> = {
  offline: 'Not connected to the server',
  connecting: 'Connecting to the server',
  saving: 'Your changes are on their way',
  saved: 'Your changes are stored on the server',
  readonly: 'You can read along, but not change this record',
};
const QUIET_MS = 1200;

let announced: string = WORDS.connecting;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Shows the connection's state. */
export function showState(delivery: Delivery): void {
  const { state, dirty } = delivery;
  const element = byId('connection-state');
  const offline =
    dirty && !delivery.stopped ? 'Your changes are kept in this tab and will be sent' : HINTS.offline;
  const hint = state === 'offline' ? offline : HINTS[state];
  if (element.dataset['state'] !== state) {
    element.dataset['state'] = state;
    element.textContent = WORDS[state];
  }
  if (element.title !== hint) element.title = hint;
  // Said in words where a tooltip would not be seen: offline with unsent changes is what people must know.
  byId('offline-note').hidden = !(state === 'offline' && dirty && !delivery.stopped);
  announce(state === 'offline' && dirty ? `${WORDS.offline}. ${hint}.` : WORDS[state], state);
}

/** Each key press means “saving” and “saved”; people who listen hear only what lasts. */
function announce(text: string, state: State): void {
  clearTimeout(timer);
  if (state === 'saving' || state === 'connecting' || text === announced) return;
  timer = setTimeout(() => {
    announced = text;
    byId('announcer').textContent = text;
  }, QUIET_MS);
}

/** Shows a sentence below the header, with at most one thing to do about it; `null` hides it. */
export function banner(text: string | null, action?: { label: string; act: () => void }): void {
  byId('banner').hidden = text === null;
  byId('banner-text').textContent = text ?? '';
  const button = byId<HTMLButtonElement>('banner-action');
  button.hidden = action === undefined;
  button.textContent = action?.label ?? '';
  button.onclick = action?.act ?? null;
}

/** Says that there is nothing to edit here, and why. */
export function showUnavailable(title: string, text: string): void {
  document.body.classList.add('is-unavailable');
  byId('record-title').textContent = 'Record';
  document.title = `${title} — CivicPress`;
  byId('unavailable').hidden = false;
  byId('unavailable-title').textContent = title;
  byId('unavailable-text').textContent = text;
}
