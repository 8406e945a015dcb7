/** A container of services in the shape of CivicPress's own. */

type Factory = (container: Container) => unknown;

export class Container {
  readonly #services = new Map<string, { factory?: Factory; instance?: unknown }>();

  singleton(key: string, factory: Factory): void {
    if (this.#services.has(key)) throw new Error(`${key} is registered already`);
    this.#services.set(key, { factory });
  }

  registerInstance(key: string, instance: unknown): void {
    this.#services.set(key, { instance });
  }

  isRegistered(key: string): boolean {
    return this.#services.has(key);
  }

  resolve<T>(key: string): T {
    const service = this.#services.get(key);
    if (!service) throw new Error(`no service ${key}`);
    if (service.instance === undefined) service.instance = service.factory?.(this);
    return service.instance as T;
  }
}
