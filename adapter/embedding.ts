/** What a server is embedded in. */

import { fileURLToPath } from 'node:url';

import type { ConfigSources } from '../binding.js';
import type { RealtimeHost, RealtimeLogger, RealtimeServerOptions } from '../index.js';
import type { SnapshotManager } from './civicpress/snapshots.js';
import { quietConsole } from './logging.js';

/** The built pages; a package may have been built without. */
export const PAGES_DIR = fileURLToPath(new URL('../web', import.meta.url));

export interface Embedding {
  readonly host: RealtimeHost | undefined;
  readonly logger: RealtimeLogger;
  /** Folder of built pages to serve, all of them. */
  readonly pagesDir?: string | undefined;
  /** Where the configuration comes from; asked at each start. */
  sources(): ConfigSources;
  /** The host's copies of rooms, while it runs. */
  readonly snapshots?: SnapshotManager | null;
  /** Before the engine starts, and after it stopped. */
  open?(): Promise<void>;
  close?(): void;
}

/** What the native side reads a configuration from. */
export function configSources(
  options: Pick<RealtimeServerOptions, 'config' | 'configFile' | 'env' | 'cwd' | 'standalone'>,
): ConfigSources {
  const set = Object.entries(options.env ?? process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return {
    env: Object.fromEntries(set),
    cwd: options.cwd ?? process.cwd(),
    ...(options.config === undefined ? {} : { config: JSON.stringify(options.config) }),
    ...(options.configFile === undefined ? {} : { configFile: options.configFile }),
    ...(options.standalone === undefined ? {} : { standalone: options.standalone }),
  };
}

/** An embedding as its options say it. */
export function ownEmbedding(options: RealtimeServerOptions): Embedding {
  const standalone = options.standalone ?? options.host === undefined;
  // Taken now: the caller may change the environment later.
  const sources = configSources({ ...options, standalone });
  return {
    host: options.host,
    logger: options.logger ?? quietConsole,
    pagesDir: options.pagesDir,
    sources: () => sources,
  };
}
