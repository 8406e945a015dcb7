/** Stock y-websocket clients of every major against the built addon. */

import { Awareness, removeAwarenessStates } from 'y-protocols/awareness';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';

import { afterwards, until } from '../support.js';
import {
  awarenessFrame,
  contentOf,
  decodeFrame,
  LATEST,
  openServer,
  peer,
  rawSocket,
  statesOf,
  synced,
  VERSIONS,
  type Peer,
} from './support.js';

const same = (...peers: Peer[]): Promise<void> => {
  const [first, ...others] = peers;
  return until(() => others.every(({ doc }) => contentOf(doc) === contentOf(first!.doc)));
};
const kinds = (frames: Uint8Array[]): string[] => frames.map((frame) => decodeFrame(frame).kind);
/** Clients whose state the server said is gone. */
const removed = (frames: Uint8Array[]): number[] =>
  frames
    .map(decodeFrame)
    .filter(({ kind }) => kind === 'awareness')
    .flatMap(({ body }) => statesOf(body))
    .filter(({ state }) => state === null)
    .map(({ client }) => client);

for (const version of VERSIONS) {
  describe(`y-websocket ${version.version}`, () => {
    it('types with another and both have the same', async () => {
      const { port } = await openServer();
      const [ada, bo] = [peer(version, port), peer(version, port, { token: 'editor.bo' })];
      await synced(ada, bo);
      for (let turn = 0; turn < 50; turn += 1) {
        ada.text.insert(ada.text.length, `a${turn} `);
        bo.text.insert(0, `b${turn} `);
        if (turn % 10 === 0) await until(() => contentOf(ada.doc) === contentOf(bo.doc));
      }
      await same(ada, bo);
      for (let turn = 0; turn < 50; turn += 1) {
        expect(ada.text.toString()).toContain(`a${turn} `);
        expect(ada.text.toString()).toContain(`b${turn} `);
      }
      // A text frame breaks these clients' decoder.
      expect([...ada.traffic.text, ...bo.traffic.text]).toEqual([]);
      expect([ada.traffic.opened, bo.traffic.opened]).toEqual([1, 1]);
    });

    it('gets no echo of its own updates', async () => {
      const { port } = await openServer();
      const [ada, bo] = [peer(version, port), peer(version, port)];
      await synced(ada, bo);
      const author = ada.doc.clientID;
      for (let turn = 0; turn < 20; turn += 1) ada.text.insert(0, 'x');
      await same(ada, bo);
      bo.text.insert(0, 'y');
      await same(ada, bo);
      // Everything sent to Ada before Bo's letter has arrived by now.
      const updates = ada.traffic.binary.map(decodeFrame).filter(({ kind }) => kind === 'update');
      const authors = updates.flatMap(({ body }) => Y.decodeUpdate(body).structs.map(({ id }) => id.client));
      expect(authors).toEqual([bo.doc.clientID]);
      expect(authors).not.toContain(author);
    });

    it('uploads what was written offline, and takes what it missed', async () => {
      const { port } = await openServer();
      const ada = peer(version, port, { connect: false });
      ada.text.insert(0, 'offline ');
      ada.provider.connect();
      const bo = peer(version, port);
      await synced(ada, bo);
      await same(ada, bo);
      expect(bo.text.toString()).toBe('offline ');

      ada.provider.disconnect();
      ada.text.insert(0, 'again ');
      bo.text.delete(0, 3);
      bo.text.insert(bo.text.length, 'online');
      ada.provider.connect();
      await until(() => ada.text.length === 'again line online'.length);
      await same(ada, bo);
      expect(ada.text.toString()).toBe('again line online');
    });

    it('comes back after a restart of the server, and nothing doubles', async () => {
      const open = await openServer();
      const [ada, bo] = [peer(version, open.port), peer(version, open.port)];
      await synced(ada, bo);
      ada.text.insert(0, 'before ');
      await same(ada, bo);
      for (let round = 0; round < 2; round += 1) {
        await open.restart(() => {
          ada.text.insert(ada.text.length, `ada${round} `);
          bo.text.insert(bo.text.length, `bo${round} `);
        });
        await synced(ada, bo);
        await same(ada, bo);
      }
      const words = ada.text.toString().trim().split(' ').sort();
      expect(words).toEqual(['ada0', 'ada1', 'before', 'bo0', 'bo1']);
      const fresh = peer(version, open.port);
      await synced(fresh);
      expect(fresh.text.toString()).toBe(ada.text.toString());
      expect([...ada.traffic.text, ...bo.traffic.text]).toEqual([]);
    });

    it('sees others come, move and leave', async () => {
      const { port } = await openServer();
      const [ada, bo] = [peer(version, port), peer(version, port, { token: 'editor.bo' })];
      await synced(ada, bo);
      const seen = (): unknown => ada.provider.awareness.getStates().get(bo.doc.clientID);
      bo.provider.awareness.setLocalStateField('user', { name: 'Bo' });
      await until(() => JSON.stringify(seen()) === '{"user":{"name":"Bo"}}');
      bo.provider.awareness.setLocalStateField('cursor', 7);
      await until(() => JSON.stringify(seen()) === '{"user":{"name":"Bo"},"cursor":7}');

      // Later joiners hear of it too.
      const cy = peer(version, port, { token: 'editor.cy' });
      await until(() => cy.provider.awareness.getStates().has(bo.doc.clientID));

      // A dropped connection, a goodbye: both end the cursor, by the server's word. The providers alone would
      // forget it after 30 s, with no message that says so.
      bo.provider.shouldConnect = false;
      bo.drop();
      await until(() => seen() === undefined && !cy.provider.awareness.getStates().has(bo.doc.clientID));
      cy.provider.destroy();
      await until(() => !ada.provider.awareness.getStates().has(cy.doc.clientID));
      expect(removed(ada.traffic.binary)).toEqual(expect.arrayContaining([bo.doc.clientID, cy.doc.clientID]));
    });

    it('vanishes again after coming back with the same id', async () => {
      const { port } = await openServer();
      const [ada, bo] = [peer(version, port), peer(version, port)];
      await synced(ada, bo);
      const sees = (): boolean => ada.provider.awareness.getStates().has(bo.doc.clientID);
      for (let round = 0; round < 3; round += 1) {
        bo.provider.awareness.setLocalStateField('round', round);
        await until(sees);
        // Not before Ada has seen it: who is gone for a moment only may be back before anybody looks.
        bo.provider.shouldConnect = false;
        bo.drop();
        await until(() => !sees());
        bo.provider.connect();
        await synced(bo);
        await until(sees);
        bo.provider.disconnect();
        await until(() => !sees());
        bo.provider.connect();
        await synced(bo);
      }
      await until(sees);
    });

    it('is told when it is denied, with the close code', async () => {
      const { port } = await openServer();
      const nobody = peer(version, port, { token: 'nobody.eve' });
      const locked = peer(version, port, { room: 'notes/locked' });
      await until(() => nobody.traffic.closes.length > 0 && locked.traffic.closes.length > 0);
      for (const [{ traffic }, code, name] of [
        [nobody, 4001, 'AUTH_FAILED'],
        [locked, 4003, 'PERMISSION_DENIED'],
      ] as const) {
        expect(traffic.closes[0]).toMatchObject({ code });
        expect(JSON.parse(traffic.closes[0]!.reason)).toMatchObject({ code: name });
        expect(kinds(traffic.binary)).toContain('denied');
        expect(kinds(traffic.binary)).not.toContain('step2');
        expect(traffic.text).toEqual([]);
      }
      // The host's clients count on being let in later, so no code is one that stops 3.1 for good.
      await until(() => nobody.traffic.opened >= 2 && locked.traffic.opened >= 2);
      expect(nobody.provider.shouldConnect && locked.provider.shouldConnect).toBe(true);
    });

    it('edits of a viewer never arrive', async () => {
      const { port } = await openServer();
      const ada = peer(version, port);
      const viewer = peer(version, port, { token: 'viewer.vi' });
      await synced(ada, viewer);
      ada.text.insert(0, 'shown');
      await until(() => viewer.text.toString() === 'shown');
      viewer.text.insert(0, 'not wanted ');
      viewer.text.delete(0, 3);
      await until(() => kinds(viewer.traffic.binary).includes('denied'));
      // Not by reconnecting either.
      viewer.drop();
      await until(() => viewer.traffic.opened === 2 && viewer.provider.synced);
      ada.text.insert(5, '!');
      await until(() => viewer.text.toString().includes('!'));
      const fresh = peer(version, port);
      await synced(fresh);
      expect([ada.text.toString(), fresh.text.toString()]).toEqual(['shown!', 'shown!']);
      expect(viewer.traffic.closes.every(({ code }) => code === 1006)).toBe(true);
    });

    it('keeps rooms with strange names apart', async () => {
      const { port } = await openServer();
      const names = ['a b', 'ä', 'a/b', '😀', 'a%2520b'];
      for (const name of names) {
        const writer = peer(version, port, { room: `notes/${name}`, query: { x: 'y z' } });
        await synced(writer);
        writer.text.insert(0, name);
        const reader = peer(version, port, { room: `notes/${name}` });
        await same(writer, reader);
        expect(reader.text.toString()).toBe(name);
      }
    });
  });
}

