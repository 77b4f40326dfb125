// Counting under brushes, against the plainest loop, over random masks, hidden rows and missing values.
import { expect, it } from "vitest";
import { binMask, countFacet, failing } from "../../src/state/crossfilter";
import { generator } from "./random";

it("counts each histogram without its own brush, also when state and counters are used again", () => {
  const random = generator(1);
  const n = 300;
  let state = failing([], n);
  const out = new Uint32Array(256);
  for (let round = 0; round < 100; round++) {
    const facets = Array.from({ length: 5 }, () => Uint8Array.from({ length: n }, () => (random() < 0.1 ? 255 : Math.floor(random() * 12))));
    const hidden = random() < 0.5 ? null : Uint8Array.from({ length: n }, () => (random() < 0.2 ? 1 : 0));
    const masks = facets.slice(0, Math.floor(random() * 5)).map((f) => binMask(f, Math.floor(random() * 6), 6 + Math.floor(random() * 6)));
    state = failing(masks, n, state);
    facets.forEach((codes, f) => {
      const own = f < masks.length ? f : -1;
      const expected = new Uint32Array(256);
      for (let row = 0; row < n; row++)
        if (!hidden?.[row] && masks.every((mask, m) => m === own || mask[row] === 1)) expected[codes[row]!]!++;
      expect(countFacet(codes, state, own, hidden, out)).toEqual(expected);
    });
  }
});
