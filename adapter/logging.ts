import type { LogEntry } from '../binding.js';
import type { RealtimeLogger } from '../index.js';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** A logger that shows what must not pass unseen. */
export const quietConsole: RealtimeLogger = {
  debug: () => {},
  info: () => {},
  warn: (message) => console.warn(message),
  error: (message) => console.error(message),
};

/** Hands batches of log lines to `logger`. A logger that throws loses its line, nothing else. */
export function logCallback(logger: RealtimeLogger): (entries: LogEntry[]) => void {
  return (entries) => {
    for (const { level, message } of entries) {
      const method = LEVELS.find((known) => known === level) ?? 'info';
      try {
        logger[method](message);
      } catch {
        // There is nobody left to tell.
      }
    }
  };
}
