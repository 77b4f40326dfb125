// Shapes of one image: geometry read once into paths, found again under the pointer. Pure but for Path2D.

import type { Detail, DetailObject, Skeleton } from "../protocol/messages";
import { asF32, asU32 } from "../transport/wire";

/** A mask as runs along columns, cumulated: pixels from ends[2i] to ends[2i+1] are inside. */
export interface Runs {
  w: number;
  h: number;
  ends: Uint32Array;
  area: number;
  /** Bounds of what is inside: x0, y0, x1, y1 (exclusive). */
  box: [number, number, number, number];
}
export interface Shape {
  object: DetailObject;
  name: string;
  /** Rings of a closed shape or parts of a line: flat x, y. */
  parts: Float32Array[];
  closed: boolean;
  /** Points drawn as dots, with 0 absent, 1 hidden, 2 visible. */
  dots: Float32Array;
  seen: Uint8Array;
  runs: Runs | null;
  area: number;
  box: [number, number, number, number];
  /** Drawn as a mere hint of what else is there. */
  faint?: boolean;
}

const NOTHING = new Float32Array(0);
const ABSENT = 0;
/** Shown for what has no class. */
export const NO_CLASS = "none";

/** Before the outcome, the name under which a prediction is drawn: no class begins so. */
export const PREDICTED = "\u0000";

export function readShapes(detail: Pick<Detail, "objects" | "predictions" | "predictions_buffer" | "buffers" | "skeletons">): Shape[] {
  const buffers = detail.buffers ?? [];
  const read = (list: readonly DetailObject[], at: number): Shape[] => {
    const coords = buffers[at] ? asF32(buffers[at]) : NOTHING;
    return list.map((o) => readShape(o, coords, buffers, detail.skeletons?.[o.class_name ?? ""]));
  };
  const predicted = read(detail.predictions ?? [], detail.predictions_buffer ?? 0);
  for (const shape of predicted) shape.name = layerOf(shape.object);
  return [...read(detail.objects, 0), ...predicted];
}

/** The name under which an object is drawn: its class; of a prediction what became of it. */
export function layerOf(object: DetailObject): string {
  return object.confidence === undefined ? (object.class_name ?? NO_CLASS) : PREDICTED + (object.outcome ?? "");
}

function readShape(object: DetailObject, coords: Float32Array, buffers: readonly Uint8Array[], skeleton: Skeleton | undefined): Shape {
  const { x, y, w, h, at = 0, n = 0 } = object;
  const kind = object.kind ?? "box";
  const points = coords.subarray(at, at + n);
  const shape: Shape = {
    object,
    name: object.class_name ?? NO_CLASS,
    parts: [],
    closed: false,
    dots: NOTHING,
    seen: new Uint8Array(0),
    runs: null,
    area: w * h,
    box: [x, y, x + w, y + h],
  };
  if (kind === "mask" && object.mask) {
    const { b, w: mw, h: mh } = object.mask;
    const runs = decodeRuns(asU32(buffers[b] ?? new Uint8Array(0)), mw, mh);
    return { ...shape, closed: true, runs, area: runs.area, box: runs.box, parts: [outlineOf(runs)] };
  }
  if (kind === "polygon" || kind === "polyline") {
    const parts = split(points, object.rings);
    const closed = kind === "polygon";
    return { ...shape, closed, parts, area: closed ? ringsArea(parts, object.holes) : 0, box: boundsOf(points, shape.box) };
  }
  if (kind === "point" || kind === "keypoints") {
    const count = points.length >> 1;
    const seen = Uint8Array.from({ length: count }, (_, i) => object.visibility?.[i] ?? 2);
    const bones = (skeleton?.edges ?? []).filter(([a, b]) => seen[a] && seen[b]);
    const parts = bones.map(([a, b]) => Float32Array.of(points[2 * a]!, points[2 * a + 1]!, points[2 * b]!, points[2 * b + 1]!));
    return { ...shape, dots: points, seen, parts, area: 0 };
  }
  if (kind === "classification") return { ...shape, area: Infinity };
  return { ...shape, closed: true, parts: [corners(object)] };
}

/** Runs along columns, starting with a run of zeros, as COCO has them. */
export function decodeRuns(runs: Uint32Array, w: number, h: number): Runs {
  const ends = new Uint32Array(runs.length);
  let [at, area] = [0, 0];
  const box: Runs["box"] = [w, h, 0, 0];
  for (let i = 0; i < runs.length; i++) {
    const from = at;
    at = Math.min(w * h, at + runs[i]!);
    ends[i] = at;
    if (i % 2 === 0 || at === from) continue;
    area += at - from;
    const [first, last] = [Math.floor(from / h), Math.floor((at - 1) / h)];
    box[0] = Math.min(box[0], first);
    box[2] = Math.max(box[2], last + 1);
    box[1] = first === last ? Math.min(box[1], from % h) : 0;
    box[3] = first === last ? Math.max(box[3], ((at - 1) % h) + 1) : h;
  }
  return { w, h, ends, area, box: area ? box : [0, 0, 0, 0] };
}

/** Visit the pieces of a mask column by column: column, first row, row after the last. */
export function forEachPiece(runs: Runs, visit: (x: number, from: number, to: number) => void): void {
  const { ends, h } = runs;
  for (let i = 1; i < ends.length; i += 2) {
    for (let at = ends[i - 1]!; at < ends[i]!; ) {
      const x = Math.floor(at / h);
      const stop = Math.min(ends[i]!, (x + 1) * h);
      visit(x, at - x * h, stop - x * h);
      at = stop;
    }
  }
}

