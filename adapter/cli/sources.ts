import type { ConfigSources } from '../../binding.js';
import { addon } from '../addon.js';
import { configSources } from '../embedding.js';
import { CommandFailed, fail, styled } from './output.js';

/** Where a command's configuration comes from; flags are spelled as environment, which wins. */
export function commandSources(
  configFile: string | undefined,
  flags: Record<string, string | undefined> = {},
): ConfigSources {
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  return configSources({
    standalone: true,
    env: { ...process.env, ...given },
    ...(configFile === undefined ? {} : { configFile }),
  });
}

/** Ends the command if the configuration does not hold; warnings go to stderr, unless an engine will log them. */
export function requireValid(sources: ConfigSources, engineFollows = false): void {
  const { errors, warnings } = addon().checkConfig(sources);
  for (const warning of engineFollows ? [] : warnings)
    fail(`${styled('yellow', 'warning:', process.stderr)} ${warning}`);
  if (errors.length > 0) {
    throw new CommandFailed(
      'The configuration does not hold:',
      ...errors.map(({ message }) => `  ${message}`),
    );
  }
}
