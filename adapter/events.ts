/** Rooms of events, as the host reaches them. Nothing here throws: what cannot be said is not said. */

import type {
  EventConnection,
  EventFact,
  EventFilter,
  EventOperation,
  EventPerson,
  EventRecord,
  RealtimeHost,
  RealtimeLogger,
} from '../index.js';
import type * as Public from '../index.js';
import type { addon } from './addon.js';

type Engine = InstanceType<ReturnType<typeof addon>['RealtimeEngine']>;
type Kind = keyof EventFact;
type Listener = (fact: never) => void;
type Redaction = (document: Record<string, unknown>) => unknown;

const KINDS = ['join', 'leave', 'message'] as const satisfies Kind[];

/** Hooks of the host that are changes of the collection `records`. */
const RECORD_HOOKS: Record<string, EventOperation> = {
  'record:created': 'created',
  'record:updated': 'updated',
  'record:published': 'updated',
  'record:deleted': 'deleted',
};

/** What is told of a record: never its text, which not everybody may see. */
const RECORD_FIELDS = ['id', 'title', 'type', 'status', 'created_at', 'updated_at'];

export class Events implements Public.RealtimeEvents {
  readonly #engine: Engine;
  readonly #logger: RealtimeLogger;
  readonly #redactions = new Map<string, Redaction>();
  readonly #listeners = new Map<Kind, Set<Listener>>(KINDS.map((kind) => [kind, new Set()]));
  /** One function for each hook, for life: hosts take handlers off by identity. */
  readonly #hooks = Object.entries(RECORD_HOOKS).map(([name, operation]) => ({
    name,
    handler: (data: unknown) => this.#recordChanged(operation, data),
  }));

  constructor(engine: Engine, logger: RealtimeLogger) {
    this.#engine = engine;
    this.#logger = logger;
  }

  emitToAll(event: string, data?: unknown): boolean {
    return this.#emit(null, event, data);
  }

  emitToRoom(room: string, event: string, data?: unknown): boolean {
    return this.#emit(String(room), event, data);
  }

  emitCollectionChange(collection: string, operation: EventOperation, documents: object | object[]): boolean {
    return this.#quietly(() => {
      const all = Array.isArray(documents) ? documents : [documents];
      const told = all
        .map((document) => this.#shown(collection, document))
        .filter((one) => one !== undefined);
      if (told.length === 0) return true;
      return this.#engine.emitCollectionChange(collection, operation, JSON.stringify(told));
    });
  }

  redact(collection: string, redaction: Redaction | null): void {
    if (redaction === null) this.#redactions.delete(collection);
    else this.#redactions.set(collection, redaction);
  }

  disconnect(filter: EventFilter, reason = ''): Promise<number> {
    return this.#engine.disconnectEventClients(filter, reason).catch(() => 0);
  }

  rooms(): Promise<{ room: string; members: number }[]> {
    return this.#engine.eventRooms().catch(() => []);
  }

  connections(filter: EventFilter = {}): Promise<EventConnection[]> {
    return this.#list(this.#engine.eventConnections(filter));
  }

  presence(room: string): Promise<EventPerson[]> {
    return this.#list(this.#engine.eventPeople(room));
  }

  history(room: string): Promise<EventRecord[]> {
    return this.#list(this.#engine.eventHistory(room));
  }

  on<K extends Kind>(kind: K, listener: (fact: EventFact[K]) => void): this {
    this.#listeners.get(kind)?.add(listener as Listener);
    this.#watch();
    return this;
  }

  off<K extends Kind>(kind: K, listener: (fact: EventFact[K]) => void): this {
    this.#listeners.get(kind)?.delete(listener as Listener);
    this.#watch();
    return this;
  }

  /** Has changes of the host's records told from now on. */
  follow(host: RealtimeHost | undefined): void {
    this.unfollow(host);
    for (const { name, handler } of this.#hooks) host?.registerHook?.(name, handler);
  }

  unfollow(host: RealtimeHost | undefined): void {
    for (const { name, handler } of this.#hooks) host?.removeHook?.(name, handler);
  }

  #emit(room: string | null, event: string, data: unknown): boolean {
    return this.#quietly(() => this.#engine.emitEvent(room, String(event), JSON.stringify(data)));
  }

  #recordChanged(operation: EventOperation, data: unknown): void {
    this.#quietly(() => {
      const { record, recordId, id } = (data ?? {}) as Record<string, unknown>;
      const all = { id: recordId ?? id, ...(record as object | undefined) } as Record<string, unknown>;
      if (all['id'] === undefined) return false;
      const fields = Object.fromEntries(RECORD_FIELDS.map((field) => [field, all[field]]));
      const told = this.#shown('records', fields);
      if (told === undefined) return true;
      return this.#engine.emitRecordChange(operation, JSON.stringify(told));
    });
  }

  /** What may be told of a document; nothing, if its collection's redaction gives nothing. */
  #shown(collection: string, document: object): unknown {
    // What is told is what it is now: the caller may change it later.
    const copy = JSON.parse(JSON.stringify(document)) as Record<string, unknown>;
    const redaction = this.#redactions.get(collection);
    return (redaction ? redaction(copy) : copy) ?? undefined;
  }

  /** Tells the engine what is listened to: what nobody wants is not even made. */
  #watch(): void {
    const wanted = KINDS.filter((kind) => this.#listeners.get(kind)?.size !== 0);
    this.#engine.watchEvents(wanted, (kind, json) => {
      const fact = JSON.parse(json) as never;
      for (const listener of this.#listeners.get(kind as Kind) ?? []) {
        this.#quietly(() => {
          listener(fact);
          return true;
        });
      }
    });
  }

  async #list<T>(json: Promise<string>): Promise<T[]> {
    return json.then(
      (text) => JSON.parse(text) as T[],
      () => [],
    );
  }

  #quietly(work: () => boolean): boolean {
    try {
      return work();
    } catch (error) {
      this.#logger.warn(`an event was not handled: ${String(error)}`, { component: 'realtime' });
      return false;
    }
  }
}
