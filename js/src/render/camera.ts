// Where the map is looked at: unit square (0..1, y up) to CSS pixels and back.

export const LEAST_ZOOM = 0.5;
export const MOST_ZOOM = 2000;
const MARGIN = 0.04;
/** Room above and below for the tools and the legend. */
const BAND_PX = 42;
const LEAST_SHARE = 0.6;

/** A part of the unit square: its middle and its sides. */
export interface Home {
  x: number;
  y: number;
  w: number;
  h: number;
}
export const EVERYTHING: Home = { x: 0.5, y: 0.5, w: 1, h: 1 };

export class Camera {
  /** What fills the pane at zoom 1. */
  home = EVERYTHING;
  x = 0.5;
  y = 0.5;
  zoom = 1;
  width = 1;
  height = 1;

  get scaleX(): number {
    return (this.width * (1 - 2 * MARGIN) * this.zoom) / this.home.w;
  }

  get scaleY(): number {
    return (Math.max(this.height * LEAST_SHARE, this.height - 2 * BAND_PX) * this.zoom) / this.home.h;
  }

  /** Zoomed out this far everything there is lies on the screen, twice over. */
  get leastZoom(): number {
    return LEAST_ZOOM * this.zoomOfAll;
  }

  /** The zoom at which the whole unit square fits. */
  get zoomOfAll(): number {
    return Math.min(this.home.w, this.home.h);
  }

  get isHome(): boolean {
    return this.zoom === 1 && this.x === this.home.x && this.y === this.home.y;
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
    this.zoom = Math.min(MOST_ZOOM, Math.max(this.leastZoom, this.zoom * factor));
    const [vx, vy] = this.toUnit(px, py);
    this.x += ux - vx;
    this.y += uy - vy;
  }

  fit(): void {
    [this.x, this.y, this.zoom] = [this.home.x, this.home.y, 1];
  }

  /** Show the whole unit square, far points too. */
  fitAll(): void {
    [this.x, this.y, this.zoom] = [EVERYTHING.x, EVERYTHING.y, this.zoomOfAll];
  }
}
