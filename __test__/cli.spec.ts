import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';

import {
  afterwards,
  CLI,
  connect,
  node,
  outcome,
  temporaryFolder,
  until,
  version,
  type Child,
} from './support.js';

function cli(args: string[], options: { cwd?: string; env?: Record<string, string> } = {}): Child {
  const cwd = options.cwd ?? temporaryFolder();
  const env = { PATH: process.env['PATH'] ?? '', ...options.env };
  return node([CLI, ...args], { cwd, env });
}

/** A peer that takes connections, answers as often as it has `answers`, and never ends one. */
async function silent(answers: string[]) {
  const left = [...answers];
  const heard: Buffer[] = [];
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    afterwards(() => socket.destroy());
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      heard.push(bytes);
      socket.write(left.shift() ?? '');
    });
  });
  afterwards(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { heard, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function run(args: string[], options?: Parameters<typeof cli>[1]) {
  return await cli(args, options).ended;
}

describe('events of a running server', () => {
  it('are said, printed and measured', async () => {
    const cwd = temporaryFolder();
    const server = cli(['start', '--port', '0'], { cwd });
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(await server.printed('listens on http'))![0];
    const tail = cli(['tail', 'public:news', 'public:more', '--url', url]);
    await until(async () => {
      const answer = await fetch(`${url}/api/v1/realtime/rooms`);
      return ((await answer.json()) as { rooms: unknown[] }).rooms.length === 2;
    });
    const said = await run(['emit', 'hello', '--room', 'public:news', '--data', '{"n":1}', '--url', url]);
    expect(said).toMatchObject({ code: 0, stdout: '', stderr: '' });
    const line = JSON.parse(await tail.printed('"hello"')) as unknown;
    expect(line).toMatchObject({
      type: 'emit',
      event: 'hello',
      room: 'public:news',
      data: { n: 1 },
      offset: 1,
    });
    tail.process.kill('SIGINT');
    expect(await tail.ended).toMatchObject({ code: 0 });
    const plan = ['--connections', '10', '--rate', '50', '--duration', '1'];
    const { code, stdout } = await run(['stress', ...plan, '--url', url]);
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^connections +10 of 10\n/),
    });
    expect(stdout).toMatch(/round trips +p50 [\d.]+ ms, p95 [\d.]+ ms, p99 [\d.]+ ms/);
    expect((await run(['tail', 'chat', '--url', url])).stderr).toContain('chat: Permission denied');
  });

  it('end on SIGINT whatever the peer does: silent from the start, and silent at the end', async () => {
    const upgrade = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    for (const answers of [[], [upgrade]]) {
      const { url, heard } = await silent(answers);
      const tail = cli(['tail', 'public:news', '--url', url]);
      // Upgraded, it says that it joins.
      await until(() => heard.length === answers.length + 1);
      tail.process.kill('SIGINT');
      expect(await tail.ended).toMatchObject({ code: 0, stdout: '', stderr: '' });
    }
  });

  it('print nothing that a terminal obeys', async () => {
    const http = createServer((_, response) => {
      response.writeHead(400, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ error: { code: 'BAD', message: '\x1b[2J\x9b2J' } }));
    });
    const server = new WebSocketServer({ server: http });
    afterwards(() => {
      for (const socket of server.clients) socket.terminate();
      http.close();
    });
    server.on('connection', (socket) => {
      const say = (message: object) => socket.send(JSON.stringify(message));
      socket.on('message', (text) => {
        const { ack } = JSON.parse(String(text)) as { ack: string };
        say({ type: 'emit', event: 'e', data: '\x1b[2J\x7f\x80\x9b2J\x9fé' });
        say({ type: 'error', code: 'NO', error: '\x9b2J no', ack });
      });
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    const tail = await run(['tail', 'public:news', '--url', url]);
    expect(tail.stdout).toBe(
      '{"type":"emit","event":"e","data":"\\u001b[2J\\u007f\\u0080\\u009b2J\\u009fé"}\n',
    );
    expect(tail.stderr).toBe('public:news: \\u009b2J no\n');
    expect((await run(['emit', 'e', '--url', url])).stderr).toBe('BAD: \\u001b[2J\\u009b2J\n');
  });

  it.each([
    [['emit'], 2, 'one EVENT'],
    [['emit', 'e', '--data', '{'], 2, 'no JSON'],
    [['tail'], 2, 'needs a ROOM'],
    [['stress', '--rate', 'x'], 2, 'no number'],
    [['emit', 'e', '--url', 'http://127.0.0.1:1'], 1, 'does not answer'],
  ])('%j ends with %i', async (args, code, words) => {
    const ended = await run(args as string[]);
    expect(ended.code).toBe(code);
    expect(ended.stderr).toContain(words);
  });
});

