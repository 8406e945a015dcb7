/** `civic realtime:start`: commands for the CLI of CivicPress, or any other of cac's shape. */

import type { CivicCli } from '../../cli.js';
import { helpOf } from './help.js';
import { report } from './output.js';
import { serve } from './start.js';

/** cac makes numbers of what looks like one. */
const given = (value: unknown): string | undefined => (value === undefined ? undefined : String(value));

/** Adds `realtime:start`. */
export function registerRealtimeCommands(cli: CivicCli): void {
  cli
    .command('realtime:start', 'Run the realtime engine with the core of CivicPress, without the API')
    .option('--config <file>', 'Configuration file of the engine (standalone and with --api)')
    .option('--port <port>', 'Port to listen on; 0 = any free one')
    .option('--host <address>', 'Address to listen on')
    .option('--log-format <form>', 'Log lines as text or json')
    .option('--api', 'The CivicPress API is the host (host_api.url, host_api.token), without core here')
    .option('--standalone', 'Records are a folder of Markdown files and tokens JWT, without CivicPress')
    .action(async ({ config, port, host, logFormat, api, standalone }) => {
      try {
        await serve({
          config: given(config),
          port: given(port),
          host: given(host),
          logFormat: given(logFormat),
          core: api !== true && standalone !== true,
        });
      } catch (error) {
        report(error, helpOf);
      }
    });
}
