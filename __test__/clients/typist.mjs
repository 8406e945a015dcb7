/**
 * A thread of its own with a stock client: types all the time and counts what of the other's arrives.
 *
 * Shared memory instead of clocks: `blocked` is 1 while the main thread stands still. An edit says whether it
 * was typed then; one that was, and arrives while it still is, went through an engine that needs no JavaScript.
 */

import { parentPort, workerData } from 'node:worker_threads';

import WebSocket from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

const { url, room, token, name, shared, slot } = workerData;
const view = new Int32Array(shared);
const BLOCKED = 0;

const doc = new Y.Doc();
const provider = new WebsocketProvider(url, room, doc, {
  WebSocketPolyfill: WebSocket,
  disableBc: true,
  protocols: [`auth.${token}`],
});
const list = doc.getArray('edits');
list.observe((event, transaction) => {
  if (transaction.local) return;
  for (const { insert = [] } of event.changes.delta) {
    for (const edit of insert) {
      if (edit.from !== name && edit.blocked === 1 && Atomics.load(view, BLOCKED) === 1) {
        Atomics.add(view, slot, 1);
      }
    }
  }
});

let number = 0;
let timer;
provider.on('sync', (synced) => {
  if (!synced || timer) return;
  timer = setInterval(() => {
    list.push([{ from: name, number: (number += 1), blocked: Atomics.load(view, BLOCKED) }]);
  }, 10);
  parentPort.postMessage('synced');
});

parentPort.on('message', (message) => {
  if (message === 'stop') {
    clearInterval(timer);
    parentPort.postMessage({ typed: number });
  } else if (message === 'tell') {
    parentPort.postMessage({ edits: list.toArray() });
  } else {
    provider.destroy();
    parentPort.close();
  }
});
