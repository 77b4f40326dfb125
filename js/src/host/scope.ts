// Ownership of listeners, observers and other resources: dropping a scope drops all of them.

export class Scope {
  /** Scopes alive in this module; tests expect zero after disposal. */
  static live = 0;
  #cleanups: (() => void)[] = [];
  #controller = new AbortController();
  #disposed = false;

  constructor() {
    Scope.live += 1;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  add(cleanup: () => void): void {
    if (this.#disposed) cleanup();
    else this.#cleanups.push(cleanup);
  }

  listen<E extends Event>(
    target: EventTarget,
    type: string,
    listener: (event: E) => void,
    options: AddEventListenerOptions = {},
  ): void {
    target.addEventListener(type, listener as EventListener, { ...options, signal: this.signal });
  }

  child(): Scope {
    const child = new Scope();
    this.add(() => child.dispose());
    return child;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    Scope.live -= 1;
    this.#controller.abort();
    for (const cleanup of this.#cleanups.reverse()) cleanup();
    this.#cleanups = [];
  }
}
