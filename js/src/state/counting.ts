// Which rows pass the filter, and what is counted of them: in the page, over one byte a row.

import { type Clause, facetOf, type FilterSpec, isEmpty, leaves, parts, rangeOf } from "../protocol/filter";
import { unpackBits } from "../transport/wire";
import { countFacet, failing, type Failing, type Mask } from "./crossfilter";
import { Cube, type CubeFacet } from "./cube";
import { binsOf, evaluate } from "./evaluator";
import type { Explorer } from "./explorer";
import type { Store } from "./store";

const MOST_KEPT = 64;
/** Prefix of the keys under which tags are counted; alone it stands for rows without a tag. */
const TAG = "\u0000tag:";

export class Counting {
  #remote = new Map<string, Mask>();
  #asking = new Set<string>();
  #masks = new Map<string, Mask>();
  #failing: Failing | undefined;
  #drag: { column: string; rest: string; cube: Cube | null; counts: Uint32Array } | null = null;
  #flags: Uint8Array = new Uint8Array(0);
  #rows: Uint32Array = new Uint32Array(0);
  #untagged: Uint8Array | null = null;
  #base = new Map<string, { bytes: Uint8Array; hidden: Uint8Array | null; counts: Uint32Array }>();
  #frame = 0;

  constructor(readonly explorer: Explorer) {}

