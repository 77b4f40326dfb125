// Counts while a brush is dragged: a table of (dragged bin, code) a facet, filled once when the
// drag starts, so that each step adds up a few bins instead of visiting every row.

import type { Failing } from "./crossfilter";

export interface CubeFacet {
  key: string;
  bytes: Uint8Array;
  /** Index of the facet's own mask among the others, -1 where it has none. */
  own: number;
}

const CODES = 256;
const NULL_BIN = 255;

export class Cube {
  #tables = new Map<string, Uint32Array>();

  /** `others` says which rows fail the masks of everything but the dragged facet. */
  constructor(
    readonly bins: Uint8Array,
    readonly others: Failing,
    facets: readonly CubeFacet[],
    hidden: Uint8Array | null,
  ) {
    for (const facet of facets) this.#tables.set(facet.key, fill(bins, others, facet, hidden));
  }

  /** A facet's counts over rows whose dragged bin lies in [from, to). */
  counts(key: string, from: number, to: number): Uint32Array {
    const out = new Uint32Array(CODES);
    const table = this.#tables.get(key);
    if (!table) return out;
    for (let bin = from; bin < to; bin++) {
      const at = bin * CODES;
      for (let code = 0; code < CODES; code++) out[code]! += table[at + code]!;
    }
    return out;
  }
}

function fill(bins: Uint8Array, others: Failing, facet: CubeFacet, hidden: Uint8Array | null): Uint32Array {
  const table = new Uint32Array(CODES * CODES);
  const { count, which } = others;
  const { bytes, own } = facet;
  for (let row = 0; row < bins.length; row++) {
    const fails = count[row]!;
    if (fails > 1 || (fails === 1 && which[row] !== own)) continue;
    if (hidden !== null && hidden[row] !== 0) continue;
    const bin = bins[row]!;
    if (bin !== NULL_BIN) table[(bin << 8) | bytes[row]!]!++;
  }
  return table;
}
