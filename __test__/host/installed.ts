/** The package as it lies in somebody's node_modules. */

import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { ROOT, temporaryFolder } from '../support.js';

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
  const place = join(scope, 'realtime');
  mkdirSync(place, { recursive: true });
  cpSync(join(ROOT, 'dist', 'adapter'), join(place, 'dist', 'adapter'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(place, 'package.json'));
  if (parts.addon) {
    for (const name of readdirSync(ROOT).filter((file) => file.endsWith('.node'))) {
      symlinkSync(join(ROOT, name), join(place, name));
    }
  }
  if (parts.core) cpSync(join(ROOT, '__test__', 'host', 'core'), join(scope, 'core'), { recursive: true });
  return {
    folder,
    entry: pathToFileURL(join(place, 'dist', 'adapter', 'index.js')).href,
    core: pathToFileURL(join(scope, 'core', 'index.js')).href,
  };
}
