import { parseArgs } from 'node:util';

import { runDoctor } from '../native.js';
import { CommandFailed, out } from './output.js';
import { commandSources } from './sources.js';

export async function doctor(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { config: { type: 'string' }, token: { type: 'string' }, origin: { type: 'string' } },
  });
  const { ok, text } = await runDoctor(commandSources(values.config), values.token, values.origin);
  out(text.trimEnd());
  if (!ok) throw new CommandFailed('Something needs attention.');
}
