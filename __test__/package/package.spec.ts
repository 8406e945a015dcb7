/** What `npm pack` makes, as its users install and load it. */

import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize, relative } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { node, ROOT, temporaryFolder } from '../support.js';
import { addonOf, application, nodeVersions, npm, pack, type Packed, workspace } from './packed.js';

const NAPI = join(ROOT, 'node_modules', '@napi-rs', 'cli', 'dist', 'cli.js');
const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
const TSX = join(ROOT, 'node_modules', 'tsx', 'dist', 'cli.mjs');
const VITEST = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');

/** What README names for those who have the repository. */
const REPOSITORY_ONLY = ['ARCHITECTURE.md', 'CONTRIBUTING.md'];

const folder = mkdtempSync(join(tmpdir(), 'civic-package-'));
let packed: Packed;
let nodes: [version: string, program: string][];

beforeAll(async () => {
  [packed, nodes] = await Promise.all([pack(folder), nodeVersions(folder)]);
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program of the application; what it printed, as JSON. */
async function answer(args: string[], cwd: string, program?: string): Promise<object> {
  const { code, stdout, stderr } = await node(args, { cwd, ...(program && { program }) }).ended;
  if (code !== 0) throw new Error(`ended with ${code}\n${stdout}\n${stderr}`);
  return JSON.parse(stdout) as object;
}

describe('the tarball', () => {
  it('has the addon of this machine, the adapter, the pages, types, samples and documents', () => {
    const top = [...new Set(packed.files.map((file) => file.split('/')[0]))].sort();
    expect(top).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'binding.d.ts',
      addonOf(packed).name,
      'civicpress.d.ts',
      'cli.d.ts',
      'client.d.ts',
      'defaults',
      'deploy',
      'dist',
      'docs',
      'index.d.ts',
      'package.json',
      'realtime-services.d.ts',
      'records',
    ]);
    expect(packed.files).toContain('defaults/realtime.yml');
    expect(packed.files).toContain('dist/web/index.html');
  });

  it('has no sources, stamps or maps', () => {
    expect(packed.files.filter((file) => /\.(rs|toml|map|tsbuildinfo|spec\..*)$/.test(file))).toEqual([]);
    expect(packed.files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))).toEqual([]);
    expect(packed.files.filter((file) => /(^|\/)\./.test(file))).toEqual([]);
  });

  it('has what its documents link to', () => {
    const missing = packed.files
      .filter((file) => file.endsWith('.md') && !file.startsWith('records/'))
      .flatMap((file) => {
        const text = readFileSync(join(ROOT, file), 'utf8');
        const targets = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map((match) => match[1] as string);
        return targets.map((target) => normalize(join(dirname(file), target)));
      })
      .filter((target) => !packed.files.some((file) => file === target || file.startsWith(`${target}/`)));
    expect([...new Set(missing)].filter((target) => !REPOSITORY_ONLY.includes(target))).toEqual([]);
  });

  it('has each file that package.json names', () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      exports: Record<string, string | Record<string, string>>;
      bin: Record<string, string>;
      types: string;
    };
    const named = [manifest.types, ...Object.values(manifest.bin), ...Object.values(manifest.exports)];
    for (const path of named.flatMap((entry) => (typeof entry === 'string' ? entry : Object.values(entry)))) {
      expect(packed.files).toContain(normalize(path));
    }
  });
});

/** Each file below a folder with its text. */
function texts(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  const paths = files.map(({ parentPath, name }) => join(parentPath, name));
  return Object.fromEntries(paths.map((path) => [relative(folder, path), readFileSync(path, 'utf8')]));
}

it('describes the packages of the platforms as napi does', async () => {
  const folder = temporaryFolder();
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  const made = await node([NAPI, 'create-npm-dirs', '--cwd', folder]).ended;
  expect(made.code, made.stderr).toBe(0);
  expect(texts(join(ROOT, 'npm')), '`npm run platforms` makes them anew').toEqual(texts(join(folder, 'npm')));
});

const USED = {
  missing: [],
  services: ['createRealtimeServer', 'registerRealtimeServices'],
  commands: ['realtime:start'],
  draft: 'Text.\n\nTyped.',
};

