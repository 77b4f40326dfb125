// A uniform grid over the map: rows sorted by cell, for picking and lassoing a million points.

export const NO_POSITION = 65535;
const STEPS = 65534;
const SHIFT = 8; // 65536 / 256
export const CELLS = 256;

export class GridIndex {
  readonly starts = new Uint32Array(CELLS * CELLS + 1);
  readonly rows: Uint32Array;

  constructor(
    readonly x: Uint16Array,
    readonly y: Uint16Array,
  ) {
    const n = x.length;
    const cells = new Uint16Array(n);
    let placed = 0;
    for (let row = 0; row < n; row++) {
      if (x[row] === NO_POSITION) continue;
      const cell = ((y[row]! >> SHIFT) << SHIFT) | (x[row]! >> SHIFT);
      cells[row] = cell;
      this.starts[cell + 1]!++;
      placed++;
    }
    for (let i = 0; i < CELLS * CELLS; i++) this.starts[i + 1]! += this.starts[i]!;
    this.rows = new Uint32Array(placed);
    const at = this.starts.slice(0, CELLS * CELLS);
    for (let row = 0; row < n; row++) if (x[row] !== NO_POSITION) this.rows[at[cells[row]!]!++] = row;
  }

  /** The nearest row within a radius (unit lengths a pixel per axis given), or null. */
  nearest(
    ux: number,
    uy: number,
    radiusX: number,
    radiusY: number,
    accepts: (row: number) => boolean,
  ): number | null {
    let best: number | null = null;
    let bestDistance = 1;
    this.#cellsIn(ux - radiusX, uy - radiusY, ux + radiusX, uy + radiusY, (cell) => {
      for (let i = this.starts[cell]!; i < this.starts[cell + 1]!; i++) {
        const row = this.rows[i]!;
        const dx = (this.x[row]! / STEPS - ux) / radiusX;
        const dy = (this.y[row]! / STEPS - uy) / radiusY;
        const distance = dx * dx + dy * dy;
        if (distance <= bestDistance && accepts(row)) {
          best = row;
          bestDistance = distance;
        }
      }
    });
    return best;
  }

  /** Visit the rows inside a box, cell by cell, until `visit` says false. */
  within(x0: number, y0: number, x1: number, y1: number, visit: (row: number) => boolean): void {
    const [fromX, toX, toY] = [cellOf(x0), cellOf(x1), cellOf(y1)];
    for (let cy = cellOf(y0); cy <= toY; cy++)
      // The cells of a line follow one another, and so do their rows.
      for (let i = this.starts[(cy << SHIFT) | fromX]!; i < this.starts[((cy << SHIFT) | toX) + 1]!; i++) {
        const row = this.rows[i]!;
        const [x, y] = [this.x[row]! / STEPS, this.y[row]! / STEPS];
        if (x >= x0 && x <= x1 && y >= y0 && y <= y1 && !visit(row)) return;
      }
  }

  /** Rows inside a closed polygon given in unit coordinates [x0, y0, x1, y1, …], ascending. */
  inside(polygon: number[], accepts: (row: number) => boolean): Uint32Array {
    const crossed = crossedCells(polygon);
    const found = new Uint8Array(this.x.length);
    let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = 0; i < polygon.length; i += 2) {
      x0 = Math.min(x0, polygon[i]!);
      x1 = Math.max(x1, polygon[i]!);
      y0 = Math.min(y0, polygon[i + 1]!);
      y1 = Math.max(y1, polygon[i + 1]!);
    }
    let count = 0;
    // Between crossed cells nothing changes: one test answers for the whole run of a line of cells.
    let whole: boolean | null = null;
    let line = -1;
    this.#cellsIn(x0, y0, x1, y1, (cell, cx, cy) => {
      if (cy !== line) {
        line = cy;
        whole = null;
      }
      const onEdge = crossed[cell] === 1;
      if (onEdge) whole = null;
      else whole ??= contains(polygon, ((cx + 0.5) * 256) / STEPS, ((cy + 0.5) * 256) / STEPS);
      if (whole === false) return;
      for (let i = this.starts[cell]!; i < this.starts[cell + 1]!; i++) {
        const row = this.rows[i]!;
        if (!accepts(row) || (onEdge && !contains(polygon, this.x[row]! / STEPS, this.y[row]! / STEPS))) continue;
        found[row] = 1;
        count++;
      }
    });
    const rows = new Uint32Array(count);
    for (let row = 0, at = 0; at < count; row++) if (found[row]) rows[at++] = row;
    return rows;
  }

  #cellsIn(
    x0: number,
    y0: number,
    x1: number,
    y1: number,
    visit: (cell: number, cx: number, cy: number) => void,
  ): void {
    const fromX = cellOf(x0);
    const toX = cellOf(x1);
    for (let cy = cellOf(y0); cy <= cellOf(y1); cy++)
      for (let cx = fromX; cx <= toX; cx++) visit((cy << SHIFT) | cx, cx, cy);
  }
}

function cellOf(unit: number): number {
  return Math.min(CELLS - 1, Math.max(0, Math.floor((unit * STEPS) / 256)));
}

/** Even-odd rule; a point on a left or bottom edge is inside. */
export function contains(polygon: number[], x: number, y: number): boolean {
  let inside = false;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const yi = polygon[i + 1]!;
    const yj = polygon[j + 1]!;
    if (yi > y !== yj > y) {
      const xi = polygon[i]!;
      if (x < ((polygon[j]! - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
    }
  }
  return inside;
}

/** Cells that an edge may touch: walked row by row, one cell of slack to each side. */
function crossedCells(polygon: number[]): Uint8Array {
  const cells = new Uint8Array(CELLS * CELLS);
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const [ax, ay, bx, by] = [polygon[j]!, polygon[j + 1]!, polygon[i]!, polygon[i + 1]!];
    const steps = Math.max(1, Math.ceil(Math.max(Math.abs(bx - ax), Math.abs(by - ay)) * CELLS * 2));
    for (let s = 0; s <= steps; s++) {
      const cx = cellOf(ax + ((bx - ax) * s) / steps);
      const cy = cellOf(ay + ((by - ay) * s) / steps);
      for (let dy = -1; dy <= 1; dy++)
        for (let dx = -1; dx <= 1; dx++) {
          const [nx, ny] = [cx + dx, cy + dy];
          if (nx >= 0 && ny >= 0 && nx < CELLS && ny < CELLS) cells[(ny << SHIFT) | nx] = 1;
        }
    }
  }
  return cells;
}
