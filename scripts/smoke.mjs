/**
 * Loads the built addon in whatever Node runs this, serves, and stops: `node scripts/smoke.mjs`.
 * CI runs it in the other Node versions the package promises.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { RealtimeServer } from '../dist/adapter/index.js';

const folder = mkdtempSync(join(tmpdir(), 'realtime-smoke-'));
const server = new RealtimeServer({
  config: { host: '127.0.0.1', port: 0, rooms: { open_types: ['notes'] } },
  env: { CIVIC_SYSTEM_DATA_DIR: folder },
  host: { authenticate: async () => null, authorize: async () => null },
});
const { port } = await server.initialize();
const health = await (await fetch(`http://127.0.0.1:${port}/health`)).json();
await server.shutdown();
rmSync(folder, { recursive: true, force: true });
if (health.status !== 'healthy') throw new Error(`health says ${JSON.stringify(health)}`);
console.log(`Node ${process.version}: the addon loads, serves and stops`);
