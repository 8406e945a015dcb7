import { expect, it } from 'vitest';

import { ENTRY, environment, LOOPBACK, node, temporaryFolder, type Child } from './support.js';

/** A process that starts a server, prints `up`, and does `then`. */
function start(then: string, before = ''): Child {
  const folder = temporaryFolder();
  const code = `
    const { RealtimeServer } = await import(${JSON.stringify(ENTRY.href)});
    const server = new RealtimeServer({ env: ${JSON.stringify(environment(folder))}, config: ${JSON.stringify(LOOPBACK)} });
    ${before}
    await server.initialize();
    console.log('up');
    ${then}`;
  return node(['--input-type=module', '-e', code], { cwd: folder });
}

it('ends by itself after shutdown', async () => {
  const child = start(`await server.shutdown(); console.log('down');`);
  expect(await child.ended).toMatchObject({ code: 0, signal: null, stdout: 'up\ndown\n', stderr: '' });
});

it('ends by itself when nothing was ever started', async () => {
  const child = start('', 'process.exit(0);');
  expect(await child.ended).toMatchObject({ code: 0, stdout: '' });
});

it('ends by itself after a start that failed', async () => {
  const folder = temporaryFolder();
  const code = `
    const { RealtimeServer } = await import(${JSON.stringify(ENTRY.href)});
    const server = new RealtimeServer({ env: ${JSON.stringify(environment(folder))}, config: { rooms: 3 } });
    await server.initialize().catch((error) => console.log(error.code));`;
  const child = node(['--input-type=module', '-e', code], { cwd: folder });
  expect(await child.ended).toMatchObject({ code: 0, stdout: 'REALTIME_CONFIG_INVALID\n' });
});

it('stays while it listens, though nobody holds the server', async () => {
  const child = start(
    `setTimeout(() => console.log('still up'), 500).unref(); setTimeout(() => globalThis.gc?.(), 100).unref();`,
  );
  await child.printed('still up');
  expect(child.process.exitCode).toBe(null);
});

it('ends at once by process.exit', async () => {
  const child = start('process.exit(7);');
  expect(await child.ended).toMatchObject({ code: 7, signal: null });
});

it('ends at once by an uncaught exception', async () => {
  const child = start(`setTimeout(() => { throw new Error('on purpose'); }, 10);`);
  const { code, signal, stderr } = await child.ended;
  expect({ code, signal }).toEqual({ code: 1, signal: null });
  expect(stderr).toContain('on purpose');
});

it('ends at once by a signal nobody handles', async () => {
  const child = start('');
  await child.printed('up');
  child.process.kill('SIGTERM');
  expect(await child.ended).toMatchObject({ code: null, signal: 'SIGTERM' });
});

it('ends gracefully by a signal that is handled', async () => {
  const child = start('', `process.on('SIGTERM', () => server.shutdown().then(() => console.log('down')));`);
  await child.printed('up');
  child.process.kill('SIGTERM');
  // The handler itself holds nothing: the process ends once the server let go.
  expect(await child.ended).toMatchObject({ code: 0, signal: null, stdout: 'up\ndown\n' });
});

it('ends by process.exit in the middle of a start or a stop', async () => {
  const starting = start('', 'server.initialize(); setTimeout(() => process.exit(5), 1);');
  const stopping = start('server.shutdown(); process.exit(6);');
  expect(await starting.ended).toMatchObject({ code: 5, signal: null });
  expect(await stopping.ended).toMatchObject({ code: 6, signal: null });
});
