// Pictures and names on the map: none over another, only what passes, and where groups really are.
import { describe, expect, it } from "vitest";
import { robustBounds } from "../../src/render/bounds";
import { Camera } from "../../src/render/camera";
import { GridIndex, NO_POSITION } from "../../src/render/grid-index";
import { type Box, densest, drawLabels } from "../../src/render/map-labels";
import { type MapPictures, MapThumbs } from "../../src/render/map-thumbs";
import { declutter, mostCrowded, rowsInView, sideFor } from "../../src/render/thumb-plan";
import { generator as random } from "./random";

const STEPS = 65534;
const ALL = (): boolean => true;

function cloud(n: number, seed = 3): [Uint16Array, Uint16Array] {
  const next = random(seed);
  const axis = (): Uint16Array => Uint16Array.from({ length: n }, () => Math.floor(next() * STEPS));
  return [axis(), axis()];
}

function camera(zoom: number, at: [number, number] = [0.5, 0.5]): Camera {
  const made = new Camera();
  [made.width, made.height, made.zoom] = [800, 400, zoom];
  [made.x, made.y] = at;
  return made;
}

describe("pictures on the map", () => {
  const [x, y] = cloud(10_000);
  x[5] = NO_POSITION;
  const index = new GridIndex(x, y);

  it("are of exactly the rows on the screen that pass", () => {
    for (const zoom of [1, 3, 11, 60]) {
      const c = camera(zoom, [0.31, 0.62]);
      const expected: number[] = [];
      for (let row = 0; row < x.length; row++) {
        if (row === 5 || row % 2) continue;
        const [px, py] = c.toScreen(x[row]! / STEPS, y[row]! / STEPS);
        if (px >= 0 && px <= 800 && py >= 0 && py <= 400) expected.push(row);
      }
      expect(rowsInView(index, c, (row) => row % 2 === 0, Infinity)!.sort((a, b) => a - b)).toEqual(expected);
    }
  });

  it("are not shown where too many rows are on the screen", () => {
    const most = mostCrowded(camera(1));
    expect(rowsInView(index, camera(1), ALL, most)).toBeNull();
    expect(rowsInView(index, camera(8), ALL, most)).not.toBeNull();
  });

  it("never lie over one another, and no free place is left empty", () => {
    for (const zoom of [5, 9, 20]) {
      const c = camera(zoom);
      const rows = rowsInView(index, c, ALL, Infinity)!;
      const side = sideFor(rows.length, c);
      const placed = declutter(index, c, rows, side, []);
      const at = (row: number): [number, number] => c.toScreen(x[row]! / STEPS, y[row]! / STEPS);
      const near = (a: number, b: number): boolean => Math.abs(at(a)[0] - at(b)[0]) < side + 4 && Math.abs(at(a)[1] - at(b)[1]) < side + 4;
      const shown = new Set(placed.map((p) => p.row));
      for (const a of shown) for (const b of shown) if (a !== b) expect(near(a, b), `${a} over ${b} at ${zoom}`).toBe(false);
      for (const row of rows) if (!shown.has(row)) expect([...shown].some((other) => near(row, other)), `${row} had room`).toBe(true);
    }
  });

  it("stay when the map moves a little, and give way to the selection", () => {
    const pictures: MapPictures = { need: () => {}, picture: () => undefined, outline: () => null };
    const thumbs = new MapThumbs(pictures);
    const flags = new Uint8Array(x.length).fill(1);
    const c = camera(9);
    const shown = (): number[] => rowsInView(index, c, ALL, Infinity)!.filter((row) => thumbs.box(c, row));
    thumbs.plan(index, c, ALL, flags);
    const before = shown();
    c.pan(7, -3);
    thumbs.plan(index, c, ALL, flags);
    const inside = new Set(rowsInView(index, c, ALL, Infinity));
    for (const row of before) if (inside.has(row)) expect(thumbs.box(c, row), `${row} went`).not.toBeNull();
    const hiddenRow = [...inside].find((row) => !thumbs.box(c, row))!;
    flags[hiddenRow] = 3;
    thumbs.plan(index, c, ALL, flags);
    const [bx, by, w, h] = thumbs.box(c, hiddenRow)!;
    expect(thumbs.hit(c, bx + w / 2, by + h / 2)).toBe(hiddenRow);
  });
});

