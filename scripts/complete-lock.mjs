/**
 * Completes package-lock.json with the optional packages of other platforms.
 *
 * npm leaves out what its registry could not serve when the lock was made, and then `npm ci` refuses the lock
 * as incomplete, on every platform. Run after `npm install` changed the lock.
 */

import { readFileSync, writeFileSync } from 'node:fs';

import { inRoot, main, say } from './steps.mjs';

const SYSTEMS = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
];
const PROCESSORS = [
  'arm',
  'arm64',
  'ia32',
  'loong64',
  'mips64el',
  'ppc64',
  'riscv64',
  's390x',
  'wasm32',
  'x64',
];
/** Who names platform packages `<name>-<os>-<cpu>[-<libc>]` and pins them exactly. */
const SCOPES = /^@(esbuild|napi-rs|rollup)\//;

function platformOf(name) {
  const words = name.replace(SCOPES, '').split('-');
  const os = words.find((word) => SYSTEMS.includes(word));
  const cpu = words.find((word) => PROCESSORS.includes(word));
  const gnu = os === 'linux' && words.some((word) => word.startsWith('gnu'));
  const libc = words.some((word) => word.startsWith('musl')) ? 'musl' : gnu ? 'glibc' : undefined;
  return { ...(os && { os: [os] }), ...(cpu && { cpu: [cpu] }), ...(libc && { libc: [libc] }) };
}

await main(() => {
  const file = inRoot('package-lock.json');
  const lock = JSON.parse(readFileSync(file, 'utf8'));
  let added = 0;
  for (const [where, { optionalDependencies = {} }] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      if (!SCOPES.test(name) || !/^\d/.test(version)) continue;
      if (lock.packages[`${where}/node_modules/${name}`] || lock.packages[`node_modules/${name}`]) continue;
      lock.packages[`node_modules/${name}`] = { version, dev: true, optional: true, ...platformOf(name) };
      added += 1;
    }
  }
  const sorted = Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
  say(`${added} packages of other platforms added to package-lock.json`);
});
