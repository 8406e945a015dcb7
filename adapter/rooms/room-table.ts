import type * as Public from '../../index.js';
import { RoomNotFoundError } from '../errors.js';
import type { DocumentRooms } from './document-rooms.js';

/** What rooms need of the server they belong to. */
export interface RoomServer {
  emitHook?(name: string, data: Record<string, unknown>): unknown;
}

interface Held {
  room: Public.Room;
  /** Evicts the room when its grace is over. */
  grace?: NodeJS.Timeout;
}

const tables = new WeakMap<object, RoomTable>();

/** The rooms of a server: every manager of the server shows the same ones. */
export function roomsOf(server: RoomServer): RoomTable {
  let table = tables.get(server);
  if (!table) tables.set(server, (table = new RoomTable(server)));
  return table;
}

/**
 * The rooms of one server: those that JavaScript made, held here, and those of the engine's documents, looked up.
 */
export class RoomTable {
  readonly factories = new Map<string, Public.RoomFactory>();
  /** Rooms of documents; none before the server is made. */
  documents: DocumentRooms | undefined;
  /** Who is in a room. */
  occupied: (roomId: string) => boolean = () => false;
  /** Called with a room that is about to be evicted. */
  finalize: (room: Public.Room) => Promise<void> = async () => {};
  /** Milliseconds an empty room is kept. */
  gracePeriodMs: () => number = () => 300_000;
  /** Told how many rooms JavaScript has made, at each change. */
  counted: (held: number) => void = () => {};
  readonly #server: RoomServer;
  readonly #held = new Map<string, Held>();

  constructor(server: RoomServer) {
    this.#server = server;
  }

  /** The room of this name, if JavaScript made it. */
  held(roomId: string): Public.Room | undefined {
    return this.#held.get(roomId)?.room;
  }

  get(roomId: string): Public.Room | null {
    return this.held(roomId) ?? this.documents?.get(roomId) ?? null;
  }

  /** Throws `ROOM_NOT_FOUND` for a type that nobody makes rooms of, and what a factory throws. */
  getOrCreate(roomId: string, roomType: string, config: Partial<Public.RoomConfig> = {}): Public.Room {
    const known = this.get(roomId);
    if (known) return known;
    const factory = this.factories.get(roomType);
    if (!factory) {
      const room = this.documents?.getOrCreate(roomId, roomType);
      if (room) return room;
      throw new RoomNotFoundError(roomId, { roomType });
    }
    const room = factory.createRoom(roomId, { roomId, roomType, ...config });
    this.#held.set(roomId, { room });
    this.counted(this.#held.size);
    this.#emit('realtime:room:created', { roomId, roomType, timestamp: Date.now() });
    return room;
  }

  /** All rooms, by name. */
  all(): Public.Room[] {
    const held = [...this.#held.values()].map(({ room }) => room);
    return [...held, ...(this.documents?.all() ?? [])];
  }

  /** Rooms that JavaScript made. */
  get heldCount(): number {
    return this.#held.size;
  }

  /** Somebody joins: the room stays. */
  joined(roomId: string): void {
    clearTimeout(this.#held.get(roomId)?.grace);
  }

  /** Somebody left: an empty room goes when its grace is over. */
  left(roomId: string): void {
    const held = this.#held.get(roomId);
    if (!held || this.occupied(roomId)) return;
    const graceMs = this.gracePeriodMs();
    clearTimeout(held.grace);
    if (graceMs <= 0) return void this.#evict(roomId, held);
    held.grace = setTimeout(() => void this.#evict(roomId, held), Math.min(graceMs, 2 ** 31 - 1)).unref();
  }

  /** Ends a room. One of a document is written back, and leaves memory by itself once nobody is there. */
  async remove(roomId: string): Promise<void> {
    const held = this.#held.get(roomId);
    if (!held) return this.documents?.get(roomId)?.destroy();
    clearTimeout(held.grace);
    this.#held.delete(roomId);
    this.counted(this.#held.size);
    await held.room.destroy();
    this.#emit('realtime:room:destroyed', { roomId, timestamp: Date.now() });
  }

  /** Ends all rooms that JavaScript made. */
  async removeAll(): Promise<void> {
    const ends = [...this.#held].map(async ([roomId, { room }]) => {
      await this.finalize(room);
      await this.remove(roomId);
    });
    await Promise.allSettled(ends);
  }

  async #evict(roomId: string, held: Held): Promise<void> {
    await this.finalize(held.room);
    if (this.#held.get(roomId) !== held || this.occupied(roomId)) return;
    // A room that cannot end itself is let go all the same.
    await this.remove(roomId).catch(() => {});
  }

  #emit(name: string, data: Record<string, unknown>): void {
    this.#server.emitHook?.(name, data);
  }
}
