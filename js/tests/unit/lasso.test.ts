import { describe, expect, it } from "vitest";
import { contains, GridIndex, NO_POSITION } from "../../src/render/grid-index";
import { generator } from "./random";

const STEPS = 65534;

function scattered(n: number, seed: number): [Uint16Array, Uint16Array] {
  const random = generator(seed);
  const x = new Uint16Array(n);
  const y = new Uint16Array(n);
  for (let row = 0; row < n; row++) {
    const none = random() < 0.05;
    x[row] = none ? NO_POSITION : Math.floor(random() * (STEPS + 1));
    y[row] = none ? NO_POSITION : Math.floor(random() * (STEPS + 1));
  }
  return [x, y];
}

describe("lasso", () => {
  it("selects exactly the points inside, for ragged and self-crossing outlines and such that leave the map", () => {
    const [x, y] = scattered(20_000, 5);
    const index = new GridIndex(x, y);
    const random = generator(9);
    for (let round = 0; round < 60; round++) {
      const polygon = Array.from({ length: 2 * (3 + Math.floor(random() * 30)) }, () => random() * (round % 2 ? 1.6 : 0.5) - (round % 2 ? 0.3 : 0));
      const expected: number[] = [];
      for (let row = 0; row < x.length; row++)
        if (row % 3 && x[row] !== NO_POSITION && contains(polygon, x[row]! / STEPS, y[row]! / STEPS)) expected.push(row);
      expect([...index.inside(polygon, (row) => row % 3 !== 0)]).toEqual(expected);
    }
  });

  it("takes points on the far corner of the map and no item without a position", () => {
    const index = new GridIndex(Uint16Array.of(0, STEPS, NO_POSITION), Uint16Array.of(0, STEPS, NO_POSITION));
    expect([...index.inside([-1, -1, 2, -1, 2, 2, -1, 2], () => true)]).toEqual([0, 1]);
  });

  it("selects nothing on an empty map", () => {
    expect(new GridIndex(new Uint16Array(0), new Uint16Array(0)).inside([0, 0, 1, 0, 1, 1], () => true)).toHaveLength(0);
  });
});

describe("pointing at the map", () => {
  it("finds the nearest point that may be chosen, as a search of all points does", () => {
    const [x, y] = scattered(5_000, 2);
    const index = new GridIndex(x, y);
    const random = generator(4);
    for (let round = 0; round < 200; round++) {
      const [ux, uy, rx, ry] = [random(), random(), 0.02, 0.01];
      let best = 1;
      for (let row = 1; row < x.length; row += 2)
        if (x[row] !== NO_POSITION) best = Math.min(best, ((x[row]! / STEPS - ux) / rx) ** 2 + ((y[row]! / STEPS - uy) / ry) ** 2);
      const row = index.nearest(ux, uy, rx, ry, (r) => r % 2 === 1);
      if (best === 1) expect(row).toBeNull();
      else expect(((x[row!]! / STEPS - ux) / rx) ** 2 + ((y[row!]! / STEPS - uy) / ry) ** 2).toBe(best);
    }
  });
});

