import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import type { ConfigSources, ConfigSummary } from '../../binding.js';
import type { RealtimeLogger, ServerAddress } from '../../index.js';
import { describeConfig, installSamples, version } from '../native.js';
import { RealtimeServer } from '../server.js';
import { fail, out, styled, UsageError } from './output.js';
import { commandSources, requireValid } from './sources.js';
import { pagesUrl, signInLink } from './token.js';

const PAGES_DIR = fileURLToPath(new URL('../../web', import.meta.url));
const SAMPLES_DIR = fileURLToPath(new URL('../../../records', import.meta.url));
const LINK_HOURS = 12;

function logLine(level: 'debug' | 'info' | 'warn' | 'error'): (message: string) => void {
  const style = { debug: 'dim', info: undefined, warn: 'yellow', error: 'red' } as const;
  return (message) => {
    const label = level.padEnd(5);
    const shown = style[level] === undefined ? label : styled(style[level], label, process.stderr);
    fail(`${new Date().toISOString()} ${shown} ${message}`);
  };
}

const logger: RealtimeLogger = {
  debug: logLine('debug'),
  info: logLine('info'),
  warn: logLine('warn'),
  error: logLine('error'),
};

function banner(sources: ConfigSources, summary: ConfigSummary, address: ServerAddress): string {
  const pages = pagesUrl(address.host, address.port);
  const lines = [
    `${styled('bold', `CivicPress realtime ${version()}`)} listens on ${pages}`,
    '',
    `  records    ${resolve(summary.recordsDir)}`,
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
function stopOnSignals(server: RealtimeServer): void {
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) {
      fail(`${signal} again: stopping at once.`);
      process.exit(1);
    }
    stopping = true;
    fail(`${signal}: saving and stopping; once more stops at once.`);
    server.shutdown().then(
      () => process.exit(0),
      (error: unknown) => {
        fail(`The stop failed: ${String(error)}`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

export async function start(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { config: { type: 'string' }, port: { type: 'string' }, host: { type: 'string' } },
  });
  if (values.port !== undefined && !/^\d{1,5}$/.test(values.port)) {
    throw new UsageError(`--port '${values.port}' is no port`, 'start');
  }
  const sources = commandSources(values.config, {
    CIVIC_REALTIME_PORT: values.port,
    CIVIC_REALTIME_HOST: values.host,
  });
  requireValid(sources);
  const summary = describeConfig(sources);
  if (existsSync(SAMPLES_DIR)) {
    const copied = installSamples(sources, SAMPLES_DIR);
    if (copied > 0) out(`Put ${copied} sample records into ${resolve(summary.recordsDir)}.`);
  }

  const server = new RealtimeServer({
    logger,
    standalone: true,
    ...(sources.env === undefined ? {} : { env: sources.env }),
    ...(values.config === undefined ? {} : { configFile: values.config }),
    ...(existsSync(PAGES_DIR) ? { pagesDir: PAGES_DIR } : {}),
  });
  stopOnSignals(server);
  const address = await server.initialize();
  if (address.port === null) return out('enabled is false: nothing listens.');
  out(banner(sources, summary, address));
}
