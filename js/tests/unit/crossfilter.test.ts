// Counting under filters, against the plainest loops.
import { describe, expect, it } from "vitest";
import { allOf, anyOf, binMask, codeMask, countFacet, failing, not } from "../../src/state/crossfilter";
import { type Clause } from "../../src/protocol/filter";
import type { Column } from "../../src/protocol/messages";
import { binsOf, evaluate } from "../../src/state/evaluator";

const n = 2000;
const bins = Uint8Array.from({ length: n }, (_, i) => ((i * 7919) % 23 === 0 ? 255 : (i * 31) % 20));
const codes = Uint8Array.from({ length: n }, (_, i) => ((i * 104729) % 17 === 0 ? 255 : (i * 13) % 4));

describe("crossfilter", () => {
  it("a facet's histogram ignores its own filter and obeys the others", () => {
    const masks = [binMask(bins, 3, 9), codeMask(codes, new Set([1, 2]))];
    const state = failing(masks, n);
    const expected = new Uint32Array(256);
    const total = new Uint32Array(256);
    for (let row = 0; row < n; row++) {
      const other = codes[row] === 1 || codes[row] === 2;
      if (other) expected[bins[row]!]!++;
      if (other && bins[row]! >= 3 && bins[row]! < 9) total[codes[row]!]!++;
    }
    expect(countFacet(bins, state, 0, null)).toEqual(expected);
    expect(countFacet(codes, state, -1, null)).toEqual(total);
  });

  it("hidden rows are never counted", () => {
    const hidden = Uint8Array.from({ length: n }, (_, i) => (i < 1500 ? 1 : 0));
    const sum = countFacet(bins, failing([], n), -1, hidden).reduce((a, b) => a + b, 0);
    expect(sum).toBe(500);
  });

  it("AND, OR and NOT treat missing values as Polars does", () => {
    const a = Uint8Array.of(0, 0, 0, 1, 1, 1, 2, 2, 2);
    const b = Uint8Array.of(0, 1, 2, 0, 1, 2, 0, 1, 2);
    expect([...allOf([a, b], 9)]).toEqual([0, 0, 0, 0, 1, 2, 0, 2, 2]);
    expect([...anyOf([a, b], 9)]).toEqual([0, 1, 2, 1, 1, 1, 2, 1, 2]);
    expect([...not(Uint8Array.of(0, 1, 2))]).toEqual([1, 0, 2]);
  });
});

describe("evaluating", () => {
  const column: Column = {
    name: "v", title: "v", kind: "number", group: "", unit: "", direction: "", about: "", range: null, nulls: 0, default: true,
    hist: { lo: 0.1, step: 0.05, bins: 20, decimals: 2 },
  };
  const asked: Clause[] = [];
  const sources = {
    n,
    column: (name: string) => (name === "v" ? column : undefined),
    bytes: () => bins,
    tag: () => undefined,
    untagged: () => new Uint8Array(n).fill(1),
    remote: (clause: Clause) => {
      asked.push(clause);
      return undefined;
    },
  };

  it("a brush on edges needs no kernel, one between edges does", () => {
    expect(binsOf(column, 0.25, 0.55)).toEqual([3, 9]);
    expect(binsOf(column, null, 0.55)).toEqual([0, 9]);
    expect(binsOf(column, 0.26, null)).toBeNull();
    expect(evaluate({ col: "v", op: "between", lo: 0.25, hi: 0.55, closed: "left" }, sources)).toEqual(binMask(bins, 3, 9));
    expect(evaluate({ col: "v", op: "between", lo: 0.26, hi: 0.55, closed: "left" }, sources)).toBeNull();
    expect(evaluate({ col: "v", op: "between", lo: 0.25, hi: 0.55, closed: "both" }, sources)).toBeNull();
    expect(asked).toHaveLength(2);
  });

  it("leaving a range out leaves missing values out too", () => {
    const mask = evaluate({ not: { col: "v", op: "between", lo: null, hi: 0.55, closed: "left" } }, sources)!;
    expect([...mask].filter((m, i) => m === 1 && bins[i] === 255)).toEqual([]);
  });
});
