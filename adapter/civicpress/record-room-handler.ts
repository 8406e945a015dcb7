import type * as Public from '../../index.js';

/** Writes a room back now. */
type Write = (roomId: string) => Promise<unknown>;

/**
 * What the host registers for `records`. The engine serves these rooms itself; the handler says where drafts
 * go, and is how the host asks for a snapshot.
 */
export class RecordRoomHandler implements Public.RecordRoomHandler {
  readonly roomType = 'records';
  readonly deps: Public.RecordRoomHandlerDeps;
  readonly #running = new Map<string, Promise<void>>();
  #write: Write | undefined;

  constructor(deps: Public.RecordRoomHandlerDeps = {}) {
    this.deps = deps;
  }

  /** Called by the server it is registered with. */
  static attach(handler: RecordRoomHandler, write: Write): void {
    handler.#write = write;
  }

  snapshot(room: { roomId: string }): Promise<void> {
    const { roomId } = room;
    const running = this.#running.get(roomId);
    if (running) return running;
    // What fails has been told by hook and log; the host's timers and routes do not expect a rejection.
    const run = Promise.resolve(this.#write?.(roomId))
      .then(
        () => {},
        () => {},
      )
      .finally(() => this.#running.delete(roomId));
    this.#running.set(roomId, run);
    return run;
  }
}
