/** What the reader is told about the connection. */
export type State = 'offline' | 'connecting' | 'saving' | 'saved' | 'readonly';

/**
 * Knows whether every local change is on the server's disk. A change is safe only when the server has
 * acknowledged as many sync messages as this connection sent; being connected says nothing.
 */
export class Delivery {
  /** False once the server, or the role, says that this person only reads. */
  canEdit = true;
  #open = false;
  #wasOpen = false;
  #synced = false;
  #answered = false;
  #stopped = false;
  #sent = 0;
  #acked = 0;
  #dirty = false;

  constructor(private readonly changed: () => void) {}

  opened(): void {
    this.#open = true;
    this.#wasOpen = true;
    this.#stopped = false;
    this.#restart();
  }

  closed(stopped: boolean): void {
    this.#open = false;
    this.#wasOpen = true;
    this.#stopped = stopped;
    this.#restart();
  }

  /** Connecting again after the connection was given up. */
  retrying(): void {
    this.#stopped = false;
    this.#wasOpen = false;
    this.changed();
  }

  synced(synced: boolean): void {
    this.#synced = synced;
    this.#settle();
  }

  sent(kind: 'step2' | 'update'): void {
    this.#sent += 1;
    // Until the answer to the server's own step 1 is out, changes made offline may not have been sent.
    if (kind === 'step2') this.#answered = true;
    this.#settle();
  }

  /** The first `updates` sync messages of this connection are durable. */
  acknowledged(updates: number): void {
    this.#acked = Math.max(this.#acked, updates);
    this.#settle();
  }

  changedLocally(): void {
    if (!this.canEdit) return;
    this.#dirty = true;
    this.changed();
  }

  allowEditing(canEdit: boolean): void {
    this.canEdit = canEdit;
    if (!canEdit) this.#dirty = false;
    this.#settle();
  }

  /** There are changes the server may not have on disk. */
  get dirty(): boolean {
    return this.#dirty;
  }

  /** The server ended the connection for good; only a person can go on. */
  get stopped(): boolean {
    return this.#stopped;
  }

  get state(): State {
    if (!this.#open) return this.#wasOpen ? 'offline' : 'connecting';
    if (!this.#synced) return this.#dirty ? 'saving' : 'connecting';
    if (!this.canEdit) return 'readonly';
    return this.#isDurable() ? 'saved' : 'saving';
  }

  #isDurable(): boolean {
    return this.#open && this.#synced && this.#answered && this.#acked >= this.#sent;
  }

  #restart(): void {
    this.#synced = false;
    this.#answered = false;
    this.#sent = 0;
    this.#acked = 0;
    this.changed();
  }

  #settle(): void {
    if (this.#isDurable()) this.#dirty = false;
    this.changed();
  }
}
