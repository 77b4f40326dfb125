// The explorer's engine: listens to traits and messages, fetches data, recomputes what is shown.
// Views read the store; what changes it stands here and in actions.ts.

import { batch } from "@preact/signals";
import { type Clause, EMPTY, facetOf, type FilterSpec, isEmpty, leaves, parts, rangeOf } from "../protocol/filter";
import type { Edited, FilterTrait, Job, SelectionTrait, Session, Spec, Tag, UiTrait } from "../protocol/messages";
import { encodeWhere, forEachRow } from "../protocol/selection";
import { Scope } from "../host/scope";
import type { Channel, Json } from "../transport/channel";
import { Rpc, RpcError } from "../transport/rpc";
import { asBytes, asU16, asU32, type Binary, unpackBits } from "../transport/wire";
import { Columns } from "./columns";
import { countFacet, failing, type Failing, type Mask } from "./crossfilter";
import { Cube, type CubeFacet } from "./cube";
import { binsOf, evaluate } from "./evaluator";
import { Store } from "./store";
import { Thumbs } from "./thumbs";

const SYNC_MS = 2000;
const SYNC_RUNNING_MS = 500;
const UI_DELAY_MS = 300;
const TOAST_MS = 9000;
const MOST_REMOTE = 64;
/** Prefix of the keys under which tags are counted; alone it stands for rows without a tag. */
const TAG = "\u0000tag:";
const GONE = "The kernel was restarted – re-run this cell.";

export class Explorer {
  readonly store = new Store();
  readonly rpc: Rpc;
  readonly columns: Columns;
  readonly thumbs: Thumbs;
  readonly scope = new Scope();
  #session = "";
  #revision = 0;
  #selectionRev = 0;
  #filterRev = 0;
  #uiRev = 0;
  #remote = new Map<string, Mask>();
  #asking = new Set<string>();
  #masks = new Map<string, Mask>();
  #failing: Failing | undefined;
  #drag: { column: string; rest: string; cube: Cube | null; counts: Uint32Array } | null = null;
  #flags: Uint8Array = new Uint8Array(0);
  #rows: Uint32Array = new Uint32Array(0);
  #untagged: Uint8Array | null = null;
  #frame = 0;
  #uiTimer: ReturnType<typeof setTimeout> | undefined;
  #syncTimer: ReturnType<typeof setTimeout> | undefined;
  #toast = 1;
  #orderKey = "";
  #data = 0; // counts changes of the columns: an order is good until the next one
  #positionsKey = "";
  #base = new Map<string, { bytes: Uint8Array; hidden: Uint8Array | null; counts: Uint32Array }>();
  #tagsLate = false;
  #told = "";
  #views = 0;

