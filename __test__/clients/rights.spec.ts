/** Rights that change while stock clients are connected. */

import { EventEmitter } from 'node:events';

import { describe, expect, it } from 'vitest';

import { makeServer, temporaryFolder, until } from '../support.js';
import { decodeFrame, openHost, peer, ROOMY, synced, VERSIONS } from './support.js';

/** A server whose host can change its mind about users, asked each second. */
async function changeable() {
  const roles = new Map<string, string>();
  const good = openHost();
  const server = makeServer({
    cwd: temporaryFolder(),
    host: {
      ...good,
      authenticate: async (token) => {
        const user = await good.authenticate(token);
        const role = roles.get(String(user?.id)) ?? user?.role;
        // Numbers and their texts are one user.
        return user && role !== 'gone' ? { ...user, id: user.id === '7' ? 7 : user.id, role: role! } : null;
      },
    },
    config: { ...ROOMY, auth: { recheck_seconds: 1 }, port: 0 },
  });
  return { roles, server, port: (await server.initialize()).port! };
}

for (const version of VERSIONS) {
  describe(`y-websocket ${version.version}`, () => {
    it('loses nothing when its right to edit goes and comes back', async () => {
      const { roles, port } = await changeable();
      const [ada, bo] = [peer(version, port), peer(version, port, { token: 'editor.bo' })];
      await synced(ada, bo);
      ada.text.insert(0, 'before ');
      await until(() => bo.text.toString() === 'before ');
      const kinds = (): string[] => ada.traffic.binary.map((frame) => decodeFrame(frame).kind);
      roles.set('ada', 'viewer');
      await until(() => kinds().includes('denied'));
      ada.text.insert(ada.text.length, 'meanwhile ');
      bo.text.insert(0, 'bo ');
      await until(() => ada.text.toString() === 'bo before meanwhile ');
      expect(bo.text.toString()).toBe('bo before ');
      roles.set('ada', 'editor');
      await until(() => bo.text.toString() === 'bo before meanwhile ');
      ada.text.insert(ada.text.length, 'after');
      await until(() => bo.text.toString() === 'bo before meanwhile after');
      expect(ada.traffic).toMatchObject({ opened: 1, text: [] });
    });
  });
}

it('a session that no longer holds ends, and numbers are revoked by their text', async () => {
  const { roles, server, port } = await changeable();
  const [ada, seven] = VERSIONS.slice(0, 2).map((version, at) =>
    peer(version, port, { token: ['editor.ada', 'editor.7'][at]! }),
  ) as [ReturnType<typeof peer>, ReturnType<typeof peer>];
  await synced(ada, seven);
  roles.set('ada', 'gone');
  await until(() => ada.traffic.closes.length > 0);
  expect(ada.traffic.closes[0]).toEqual({ code: 4001, reason: '{"code":"AUTH_FAILED"}' });
  ada.provider.disconnect();
  for (const nobody of [undefined, null, {}, ['7'], true]) {
    expect(server.revokeUserConnections(nobody as never)).toBe(0);
  }
  expect(server.revokeUserConnections('7')).toBe(1);
  seven.provider.disconnect();
  await until(() => seven.traffic.closes.length > 0);
});

it("the host's hook ends sessions, whatever else it says, and is let go at shutdown", async () => {
  const bus = new EventEmitter();
  const server = makeServer({
    cwd: temporaryFolder(),
    host: {
      ...openHost(),
      registerHook: (name, handler) => bus.on(name, handler),
      removeHook: (name, handler) => bus.off(name, handler),
    },
    config: { ...ROOMY, port: 0 },
  });
  const { port } = await server.initialize();
  const ada = peer(VERSIONS[0]!, port!);
  await synced(ada);
  for (const nonsense of [undefined, null, 7, {}, { userId: ['ada'] }])
    bus.emit('auth:sessions:revoked', nonsense);
  expect(server.getHealthStatus().connections.total).toBe(1);
  bus.emit('auth:sessions:revoked', { userId: 'ada', reason: 'password changed' });
  ada.provider.disconnect();
  await until(() => ada.traffic.closes.length > 0);
  expect(ada.traffic.closes[0]!.code).toBe(4001);
  expect(ada.traffic.closes[0]!.reason).toContain('password changed');
  await server.shutdown();
  expect(bus.listenerCount('auth:sessions:revoked')).toBe(0);
});
