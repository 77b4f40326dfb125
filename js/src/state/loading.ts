// What is fetched once and again when it changed: tags, the rows of the view, their order, colours, positions.

import { batch } from "@preact/signals";
import type { Tag } from "../protocol/messages";
import { forEachRow } from "../protocol/selection";
import { asU16, asU32, unpackBits } from "../transport/wire";
import type { Explorer } from "./explorer";
import type { Store } from "./store";

export class Loading {
  #orderKey = "";
  #positionsKey = "";
  #data = 0; // counts changes of the columns: an order is good until the next one
  #tagsLate = false;

  constructor(readonly explorer: Explorer) {}

  get #store(): Store {
    return this.explorer.store;
  }

  /** The columns changed: the order may have changed with them. */
  forgetOrder(): void {
    this.#data++;
    this.#orderKey = "";
  }

  /** Another level is shown: nothing that was fetched holds. */
  forget(): void {
    this.forgetOrder();
    this.#positionsKey = "";
    this.#tagsLate = false;
  }

  async tags(): Promise<void> {
    const reply = await this.explorer.ask<{ tags: (Tag & { enc: string })[]; revision: number }>("tags.get");
    if (!reply) return;
    // An answer older than an edit on its way would take the edit off the screen for a moment.
    this.#tagsLate = this.#store.saving.peek() > 0;
    if (this.#tagsLate) return;
    const n = this.#store.spec.peek().n;
    const masks = new Map<string, Uint8Array>();
    reply.head.tags.forEach((tag, i) => {
      const mask = new Uint8Array(n);
      forEachRow(tag.enc, reply.buffers[i] ?? new Uint8Array(0), n, (row) => {
        mask[row] = 1;
      });
      masks.set(tag.name, mask);
    });
    this.setTags(masks, reply.head.tags);
  }

  setTags(masks: Map<string, Uint8Array>, tags: Tag[]): void {
    this.explorer.counting.forgetTags();
    batch(() => {
      this.#store.tagMasks.value = masks;
      this.#store.tags.value = tags;
    });
    this.explorer.recompute();
  }

  /** The last edit was answered: take the tags that were put off. */
  settled(): void {
    if (this.#tagsLate && this.#store.saving.peek() === 0) void this.tags();
  }

  /** Which rows belong to the view. */
  async base(): Promise<void> {
    const spec = this.#store.spec.peek();
    if (!spec.base && spec.alive === spec.n) {
      this.#store.hidden.value = null;
      this.explorer.recompute();
      return;
    }
    const reply = await this.explorer.ask("base.get");
    if (!reply) return;
    const shown = unpackBits(reply.buffers[0]!, spec.n);
    for (let row = 0; row < shown.length; row++) shown[row] = 1 - shown[row]!;
    this.#store.hidden.value = shown;
    this.explorer.recompute();
  }

  async order(): Promise<void> {
    const store = this.#store;
    const spec = store.spec.peek();
    const sort = store.sort.peek();
    const key = `${sort?.by ?? ""}:${sort?.desc ?? false}:${spec.n}:${sort ? this.#data : 0}`;
    if (key === this.#orderKey) return;
    this.#orderKey = key;
    if (!sort && !spec.base) {
      store.order.value = null;
      this.explorer.recompute();
      return;
    }
    const reply = await this.explorer.ask("order.get", sort ? { by: sort.by, desc: sort.desc } : { by: null });
    if (!reply || key !== this.#orderKey) return;
    store.order.value = asU32(reply.buffers[0]!);
    this.explorer.recompute();
  }

  async colors(): Promise<void> {
    const { color, columns, codes } = this.#store;
    const column = columns.peek().get(color.peek() ?? "");
    if (column) await this.explorer.columns.need([column]).catch((error: unknown) => this.explorer.fail(error));
    codes.value = new Map(codes.peek());
  }

  async positions(): Promise<void> {
    const store = this.#store;
    const { embeddings, n } = store.spec.peek();
    const info = embeddings.find((e) => e.name === store.embedding.peek()) ?? embeddings[0];
    if (!info) return;
    const wanted = store.layout.peek();
    const layout = wanted && info.layouts.includes(wanted) ? wanted : info.layouts[info.layouts.length - 1]!;
    const key = `${store.generation.peek()}:${info.name}:${info.key}:${layout}:${n}`;
    if (this.#positionsKey === key) return;
    this.#positionsKey = key;
    const reply = await this.explorer.ask("embedding.get", { name: info.name, layout });
    if (key !== this.#positionsKey) return; // another map was chosen meanwhile
    if (!reply) {
      this.#positionsKey = "";
      return;
    }
    store.positions.value = { key, name: info.name, layout, x: asU16(reply.buffers[0]!), y: asU16(reply.buffers[1]!) };
  }
}