it('all versions work in one room', async () => {
  const { port } = await openServer();
  const peers = VERSIONS.map((version) => peer(version, port));
  await synced(...peers);
  peers.forEach(({ text }, index) => text.insert(0, `${index} `));
  await until(() => peers[0]!.text.length === 6);
  await same(...peers);
});

it(
  'a lone idle client stays, whatever its version, and its cursor with it',
  { timeout: 150_000 },
  async () => {
    const { port } = await openServer();
    const peers = VERSIONS.map((version, index) => peer(version, port, { room: `notes/lone-${index}` }));
    await synced(...peers);
    // y-websocket gives up on a server it has not heard for 30 s, and looks every 3 s.
    await new Promise((resolve) => setTimeout(resolve, 68_000));
    for (const { provider, traffic } of peers) {
      expect(provider.wsconnected && provider.synced).toBe(true);
      expect(traffic).toMatchObject({ opened: 1, closes: [], text: [] });
    }
    // They renewed their state all the while, so a newcomer sees them at once.
    for (const [index, { doc }] of peers.entries()) {
      const visitor = peer(LATEST, port, { room: `notes/lone-${index}` });
      await until(() => visitor.provider.awareness.getStates().has(doc.clientID));
    }
  },
);

it('3.1.0 stops for good at a document that is too large', async () => {
  const { port } = await openServer({ limits: { document_bytes_max: 1_048_576 } });
  const ada = peer(LATEST, port);
  const closed: number[] = [];
  ada.provider.on('closed', ({ code }) => closed.push(code));
  await synced(ada);
  ada.text.insert(0, 'x'.repeat(3_000_000));
  await until(() => closed.length > 0);
  expect(closed).toEqual([4413]);
  expect(ada.traffic.closes.map(({ code }) => code)).toEqual([4413]);
  expect(ada.provider.shouldConnect).toBe(false);
  // The older ones try for ever.
  const bo = peer(VERSIONS[1]!, port);
  await synced(bo);
  bo.text.insert(0, 'x'.repeat(3_000_000));
  await until(() => bo.traffic.closes.length >= 2);
  expect(bo.traffic.closes.every(({ code }) => code === 4413)).toBe(true);
});

