// Where one is in a queue of questions: which entries are listed, which comes next, which tiles are on the page.

import { signal } from "@preact/signals";

export const OPEN = 0;

export class Places {
  readonly decisions = signal(new Uint8Array(0));
  readonly kinds = signal(new Uint8Array(0));
  /** The entry one looks at; null when none is left. */
  readonly at = signal<number | null>(null);
  /** The place of the only kind that is asked about, or null for all. */
  readonly kind = signal<number | null>(null);
  readonly openOnly = signal(false);
  /** The entries that are shown as tiles. */
  readonly page = signal<number[]>([]);
  protected size = 24;

  protected turnTo(i: number): void {
    const page = this.page.peek();
    const back = page.length > 0 && i < page[0]!;
    const list = this.from(i, back ? -1 : 1);
    // The first page is filled up, and the last one too.
    this.page.value = list.length === this.size ? list : back ? this.from(list[0] ?? i) : this.from(list.at(-1) ?? i, -1);
  }

  protected from(i: number, by = 1): number[] {
    const out: number[] = [];
    for (let at = i; at >= 0 && at < this.decisions.peek().length && out.length < this.size; at += by) if (at === i || this.listed(at)) out.push(at);
    return by > 0 ? out : out.reverse();
  }

  protected passes(i: number): boolean {
    return this.kind.peek() === null || this.kinds.peek()[i] === this.kind.peek();
  }

  protected listed(i: number): boolean {
    return this.passes(i) && (!this.openOnly.peek() || this.decisions.peek()[i] === OPEN);
  }

  protected beside(from: number | null, by: number): number | null {
    const n = this.decisions.peek().length;
    for (let i = (from ?? (by < 0 ? n : -1)) + by; i >= 0 && i < n; i += by) if (this.listed(i)) return i;
    return null;
  }

  /** The first open entry after one, else before it, else itself; null when none is open. */
  protected nextOpen(from: number): number | null {
    const codes = this.decisions.peek();
    const n = codes.length;
    for (let k = 1; k <= n; k++) {
      const i = (from + k + n) % n;
      if (codes[i] === OPEN && this.passes(i)) return i;
    }
    return null;
  }
}
