// Pictures on the map: planned when the camera rests, drawn where their points are, hit before the points.

import type { ThumbShape } from "../protocol/messages";
import type { Camera } from "./camera";
import type { GridIndex } from "./grid-index";
import { SELECTED } from "./renderer";
import { declutter, mostCrowded, type Placed, rowsInView, sideFor } from "./thumb-plan";

/** Where pictures come from: asked for in batches, and here at once or later. */
export interface MapPictures {
  need(rows: number[]): void;
  /** The decoded picture, null where there is none, undefined while it is on its way. */
  picture(row: number): HTMLImageElement | null | undefined;
  outline(row: number): { shape: ThumbShape; color: string } | null;
}
export interface ThumbStyle {
  map: string;
  tile: string;
  border: string;
  accent: string;
  accentText: string;
  palette: Uint8Array;
}

const RING_PX = 3;
const HALO_PX = 1.5;
const BADGE_PX = 8;
const OUTLINE_HALO = "rgba(0, 0, 0, 0.6)";

export class MapThumbs {
  #placed: Placed[] = [];
  #side = 0;
  #paths = new Map<string, Path2D>();

  constructor(readonly pictures: MapPictures) {}

  get count(): number {
    return this.#placed.length;
  }

  get side(): number {
    return this.#side;
  }

  clear(): void {
    this.#placed = [];
    this.#paths.clear();
  }

  /** Choose which rows show their picture, and ask for these pictures. */
  plan(index: GridIndex, camera: Camera, accepts: (row: number) => boolean, flags: Uint8Array): void {
    const rows = rowsInView(index, camera, accepts, mostCrowded(camera));
    if (!rows?.length) return this.clear();
    const before = this.#placed.map((p) => p.row);
    const chosen = (row: number): boolean => (flags[row]! & SELECTED) !== 0;
    this.#side = sideFor(rows.length, camera);
    this.#placed = declutter(index, camera, rows, this.#side, [...before.filter(chosen), ...rows.filter(chosen), ...before]);
    this.pictures.need(this.#placed.map((p) => p.row));
  }

  /** The row whose picture lies under a place. */
  hit(camera: Camera, px: number, py: number): number | null {
    for (const { row, x, y } of this.#placed) {
      const [cx, cy] = camera.toScreen(x, y);
      const [w, h] = this.#size(row);
      if (Math.abs(px - cx) <= w / 2 + RING_PX && Math.abs(py - cy) <= h / 2 + RING_PX) return row;
    }
    return null;
  }

  /** Where a row's picture is drawn: its middle and half its sides; null where none is. */
  box(camera: Camera, row: number): [x: number, y: number, w: number, h: number] | null {
    const placed = this.#placed.find((p) => p.row === row);
    if (!placed) return null;
    const [x, y] = camera.toScreen(placed.x, placed.y);
    const [w, h] = this.#size(row);
    return [x - w / 2, y - h / 2, w, h];
  }

  /** What all pictures cover, with their frames. */
  boxes(camera: Camera): [left: number, top: number, right: number, bottom: number][] {
    return this.#placed.map(({ row, x: ux, y: uy }) => {
      const [x, y] = camera.toScreen(ux, uy);
      const [w, h] = this.#size(row);
      return [x - w / 2 - RING_PX, y - h / 2 - RING_PX, x + w / 2 + RING_PX, y + h / 2 + RING_PX];
    });
  }

  /** All of the picture within the square that is its own. */
  #size(row: number): [w: number, h: number] {
    const picture = this.pictures.picture(row);
    if (!picture) return [this.#side, this.#side];
    const scale = this.#side / Math.max(picture.naturalWidth, picture.naturalHeight, 1);
    return [picture.naturalWidth * scale, picture.naturalHeight * scale];
  }

  draw(context: CanvasRenderingContext2D, camera: Camera, style: ThumbStyle, codes: Uint8Array | null, flags: Uint8Array): void {
    const frame = (x: number, y: number, w: number, h: number, by: number, color: string): void => {
      context.fillStyle = color;
      context.fillRect(x - by, y - by, w + 2 * by, h + 2 * by);
    };
    for (const { row, x: ux, y: uy } of this.#placed) {
      const [cx, cy] = camera.toScreen(ux, uy);
      const picture = this.pictures.picture(row);
      const [w, h] = this.#size(row);
      const [x, y] = [Math.round(cx - w / 2), Math.round(cy - h / 2)];
      if (x > camera.width || y > camera.height || x + w < 0 || y + h < 0) continue;
      const selected = (flags[row]! & SELECTED) !== 0;
      const code = codes?.[row];
      const color = code === undefined ? style.border : rgb(style.palette, code);
      if (selected) {
        frame(x, y, w, h, 2 * RING_PX, style.map);
        frame(x, y, w, h, 2 * RING_PX - HALO_PX, style.accent);
        frame(x, y, w, h, RING_PX, style.map);
      } else frame(x, y, w, h, RING_PX + HALO_PX, style.map);
      frame(x, y, w, h, code === undefined ? 1 : RING_PX - 0.5, color);
      if (picture) context.drawImage(picture, x, y, w, h);
      else frame(x, y, w, h, 0, style.tile);
      if (picture) this.#outline(context, row, x, y, w, h);
      if (selected) check(context, x + w - 1, y + 1, style);
    }
  }

  #outline(context: CanvasRenderingContext2D, row: number, x: number, y: number, w: number, h: number): void {
    const own = this.pictures.outline(row);
    if (!own) return;
    let path = this.#paths.get(own.shape.d);
    if (!path) this.#paths.set(own.shape.d, (path = new Path2D(own.shape.d)));
    const [sx, sy] = [w / own.shape.w, h / own.shape.h];
    context.save();
    context.beginPath();
    context.rect(x, y, w, h);
    context.clip();
    context.translate(x, y);
    context.scale(sx, sy);
    context.lineWidth = 3 / sx;
    context.strokeStyle = OUTLINE_HALO;
    context.stroke(path);
    context.lineWidth = 1.5 / sx;
    context.strokeStyle = own.color;
    context.stroke(path);
    context.restore();
  }
}

/** What is selected is told by a mark as well, not by a colour alone. */
function check(context: CanvasRenderingContext2D, x: number, y: number, style: ThumbStyle): void {
  context.beginPath();
  context.arc(x, y, BADGE_PX, 0, 2 * Math.PI);
  context.fillStyle = style.accent;
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = style.map;
  context.stroke();
  context.beginPath();
  context.moveTo(x - 3.5, y);
  context.lineTo(x - 1, y + 3);
  context.lineTo(x + 4, y - 3);
  context.lineWidth = 2;
  context.strokeStyle = style.accentText;
  context.stroke();
}

function rgb(palette: Uint8Array, code: number): string {
  return `rgb(${palette[4 * code]}, ${palette[4 * code + 1]}, ${palette[4 * code + 2]})`;
}
