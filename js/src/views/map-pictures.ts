// Pictures for the map: asked for with those of the grid, decoded aside so that no frame waits for one.

import type { ThumbShape } from "../protocol/messages";
import type { MapPictures } from "../render/map-thumbs";
import type { Explorer } from "../state/explorer";
import { shapeColor } from "./Thumb";

const MOST_KEPT = 1024;

export class DecodedPictures implements MapPictures {
  #images = new Map<number, { url: string; image: HTMLImageElement; ready: boolean }>();

  constructor(
    readonly explorer: Explorer,
    readonly arrived: () => void,
  ) {}

  need(rows: number[]): void {
    this.explorer.thumbs.need(rows);
  }

  picture(row: number): HTMLImageElement | null | undefined {
    const known = this.#images.get(row);
    const url = this.explorer.thumbs.url(row);
    if (known && (url === undefined || url === known.url)) return known.ready ? known.image : undefined;
    if (url === undefined) return undefined;
    if (url === "") return null;
    const image = new Image();
    const made = { url, image, ready: false };
    this.#images.set(row, made);
    if (this.#images.size > MOST_KEPT) this.#images.delete(this.#images.keys().next().value!);
    image.src = url;
    image.decode().then(
      () => {
        made.ready = true;
        this.arrived();
      },
      () => this.#images.delete(row), // let go by the batcher before it was decoded: asked for again
    );
    return undefined;
  }

  outline(row: number): { shape: ThumbShape; color: string } | null {
    const shape = this.explorer.thumbs.shape(row);
    return shape && { shape, color: shapeColor(this.explorer, row, shape) };
  }

  clear(): void {
    this.#images.clear();
  }
}
