// A model's hits and misses, counted from one byte a prediction and threshold. Pure: no store, no requests.

import { asF32, asU16, asBytes, type Binary } from "../transport/wire";

export interface Verdicts {
  n: number;
  /** How many thresholds the tables hold; one table of `n` each. */
  tables: number;
  confidence: Float32Array;
  /** Place of the predicted class. */
  predicted: Uint16Array;
  /** Low two bits: TP, FP, ignored; above them the reason, 0 for none. */
  verdict: Uint8Array;
  /** Class of the label in the same place; k for background, k + 1 where the prediction does not count. */
  label: Uint8Array | Uint16Array;
  /** Rows by falling confidence. */
  order: Uint32Array;
}
export interface Counts {
  tp: number;
  fp: number;
  fn: number;
}
export interface CurvePoint {
  confidence: number;
  precision: number;
  recall: number;
  f1: number;
}

export const [TP, FP, IGNORED] = [0, 1, 2];
const MISSING = 255;
const MOST_POINTS = 400;

export function readVerdicts(n: number, tables: number, labelBytes: number, buffers: readonly Binary[]): Verdicts {
  const confidence = asF32(asBytes(buffers[0]!));
  const label = asBytes(buffers[3]!);
  const order = Uint32Array.from({ length: n }, (_, row) => row).sort((a, b) => confidence[b]! - confidence[a]! || a - b);
  return { n, tables, confidence, predicted: asU16(asBytes(buffers[1]!)), verdict: asBytes(buffers[2]!), label: labelBytes === 1 ? label : asU16(label), order };
}

/** Codes of the columns `outcome`, `reason` and `label_class` as the sliders stand; `unsure` is the reason's code. */
export function codesOf(v: Verdicts, t: number, confidence: number, k: number, unsure: number): Record<"outcome" | "reason" | "label_class", Uint8Array> {
  const outcome = new Uint8Array(v.n);
  const reason = new Uint8Array(v.n);
  const label = new Uint8Array(v.n);
  const base = t * v.n;
  for (let row = 0; row < v.n; row++) {
    const verdict = v.verdict[base + row]!;
    const at = v.label[base + row]!;
    label[row] = at > k || at > 253 ? MISSING : at;
    if (v.confidence[row]! < confidence) {
      label[row] = MISSING;
      outcome[row] = IGNORED;
      reason[row] = unsure;
    } else {
      outcome[row] = verdict & 3;
      reason[row] = verdict >> 2 ? (verdict >> 2) - 1 : MISSING;
    }
  }
  return { outcome, reason, label_class: label };
}

/** Hits, false alarms and misses; rows that `hidden` marks are not of this view. */
export function countOf(v: Verdicts, t: number, confidence: number, labels: number, hidden: Uint8Array | null): Counts {
  let [tp, fp] = [0, 0];
  const base = t * v.n;
  for (let row = 0; row < v.n; row++) {
    if (v.confidence[row]! < confidence || hidden?.[row]) continue;
    const outcome = v.verdict[base + row]! & 3;
    if (outcome === TP) tp++;
    else if (outcome === FP) fp++;
  }
  return { tp, fp, fn: Math.max(0, labels - tp) };
}

/** Labels' classes by predicted classes, background last: (k + 1) x (k + 1), row by row. */
export function matrixOf(v: Verdicts, t: number, confidence: number, labels: readonly number[], hidden: Uint8Array | null): Uint32Array {
  const k = labels.length;
  const side = k + 1;
  const out = new Uint32Array(side * side);
  const base = t * v.n;
  for (let row = 0; row < v.n; row++) {
    const at = v.label[base + row]!;
    if (at <= k && v.confidence[row]! >= confidence && !hidden?.[row]) out[at * side + v.predicted[row]!]!++;
  }
  for (let i = 0; i < k; i++) {
    let found = 0;
    for (let j = 0; j < k; j++) found += out[i * side + j]!;
    out[i * side + k] = Math.max(0, labels[i]! - found);
  }
  return out;
}

/** Precision, recall and F1 by falling confidence, of all classes or one; thinned to what a chart can show. */
export function curveOf(v: Verdicts, t: number, labels: number, cls: number | null, hidden: Uint8Array | null): CurvePoint[] {
  const out: CurvePoint[] = [];
  const base = t * v.n;
  let [tp, n] = [0, 0];
  let last: CurvePoint | null = null;
  for (const row of v.order) {
    const outcome = v.verdict[base + row]! & 3;
    if (outcome === IGNORED || hidden?.[row] || (cls !== null && v.predicted[row] !== cls)) continue;
    n++;
    if (outcome === TP) tp++;
    const point = { confidence: v.confidence[row]!, precision: tp / n, recall: labels ? tp / labels : 0, f1: (2 * tp) / (n + labels) };
    if (last?.confidence === point.confidence) out[out.length - 1] = point;
    else out.push(point);
    last = point;
  }
  const step = Math.ceil(out.length / MOST_POINTS);
  return step > 1 ? out.filter((_, i) => i % step === 0 || i === out.length - 1) : out;
}
