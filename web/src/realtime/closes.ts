/** What the page does and says after the server closed the connection. */
export interface Ending {
  text: string;
  /** `retry`: the provider reconnects by itself; `sign-in`: after a new token; `stop`: never. */
  then: 'retry' | 'sign-in' | 'stop';
}

const ENDINGS: Record<number, Ending> = {
  1008: { text: 'The server refused a message from this tab. Reconnecting…', then: 'retry' },
  1009: {
    text: 'A change was too large for the server. Undo it, or make it in smaller steps.',
    then: 'retry',
  },
  4001: {
    text: 'Your session has ended. Sign in again to go on; your changes are kept in this tab.',
    then: 'sign-in',
  },
  4003: { text: 'This record does not exist, or you do not have permission to open it.', then: 'stop' },
  4004: { text: 'There is no such record.', then: 'stop' },
  4029: {
    text: 'You have too many records open at once. Close another tab; this one will connect by itself.',
    then: 'retry',
  },
  4403: { text: 'You were removed from this record.', then: 'stop' },
  4413: {
    text: 'This record has reached its size limit, and your latest changes could not be stored. Copy them before you leave, then reload.',
    then: 'stop',
  },
  4500: { text: 'The record is being reloaded on the server. Reconnecting…', then: 'retry' },
  4503: { text: 'The server is busy or restarting. Reconnecting…', then: 'retry' },
  4508: { text: 'The connection was too slow to keep up. Reconnecting…', then: 'retry' },
};

/** By the code in the reason, where one close code has several. */
const BY_REASON = new Map<string, Ending>([
  [
    'RATE_LIMIT_EXCEEDED',
    {
      text: 'This tab sent too many messages at once. It will connect again by itself.',
      then: 'retry',
    },
  ],
]);

/**
 * Looks a close code and the server's reason, JSON with a `code`, up; `null` for ordinary losses, which the
 * state alone explains.
 */
export function ending(code: number, reason = ''): Ending | null {
  const byReason = BY_REASON.get(codeOf(reason));
  if (byReason !== undefined) return byReason;
  const known = ENDINGS[code];
  if (known !== undefined) return known;
  // 4400–4499 mirror HTTP's 4xx: the stock provider stops there, so the text must not promise a retry.
  if (code >= 4400 && code < 4500) return { text: 'The server ended this connection.', then: 'stop' };
  return null;
}

function codeOf(reason: string): string {
  try {
    const told = JSON.parse(reason) as { code?: unknown } | null;
    return typeof told?.code === 'string' ? told.code : '';
  } catch {
    return '';
  }
}

/** Whether the server refused what the tab sent, so that sending it again may be pointless. */
export function isRefusal(code: number, reason = ''): boolean {
  return (code === 1008 || code === 1009) && !BY_REASON.has(codeOf(reason));
}
