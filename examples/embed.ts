import { RealtimeServer, type RealtimeHost } from '@civicpress/realtime';

const records = new Map([['records:budget', '# Budget\n\nFirst draft.\n']]);

const host: RealtimeHost = {
  // Whose token is this? null: nobody's.
  authenticate: async (token) => (token === 'let-me-in' ? { id: 1, name: 'Ada', role: 'editor' } : null),
  // What may they do here? null: not even look.
  authorize: async (caller, room) =>
    records.has(room) || room.startsWith('notes:') ? { canEdit: caller.role === 'editor' } : null,
  loadRecord: async (room) => records.get(room) ?? null,
  // Replaces the text only if it still is what the engine last saw; else answers with the present one.
  saveRecord: async (room, text, expected) => {
    const present = records.get(room) ?? null;
    if (present !== expected) return { saved: false, text: present ?? '' };
    records.set(room, text);
    return { saved: true };
  },
  // Facts, such as realtime:snapshot:saved. Optional.
  emitHook: (name, data) => console.log(name, data),
};

const server = new RealtimeServer({
  host,
  config: { host: '127.0.0.1', port: 3001, rooms: { open_types: ['notes'] } },
});
const { port } = await server.initialize();
console.log(`ws://127.0.0.1:${port}/realtime/records/budget`);

process.once('SIGTERM', () => void server.shutdown().then(() => process.exit(0)));
