import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { ConfigSources } from '../../binding.js';
import type * as Public from '../../index.js';
import { addon } from '../addon.js';
import { asRealtimeError, realtimeError } from '../errors.js';

/** Nothing can lie below a file, so no configuration is found from here. */
const NOWHERE = fileURLToPath(new URL('nowhere', `${import.meta.url}/`));

export class RealtimeConfigManager implements Public.RealtimeConfigManager {
  // Named and writable as the host's own tests have it.
  private configPath: string;

  constructor(basePath = '.system-data') {
    this.configPath = join(basePath, 'realtime.yml');
  }

  /** What an engine of this folder reads its configuration from. Without a file the defaults hold. */
  static sources(manager: RealtimeConfigManager, dataDir: string | undefined): ConfigSources {
    const { configPath } = manager;
    const env = Object.entries(process.env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    );
    return {
      env: {
        ...Object.fromEntries(env),
        CIVIC_SYSTEM_DATA_DIR: dirname(configPath),
        ...(dataDir === undefined ? {} : { CIVIC_DATA_DIR: dataDir }),
      },
      cwd: process.cwd(),
      standalone: false,
      ...(existsSync(configPath) ? { configFile: configPath } : {}),
    };
  }

  async loadConfig(): Promise<Public.RealtimeConfig> {
    const path = this.configPath;
    if (!existsSync(path)) {
      throw realtimeError('REALTIME_CONFIG_MISSING', `there is no ${path}`, { context: { path } });
    }
    try {
      return readConfig(RealtimeConfigManager.sources(this, undefined));
    } catch (error) {
      throw asRealtimeError(error, { path });
    }
  }

  getDefaultConfig(): Public.RealtimeConfig {
    return readConfig({ config: '{}', env: {}, cwd: NOWHERE, standalone: false });
  }

  validateConfig(config: Public.RealtimeConfig): void {
    const { errors } = addon().checkConfig({
      config: JSON.stringify(config),
      env: {},
      cwd: NOWHERE,
      standalone: false,
    });
    if (errors.length === 0) return;
    const message = errors.map((error) => error.message).join('; ');
    throw realtimeError('REALTIME_CONFIG_INVALID', message);
  }
}

/** The configuration that holds, of files, environment and defaults. */
export function readConfig(sources: ConfigSources): Public.RealtimeConfig {
  return JSON.parse(addon().readConfig(sources)) as Public.RealtimeConfig;
}
