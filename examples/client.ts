import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

const token = 'let-me-in';
const doc = new Y.Doc();
const provider = new WebsocketProvider('ws://127.0.0.1:3001/realtime/notes', 'shopping', doc, {
  protocols: ['auth.' + token],
});

provider.once('sync', () => doc.getArray('list').push(['apples']));
