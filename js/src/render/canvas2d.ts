// Points on a plain 2-D canvas, for machines without WebGL2; above 50,000 a sample is drawn.

import type { Camera } from "./camera";
import { NO_POSITION } from "./grid-index";
import { LAST_VALUE, type PointRenderer } from "./renderer";

export const MOST_DRAWN = 50_000;
const STEPS = 65534;

export class Canvas2dPoints implements PointRenderer {
  readonly kind = "canvas2d" as const;
  #x: Uint16Array = new Uint16Array(0);
  #y: Uint16Array = new Uint16Array(0);
  #codes: Uint8Array | null = null;
  #flags: Uint8Array = new Uint8Array(0);
  #colors: string[] = [];

  setPoints(x: Uint16Array, y: Uint16Array): void {
    this.#x = x;
    this.#y = y;
  }

  setCodes(codes: Uint8Array | null): void {
    this.#codes = codes;
  }

  setFlags(flags: Uint8Array): void {
    this.#flags = flags;
  }

  setPalette(palette: Uint8Array): void {
    this.#colors = Array.from({ length: 256 }, (_, i) => {
      const [r, g, b, a] = palette.subarray(4 * i, 4 * i + 4);
      return `rgba(${r},${g},${b},${(a ?? 255) / 255})`;
    });
  }

  draw(target: CanvasRenderingContext2D, camera: Camera, ratio: number, size: number): void {
    const { canvas } = target;
    target.clearRect(0, 0, canvas.width, canvas.height);
    const n = this.#x.length;
    const stride = Math.max(1, Math.ceil(n / MOST_DRAWN));
    // What the filter leaves out, what has no value, what has one, what is selected: each above those before.
    for (const kind of [0, 1, 2, 3]) {
      const side = size * ratio * (kind === 3 ? 1.7 : kind === 0 ? 0.8 : 1);
      target.globalAlpha = kind === 0 ? 0.1 : 1;
      for (let row = 0; row < n; row++) {
        const flags = this.#flags[row] ?? 1;
        const own = !(flags & 1) ? 0 : flags & 2 ? 3 : (this.#codes?.[row] ?? 0) > LAST_VALUE ? 1 : 2;
        if (own !== kind || flags & 4 || this.#x[row] === NO_POSITION || (kind !== 3 && row % stride)) continue;
        const [px, py] = camera.toScreen(this.#x[row]! / STEPS, this.#y[row]! / STEPS);
        target.fillStyle = this.#colors[this.#codes?.[row] ?? 0] ?? "#888";
        target.fillRect(px * ratio - side / 2, py * ratio - side / 2, side, side);
      }
    }
    target.globalAlpha = 1;
  }

  dispose(): void {
    this.#x = this.#y = new Uint16Array(0);
  }
}