describe('help', () => {
  it.each([[['--help']], [['-h']], [['help']], [['help', 'nonsense']]])(
    '%j shows every command',
    async (args) => {
      const { code, stdout, stderr } = await run(args);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      for (const command of [
        'start',
        'token',
        'config check',
        'doctor',
        'backup',
        'snapshots',
        'emit',
        'Examples:',
      ])
        expect(stdout).toContain(command);
    },
  );

  it.each(['start', 'token', 'config', 'doctor', 'backup', 'restore', 'snapshots', 'emit', 'tail', 'stress'])(
    '%s --help shows its options and examples',
    async (command) => {
      const { code, stdout } = await run([command, '--help']);
      expect(code).toBe(0);
      expect(stdout).toContain(`Usage: civicpress-realtime ${command}`);
      expect(stdout).toMatch(/--config FILE|--url URL/);
      expect(stdout).toContain('Examples:');
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(112);
      expect((await run(['help', command])).stdout).toBe(stdout);
    },
  );

  it.each([[['--version']], [['start', '--version']]])('%j prints the version', async (args) => {
    expect(await run(args)).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('has no colours where nobody looks at a terminal', async () => {
    expect((await run(['--help'], { env: { NO_COLOR: '1' } })).stdout).not.toContain('\x1b');
  });
});

describe('what is not understood ends with 2', () => {
  it.each([
    [[], 'no command'],
    [['fly'], "no command 'fly'"],
    [['start', '--fly'], '--fly'],
    [['start', '--port', 'x'], "--port 'x'"],
    [['token'], '--user is missing'],
    [['token', '--user', 'a', '--role', 'king'], "--role 'king'"],
    [['token', '--user', 'a', '--expires', '8'], "--expires '8'"],
    [['token', '--user', 'a', '--expires', '0h'], "--expires '0h'"],
    [['config'], 'check, print or default?'],
    [['config', 'fly'], "no 'config fly'"],
    [['backup'], 'the file is missing'],
    [['restore', 'a', 'b'], "'b' is too much"],
    [['snapshots'], 'list, export or restore?'],
    [['snapshots', 'fly'], "no 'snapshots fly'"],
    [['snapshots', 'export', 'records:a'], '-o FILE is missing'],
    [['snapshots', 'restore', 'records:a'], '--version N is missing'],
    [['snapshots', 'restore', 'records:a', '--version', '0'], "--version '0'"],
    [['snapshots', 'list', 'records:a', '--version', '1'], 'takes no --version'],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain('Usage:');
  });
});

describe('config', () => {
  it('holds when nothing is set', async () => {
    expect(await run(['config', 'check'])).toMatchObject({ code: 0, stderr: '' });
  });

  it('names key, value and what is allowed', async () => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, 'realtime.yml'), 'rooms:\n  max_rooms: many\nport: 99999\n');
    const { code, stdout, stderr } = await run(['config', 'check', '--config', 'realtime.yml'], { cwd });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/rooms\.max_rooms: .*many.*allowed/);
    expect(stderr).toMatch(/port: .*99999.*allowed/);
  });

  it('warns of a key it does not know, and holds', async () => {
    const { code, stderr } = await run(['config', 'check'], { env: { CIVIC_REALTIME_ROOMS__MAX_ROMS: '3' } });
    expect(code).toBe(0);
    expect(stderr).toMatch(/warning: .*MAX_ROMS/i);
  });

  it('prints values with their sources and no secrets', async () => {
    const secret = 'a-secret-of-more-than-thirty-two-bytes';
    const env = { CIVIC_REALTIME_PORT: '4711', CIVIC_REALTIME_AUTH__JWT__SECRET: secret };
    const { code, stdout } = await run(['config', 'print'], { env });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^port +=\s+4711\s+\(environment CIVIC_REALTIME_PORT\)$/m);
    expect(stdout).not.toContain(secret);
  });

  it('prints a default file that holds', async () => {
    const cwd = temporaryFolder();
    const { code, stdout } = await run(['config', 'default'], { cwd });
    expect(code).toBe(0);
    writeFileSync(join(cwd, 'realtime.yml'), stdout);
    expect(await run(['config', 'check', '--config', 'realtime.yml'], { cwd })).toMatchObject({
      code: 0,
      stderr: '',
    });
  });
});

