/** Some of a room's people, in a process of their own: they type, then tell what they have. */

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import WebSocket from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

const { url, room, token, count, seconds, editsPerSecond } = JSON.parse(process.argv[2]);

const people = Array.from({ length: count }, () => {
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(url, room, doc, {
    WebSocketPolyfill: WebSocket,
    disableBc: true,
    protocols: [`auth.${token}`],
  });
  const person = { doc, provider, closes: [] };
  provider.on('connection-close', (event) => event && person.closes.push(`${event.code} ${event.reason}`));
  return person;
});
const until = async (check) => {
  while (!check()) await sleep(20);
};

function type({ doc, provider }) {
  const text = doc.getText('t');
  doc.transact(() => {
    text.insert(Math.floor(Math.random() * (text.length + 1)), 'word 😀 ');
    if (text.length > 4000) text.delete(Math.floor(Math.random() * 3000), 40);
    const edits = doc.getMap('edits');
    edits.set(String(doc.clientID), (edits.get(String(doc.clientID)) ?? 0) + 1);
  });
  provider.awareness.setLocalStateField('cursor', text.length);
}

async function typeAll(person) {
  const pause = 1000 / editsPerSecond;
  await sleep(Math.random() * pause);
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    type(person);
    await sleep(pause * (0.5 + Math.random()));
  }
}

await until(() => people.every(({ provider }) => provider.synced));
process.send({ joined: true });

process.on('message', async (message) => {
  if (message.do === 'type') {
    await Promise.all(people.map(typeAll));
    const typed = people.map(({ doc }) => [
      String(doc.clientID),
      doc.getMap('edits').get(String(doc.clientID)),
    ]);
    process.send({ typed });
  } else if (message.do === 'compare') {
    // Everybody has every edit of everybody.
    const expected = Object.entries(message.typed);
    await until(() =>
      people.every(({ doc }) => expected.every(([id, edits]) => doc.getMap('edits').get(id) === edits)),
    );
    const states = people.map(({ doc }) => [
      createHash('sha256').update(doc.getText('t').toString()).digest('hex'),
      JSON.stringify([...Y.decodeStateVector(Y.encodeStateVector(doc))].sort()),
    ]);
    process.send({ states, closes: people.flatMap(({ closes }) => closes) });
  } else {
    for (const { provider, doc } of people) {
      provider.destroy();
      // Ends the awareness' timer too, which would keep the process.
      doc.destroy();
    }
    process.disconnect();
  }
});
