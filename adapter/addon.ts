/** Finds and loads the addon built for this platform, once it is needed. */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import type * as Binding from '../binding.js';
import { realtimeError } from './errors.js';

const BINARY_NAME = 'civicpress-realtime';
const PACKAGE_NAME = '@civicpress/realtime';

function isMusl(): boolean {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return report?.header?.glibcVersionRuntime === undefined;
}

/** The platform in the naming of the per-platform packages, such as `linux-x64-gnu`. */
export function platformName(): string {
  const base = `${process.platform}-${process.arch}`;
  if (process.platform === 'linux') return `${base}-${isMusl() ? 'musl' : 'gnu'}`;
  return process.platform === 'win32' ? `${base}-msvc` : base;
}

let loaded: typeof Binding | undefined;

/**
 * The native part. Throws `REALTIME_UNAVAILABLE` where there is none for this platform: only then, so that a
 * host that imports the package starts without it.
 */
export function addon(): typeof Binding {
  if (loaded) return loaded;
  const require = createRequire(import.meta.url);
  const platform = platformName();
  const built = fileURLToPath(new URL(`../../${BINARY_NAME}.${platform}.node`, import.meta.url));
  const candidate = existsSync(built) ? built : `${PACKAGE_NAME}-${platform}`;
  try {
    loaded = require(candidate) as typeof Binding;
  } catch (cause) {
    throw realtimeError(
      'REALTIME_UNAVAILABLE',
      `The native part of ${PACKAGE_NAME} for ${platform} cannot be loaded from ${candidate}. ` +
        'In a checkout run `npm run build`; otherwise reinstall the package on this platform.',
      { cause, context: { platform } },
    );
  }
  return loaded;
}
