/** The package as it lies in somebody's node_modules. */

import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { ROOT, temporaryFolder } from '../support.js';

const CORE = join(ROOT, '__test__', 'host', 'core');

export interface Installed {
  folder: string;
  /** Address of the package's entry. */
  entry: string;
  /** Address of the core beside it. */
  core: string;
}

/** Installs the package that was built last, with or without its addon and a core beside it. */
export function installed(parts: { addon: boolean; core: boolean }): Installed {
  const folder = temporaryFolder();
  const scope = join(folder, 'node_modules', '@civicpress');
  const realtime = join(scope, 'realtime');
  place(realtime, parts.addon);
  if (parts.core) cpSync(CORE, join(scope, 'core'), { recursive: true });
  return {
    folder,
    entry: pathToFileURL(join(realtime, 'dist', 'adapter', 'index.js')).href,
    core: pathToFileURL(join(scope, 'core', 'index.js')).href,
  };
}

function place(folder: string, withAddon: boolean): void {
  mkdirSync(folder, { recursive: true });
  cpSync(join(ROOT, 'dist', 'adapter'), join(folder, 'dist', 'adapter'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  if (!withAddon) return;
  for (const name of readdirSync(ROOT).filter((file) => file.endsWith('.node'))) {
    symlinkSync(join(ROOT, name), join(folder, name));
  }
}
