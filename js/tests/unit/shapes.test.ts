// Geometry: what the wire sends is read into shapes, found under the pointer and drawn.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Scope } from "../../src/host/scope";
import { decodeRuns, forEachPiece, hit, outlineOf, readShapes, type Shape, touches } from "../../src/render/shapes";
import { Stage } from "../../src/render/stage";
import { everyKind, many, ObjectsBuilder, runsOf } from "../fixtures/objects";

const only = (builder: ObjectsBuilder): Shape => readShapes(builder.detail())[0]!;

describe("masks", () => {
  const inside = (x: number, y: number): boolean => (x - 6) ** 2 + (y - 4) ** 2 < 9 || (x === 0 && y > 7) || (x === 1 && y < 2);
  const runs = decodeRuns(runsOf(12, 10, inside), 12, 10);

  test("are read along columns, starting with zeros", () => {
    const seen = new Set<string>();
    forEachPiece(runs, (x, from, to) => {
      for (let y = from; y < to; y++) seen.add(`${x},${y}`);
    });
    const wanted = new Set<string>();
    for (let x = 0; x < 12; x++) for (let y = 0; y < 10; y++) if (inside(x, y)) wanted.add(`${x},${y}`);
    expect(seen).toEqual(wanted);
    expect(runs.area).toBe(wanted.size);
    expect(runs.box).toEqual([0, 0, 9, 10]);
  });

  test("are hit pixel by pixel", () => {
    const shape = only(new ObjectsBuilder().mask("a", 12, 10, inside));
    for (let x = 0; x < 12; x++) for (let y = 0; y < 10; y++) expect(touches(shape, x + 0.5, y + 0.5, 0)).toBe(inside(x, y));
    expect([touches(shape, -1, 0, 0), touches(shape, 12, 9, 0)]).toEqual([false, false]);
  });

  test("are outlined by every border between inside and outside", () => {
    const segments = outlineOf(runs);
    let length = 0;
    for (let i = 0; i < segments.length; i += 4) length += Math.abs(segments[i]! - segments[i + 2]!) + Math.abs(segments[i + 1]! - segments[i + 3]!);
    let borders = 0;
    const at = (x: number, y: number): boolean => x >= 0 && y >= 0 && x < 12 && y < 10 && inside(x, y);
    for (let x = -1; x < 12; x++)
      for (let y = -1; y < 10; y++) borders += Number(at(x, y) !== at(x + 1, y)) + Number(at(x, y) !== at(x, y + 1));
    expect(length).toBe(borders);
  });

  test("that are empty, whole or cut short do no harm", () => {
    expect(decodeRuns(Uint32Array.of(120), 12, 10)).toMatchObject({ area: 0, box: [0, 0, 0, 0] });
    expect(decodeRuns(Uint32Array.of(0, 120), 12, 10)).toMatchObject({ area: 120, box: [0, 0, 12, 10] });
    expect(decodeRuns(Uint32Array.of(100, 500), 12, 10)).toMatchObject({ area: 20, box: [10, 0, 12, 10] });
    expect(decodeRuns(new Uint32Array(0), 12, 10).area).toBe(0);
  });
});

describe("hit test", () => {
  test("a hole is not the polygon, its border is", () => {
    const ring = [0, 0, 100, 0, 100, 100, 0, 100, 40, 40, 60, 40, 60, 60, 40, 60];
    const shape = only(new ObjectsBuilder().add("polygon", "a", [0, 0, 100, 100], { rings: [4, 4], holes: [1] }, ring));
    expect([touches(shape, 20, 50, 2), touches(shape, 50, 50, 2), touches(shape, 41, 50, 2), touches(shape, 130, 50, 2)]).toEqual([true, false, true, false]);
    expect(shape.area).toBe(9600);
  });

  test("a rotated box turns clockwise on the screen", () => {
    const shape = only(new ObjectsBuilder().add("rotated_box", "a", [0, 40, 100, 20], { angle: 45 }));
    expect([touches(shape, 80, 80, 1), touches(shape, 20, 80, 1), touches(shape, 50, 50, 1)]).toEqual([true, false, true]);
  });

  test("lines and points are hit near by, absent keypoints never", () => {
    const line = only(new ObjectsBuilder().add("polyline", "a", [0, 0, 100, 100], {}, [0, 0, 100, 0, 100, 100]));
    expect([touches(line, 50, 3, 5), touches(line, 50, 50, 5)]).toEqual([true, false]);
    const keypoints = only(new ObjectsBuilder().add("keypoints", "person", [10, 10, 50, 50], { visibility: [2, 0] }, [10, 10, 60, 60]));
    expect([touches(keypoints, 11, 11, 5), touches(keypoints, 60, 60, 5)]).toEqual([true, false]);
  });

  test("the smallest shape under the pointer is meant", () => {
    const shapes = readShapes(new ObjectsBuilder().add("box", "big", [0, 0, 100, 100]).add("box", "small", [40, 40, 10, 10]).add("box", "wide", [0, 30, 100, 40]).detail());
    expect([hit(shapes, 45, 45, 0)?.name, hit(shapes, 10, 40, 0)?.name, hit(shapes, 10, 10, 0)?.name, hit(shapes, 200, 10, 0)]).toEqual(["small", "wide", "big", null]);
  });
});

