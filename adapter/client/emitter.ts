/** Listeners by name. One that throws hurts nobody else, and those that leave while others are called miss nothing. */

// Whoever listens knows what it is told.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Listener = ((...args: any[]) => void) & { once?: Listener };

export class Emitter {
  readonly #listeners = new Map<string, Set<Listener>>();

  on(name: string, listener: Listener): this {
    const known = this.#listeners.get(name);
    if (known) known.add(listener);
    else this.#listeners.set(name, new Set([listener]));
    return this;
  }

  once(name: string, listener: Listener): this {
    const first: Listener = (...args: unknown[]) => {
      this.off(name, first);
      listener(...args);
    };
    // Whoever takes it off knows it by the listener's own name.
    first.once = listener;
    return this.on(name, first);
  }

  off(name: string, listener?: Listener): this {
    const known = this.#listeners.get(name);
    if (listener === undefined) this.#listeners.delete(name);
    else known?.forEach((one) => (one === listener || one.once === listener) && known.delete(one));
    return this;
  }

  fire(name: string, ...args: unknown[]): void {
    // A copy: listeners may come and go meanwhile.
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(...args);
      } catch (error) {
        console.error(error);
      }
    }
  }
}
