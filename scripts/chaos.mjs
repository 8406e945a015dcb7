/**
 * Kills the server at random moments and checks that nothing it called durable is lost or doubled.
 *
 * npm run chaos -- --rounds 1000 [--seed N] [--durability process|power]
 */

import { parseArgs } from 'node:util';

import { build } from './build.mjs';
import { main, runTool, StepFailed } from './steps.mjs';

await main(async (args) => {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '200' },
      seed: { type: 'string' },
      durability: { type: 'string', default: 'power' },
    },
  });
  if (!/^[1-9]\d*$/.test(values.rounds)) throw new StepFailed('--rounds is a number');
  if (!/^\d*$/.test(values.seed ?? '')) throw new StepFailed('--seed is a number');
  if (!['process', 'power'].includes(values.durability)) {
    throw new StepFailed('--durability is process or power');
  }
  await build();
  const env = { ...process.env, ROUNDS: values.rounds, DURABILITY: values.durability };
  if (values.seed) env.SEED = values.seed;
  runTool('vitest', ['run', '--silent=false', '__test__/chaos'], { env });
});
