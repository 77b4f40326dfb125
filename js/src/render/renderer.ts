// What draws points: implemented by WebGL2 and, where that is missing, by a 2-D canvas.

import type { Camera } from "./camera";

export const PASSES = 1;
export const SELECTED = 2;
export const HIDDEN = 4;
/** The last code that stands for a value: 254 is "other", 255 is none, and both lie below the rest. */
export const LAST_VALUE = 253;

export interface PointRenderer {
  readonly kind: "webgl2" | "canvas2d";
  setPoints(x: Uint16Array, y: Uint16Array): void;
  setCodes(codes: Uint8Array | null): void;
  setFlags(flags: Uint8Array): void;
  setPalette(palette: Uint8Array): void;
  /** Draw to a 2-D canvas of `ratio` device pixels a CSS pixel; `most` limits the points. */
  draw(target: CanvasRenderingContext2D, camera: Camera, ratio: number, size: number, most: number): void;
  dispose(): void;
}
