/** The samples of README and `docs/`: TypeScript compiles, configurations hold, commands run. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import ts from 'typescript';
import { expect, it } from 'vitest';

import { CLI, connect, node, ROOT, temporaryFolder, until, type Child } from './support.js';

const DOCUMENTS = ['README.md', ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`)];

interface Sample {
  document: string;
  code: string;
}

/** Code blocks of a language, in the order they are read. */
function samples(language: string): Sample[] {
  return DOCUMENTS.flatMap((document) => {
    const text = readFileSync(join(ROOT, document), 'utf8');
    const blocks = text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'));
    return [...blocks].map(([, code]) => ({ document, code: code! }));
  });
}

it('samples of TypeScript compile', () => {
  const config = ts.getParsedCommandLineOfConfigFile(join(ROOT, '__test__', 'tsconfig.json'), undefined, {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (problem) => expect.fail(String(problem.messageText)),
  })!;
  // As if they were files of ours, so that they find the package and its dependencies.
  const files = new Map(
    samples('ts').map(({ document, code }, index) => [
      join(ROOT, '__test__', `${document.replaceAll('/', '-')}-${index}.ts`),
      code,
    ]),
  );
  expect(files.size).toBeGreaterThan(5);
  const host = ts.createCompilerHost(config.options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.readFile = (file) => files.get(file) ?? readFile(file);
  host.getSourceFile = (file, version, ...rest) => {
    const code = files.get(file);
    return code === undefined
      ? getSourceFile(file, version, ...rest)
      : ts.createSourceFile(file, code, version, true);
  };
  const program = ts.createProgram([...files.keys()], config.options, host);
  const problems = ts.getPreEmitDiagnostics(program);
  expect(ts.formatDiagnostics(problems, { ...host, getNewLine: () => '\n' })).toBe('');
});

it('samples of the configuration hold', async () => {
  const configurations = samples('yaml').filter(({ code }) => code.startsWith('realtime:'));
  expect(configurations.length).toBeGreaterThan(2);
  const env = { REALTIME_SECRET: 's'.repeat(64), REALTIME_SERVICE_TOKEN: 'token' };
  for (const { document, code } of configurations) {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, 'realtime.yml'), code);
    const { stdout, stderr } = await node([CLI, 'config', 'check', '--config', 'realtime.yml'], { cwd, env })
      .ended;
    expect({ document, stdout, stderr }).toEqual({
      document,
      stdout: `${join(cwd, 'realtime.yml')} holds.\n`,
      stderr: '',
    });
  }
});

/** The commands of ours in a document's samples: environment and arguments. */
function commands(): { document: string; env: Record<string, string>; args: string[] }[] {
  return samples('sh').flatMap(({ document, code }) =>
    code.split('\n').flatMap((line) => {
      const words = line.split(' ').filter((word) => word !== '');
      const begin = words.indexOf('civicpress-realtime');
      if (begin < 0) return [];
      const set = words.slice(0, begin).filter((word) => word.includes('='));
      // `…` stands for a token.
      const env = Object.fromEntries(
        set.map((word) => word.replace('…', 'token').split('=') as [string, string]),
      );
      return [{ document, env, args: words.slice(begin + 1) }];
    }),
  );
}

const listening = (child: Child): Promise<string> => child.printed('saves everything');

async function stop(child: Child): Promise<void> {
  child.process.kill('SIGTERM');
  expect(await child.ended).toMatchObject({ code: 0 });
}

it('samples of the command line run', async () => {
  const cwd = temporaryFolder();
  const port = { CIVIC_REALTIME_PORT: '0', CIVIC_REALTIME_ROOMS__GRACE_PERIOD_MS: '0' };
  const server = node([CLI, 'start'], { cwd, env: port });
  const address = /127\.0\.0\.1:(\d+)/.exec(await listening(server));
  const token = await node([CLI, 'token', '--user', 'ada'], { cwd }).ended;
  const ada = connect(Number(address![1]), 'records:welcome', token.stdout.trim());
  await ada.synced;
  await until(() => ada.doc.getXmlFragment('default').length > 0);
  await stop(server);

  const all = commands();
  expect(all.length).toBeGreaterThan(5);
  for (const { document, env, args } of all) {
    const child = node([CLI, ...args], { cwd, env: { ...port, ...env } });
    if (args[0] === 'start') {
      await listening(child);
      await stop(child);
    } else {
      expect({ document, args, ...(await child.ended) }).toMatchObject({ document, args, code: 0 });
    }
  }
});
