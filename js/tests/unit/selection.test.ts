import { describe, expect, it } from "vitest";
import { encodeWhere, forEachRow } from "../../src/protocol/selection";
import { generator } from "./random";

function decoded(mask: Uint8Array): [number[], ReturnType<typeof encodeWhere>] {
  const set = encodeWhere(mask.length, (row) => mask[row] === 1);
  const rows: number[] = [];
  forEachRow(set.enc, set.data, mask.length, (row) => rows.push(row));
  return [rows, set];
}

describe("a selection on the wire", () => {
  it("comes back as the same rows, whatever was selected", () => {
    const random = generator(7);
    for (let round = 0; round < 300; round++) {
      const n = Math.floor(random() * 600);
      const share = random() ** 3;
      const sticky = random();
      const mask = new Uint8Array(n);
      for (let row = 0; row < n; row++) mask[row] = row > 0 && random() < sticky ? mask[row - 1]! : random() < share ? 1 : 0;
      const [rows, set] = decoded(mask);
      expect(rows).toEqual([...mask.keys()].filter((row) => mask[row] === 1));
      expect(set.n).toBe(rows.length);
    }
  });

  it("never takes more bytes than a bitset, nor than ids or ranges", () => {
    const random = generator(11);
    for (let round = 0; round < 200; round++) {
      const mask = Uint8Array.from({ length: 500 }, () => (random() < round / 200 ? 1 : 0));
      const [rows, set] = decoded(mask);
      const runs = rows.filter((row) => row === 0 || mask[row - 1] === 0).length;
      expect(set.data.length).toBeLessThanOrEqual(Math.min(63, rows.length * 4, runs * 8));
    }
  });

  it("of half a million random rows fits in 125 kB, and of all in 8 bytes", () => {
    const random = generator(3);
    const half = Uint8Array.from({ length: 1_000_000 }, () => (random() < 0.5 ? 1 : 0));
    expect(encodeWhere(half.length, (row) => half[row] === 1).data.length).toBeLessThanOrEqual(125_000);
    expect(encodeWhere(1_000_000, () => true).data.length).toBe(8);
  });

  it("is read from bytes that start at any offset, and rows beyond the project are left out", () => {
    const whole = new Uint8Array(9);
    whole.set(new Uint8Array(Uint32Array.of(3, 900).buffer), 1);
    const rows: number[] = [];
    forEachRow("ids", whole.subarray(1), 10, (row) => rows.push(row));
    expect(rows).toEqual([3]);
  });
});
