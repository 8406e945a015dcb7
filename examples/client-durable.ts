import WebSocket from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

// Outside a browser the token can be a header.
class Authorized extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    super(url, protocols, { headers: { authorization: 'Bearer let-me-in' } });
  }
}

const doc = new Y.Doc();
const provider = new WebsocketProvider('ws://127.0.0.1:3001/realtime/notes', 'shopping', doc, {
  WebSocketPolyfill: Authorized as unknown as typeof globalThis.WebSocket,
  params: { ack: 'json' },
});

provider.once('sync', () => doc.getArray('list').push(['pears']));

// Frames that begin with `{` are JSON. To y-websocket this is message type 123.
provider.messageHandlers[123] = (_encoder, decoder) => {
  const message = JSON.parse(new TextDecoder().decode(decoder.arr)) as { type: string; updates?: number };
  decoder.pos = decoder.arr.length;
  if (message.type === 'ack') console.log(`the first ${message.updates} updates are on disk`);
};