test("every kind is read from one buffer of coordinates", () => {
  const shapes = readShapes(everyKind().detail());
  const about = shapes.map((s) => [s.object.kind, s.parts.length, s.closed, s.dots.length / 2]);
  expect(about).toEqual([
    ["box", 1, true, 0],
    ["rotated_box", 1, true, 0],
    ["polygon", 3, true, 0],
    ["polyline", 1, false, 0],
    ["point", 0, false, 1],
    ["keypoints", 3, false, 5], // the bone to the absent one is missing
    ["mask", 1, true, 0],
    ["box", 1, true, 0],
    ["classification", 0, false, 0],
  ]);
});

describe("stage", () => {
  let calls: Record<string, number>;
  let traced: number;
  let frames: FrameRequestCallback[];
  beforeEach(() => {
    [calls, traced, frames] = [{}, 0, []];
    const context = new Proxy({} as Record<string, unknown>, {
      get: (kept, key: string) => kept[key] ?? ((): unknown => (calls[key] = (calls[key] ?? 0) + 1) && { width: 10 }),
      set: (kept, key: string, value) => Boolean((kept[key] = value)) || true,
    });
    HTMLCanvasElement.prototype.getContext = (() => context) as never;
    vi.stubGlobal("Path2D", class { moveTo = (): void => void traced++; lineTo = (): void => void traced++; closePath(): void {} });
    vi.stubGlobal("ResizeObserver", class { observe(): void {} disconnect(): void {} });
    vi.stubGlobal("requestAnimationFrame", (f: FrameRequestCallback) => frames.push(f));
    vi.stubGlobal("cancelAnimationFrame", () => {});
  });
  afterEach(() => vi.unstubAllGlobals());
  const frame = (): void => frames.splice(0).forEach((f) => f(0));
  const style = (off: string[] = []): Parameters<Stage["setStyle"]>[0] => ({
    line: 2, fill: 0.2, off: new Set(off), colors: new Map([["bird", "#111111"], ["dog", "#222222"], ["boat", "#333333"], ["food", "#444444"]]),
  });

  function open(builder: ObjectsBuilder): [Stage, Scope] {
    const scope = new Scope();
    const stage = new Stage(document.createElement("div"), scope);
    stage.setSize(640, 640);
    stage.setStyle(style());
    stage.setShapes(readShapes(builder.detail()), null);
    return [stage, scope];
  }

  test("reads geometry once, draws a halo and a line a shape, and redraws once a frame", () => {
    const [stage, scope] = open(many(100, 30));
    frame();
    expect(calls).toMatchObject({ stroke: 200, fill: 100 });
    expect(traced).toBe(3000);
    for (let i = 0; i < 5; i++) stage.key("+");
    expect(frames).toHaveLength(1);
    frame();
    expect([traced, stage.canvas.dataset["shapes"]]).toEqual([3000, "100"]);
    scope.dispose();
  });

  test("a class that is switched off is not drawn", () => {
    const [stage, scope] = open(many(100, 30));
    stage.setStyle(style(["bird"]));
    frame();
    expect(stage.canvas.dataset["shapes"]).toBe("75");
    expect(calls["fill"]).toBe(75);
    scope.dispose();
  });

  test("a thousand polygons cost far less than a frame of script", () => {
    const [stage, scope] = open(many(1000, 30));
    frame();
    const before = performance.now();
    for (let i = 0; i < 10; i++) stage.draw();
    expect((performance.now() - before) / 10).toBeLessThan(16);
    scope.dispose();
  });

  test("while it moves, many shapes are hairlines; at rest all is drawn again", async () => {
    const [stage, scope] = open(many(400, 8));
    frame();
    calls = {};
    stage.key("+");
    frame();
    expect([calls["stroke"], calls["fill"]]).toEqual([400, undefined]);
    await vi.waitFor(() => expect(frames).toHaveLength(1));
    frame();
    expect(calls["fill"]).toBe(400);
    scope.dispose();
  });
});
