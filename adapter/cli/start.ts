import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import type { ConfigSources, ConfigSummary } from '../../binding.js';
import type { ServerAddress } from '../../index.js';
import { addon } from '../addon.js';
import { PAGES_DIR } from '../embedding.js';
import { RealtimeServer } from '../server.js';
import { version } from '../version.js';
import { serveWithCore } from './core.js';
import { stderrLogger } from './log-lines.js';
import { out, styled, UsageError } from './output.js';
import { reloadOnHangup, stopOnSignals } from './signals.js';
import { commandSources, requireValid } from './sources.js';
import { pagesUrl, signInLink } from './token.js';

const SAMPLES_DIR = fileURLToPath(new URL('../../../records', import.meta.url));
const LINK_HOURS = 12;

function banner(sources: ConfigSources, summary: ConfigSummary, address: ServerAddress): string {
  const pages = pagesUrl(address.host, address.port, summary.tls);
  const lines = [
    `${styled('bold', `CivicPress realtime ${version}`)} listens on ${pages}`,
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

/** How the server is started; what is missing comes from environment and file. */
export interface StartOptions {
  config?: string | undefined;
  port?: string | undefined;
  host?: string | undefined;
  logFormat?: string | undefined;
  /** With the core of CivicPress in this process. */
  core?: boolean | undefined;
}

/** The one way a command starts a server: by itself, with the CivicPress API as its host, or with core. */
export async function serve({ config, port, host, logFormat, core }: StartOptions): Promise<void> {
  if (port !== undefined && !/^\d{1,5}$/.test(port)) {
    throw new UsageError(`--port '${port}' is no port`, 'start');
  }
  const flags = {
    CIVIC_REALTIME_PORT: port,
    CIVIC_REALTIME_HOST: host,
    CIVIC_REALTIME_LOG_FORMAT: logFormat,
  };
  if (core === true) return await serveWithCore(config, flags);
  const sources = commandSources(config, flags);
  requireValid(sources, true);
  const summary = addon().describeConfig(sources);
  // Records and their pages are the API's own where it is the host.
  const alone = summary.hostApi === undefined;
  if (alone && existsSync(SAMPLES_DIR)) {
    const copied = addon().installSamples(sources, SAMPLES_DIR);
    if (copied > 0) out(`Put ${copied} sample records into ${resolve(summary.recordsDir)}.`);
  }

  const logger = stderrLogger(summary.logFormat);
  const server = new RealtimeServer({
    logger,
    standalone: true,
    ...(sources.env === undefined ? {} : { env: sources.env }),
    ...(config === undefined ? {} : { configFile: config }),
    ...(alone && existsSync(PAGES_DIR) ? { pagesDir: PAGES_DIR } : {}),
  });
  stopOnSignals(() => server.shutdown(), logger);
  const address = await server.initialize();
  if (summary.tls) reloadOnHangup(() => server.reloadTls());
  if (address.port === null) return out('enabled is false: nothing listens.');
  out(banner(sources, summary, address));
}

export async function start(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: 'string' },
      port: { type: 'string' },
      host: { type: 'string' },
      'log-format': { type: 'string' },
      core: { type: 'boolean' },
    },
  });
  await serve({ ...values, logFormat: values['log-format'] });
}
