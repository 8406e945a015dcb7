/** How CivicPress makes a server: directly, or through its container of services. */

import type * as Public from '../../index.js';
import { RealtimeServer } from '../server.js';
import { RealtimeConfigManager } from './config-manager.js';
import { systemDataDir } from './embedding.js';
import { RecordRoomHandler } from './record-room-handler.js';

export function createRealtimeServer(
  deps: Public.RealtimeServerDeps,
  config: Public.CivicPressConfig,
): RealtimeServer {
  const { logger, hookSystem, authService, recordManager, databaseService } = deps;
  const configManager = new RealtimeConfigManager(systemDataDir(config));
  return wired(
    new RealtimeServer(logger, hookSystem, authService, configManager, config),
    recordManager,
    databaseService,
  );
}

export function registerRealtimeServices(
  container: Public.CivicServiceContainer,
  config: Public.CivicPressConfig,
): void {
  container.singleton('realtimeConfigManager', () => new RealtimeConfigManager(systemDataDir(config)));
  container.singleton('realtimeServer', (services) =>
    wired(
      new RealtimeServer(
        services.resolve('logger'),
        services.resolve('hooks'),
        services.resolve('auth'),
        services.resolve('realtimeConfigManager'),
        config,
      ),
      services.resolve('recordManager'),
      services.isRegistered?.('database') === false ? undefined : services.resolve('database'),
    ),
  );
  // The server's own: one that came later would not hold the rooms.
  container.singleton('realtimeRoomManager', (services) =>
    (services.resolve('realtimeServer') as RealtimeServer).getRoomManager(),
  );
}

function wired(
  server: RealtimeServer,
  recordManager: Public.CivicRecordManager,
  databaseService: Public.CivicDatabaseService | undefined,
): RealtimeServer {
  server.setRecordManager(recordManager);
  if (databaseService) server.setDatabaseService(databaseService);
  server.registerRoomTypeHandler(new RecordRoomHandler());
  return server;
}