describe("fitting the map", () => {
  it("looks at the cloud, not at one far cluster, and still reaches that", () => {
    const n = 10_000;
    const next = random(8);
    const axis = (): Uint16Array => Uint16Array.from({ length: n }, (_, i) => (i < 30 ? 65_000 : Math.floor(next() * 6000)));
    const home = robustBounds(axis(), axis());
    expect(home.w).toBeLessThan(0.12);
    const c = camera(1);
    c.home = home;
    c.fit();
    const [px, py] = c.toScreen(3000 / STEPS, 3000 / STEPS);
    expect(Math.hypot(px - 400, py - 200)).toBeLessThan(30);
    c.zoomAt(1e-9, 400, 200);
    c.x = c.y = 0.5;
    const [fx, fy] = c.toScreen(65_000 / STEPS, 65_000 / STEPS);
    expect(fx > 0 && fx < 800 && fy > 0 && fy < 400).toBe(true);
  });

  it("leaves a map without far points as it is", () => {
    const [x, y] = cloud(5000);
    expect(robustBounds(x, y)).toEqual({ x: 0.5, y: 0.5, w: 1, h: 1 });
    expect(robustBounds(new Uint16Array(0), new Uint16Array(0)).w).toBe(1);
    expect(robustBounds(Uint16Array.of(1, 2), Uint16Array.of(1, 65_000)).w).toBe(1);
  });
});

describe("names on the map", () => {
  it("stand in the larger part of a group that falls into two", () => {
    const x = Uint16Array.from({ length: 100 }, (_, i) => (i < 60 ? 1000 + i : 60_000 + i));
    const y = Uint16Array.from({ length: 100 }, (_, i) => (i < 60 ? 2000 + i : 50_000 + i));
    const [px, py] = densest([...x.keys()], x, y)!;
    expect(Math.abs(px - 1030)).toBeLessThan(40);
    expect(Math.abs(py - 2030)).toBeLessThan(40);
  });

  it("have no place where no row has one", () => {
    expect(densest([0], Uint16Array.of(NO_POSITION), Uint16Array.of(NO_POSITION))).toBeNull();
  });
});

describe("names beside pictures", () => {
  const camera = new Camera();
  camera.width = 400;
  camera.height = 300;
  const label = { x: 32767, y: 32767, text: "name", n: 9 };
  const [cx, cy] = camera.toScreen(0.5, 0.5);
  const draw = (pictures: Box[]): { at: number; plates: number; shown: number } => {
    const seen = { at: Number.NaN, plates: 0, shown: 0 };
    const context = {
      measureText: () => ({ width: 40 }),
      fillRect: () => void seen.plates++,
      strokeText: () => {},
      fillText: (_: string, __: number, y: number) => void (seen.at = y),
    };
    seen.shown = drawLabels(context as unknown as CanvasRenderingContext2D, [label], camera, { map: "#fff", text: "#000" }, pictures);
    return seen;
  };

  it("stands in its place where nothing is in the way", () => {
    expect(draw([])).toMatchObject({ plates: 0, shown: 1 });
    expect(Math.abs(draw([]).at - cy)).toBeLessThan(1);
  });

  it("goes below a picture of its cluster, without a plate", () => {
    const { at, plates } = draw([[cx - 30, cy - 30, cx + 30, cy + 30]]);
    expect(plates).toBe(0);
    expect(at - 9).toBeGreaterThanOrEqual(cy + 30);
  });

  it("lies on a plate where pictures are all around", () => {
    const all: Box = [0, 0, 400, 300];
    expect(draw([all])).toMatchObject({ plates: 1, shown: 1 });
  });
});
