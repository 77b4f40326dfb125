// Bytes of columns, fetched once per revision of the data and kept while an explorer is open.

import type { Rpc } from "../transport/rpc";
import type { Column } from "../protocol/messages";
import { asF32 } from "../transport/wire";

export class Columns {
  #bytes = new Map<string, Uint8Array>();
  #waiting = new Map<string, Promise<void>>();
  #values = new Map<string, Float32Array>();
  #stale = new Set<string>();
  #generation = 0;

  constructor(readonly rpc: Rpc) {}

  get(name: string): Uint8Array | undefined {
    return this.#bytes.get(name);
  }

  /** Bytes of the present revision: what filters are evaluated on. */
  fresh(name: string): Uint8Array | undefined {
    return this.#stale.has(name) ? undefined : this.#bytes.get(name);
  }

  /** Exact values of a number column, as tiles show them; here after `needValues`. */
  values(name: string): Float32Array | undefined {
    return this.#values.get(name);
  }

  /** Keep bytes that the page made itself. */
  put(name: string, bytes: Uint8Array): void {
    this.#bytes.set(name, bytes);
    this.#stale.delete(name);
  }

  async needValues(column: Column): Promise<void> {
    if (this.#values.has(column.name) && !this.#stale.has(`f32:${column.name}`)) return;
    const generation = this.#generation;
    const reply = await this.rpc.ask("columns.get", { names: [column.name], enc: "f32" }).catch((error: unknown) => this.#failed(error, generation));
    if (!reply || generation !== this.#generation) return;
    this.#values.set(column.name, asF32(reply.buffers[0]!));
    this.#stale.delete(`f32:${column.name}`);
  }

  /** What failed for columns of before matters to nobody. */
  #failed(error: unknown, generation: number): void {
    if (generation === this.#generation) throw error;
  }

  /** The data changed: everything is fetched again; until then the old bytes are drawn, if they fit `n` rows. */
  clear(n: number): void {
    this.#generation++;
    for (const [name, bytes] of this.#bytes) bytes.length === n ? this.#stale.add(name) : this.#bytes.delete(name);
    for (const [name, values] of this.#values) values.length === n ? this.#stale.add(`f32:${name}`) : this.#values.delete(name);
    this.#waiting.clear();
  }

  /** Forget all: other rows are shown. */
  reset(): void {
    this.clear(-1);
    this.#stale.clear();
  }

  /** Fetch what is missing, in one request. */
  async need(columns: readonly Column[]): Promise<void> {
    const wanted = columns.filter((c) => c.kind !== "text" && !this.fresh(c.name));
    const fresh = wanted.filter((c) => !this.#waiting.has(c.name));
    if (fresh.length) {
      const generation = this.#generation;
      const request = this.rpc
        .ask<{ columns: { name: string }[] }>("columns.get", { names: fresh.map((c) => c.name), enc: "bins8" })
        .then(({ head, buffers }) => {
          if (generation === this.#generation)
            head.columns.forEach((c, i) => {
              this.#bytes.set(c.name, buffers[i]!);
              this.#stale.delete(c.name);
            });
        })
        .catch((error: unknown) => this.#failed(error, generation))
        .finally(() => {
          if (generation === this.#generation) for (const c of fresh) this.#waiting.delete(c.name);
        });
      for (const c of fresh) this.#waiting.set(c.name, request);
    }
    await Promise.all(wanted.map((c) => this.#waiting.get(c.name)));
  }
}
