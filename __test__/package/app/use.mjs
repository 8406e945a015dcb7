/** What an application does with the package: takes each export by name, serves, edits, stops. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import * as realtime from '@civicpress/realtime';
import * as commands from '@civicpress/realtime/cli';
import * as services from '@civicpress/realtime/realtime-services';
import WebSocket from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

const NAMES = [
  'AuthenticationFailedError',
  'ConnectionLimitExceededError',
  'ControlEvent',
  'createHandlerRegistry',
  'createRealtimeServer',
  'DatabaseSnapshotStorage',
  'DefaultHandlerRegistry',
  'FilesystemSnapshotStorage',
  'InvalidYjsUpdateError',
  'MAX_SNAPSHOT_BYTES',
  'MAX_SNAPSHOT_VERSIONS_PER_ROOM',
  'MessageType',
  'PermissionDeniedError',
  'PresenceEvent',
  'RealtimeConfigManager',
  'RealtimeError',
  'RealtimeServer',
  'RecordRoomHandler',
  'registerRealtimeServices',
  'RoomManager',
  'RoomNotFoundError',
  'SESSION_REVOKED_HOOK',
  'SNAPSHOT_FORMAT_V1',
  'SNAPSHOT_TTL_MS',
  'SnapshotHookBus',
  'SnapshotManager',
  'version',
  'YjsRoom',
];

/** Names of commands that a CLI like cac is given. */
function commandsOf(register) {
  const names = [];
  const chain = { option: () => chain, action: () => chain };
  register({ command: (name) => (names.push(name), chain) });
  return names;
}

/** Serves a record below `folder`, and lets a stock client write into it; the draft that comes of it. */
async function edit(folder) {
  const systemDataDir = join(folder, 'system');
  mkdirSync(systemDataDir, { recursive: true });
  const keys = { host: '127.0.0.1', port: 0 };
  writeFileSync(join(systemDataDir, 'realtime.yml'), JSON.stringify({ realtime: keys }));
  const record = { id: 'a', title: 'A', type: 'bylaw', status: 'published', content: 'Text.\n' };
  const drafts = new Map();
  const server = realtime.createRealtimeServer(
    {
      logger: { info() {}, warn() {}, error() {}, debug() {} },
      hookSystem: { emit: async () => {} },
      authService: {
        validateSession: async (token) =>
          token === 'let-me-in' ? { id: 1, username: 'ada', role: 'clerk' } : null,
        userCan: async () => true,
      },
      recordManager: { getRecord: async (id) => (id === record.id ? record : null) },
      databaseService: {
        query: async () => [],
        getDraft: async (id) => drafts.get(id) ?? null,
        createDraft: async (draft) => void drafts.set(draft.id, draft),
        updateDraft: async (id, updates) => void drafts.set(id, { ...drafts.get(id), ...updates }),
      },
    },
    { dataDir: join(folder, 'data'), systemDataDir },
  );
  await server.initialize();
  const { port } = server.getHealthStatus().server;

  const doc = new Y.Doc();
  const provider = new WebsocketProvider(`ws://127.0.0.1:${port}/realtime/records`, 'a', doc, {
    protocols: ['auth.let-me-in'],
    WebSocketPolyfill: WebSocket,
    disableBc: true,
  });
  await new Promise((resolve) => provider.on('sync', (isSynced) => isSynced && resolve()));
  const paragraph = new Y.XmlElement('paragraph');
  paragraph.insert(0, [new Y.XmlText('Typed.')]);
  doc.getXmlFragment('default').push([paragraph]);
  while (!(await server.roomMarkdown('records:a')).includes('Typed.')) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  provider.destroy();
  doc.destroy();
  await server.shutdown();
  return drafts.get('a')?.markdown_body;
}

export async function use(folder = process.cwd()) {
  return {
    missing: NAMES.filter((name) => realtime[name] === undefined),
    services: Object.keys(services).sort(),
    commands: commandsOf(commands.registerRealtimeCommands),
    draft: await edit(folder),
  };
}
