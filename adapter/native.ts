/** The native part by name, for the command line and as the entry `./native`. */

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
