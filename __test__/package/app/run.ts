import { type RealtimeServer, SESSION_REVOKED_HOOK } from '@civicpress/realtime';

import { use } from './use.mjs';

export type Server = RealtimeServer;
const hook: string = SESSION_REVOKED_HOOK;
if (hook !== 'auth:sessions:revoked') throw new Error(hook);
console.log(JSON.stringify(await use()));
