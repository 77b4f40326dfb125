// Masked counting: which rows pass, and how each facet's histogram looks without its own filter.
// Pure functions over bytes; the caller keeps one mask a clause.

/** Rows a clause keeps: 1 true, 0 false, 2 unknown (missing value), as Polars' three-valued logic. */
export type Mask = Uint8Array;

/** Count, per row, how many masks do not keep it (capped by 255 masks), and which one when only one does. */
export interface Failing {
  count: Uint8Array;
  /** The index of a failing mask; meaningful where count is 1. */
  which: Uint8Array;
}

export function failing(masks: readonly Mask[], n: number, into?: Failing): Failing {
  const count = into?.count.length === n ? into.count.fill(0) : new Uint8Array(n);
  const which = into?.which.length === n ? into.which : new Uint8Array(n);
  for (let m = 0; m < masks.length; m++) {
    const mask = masks[m]!;
    for (let row = 0; row < n; row++) {
      if (mask[row] !== 1) {
        count[row]!++;
        which[row] = m;
      }
    }
  }
  return { count, which };
}

/** Histogram of codes over rows that pass every mask but `own` (-1: every mask); hidden rows never count. */
export function countFacet(
  codes: Uint8Array,
  state: Failing,
  own: number,
  hidden: Uint8Array | null,
  out: Uint32Array = new Uint32Array(256),
): Uint32Array {
  out.fill(0);
  const { count, which } = state;
  const n = codes.length;
  for (let row = 0; row < n; row++) {
    const fails = count[row]!;
    if (fails > 1 || (fails === 1 && which[row] !== own)) continue;
    if (hidden !== null && hidden[row] !== 0) continue;
    out[codes[row]!]!++;
  }
  return out;
}

/** Mask of a range of bins [from, to); null (255) is unknown. */
export function binMask(bins: Uint8Array, from: number, to: number, out: Mask = new Uint8Array(bins.length)): Mask {
  for (let row = 0; row < bins.length; row++) {
    const bin = bins[row]!;
    out[row] = bin === 255 ? 2 : bin >= from && bin < to ? 1 : 0;
  }
  return out;
}

/** Mask of a set of codes; null (255) is unknown unless the set names it. */
export function codeMask(codes: Uint8Array, wanted: ReadonlySet<number>): Mask {
  const table = new Uint8Array(256);
  for (const code of wanted) table[code] = 1;
  if (!wanted.has(255)) table[255] = 2;
  const out = new Uint8Array(codes.length);
  for (let row = 0; row < codes.length; row++) out[row] = table[codes[row]!]!;
  return out;
}

/** Three-valued AND, OR and NOT (Kleene), as Polars has them. */
export function allOf(masks: readonly Mask[], n: number): Mask {
  const out = new Uint8Array(n).fill(1);
  for (const mask of masks)
    for (let row = 0; row < n; row++) {
      const a = out[row]!;
      const b = mask[row]!;
      out[row] = a === 0 || b === 0 ? 0 : a === 2 || b === 2 ? 2 : 1;
    }
  return out;
}

export function anyOf(masks: readonly Mask[], n: number): Mask {
  const out = new Uint8Array(n);
  for (const mask of masks)
    for (let row = 0; row < n; row++) {
      const a = out[row]!;
      const b = mask[row]!;
      out[row] = a === 1 || b === 1 ? 1 : a === 2 || b === 2 ? 2 : 0;
    }
  return out;
}

export function not(mask: Mask): Mask {
  const out = new Uint8Array(mask.length);
  for (let row = 0; row < mask.length; row++) out[row] = mask[row] === 2 ? 2 : 1 - mask[row]!;
  return out;
}
