// A review: a queue of questions, where one is in it, and what was answered. Shown at once, settled by the reply.

import { batch, computed, signal } from "@preact/signals";
import type { Edited, ReviewSpec } from "../protocol/messages";
import type { Reply } from "../transport/rpc";
import { Ahead, type Question } from "./ahead";
import type { Explorer } from "./explorer";
import { Pace } from "./pace";
import { OPEN, Places } from "./places";
import { Sending } from "./sending";
import { Thumbs } from "./thumbs";

export { OPEN };
export const [ACCEPTED, REJECTED, CHANGED, REMOVED] = [1, 2, 3, 4] as const;
const CODES = { clear: OPEN, accept: ACCEPTED, reject: REJECTED, class: CHANGED, remove: REMOVED } as const;
export type Verb = keyof typeof CODES;
export const SAID = ["open", "accepted", "rejected", "changed", "removed"] as const;

const TEXTS_AHEAD = 48;
export const PICTURES_AHEAD = 4;
/** After the page went elsewhere by itself, keys meant for what was shown before must not answer what is shown now. */
const SURPRISE_MS = 350;

/** One answer of this page: what it was about, and what stood there before. Null is an edit of another kind. */
type Made = { is: number[]; before: number[] } | null;

export class Review extends Places {
  readonly shown;
  readonly state = signal<"loading" | "ready" | "failed">("loading");
  readonly tiles = signal(false);
  readonly whole = signal(false);
  /** Tiles that are answered together. */
  readonly chosen = signal<ReadonlySet<number>>(new Set());
  readonly perMinute = signal<number | null>(null);
  readonly sending = new Sending();
  readonly ahead: Ahead;
  readonly thumbs: Thumbs;
  /** How many entries have each decision. */
  readonly counts = computed(() => tally(this.decisions.value, SAID.length));
  readonly done = computed(() => (this.decisions.value.length ? this.decisions.value.length - this.counts.value[OPEN]! : this.spec.done));
  /** While nothing is loaded, what Python said. */
  readonly total = computed(() => this.decisions.value.length || this.spec.total);
  /** The rows of entries are rows of the level it was opened at. */
  readonly here = computed(() => this.explorer.store.spec.value.level === this.home && this.explorer.store.switching.value === null);
  readonly active = computed(() => this.shown.value && this.here.value);
  readonly home: string;
  spec: ReviewSpec;
  #settled = new Uint8Array(0);
  #under = new Map<number, number>(); // entries with answers that are on their way
  #made: Made[] = [];
  #unmade: Made[] = [];
  #held = 0; // undoing what this page does not know: where it leads is not known yet
  #later: (() => void)[] = [];
  #failed: number | null = null;
  #surprised = -Infinity;
  #edited = false;
  #classes = new Set<string>();
  #refreshing = false;
  #anchor: number | null = null;
  readonly #pace = new Pace();

  constructor(
    readonly explorer: Explorer,
    spec: ReviewSpec,
    readonly now: () => number = () => performance.now(),
  ) {
    super();
    this.spec = spec;
    this.home = spec.level ?? explorer.store.spec.peek().level;
    this.shown = signal(spec.open);
    this.ahead = new Ahead((op, content) => this.#ask(op, content));
    this.thumbs = new Thumbs(explorer.rpc, (is, gen) => explorer.rpc.ask("review.thumbs", { is, gen }));
    this.#pace.touch(now());
    if (typeof addEventListener === "function") explorer.scope.listen(globalThis, "pagehide", () => this.sending.flush());
    void this.refresh();
  }

  dispose(): void {
    this.sending.flush();
    this.ahead.clear();
    this.thumbs.dispose();
  }

  /** Classes that are offered, by their numbers: a number means the same throughout, whatever is counted meanwhile. */
  get classes(): readonly string[] {
    for (const name of this.explorer.store.spec.value.classes ?? []) this.#classes.add(name);
    return [...this.#classes];
  }

  /** The name of a kind of question; of an entry by its place. */
  kindOf(i: number): string {
    return this.spec.kinds[this.kinds.value[i] ?? 0] ?? "";
  }

  // -- where one is --------------------------------------------------------------------------

  open(shown: boolean): void {
    if (shown && !this.here.peek()) return;
    this.shown.value = shown;
    if (shown) void this.refresh();
    else if (this.#edited) this.#reload();
  }

  /** The columns changed while this lies over them. */
  outdated(): void {
    this.#edited = true;
  }

  /** The classes and counts that the explorer has are those from before. */
  #reload(): void {
    this.#edited = false;
    const { explorer } = this;
    void this.sending.add(async () => (explorer.refetch(), explorer.recompute()), true);
  }

  go(i: number | null): void {
    batch(() => {
      this.at.value = i;
      if (i !== null && !this.page.peek().includes(i)) this.turnTo(i);
    });
    this.#prefetch();
  }

  /** Move among the entries that are shown: all, or the open ones. */
  step(by: number): void {
    this.#do(() => {
      this.#choose(new Set());
      const next = this.beside(this.at.peek(), by);
      if (next !== null) this.go(next);
    });
  }

