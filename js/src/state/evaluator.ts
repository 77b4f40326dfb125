// Evaluates a filter in the browser: bins, codes and tags here, everything else by Python's mask.

import type { Clause, FilterSpec } from "../protocol/filter";
import type { Column } from "../protocol/messages";
import { allOf, anyOf, binMask, codeMask, type Mask, not } from "./crossfilter";

export interface Sources {
  n: number;
  column(name: string): Column | undefined;
  bytes(name: string): Uint8Array | undefined;
  tag(name: string): Uint8Array | undefined;
  untagged(): Uint8Array;
  /** A mask Python made for this clause, or undefined while it is on its way. */
  remote(clause: Clause): Mask | undefined;
}

export function edge(column: Column, i: number): number {
  const h = column.hist!;
  return Number((h.lo + i * h.step).toFixed(h.decimals));
}

/** The bins a brush covers when both its ends lie on edges; null when it needs the exact values. */
export function binsOf(column: Column, lo: number | null, hi: number | null, closed = "left"): [number, number] | null {
  const h = column.hist;
  if (!h || (closed !== "left" && hi !== null) || (lo !== null && closed !== "left" && closed !== "both")) return null;
  const at = (value: number): number | null => {
    const i = Math.round((value - h.lo) / h.step);
    return i > 0 && i < h.bins && edge(column, i) === value ? i : null;
  };
  const from = lo === null ? 0 : at(lo);
  const to = hi === null ? h.bins : at(hi);
  return from === null || to === null ? null : [from, to];
}

/** The mask of a filter, or null while a part of it is on its way. */
export function evaluate(spec: FilterSpec, s: Sources): Mask | null {
  if ("all" in spec || "any" in spec) {
    const list = "all" in spec ? spec.all : spec.any;
    const masks = list.map((p) => evaluate(p, s));
    if (masks.some((m) => m === null)) return null;
    return "all" in spec ? allOf(masks as Mask[], s.n) : anyOf(masks as Mask[], s.n);
  }
  if ("not" in spec) {
    const mask = evaluate(spec.not, s);
    return mask && not(mask);
  }
  if ("tag" in spec) return s.tag(spec.tag) ?? new Uint8Array(s.n);
  if ("untagged" in spec) return s.untagged();
  if ("col" in spec && spec.op !== "null") {
    const column = s.column(spec.col);
    if (column) {
      const range = spec.op === "between" && column.kind === "number" ? binsOf(column, spec.lo, spec.hi, spec.closed) : null;
      const listed = spec.op === "in" && column.kind === "category" ? listedCodes(column, spec.values) : null;
      if (range || listed) {
        const bytes = s.bytes(spec.col);
        if (!bytes) return null;
        return range ? binMask(bytes, range[0], range[1]) : codeMask(bytes, listed!);
      }
    }
  }
  return s.remote(spec) ?? null;
}

function listedCodes(column: Column, values: (string | null)[]): Set<number> | null {
  const codes = new Set<number>();
  for (const value of values) {
    const at = value === null ? 255 : (column.levels ?? []).indexOf(value);
    if (at < 0) return null;
    codes.add(at);
  }
  return codes;
}
