/**
 * The memory tests for longer: rooms that come and go, people who reconnect. Memory must be flat.
 *
 * npm run soak [-- --times 50]     50 times 2,000 reconnects and 10,000 rooms
 */

import { parseArgs } from 'node:util';

import { main, run, StepFailed } from './steps.mjs';

await main((args) => {
  const { values } = parseArgs({ args, options: { times: { type: 'string', default: '50' } } });
  if (!/^[1-9]\d*$/.test(values.times)) throw new StepFailed('--times is a number');
  const env = { ...process.env, RECONNECTS: values.times, ROOM_ROUNDS: values.times };
  const filter = ['memory::thousands', 'memory::ten_thousand', '--nocapture', '--test-threads=1'];
  run('cargo', ['test', '--release', '--test', 'engine', '--', ...filter], { env });
});
