// The explorer's engine: listens to traits and messages, fetches data, recomputes what is shown.
// Views read the store; what changes it stands here and in actions.ts.

import { batch } from "@preact/signals";
import { EMPTY, type FilterSpec } from "../protocol/filter";
import type { Edited, FilterTrait, Job, SelectionTrait, Session, Spec, UiTrait } from "../protocol/messages";
import { encodeWhere, forEachRow } from "../protocol/selection";
import { Scope } from "../host/scope";
import type { Channel, Json } from "../transport/channel";
import { type Reply, Rpc, RpcError } from "../transport/rpc";
import { asBytes, type Binary } from "../transport/wire";
import { Columns } from "./columns";
import { Counting } from "./counting";
import { Loading } from "./loading";
import { Model } from "./model";
import { Review } from "./review";
import { Stacks } from "./stacks";
import { Store, type Toast } from "./store";
import { Thumbs } from "./thumbs";

const SYNC_MS = 2000;
const SYNC_RUNNING_MS = 500;
const UI_DELAY_MS = 300;
const TOAST_MS = 9000;
const UNANSWERED_MS = 3000;
/** Requests that change nothing: when the level changed meanwhile, neither their answer nor their failure matters. */
const READS = /\.get$|^row\.|^filter\.|^code\./;
const GONE = "The kernel was restarted – re-run this cell.";

