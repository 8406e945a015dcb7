/** The files of `deploy/`, each by the program it is for. A program that is missing is a failure: `.ci/run` has it. */

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { CLI, makeServer, memoryHost, node, ROOT, temporaryFolder } from './support.js';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** Runs a program; what it says, and how it ended. A program that is missing throws. */
function tried(program: string, args: string[], cwd = ROOT) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8' });
  if (error) throw new Error(`${program} is needed here (.ci/run installs it): ${error.message}`);
  return { status, said: `${stdout}${stderr}` };
}

it('defaults/realtime.yml is what `config default` prints', async () => {
  const { stdout } = await node([CLI, 'config', 'default']).ended;
  expect(read('defaults/realtime.yml'), 'npm run defaults writes it anew').toBe(stdout);
});

it('the systemd unit is sound', () => {
  const folder = temporaryFolder();
  const unit = read('deploy/systemd/civicpress-realtime.service');
  const here = unit.replace('/usr/bin/node ', `${process.execPath} `);
  expect(here).not.toBe(unit.replace('ExecStart=', ''));
  const file = join(folder, 'civicpress-realtime.service');
  writeFileSync(file, here);
  const { status, said } = tried('systemd-analyze', ['verify', '--man=no', '--recursive-errors=no', file]);
  expect({ status, said: said.split('\n').filter((line) => line.includes('civicpress-realtime')) }).toEqual({
    status: 0,
    said: [],
  });
  for (const line of ['User=civicpress', 'LimitNOFILE=65536', 'TimeoutStopSec=40', 'ProtectSystem=strict']) {
    expect(unit).toContain(`\n${line}\n`);
  }
});

it('nginx takes its sample', () => {
  const folder = temporaryFolder();
  const key = join(folder, 'key.pem');
  const cert = join(folder, 'cert.pem');
  const subject = ['-subj', '/CN=town.example.org', '-days', '2'];
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', ...subject].concat([
      '-keyout',
      key,
      '-out',
      cert,
    ]),
    { stdio: 'ignore' },
  );
  const sample = read('deploy/nginx/realtime.conf')
    .replace('/etc/ssl/civicpress/fullchain.pem', cert)
    .replace('/etc/ssl/civicpress/privkey.pem', key);
  mkdirSync(join(folder, 'logs'));
  writeFileSync(join(folder, 'realtime.conf'), sample);
  writeFileSync(
    join(folder, 'nginx.conf'),
    `pid ${folder}/pid; error_log stderr; events {}\nhttp { access_log off; include ${folder}/realtime.conf; }\n`,
  );
  const { status, said } = tried('nginx', ['-t', '-p', folder, '-c', join(folder, 'nginx.conf')]);
  expect({ status, said }).toMatchObject({ status: 0, said: expect.stringContaining('test is successful') });
  for (const line of [
    'proxy_http_version 1.1;',
    'proxy_set_header Upgrade $http_upgrade;',
    'proxy_set_header X-Forwarded-For $remote_addr;',
  ])
    expect(sample).toContain(line);
});

it('Caddy takes its sample', () => {
  const file = join(ROOT, 'deploy/caddy/Caddyfile');
  const { status, said } = tried('caddy', ['validate', '--adapter', 'caddyfile', '--config', file]);
  expect({ status, said }).toMatchObject({ status: 0, said: expect.stringContaining('Valid configuration') });
  expect(tried('caddy', ['fmt', '--diff', file]).said).not.toMatch(/^[-+] /m);
});

it('PM2 finds one application, which stops gracefully', () => {
  const { apps } = createRequire(import.meta.url)(join(ROOT, 'deploy/pm2/ecosystem.config.cjs')) as {
    apps: Record<string, unknown>[];
  };
  expect(apps).toHaveLength(1);
  expect(apps[0]).toMatchObject({
    name: 'civicpress-realtime',
    args: 'start',
    exec_mode: 'fork',
    instances: 1,
    kill_timeout: 40_000,
    env: { NODE_ENV: 'production' },
  });
  const script = String(apps[0]?.['script']).replace('./node_modules/@civicpress/realtime/', '');
  expect(existsSync(join(ROOT, script))).toBe(true);
});

