// The map's geometry and the grid's arithmetic.
import { describe, expect, it } from "vitest";
import { Camera } from "../../src/render/camera";
import { Canvas2dPoints } from "../../src/render/canvas2d";
import { contains, GridIndex } from "../../src/render/grid-index";
import { contentOffset, layout, MOST_SCROLL_PX } from "../../src/ui/virtual-grid";

function cloud(n: number): [Uint16Array, Uint16Array] {
  let state = 5;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 16;
  return [Uint16Array.from({ length: n }, () => Math.min(65534, next())), Uint16Array.from({ length: n }, () => Math.min(65534, next()))];
}

describe("lasso", () => {
  const [x, y] = cloud(20_000);
  x[17] = 65535; // no position
  const index = new GridIndex(x, y);
  for (const polygon of [
    [0.1, 0.1, 0.9, 0.2, 0.5, 0.9],
    [0.2, 0.2, 0.8, 0.8, 0.8, 0.2, 0.2, 0.8],
    [-1, -1, 2, -1, 2, 2, -1, 2],
    [0.5, 0.5, 0.5005, 0.5, 0.5005, 0.5005],
  ])
    it(`takes exactly the points inside [${polygon.join(" ")}]`, () => {
      const expected: number[] = [];
      for (let row = 0; row < x.length; row++)
        if (row !== 17 && row % 3 && contains(polygon, x[row]! / 65534, y[row]! / 65534)) expected.push(row);
      expect([...index.inside(polygon, (row) => row % 3 !== 0)]).toEqual(expected);
    });

  it("finds the point under the pointer, and none where there is none", () => {
    expect(index.nearest(x[100]! / 65534, y[100]! / 65534, 0.001, 0.001, (row) => row === 100)).toBe(100);
    expect(index.nearest(0.5, 0.5, 0.2, 0.2, () => false)).toBeNull();
  });
});

describe("camera", () => {
  it("keeps the point under the pointer while zooming", () => {
    const camera = new Camera();
    camera.width = 800;
    camera.height = 400;
    camera.pan(33, -12);
    const before = camera.toUnit(200, 300);
    camera.zoomAt(3.7, 200, 300);
    const after = camera.toUnit(200, 300);
    expect(after[0]).toBeCloseTo(before[0], 10);
    expect(after[1]).toBeCloseTo(before[1], 10);
    const [px, py] = camera.toScreen(...after);
    expect([px, py].map(Math.round)).toEqual([200, 300]);
  });
});

describe("points", () => {
  it("draws what has no value first, then what has one, then the selection", () => {
    const points = new Canvas2dPoints();
    points.setPoints(Uint16Array.of(0, 10_000, 20_000, 30_000), Uint16Array.of(0, 0, 0, 0));
    points.setCodes(Uint8Array.of(3, 255, 254, 255));
    points.setFlags(Uint8Array.of(1, 1, 1, 3));
    const drawn: number[] = [];
    const camera = new Camera();
    camera.width = camera.height = 100;
    const at = [0, 10_000, 20_000, 30_000].map((x) => camera.toScreen(x / 65534, 0)[0]);
    const context = {
      canvas: { width: 100, height: 100 },
      clearRect: () => {},
      fillRect: (x: number, _y: number, side: number) => void drawn.push(at.findIndex((own) => Math.abs(own - x - side / 2) < 0.5)),
    };
    points.draw(context as unknown as CanvasRenderingContext2D, camera, 1, 4);
    expect(drawn).toEqual([1, 2, 0, 3]);
  });
});

describe("grid", () => {
  it("reaches the last of a million images", () => {
    const l = layout(700, 96, 1_000_000);
    expect(l.scroll).toBe(MOST_SCROLL_PX);
    const end = contentOffset(l.scroll - 300, 300, l);
    expect(end + 300).toBeCloseTo(l.content, 3);
    expect(contentOffset(0, 300, l)).toBe(0);
  });

  it("fills the width with whole tiles", () => {
    const l = layout(700, 96, 10);
    expect(l.columns).toBe(6);
    expect(l.columns * l.pitch).toBeCloseTo(700 - 16 + 4, 6);
  });
});