  /** The first or the last. */
  end(last: boolean): void {
    this.#do(() => {
      const n = this.total.peek();
      const found = last ? this.beside(n, -1) : this.beside(-1, 1);
      this.#choose(new Set());
      if (found !== null) this.go(found);
    });
  }

  /** Go to the next open entry, leaving this one as it is. */
  skip(): void {
    this.#do(() => {
      this.#choose(new Set());
      const at = this.at.peek();
      const next = this.nextOpen(at ?? -1);
      if (next === at && at !== null) this.#say("This is the last open one.");
      this.go(next);
    });
  }

  filter(kind: number | null, openOnly: boolean): void {
    batch(() => {
      this.kind.value = kind;
      this.openOnly.value = openOnly;
      this.#choose(new Set());
      const at = this.at.peek();
      const stays = at !== null && this.passes(at);
      if (!stays) this.at.value = this.nextOpen((at ?? 0) - 1) ?? (openOnly ? null : this.beside(-1, 1));
      const now = this.at.peek();
      if (now !== null) this.turnTo(now);
      else this.page.value = [];
    });
    this.#prefetch();
  }

  // -- tiles ---------------------------------------------------------------------------------

  showTiles(tiles: boolean): void {
    batch(() => {
      this.tiles.value = tiles;
      this.#choose(new Set());
      const at = this.at.peek();
      if (at !== null) this.turnTo(at);
    });
    this.#prefetch();
  }

  /** How many tiles have room. */
  resize(size: number): void {
    if (size === this.size) return;
    this.size = size;
    const [first] = this.page.peek();
    if (first !== undefined) this.page.value = this.from(first);
    const at = this.at.peek();
    if (at !== null && !this.page.peek().includes(at)) this.go(at);
  }

  turn(by: 1 | -1): void {
    this.#do(() => {
      const page = this.page.peek();
      const next = this.beside(by > 0 ? (page.at(-1) ?? -1) : (page[0] ?? 0), by);
      this.#choose(new Set());
      if (next !== null) this.go(next);
    });
  }

  /** Look at a tile; with Shift choose all from where one was, with Ctrl it alone besides. */
  pick(i: number, { shift, ctrl }: { shift: boolean; ctrl: boolean }): void {
    this.#do(() => {
      const page = this.page.peek();
      const chosen = new Set(this.chosen.peek());
      const from = this.#anchor ?? this.at.peek() ?? i;
      if (shift) {
        const [a, b] = [page.indexOf(from), page.indexOf(i)].sort((x, y) => x - y) as [number, number];
        chosen.clear();
        for (const one of page.slice(Math.max(0, a), b + 1)) chosen.add(one);
        this.#anchor = from;
      } else if (ctrl) {
        if (!chosen.size && this.at.peek() !== null) chosen.add(this.at.peek()!);
        if (!chosen.delete(i)) chosen.add(i);
      }
      if (!shift) this.#anchor = i;
      this.chosen.value = shift || ctrl ? chosen : new Set();
      this.go(i);
    });
  }

  /** Choose the open ones of this page. */
  pickPage(): void {
    this.#do(() => (this.chosen.value = new Set(this.page.peek().filter((i) => this.decisions.peek()[i] === OPEN))));
  }

  unpick(): void {
    this.#choose(new Set());
  }

  #choose(chosen: ReadonlySet<number>): void {
    this.chosen.value = chosen;
    this.#anchor = null;
  }

  // -- answers -------------------------------------------------------------------------------

  /** What an answer goes to: the chosen tiles, or the entry one looks at. */
  get targets(): number[] {
    const chosen = this.chosen.value;
    const at = this.at.value;
    return chosen.size ? [...chosen].sort((a, b) => a - b) : at === null ? [] : [at];
  }

  decide(verb: Verb, name = ""): void {
    this.#do(() => {
      const is = this.targets;
      const now = this.now();
      if (!is.length || now - this.#surprised < SURPRISE_MS) return;
      const code = CODES[verb];
      const known = this.decisions.peek();
      this.chosen.value = new Set();
      if (verb === "class" || is.some((i) => known[i] !== code)) {
        const made: NonNullable<Made> = { is, before: is.map((i) => known[i]!) };
        this.#made.push(made);
        this.#unmade = [];
        this.#edited = true;
        this.#show(is, () => code);
        this.#pace.add(made.before.filter((b) => b === OPEN).length - (code === OPEN ? is.length : 0), now);
        this.perMinute.value = this.#pace.perMinute;
        this.#tell(SAID[code], is, name);
        void this.#send(made, code, { decision: verb, ...(name ? { class_name: name } : {}) });
      }
      this.#anchor = null;
      if (verb !== "clear") this.#goOn(is);
    });
  }

  /** An edit of another kind, such as a tag, made while answers may be on their way. */
  inOrder<T>(send: () => Promise<T>): Promise<T> {
    this.#made.push(null);
    this.#unmade = [];
    return this.sending.add(send);
  }

  undo(): void {
    this.#do(() => void this.#revert("undo", this.#made, this.#unmade));
  }

  redo(): void {
    this.#do(() => void this.#revert("redo", this.#unmade, this.#made));
  }

  /** Ask what holds: at the start, and when somebody else may have answered. */
  async refresh(): Promise<void> {
    if (this.#refreshing) return;
    this.#refreshing = true;
    const reply = await this.sending
      .add(() => {
        this.#refreshing = false; // what changes from now on is not in this answer
        return this.explorer.rpc.ask<ReviewSpec>("review.state");
      }, true)
      .catch((error: unknown) => {
        if (this.state.peek() === "loading") this.state.value = "failed";
        this.explorer.fail(error);
        return null;
      });
    if (!reply) return;
    const [decisions = new Uint8Array(0), kinds = new Uint8Array(0)] = reply.buffers;
    const first = this.state.peek() !== "ready" || this.#settled.length !== decisions.length;
    const moved = !first && decisions.some((code, i) => code !== this.#settled[i]);
    this.#settled = decisions.slice();
    this.spec = { ...this.spec, ...reply.head };
    batch(() => {
      const shown = decisions.slice();
      if (!first) for (const i of this.#under.keys()) shown[i] = this.decisions.peek()[i]!;
      this.decisions.value = shown;
      this.kinds.value = kinds.slice();
      this.state.value = "ready";
      if (!first) return;
      this.at.value = this.nextOpen(-1);
      if (this.at.peek() !== null) this.turnTo(this.at.peek()!);
    });
    if (moved) this.ahead.allStale();
    this.#prefetch();
  }

  async #send(made: NonNullable<Made>, code: number, content: { decision: Verb; class_name?: string }): Promise<void> {
    const { is } = made;
    for (const i of is) this.#under.set(i, (this.#under.get(i) ?? 0) + 1);
    const ok = await this.#edit<{ decisions?: number[] }>("review.decide", { is, ...content }).then(
      ({ head }) => {
        is.forEach((i, k) => (this.#settled[i] = head.decisions?.[k] ?? code));
        return true;
      },
      (error: unknown) => {
        this.explorer.fail(error);
        this.#made = this.#made.filter((m) => m !== made);
        return false;
      },
    );
    this.#settle(is);
    this.ahead.stale(is);
    if (ok) this.#prefetch();
    else {
      // The first of several that fail in a row is where to go on; later ones do not take one away from it.
      if (this.#failed === null) {
        this.#failed = is[0]!;
        if (this.at.peek() !== this.#failed) this.#surprised = this.now();
        this.go(this.#failed);
        this.#say(`not kept: ${this.#words(is)}`);
      }
      void this.refresh();
    }
    if (!this.sending.waiting.peek()) this.#failed = null;
  }

  async #revert(op: "undo" | "redo", from: Made[], to: Made[]): Promise<void> {
    const { store } = this.explorer;
    const top = from.pop();
    if (top === undefined && !store[op].peek() && !this.sending.waiting.peek()) return this.#say(`Nothing to ${op}.`);
    this.#edited = true;
    if (top) {
      const known = this.decisions.peek();
      to.push({ is: top.is, before: top.is.map((i) => known[i]!) });
      const change = top.before.filter((b) => b !== OPEN).length - top.is.filter((i) => known[i] !== OPEN).length;
      this.#show(top.is, (k) => top.before[k]!);
      for (const i of top.is) this.#under.set(i, (this.#under.get(i) ?? 0) + 1);
      this.#pace.add(change, this.now());
      this.#choose(new Set());
      this.go(top.is[0]!);
    } else if (top === null) to.push(null);
    else this.#held++;
    try {
      const { head } = await this.#edit<{ at: number | null }>(`review.${op}`, {});
      if (head.text) {
        this.#say(head.text);
        this.explorer.toast(head.text);
      }
      if (top) top.is.forEach((i, k) => (this.#settled[i] = top.before[k]!));
      if (head.at !== null && head.at !== undefined && !top?.is.includes(head.at)) {
        if (top !== undefined) this.#surprised = this.now(); // something else was the last edit
        this.go(head.at);
      }
      void this.explorer.loading.tags();
    } catch (error) {
      this.explorer.fail(error);
    }
    if (top) this.#settle(top.is);
    this.ahead.allStale();
    if (!this.active.peek()) this.#reload();
    await this.refresh();
    if (top === undefined) this.#held--;
    while (!this.#held && this.#later.length) this.#later.shift()!();
  }

  /** Send an edit in its turn; the bar below says "saving…" until it is answered. */
  async #edit<T>(op: string, content: Record<string, unknown>): Promise<Reply<Edited & T>> {
    const { store, rpc, loading } = this.explorer;
    store.saving.value++;
    try {
      const reply = await this.sending.add(() => rpc.ask<Edited & T>(op, content));
      this.explorer.edited(reply.head);
      return reply;
    } finally {
      store.saving.value--;
      loading.settled();
    }
  }

  /** Run what a user asked for; while it is not known where an undo leads, keep it until then. */
  #do(command: () => void): void {
    if (this.#held) this.#later.push(command);
    else command();
  }

  #show(is: readonly number[], code: (k: number) => number): void {
    const next = this.decisions.peek().slice();
    is.forEach((i, k) => (next[i] = code(k)));
    this.decisions.value = next;
  }

  /** Answers came: entries without others on their way are as the kernel has them. */
  #settle(is: readonly number[]): void {
    const next = this.decisions.peek().slice();
    for (const i of is) {
      const left = (this.#under.get(i) ?? 1) - 1;
      if (left) this.#under.set(i, left);
      else {
        this.#under.delete(i);
        next[i] = this.#settled[i]!;
      }
    }
    this.decisions.value = next;
  }

  /** The next open entry; among tiles the rest of the page comes first. */
  #goOn(is: readonly number[]): void {
    const page = this.tiles.peek() ? this.page.peek() : [];
    const at = is.at(-1)!;
    const open = (i: number): boolean => this.decisions.peek()[i] === OPEN;
    const here = page.find((i) => i > at && open(i)) ?? page.find(open);
    this.go(here ?? this.nextOpen(at));
  }

  /** Fetch what comes next: the texts, and the pictures of the next few and of the one before. */
  #prefetch(): void {
    if (this.state.peek() !== "ready" || !this.here.peek()) return;
    const at = this.at.peek();
    const coming: number[] = [];
    for (let i = at ?? -1; coming.length < TEXTS_AHEAD; ) {
      const next = this.nextOpen(i);
      if (next === null || next === at || coming.includes(next)) break;
      coming.push((i = next));
    }
    const before = this.beside(at, -1);
    const after = this.beside(at, 1);
    const here = [at, ...coming.slice(0, PICTURES_AHEAD), before, after].filter((i) => i !== null);
    this.ahead.need([...new Set([...here, ...coming, ...(this.tiles.peek() ? this.page.peek() : [])])]);
    this.ahead.want(this.tiles.peek() ? here.slice(0, 1) : here);
    if (this.tiles.peek()) this.thumbs.need(this.page.peek());
  }

  async #ask<T>(op: string, content: Record<string, unknown>): Promise<Reply<T>> {
    try {
      return await this.explorer.rpc.ask<T>(op, content);
    } catch (error) {
      if (op !== "image.get") this.explorer.fail(error); // the picture's place says it
      throw error;
    }
  }

  #say(text: string): void {
    this.explorer.store.announcement.value = text;
  }

  #tell(said: string, is: readonly number[], name: string): void {
    this.#say(`${said}: ${this.#words(is, name)}. ${this.done.peek()} of ${this.total.peek()}`);
  }

  #words(is: readonly number[], name = ""): string {
    if (is.length > 1) return `${is.length} together`;
    const entry = this.ahead.entry(is[0]!);
    return entry ? arrow(entry, name) : `number ${is[0]! + 1}`;
  }
}

/** What a question is about, in a few words: "cat → dog". */
export function arrow({ given, suggested, class_name, kind, name }: Pick<Question, "given" | "suggested" | "class_name" | "kind" | "name">, other = ""): string {
  const to = other || (kind === "class" || kind === "missed" ? (suggested ?? "") : "");
  const from = given ?? (kind === "missed" ? "nothing" : (class_name ?? ""));
  return to && from ? `${from} → ${to}` : to || from || name;
}

function tally(codes: Uint8Array, n: number): number[] {
  const out = new Array<number>(n).fill(0);
  for (const code of codes) out[code]!++;
  return out;
}
