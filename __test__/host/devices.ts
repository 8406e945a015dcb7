/** A type of device rooms after CivicPress's own: the room, its handler, and a device to connect. */

import WebSocket from 'ws';

import type {
  AuthResult,
  ClientData,
  ConnectionContext,
  DisconnectContext,
  MessageContext,
  Room,
  RoomConfig,
  RoomState,
  RoomTypeHandler,
} from '../../index.js';
import { afterwards } from '../support.js';

type Message = Record<string, unknown>;

/** What of the server a device room reads. */
interface ServerMaps {
  connections: Map<string, { send(text: string): void; readyState: number }>;
  clientToDevice: Map<string, { deviceUuid: string }>;
}

export class DeviceRoom implements Room {
  readonly roomType = 'device';
  readonly clients = new Map<string, ClientData>();
  destroyed = false;
  readonly #createdAt = Date.now();

  constructor(
    readonly roomId: string,
    readonly config: RoomConfig,
    readonly server: ServerMaps,
  ) {}

  addClient(clientId: string, data: ClientData): void {
    this.clients.set(clientId, data);
  }

  removeClient(clientId: string): void {
    this.clients.delete(clientId);
  }

  broadcast(message: unknown, except?: string): void {
    for (const clientId of this.clients.keys()) {
      const socket = this.server.connections.get(clientId);
      if (clientId !== except && socket?.readyState === 1) socket.send(JSON.stringify(message));
    }
  }

  /** Whether the room's device was there to take it. */
  sendToDevice(message: unknown): boolean {
    const uuid = this.roomId.slice('device:'.length);
    for (const [clientId, device] of this.server.clientToDevice.entries()) {
      const socket = this.server.connections.get(clientId);
      if (device.deviceUuid !== uuid || socket?.readyState !== 1) continue;
      socket.send(JSON.stringify(message));
      return true;
    }
    return false;
  }

  getState(): RoomState {
    return {
      roomId: this.roomId,
      roomType: this.roomType,
      participants: [...this.clients.values()],
      version: 0,
      createdAt: this.#createdAt,
      lastActivity: Date.now(),
    };
  }

  async destroy(): Promise<void> {
    this.destroyed = true;
  }
}

/** Tokens are `device-<id>`, or `user-<id>` for somebody who watches. Notes what it is called with, in order. */
export class DeviceHandler implements RoomTypeHandler {
  readonly roomType = 'device';
  readonly authenticatesConnection: boolean = true;
  readonly calls: string[] = [];
  readonly contexts: ConnectionContext[] = [];
  readonly messages: MessageContext[] = [];
  readonly left: DisconnectContext[] = [];

  async onConnect(context: ConnectionContext): Promise<AuthResult> {
    this.calls.push('onConnect');
    this.contexts.push(context);
    const [kind, id = ''] = context.token.split('-');
    if (kind === 'device') {
      const deviceAuth = { deviceId: id, deviceUuid: context.roomId, organizationId: 'town' };
      return { success: true, deviceAuth, clientMetadata: { isDevice: true } };
    }
    if (kind === 'user') {
      const permissions = { canView: true, canEdit: false };
      return {
        success: true,
        userAuth: { userId: Number(id), username: `user ${id}`, role: 'clerk', permissions },
      };
    }
    return { success: false, error: 'unknown token', errorCode: 'DEVICE_UNKNOWN' };
  }

  async onPostConnect(_context: ConnectionContext, _auth: AuthResult): Promise<void> {
    this.calls.push('onPostConnect');
  }

  async onMessage(context: MessageContext): Promise<void> {
    const message = context.message as Message;
    this.calls.push(String(message['type']));
    this.messages.push(context);
  }

  onDisconnect(context: DisconnectContext): void {
    this.calls.push('onDisconnect');
    this.left.push(context);
  }
}

export interface Device {
  socket: WebSocket;
  /** The next text frame, parsed; a room of devices sends no others. */
  next(): Promise<Message>;
  say(message: unknown): void;
  closed: Promise<{ code: number; reason: string }>;
}

/** A device, or somebody who watches one, at a server on `port`. */
export function device(port: number, token: string, path = 'devices/7f'): Device {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/realtime/${path}`, [`auth.${token}`]);
  const frames: Message[] = [];
  const waiting: ((message: Message) => void)[] = [];
  socket.on('message', (data, isBinary) => {
    if (isBinary) return;
    const message = JSON.parse(data.toString()) as Message;
    const taker = waiting.shift();
    if (taker) taker(message);
    else frames.push(message);
  });
  socket.on('error', () => {});
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })),
  );
  afterwards(() => socket.terminate());
  return {
    socket,
    closed,
    say: (message) => socket.send(JSON.stringify(message)),
    next: () => {
      const message = frames.shift();
      return message ? Promise.resolve(message) : new Promise((resolve) => waiting.push(resolve));
    },
  };
}
