/** Contract 17 and the deployment documents: `civic realtime:start`, realtime without the API, the dev scripts. */

import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { environment, node, ROOT, temporaryFolder } from '../support.js';
import { installed, type Installed } from './installed.js';

/** The core's part that boots by itself; its services answer, and its calls are printed. */
const BOOTING_CORE = `export * from './base.js';
const told = (line) => console.log('core: ' + line);
export class Logger { debug() {} info() {} warn() {} error() {} }
export class CentralConfigManager {
  static getDataDir() { return process.env.CIVIC_DATA_DIR; }
  static getDatabaseConfig() { return { type: 'sqlite' }; }
}
export class CivicPress {
  #config;
  constructor(config) { this.#config = config; }
  async initialize() { told('initialized with ' + this.#config.database.type); }
  async shutdown() { told('shut down'); }
  getDataDir() { return this.#config.dataDir; }
  getHookSystem() { return { emit: async () => {} }; }
  getAuthService() { return { validateSession: async () => null, userCan: async () => false }; }
  getRecordManager() { return { getRecord: async () => null }; }
  getDatabaseService() { return { query: async () => [] }; }
}
`;

/** An installation whose CLI is cac's, with `realtime:start` registered as CivicPress would. */
function withCli(core: boolean): Installed & { cli: string; env: Record<string, string> } {
  const place = installed({ addon: true, core });
  cpSync(join(ROOT, 'node_modules', 'cac'), join(place.folder, 'node_modules', 'cac'), { recursive: true });
  if (core) {
    const folder = join(place.folder, 'node_modules', '@civicpress', 'core');
    renameSync(join(folder, 'index.js'), join(folder, 'base.js'));
    writeFileSync(join(folder, 'index.js'), BOOTING_CORE);
  }
  const cli = join(place.folder, 'civic.mjs');
  writeFileSync(
    cli,
    `import { cac } from 'cac';
     import { registerRealtimeCommands } from '@civicpress/realtime/cli';
     const cli = cac('civic');
     registerRealtimeCommands(cli);
     cli.help();
     cli.parse();`,
  );
  return { ...place, cli, env: environment(place.folder) };
}

it('civic realtime:start runs the engine with core and without the API', async () => {
  const { cli, folder, env } = withCli(true);
  const child = node([cli, 'realtime:start', '--port', '0', '--host', '127.0.0.1'], { cwd: folder, env });
  const printed = await child.printed('Ctrl+C');
  expect(printed).toContain('core: initialized with sqlite');
  const port = /listens on 127\.0\.0\.1:(\d+)/.exec(printed)?.[1];
  expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  child.process.kill('SIGTERM');
  const { code, stdout } = await child.ended;
  expect({ code, end: stdout.trimEnd().split('\n').at(-1) }).toEqual({ code: 0, end: 'core: shut down' });
});

it('CIVIC_REALTIME_ENABLED and REALTIME_ENABLED switch it off', async () => {
  for (const name of ['CIVIC_REALTIME_ENABLED', 'REALTIME_ENABLED']) {
    const { cli, folder, env } = withCli(true);
    const { code, stdout } = await node([cli, 'realtime:start'], {
      cwd: folder,
      env: { ...env, [name]: 'false' },
    }).ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/core: shut down\n.*nothing listens/);
  }
});

it('a core that is not there is told in words', async () => {
  const { cli, folder, env } = withCli(false);
  const { code, stderr } = await node([cli, 'realtime:start'], { cwd: folder, env }).ended;
  expect(code).toBe(1);
  expect(stderr).toContain('@civicpress/core is not installed beside this package');
  expect(stderr).not.toContain('    at ');
});

it('the same command runs it without CivicPress, and tells what it does not understand', async () => {
  const { cli, folder, env } = withCli(false);
  const child = node([cli, 'realtime:start', '--standalone', '--port', '0'], { cwd: folder, env });
  await child.printed('Ctrl+C');
  child.process.kill('SIGTERM');
  expect((await child.ended).code).toBe(0);
  const wrong = await node([cli, 'realtime:start', '--standalone', '--port', 'x'], { cwd: folder, env })
    .ended;
  expect({ code: wrong.code, stderr: wrong.stderr }).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("--port 'x' is no port"),
  });
  const help = await node([cli, 'realtime:start', '--help'], { cwd: folder, env }).ended;
  expect(help.stdout).toContain('--log-format');
});

it('a CLI passes its own flags through civicpress-realtime start --core, too', async () => {
  const { folder, env } = withCli(true);
  const bin = join(folder, 'node_modules', '@civicpress', 'realtime', 'dist', 'adapter', 'cli.js');
  const args = [bin, 'start', '--core', '--port', '0', '--host', '127.0.0.1'];
  const child = node(args, { cwd: folder, env });
  expect(await child.printed('Ctrl+C')).toContain('with core and without the API');
  child.process.kill('SIGTERM');
  expect((await child.ended).code).toBe(0);
});

/** A checkout of CivicPress with our package in it, and a package manager that tells what it was asked. */
function checkout() {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'modules', 'api'), { recursive: true });
  mkdirSync(join(folder, 'modules', 'realtime'), { recursive: true });
  writeFileSync(join(folder, 'modules', 'api', 'package.json'), '{}');
  const manager = join(folder, 'manager.cjs');
  writeFileSync(
    manager,
    `const { REALTIME_ENABLED: a, CIVIC_REALTIME_ENABLED: b, API_ENABLED: c } = process.env;
     console.log(process.argv.slice(2).join(' '), process.cwd().split('/').slice(-2).join('/'), a, b, c);`,
  );
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const run = (script: string, env: Record<string, string> = {}) => {
    const [program, file = '', ...args] = (scripts[script] ?? '').split(' ');
    expect(program).toBe('node');
    const cwd = join(folder, 'modules', 'realtime');
    return node([join(ROOT, file), ...args], { cwd, env: { npm_execpath: manager, ...env } }).ended;
  };
  return { run };
}

it('dev:api and dev:api:with-realtime run the API of the checkout', async () => {
  const { run } = checkout();
  expect(await run('dev:api')).toMatchObject({ code: 0, stdout: 'run dev modules/api false false true\n' });
  expect(await run('dev:api:with-realtime')).toMatchObject({
    stdout: 'run dev modules/api true true true\n',
  });
});

it('dev does what the environment says', async () => {
  const { run } = checkout();
  expect((await run('dev')).stdout).toBe('run dev modules/api true true true\n');
  expect((await run('dev', { REALTIME_ENABLED: 'false' })).stdout).toContain('false false true');
  expect((await run('dev', { CIVIC_REALTIME_ENABLED: 'off' })).stdout).toContain('false false true');
  const neither = await run('dev', { REALTIME_ENABLED: 'false', API_ENABLED: 'false' });
  expect(neither).toMatchObject({ code: 1, stderr: expect.stringContaining('nothing to run') });
  // Realtime only: this checkout has no core beside the package.
  const alone = await run('dev', { API_ENABLED: 'false' });
  expect(alone).toMatchObject({ code: 1, stderr: expect.stringContaining('@civicpress/core') });
  expect((await run('dev:realtime')).stderr).toContain('@civicpress/core');
});
