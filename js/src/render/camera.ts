// Where the map is looked at: unit square (0..1, y up) to CSS pixels and back.

export const LEAST_ZOOM = 0.5;
export const MOST_ZOOM = 2000;
const MARGIN = 0.04;
/** Room above and below for the tools and the legend. */
const BAND_PX = 42;
const LEAST_SHARE = 0.6;

export class Camera {
  x = 0.5;
  y = 0.5;
  zoom = 1;
  width = 1;
  height = 1;

  get scaleX(): number {
    return this.width * (1 - 2 * MARGIN) * this.zoom;
  }

  get scaleY(): number {
    return Math.max(this.height * LEAST_SHARE, this.height - 2 * BAND_PX) * this.zoom;
  }

  toScreen(x: number, y: number): [number, number] {
    return [(x - this.x) * this.scaleX + this.width / 2, (this.y - y) * this.scaleY + this.height / 2];
  }

  toUnit(px: number, py: number): [number, number] {
    return [(px - this.width / 2) / this.scaleX + this.x, this.y - (py - this.height / 2) / this.scaleY];
  }

  pan(dx: number, dy: number): void {
    this.x -= dx / this.scaleX;
    this.y += dy / this.scaleY;
  }

  /** Zoom by a factor, keeping the point under the pointer where it is. */
  zoomAt(factor: number, px: number, py: number): void {
    const [ux, uy] = this.toUnit(px, py);
    this.zoom = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, this.zoom * factor));
    const [vx, vy] = this.toUnit(px, py);
    this.x += ux - vx;
    this.y += uy - vy;
  }

  fit(): void {
    this.x = 0.5;
    this.y = 0.5;
    this.zoom = 1;
  }
}
