/** What a page gets by `<script src="/dpd.js">`: `Deployd`, `RealtimeClient`, and `dpd` of the page's own server. */

import { Deployd, RealtimeClient } from './index.js';

const page = globalThis as unknown as Record<string, unknown> & { location: { origin: string } };

let own: unknown;
Object.assign(page, { Deployd, RealtimeClient });
// Connects once somebody uses it.
Object.defineProperty(page, 'dpd', {
  configurable: true,
  get: () => (own ??= new Deployd(page.location.origin)),
});
