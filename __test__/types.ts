/** Compiled, never run: the public types and the implementation must agree. */

import type { HostCallbacks } from '../binding.js';
import * as implementation from '../adapter/index.js';
import type * as Public from '../index.js';

/** Everything index.d.ts declares exists with that type. */
export const complete: typeof Public = implementation;

/** A host as CivicPress would write one. */
const host: Public.RealtimeHost = {
  authenticate: async (token) => (token === 'x' ? { id: 7, name: 'Ada', expiresAt: new Date() } : null),
  authorize: (caller) => ({ canEdit: caller.role !== 'viewer' }),
  loadRecord: () => 'text',
  saveRecord: async (_room, text, expected) =>
    expected === text ? { saved: true } : { saved: false, text, source: 'draft' },
};

const server = new implementation.RealtimeServer({ host, config: { port: 0 } });
const address: Promise<Public.ServerAddress> = server.initialize();
// What the host's contract asks for.
const started: Promise<unknown> = address;
const stopped: Promise<void> = server.shutdown();
const ended: number = server.revokeUserConnections(7, 'left');
const health: Public.HealthStatus = server.getHealthStatus();
const code: string = new implementation.RealtimeError('y', { operation: 'x' }).code;
export const used = [started, stopped, ended, health, code];

// @ts-expect-error a host without its decisions is none
export const half: Public.RealtimeHost = { authenticate: () => null };

// @ts-expect-error the native border takes promises only
export const bare: HostCallbacks['loadRecord'] = () => ({ ok: true });
