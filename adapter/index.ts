/** The package's entry. Public types stand in `index.d.ts`; `__test__/types.ts` holds both together. */

export { RealtimeConfigManager } from './civicpress/config-manager.js';
export { ControlEvent, MessageType, PresenceEvent, SESSION_REVOKED_HOOK } from './civicpress/constants.js';
export { RecordRoomHandler } from './civicpress/record-room-handler.js';
export { createRealtimeServer, registerRealtimeServices } from './civicpress/services.js';
export {
  DatabaseSnapshotStorage,
  FilesystemSnapshotStorage,
  MAX_SNAPSHOT_BYTES,
  MAX_SNAPSHOT_VERSIONS_PER_ROOM,
  SNAPSHOT_FORMAT_V1,
  SNAPSHOT_TTL_MS,
  SnapshotHookBus,
  SnapshotManager,
} from './civicpress/snapshots.js';
export {
  AuthenticationFailedError,
  ConnectionLimitExceededError,
  InvalidYjsUpdateError,
  PermissionDeniedError,
  RealtimeError,
  RoomNotFoundError,
} from './errors.js';
export { YjsRoom } from './rooms/document-rooms.js';
export { DefaultHandlerRegistry, createHandlerRegistry } from './rooms/registry.js';
export { RoomManager } from './rooms/room-manager.js';
export { RealtimeServer } from './server.js';
export { version } from './version.js';
