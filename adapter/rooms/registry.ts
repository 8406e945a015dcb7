import type * as Public from '../../index.js';

/** Room types' handlers by type. */
export class DefaultHandlerRegistry implements Public.HandlerRegistry {
  readonly #handlers = new Map<string, Public.RoomTypeHandler>();
  #changed: () => void = () => {};

  /** Called by the server that serves the types. */
  static follow(registry: DefaultHandlerRegistry, changed: () => void): void {
    registry.#changed = changed;
    changed();
  }

  registerRoomTypeHandler(handler: Public.RoomTypeHandler): void {
    const { roomType } = handler;
    if (typeof roomType !== 'string' || roomType === '') {
      throw new TypeError('a room type handler needs a roomType');
    }
    this.#handlers.set(roomType, handler);
    this.#changed();
  }

  getHandler(roomType: string): Public.RoomTypeHandler | undefined {
    return this.#handlers.get(roomType);
  }

  hasHandler(roomType: string): boolean {
    return this.#handlers.has(roomType);
  }

  getRegisteredRoomTypes(): string[] {
    return [...this.#handlers.keys()];
  }

  unregisterRoomTypeHandler(roomType: string): boolean {
    const removed = this.#handlers.delete(roomType);
    if (removed) this.#changed();
    return removed;
  }
}

/** A registry of its own. */
export function createHandlerRegistry(): Public.HandlerRegistry {
  return new DefaultHandlerRegistry();
}
