/** Log lines the way CivicPress writes its own: through core's output, each with an `operation`. */

import type * as Public from '../../index.js';
import { core } from './core.js';

const OPERATION = 'realtime:engine';

/** Core's output where there is core, else the logger that was handed in. */
export function civicPressLogger(logger: Public.CivicLogger): Public.RealtimeLogger {
  if (core) {
    const { coreDebug, coreInfo, coreWarn, coreError } = core;
    return {
      debug: (message, fields) => coreDebug(message, undefined, { operation: OPERATION, ...fields }),
      info: (message, fields) => coreInfo(message, { operation: OPERATION, ...fields }),
      warn: (message, fields) => coreWarn(message, { operation: OPERATION, ...fields }),
      error: (message, fields) => {
        const code = typeof fields?.['code'] === 'string' ? fields['code'] : undefined;
        coreError(message, code, undefined, { operation: OPERATION, ...fields });
      },
    };
  }
  const say =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields?: Public.LogFields): void =>
      void logger[level]?.(message, { operation: OPERATION, ...fields });
  return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
}
