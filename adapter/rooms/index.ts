/**
 * Rooms and connections as JavaScript sees them. The engine counts, limits and closes connections; here are the
 * mirrors the host reads without waiting, the rooms that JavaScript made, and the handlers of their types.
 */

import type { PeerAdmission, PeerAnswer, PeerRequest, RoomCallbacks, RoomPeer } from '../../binding.js';
import type { HandledRoomType, RoomLimits } from '../../binding.js';
import type * as Public from '../../index.js';
import { logFields } from '../logging.js';
import { ClientSocket } from './client-socket.js';
import { ConnectionTable } from './connection-table.js';
import { DocumentRooms, type DocumentEngine } from './document-rooms.js';
import { HandledConnection, told } from './handled-connection.js';
import { DefaultHandlerRegistry } from './registry.js';
import { RoomManager } from './room-manager.js';
import { roomsOf, type RoomServer, type RoomTable } from './room-table.js';

/** What of the engine is used. */
export interface RoomEngine extends DocumentEngine {
  setRoomTypes(types: HandledRoomType[]): void;
  roomLimits(): RoomLimits;
  setRoomsHeld(count: number): void;
  revokeUser(userId: string, reason: string): number;
}

export interface RoomsOptions {
  server: RoomServer;
  engine: RoomEngine;
  logger: Pick<Public.RealtimeLogger, 'warn'>;
}

/** The engine serves these types itself, whoever handles them. */
const DOCUMENT_TYPES = ['records', 'record'];

/** Time a handler has for the last snapshot of a room. */
const FINALIZE_MS = 5_000;

export class Rooms {
  readonly registry = new DefaultHandlerRegistry();
  readonly #engine: RoomEngine;
  readonly #logger: RoomsOptions['logger'];
  readonly #server: RoomServer;
  readonly #table = new ConnectionTable();
  readonly #rooms: RoomTable;
  /** Connections that are not admitted yet. */
  readonly #joining = new Map<string, HandledConnection>();
  readonly #live = new Map<string, HandledConnection>();
  /** What the server answers with; any other manager of it shows the same rooms. */
  manager: Public.RoomManager;

  constructor({ server, engine, logger }: RoomsOptions) {
    this.#engine = engine;
    this.#logger = logger;
    this.#server = server;
    this.#rooms = roomsOf(server);
    this.#rooms.documents = new DocumentRooms(server, engine, this.#table);
    this.#rooms.occupied = (roomId) => this.#table.inRoom(roomId).length > 0;
    this.#rooms.counted = (held) => engine.setRoomsHeld(held);
    this.#rooms.gracePeriodMs = () => engine.roomLimits().gracePeriodMs;
    this.#rooms.finalize = (room) => this.#finalize(room);
    this.manager = new RoomManager(logger, server);
    DefaultHandlerRegistry.follow(this.registry, () => {
      const types = this.registry.getRegisteredRoomTypes().filter((type) => !DOCUMENT_TYPES.includes(type));
      engine.setRoomTypes(
        types.map((roomType) => ({
          roomType,
          authenticates: this.registry.getHandler(roomType)?.authenticatesConnection === true,
        })),
      );
    });
  }

  /** Connections by client id. */
  get connections(): Map<string, ClientSocket> {
    return this.#table.connections;
  }

  get clientToDevice(): Map<string, Public.DeviceIdentity> {
    return this.#table.clientToDevice;
  }

  /** Connections by address. */
  get connectionCounts(): ReadonlyMap<string, number> {
    return this.#table.counts;
  }

  /** Client ids by user. */
  get userConnections(): ReadonlyMap<string, ReadonlySet<string>> {
    return this.#table.users;
  }

