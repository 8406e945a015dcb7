import type * as Public from '../../index.js';
import { roomsOf, type RoomServer, type RoomTable } from './room-table.js';

/** The rooms of a server. All managers of one server show, and change, the same rooms. */
export class RoomManager implements Public.RoomManager {
  readonly #rooms: RoomTable;

  constructor(_logger: unknown, server: RoomServer) {
    this.#rooms = roomsOf(server);
  }

  registerRoomType(roomType: string, factory: Public.RoomFactory): void {
    this.#rooms.factories.set(roomType, factory);
  }

  getRoom(roomId: string): Public.Room | null {
    return this.#rooms.get(roomId);
  }

  getOrCreateRoom(roomId: string, roomType: string, config?: Partial<Public.RoomConfig>): Public.Room {
    return this.#rooms.getOrCreate(roomId, roomType, config);
  }

  getAllRooms(): Public.Room[] {
    return this.#rooms.all();
  }

  getActiveRoomIds(): Set<string> {
    return new Set(this.#rooms.all().map(({ roomId }) => roomId));
  }

  getRoomCount(): number {
    return this.#rooms.all().length;
  }

  /** Milliseconds an empty room of JavaScript is kept; documents follow `rooms.grace_period_ms`. */
  setGracePeriodMs(gracePeriodMs: number): void {
    this.#rooms.gracePeriodMs = () => gracePeriodMs;
  }

  removeRoom(roomId: string): Promise<void> {
    return this.#rooms.remove(roomId);
  }

  async cleanupEmptyRooms(): Promise<void> {
    const empty = this.getAllRooms().filter((room) => room.getState().participants.length === 0);
    await Promise.all(empty.map(({ roomId }) => this.removeRoom(roomId)));
  }
}
