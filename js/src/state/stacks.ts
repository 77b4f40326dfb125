// Duplicates as stacks: the groups at a threshold, which of each is kept, and what is done with the others.

import { computed, effect, signal } from "@preact/signals";
import type { Edited, StacksSpec } from "../protocol/messages";
import { encodeWhere } from "../protocol/selection";
import { asF32, asU32 } from "../transport/wire";
import type { Explorer } from "./explorer";

/** While the slider is dragged Python is asked at most this often. */
const ASK_MS = 60;
const NO_SPLIT = 255;

/** The groups as Python sends them: column by column, a group being a range of places. */
export interface StackTable {
  threshold: number;
  rule: string;
  /** What the rule looks at: a metric, or "label_count". */
  column: string | null;
  starts: Uint32Array;
  rows: Uint32Array;
  /** The place, within its group, of the one that the rule keeps. */
  kept: Uint32Array;
  distances: Float32Array;
  values: Float32Array;
  kinds: Uint8Array;
  splits: Uint8Array;
  splitNames: string[];
  /** How many pairs begin to count in each part of the slider. */
  joins: number[];
}
interface Head {
  threshold: number;
  rule: string;
  column: string | null;
  splits: string[];
  joins: number[];
}
export interface Summary {
  groups: number;
  images: number;
  spare: number;
}

export function readStacks(head: Head, buffers: Uint8Array[]): StackTable {
  const [starts, rows, kept, distances, values, kinds, splits] = buffers as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  return {
    threshold: head.threshold,
    rule: head.rule,
    column: head.column,
    starts: asU32(starts),
    rows: asU32(rows),
    kept: asU32(kept),
    distances: asF32(distances),
    values: asF32(values),
    kinds,
    splits,
    splitNames: head.splits,
    joins: head.joins,
  };
}

/** The splits that a group lies in. */
export function splitsOf(table: StackTable, group: number): string[] {
  const found = new Set<number>();
  for (let i = table.starts[group]!; i < table.starts[group + 1]!; i++) if (table.splits[i] !== NO_SPLIT) found.add(table.splits[i]!);
  return [...found].sort((a, b) => a - b).map((code) => table.splitNames[code]!);
}

export class Stacks {
  readonly open = signal(false);
  readonly threshold = signal(0);
  readonly rule = signal("");
  readonly onlyLeaks = signal(false);
  readonly table = signal<StackTable | null>(null);
  /** Rows that are kept though the rule keeps another, the last choice last. */
  readonly chosen = signal<ReadonlySet<number>>(new Set());
  /** Where one looks: a place among the shown groups, and a place within it. */
  readonly cursor = signal<readonly [number, number]>([0, 0]);
  readonly failed = signal(false);
  #asking = false;
  #again = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #last = 0;

