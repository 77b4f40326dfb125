// The names of clusters: where each name stands, and drawing them without one over another.

import type { Camera } from "./camera";
import { NO_POSITION } from "./grid-index";

export interface MapLabel {
  /** Quantised coordinates, as positions have them. */
  x: number;
  y: number;
  text: string;
  /** How many rows it names; the largest come first. */
  n: number;
}
export interface LabelStyle {
  map: string;
  text: string;
}

const STEPS = 65534;
const CELLS = 64;
const FONT = "600 12px system-ui, sans-serif";
const HEIGHT_PX = 18;
const PADDING_PX = 4;
/** Where the tools and the legend are, and no names. */
const TOP_PX = 40;
const BOTTOM_PX = 32;
/** How far names stay away from pictures. */
const GAP_PX = 4;

export type Box = [left: number, top: number, right: number, bottom: number];

/**
 * Where a group of rows is densest: the mean of its points around the fullest cell of a coarse grid.
 *
 * A median lies between the parts of a group that falls into two; the fullest place never does.
 */
export function densest(rows: readonly number[], x: Uint16Array, y: Uint16Array): [x: number, y: number] | null {
  const placed = rows.filter((row) => x[row] !== NO_POSITION);
  if (!placed.length) return null;
  let [x0, x1, y0, y1] = [65535, 0, 65535, 0];
  for (const row of placed) {
    x0 = Math.min(x0, x[row]!);
    x1 = Math.max(x1, x[row]!);
    y0 = Math.min(y0, y[row]!);
    y1 = Math.max(y1, y[row]!);
  }
  const at = (value: number, lo: number, hi: number): number => Math.min(CELLS - 1, Math.floor(((value - lo) / Math.max(1, hi - lo)) * CELLS));
  const counts = new Uint32Array(CELLS * CELLS);
  for (const row of placed) counts[at(y[row]!, y0, y1) * CELLS + at(x[row]!, x0, x1)]!++;
  const around = (cx: number, cy: number): number => {
    let sum = 0;
    for (let j = Math.max(0, cy - 2); j <= Math.min(CELLS - 1, cy + 2); j++) for (let i = Math.max(0, cx - 2); i <= Math.min(CELLS - 1, cx + 2); i++) sum += counts[j * CELLS + i]!;
    return sum;
  };
  let [best, bx, by] = [-1, 0, 0];
  for (let cy = 0; cy < CELLS; cy++)
    for (let cx = 0; cx < CELLS; cx++) {
      const sum = around(cx, cy);
      if (sum > best) [best, bx, by] = [sum, cx, cy];
    }
  let [sx, sy, n] = [0, 0, 0];
  for (const row of placed) {
    if (Math.abs(at(x[row]!, x0, x1) - bx) > 2 || Math.abs(at(y[row]!, y0, y1) - by) > 2) continue;
    sx += x[row]!;
    sy += y[row]!;
    n++;
  }
  return [sx / n, sy / n];
}

/** Draw names, the largest groups first, beside pictures or else on a plate over them; returns how many had room. */
export function drawLabels(context: CanvasRenderingContext2D, labels: readonly MapLabel[], camera: Camera, style: LabelStyle, pictures: readonly Box[] = []): number {
  context.font = FONT;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const taken: Box[] = [];
  // Tried in turn where another name, or a picture, is in the way.
  const beyond = (HEIGHT_PX + Math.max(0, ...pictures.map((p) => p[3] - p[1]))) / 2 + GAP_PX;
  const shifts = [0, -HEIGHT_PX, HEIGHT_PX, ...(pictures.length ? [beyond, -beyond] : [])];
  for (const label of [...labels].sort((a, b) => b.n - a.n)) {
    const [px, py] = camera.toScreen(label.x / STEPS, label.y / STEPS);
    const width = context.measureText(label.text).width + 2 * PADDING_PX;
    if (px < -width / 2 || px > camera.width + width / 2 || py < TOP_PX || py > camera.height - BOTTOM_PX) continue;
    // Wholly on the screen, where its place is.
    const x = Math.max(width / 2 + 2, Math.min(px, camera.width - width / 2 - 2));
    const free = shifts
      .map((by): Box => [x - width / 2, py + by - HEIGHT_PX / 2, x + width / 2, py + by + HEIGHT_PX / 2])
      .filter((b) => b[1] >= TOP_PX - HEIGHT_PX / 2 && b[3] <= camera.height - BOTTOM_PX + HEIGHT_PX / 2 && !taken.some((t) => meet(t, b)));
    const beside = free.find((b) => !pictures.some((p) => meet(p, b)));
    const box = beside ?? free[0];
    if (!box) continue;
    taken.push(box);
    const y = box[1] + HEIGHT_PX / 2;
    if (beside) {
      context.lineWidth = 4;
      context.strokeStyle = style.map;
      context.strokeText(label.text, x, y);
    } else {
      context.globalAlpha = 0.88;
      context.fillStyle = style.map;
      context.fillRect(box[0], box[1], width, HEIGHT_PX);
      context.globalAlpha = 1;
    }
    context.fillStyle = style.text;
    context.fillText(label.text, x, y + 0.5);
  }
  return taken.length;
}

function meet(a: Box, b: Box): boolean {
  return a[0] < b[2] && a[2] > b[0] && a[1] < b[3] && a[3] > b[1];
}
