import type { RealtimeLogger } from '../../index.js';
import { logFields } from '../logging.js';

/** Stops gracefully at the first signal, at once at the second. */
export function stopOnSignals(shutdown: () => Promise<void>, logger: RealtimeLogger): void {
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) {
      logger.warn(`${signal} again: stopping at once`, logFields({ event: 'stop_forced', signal }));
      process.exit(1);
    }
    stopping = true;
    logger.info(
      `${signal}: saving and stopping; once more stops at once`,
      logFields({ event: 'stop_requested', signal }),
    );
    shutdown().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error(
          `the stop failed: ${String(error)}`,
          logFields({ event: 'stop_failed', error: String(error) }),
        );
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** Elsewhere the certificate's files are only watched: a host's signals are its own. */
export function reloadOnHangup(reload: () => Promise<void>): void {
  process.on('SIGHUP', () => {
    // A failure is logged, and the certificate before stays.
    reload().catch(() => undefined);
  });
}