  constructor(
    readonly explorer: Explorer,
    readonly spec: StacksSpec,
  ) {
    this.open.value = spec.open;
    this.threshold.value = spec.threshold;
    this.rule.value = spec.rule;
    let first = true;
    // Any edit may change the groups: a removal, an undo, in this page or in a cell.
    const stop = effect(() => {
      const { store } = this.explorer;
      void [store.undo.value, store.redo.value, store.spec.value.revision, store.spec.value.alive];
      if (this.active.value && !first) this.#soon();
      first = false;
    });
    this.explorer.scope.add(() => {
      stop();
      clearTimeout(this.#timer);
    });
    void this.#ask();
  }

  /** Stacks are of images: at another level the explorer behind is shown. */
  readonly here = computed(() => this.explorer.store.spec.value.level === "item");
  readonly active = computed(() => this.open.value && this.here.value);
  /** Nothing was computed: there is nothing to ask for. */
  readonly raw = computed(() => this.explorer.store.spec.value.state === "raw");

  /** The groups that are shown: all, or those that lie in several splits. */
  readonly shown = computed<number[]>(() => {
    const table = this.table.value;
    if (!table) return [];
    const all = Array.from({ length: table.starts.length - 1 }, (_, group) => group);
    return this.onlyLeaks.value ? all.filter((group) => splitsOf(table, group).length > 1) : all;
  });
  readonly leaks = computed(() => {
    const table = this.table.value;
    let n = 0;
    for (let group = 0; table && group < table.starts.length - 1; group++) if (splitsOf(table, group).length > 1) n++;
    return n;
  });
  readonly summary = computed<Summary>(() => {
    const { starts } = this.table.value ?? { starts: new Uint32Array(1) };
    let images = 0;
    for (const group of this.shown.value) images += starts[group + 1]! - starts[group]!;
    return { groups: this.shown.value.length, images, spare: images - this.shown.value.length };
  });

  /** The place, within its group, of the one that is kept. */
  keptOf(group: number): number {
    const table = this.table.value!;
    const [from, to] = [table.starts[group]!, table.starts[group + 1]!];
    let [best, latest] = [table.kept[group]!, -1];
    if (!this.chosen.value.size) return best;
    const order = [...this.chosen.value];
    for (let i = from; i < to; i++) {
      const at = order.indexOf(table.rows[i]!);
      if (at > latest) [best, latest] = [i - from, at];
    }
    return best;
  }

  /** Whether the one kept is the user's choice, and not the rule's. */
  isChosen(group: number): boolean {
    const { rows, starts } = this.table.value!;
    return this.chosen.value.has(rows[starts[group]! + this.keptOf(group)]!);
  }

  rowAt(group: number, place: number): number {
    const { rows, starts } = this.table.value!;
    return rows[starts[group]! + place]!;
  }

  sizeOf(group: number): number {
    const { starts } = this.table.value!;
    return starts[group + 1]! - starts[group]!;
  }

  /** Rows of some groups but for the kept ones. */
  others(groups: readonly number[]): number[] {
    const out: number[] = [];
    for (const group of groups) {
      const kept = this.keptOf(group);
      for (let place = 0; place < this.sizeOf(group); place++) if (place !== kept) out.push(this.rowAt(group, place));
    }
    return out;
  }

  // -- what a user does -----------------------------------------------------------------------

  setThreshold(value: number): void {
    if (value === this.threshold.peek()) return;
    this.threshold.value = value;
    this.#soon();
  }

  setRule(rule: string): void {
    this.rule.value = rule;
    this.chosen.value = new Set();
    this.#soon();
  }

  leaksOnly(on: boolean): void {
    this.onlyLeaks.value = on;
    this.cursor.value = [0, 0];
  }

  keep(group: number, place: number): void {
    const row = this.rowAt(group, place);
    const next = new Set(this.chosen.peek());
    next.delete(row);
    // The rule's own choice needs no note, unless another was chosen before.
    for (let i = 0; i < this.sizeOf(group); i++) next.delete(this.rowAt(group, i));
    if (this.table.peek()!.kept[group] !== place) next.add(row);
    this.chosen.value = next;
    this.explorer.store.announcement.value = `kept: image ${place + 1} of ${this.sizeOf(group)}`;
  }

  async tagOthers(tag: string): Promise<boolean> {
    const rows = this.others(this.shown.peek());
    return this.#edit({ what: "tag", tag }, rows, `${said(rows.length)} tagged “${tag}”.`);
  }

  async removeOthers(): Promise<boolean> {
    const rows = this.others(this.shown.peek());
    return this.#edit({ what: "remove" }, rows, `${said(rows.length)} removed from the project. The files stay.`);
  }

  async notDuplicates(group: number): Promise<boolean> {
    const rows = Array.from({ length: this.sizeOf(group) }, (_, place) => this.rowAt(group, place));
    return this.#edit({ what: "not_duplicates" }, rows, `${said(rows.length)} will not be one group again.`);
  }

  async #edit(content: Record<string, unknown>, rows: readonly number[], text: string): Promise<boolean> {
    const { explorer } = this;
    const { store } = explorer;
    if (!rows.length || !this.here.peek()) return false;
    const chosen = new Set(rows);
    const set = encodeWhere(store.spec.peek().n, (row) => chosen.has(row));
    store.saving.value++;
    const reply = await explorer.ask<Edited>("stacks.edit", { ...content, enc: set.enc, n: set.n }, [set.data]);
    store.saving.value--;
    explorer.loading.settled();
    if (!reply) return false;
    explorer.edited(reply.head);
    store.announcement.value = text;
    explorer.toast(text, "", "info", true);
    await explorer.loading.tags();
    return true;
  }

  // -- asking -----------------------------------------------------------------------------------

  /** Ask again: at once when nothing was asked lately, else a moment later. */
  #soon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(), Math.max(0, this.#last + ASK_MS - Date.now()));
  }

  /** One request at a time; what changed meanwhile is asked for after it. */
  async #ask(): Promise<void> {
    if (this.#asking || !this.active.peek() || this.raw.peek()) {
      this.#again = this.#asking;
      return;
    }
    this.#asking = true;
    this.#last = Date.now();
    const reply = await this.explorer.ask<Head>("stacks.get", { threshold: this.threshold.peek(), rule: this.rule.peek() });
    this.#asking = false;
    if (reply) this.#take(readStacks(reply.head, reply.buffers));
    else if (!this.table.peek()) this.failed.value = true;
    if (this.#again) {
      this.#again = false;
      this.#soon();
    }
  }

  #take(table: StackTable): void {
    const before = this.table.peek();
    const [at, place] = this.cursor.peek();
    const row = before && this.shown.peek()[at] !== undefined ? this.rowAt(this.shown.peek()[at]!, place) : -1;
    this.failed.value = false;
    this.table.value = table;
    if (!this.leaks.peek() && this.onlyLeaks.peek()) this.onlyLeaks.value = false;
    this.cursor.value = this.#placeOf(row) ?? [Math.max(0, Math.min(at, this.shown.peek().length - 1)), 0];
  }

  /** Where a row lies now. */
  #placeOf(row: number): [number, number] | null {
    const table = this.table.peek()!;
    const i = table.rows.indexOf(row);
    if (i < 0) return null;
    const at = this.shown.peek().findIndex((group) => i >= table.starts[group]! && i < table.starts[group + 1]!);
    return at < 0 ? null : [at, i - table.starts[this.shown.peek()[at]!]!];
  }
}

function said(n: number): string {
  return `${n.toLocaleString("en")} ${n === 1 ? "image" : "images"}`;
}
