/** A hook bus in the shape of CivicPress's own, which remembers what it was told. */

export interface HookContext {
  timestamp: Date;
  metadata?: Record<string, unknown>;
}
type Handler = (data: any, context: HookContext) => unknown;

export class HookSystem {
  readonly told: { name: string; data: any; context: HookContext }[] = [];
  readonly #listeners = new Map<string, Handler[]>();

  async emit(name: string, data: unknown, context?: Partial<HookContext>): Promise<void> {
    const full = { timestamp: new Date(), ...context };
    this.told.push({ name, data, context: full });
    for (const handler of this.#listeners.get(name) ?? []) await handler(data, full);
  }

  registerHook(name: string, handler: Handler): void {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), handler]);
  }

  removeHook(name: string, handler: Handler): void {
    const left = (this.#listeners.get(name) ?? []).filter((other) => other !== handler);
    this.#listeners.set(name, left);
  }

  listeners(name: string): number {
    return this.#listeners.get(name)?.length ?? 0;
  }

  named(name: string): any[] {
    return this.told.filter((hook) => hook.name === name).map((hook) => hook.data);
  }
}
