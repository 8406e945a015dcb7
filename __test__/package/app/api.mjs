/** An API that starts realtime if it can, and serves in any case. */

import { createServer } from 'node:http';

import { createRealtimeServer } from '@civicpress/realtime';
import { registerRealtimeCommands } from '@civicpress/realtime/cli';

const api = createServer((_request, response) => response.end('records'));
await new Promise((resolve) => api.listen(0, '127.0.0.1', resolve));
let realtime = 'started';
try {
  const service = {};
  await createRealtimeServer(
    { logger: service, hookSystem: service, authService: service, recordManager: service },
    { dataDir: 'data' },
  ).initialize();
} catch ({ name, code, message }) {
  realtime = { name, code, message };
}
const answer = await (await fetch(`http://127.0.0.1:${api.address().port}`)).text();
api.close();
console.log(JSON.stringify({ realtime, answer, commands: typeof registerRealtimeCommands }));
