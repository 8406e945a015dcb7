/** Finds and loads the addon built for this platform. */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import type * as Binding from '../binding.js';

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

function load(): typeof Binding {
  const require = createRequire(import.meta.url);
  const platform = platformName();
  const built = fileURLToPath(new URL(`../../${BINARY_NAME}.${platform}.node`, import.meta.url));
  const candidate = existsSync(built) ? built : `${PACKAGE_NAME}-${platform}`;
  try {
    return require(candidate) as typeof Binding;
  } catch (cause) {
    throw new Error(
      `The native part of ${PACKAGE_NAME} for ${platform} cannot be loaded from ${candidate}. ` +
        'In a checkout run `npm run build`; otherwise reinstall the package on this platform.',
      { cause },
    );
  }
}

export const native: typeof Binding = load();

export const {
  RealtimeEngine,
  backupStore,
  checkConfig,
  defaultConfig,
  describeConfig,
  exportVersion,
  installSamples,
  listRooms,
  listVersions,
  printConfig,
  restoreStore,
  restoreVersion,
  runDoctor,
  signToken,
  version,
} = native;
