import { parseArgs } from 'node:util';

import { addon } from '../addon.js';
import { out, UsageError } from './output.js';
import { commandSources, requireValid } from './sources.js';

export async function config(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { config: { type: 'string' } },
  });
  const [action, ...extra] = positionals;
  if (extra.length > 0) throw new UsageError(`'${extra.join(' ')}' is too much`, 'config');
  switch (action) {
    case 'default':
      return out(addon().defaultConfig().trimEnd());
    case 'check': {
      const sources = commandSources(values.config);
      requireValid(sources);
      const { file } = addon().checkConfig(sources);
      return out(
        file === undefined
          ? 'The configuration holds (no file; defaults and environment).'
          : `${file} holds.`,
      );
    }
    case 'print': {
      const sources = commandSources(values.config);
      requireValid(sources);
      return out(addon().printConfig(sources).trimEnd());
    }
    default:
      throw new UsageError(
        action === undefined ? 'check, print or default?' : `there is no 'config ${action}'`,
        'config',
      );
  }
}
