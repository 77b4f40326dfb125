// Thumbnails: asked for in batches, newest first, at most two requests at a time, kept as blob URLs.

import type { ThumbShape } from "../protocol/messages";
import type { Reply, Rpc } from "../transport/rpc";
import { asU32 } from "../transport/wire";

export const MOST_PER_REQUEST = 64;
export const MOST_IN_FLIGHT = 2;
const MOST_BYTES = 64 * 1024 * 1024;

interface Picture {
  url: string;
  bytes: number;
  shape: ThumbShape | null;
}

interface Head {
  mime: string;
  shapes?: (ThumbShape | null)[];
}

export class Thumbs {
  #known = new Map<number, Picture>(); // in order of use: the first is the oldest
  #bytes = 0;
  #queue: number[] = [];
  #asked = new Set<number>();
  #flying = 0;
  #generation = 0;
  #listeners = new Set<() => void>();

  constructor(
    readonly rpc: Rpc,
    readonly ask: (rows: number[], gen: number) => Promise<Reply<Head>> = (rows, gen) => rpc.ask("thumbs.get", { gen }, [Uint32Array.from(rows)]),
  ) {}

  /** The URL of a row's picture, "" where there is none, undefined where it is not here yet. */
  url(row: number): string | undefined {
    const picture = this.#known.get(row);
    if (!picture) return undefined;
    this.#known.delete(row);
    this.#known.set(row, picture);
    return picture.url;
  }

  /** The outline of the object a row is, in the pixels of its picture. */
  shape(row: number): ThumbShape | null {
    return this.#known.get(row)?.shape ?? null;
  }

  onArrival(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ask for rows; what was asked before and not sent yet comes after. */
  need(rows: Iterable<number>): void {
    const fresh: number[] = [];
    for (const row of rows) if (!this.#known.has(row) && !this.#asked.has(row)) fresh.push(row);
    if (!fresh.length) return;
    const wanted = new Set(fresh);
    this.#queue = [...fresh, ...this.#queue.filter((row) => !wanted.has(row))].slice(0, 16 * MOST_PER_REQUEST);
    queueMicrotask(() => this.#pump());
  }

  /** Forget all pictures: the images changed. */
  clear(): void {
    this.#generation++;
    for (const picture of this.#known.values()) if (picture.url) URL.revokeObjectURL(picture.url);
    this.#known.clear();
    this.#asked.clear();
    this.#queue = [];
    this.#bytes = 0;
  }

  dispose(): void {
    this.clear();
    this.#listeners.clear();
  }

  #pump(): void {
    while (this.#flying < MOST_IN_FLIGHT && this.#queue.length) {
      const rows = this.#queue.splice(0, MOST_PER_REQUEST);
      for (const row of rows) this.#asked.add(row);
      const generation = this.#generation;
      this.#flying++;
      this.ask(rows, generation)
        .then(
          ({ head, buffers }) => {
            if (generation === this.#generation) this.#arrived(rows, head.mime, asU32(buffers[0]!), buffers[1]!, head.shapes);
          },
          () => {
            // Shown as missing; asked again when the tile comes back into view.
          },
        )
        .finally(() => {
          this.#flying--;
          if (generation === this.#generation) for (const row of rows) this.#asked.delete(row);
          this.#pump();
        });
    }
  }

  #arrived(rows: number[], mime: string, offsets: Uint32Array, data: Uint8Array, shapes?: (ThumbShape | null)[]): void {
    rows.forEach((row, i) => {
      const bytes = data.slice(offsets[i]!, offsets[i + 1]!);
      const url = bytes.length ? URL.createObjectURL(new Blob([bytes], { type: mime })) : "";
      this.#known.set(row, { url, bytes: bytes.length, shape: shapes?.[i] ?? null });
      this.#bytes += bytes.length;
    });
    for (const [row, picture] of this.#known) {
      if (this.#bytes <= MOST_BYTES) break;
      if (picture.url) URL.revokeObjectURL(picture.url);
      this.#known.delete(row);
      this.#bytes -= picture.bytes;
    }
    for (const listener of this.#listeners) listener();
  }
}
