import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import type { ConfigSources, ConfigSummary } from '../../binding.js';
import type { RealtimeLogger, ServerAddress } from '../../index.js';
import { logFields } from '../logging.js';
import { describeConfig, installSamples, version } from '../native.js';
import { RealtimeServer } from '../server.js';
import { stderrLogger } from './log-lines.js';
import { out, styled, UsageError } from './output.js';
import { commandSources, requireValid } from './sources.js';
import { pagesUrl, signInLink } from './token.js';

const PAGES_DIR = fileURLToPath(new URL('../../web', import.meta.url));
const SAMPLES_DIR = fileURLToPath(new URL('../../../records', import.meta.url));
const LINK_HOURS = 12;

function banner(sources: ConfigSources, summary: ConfigSummary, address: ServerAddress): string {
  const pages = pagesUrl(address.host, address.port, summary.tls);
  const lines = [
    `${styled('bold', `CivicPress realtime ${version()}`)} listens on ${pages}`,
    '',
    summary.hostApi === undefined
      ? `  records    ${resolve(summary.recordsDir)}`
      : `  host       ${summary.hostApi}`,
    `  data       ${resolve(summary.systemDataDir)}`,
    `  settings   ${summary.file ?? 'defaults and environment'}`,
  ];
  if (summary.ownSecret) {
    const link = (user: string, name: string, role: string): string =>
      signInLink(sources, pages, { user, name, role, hours: LINK_HOURS });
    lines.push(
      '',
      `Sign in (each link is a password for ${LINK_HOURS} hours; more with \`civicpress-realtime token --link\`):`,
      `  as editor  ${link('editor', 'Editor', 'editor')}`,
      `  as viewer  ${link('viewer', 'Viewer', 'viewer')}`,
    );
  }
  lines.push('', styled('dim', 'Ctrl+C or SIGTERM stops it and saves everything.'));
  return lines.join('\n');
}

/** Stops gracefully at the first signal, at once at the second. */
function stopOnSignals(server: RealtimeServer, logger: RealtimeLogger): void {
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
    server.shutdown().then(
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
function reloadOnHangup(server: RealtimeServer): void {
  process.on('SIGHUP', () => {
    // A failure is logged, and the certificate before stays.
    server.reloadTls().catch(() => undefined);
  });
}

export async function start(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: 'string' },
      port: { type: 'string' },
      host: { type: 'string' },
      'log-format': { type: 'string' },
    },
  });
  if (values.port !== undefined && !/^\d{1,5}$/.test(values.port)) {
    throw new UsageError(`--port '${values.port}' is no port`, 'start');
  }
  const sources = commandSources(values.config, {
    CIVIC_REALTIME_PORT: values.port,
    CIVIC_REALTIME_HOST: values.host,
    CIVIC_REALTIME_LOG_FORMAT: values['log-format'],
  });
  requireValid(sources, true);
  const summary = describeConfig(sources);
  // Records and pages are the API's own where it is the host.
  const alone = summary.hostApi === undefined;
  if (alone && existsSync(SAMPLES_DIR)) {
    const copied = installSamples(sources, SAMPLES_DIR);
    if (copied > 0) out(`Put ${copied} sample records into ${resolve(summary.recordsDir)}.`);
  }

  const logger = stderrLogger(summary.logFormat);
  const server = new RealtimeServer({
    logger,
    standalone: true,
    ...(sources.env === undefined ? {} : { env: sources.env }),
    ...(values.config === undefined ? {} : { configFile: values.config }),
    ...(alone && existsSync(PAGES_DIR) ? { pagesDir: PAGES_DIR } : {}),
  });
  stopOnSignals(server, logger);
  const address = await server.initialize();
  if (summary.tls) reloadOnHangup(server);
  if (address.port === null) return out('enabled is false: nothing listens.');
  out(banner(sources, summary, address));
}