describe('token', () => {
  it('says what it was told to say', async () => {
    const args = [
      '--user',
      'ada',
      '--name',
      'Ada L.',
      '--role',
      'viewer',
      '--rooms',
      'records:a, records:b/*',
      '--expires',
      '30m',
    ];
    const { code, stdout } = await run(['token', ...args]);
    expect(code).toBe(0);
    const claims = JSON.parse(Buffer.from(stdout.split('.')[1]!, 'base64url').toString()) as Record<
      string,
      unknown
    >;
    expect(claims).toMatchObject({
      sub: 'ada',
      name: 'Ada L.',
      role: 'viewer',
      rooms: ['records:a', 'records:b/*'],
    });
    expect(Number(claims['exp']) - Number(claims['iat'])).toBe(1800);
  });

  it('prints a link', async () => {
    const { stdout } = await run(['token', '--user', 'ada', '--link'], {
      env: { CIVIC_REALTIME_PORT: '4711' },
    });
    expect(stdout).toMatch(/^http:\/\/127\.0\.0\.1:4711\/#token=[\w-]+\.[\w-]+\.[\w-]+\n$/);
  });

  it('fails without a usable secret, and does not show it', async () => {
    const { code, stderr } = await run(['token', '--user', 'ada'], {
      env: { CIVIC_REALTIME_AUTH__JWT__SECRET: 'short' },
    });
    expect(code).toBe(1);
    expect(stderr).toContain('auth.jwt.secret');
    expect(stderr).not.toContain('short"');
  });
});

describe('start', () => {
  it('says where it listens and how to sign in, serves, and stops on a signal', async () => {
    const cwd = temporaryFolder();
    const child = cli(['start', '--port', '0'], { cwd });
    const text = await child.printed('SIGTERM stops it');
    const port = Number(/listens on http:\/\/127\.0\.0\.1:(\d+)\//.exec(text)?.[1]);
    const links = [...text.matchAll(/http:\/\/127\.0\.0\.1:\d+\/#token=(\S+)/g)];
    expect(links).toHaveLength(2);
    expect(text).toContain(join(cwd, 'data'));

    const records = join(cwd, 'data', 'records');
    writeFileSync(join(records, 'mine.md'), '# Mine\n');
    const client = connect(port, 'records:mine', links[0]![1]!);
    expect(await outcome(client)).toBe('synced');
    expect(client.doc.getXmlFragment('default').toString()).toContain('Mine');
    client.provider.destroy();

    child.process.kill('SIGTERM');
    const { code, signal, stderr } = await child.ended;
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    expect(stderr).toContain('SIGTERM: saving and stopping');
  });

  it('accepts tokens of the token command', async () => {
    const cwd = temporaryFolder();
    mkdirSync(join(cwd, 'data', 'records'), { recursive: true });
    writeFileSync(join(cwd, 'data', 'records', 'mine.md'), '# Mine\n');
    const token = (await run(['token', '--user', 'ada'], { cwd })).stdout.trim();
    const child = cli(['start', '--port', '0'], { cwd });
    const text = await child.printed('SIGTERM stops it');
    const port = Number(/listens on http:\/\/127\.0\.0\.1:(\d+)\//.exec(text)?.[1]);
    expect(await outcome(connect(port, 'records:mine', token))).toBe('synced');
    expect(await outcome(connect(port, 'records:mine', `${token}x`))).not.toBe('synced');
  });

  it('prints no links when a secret is configured', async () => {
    const env = {
      CIVIC_REALTIME_AUTH__JWT__SECRET: 'a-secret-of-more-than-thirty-two-bytes',
      CIVIC_REALTIME_HOST: '127.0.0.1',
    };
    const child = cli(['start', '--port', '0'], { env });
    expect(await child.printed('SIGTERM stops it')).not.toContain('#token=');
    child.process.kill('SIGINT');
    expect(await child.ended).toMatchObject({ code: 0, signal: null });
  });

  it('stops at once by a second signal', async () => {
    const child = cli(['start', '--port', '0']);
    await child.printed('SIGTERM stops it');
    child.process.kill('SIGTERM');
    child.process.kill('SIGINT');
    const { code, signal } = await child.ended;
    // The graceful stop may win the race; neither way hangs or crashes.
    expect(signal).toBe(null);
    expect([0, 1]).toContain(code);
  });

  it('fails with the reason when the port is taken', async () => {
    const first = cli(['start', '--port', '0']);
    const port = /:(\d+)\//.exec(await first.printed('SIGTERM stops it'))?.[1];
    const { code, stderr } = await run(['start', '--port', String(port)]);
    expect(code).toBe(1);
    expect(stderr).toContain('REALTIME_BIND_FAILED');
    expect(stderr).toContain(String(port));
  });

  it('fails with the key when the configuration does not hold', async () => {
    const { code, stderr } = await run(['start'], { env: { CIVIC_REALTIME_PORT: 'abc' } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/port: .*abc/);
  });
});

it('doctor looks only', async () => {
  const cwd = temporaryFolder();
  const { stdout } = await run(['doctor', '--origin', 'http://127.0.0.1'], { cwd });
  expect(stdout).toContain('configuration');
  expect(stdout).not.toContain('guessable');
  expect(stdout).toMatch(/^\[x\] Tokens$/m);
  expect(stdout).toMatch(/^\[x\] WSS\n {6}\S/m);
  expect(stdout).toMatch(/^\[\?\] Updates$/m);
  expect(stdout).not.toContain('\x1b');
  expect(readdirSync(cwd)).toEqual([]);
});
