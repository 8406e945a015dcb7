/** Rooms as people build them on `ws` and with `socket.io`: join, and say to everybody in the room. */

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.env.BENCH_PEERS, 'package.json'));
const http = createServer();

if (process.argv[2] === 'ws') {
  const { WebSocketServer } = require('ws');
  const rooms = new Map();
  new WebSocketServer({ server: http }).on('connection', (socket) => {
    const mine = new Set();
    socket.on('message', (text) => {
      const { type, room, event, data, ack } = JSON.parse(text);
      if (type === 'join') {
        mine.add(room);
        rooms.set(room, (rooms.get(room) ?? new Set()).add(socket));
        socket.send(JSON.stringify({ type: 'joined', room, ack }));
      } else {
        const said = JSON.stringify({
          type: 'emit',
          event,
          data,
          room,
          meta: { timestamp: (Date.now() / 1000) | 0 },
        });
        for (const member of rooms.get(room) ?? []) member.send(said);
      }
    });
    socket.on('close', () => {
      for (const room of mine) rooms.get(room).delete(socket);
    });
  });
} else {
  const { Server } = require('socket.io');
  const recovery = process.argv[2] === 'socket.io' ? {} : { connectionStateRecovery: {} };
  new Server(http, { transports: ['websocket'], ...recovery }).on('connection', (socket) => {
    socket.on('join', (room) => {
      socket.join(room);
      socket.emit('joined', room);
    });
    socket.on('emit', (room, data) => socket.nsp.to(room).emit('e', data));
  });
}

http.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${http.address().port}`));
process.stdin.resume().on('end', () => process.exit());
