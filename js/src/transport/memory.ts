// A channel without a kernel: tests and the demo page answer requests in the page itself.

import type { Channel, Json } from "./channel";
import type { Binary } from "./wire";

export type Answer = { head: Json; buffers?: ArrayBufferView[] };
export type Responder = (content: Json, buffers: Uint8Array[]) => Answer | Promise<Answer> | null;

export class MemoryChannel implements Channel {
  /** Every request that was sent, oldest first. */
  readonly sent: Json[] = [];
  /** Set to make `send` throw, as it does when the kernel is gone. */
  broken = false;
  #traits: Map<string, unknown>;
  #messages = new Set<(content: Json, buffers: Binary[]) => void>();
  #observers = new Map<string, Set<() => void>>();
  #gone = new Set<() => void>();

  constructor(
    traits: Record<string, unknown>,
    readonly respond: Responder = () => null,
  ) {
    this.#traits = new Map(Object.entries(traits));
  }

  send(content: Json, buffers: ArrayBufferView[] = []): void {
    if (this.broken) throw new Error("Cannot send");
    this.sent.push(content);
    const bytes = buffers.map((b) => new Uint8Array(b.buffer as ArrayBuffer, b.byteOffset, b.byteLength).slice());
    void Promise.resolve()
      .then(() => this.respond(content, bytes))
      .then(
        (answer) => {
          if (answer) this.deliver({ v: 1, re: content["id"], ok: true, ...answer.head }, answer.buffers);
        },
        (error: unknown) => {
          const message = error instanceof Error ? error.message : String(error);
          this.deliver({ v: 1, re: content["id"], ok: false, error: { code: "refused", message, hint: "" } });
        },
      );
  }

  /** Hand a message to the page, with buffers as Jupyter delivers them. */
  deliver(content: Json, buffers: ArrayBufferView[] = []): void {
    const views = buffers.map((b) => new DataView(b.buffer, b.byteOffset, b.byteLength));
    for (const listener of [...this.#messages]) listener(content, views);
  }

  onMessage(listener: (content: Json, buffers: Binary[]) => void): () => void {
    this.#messages.add(listener);
    return () => this.#messages.delete(listener);
  }

  get<T>(name: string): T {
    return this.#traits.get(name) as T;
  }

  set(name: string, value: unknown): void {
    this.#traits.set(name, value);
    for (const observer of [...(this.#observers.get(name) ?? [])]) observer();
  }

  onTrait(name: string, listener: () => void): () => void {
    const set = this.#observers.get(name) ?? new Set<() => void>();
    this.#observers.set(name, set.add(listener));
    return () => set.delete(listener);
  }

  onGone(listener: () => void): () => void {
    this.#gone.add(listener);
    return () => this.#gone.delete(listener);
  }

  kill(): void {
    this.broken = true;
    for (const listener of [...this.#gone]) listener();
  }
}
