/** The engine with the core of CivicPress in this process, and without its API. */

import { createRealtimeServer } from '../civicpress/services.js';
import { stderrLogger } from './log-lines.js';
import { CommandFailed, out } from './output.js';
import { reloadOnHangup, stopOnSignals } from './signals.js';

type Services = Parameters<typeof createRealtimeServer>[0];

/** As much of core as a host without HTTP needs. */
interface Core {
  CivicPress: new (config: { dataDir: string; database?: unknown }) => CivicPress;
  CentralConfigManager: { getDataDir(): string; getDatabaseConfig(): unknown };
  Logger: new () => Services['logger'];
}

interface CivicPress {
  initialize(): Promise<void>;
  shutdown(): Promise<void>;
  getDataDir(): string;
  getHookSystem(): Services['hookSystem'];
  getAuthService(): Services['authService'];
  getRecordManager(): Services['recordManager'];
  getDatabaseService(): Services['databaseService'];
}

// Not a literal: it need not be there, and type checkers would want it to be.
const CORE: string = '@civicpress/core';

async function loadCore(): Promise<Core> {
  try {
    return (await import(CORE)) as Core;
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    if (code !== 'ERR_MODULE_NOT_FOUND' || !message?.includes(CORE)) throw error;
    throw new CommandFailed(
      `${CORE} is not installed beside this package.`,
      'Without it the engine runs by itself (civicpress-realtime start), or with the CivicPress API as its host',
      '(host_api.url and host_api.token).',
    );
  }
}

/** Serves until a signal. `flags` are spelled as environment, which wins over the file in core's system data. */
export async function serveWithCore(
  config: string | undefined,
  flags: Record<string, string | undefined>,
): Promise<void> {
  const given = { ...flags, CIVIC_REALTIME_CONFIG: config };
  for (const [name, value] of Object.entries(given)) if (value !== undefined) process.env[name] = value;
  const { CivicPress, CentralConfigManager, Logger } = await loadCore();
  const civic = new CivicPress({
    dataDir: CentralConfigManager.getDataDir(),
    database: CentralConfigManager.getDatabaseConfig(),
  });
  await civic.initialize();
  const server = createRealtimeServer(
    {
      logger: new Logger(),
      hookSystem: civic.getHookSystem(),
      authService: civic.getAuthService(),
      recordManager: civic.getRecordManager(),
      databaseService: civic.getDatabaseService(),
    },
    { dataDir: civic.getDataDir() },
  );
  // Drafts are written while the engine stops, so core's database closes last.
  const shutdown = async (): Promise<void> => {
    await server.shutdown();
    await civic.shutdown();
  };
  stopOnSignals(shutdown, stderrLogger('auto'));
  const { host, port } = await server.initialize().catch(async (error: unknown) => {
    await shutdown();
    throw error;
  });
  if (port === null) {
    await shutdown();
    return out('enabled is false: nothing listens.');
  }
  reloadOnHangup(() => server.reloadTls());
  out(`CivicPress realtime listens on ${host}:${port}, with core and without the API. Ctrl+C stops it.`);
}
