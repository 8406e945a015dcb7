import { expect, it } from 'vitest';

import type { LogFields } from '../index.js';
import { CLI, connect, makeServer, memoryHost, node, outcome, temporaryFolder, until } from './support.js';

function recorder() {
  const lines: { level: string; message: string; fields: LogFields | undefined }[] = [];
  const at = (level: string) => (message: string, fields?: LogFields) =>
    void lines.push({ level, message, fields });
  return {
    lines,
    logger: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    levels: () => new Set(lines.map(({ level }) => level)),
  };
}

it('passes lines at and above the level', async () => {
  const loud = recorder();
  const server = makeServer({ logger: loud.logger, config: { log_level: 'info' } });
  await server.initialize();
  await until(() => loud.lines.some(({ message }) => message.includes('listening')));
  await server.shutdown();
  expect(loud.levels()).not.toContain('debug');
});

it('passes nothing below the level', async () => {
  const quiet = recorder();
  const server = makeServer({ logger: quiet.logger, config: { log_level: 'error' } });
  await server.initialize();
  await server.shutdown();
  expect(quiet.lines).toEqual([]);
});

it('tells what looks wrong in the configuration', async () => {
  const heard = recorder();
  const server = makeServer({ logger: heard.logger, config: { rooms: { max_roms: 7 } } });
  await server.initialize();
  await until(() =>
    heard.lines.some(({ level, message }) => level === 'warn' && message.includes('max_roms')),
  );
  expect(heard.lines.map(({ message }) => message).join('\n')).toContain('max_rooms');
});

it('tells the last lines before shutdown resolves', async () => {
  const heard = recorder();
  const server = makeServer({ logger: heard.logger });
  await server.initialize();
  await server.shutdown();
  expect(heard.lines.map(({ message }) => message)).toContain('stopped');
});

it('lives on when the logger throws', async () => {
  const throws = () => {
    throw new Error('broken logger');
  };
  const server = makeServer({ logger: { debug: throws, info: throws, warn: throws, error: throws } });
  await server.initialize();
  await server.shutdown();
});

it('shows neither tokens nor text, and no forged lines', async () => {
  const heard = recorder();
  const secret = 'very-secret-text';
  const { host } = memoryHost(new Map([['records:a', `# ${secret}\n`]]));
  const server = makeServer({ host, logger: heard.logger, config: { log_level: 'debug' } });
  const { port } = await server.initialize();
  const client = connect(port!, 'records:a', 'editor');
  expect(await outcome(client)).toBe('synced');
  expect(await outcome(connect(port!, 'records:a', `wrong-token-${secret}`))).not.toBe('synced');
  client.doc.getXmlFragment('default').delete(0, 1);
  await server.triggerRecordSnapshot('a');
  await server.shutdown();
  expect(heard.lines.length).toBeGreaterThan(0);
  for (const { message, fields } of heard.lines) {
    const line = `${message} ${JSON.stringify(fields)}`;
    expect(line).not.toContain(secret);
    expect(line).not.toMatch(/[\r\n\x1b]/);
  }
});

it('says of every line that it is of realtime, and names events', async () => {
  const heard = recorder();
  const server = makeServer({ logger: heard.logger });
  const { port } = await server.initialize();
  await server.shutdown();
  for (const { fields } of heard.lines) expect(fields).toMatchObject({ component: 'realtime' });
  expect(heard.lines.map(({ fields }) => fields)).toContainEqual(
    expect.objectContaining({
      event: 'listening',
      operation: 'realtime:listening',
      address: `127.0.0.1:${port}`,
    }),
  );
});

const stderrOf = async (args: string[]): Promise<string[]> => {
  const child = node([CLI, 'start', '--port', '0', ...args], { cwd: temporaryFolder() });
  await child.printed('SIGTERM stops it');
  child.process.kill('SIGTERM');
  return (await child.ended).stderr.trimEnd().split('\n');
};

it('writes JSON lines where nobody looks, and text if asked to', async () => {
  const lines = (await stderrOf([])).map((line) => JSON.parse(line) as Record<string, unknown>);
  for (const line of lines) {
    expect(line).toMatchObject({
      component: 'realtime',
      level: expect.any(String),
      message: expect.any(String),
    });
    expect(new Date(String(line['time'])).getTime()).not.toBeNaN();
  }
  expect(lines.map(({ event }) => event)).toEqual(
    expect.arrayContaining(['listening', 'stop_requested', 'stopped']),
  );
  const text = await stderrOf(['--log-format', 'text']);
  for (const line of text) expect(line).toMatch(/^\d{4}-\d\d-\d\dT\S+Z (debug|info |warn |error) /);
});
