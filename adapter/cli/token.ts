import { parseArgs } from 'node:util';

import type { ConfigSources } from '../../binding.js';
import { addon } from '../addon.js';
import { out, UsageError } from './output.js';
import { commandSources, requireValid } from './sources.js';

const ROLES = ['viewer', 'editor', 'admin'];
const UNIT_SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };
const EXPIRES_SECONDS_MAX = 366 * 86_400;

/** `8h` and the like, in seconds. */
export function seconds(text: string): number {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const value = Number(count) * (UNIT_SECONDS[unit ?? ''] ?? NaN);
  if (!(value > 0 && value <= EXPIRES_SECONDS_MAX)) {
    throw new UsageError(`--expires '${text}' is no time such as 90s, 30m, 8h or 7d (up to 366d)`, 'token');
  }
  return value;
}

/** Where a browser on this machine finds the pages. */
export function pagesUrl(host: string | null, port: number | null, tls: boolean): string {
  const everywhere = host === null || host === '0.0.0.0' || host === '::';
  const name = everywhere ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return `${tls ? 'https' : 'http'}://${name}:${port}/`;
}

/** A link that signs in: the token stands behind `#`, which browsers do not send. */
export function signInLink(
  sources: ConfigSources,
  pages: string,
  who: { user: string; name: string; role: string; hours: number },
): string {
  const { user, name, role, hours } = who;
  return `${pages}#token=${addon().signToken(sources, { user, name, role, expiresInSeconds: hours * 3600 })}`;
}

export async function token(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: 'string' },
      user: { type: 'string' },
      name: { type: 'string' },
      role: { type: 'string', default: 'editor' },
      rooms: { type: 'string' },
      expires: { type: 'string', default: '8h' },
      link: { type: 'boolean', default: false },
    },
  });
  const { user, name, role, rooms } = values;
  if (!user) throw new UsageError('--user is missing', 'token');
  if (!ROLES.includes(role)) throw new UsageError(`--role '${role}' is none of ${ROLES.join(', ')}`, 'token');
  const expiresInSeconds = seconds(values.expires);
  const sources = commandSources(values.config);
  requireValid(sources);
  const patterns = rooms
    ?.split(',')
    .map((pattern) => pattern.trim())
    .filter(Boolean);
  if (rooms !== undefined && patterns?.length === 0) throw new UsageError('--rooms names no room', 'token');
  const signed = addon().signToken(sources, {
    user,
    role,
    expiresInSeconds,
    name: name ?? user,
    ...(patterns === undefined ? {} : { rooms: patterns }),
  });
  if (!values.link) return out(signed);
  const { host, port, tls } = addon().describeConfig(sources);
  out(`${pagesUrl(host, port, tls)}#token=${signed}`);
}
