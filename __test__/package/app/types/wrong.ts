/** Compiled, never run: what the public types refuse. */

import {
  createRealtimeServer,
  RealtimeServer,
  RoomNotFoundError,
  type AuthResult,
  type HealthStatus,
  type Room,
  type RoomState,
  type RoomTypeHandler,
} from '@civicpress/realtime';
import { registerRealtimeCommands } from '@civicpress/realtime/cli';
import type { RealtimeEngine } from '@civicpress/realtime/native';
import * as services from '@civicpress/realtime/realtime-services';
// @ts-expect-error is not exported
import type { Nothing } from '@civicpress/realtime';
// @ts-expect-error only what `exports` names can be imported
import type { addon } from '@civicpress/realtime/dist/adapter/addon.js';

export type Exported = [Nothing, typeof addon, RealtimeEngine];

// @ts-expect-error services are missing
createRealtimeServer({ logger: {} }, { dataDir: 'data' });

// @ts-expect-error the data folder is missing
services.registerRealtimeServices({ singleton: () => {}, resolve: () => null }, {});

// @ts-expect-error without destroy() it is no room
export class NoRoom implements Room {
  readonly roomId = 'a';
  readonly roomType = 'device';
  addClient(): void {}
  removeClient(): void {}
  broadcast(): void {}
  getState(): RoomState {
    throw new Error('none');
  }
}

export class NoHandler implements RoomTypeHandler {
  readonly roomType = 'device';

  // @ts-expect-error answers yes or no at once
  onConnect(): AuthResult {
    return { success: true };
  }
}

// @ts-expect-error a room is named by a text
new RoomNotFoundError(7);

// @ts-expect-error is no CLI
registerRealtimeCommands({});

// @ts-expect-error has no such state
export const status: HealthStatus['status'] = 'splendid';

// @ts-expect-error a port is a number or a text of one
new RealtimeServer({ config: 7 });
