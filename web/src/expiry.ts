/** How long before its end a session is said to end. */
const NOTICE_MS = 5 * 60_000;
/** Longer waits are cut up: browsers fire timers of more than 24 days at once. */
const WAIT_MS_MAX = 60 * 60_000;

let timer: ReturnType<typeof setTimeout> | undefined;

/** Calls back once, shortly before the session ends; a later call replaces an earlier one. */
export function beforeExpiry(expiresAtMs: number, warn: (text: string) => void): void {
  clearTimeout(timer);
  if (!(expiresAtMs > 0)) return;
  const look = (): void => {
    const wait = expiresAtMs - NOTICE_MS - Date.now();
    if (wait > 0) timer = setTimeout(look, Math.min(wait, WAIT_MS_MAX));
    else if (expiresAtMs > Date.now())
      warn(
        `Your session ends at ${timeOf(expiresAtMs)}. Sign in again before that to go on without a break.`,
      );
  };
  look();
}

function timeOf(ms: number): string {
  return new Date(ms).toLocaleTimeString('en', { hour: 'numeric', minute: '2-digit' });
}
