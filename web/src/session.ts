// The token lives in this tab's sessionStorage and nowhere else: it is gone with the tab, and no other page or
// later visitor of a shared computer finds it.

const KEY = 'civicpress.token';
const TOKEN = /^[\w.~+/=-]{8,8192}$/;

/**
 * Takes a token out of `#token=…`, so that it stays neither in the address bar nor in the history.
 * True if there was one.
 */
export function adoptTokenFromUrl(): boolean {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token === null) return false;
  history.replaceState(history.state, '', location.pathname + location.search);
  if (TOKEN.test(token)) rememberToken(token);
  return true;
}

/** The token of this tab, if there is one. */
export function currentToken(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** Keeps the token for this tab. Where storage is blocked the page still works until it is left. */
export function rememberToken(token: string): void {
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // Storage is blocked by the browser's settings.
  }
}

/** Forgets the token. */
export function forgetToken(): void {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Storage is blocked, so nothing was kept.
  }
}

/** Reads a token out of what someone pasted: the bare token, or a whole sign-in link. */
export function parseToken(pasted: string): string | null {
  const text = pasted.trim();
  const fragment = text.indexOf('#');
  const linked = fragment < 0 ? null : new URLSearchParams(text.slice(fragment + 1)).get('token');
  const token = linked ?? text;
  return TOKEN.test(token) ? token : null;
}

/** The same, for tokens that others make in their own forms: a host's, or the operator's. */
export function parseAnyToken(pasted: string): string | null {
  const text = pasted.trim();
  return parseToken(text) ?? (/^[!-~]{1,8192}$/.test(text) ? text : null);
}