/** The edges between inside and outside, as line segments along pixel borders. */
export function outlineOf(runs: Runs): Float32Array {
  const out: number[] = [];
  let column = -1;
  let [before, now]: [number[], number[]] = [[], []]; // pieces of two neighbouring columns, from and to in turn
  const border = (x: number, left: number[], right: number[]): void => {
    // Only what one of the two columns holds and the other does not has an edge between them.
    const ends = [...left, ...right].sort((a, b) => a - b);
    for (let i = 0; i + 1 < ends.length; i += 2) if (ends[i] !== ends[i + 1]) out.push(x, ends[i]!, x, ends[i + 1]!);
  };
  const go = (to: number): void => {
    border(column, before, now);
    if (to > column + 1) border(column + 1, now, []);
    before = to > column + 1 ? [] : now;
    now = [];
    column = to;
  };
  forEachPiece(runs, (x, from, to) => {
    if (x !== column) go(x);
    now.push(from, to);
    out.push(x, from, x + 1, from, x, to, x + 1, to);
  });
  go(Infinity);
  return Float32Array.from(out);
}

function split(points: Float32Array, rings: readonly number[] | null | undefined): Float32Array[] {
  if (!rings?.length) return [points];
  let at = 0;
  return rings.map((n) => points.subarray(at, (at += 2 * n)));
}

function corners({ x, y, w, h, angle, kind }: DetailObject): Float32Array {
  const turn = kind === "rotated_box" ? ((angle ?? 0) * Math.PI) / 180 : 0;
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const [cx, cy] = [x + w / 2, y + h / 2];
  const place = (dx: number, dy: number): [number, number] => [cx + dx * cos - dy * sin, cy + dx * sin + dy * cos];
  return Float32Array.from([place(-w / 2, -h / 2), place(w / 2, -h / 2), place(w / 2, h / 2), place(-w / 2, h / 2)].flat());
}

function boundsOf(points: Float32Array, otherwise: Shape["box"]): Shape["box"] {
  if (!points.length) return otherwise;
  const box: Shape["box"] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i + 1 < points.length; i += 2) {
    box[0] = Math.min(box[0], points[i]!);
    box[1] = Math.min(box[1], points[i + 1]!);
    box[2] = Math.max(box[2], points[i]!);
    box[3] = Math.max(box[3], points[i + 1]!);
  }
  return box;
}

function ringsArea(rings: readonly Float32Array[], holes: readonly number[] | null | undefined): number {
  let sum = 0;
  rings.forEach((ring, r) => {
    let twice = 0;
    for (let i = 0, j = ring.length - 2; i + 1 < ring.length; j = i, i += 2) twice += ring[j]! * ring[i + 1]! - ring[i]! * ring[j + 1]!;
    sum += (holes?.includes(r) ? -1 : 1) * Math.abs(twice / 2);
  });
  return Math.max(0, sum);
}

/** Whether a point lies in a shape or within `slack` of its line. */
export function touches(shape: Shape, x: number, y: number, slack: number): boolean {
  const [x0, y0, x1, y1] = shape.box;
  const turned = shape.object.angle ? Math.hypot(x1 - x0, y1 - y0) / 2 : 0; // the box is that of the upright rectangle
  if (x < x0 - slack - turned || x > x1 + slack + turned || y < y0 - slack - turned || y > y1 + slack + turned) return false;
  const { runs, dots, seen, parts, closed } = shape;
  if (runs) return inRuns(runs, x, y);
  for (let i = 0; i < seen.length; i++) if (seen[i] !== ABSENT && Math.hypot(dots[2 * i]! - x, dots[2 * i + 1]! - y) <= slack * 1.5) return true;
  let inside = false;
  for (const part of parts) {
    const last = part.length - 2;
    for (let i = closed ? 0 : 2, j = closed ? last : 0; i <= last; j = i, i += 2) {
      const [ax, ay, bx, by] = [part[j]!, part[j + 1]!, part[i]!, part[i + 1]!];
      if (near(ax, ay, bx, by, x, y, slack)) return true;
      if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) inside = !inside;
    }
  }
  return closed && inside;
}

function near(ax: number, ay: number, bx: number, by: number, x: number, y: number, slack: number): boolean {
  const [dx, dy] = [bx - ax, by - ay];
  const t = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(ax + t * dx - x, ay + t * dy - y) <= slack;
}

function inRuns({ ends, w, h }: Runs, x: number, y: number): boolean {
  if (x < 0 || y < 0 || x >= w || y >= h) return false;
  const at = Math.floor(x) * h + Math.floor(y);
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle]! <= at) low = middle + 1;
    else high = middle;
  }
  return low < ends.length && low % 2 === 1;
}

/** The smallest shape under a point; of equal ones the last drawn. */
export function hit(shapes: readonly Shape[], x: number, y: number, slack: number): Shape | null {
  let best: Shape | null = null;
  for (const shape of shapes) if ((!best || shape.area <= best.area) && touches(shape, x, y, slack)) best = shape;
  return best;
}

/** Add a shape's lines to a path. */
export function trace(path: Path2D, shape: Shape): void {
  if (shape.runs) {
    const [segments = NOTHING] = shape.parts;
    for (let i = 0; i + 3 < segments.length; i += 4) {
      path.moveTo(segments[i]!, segments[i + 1]!);
      path.lineTo(segments[i + 2]!, segments[i + 3]!);
    }
    return;
  }
  for (const part of shape.parts) {
    for (let i = 0; i + 1 < part.length; i += 2) i ? path.lineTo(part[i]!, part[i + 1]!) : path.moveTo(part[i]!, part[i + 1]!);
    if (shape.closed) path.closePath();
  }
}
