import type { LogEntry } from '../binding.js';
import type { LogFields, RealtimeLogger } from '../index.js';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

export type LogLevel = (typeof LEVELS)[number];

/** A logger that shows what must not pass unseen. */
export const quietConsole: RealtimeLogger = {
  debug: () => {},
  info: () => {},
  warn: (message) => console.warn(message),
  error: (message) => console.error(message),
};

/** The fields of a line that says `fields`. */
export function logFields(fields: Record<string, unknown> = {}): LogFields {
  const { event } = fields;
  return {
    component: 'realtime',
    ...(typeof event === 'string' ? { operation: `realtime:${event}` } : {}),
    ...fields,
  };
}

/** Hands batches of log lines to `logger`. A logger that throws loses its line, nothing else. */
export function logCallback(logger: RealtimeLogger): (entries: LogEntry[]) => void {
  return (entries) => {
    for (const { level, message, fields } of entries) {
      const method = LEVELS.find((known) => known === level) ?? 'info';
      try {
        const said = fields === undefined ? {} : (JSON.parse(fields) as Record<string, unknown>);
        logger[method](message, logFields(said));
      } catch {
        // There is nobody left to tell.
      }
    }
  };
}