it('answers a query for awareness with all states', async () => {
  const { port } = await openServer();
  const peers = [peer(LATEST, port), peer(LATEST, port), peer(LATEST, port)];
  await synced(...peers);
  const raw = rawSocket(port, 'notes/a');
  await raw.opened;
  await until(() => peers.every(({ provider }) => provider.awareness.getStates().size === 3));
  raw.frames.length = 0;
  raw.socket.send(Uint8Array.of(3));
  await until(() => raw.frames.some(({ kind }) => kind === 'awareness'));
  const answer = raw.frames.find(({ kind }) => kind === 'awareness')!;
  expect(answer.body[0]).toBe(3);
});

/** Tabs of one origin hear each other directly, and each tells the server what it heard of the other. */
it('two tabs that relay for each other: no theft, no echo, each leaves alone', async () => {
  const { port } = await openServer();
  const watcher = peer(LATEST, port, { token: 'editor.bo' });
  await synced(watcher);
  const tabs = [1, 2].map((number) => {
    const doc = new Y.Doc();
    const awareness = new Awareness(doc);
    afterwards(() => awareness.destroy());
    awareness.setLocalState({ tab: number });
    return { doc, awareness, raw: rawSocket(port, 'notes/a') };
  });
  const [one, two] = tabs as [(typeof tabs)[0], (typeof tabs)[0]];
  await Promise.all([one.raw.opened, two.raw.opened]);
  const ids = [one.doc.clientID, two.doc.clientID];
  for (const tab of tabs) tab.raw.socket.send(awarenessFrame(tab.awareness, [tab.doc.clientID]));
  const seen = (id: number): unknown => watcher.provider.awareness.getStates().get(id);
  await until(() => ids.every((id) => seen(id) !== undefined));
  // As over a BroadcastChannel: each knows both, and each sends both.
  for (const [from, to] of [
    [one, two],
    [two, one],
  ] as const) {
    const { encodeAwarenessUpdate, applyAwarenessUpdate } = await import('y-protocols/awareness');
    applyAwarenessUpdate(to.awareness, encodeAwarenessUpdate(from.awareness, [from.doc.clientID]), 'channel');
  }
  for (let round = 0; round < 10; round += 1) {
    for (const tab of tabs) tab.raw.socket.send(awarenessFrame(tab.awareness, ids));
  }
  one.awareness.setLocalStateField('cursor', 1);
  one.raw.socket.send(awarenessFrame(one.awareness, [one.doc.clientID]));
  two.raw.socket.send(awarenessFrame(one.awareness, [one.doc.clientID]));
  await until(() => JSON.stringify(seen(ids[0]!)) === '{"tab":1,"cursor":1}');
  // The second tab goes, and says of the first what it last heard; the first one's cursor stays.
  removeAwarenessStates(two.awareness, [two.doc.clientID], 'left');
  two.raw.socket.send(awarenessFrame(two.awareness, [two.doc.clientID]));
  two.raw.socket.terminate();
  await until(() => seen(ids[1]!) === undefined);
  one.awareness.setLocalStateField('cursor', 2);
  one.raw.socket.send(awarenessFrame(one.awareness, [one.doc.clientID]));
  await until(() => JSON.stringify(seen(ids[0]!)) === '{"tab":1,"cursor":2}');
  one.raw.socket.terminate();
  await until(() => seen(ids[0]!) === undefined);
  // Bounded: about one frame per change, not one per relayed copy.
  const states = kinds(watcher.traffic.binary).filter((kind) => kind === 'awareness');
  expect(states.length).toBeLessThan(20);
});

it('an edit that comes through a sibling tab is taken like its own', async () => {
  const { port } = await openServer();
  const [ada, bo] = [peer(LATEST, port), peer(LATEST, port)];
  await synced(ada, bo);
  const sibling = new Y.Doc();
  Y.applyUpdate(sibling, Y.encodeStateAsUpdate(ada.doc));
  sibling.getText('t').insert(0, 'from another tab');
  // What BroadcastChannel does: applied with an origin that is not the provider, hence sent on.
  Y.applyUpdate(ada.doc, Y.encodeStateAsUpdate(sibling), 'channel');
  await until(() => bo.text.toString() === 'from another tab');
});
