import type { RoomLife } from '../../binding.js';
import type * as Public from '../../index.js';
import type { ConnectionTable } from './connection-table.js';
import { roomsOf, type RoomServer } from './room-table.js';

/** What of the engine the rooms of documents are made of. */
export interface DocumentEngine {
  rooms(): string[];
  roomLife(room: string): RoomLife | null;
  triggerSnapshot(room: string): Promise<unknown>;
}

/** Types whose rooms are the engine's documents also before one is open. */
const DOCUMENT_TYPES = ['records', 'record'];

/** Rooms nobody may ask for again, kept before they are looked through. */
const KEPT_MAX = 256;

/**
 * The engine's rooms, each as one object for the whole of its life. Nothing of a document is kept here: what is
 * asked is looked up.
 */
export class DocumentRooms {
  readonly #server: RoomServer;
  readonly engine: DocumentEngine;
  readonly table: ConnectionTable;
  readonly #known = new Map<string, YjsRoom>();

  constructor(server: RoomServer, engine: DocumentEngine, table: ConnectionTable) {
    this.#server = server;
    this.engine = engine;
    this.table = table;
  }

  get(roomId: string): Public.Room | null {
    const life = this.engine.roomLife(roomId);
    return life && this.#of(roomId, life);
  }

  /** The room, also if the engine has not opened it yet; `null` for a type that is no document's. */
  getOrCreate(roomId: string, roomType: string): Public.Room | null {
    return DOCUMENT_TYPES.includes(roomType) ? this.#of(roomId, this.engine.roomLife(roomId)) : null;
  }

  all(): Public.Room[] {
    return this.engine
      .rooms()
      .map((roomId) => this.get(roomId))
      .filter((room) => room !== null);
  }

  #of(roomId: string, life: RoomLife | null): YjsRoom {
    const known = this.#known.get(roomId);
    if (known?.isOf(life)) return known;
    if (this.#known.size >= KEPT_MAX) this.#forget();
    const room = new YjsRoom(roomId, {}, undefined, this.#server);
    this.#known.set(roomId, room);
    return room;
  }

  #forget(): void {
    const open = new Set(this.engine.rooms());
    for (const roomId of this.#known.keys()) if (!open.has(roomId)) this.#known.delete(roomId);
  }
}

/** The room of a document: the engine has it, this shows it. */
export class YjsRoom implements Public.YjsRoom {
  readonly roomId: string;
  readonly roomType: string;
  readonly #engine: DocumentEngine;
  readonly #table: ConnectionTable;
  readonly #madeAt = Date.now();
  #life: RoomLife | null;

  constructor(
    roomId: string,
    { roomType = roomId.slice(0, roomId.indexOf(':')) }: Partial<Public.RoomConfig>,
    _logger: unknown,
    server: RoomServer,
  ) {
    const { documents } = roomsOf(server);
    if (!documents) throw new TypeError('a room of a document needs its RealtimeServer');
    const { engine, table } = documents;
    this.roomId = roomId;
    this.roomType = roomType;
    this.#engine = engine;
    this.#table = table;
    this.#life = engine.roomLife(roomId);
  }

  /** Whether it is the room of this life; one that was asked for before it opened becomes it. */
  isOf(life: RoomLife | null): boolean {
    if (life && !this.#life) this.#life = life;
    return life?.generation === this.#life?.generation;
  }

  /** Who is in a document's room is the engine's to say. */
  addClient(): void {}

  removeClient(): void {}

  broadcast(message: unknown, excludeClientId?: string): void {
    const text = JSON.stringify(message);
    for (const { clientId, socket } of this.#table.inRoom(this.roomId)) {
      if (clientId !== excludeClientId) socket.send(text);
    }
  }

  getState(): Public.RoomState {
    const present = this.#engine.roomLife(this.roomId);
    const life = present?.generation === this.#life?.generation ? present : null;
    return {
      roomId: this.roomId,
      roomType: this.roomType,
      participants: (life ? this.#table.inRoom(this.roomId) : []).map((member) => ({
        id: member.clientId,
        roomId: member.roomId,
        userId: member.userKey,
        username: member.username,
        role: member.role,
        connectedAt: member.connectedAt,
        lastActivity: life?.activeAt ?? member.connectedAt,
      })),
      version: life?.version ?? this.#life?.version ?? 0,
      createdAt: this.#life?.openedAt ?? this.#madeAt,
      lastActivity: life?.activeAt ?? this.#life?.activeAt ?? this.#madeAt,
    };
  }

  /** Writes the document back now. Its room leaves memory by itself, once nobody is there. */
  async destroy(): Promise<void> {
    await this.#engine.triggerSnapshot(this.roomId);
  }
}
