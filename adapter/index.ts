/** The package's entry. Public types stand in `index.d.ts`; `__test__/types.ts` holds both together. */

import { native } from './native.js';

export { RealtimeError } from './errors.js';
export { RealtimeServer } from './server.js';

export const version: string = native.version();