export class Explorer {
  readonly store = new Store();
  readonly rpc: Rpc;
  readonly columns: Columns;
  readonly thumbs: Thumbs;
  readonly counting = new Counting(this);
  readonly loading = new Loading(this);
  readonly model = new Model(this);
  readonly scope = new Scope();
  /** The questions this explorer was opened with. */
  readonly review: Review | null;
  /** The duplicates this explorer was opened with. */
  readonly stacks: Stacks | null;
  #session = "";
  #revision = 0;
  #selectionRev = 0;
  #filterRev = 0;
  #uiRev = 0;
  #uiTimer: ReturnType<typeof setTimeout> | undefined;
  #syncTimer: ReturnType<typeof setTimeout> | undefined;
  #toast = 1;
  #early = new Set<string>();
  #told = "";
  #views = 0;
  #answered = (): void => {};

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
      this.counting.dispose();
      clearTimeout(this.#uiTimer);
      clearTimeout(this.#syncTimer);
      this.review?.dispose(); // sends what waits
      this.rpc.dispose();
      this.thumbs.dispose();
    });
    const asked = this.store.spec.peek().panels?.review;
    this.review = asked ? new Review(this, asked) : null;
    const stacked = this.store.spec.peek().panels?.stacks;
    this.stacks = stacked ? new Stacks(this, stacked) : null;
    const waited = setTimeout(() => (this.store.unanswered.value = true), UNANSWERED_MS);
    this.scope.add(() => clearTimeout(waited));
    this.#answered = () => {
      clearTimeout(waited);
      this.store.unanswered.value = false;
    };
    void this.rpc.ask("hello", { client: this.rpc.client }).catch(() => {});
    this.#takeSelection();
    this.#takeFilter();
    void this.loading.tags();
    void this.loading.base();
    void this.loading.order();
    void this.model.follow();
    this.recompute();
  }

  /** A view of this explorer appeared; the returned function says that it went. */
  attach(): () => void {
    this.#views++;
    if (this.#views === 1) this.#scheduleSync(SYNC_RUNNING_MS);
    return () => {
      this.#views--;
      if (this.#views > 0) return;
      clearTimeout(this.#syncTimer);
      this.review?.sending.flush();
    };
  }

  dispose(): void {
    this.scope.dispose();
  }

  // -- talking --------------------------------------------------------------------------

  /** Ask, and show what went wrong as a toast; null also when another level is shown by the time of the answer. */
  async ask<T>(op: string, content: Json = {}, buffers: ArrayBufferView[] = []): Promise<Reply<T> | null> {
    const { generation } = this.store;
    const asked = generation.peek();
    try {
      const reply = await this.rpc.ask<T>(op, content, buffers);
      return asked === generation.peek() ? reply : null;
    } catch (error) {
      if (asked === generation.peek() || !READS.test(op)) this.fail(error);
      return null;
    }
  }

  fail(error: unknown): void {
    const known = error instanceof RpcError ? error : new RpcError("page", String(error));
    if (known.code === "gone") this.store.stale.value = GONE;
    else this.toast(known.message, known.hint, "error");
  }

  toast(text: string, hint = "", kind: Toast["kind"] = "info", undo = false): void {
    const id = this.#toast++;
    const { toasts } = this.store;
    if (!undo && toasts.peek().some((t) => t.text === text)) return;
    toasts.value = [...toasts.peek(), { id, text, hint, kind, undo }].slice(-4);
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
    this.#answered();
    this.store.silent.value = false;
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
        if (head.what.includes("tags")) void this.loading.tags();
        if (head.what.length) void this.review?.refresh();
      }
    } catch (error) {
      if (error instanceof RpcError && error.code === "gone") this.store.stale.value = GONE;
      // Colab does not tell pages of a restart: a message to the old kernel is simply never answered.
      if (error instanceof RpcError && error.code === "timeout") this.store.silent.value = true;
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
    const crossed = old !== null && old.level !== spec.level;
    const changed = !old || JSON.stringify(old.columns) !== JSON.stringify(spec.columns) || old.n !== spec.n;
    const moved = !old || JSON.stringify(old.base) !== JSON.stringify(spec.base) || old.n !== spec.n || old.alive !== spec.alive;
    batch(() => {
      if (crossed) this.#leaveLevel();
      store.spec.value = spec;
      store.tags.value = spec.tags;
      store.undo.value = spec.undo;
      store.redo.value = spec.redo;
      if (store.switching.peek() === spec.level) store.switching.value = null;
      this.#takeJob(spec.job);
      if (store.selected.peek().length !== spec.n) store.selected.value = grown(store.selected.peek(), spec.n);
      if (!crossed) return;
      // Each level has its own selection, filter and look: what came before the description is taken now,
      // what comes after it is taken then.
      if (this.#early.has("_selection")) this.#takeSelection(true);
      if (this.#early.has("_filter")) this.#takeFilter(true);
      if (this.#early.has("_ui")) this.#takeUi();
      this.#early.clear();
    });
    if (first) {
      this.#revision = spec.revision;
      return;
    }
    if (changed && !crossed) {
      // Behind a review nobody sees what an answer changed: fetched once, when it closes.
      if (old?.n === spec.n && this.review?.active.peek()) this.review.outdated();
      else this.refetch();
      if (old && old.state === "raw") this.thumbs.clear();
    }
    if (crossed || spec.revision > this.#revision) {
      this.#revision = spec.revision;
      void this.loading.tags();
    }
    if (crossed || moved) void this.loading.base();
    void this.model.follow();
    void this.loading.order();
    void this.loading.positions();
    this.recompute();
  }

  /** Drop everything of the level that was shown; answers on their way are dropped by the new generation. */
  #leaveLevel(): void {
    clearTimeout(this.#uiTimer);
    this.columns.reset();
    this.thumbs.clear();
    this.counting.forget();
    this.loading.forget();
    this.store.leaveLevel();
  }

  /** The columns changed: fetch them again; what is drawn stays until they are here. */
  refetch(): void {
    this.columns.clear(this.store.spec.peek().n);
    this.counting.forget();
    this.loading.forgetOrder();
    this.model.apply(); // they are made here
  }

  /** A trait came that belongs to the next level if that one's description follows at once, or is asked for. */
  #mayBeEarly(name: string): void {
    this.#early.add(name);
    if (this.store.switching.peek() === null) queueMicrotask(() => this.#early.delete(name));
  }

  /** `anew`: though it was taken before. */
  #takeSelection(anew = false): void {
    const trait = this.channel.get<SelectionTrait>("_selection");
    if (typeof trait?.rev !== "number" || (!anew && trait.rev <= this.#selectionRev)) return;
    this.#selectionRev = trait.rev;
    if (trait.by === this.rpc.client) return;
    this.#mayBeEarly("_selection");
    const n = this.store.spec.peek().n;
    const selected = new Uint8Array(n);
    if (trait.n && trait.data)
      forEachRow(trait.enc, decodeData(trait.data), n, (row) => {
        selected[row] = 1;
      });
    this.#setSelected(selected);
  }

  #takeFilter(anew = false): void {
    const trait = this.channel.get<FilterTrait>("_filter");
    if (typeof trait?.rev !== "number" || (!anew && trait.rev <= this.#filterRev)) return;
    this.#filterRev = trait.rev;
    if (trait.by === this.rpc.client) return;
    this.#mayBeEarly("_filter");
    this.store.filter.value = trait.spec ?? EMPTY;
    this.recompute();
  }

  #takeUi(): void {
    const ui = this.channel.get<UiTrait>("_ui") ?? {};
    if (ui.by === this.rpc.client && (ui.rev ?? 0) <= this.#uiRev) return;
    this.#uiRev = Math.max(this.#uiRev, ui.rev ?? 0);
    this.#mayBeEarly("_ui");
    const { store } = this;
    batch(() => {
      if ("color" in ui) store.color.value = ui.color ?? null;
      if ("sort" in ui) store.sort.value = ui.sort ?? null;
      if (ui.embedding) store.embedding.value = ui.embedding;
      if (ui.layout) store.layout.value = ui.layout;
      if (ui.tile) store.tile.value = ui.tile;
      if ("pictures" in ui) store.pictures.value = ui.pictures !== false;
      if ("labels" in ui) store.labels.value = ui.labels ?? null;
      if (ui.facets) store.facets.value = ui.facets;
      if (ui.model) this.model.take(ui.model);
    });
    void this.loading.order();
    void this.loading.positions();
    void this.loading.colors();
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
        pictures: store.pictures.peek(),
        labels: store.labels.peek(),
        ...(store.embedding.peek() ? { embedding: store.embedding.peek() } : {}),
        ...(store.layout.peek() ? { layout: store.layout.peek() } : {}),
        ...(store.spec.peek().model ? { model: { iou: store.iou.peek(), confidence: store.confidence.peek() } } : {}),
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
    this.counting.drag(dragged);
    this.store.filter.value = filter;
    this.recompute();
    if (dragged !== null) return;
    this.#filterRev++;
    this.write("_filter", { rev: this.#filterRev, by: this.rpc.client, spec: filter });
  }

  // -- edits --------------------------------------------------------------------------------

  edited(head: Edited): void {
    batch(() => {
      this.store.toasts.value = this.store.toasts.peek().filter((t) => !t.undo); // it would undo this edit now
      this.store.tags.value = head.tags;
      this.store.undo.value = head.undo;
      this.store.redo.value = head.redo;
    });
  }

  /** Recompute what is shown, once a frame. */
  recompute(): void {
    this.counting.recompute();
  }
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
