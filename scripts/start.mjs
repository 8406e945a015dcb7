/** Installs and builds what is missing, then runs `civicpress-realtime start` with the given arguments. */

import { build } from './build.mjs';
import { inRoot, main } from './steps.mjs';

await main(async (args) => {
  await build();
  const cli = inRoot('dist/adapter/cli.js');
  process.argv = [process.argv[0], cli, 'start', ...args];
  // In this process, so that signals need no forwarding.
  await import(`file://${cli}`);
});
