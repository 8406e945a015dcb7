/** Log lines of the command line, on stderr: text where a person looks, one JSON object per line elsewhere. */

import type { LogFields, RealtimeLogger } from '../../index.js';
import { logFields, type LogLevel } from '../logging.js';
import { fail, styled } from './output.js';

const STYLES = { debug: 'dim', info: undefined, warn: 'yellow', error: 'red' } as const;

type Write = (level: LogLevel, message: string, fields: LogFields) => void;

const writeText: Write = (level, message, { correlation_id: correlation }) => {
  const label = level.padEnd(5);
  const style = STYLES[level];
  const shown = style === undefined ? label : styled(style, label, process.stderr);
  const suffix =
    typeof correlation === 'string' ? ` ${styled('dim', `[${correlation}]`, process.stderr)}` : '';
  fail(`${new Date().toISOString()} ${shown} ${message}${suffix}`);
};

const writeJson: Write = (level, message, { component, operation: _, event, ...fields }) => {
  const time = new Date().toISOString();
  fail(
    JSON.stringify({ time, level, component, ...(event === undefined ? {} : { event }), message, ...fields }),
  );
};

export type LogFormat = 'auto' | 'text' | 'json';

/** A logger that writes to stderr. */
export function stderrLogger(format: LogFormat): RealtimeLogger {
  const json = format === 'json' || (format === 'auto' && !process.stderr.isTTY);
  const write = json ? writeJson : writeText;
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = logFields()): void =>
      write(level, message, fields);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
