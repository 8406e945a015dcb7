import { createRequire } from 'node:module';

// Not the addon's own: there may be none for this platform.
const manifest = createRequire(import.meta.url)('../../package.json') as { version: string };

export const version: string = manifest.version;
