import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { pathOf } from '../paths';
import { ending, isRefusal, type Ending } from './closes';
import { Delivery } from './delivery';
import { countingSocket, type ControlMessage } from './socket';

/** What the page learns from its connection. */
export interface ConnectionListener {
  /** The delivery state may have changed. */
  changed(): void;
  /** The document is complete for the first time. */
  ready(): void;
  /** The server closed the connection with a reason people should know. */
  ended(ending: Ending): void;
  /** The server has something to say; `null` takes it back. */
  notice(text: string | null): void;
}

/** Refusals in a row after which trying the same again is pointless. */
const REFUSALS_MAX = 5;

/** One record's document and its connection to the server. */
export class Connection {
  readonly doc = new Y.Doc();
  readonly delivery: Delivery;
  readonly provider: WebsocketProvider;
  #refusals = 0;
  #revoked: string | null = null;
  /** The page shows what the last closing said. */
  #ended = false;

  constructor(
    recordId: string,
    token: string,
    private readonly listener: ConnectionListener,
  ) {
    this.delivery = new Delivery(() => {
      this.#settle();
      listener.changed();
    });
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    this.provider = new WebsocketProvider(
      `${scheme}//${location.host}${pathOf('documents')}/records`,
      encodeURIComponent(recordId),
      this.doc,
      {
        connect: false,
        protocols: protocols(token),
        params: { ack: 'json' },
        WebSocketPolyfill: countingSocket({
          opened: () => this.#opened(),
          sent: (kind) => this.delivery.sent(kind),
          control: (message) => this.#control(message),
        }),
        // Tabs must not hand each other changes behind the server's back: “Saved” speaks of what this
        // tab itself sent.
        disableBc: true,
        shouldReconnect: (event) => this.#shouldReconnect(event.code),
      },
    );
    this.doc.on('update', (_update: Uint8Array, origin: unknown) => {
      if (origin !== this.provider) this.delivery.changedLocally();
    });
    this.provider.on('sync', (synced: boolean) => {
      this.delivery.synced(synced);
      if (synced) listener.ready();
    });
    this.provider.on('connection-close', (event) => this.#closed(event?.code ?? 1006, event?.reason));
  }

  connect(): void {
    this.provider.connect();
  }

  /** Goes on with a new token after the session ended; the document and its unsent changes stay. */
  resume(token: string): void {
    // A live connection goes on with the old token until it is closed.
    if (this.provider.ws !== null) this.provider.disconnect();
    this.provider.protocols = protocols(token);
    this.provider.wsUnsuccessfulReconnects = 0;
    this.#refusals = 0;
    this.delivery.retrying();
    this.provider.connect();
  }

  #opened(): void {
    this.#revoked = null;
    this.delivery.opened();
  }

  #control(message: ControlMessage): void {
    // The provider drops a connection that was silent for 30 s; these frames are signs of life too.
    this.provider.wsLastMessageReceived = Date.now();
    if (message.type === 'ack') {
      if (typeof message.updates === 'number') this.delivery.acknowledged(message.updates);
    } else if (message.event === 'connection.ack') {
      if (typeof message.canEdit === 'boolean') this.delivery.allowEditing(message.canEdit);
    } else if (message.event === 'session.revoked') {
      this.#revoked = 'Your session was ended. Sign in again to go on; your changes are kept in this tab.';
    } else if (message.event === 'storage.degraded') {
      this.#ended = true;
      this.listener.notice(
        'The server cannot store changes at the moment. Yours are kept in this tab; leave it open.',
      );
    } else if (message.event === 'storage.recovered') {
      this.#ended = false;
      this.listener.notice(null);
    } else if (message.event === 'notice') {
      this.#ended = false;
      this.listener.notice(message.message ?? null);
    } else if (message.event === 'error') {
      this.#ended = true;
      this.listener.notice(message.error?.message ?? null);
    }
  }

  #closed(code: number, reason?: string): void {
    const end = ending(code, reason);
    if (isRefusal(code, reason)) this.#refusals += 1;
    this.delivery.closed(!this.#shouldReconnect(code));
    if (end === null) return;
    this.#ended = true;
    if (code === 4001 && this.#revoked !== null) this.listener.ended({ ...end, text: this.#revoked });
    else if (end.then === 'retry' && !this.#shouldReconnect(code)) {
      this.listener.ended({
        then: 'stop',
        text: 'The server keeps refusing a change from this tab. Copy what you need, then reload.',
      });
    } else this.listener.ended(end);
  }

  /**
   * What the last closing said holds until the server has everything: a refused change is sent again with
   * every connection, and being synced only means that the server's side arrived.
   */
  #settle(): void {
    if (this.delivery.state !== 'saved' && this.delivery.state !== 'readonly') return;
    this.#refusals = 0;
    if (this.#ended) this.listener.notice(null);
    this.#ended = false;
  }

  #shouldReconnect(code: number): boolean {
    return (ending(code)?.then ?? 'retry') === 'retry' && this.#refusals < REFUSALS_MAX;
  }
}

function protocols(token: string): string[] {
  return ['civicpress.v1', `auth.${token}`];
}