  constructor(readonly channel: Channel) {
    this.rpc = new Rpc(channel, (slow) => (this.store.busy.value = slow));
    this.columns = new Columns(this.rpc);
    this.thumbs = new Thumbs(this.rpc);
    this.#session = channel.get<Session>("_session").id;
    this.#takeSpec(channel.get<Spec>("_spec"), true);
    this.#takeUi();
    this.store.height.value = channel.get<number>("height") || 640;
    this.scope.add(channel.onMessage((content, buffers) => this.#receive(content, buffers)));
    this.scope.add(channel.onTrait("_spec", () => this.#takeSpec(channel.get<Spec>("_spec"), false)));
    this.scope.add(channel.onTrait("_selection", () => this.#takeSelection()));
    this.scope.add(channel.onTrait("_filter", () => this.#takeFilter()));
    this.scope.add(channel.onTrait("_ui", () => this.#takeUi()));
    this.scope.add(channel.onGone(() => (this.store.stale.value = GONE)));
    this.scope.add(channel.onTrait("height", () => (this.store.height.value = channel.get<number>("height"))));
    this.scope.add(() => {
      cancelAnimationFrame(this.#frame);
      clearTimeout(this.#uiTimer);
      clearTimeout(this.#syncTimer);
      this.rpc.dispose();
      this.thumbs.dispose();
    });
    void this.rpc.ask("hello", { client: this.rpc.client }).catch(() => {});
    this.#takeSelection();
    this.#takeFilter();
    void this.#loadTags();
    void this.#loadBase();
    void this.#loadOrder();
    this.recompute();
  }

  /** A view of this explorer appeared; the returned function says that it went. */
  attach(): () => void {
    this.#views++;
    if (this.#views === 1) this.#scheduleSync(SYNC_RUNNING_MS);
    return () => {
      this.#views--;
      if (this.#views === 0) clearTimeout(this.#syncTimer);
    };
  }

  dispose(): void {
    this.scope.dispose();
  }

  // -- talking --------------------------------------------------------------------------

  /** Ask, and show what went wrong as a toast. */
  async ask<T>(op: string, content: Json = {}, buffers: ArrayBufferView[] = []): Promise<{ head: T; buffers: Uint8Array[] } | null> {
    try {
      return await this.rpc.ask<T>(op, content, buffers);
    } catch (error) {
      this.fail(error);
      return null;
    }
  }

  fail(error: unknown): void {
    const known = error instanceof RpcError ? error : new RpcError("page", String(error));
    if (known.code === "gone") this.store.stale.value = GONE;
    else this.toast(known.message, known.hint, "error");
  }

  toast(text: string, hint = "", kind: "error" | "info" = "info"): void {
    const id = this.#toast++;
    const { toasts } = this.store;
    if (toasts.peek().some((t) => t.text === text)) return;
    toasts.value = [...toasts.peek(), { id, text, hint, kind }].slice(-4);
    const timer = setTimeout(() => (toasts.value = toasts.peek().filter((t) => t.id !== id)), TOAST_MS);
    this.scope.add(() => clearTimeout(timer));
  }

  /** Write a trait; when the kernel is gone hosts fail silently, so `sync` finds out. */
  write(name: string, value: unknown): void {
    try {
      this.channel.set(name, value);
    } catch (error) {
      this.fail(error instanceof RpcError ? error : new RpcError("gone", String(error)));
    }
  }

  #receive(content: Json, buffers: Binary[]): void {
    if (this.rpc.receive(content, buffers)) return;
    if (content["push"] === "changed") void this.#sync();
  }

  #scheduleSync(ms: number): void {
    clearTimeout(this.#syncTimer);
    this.#syncTimer = setTimeout(() => void this.#sync(), ms);
  }

  async #sync(): Promise<void> {
    clearTimeout(this.#syncTimer);
    if (this.store.stale.peek()) return;
    try {
      const visible = typeof document === "undefined" || document.visibilityState !== "hidden";
      if (visible) {
        const { head } = await this.rpc.ask<{ revision: number; what: string[]; job: Job | null }>("sync", { revision: this.#revision });
        this.#takeJob(head.job);
        this.#revision = Math.max(this.#revision, head.revision);
        if (head.what.includes("tags")) void this.#loadTags();
      }
    } catch (error) {
      if (error instanceof RpcError && error.code === "gone") this.store.stale.value = GONE;
    }
    if (this.#views > 0) this.#scheduleSync(this.store.job.peek()?.state === "running" ? SYNC_RUNNING_MS : SYNC_MS);
  }

  #takeJob(job: Job | null): void {
    const before = this.store.job.peek();
    this.store.job.value = job;
    const key = job ? `${job.id}:${job.state}` : "";
    if (job?.state === "failed" && before && key !== this.#told) this.toast(`${job.title} failed.`, job.message, "error");
    this.#told = key;
  }

  // -- traits ---------------------------------------------------------------------------

  #takeSpec(spec: Spec, first: boolean): void {
    if (!spec || typeof spec.n !== "number") return;
    const session = this.channel.get<Session>("_session");
    if (session.id !== this.#session) {
      this.store.stale.value = GONE;
      return;
    }
    const { store } = this;
    const old = first ? null : store.spec.peek();
    const changed = !old || JSON.stringify(old.columns) !== JSON.stringify(spec.columns) || old.n !== spec.n;
    const moved = !old || JSON.stringify(old.base) !== JSON.stringify(spec.base) || old.n !== spec.n || old.alive !== spec.alive;
    batch(() => {
      store.spec.value = spec;
      store.tags.value = spec.tags;
      store.undo.value = spec.undo;
      store.redo.value = spec.redo;
      this.#takeJob(spec.job);
      if (store.selected.peek().length !== spec.n) store.selected.value = grown(store.selected.peek(), spec.n);
    });
    if (first) {
      this.#revision = spec.revision;
      return;
    }
    if (changed) {
      this.columns.clear(spec.n);
      this.#data++;
      this.#remote.clear();
      this.#orderKey = "";
      this.#masks.clear();
      if (old && old.state === "raw") this.thumbs.clear();
    }
    if (spec.revision > this.#revision) {
      this.#revision = spec.revision;
      void this.#loadTags();
    }
    if (moved) void this.#loadBase();
    void this.#loadOrder();
    void this.loadPositions();
    this.recompute();
  }

  #takeSelection(): void {
    const trait = this.channel.get<SelectionTrait>("_selection");
    if (typeof trait?.rev !== "number" || trait.rev <= this.#selectionRev) return;
    this.#selectionRev = trait.rev;
    if (trait.by === this.rpc.client) return;
    const n = this.store.spec.peek().n;
    const selected = new Uint8Array(n);
    if (trait.n && trait.data)
      forEachRow(trait.enc, decodeData(trait.data), n, (row) => {
        selected[row] = 1;
      });
    this.#setSelected(selected);
  }

  #takeFilter(): void {
    const trait = this.channel.get<FilterTrait>("_filter");
    if (typeof trait?.rev !== "number" || trait.rev <= this.#filterRev) return;
    this.#filterRev = trait.rev;
    if (trait.by === this.rpc.client) return;
    this.store.filter.value = trait.spec ?? EMPTY;
    this.recompute();
  }

  #takeUi(): void {
    const ui = this.channel.get<UiTrait>("_ui") ?? {};
    if (ui.by === this.rpc.client && (ui.rev ?? 0) <= this.#uiRev) return;
    this.#uiRev = Math.max(this.#uiRev, ui.rev ?? 0);
    const { store } = this;
    batch(() => {
      if ("color" in ui) store.color.value = ui.color ?? null;
      if ("sort" in ui) store.sort.value = ui.sort ?? null;
      if (ui.embedding) store.embedding.value = ui.embedding;
      if (ui.layout) store.layout.value = ui.layout;
      if (ui.tile) store.tile.value = ui.tile;
      if (ui.facets) store.facets.value = ui.facets;
    });
    void this.#loadOrder();
    void this.loadPositions();
    void this.loadColors();
    this.recompute();
  }

  /** Write what the page remembers, a moment after the last change. */
  saveUi(): void {
    clearTimeout(this.#uiTimer);
    this.#uiTimer = setTimeout(() => {
      const { store } = this;
      this.#uiRev++;
      this.write("_ui", {
        rev: this.#uiRev,
        by: this.rpc.client,
        color: store.color.peek(),
        sort: store.sort.peek(),
        tile: store.tile.peek(),
        ...(store.embedding.peek() ? { embedding: store.embedding.peek() } : {}),
        ...(store.layout.peek() ? { layout: store.layout.peek() } : {}),
        ...(store.facets.peek() ? { facets: store.facets.peek() } : {}),
      });
    }, UI_DELAY_MS);
  }

  // -- selection and filter ----------------------------------------------------------------

  /** Select exactly these rows and tell Python. */
  select(selected: Uint8Array): void {
    this.#setSelected(selected);
    const set = encodeWhere(selected.length, (row) => selected[row] === 1);
    this.#selectionRev++;
    this.write("_selection", {
      rev: this.#selectionRev,
      by: this.rpc.client,
      n: set.n,
      enc: set.enc,
      data: set.n ? new DataView(set.data.buffer, set.data.byteOffset, set.data.byteLength) : null,
    });
    this.store.announcement.value = `${set.n.toLocaleString("en")} selected`;
  }

  #setSelected(selected: Uint8Array): void {
    let count = 0;
    for (const one of selected) count += one;
    batch(() => {
      this.store.selected.value = selected;
      this.store.selectedCount.value = count;
    });
    this.recompute();
  }

  /** Filter; while the brush of a column is dragged Python hears nothing: it does when the gesture ends. */
  setFilter(filter: FilterSpec, dragged: string | null = null): void {
    const done = dragged === null;
    if (done) this.#drag = null;
    else if (this.#drag?.column !== dragged) this.#drag = { column: dragged, rest: "", cube: null, counts: new Uint32Array(256) };
    this.store.filter.value = filter;
    this.recompute();
    if (!done) return;
    this.#filterRev++;
    this.write("_filter", { rev: this.#filterRev, by: this.rpc.client, spec: filter });
  }

  // -- data ---------------------------------------------------------------------------------

  async #loadTags(): Promise<void> {
    const reply = await this.ask<{ tags: (Tag & { enc: string })[]; revision: number }>("tags.get");
    if (!reply) return;
    // An answer older than an edit on its way would take the edit off the screen for a moment.
    this.#tagsLate = this.store.saving.peek() > 0;
    if (this.#tagsLate) return;
    const n = this.store.spec.peek().n;
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
    this.#untagged = null;
    for (const key of [...this.#masks.keys()]) if (key.includes('"tag"') || key.includes("untagged")) this.#masks.delete(key);
    for (const key of [...this.#remote.keys()]) if (key.includes('"expr"')) this.#remote.delete(key);
    batch(() => {
      this.store.tagMasks.value = masks;
      this.store.tags.value = tags;
    });
    this.recompute();
  }

  edited(head: Edited): void {
    batch(() => {
      this.store.tags.value = head.tags;
      this.store.undo.value = head.undo;
      this.store.redo.value = head.redo;
    });
  }

  /** The last edit was answered: take the tags that were put off. */
  settled(): void {
    if (this.#tagsLate && this.store.saving.peek() === 0) void this.#loadTags();
  }

  reloadTags(): Promise<void> {
    return this.#loadTags();
  }

  async #loadBase(): Promise<void> {
    const spec = this.store.spec.peek();
    if (!spec.base && spec.alive === spec.n) {
      this.store.hidden.value = null;
      this.recompute();
      return;
    }
    const reply = await this.ask("base.get");
    if (!reply) return;
    const shown = unpackBits(reply.buffers[0]!, spec.n);
    for (let row = 0; row < shown.length; row++) shown[row] = 1 - shown[row]!;
    this.store.hidden.value = shown;
    this.recompute();
  }

  async #loadOrder(): Promise<void> {
    const spec = this.store.spec.peek();
    const sort = this.store.sort.peek();
    const key = `${sort?.by ?? ""}:${sort?.desc ?? false}:${spec.n}:${sort ? this.#data : 0}`;
    if (key === this.#orderKey) return;
    this.#orderKey = key;
    if (!sort && !spec.base) {
      this.store.order.value = null;
      this.recompute();
      return;
    }
    const reply = await this.ask("order.get", sort ? { by: sort.by, desc: sort.desc } : { by: null });
    if (!reply || key !== this.#orderKey) return;
    this.store.order.value = asU32(reply.buffers[0]!);
    this.recompute();
  }

  reorder(): void {
    void this.#loadOrder();
  }

  async loadColors(): Promise<void> {
    const name = this.store.color.peek();
    const column = name ? this.store.columns.peek().get(name) : undefined;
    if (column) await this.columns.need([column]).catch((error: unknown) => this.fail(error));
    this.store.codes.value = new Map(this.store.codes.peek());
  }

  async loadPositions(): Promise<void> {
    const { store } = this;
    const spec = store.spec.peek();
    const info = spec.embeddings.find((e) => e.name === store.embedding.peek()) ?? spec.embeddings[0];
    if (!info) return;
    const wanted = store.layout.peek();
    const layout = wanted && info.layouts.includes(wanted) ? wanted : info.layouts[info.layouts.length - 1]!;
    const key = `${info.name}:${info.key}:${layout}:${spec.n}`;
    if (this.#positionsKey === key) return;
    this.#positionsKey = key;
    const reply = await this.ask("embedding.get", { name: info.name, layout });
    if (key !== this.#positionsKey) return; // another map was chosen meanwhile
    if (!reply) {
      this.#positionsKey = "";
      return;
    }
    store.positions.value = { key, name: info.name, layout, x: asU16(reply.buffers[0]!), y: asU16(reply.buffers[1]!) };
  }

  // -- recomputing -----------------------------------------------------------------------------

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
    for (const mask of this.store.tagMasks.peek().values()) for (let row = 0; row < n; row++) if (mask[row]) out[row] = 0;
    return (this.#untagged = out);
  }

  #mask(part: FilterSpec, n: number): Mask | null {
    const key = JSON.stringify(part);
    const known = this.#masks.get(key);
    if (known?.length === n) return known;
    const { columns, tagMasks } = this.store;
    const mask = evaluate(part, {
      n,
      column: (name) => columns.peek().get(name),
      bytes: (name) => this.columns.fresh(name),
      tag: (name) => tagMasks.peek().get(name),
      untagged: () => this.#untaggedMask(n),
      remote: (clause) => this.#remoteMask(clause),
    });
    if (mask) {
      this.#masks.set(key, mask);
      if (this.#masks.size > MOST_REMOTE) this.#masks.delete(this.#masks.keys().next().value!);
    }
    return mask;
  }

  #remoteMask(clause: Clause): Mask | undefined {
    const key = JSON.stringify(clause);
    const known = this.#remote.get(key);
    if (known || this.#asking.has(key)) return known;
    this.#asking.add(key);
    void this.ask<{ n: number; nulls: number }>("filter.eval", { spec: clause }).then((reply) => {
      this.#asking.delete(key);
      if (!reply) return;
      const n = this.store.spec.peek().n;
      const mask = unpackBits(reply.buffers[0]!, n);
      if (reply.head.nulls) {
        const nulls = unpackBits(reply.buffers[1]!, n);
        for (let row = 0; row < n; row++) if (nulls[row]) mask[row] = 2;
      }
      this.#remote.set(key, mask);
      if (this.#remote.size > MOST_REMOTE) this.#remote.delete(this.#remote.keys().next().value!);
      this.recompute();
    });
    return undefined;
  }

  #compute(): void {
    const { store } = this;
    const { n } = store.spec.peek();
    const filter = store.filter.peek();
    const facets = store.shownFacets.peek();
    const color = store.color.peek();
    const colorColumn = color ? store.columns.peek().get(color) : undefined;
    const wanted = colorColumn ? [...facets, colorColumn] : facets;
    const filtered = leaves(filter).flatMap((c) => ("col" in c ? (store.columns.peek().get(c.col) ?? []) : []));
    const missing = [...wanted, ...filtered].filter((c) => c.kind !== "text" && !this.columns.fresh(c.name));
    if (missing.length) {
      void this.columns.need(missing).then(
        () => {
          store.codes.value = new Map();
          this.recompute();
        },
        (error: unknown) => this.fail(error),
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
    const { store } = this;
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
    const column = this.store.columns.peek().get(drag.column);
    const bins = this.columns.fresh(drag.column);
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
    const selected = this.store.selected.peek();
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
    const hidden = this.store.hidden.peek();
    return hidden?.length === n ? hidden : null;
  }

  /** Everything that is counted: shown columns, tags, and rows without a tag. */
  #facets(n: number, owners: readonly string[]): CubeFacet[] {
    const own = owners.indexOf("tags");
    const facets: CubeFacet[] = [];
    for (const column of this.store.shownFacets.peek()) {
      const bytes = this.columns.get(column.name);
      if (bytes?.length === n) facets.push({ key: column.name, bytes, own: owners.indexOf(`col:${column.name}`) });
    }
    for (const [name, mask] of this.store.tagMasks.peek()) facets.push({ key: `${TAG}${name}`, bytes: mask, own });
    facets.push({ key: TAG, bytes: this.#untaggedMask(n), own });
    return facets;
  }

  #flagBuffer(n: number): Uint8Array {
    if (this.#flags.length !== n) this.#flags = new Uint8Array(n);
    return this.#flags;
  }

  #show(flags: Uint8Array, matching: number, counts: Map<string, Uint32Array>): void {
    const { store } = this;
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
      const bytes = this.columns.get(name);
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

function grown(old: Uint8Array, n: number): Uint8Array {
  const out = new Uint8Array(n);
  out.set(old.subarray(0, n));
  return out;
}

function decodeData(data: unknown): Uint8Array {
  if (typeof data === "string") return Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  return asBytes(data as Binary);
}
