import { parseArgs } from 'node:util';

import { addon } from '../addon.js';
import { CommandFailed, out, styled } from './output.js';
import { commandSources } from './sources.js';

/** The report with what needs attention set apart, where a person looks. */
function highlighted(line: string): string {
  if (line.startsWith('FAIL')) return styled('red', line);
  if (line.startsWith('warn') || line.startsWith('[ ]')) return styled('yellow', line);
  if (line.startsWith('      ')) return styled('dim', line);
  return line;
}

export async function doctor(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { config: { type: 'string' }, token: { type: 'string' }, origin: { type: 'string' } },
  });
  const { ok, text } = await addon().runDoctor(commandSources(values.config), values.token, values.origin);
  out(text.trimEnd().split('\n').map(highlighted).join('\n'));
  if (!ok) throw new CommandFailed('Something needs attention.');
}
