import type { PeerAdmission, PeerAnswer, PeerRequest, RoomPeer } from '../../binding.js';
import type * as Public from '../../index.js';
import { ClientSocket } from './client-socket.js';
import type { ConnectionTable, Member } from './connection-table.js';
import type { RoomTable } from './room-table.js';

/** What a connection needs of the server. */
export interface Surroundings {
  table: ConnectionTable;
  rooms: RoomTable;
  emitHook(name: string, data: Record<string, unknown>): void;
  /** Why a room of JavaScript cannot be made now; `undefined` = it can. */
  roomLimit(): string | undefined;
  warn(message: string, fields: Record<string, unknown>): void;
}

/** An error as a client may be told it. */
export function told(error: unknown, code = 'UNKNOWN_ERROR'): { code: string; message: string } {
  const { code: own, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  return {
    code: typeof own === 'string' ? own : code,
    message: typeof message === 'string' ? message : String(error),
  };
}

/** One connection of a room type that JavaScript handles, from `onConnect` to `onDisconnect`. */
export class HandledConnection {
  readonly clientId: string;
  readonly socket: ClientSocket;
  readonly #peer: RoomPeer;
  readonly #roomId: string;
  readonly #roomType: string;
  /** The handler the connection began with; one that replaces it serves the next connection. */
  readonly #handler: Public.RoomTypeHandler;
  readonly #around: Surroundings;
  readonly #context: Public.ConnectionContext;
  #auth: Public.AuthResult = { success: false };
  #room: Public.Room | undefined;
  /** `onPostConnect` is over: from here on the handler gets messages, and the end of the connection. */
  #established = false;
  #ready: Promise<void> = Promise.resolve();

  constructor(peer: RoomPeer, request: PeerRequest, handler: Public.RoomTypeHandler, around: Surroundings) {
    this.#peer = peer;
    this.clientId = peer.clientId;
    this.socket = new ClientSocket(peer);
    this.#roomId = peer.room;
    this.#roomType = handler.roomType;
    this.#handler = handler;
    this.#around = around;
    this.#context = {
      ws: this.socket,
      clientId: this.clientId,
      clientIp: request.address,
      token: request.token,
      roomId: this.#roomId.slice(this.#roomId.indexOf(':') + 1),
      fullRoomId: this.#roomId,
      url: request.url,
      headers: request.headers,
      protocols: request.protocols,
    };
  }

  /** Asks the handler whether the connection may be. `user` is who the host says it is. */
  async connect(user: PeerRequest['user']): Promise<PeerAnswer> {
    try {
      const auth = (await this.#handler.onConnect?.(this.#context)) ?? { success: !this.#handler.onConnect };
      if (auth.success !== true) {
        this.#warn('refused a connection', 'connect', auth.error ?? auth.errorCode ?? 'no reason given');
        return { ok: false, refusal: 'denied' };
      }
      const identity = identityOf(user, auth);
      if (!identity) return { ok: false, refusal: 'nobody' };
      const { userId, ...shown } = identity;
      this.#auth = {
        ...auth,
        clientMetadata: { userId, username: shown.name, role: shown.role, ...auth.clientMetadata },
      };
      return { ok: true, user: shown };
    } catch (error) {
      this.#warn('failed at a connection', 'connect', told(error).message);
      return { ok: false, refusal: 'failed', ...told(error) };
    }
  }

  /** Takes the connection into the maps and into its room, and tells the client that it is in. */
  admit({ address, user }: PeerAdmission): PeerAnswer {
    const { table, rooms } = this.#around;
    const full = rooms.get(this.#roomId) === null ? this.#around.roomLimit() : undefined;
    if (full !== undefined) return { ok: false, refusal: 'full', message: full };
    const connectedAt = Date.now();
    const { deviceAuth } = this.#auth;
    const member: Member = {
      clientId: this.clientId,
      socket: this.socket,
      address,
      userKey: user.key,
      username: user.name,
      role: user.role,
      roomId: this.#roomId,
      connectedAt,
      ...(deviceAuth && {
        device: {
          deviceId: String(deviceAuth.deviceId),
          deviceUuid: deviceAuth.deviceUuid,
          organizationId: deviceAuth.organizationId ?? '',
        },
      }),
      left: () => this.#left(),
    };
    table.add(member);
    try {
      this.#room = rooms.getOrCreate(this.#roomId, this.#roomType);
      rooms.joined(this.#roomId);
      this.#room.addClient(this.clientId, {
        id: this.clientId,
        roomId: this.#roomId,
        connectedAt,
        lastActivity: connectedAt,
        ...this.#auth.clientMetadata,
      });
    } catch (error) {
      this.#warn('gave a connection no room', 'room', told(error).message);
      table.remove(this.clientId);
      return { ok: false, refusal: 'unavailable', ...told(error) };
    }
    this.#peer.acknowledge();
    this.#ready = this.#postConnect();
    return { ok: true };
  }

  /** Hands a message to the handler once that is ready for it; resolves when it is done. */
  async message(rawData: Buffer): Promise<void> {
    await this.#ready;
    const room = this.#room;
    if (!room || !this.#isHere()) return;
    try {
      this.socket.emit('message', rawData, false);
      const { table } = this.#around;
      await this.#handler.onMessage?.({
        ws: this.socket,
        clientId: this.clientId,
        message: JSON.parse(rawData.toString()) as unknown,
        rawData,
        room: this.#reference(room),
        auth: this.#auth,
        sendToClient: (clientId, message) => table.get(clientId)?.socket.send(JSON.stringify(message)),
        broadcastToRoom: (message, except) => {
          const text = JSON.stringify(message);
          for (const { clientId, socket } of table.inRoom(this.#roomId)) {
            if (clientId !== except) socket.send(text);
          }
        },
        sendError: (error) => {
          this.socket.send(JSON.stringify({ type: 'control', event: 'error', error: told(error) }));
        },
      });
    } catch (error) {
      this.#warn('failed at a message', 'message', told(error).message);
    }
  }

  async #postConnect(): Promise<void> {
    try {
      await this.#handler.onPostConnect?.(this.#context, this.#auth);
    } catch (error) {
      this.#warn('failed after a connection', 'post_connect', told(error).message);
    }
    if (!this.#isHere()) return;
    this.#established = true;
    this.#hook('realtime:client:connected');
  }

  #left(): void {
    const room = this.#room;
    if (!room) return;
    try {
      if (this.#established) {
        const { clientId } = this;
        this.#handler.onDisconnect?.({ clientId, room: this.#reference(room), auth: this.#auth });
      }
    } catch (error) {
      this.#warn('failed at a disconnection', 'disconnect', told(error).message);
    }
    try {
      room.removeClient(this.clientId);
    } catch (error) {
      this.#warn('kept who left', 'room', told(error).message);
    }
    this.#around.rooms.left(this.#roomId);
    this.#hook('realtime:client:disconnected');
  }

  #isHere(): boolean {
    return this.#around.table.get(this.clientId)?.socket === this.socket;
  }

  #reference(room: Public.Room): Public.RoomReference {
    return {
      roomId: this.#roomId,
      roomType: this.#roomType,
      getState: () => room.getState(),
      addClient: (clientId, data) => room.addClient(clientId, data),
      removeClient: (clientId) => room.removeClient(clientId),
      updateActivity: () => (room as { updateActivity?: () => void }).updateActivity?.(),
    };
  }

  #hook(name: string): void {
    this.#around.emitHook(name, {
      clientId: this.clientId,
      roomId: this.#roomId,
      roomType: this.#roomType,
      timestamp: Date.now(),
      correlationId: this.#peer.correlationId,
    });
  }

  #warn(what: string, stage: string, error: string): void {
    const message = `the handler of ${this.#roomType} ${what} to ${this.#roomId}: ${error}`;
    const { correlationId: correlation_id } = this.#peer;
    this.#around.warn(message, { stage, error, correlation_id, room: this.#roomId });
  }
}

/** As whom a connection counts: the host's user, else the device, else the user its handler named. */
function identityOf(
  user: PeerRequest['user'],
  { deviceAuth, userAuth }: Public.AuthResult,
): { userId: unknown; key: string; name: string; role: string } | undefined {
  if (user) return { userId: user.key, ...user };
  if (deviceAuth) {
    const { deviceId, deviceUuid } = deviceAuth;
    return {
      userId: deviceId,
      key: `device:${deviceId}`,
      name: `device:${deviceUuid}`,
      role: 'device',
    };
  }
  if (userAuth) {
    const { userId, username, role } = userAuth;
    return { userId, key: String(userId), name: String(username), role: String(role) };
  }
  return undefined;
}
