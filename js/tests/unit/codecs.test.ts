// Row sets and bytes: what a selection loses if they are wrong.
import { describe, expect, it } from "vitest";
import { encodeWhere, forEachRow } from "../../src/protocol/selection";
import { asU16, asU32, unpackBits } from "../../src/transport/wire";

function random(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 4294967296;
}

describe("row sets", () => {
  for (const share of [0, 0.001, 0.03, 0.3, 0.97, 1])
    it(`a selection of ${share * 100} % comes back as it was`, () => {
      const next = random(7);
      const n = 5003;
      const mask = Array.from({ length: n }, () => next() < share);
      const set = encodeWhere(n, (row) => mask[row]!);
      const back = new Array<boolean>(n).fill(false);
      forEachRow(set.enc, set.data, n, (row) => {
        back[row] = true;
      });
      expect(back).toEqual(mask);
      expect(set.n).toBe(mask.filter(Boolean).length);
      expect(set.data.length).toBeLessThanOrEqual(Math.max(Math.ceil(n / 8), 4 * set.n));
    });

  it("a contiguous block of a million rows takes eight bytes", () => {
    const set = encodeWhere(1_000_000, (row) => row >= 1000 && row < 900_000);
    expect([set.enc, set.data.length, set.n]).toEqual(["ranges", 8, 899_000]);
  });

  it("rows beyond the table are never visited", () => {
    const rows: number[] = [];
    forEachRow("ids", new Uint8Array(Uint32Array.of(1, 99).buffer), 10, (row) => rows.push(row));
    expect(rows).toEqual([1]);
  });
});

describe("bytes of hosts", () => {
  it("views at odd offsets are read, not refused", () => {
    const bytes = new Uint8Array([0, 1, 0, 2, 0, 3, 0, 4, 0]).subarray(1);
    expect([...asU16(bytes)]).toEqual([1, 2, 3, 4]);
    expect([...asU32(bytes)]).toEqual([131073, 262147]);
  });

  it("bitsets are least significant bit first", () => {
    expect([...unpackBits(Uint8Array.of(0b10000001, 1), 9)]).toEqual([1, 0, 0, 0, 0, 0, 0, 1, 1]);
  });
});