  /** Ends a user's connections. The maps are clean when it returns, and the handlers have been told. */
  revoke(userId: string, reason: string): number {
    const ended = this.#engine.revokeUser(userId, reason);
    for (const clientId of [...(this.#table.users.get(userId) ?? [])]) this.#remove(clientId);
    return ended;
  }

  /** Has the handler of a room that JavaScript made take its snapshot; `false` = it made no such room. */
  async finalize(roomId: string): Promise<boolean> {
    const room = this.#rooms.held(roomId);
    if (room) await this.#finalize(room);
    return room !== undefined;
  }

  /** What the engine is to call. */
  callbacks(followsDocuments: boolean): RoomCallbacks {
    return {
      followsDocuments,
      connect: (peer, request) => this.#connect(peer, request),
      admitted: async (peer, admission) => this.#admitted(peer, admission),
      message: async (clientId, message) => this.#live.get(clientId)?.message(message),
      closed: (clientId, code, reason) => this.#closed(clientId, code, reason),
    };
  }

  /** The engine has stopped: nobody is connected any more, and the rooms that JavaScript made end. */
  async stopped(): Promise<void> {
    this.#joining.clear();
    for (const clientId of [...this.#table.connections.keys()]) this.#remove(clientId);
    await this.#rooms.removeAll();
  }

  async #connect(peer: RoomPeer, request: PeerRequest): Promise<PeerAnswer> {
    const roomType = peer.room.slice(0, peer.room.indexOf(':'));
    const handler = this.registry.getHandler(roomType);
    // Taken away since the engine looked.
    if (!handler) return { ok: false, refusal: 'unavailable', message: `nobody handles ${roomType}` };
    const connection = new HandledConnection(peer, request, handler, {
      table: this.#table,
      rooms: this.#rooms,
      emitHook: (name, data) => void this.#server.emitHook?.(name, data),
      roomLimit: () => this.#roomLimit(),
      warn: (message, fields) => this.#warn(message, fields),
    });
    this.#joining.set(peer.clientId, connection);
    return connection.connect(request.user);
  }

  #admitted(peer: RoomPeer, admission: PeerAdmission): PeerAnswer {
    const { clientId } = peer;
    // Gone or revoked while it waited for this thread: the maps must not show it again.
    if (peer.readyState !== 1) return { ok: false, refusal: 'unavailable' };
    if (admission.document) {
      this.#table.add(documentMember(peer, admission));
      return { ok: true };
    }
    const connection = this.#joining.get(clientId);
    if (!connection) return { ok: false, refusal: 'unavailable' };
    this.#joining.delete(clientId);
    this.#live.set(clientId, connection);
    const answer = connection.admit(admission);
    if (!answer.ok) this.#live.delete(clientId);
    return answer;
  }

  #closed(clientId: string, code: number, reason: string): void {
    this.#joining.delete(clientId);
    const socket = this.#table.connections.get(clientId);
    this.#remove(clientId);
    socket?.emit('close', code, Buffer.from(reason));
  }

  #remove(clientId: string): void {
    this.#live.delete(clientId);
    this.#table.remove(clientId);
  }

  #roomLimit(): string | undefined {
    const { maxRooms } = this.#engine.roomLimits();
    const open = this.#rooms.heldCount + this.#engine.rooms().length;
    return open >= maxRooms ? `Room limit reached (${maxRooms}); cannot create another room` : undefined;
  }

  async #finalize(room: Public.Room): Promise<void> {
    const handler = this.registry.getHandler(room.roomType);
    if (!handler?.snapshot) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('it did not end in time')), FINALIZE_MS).unref();
    });
    try {
      await Promise.race([handler.snapshot(room), late]);
    } catch (error) {
      const message = `the handler of ${room.roomType} made no snapshot of ${room.roomId}: ${told(error).message}`;
      this.#warn(message, { stage: 'snapshot', error: told(error).message, room: room.roomId });
    } finally {
      clearTimeout(timer);
    }
  }

  #warn(message: string, fields: Record<string, unknown>): void {
    try {
      this.#logger.warn(message, logFields({ event: 'handler_failed', ...fields }));
    } catch {
      // A broken logger must not cost a connection.
    }
  }
}

function documentMember(peer: RoomPeer, { address, user }: PeerAdmission) {
  return {
    clientId: peer.clientId,
    socket: new ClientSocket(peer),
    address,
    userKey: user.key,
    username: user.name,
    role: user.role,
    roomId: peer.room,
    connectedAt: Date.now(),
    left: () => {},
  };
}
