// Which rows of the map show their picture: those on the screen, when they are few, without overlaps.

import type { Camera } from "./camera";
import type { GridIndex } from "./grid-index";

/** A picture on the map: its row, and its middle in unit coordinates. */
export interface Placed {
  row: number;
  x: number;
  y: number;
}

const STEPS = 65534;
export const LEAST_SIDE_PX = 40;
export const MOST_SIDE_PX = 88;
const SIDE_STEP_PX = 8;
const GAP_PX = 4;
/** Pictures are shown while there are at most this many rows for each place that has room for one. */
const CROWD = 4;

/** Rows on the screen that pass, or null when there are more than `most`. */
export function rowsInView(index: GridIndex, camera: Camera, accepts: (row: number) => boolean, most: number): number[] | null {
  const [x0, y1] = camera.toUnit(0, 0);
  const [x1, y0] = camera.toUnit(camera.width, camera.height);
  const found: number[] = [];
  index.within(x0, y0, x1, y1, (row) => {
    if (accepts(row)) found.push(row);
    return found.length <= most;
  });
  return found.length > most ? null : found;
}

export function mostCrowded({ width, height }: Camera): number {
  return Math.floor((CROWD * width * height) / (LEAST_SIDE_PX + GAP_PX) ** 2);
}

/** The side of the pictures: larger where rows are few. */
export function sideFor(n: number, { width, height }: Camera): number {
  const fair = 0.55 * Math.sqrt((width * height) / Math.max(1, n));
  return Math.min(MOST_SIDE_PX, Math.max(LEAST_SIDE_PX, Math.floor(fair / SIDE_STEP_PX) * SIDE_STEP_PX));
}

/**
 * Rows that can show their picture of `side` pixels around their own point, none over another.
 *
 * `first` come first, in their order: what was shown before stays while one moves, and the selection is preferred.
 * A grid of cells as large as a picture says in nine look-ups whether a place is free.
 */
export function declutter(index: GridIndex, camera: Camera, rows: readonly number[], side: number, first: Iterable<number>): Placed[] {
  const pitch = side + GAP_PX;
  const columns = Math.ceil(camera.width / pitch) + 2;
  const taken = new Map<number, [number, number][]>();
  const placed: Placed[] = [];
  const inView = new Set(rows);
  const done = new Set<number>();
  const put = (row: number): void => {
    if (done.has(row) || !inView.has(row)) return;
    done.add(row);
    const [x, y] = [index.x[row]! / STEPS, index.y[row]! / STEPS];
    const [px, py] = camera.toScreen(x, y);
    const [cx, cy] = [Math.floor(px / pitch) + 1, Math.floor(py / pitch) + 1];
    for (let dy = -1; dy <= 1; dy++)
      for (let dx = -1; dx <= 1; dx++)
        for (const [ox, oy] of taken.get((cy + dy) * columns + cx + dx) ?? []) if (Math.abs(ox - px) < pitch && Math.abs(oy - py) < pitch) return;
    const cell = cy * columns + cx;
    const there = taken.get(cell);
    if (there) there.push([px, py]);
    else taken.set(cell, [[px, py]]);
    placed.push({ row, x, y });
  };
  for (const row of first) put(row);
  // By a hash of the row: any order would do, this one is the same every time and spreads over the map.
  for (const row of [...rows].sort((a, b) => hash(a) - hash(b))) put(row);
  return placed;
}

function hash(row: number): number {
  return Math.imul(row ^ (row >>> 15), 0x2c1b3c6d) >>> 0;
}
