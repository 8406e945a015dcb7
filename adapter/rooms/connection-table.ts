import type { DeviceIdentity } from '../../index.js';
import type { ClientSocket } from './client-socket.js';

/** A connection that has a place among the sessions. */
export interface Member {
  readonly clientId: string;
  readonly socket: ClientSocket;
  readonly address: string;
  /** What the user's connections are counted under; a device's begins with `device:`. */
  readonly userKey: string;
  readonly username: string;
  readonly role: string;
  /** `type:id`. */
  readonly roomId: string;
  /** Unix milliseconds. */
  readonly connectedAt: number;
  readonly device?: DeviceIdentity;
  /** Takes leave of the room; called once, after the maps are clean. */
  left(): void;
}

/**
 * The engine's connections as the host reads them, live and without waiting. A map holds no empty entries.
 */
export class ConnectionTable {
  readonly connections = new Map<string, ClientSocket>();
  readonly clientToDevice = new Map<string, DeviceIdentity>();
  /** Connections by address. */
  readonly counts = new Map<string, number>();
  /** Client ids by user key. */
  readonly users = new Map<string, Set<string>>();
  readonly #members = new Map<string, Member>();

  get(clientId: string): Member | undefined {
    return this.#members.get(clientId);
  }

  /** Who is in a room. */
  inRoom(roomId: string): Member[] {
    return [...this.#members.values()].filter((member) => member.roomId === roomId);
  }

  add(member: Member): void {
    const { clientId, socket, address, userKey, device } = member;
    this.#members.set(clientId, member);
    this.connections.set(clientId, socket);
    this.counts.set(address, (this.counts.get(address) ?? 0) + 1);
    this.users.set(userKey, (this.users.get(userKey) ?? new Set()).add(clientId));
    if (device) this.clientToDevice.set(clientId, device);
  }

  /** Takes a connection out and has it take leave; `false` = it was not there. */
  remove(clientId: string): boolean {
    const member = this.#members.get(clientId);
    if (!member) return false;
    const { address, userKey } = member;
    this.#members.delete(clientId);
    this.connections.delete(clientId);
    this.clientToDevice.delete(clientId);
    const count = (this.counts.get(address) ?? 1) - 1;
    if (count > 0) this.counts.set(address, count);
    else this.counts.delete(address);
    const ofUser = this.users.get(userKey);
    ofUser?.delete(clientId);
    if (ofUser?.size === 0) this.users.delete(userKey);
    member.left();
    return true;
  }

  removeAll(): void {
    for (const clientId of [...this.#members.keys()]) this.remove(clientId);
  }
}
