// What a user can do. One action is one change of the store and at most one request.

import { categoryParts, chosen, chosenTags, EMPTY, type FilterSpec, tagParts, withFacet, without } from "../protocol/filter";
import type { Column, Edited, Job, Saved, Sort } from "../protocol/messages";
import { encodeWhere, type RowSet } from "../protocol/selection";
import type { SelectMode } from "../render/scatter";
import { edge } from "./evaluator";
import type { Reply } from "../transport/rpc";
import type { Explorer } from "./explorer";

export class Actions {
  #anchor: [row: number, generation: number] = [-1, -1]; // a row, not a place: it stays itself when the order changes

  constructor(readonly explorer: Explorer) {}

  get #store(): Explorer["store"] {
    return this.explorer.store;
  }

  // -- selection ---------------------------------------------------------------------------

  selectRows(rows: ArrayLike<number>, mode: SelectMode): void {
    const old = this.#store.selected.peek();
    const next = mode === "replace" ? new Uint8Array(old.length) : old.slice();
    const value = mode === "subtract" ? 0 : 1;
    for (let i = 0; i < rows.length; i++) next[rows[i]!] = value;
    if (value && rows.length) this.#store.focused.value = rows[0]!;
    this.explorer.select(next);
  }

  /** A click on the grid: plain selects one, ctrl toggles, shift takes the range from the last click. */
  clickTile(index: number, keys: { shift: boolean; ctrl: boolean }): void {
    const visible = this.#store.result.peek()?.visible;
    const row = visible?.[index];
    if (!visible || row === undefined) return;
    this.#store.focused.value = row;
    if (keys.shift) {
      const [anchor, generation] = this.#anchor;
      const start = generation === this.#store.generation.peek() ? Math.max(0, visible.indexOf(anchor)) : 0;
      const [from, to] = start < index ? [start, index] : [index, start];
      this.selectRows(visible.subarray(from, to + 1), keys.ctrl ? "add" : "replace");
      return;
    }
    this.#anchor = [row, this.#store.generation.peek()];
    if (keys.ctrl) this.selectRows([row], this.#store.selected.peek()[row] ? "subtract" : "add");
    else this.selectRows([row], "replace");
  }

  selectMatching(): void {
    this.selectRows(this.#store.result.peek()?.visible ?? [], "replace");
  }

  invert(): void {
    const { result, selected } = this.#store;
    const next = new Uint8Array(selected.peek().length);
    for (const row of result.peek()?.visible ?? []) next[row] = 1 - selected.peek()[row]!;
    this.explorer.select(next);
  }

  clearSelection(): void {
    if (this.#store.selectedCount.peek()) this.explorer.select(new Uint8Array(this.#store.selected.peek().length));
  }

  /** Show only what is selected. */
  keepSelection(): void {
    const selected = this.#store.selected.peek();
    const set = encodeWhere(selected.length, (row) => selected[row] === 1);
    let text = "";
    for (let i = 0; i < set.data.length; i += 8192) text += String.fromCharCode(...set.data.subarray(i, i + 8192));
    const part: FilterSpec = { rows: { enc: set.enc, n: set.n, data: btoa(text) } };
    const old = this.#store.filter.peek();
    this.explorer.setFilter("any" in old ? { all: [old, part] } : { all: [...("all" in old ? old.all : [old]), part] });
  }

  // -- filter -------------------------------------------------------------------------------

  brush(column: Column, lo: number | null, hi: number | null, done: boolean): void {
    const added: FilterSpec[] =
      lo === null && hi === null
        ? []
        : [
            {
              col: column.name,
              op: "between",
              lo: lo === null ? null : edge(column, lo),
              hi: hi === null ? null : edge(column, hi),
              closed: "left",
            },
          ];
    this.explorer.setFilter(withFacet(this.#store.filter.peek(), `col:${column.name}`, added), done ? null : column.name);
  }

  toggleValue(column: string, value: string | null, exclude: boolean): void {
    const now = chosen(this.#store.filter.peek(), column);
    flip(now, value, exclude);
    this.explorer.setFilter(withFacet(this.#store.filter.peek(), `col:${column}`, categoryParts(column, now.include, now.exclude)));
  }

  toggleTagFilter(name: string, exclude: boolean): void {
    const now = chosenTags(this.#store.filter.peek());
    flip(now, name, exclude);
    this.explorer.setFilter(withFacet(this.#store.filter.peek(), "tags", tagParts(now.include, now.exclude)));
  }

  search(text: string): void {
    const old = this.#store.filter.peek();
    const list = ("any" in old ? old.any : "all" in old ? old.all : [old]).filter((p) => !("text" in p && !("expr" in p)));
    const next = text.trim() ? [...list, { text: text.trim() }] : list;
    this.explorer.setFilter("any" in old && next.length > 1 ? { any: next } : { all: next });
  }

  removePart(part: FilterSpec): void {
    this.explorer.setFilter(without(this.#store.filter.peek(), part));
  }

  setMode(mode: "all" | "any"): void {
    const old = this.#store.filter.peek();
    const list = "any" in old ? old.any : "all" in old ? old.all : [old];
    this.explorer.setFilter(mode === "any" ? { any: list } : { all: list });
  }

  clearFilter(): void {
    this.explorer.setFilter(EMPTY);
  }

  applyFilter(filter: FilterSpec): void {
    this.explorer.setFilter(filter);
  }

  saveFilter(name: string): Promise<void> {
    return this.#keepFilters("save", { name, spec: this.#store.filter.peek() });
  }

  deleteFilter(name: string): Promise<void> {
    return this.#keepFilters("delete", { name });
  }

  async #keepFilters(what: "save" | "delete", content: Record<string, unknown>): Promise<void> {
    const reply = await this.explorer.ask<{ saved: Saved[] }>(`filters.${what}`, content);
    if (reply) this.#store.spec.value = { ...this.#store.spec.peek(), saved: reply.head.saved };
  }

  // -- levels -------------------------------------------------------------------------------

  /** Show another level: Python swaps the description, and the page follows it. */
  async level(id: string): Promise<void> {
    const { spec, switching } = this.#store;
    if (id === (switching.peek() ?? spec.peek().level)) return;
    switching.value = id;
    const generation = this.#store.generation.peek();
    const reply = await this.explorer.ask("level.set", { level: id });
    if (!reply && generation === this.#store.generation.peek() && switching.peek() === id) switching.value = null;
  }

  /** Show the labels that the run missed, of one class or all: Python changes the level and the filter. */
  async missed(className: string | null): Promise<void> {
    const { iou, confidence } = this.#store;
    await this.explorer.ask("model.missed", { class: className, iou: iou.peek(), confidence: confidence.peek() });
  }

  /** Show what is behind a cell of the confusion matrix; null is background. */
  cell(label: string, predicted: string | null): void {
    if (predicted === null) return void this.missed(label);
    let filter = withFacet(this.#store.filter.peek(), "col:class_name", categoryParts("class_name", new Set([predicted]), new Set()));
    filter = withFacet(filter, "col:label_class", categoryParts("label_class", new Set([label]), new Set()));
    this.explorer.setFilter(filter);
  }

  // -- how it looks ----------------------------------------------------------------------------

  color(name: string | null): void {
    this.#store.color.value = name;
    void this.explorer.loading.colors();
    this.explorer.recompute();
    this.explorer.saveUi();
  }

  sort(sort: Sort | null): void {
    this.#store.sort.value = sort;
    void this.explorer.loading.order();
    this.explorer.saveUi();
  }

  tile(px: number): void {
    this.#store.tile.value = px;
    this.explorer.saveUi();
  }

  /** Show pictures on the map, or points alone. */
  pictures(on = !this.#store.pictures.peek()): void {
    this.#store.pictures.value = on;
    this.#store.announcement.value = on ? "Pictures on the map" : "Points alone on the map";
    this.explorer.saveUi();
  }

  /** What names the map's clusters. */
  labels(by: string | null): void {
    this.#store.labels.value = by;
    this.explorer.recompute();
    this.explorer.saveUi();
  }

  map(embedding: string, layout: string): void {
    this.#store.embedding.value = embedding;
    this.#store.layout.value = layout;
    void this.explorer.loading.positions();
    this.explorer.saveUi();
  }

  facets(names: string[]): void {
    this.#store.facets.value = names;
    this.explorer.recompute();
    this.explorer.saveUi();
  }

  height(px: number, done: boolean): void {
    this.#store.height.value = px;
    if (done) this.explorer.write("height", px);
  }

  // -- tags ----------------------------------------------------------------------------------

  /** Add or remove tags on rows (the selection by default): shown at once, rolled back when refused. */
  async tag(add: string[], remove: string[], rows?: number[]): Promise<boolean> {
    const store = this.#store;
    const selected = store.selected.peek();
    const n = selected.length;
    const { has, set } = this.#chosen(rows);
    if (!set.n || !(add.length + remove.length)) return false;
    const generation = store.generation.peek();
    const before = { masks: store.tagMasks.peek(), tags: store.tags.peek() };
    const masks = new Map(before.masks);
    for (const [names, value] of [
      [add, 1],
      [remove, 0],
    ] as const)
      for (const name of names) {
        const mask = masks.get(name)?.slice() ?? new Uint8Array(n);
        for (let row = 0; row < n; row++) if (has(row)) mask[row] = value;
        masks.set(name, mask);
      }
    const tags = [...before.tags];
    for (const name of add) if (!tags.some((t) => t.name === name)) tags.push({ name, color: null, count: 0, key: tags.length < 9 ? tags.length + 1 : null });
    this.explorer.loading.setTags(masks, tags);
    const ok = await this.#edit("tags.apply", { add, remove, enc: set.enc, n: set.n }, [set.data]);
    if (ok) store.announcement.value = `${add.length ? `Tagged ${add.join(", ")}` : `Took off ${remove.join(", ")}`}: ${set.n.toLocaleString("en")}`;
    if (ok || generation !== store.generation.peek()) return ok;
    this.explorer.loading.setTags(before.masks, before.tags);
    // Another edit may have been made meanwhile: Python knows what holds.
    void this.explorer.loading.tags();
    return false;
  }

  /** The number keys: put the tag on everything selected, or take it off when all have it. */
  toggleTag(name: string, rows?: number[]): Promise<boolean> {
    const state = this.tagState(name, rows);
    return state === "all" ? this.tag([], [name], rows) : this.tag([name], [], rows);
  }

  tagState(name: string, rows?: number[]): "all" | "some" | "none" {
    const mask = this.#store.tagMasks.peek().get(name);
    if (!mask) return "none";
    let [with_, without_] = [0, 0];
    if (rows) for (const row of rows) mask[row] ? with_++ : without_++;
    else {
      const selected = this.#store.selected.peek();
      for (let row = 0; row < selected.length; row++) if (selected[row]) mask[row] ? with_++ : without_++;
    }
    return with_ === 0 ? "none" : without_ === 0 ? "all" : "some";
  }

  createTag(name: string): Promise<boolean> {
    return this.#editAndReload("tags.create", { name });
  }

  renameTag(from: string, to: string, merge: boolean): Promise<boolean> {
    return this.#editAndReload("tags.rename", { from, to, merge });
  }

  deleteTag(name: string): Promise<boolean> {
    return this.#editAndReload("tags.delete", { name });
  }

  colorTag(name: string, color: string | null): Promise<boolean> {
    return this.#editAndReload("tags.color", { name, color });
  }

  /** The given rows, or the selection: as a test, and encoded. */
  #chosen(rows?: number[]): { has(row: number): boolean; set: RowSet } {
    const selected = this.#store.selected.peek();
    const given = rows ? new Set(rows) : null;
    const has = (row: number): boolean => (given ? given.has(row) : selected[row] === 1);
    return { has, set: encodeWhere(selected.length, has) };
  }

  // -- labels and notes ------------------------------------------------------------------------

  /** Give rows (the selection by default) another class. */
  relabel(className: string, rows?: number[]): Promise<boolean> {
    return this.#editRows("labels.relabel", { class_name: className }, rows, (n, nouns) => `${n} ${nouns} relabelled “${className}”.`);
  }

  deleteLabels(rows?: number[]): Promise<boolean> {
    return this.#editRows("labels.delete", {}, rows, (n, nouns) => `${n} ${nouns} deleted.`);
  }

  note(text: string, row: number): Promise<boolean> {
    return this.#editRows("notes.set", { text }, [row]);
  }

  /** Edit the labels of rows; what the columns hold is fetched anew. `tell` says what was done, with an offer to undo it. */
  async #editRows(op: string, content: Record<string, unknown>, rows?: number[], tell?: (n: string, nouns: string) => string): Promise<boolean> {
    const { set } = this.#chosen(rows);
    if (!set.n) return false;
    const { noun, nouns } = this.#store;
    const text = tell?.(set.n.toLocaleString("en"), set.n === 1 ? noun.peek() : nouns.peek());
    if (!(await this.#edit(op, { ...content, enc: set.enc, n: set.n }, [set.data]))) return false;
    if (text) {
      this.explorer.refetch();
      this.explorer.recompute();
      this.explorer.toast(text, "", "info", true);
    }
    return true;
  }

  async undo(): Promise<void> {
    if (this.explorer.review) return this.explorer.review.undo(); // there one goes back to what was undone
    await this.#editAndReload("edits.undo", {}, true);
  }

  async redo(): Promise<void> {
    if (this.explorer.review) return this.explorer.review.redo();
    await this.#editAndReload("edits.redo", {}, true);
  }

  async #edit(op: string, content: Record<string, unknown>, buffers: ArrayBufferView[] = [], say = false): Promise<boolean> {
    const { saving, announcement, switching } = this.#store;
    if (switching.peek() !== null) return false; // its rows may be of another level by the time Python reads it
    saving.value++;
    const { review } = this.explorer;
    const send = (): Promise<Reply<Edited> | null> => this.explorer.ask<Edited>(op, content, buffers);
    const reply = await (review ? review.inOrder(send) : send());
    saving.value--;
    this.explorer.loading.settled();
    if (!reply) return false;
    this.explorer.edited(reply.head);
    if (say && reply.head.text) {
      announcement.value = reply.head.text;
      this.explorer.toast(reply.head.text);
    }
    return true;
  }

  async #editAndReload(op: string, content: Record<string, unknown>, say = false): Promise<boolean> {
    const ok = await this.#edit(op, content, [], say);
    if (ok) await this.explorer.loading.tags();
    return ok;
  }

  // -- others ------------------------------------------------------------------------------------

  async compute(): Promise<void> {
    const reply = await this.explorer.ask<{ job: Job | null }>("job.start", { kind: "compute" });
    if (reply) this.#store.job.value = reply.head.job;
  }

  async cancelJob(): Promise<void> {
    const job = this.#store.job.peek();
    if (job) await this.explorer.ask("job.cancel", { id: job.id });
  }

  async code(what: "filter" | "selection"): Promise<string> {
    const reply = await this.explorer.ask<{ code: string }>("code.get", { what });
    return reply?.head.code ?? "";
  }

  open(row: number | null): void {
    this.#store.detail.value = row;
  }

  /** The row after one, or before it at the end. */
  beside(row: number): number | null {
    const visible = this.#store.result.peek()?.visible;
    const at = visible?.indexOf(row) ?? -1;
    return at < 0 ? null : (visible![at + 1] ?? visible![at - 1] ?? null);
  }

  step(by: number): void {
    const visible = this.#store.result.peek()?.visible;
    const row = this.#store.detail.peek();
    if (!visible || row === null) return;
    const at = visible.indexOf(row);
    const next = visible[at < 0 ? 0 : at + by];
    if (next !== undefined) this.open(next);
  }
}

/** Choose a value or leave it out; a second time forgets it. */
function flip<T>({ include, exclude }: { include: Set<T>; exclude: Set<T> }, value: T, out: boolean): void {
  const [own, other] = out ? [exclude, include] : [include, exclude];
  if (!own.delete(value)) own.add(value);
  other.delete(value);
}
