// Filters on exact values, as Polars evaluates them: true, false, or unknown where a value is missing.

import type { Between, Clause, FilterSpec } from "../protocol/filter";
import { forEachRow } from "../protocol/selection";
import { allOf, anyOf, type Mask, not } from "../state/crossfilter";
import type { PageData } from "./data";

const MISSING = 0xffffffff;
const NOTE = "note";

export interface TagState {
  tags: ReadonlyMap<string, Uint8Array>;
  notes: ReadonlyMap<number, string>;
}

/** The mask of a filter: 1 true, 0 false, 2 unknown. */
export function filterMask(spec: FilterSpec, data: PageData, state: TagState): Mask {
  if ("all" in spec) return allOf(spec.all.map((p) => filterMask(p, data, state)), data.n);
  if ("any" in spec) return anyOf(spec.any.map((p) => filterMask(p, data, state)), data.n);
  if ("not" in spec) return not(filterMask(spec.not, data, state));
  return clauseMask(spec, data, state);
}

function clauseMask(clause: Clause, data: PageData, state: TagState): Mask {
  const { n } = data;
  const test = (has: (row: number) => boolean): Mask => Uint8Array.from({ length: n }, (_, row) => (has(row) ? 1 : 0));
  if ("expr" in clause) return data.answer(clause.expr);
  if ("tag" in clause) return state.tags.get(clause.tag)?.slice() ?? new Uint8Array(n);
  if ("untagged" in clause) {
    const masks = [...state.tags.values()];
    return test((row) => masks.every((m) => !m[row]));
  }
  if ("rows" in clause) {
    const mask = new Uint8Array(n);
    forEachRow(clause.rows.enc, Uint8Array.from(atob(clause.rows.data), (c) => c.charCodeAt(0)), n, (row) => (mask[row] = 1));
    return mask;
  }
  if ("text" in clause) return textMask(clause.text, clause.cols ?? [...new Set([...data.head.searched, NOTE])], data, state);
  const values = data.values(clause.col);
  const missing = (row: number): boolean => (values.kind === "text" ? values.places[row] === MISSING : Number.isNaN(values.at[row]!));
  if (clause.op === "null") return test(missing);
  if (clause.op === "between") {
    if (values.kind === "text") throw new Error(`“${clause.col}” holds texts: it has no range.`);
    const inside = within(clause, values.single);
    const { at } = values;
    return Uint8Array.from({ length: n }, (_, row) => (Number.isNaN(at[row]!) ? 2 : inside(at[row]!) ? 1 : 0));
  }
  const present = clause.values.filter((v) => v !== null);
  const absent = clause.values.includes(null) ? 1 : 2;
  const names = new Set(present);
  const numbers = new Set(present.map((v) => rounded(Number(v), values.kind === "number" && values.single)));
  const named = values.kind === "text" ? Uint8Array.from(values.texts, (t) => (names.has(t) ? 1 : 0)) : null;
  return Uint8Array.from({ length: n }, (_, row) => {
    if (missing(row)) return absent;
    return values.kind === "text" ? named![values.places[row]!]! : numbers.has(values.at[row]!) ? 1 : 0;
  });
}

/** A range in the precision of its column: Polars brings the bounds to that of single floats. */
function within({ lo, hi, closed = "left" }: Between, single: boolean): (value: number) => boolean {
  const exact = (v: number | null): number | null => (v === null ? null : rounded(v, single));
  const [from, to] = [exact(lo), exact(hi)];
  const [withLow, withHigh] = [closed === "left" || closed === "both", closed === "right" || closed === "both"];
  return (v) => (from === null || (withLow ? v >= from : v > from)) && (to === null || (withHigh ? v <= to : v < to));
}

function rounded(value: number, single: boolean): number {
  return single ? Math.fround(value) : value;
}

function textMask(text: string, columns: readonly string[], data: PageData, state: TagState): Mask {
  const needle = text.toLowerCase();
  const mask = new Uint8Array(data.n);
  for (const name of columns) {
    if (name === NOTE) {
      for (const [row, note] of state.notes) if (note.toLowerCase().includes(needle)) mask[row] = 1;
      continue;
    }
    if (!data.has(name)) continue;
    const values = data.values(name);
    if (values.kind !== "text") continue;
    const hit = Uint8Array.from(values.texts, (t) => (t.toLowerCase().includes(needle) ? 1 : 0));
    for (let row = 0; row < data.n; row++) if (values.places[row] !== MISSING && hit[values.places[row]!]) mask[row] = 1;
  }
  return mask;
}

/** The rows in the order of a column: missing values last, ties by row. */
export function order(by: string | null, desc: boolean, data: PageData): Uint32Array {
  const rows = Uint32Array.from({ length: data.n }, (_, row) => row);
  if (by === null) return rows;
  const values = data.values(by);
  const sign = desc ? -1 : 1;
  const rank = (row: number): number => {
    if (values.kind === "number") return values.at[row]!;
    const place = values.places[row]!;
    return place === MISSING ? NaN : place;
  };
  return rows.sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || a - b;
    return x === y ? a - b : x < y ? -sign : sign;
  });
}
