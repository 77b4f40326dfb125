// What the page counts of a model's verdicts equals a slow count, row by row.

import { describe, expect, it } from "vitest";
import { codesOf, countOf, curveOf, matrixOf, readVerdicts, type Verdicts } from "../../src/state/verdicts";

const [TABLES, K, UNSURE] = [3, 4, 5];

function random(seed: number): () => number {
  let state = seed;
  return () => ((state = (state * 1103515245 + 12345) % 2147483648) / 2147483648);
}

function tables(n: number, seed: number, wide = false): { v: Verdicts; hidden: Uint8Array } {
  const next = random(seed);
  const whole = (below: number): number => Math.floor(next() * below);
  const confidence = Float32Array.from({ length: n }, () => whole(20) / 20);
  const predicted = Uint16Array.from({ length: n }, () => whole(K));
  const verdict = Uint8Array.from({ length: TABLES * n }, () => {
    const outcome = whole(3);
    return outcome | ((outcome === 0 ? 0 : 1 + whole(UNSURE)) << 2);
  });
  const places = Array.from({ length: TABLES * n }, () => whole(K + 2));
  const label = wide ? Uint16Array.from(places) : Uint8Array.from(places);
  const hidden = Uint8Array.from({ length: n }, () => (next() < 0.2 ? 1 : 0));
  const bytes = (a: ArrayBufferView): DataView => new DataView(a.buffer, a.byteOffset, a.byteLength);
  const v = readVerdicts(n, TABLES, wide ? 2 : 1, [bytes(confidence), bytes(predicted), bytes(verdict), bytes(label)]);
  return { v, hidden };
}

describe.each([0, 1, 2])("verdicts of seed %i", (seed) => {
  const n = 500;
  const { v, hidden } = tables(n, seed + 1, seed === 2);
  const rows = [...Array(n).keys()];

  it.each([0, 0.35, 1])("counts hits, false alarms and misses at confidence %f", (confidence) => {
    const shown = rows.filter((r) => !hidden[r] && v.confidence[r]! >= Math.fround(confidence));
    const tp = shown.filter((r) => (v.verdict[n + r]! & 3) === 0).length;
    const fp = shown.filter((r) => (v.verdict[n + r]! & 3) === 1).length;
    expect(countOf(v, 1, Math.fround(confidence), 300, hidden)).toEqual({ tp, fp, fn: Math.max(0, 300 - tp) });
  });

  it("gives the columns that follow the sliders", () => {
    const codes = codesOf(v, 2, 0.5, K, 7);
    for (const row of rows) {
      const verdict = v.verdict[2 * n + row]!;
      const sure = v.confidence[row]! >= 0.5;
      expect(codes.outcome[row]).toBe(sure ? verdict & 3 : 2);
      expect(codes.reason[row]).toBe(sure ? (verdict >> 2 ? (verdict >> 2) - 1 : 255) : 7);
      const label = v.label[2 * n + row]!;
      expect(codes.label_class[row]).toBe(sure && label <= K ? label : 255);
    }
  });

  it("fills the confusion matrix, missed labels in the last column", () => {
    const labels = [400, 300, 200, 100];
    const matrix = matrixOf(v, 0, 0.25, labels, hidden);
    for (let i = 0; i <= K; i++)
      for (let j = 0; j < K; j++) {
        const count = rows.filter((r) => !hidden[r] && v.confidence[r]! >= 0.25 && v.label[r] === i && v.predicted[r] === j).length;
        expect(matrix[i * (K + 1) + j]).toBe(count);
      }
    for (let i = 0; i < K; i++) {
      const found = matrix.subarray(i * (K + 1), i * (K + 1) + K).reduce((a, b) => a + b, 0);
      expect(matrix[i * (K + 1) + K]).toBe(labels[i]! - found);
    }
  });

  it.each([null, 2])("draws curves that agree with the counts, class %s", (cls) => {
    for (const point of curveOf(v, 0, 150, cls, hidden)) {
      const shown = rows.filter((r) => !hidden[r] && v.confidence[r]! >= point.confidence && (cls === null || v.predicted[r] === cls));
      const tp = shown.filter((r) => (v.verdict[r]! & 3) === 0).length;
      const fp = shown.filter((r) => (v.verdict[r]! & 3) === 1).length;
      expect(point.precision).toBeCloseTo(tp / (tp + fp), 12);
      expect(point.recall).toBeCloseTo(tp / 150, 12);
      expect(point.f1).toBeCloseTo((2 * tp) / (tp + fp + 150), 12);
    }
  });
});

describe("a model without predictions", () => {
  it("counts nothing and draws nothing", () => {
    const { v } = tables(0, 1);
    expect(countOf(v, 0, 0, 7, null)).toEqual({ tp: 0, fp: 0, fn: 7 });
    expect(curveOf(v, 0, 7, null, null)).toEqual([]);
    expect(matrixOf(v, 0, 0, [3, 4, 0, 0], null)[4]).toBe(3);
  });
});