  get #store(): Store {
    return this.explorer.store;
  }

  dispose(): void {
    cancelAnimationFrame(this.#frame);
  }

  /** The columns changed: no mask holds any more. */
  forget(): void {
    this.#remote.clear();
    this.#asking = new Set();
    this.#masks.clear();
    this.#base.clear();
    this.#untagged = null;
    this.#drag = null;
  }

  /** What was found out by these columns does not hold any more. */
  forgetColumns(names: readonly string[]): void {
    for (const known of [this.#masks, this.#remote]) for (const key of [...known.keys()]) if (names.some((name) => key.includes(`"${name}"`)) || key.includes('"expr"')) known.delete(key);
    this.#asking = new Set();
  }

  forgetTags(): void {
    this.#untagged = null;
    for (const key of [...this.#masks.keys()]) if (key.includes('"tag"') || key.includes("untagged")) this.#masks.delete(key);
    for (const key of [...this.#remote.keys()]) if (key.includes('"expr"')) this.#remote.delete(key);
  }

  /** Say which column's brush is dragged, if any. */
  drag(column: string | null): void {
    if (column === null) this.#drag = null;
    else if (this.#drag?.column !== column) this.#drag = { column, rest: "", cube: null, counts: new Uint32Array(256) };
  }

  /** Recompute what is shown, once a frame. */
  recompute(): void {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#compute();
    });
  }

  #untaggedMask(n: number): Uint8Array {
    if (this.#untagged?.length === n) return this.#untagged;
    const out = new Uint8Array(n).fill(1);
    for (const mask of this.#store.tagMasks.peek().values()) for (let row = 0; row < n; row++) if (mask[row]) out[row] = 0;
    return (this.#untagged = out);
  }

  #mask(part: FilterSpec, n: number): Mask | null {
    const key = JSON.stringify(part);
    const known = this.#masks.get(key);
    if (known?.length === n) return known;
    const { columns, tagMasks } = this.#store;
    const mask = evaluate(part, {
      n,
      column: (name) => columns.peek().get(name),
      bytes: (name) => this.explorer.columns.fresh(name),
      tag: (name) => tagMasks.peek().get(name),
      untagged: () => this.#untaggedMask(n),
      remote: (clause) => this.#remoteMask(clause),
    });
    if (mask) {
      this.#masks.set(key, mask);
      if (this.#masks.size > MOST_KEPT) this.#masks.delete(this.#masks.keys().next().value!);
    }
    return mask;
  }

  #remoteMask(clause: Clause): Mask | undefined {
    const key = JSON.stringify(clause);
    const known = this.#remote.get(key);
    const asking = this.#asking;
    if (known || asking.has(key)) return known;
    asking.add(key);
    void this.explorer.ask<{ n: number; nulls: number }>("filter.eval", { spec: clause }).then((reply) => {
      if (asking !== this.#asking) return; // the data changed meanwhile
      asking.delete(key);
      if (!reply) return;
      const n = this.#store.spec.peek().n;
      const mask = unpackBits(reply.buffers[0]!, n);
      if (reply.head.nulls) {
        const nulls = unpackBits(reply.buffers[1]!, n);
        for (let row = 0; row < n; row++) if (nulls[row]) mask[row] = 2;
      }
      this.#remote.set(key, mask);
      if (this.#remote.size > MOST_KEPT) this.#remote.delete(this.#remote.keys().next().value!);
      this.recompute();
    });
    return undefined;
  }

  #compute(): void {
    const store = this.#store;
    const { n } = store.spec.peek();
    const filter = store.filter.peek();
    const facets = store.shownFacets.peek();
    const color = store.color.peek();
    const colorColumn = color ? store.columns.peek().get(color) : undefined;
    const naming = store.columns.peek().get(store.labels.peek() ?? "");
    const wanted = [...facets, ...[colorColumn, naming].flatMap((c) => c ?? [])];
    const filtered = leaves(filter).flatMap((c) => ("col" in c ? (store.columns.peek().get(c.col) ?? []) : []));
    const missing = [...wanted, ...filtered].filter((c) => c.kind !== "text" && !this.explorer.columns.fresh(c.name));
    if (missing.length) {
      void this.explorer.columns.need(missing).then(
        () => {
          store.codes.value = new Map();
          this.recompute();
        },
        (error: unknown) => this.explorer.fail(error),
      );
    }
    if (this.#drag && this.#dragged(filter, n)) return;
    const { mode, list } = parts(filter);
    const masks: Mask[] = [];
    const owners: string[] = [];
    const add = (part: FilterSpec, owner: string): boolean => {
      const mask = this.#mask(part, n);
      if (mask) {
        masks.push(mask);
        owners.push(owner);
      }
      return mask !== null;
    };
    let complete = true;
    if (mode === "any") complete = add(filter, "");
    else for (const [key, part] of grouped(list)) complete = add(part, key) && complete;
    if (!complete && !isEmpty(filter)) return; // a mask is on its way: keep what is shown
    this.#failing = failing(masks, n, this.#failing);
    this.#publish(owners, n);
  }

  #publish(owners: string[], n: number): void {
    const store = this.#store;
    const state = this.#failing!;
    const hidden = this.#hidden(n);
    const counts = new Map<string, Uint32Array>();
    for (const facet of this.#facets(n, owners)) counts.set(facet.key, countFacet(facet.bytes, state, facet.own, hidden));
    const { count } = state;
    const selected = store.selected.peek();
    const flags = this.#flagBuffer(n);
    let matching = 0;
    for (let row = 0; row < n; row++) {
      const out = hidden !== null && hidden[row] === 1;
      const passes = count[row] === 0 && !out;
      matching += passes ? 1 : 0;
      flags[row] = (passes ? 1 : 0) | (selected[row] ? 2 : 0) | (out ? 4 : 0);
    }
    this.#show(flags, matching, counts);
  }

  /** A step of dragging a brush; false where the ordinary way must be gone. */
  #dragged(filter: FilterSpec, n: number): boolean {
    const drag = this.#drag!;
    const column = this.#store.columns.peek().get(drag.column);
    const bins = this.explorer.columns.fresh(drag.column);
    const range = rangeOf(filter, drag.column);
    const at = column && range ? binsOf(column, range.lo, range.hi, range.closed) : null;
    if ("any" in filter || !bins || bins.length !== n || !at) return false;
    const others = grouped(parts(filter).list.filter((p) => facetOf(p) !== `col:${drag.column}`));
    const rest = `${n}:${JSON.stringify(others)}`;
    const hidden = this.#hidden(n);
    if (!drag.cube || drag.rest !== rest) {
      const masks = others.map(([, part]) => this.#mask(part, n));
      if (masks.some((m) => m === null)) return false;
      const owners = others.map(([key]) => key);
      const state = failing(masks as Mask[], n);
      const facets = this.#facets(n, owners).filter((f) => f.key !== drag.column);
      this.#drag = { ...drag, rest, cube: new Cube(bins, state, facets, hidden), counts: countFacet(bins, state, -1, hidden) };
    }
    const { cube, counts: own } = this.#drag!;
    const { count } = cube!.others;
    const inside = new Uint8Array(256).fill(1, at[0], at[1]);
    inside[255] = 0;
    const selected = this.#store.selected.peek();
    const flags = this.#flagBuffer(n);
    let matching = 0;
    for (let row = 0; row < n; row++) {
      const out = hidden === null ? 0 : hidden[row]!;
      const passes = count[row] === 0 ? inside[bins[row]!]! & (1 - out) : 0;
      matching += passes;
      flags[row] = passes | (selected[row]! << 1) | (out << 2);
    }
    const counts = new Map<string, Uint32Array>([[drag.column, own]]);
    for (const facet of this.#facets(n, [])) if (facet.key !== drag.column) counts.set(facet.key, cube!.counts(facet.key, at[0], at[1]));
    this.#show(flags, matching, counts);
    return true;
  }

  #hidden(n: number): Uint8Array | null {
    const hidden = this.#store.hidden.peek();
    return hidden?.length === n ? hidden : null;
  }

  /** Everything that is counted: shown columns, tags, and rows without a tag. */
  #facets(n: number, owners: readonly string[]): CubeFacet[] {
    const own = owners.indexOf("tags");
    const facets: CubeFacet[] = [];
    for (const column of this.#store.shownFacets.peek()) {
      const bytes = this.explorer.columns.get(column.name);
      if (bytes?.length === n) facets.push({ key: column.name, bytes, own: owners.indexOf(`col:${column.name}`) });
    }
    for (const [name, mask] of this.#store.tagMasks.peek()) facets.push({ key: `${TAG}${name}`, bytes: mask, own });
    facets.push({ key: TAG, bytes: this.#untaggedMask(n), own });
    return facets;
  }

  #flagBuffer(n: number): Uint8Array {
    if (this.#flags.length !== n) this.#flags = new Uint8Array(n);
    return this.#flags;
  }

  #show(flags: Uint8Array, matching: number, counts: Map<string, Uint32Array>): void {
    const store = this.#store;
    const n = flags.length;
    if (this.#rows.length !== n) this.#rows = new Uint32Array(n);
    const rows = this.#rows;
    const order = store.order.peek();
    let at = 0;
    if (order?.length === n)
      for (let i = 0; i < n; i++) {
        rows[at] = order[i]!;
        at += flags[order[i]!]! & 1;
      }
    else
      for (let row = 0; row < n; row++) {
        rows[at] = row;
        at += flags[row]! & 1;
      }
    const tagCounts = new Map<string, number>();
    for (const name of store.tagMasks.peek().keys()) tagCounts.set(name, counts.get(`${TAG}${name}`)?.[1] ?? 0);
    const untagged = counts.get(TAG)?.[1] ?? 0;
    const base = new Map<string, Uint32Array>();
    for (const { name } of store.shownFacets.peek()) {
      const bytes = this.explorer.columns.get(name);
      if (bytes?.length === n) base.set(name, this.#baseCounts(name, bytes));
    }
    store.result.value = { flags, visible: rows.subarray(0, matching), matching, counts, base, tagCounts, untagged };
  }

  /** Counts without any filter, kept while the column and the hidden rows stay the same. */
  #baseCounts(name: string, bytes: Uint8Array): Uint32Array {
    const hidden = this.#hidden(bytes.length);
    const known = this.#base.get(name);
    if (known?.bytes === bytes && known.hidden === hidden) return known.counts;
    const counts = countFacet(bytes, failing([], bytes.length), -1, hidden);
    this.#base.set(name, { bytes, hidden, counts });
    return counts;
  }
}

/** Parts by facet: those of one facet are one mask, so that its own histogram ignores all of them. */
function grouped(list: readonly FilterSpec[]): [string, FilterSpec][] {
  const groups = new Map<string, FilterSpec[]>();
  list.forEach((part, i) => {
    const key = facetOf(part) || `#${i}`;
    groups.set(key, [...(groups.get(key) ?? []), part]);
  });
  return [...groups].map(([key, group]) => [key, group.length === 1 ? group[0]! : { all: group }]);
}