describe('Docker', () => {
  const lines = read('deploy/docker/Dockerfile')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const all = (instruction: string): string[] =>
    lines
      .filter((line) => line.startsWith(`${instruction} `))
      .map((line) => line.slice(instruction.length).trim());

  it('the image has what the package has, and runs as nobody special', () => {
    const { stdout } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    const [{ files }] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ files: { path: string }[] }];
    const packed = files.map(({ path }) => path);
    const copied = all('COPY').flatMap((line) => line.split(/ +/).slice(0, -1));
    expect(copied.length).toBeGreaterThan(4);
    for (const source of copied) {
      const pattern = new RegExp(`^${source.replaceAll('.', '\\.').replace('*', '[^/]*')}(/|$)`);
      expect(
        packed.some((path) => pattern.test(path)),
        `${source} is not in the package`,
      ).toBe(true);
    }
    expect(packed).toContain('deploy/docker/Dockerfile');
    expect(packed).toContain('defaults/realtime.yml');
    const entry = JSON.parse(all('ENTRYPOINT')[0] ?? '[]') as string[];
    expect(packed).toContain(entry[1]);
    expect(all('USER')).toEqual(['node']);
    expect(all('HEALTHCHECK')[0]).toContain('/ready');
    // Nothing is installed in the image, so nothing may be needed.
    expect(Object.keys(JSON.parse(read('package.json')).dependencies ?? {})).toEqual([]);
  });

  it('its health check knows a server that is ready from one that is not there', async () => {
    const [, , script] = JSON.parse(
      /CMD (\[.*\])$/.exec(all('HEALTHCHECK')[0] ?? '')?.[1] ?? '[]',
    ) as string[];
    const folder = temporaryFolder();
    const child = node([CLI, 'start', '--port', '0'], { cwd: folder });
    const port = /127\.0\.0\.1:(\d+)\//.exec(await child.printed('Ctrl+C'))?.[1] ?? '';
    const check = (at: string) => node(['-e', script?.replace('3001', at) ?? '']).ended;
    expect((await check(port)).code).toBe(0);
    expect((await check('1')).code).toBe(1);
  });
});

describe('Prometheus and Grafana', () => {
  type Yaml = Record<string, any>;
  const { load } = createRequire(import.meta.url)('js-yaml') as { load: (text: string) => Yaml };

  it('the scrape configuration, the rules and the board name metrics that the server has', async () => {
    const server = makeServer({ host: memoryHost().host });
    const { port } = await server.initialize();
    const scrape = load(read('deploy/prometheus/prometheus.yml'));
    const [{ job_name: job, metrics_path: path }] = scrape['scrape_configs'] as [Yaml];
    const text = await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
    const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
    expect(scrape['rule_files']).toEqual(['alerts.yml']);

    const rules = load(read('deploy/prometheus/alerts.yml'))['groups'] as { rules: Yaml[] }[];
    const board = JSON.parse(read('deploy/grafana/realtime.json')) as { panels: Yaml[] };
    const expressions = [
      ...rules.flatMap(({ rules }) => rules.map(({ expr }) => String(expr))),
      ...board.panels.flatMap(({ targets }) => (targets as Yaml[]).map(({ expr }) => String(expr))),
    ];
    expect(expressions.length).toBeGreaterThan(25);
    for (const expression of expressions) {
      for (const [name] of expression.matchAll(/civicpress_realtime_\w+/g))
        expect(known).toContain(name.replace(/_bucket$/, ''));
      const jobs = [...expression.matchAll(/job="([^"]+)"/g)].map(([, name]) => name);
      for (const name of jobs) expect(name).toBe(job);
      const opened = expression.split(/[([{]/).length;
      expect(expression.split(/[)\]}]/).length, expression).toBe(opened);
    }
    const places = board.panels.map(({ gridPos: { x, y, w } }) => [x, y, x + w] as number[]);
    expect(new Set(places.map(String)).size).toBe(places.length);
    for (const [, , right] of places) expect(right).toBeLessThanOrEqual(24);
  });
});