describe('installed from the tarball alone', () => {
  it('is imported, serves, takes an edit and ends under each Node it promises', async () => {
    for (const [version, program] of nodes) {
      const app = application(packed, { addon: true, core: false });
      expect({ version, ...(await answer(['run.mjs'], app, program)) }).toEqual({ version, ...USED });
    }
  });

  it('does so under tsx', async () => {
    expect(await answer([TSX, 'run.ts'], application(packed, { addon: true, core: false }))).toEqual(USED);
  });

  it('tells who requires it to import it', async () => {
    for (const [, program] of nodes) {
      expect(await answer(['required.cjs'], packed.app, program)).toEqual({
        refused: expect.stringMatching(/^ERR_REQUIRE_(ASYNC_MODULE|ESM): .*import\(\)/),
        imported: 'function',
      });
    }
  });

  it('brings its command', async () => {
    const command = (...args: string[]) =>
      npm(['exec', '--offline', '--', 'civicpress-realtime', ...args], packed.app);
    expect(await command('--help')).toContain('civicpress-realtime <command>');
    expect(await command('config', 'default')).toBe(
      readFileSync(join(ROOT, 'defaults/realtime.yml'), 'utf8'),
    );
  });

  it('leaves `pnpm -r run build` of a workspace in peace', async () => {
    await npm(['run', 'build'], join(packed.app, 'node_modules', '@civicpress', 'realtime'));
  });

  it.each(['node16', 'bundler'])(
    'has types that hold where modules are resolved as by %s',
    async (resolution) => {
      const { code, stdout } = await node([TSC, '-p', `tsconfig.${resolution}.json`], { cwd: packed.app })
        .ended;
      expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    },
  );
});

describe('beside the core of the host', () => {
  it("has errors of core's own classes", async () => {
    const refused = ['UnauthorizedError', 'CivicPressError'];
    expect(await answer(['errors.mjs'], application(packed, { addon: true, core: true }))).toEqual({
      AuthenticationFailedError: refused,
      ConnectionLimitExceededError: ['ValidationError', 'CivicPressError'],
      InvalidYjsUpdateError: ['ValidationError', 'CivicPressError'],
      PermissionDeniedError: refused,
      RealtimeError: ['CivicPressError'],
      RoomNotFoundError: ['NotFoundError', 'CivicPressError'],
    });
  });

  it('is one with it under vitest, too, which loads packages of a workspace itself', async () => {
    const { code, stdout, stderr } = await node([VITEST, 'run'], { cwd: workspace(packed) }).ended;
    expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: expect.stringContaining('2 passed') });
  });
});

describe('without the addon of this platform', () => {
  const bare = (): string => application(packed, { addon: false, core: true });

  it('lets an API start that imports it, and says what to do', async () => {
    expect(await answer(['api.mjs'], bare())).toEqual({
      realtime: {
        name: 'RealtimeError',
        code: 'REALTIME_UNAVAILABLE',
        message: expect.stringMatching(/native part .* for .* cannot be loaded .* reinstall the package/),
      },
      answer: 'records',
      commands: 'function',
    });
  });

  it('still has a command that tells it', async () => {
    const cli = join(bare(), 'node_modules', '@civicpress', 'realtime', 'dist', 'adapter', 'cli.js');
    expect(await node([cli, '--help']).ended).toMatchObject({ code: 0, stderr: '' });
    expect(await node([cli, 'config', 'default']).ended).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^REALTIME_UNAVAILABLE: .*\n$/),
    });
  });

  it("takes the platform's own package", async () => {
    const folder = bare();
    const { name, platform, path } = addonOf(packed);
    const scope = join(folder, 'node_modules', '@civicpress');
    cpSync(join(ROOT, 'npm', platform), join(scope, `realtime-${platform}`), { recursive: true });
    symlinkSync(path, join(scope, `realtime-${platform}`, name));
    expect(await answer(['run.mjs'], folder)).toEqual(USED);
  });
});

it("takes its own addon before the platform's package", async () => {
  const folder = application(packed, { addon: true, core: false });
  const other = join(folder, 'node_modules', '@civicpress', `realtime-${addonOf(packed).platform}`);
  mkdirSync(other);
  writeFileSync(join(other, 'index.js'), "throw new Error('not me');");
  expect(await answer(['run.mjs'], folder)).toEqual(USED);
});
