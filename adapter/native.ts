/** The native part by name: the entry `./native`. Importing it throws where there is none for the platform. */

import { addon } from './addon.js';

export const {
  RealtimeEngine,
  backupStore,
  checkConfig,
  defaultConfig,
  describeConfig,
  exportVersion,
  installSamples,
  listRooms,
  listVersions,
  printConfig,
  readConfig,
  restoreStore,
  restoreVersion,
  runDoctor,
  signToken,
  version,
} = addon();
