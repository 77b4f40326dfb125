// What a page holds: columns, texts, tags, maps, neighbours, pictures and overlays, unpacked when they are needed.

import type { FilterSpec } from "../protocol/filter";
import type { DetailObject, Session, Skeleton, Spec, ThumbShape, UiTrait } from "../protocol/messages";
import { asF32, asU16, asU32, unpackBits } from "../transport/wire";
import type { Mask } from "../state/crossfilter";
import { type Pack, readPack, type Source } from "./pack";

const MISSING = 0xffffffff;
/** Unpacked blocks that are kept: one is some megabytes at most. */
const MOST_BLOCKS = 24;

interface PackedColumn {
  bits?: 32 | 64;
  values?: number;
  texts?: string[];
  places?: number;
  codes?: number;
}
interface Album {
  n: number;
  /** The picture of each row; null where it is the row's own number. */
  of: number | null;
}
export interface Head {
  version: number;
  page: { id: string; title: string; made: string };
  project: { id: string; name: string };
  level: string;
  key: string;
  spec: Spec;
  session: Session;
  filter: FilterSpec;
  answers: Record<string, [number, number]>;
  selected: { enc: string; n: number; data: number };
  ui: UiTrait;
  columns: Record<string, PackedColumn>;
  searched: string[];
  tags: { name: string; color: string | null; rows: number }[];
  maps: { name: string; layout: string; x: number; y: number }[];
  near: { name: string; k: number; rows: number; distances: number }[];
  verdicts: { n: number; label_bytes: number; tables: number[] } | null;
  chunk: number;
  overlays: boolean;
  run: string | null;
  skeletons: Record<string, Skeleton>;
  albums: { tiles: Album; images: Album | null };
  sizes: [number, number];
}
interface Found {
  objects: DetailObject[];
  buffers: number[];
  predictions?: DetailObject[];
  predicted_buffers?: number[];
}
/** A column as it is: numbers, NaN where there is none, or texts in the order of Polars. */
export type Values =
  | { kind: "number"; single: boolean; at: Float32Array | Float64Array }
  | { kind: "text"; texts: readonly string[]; places: Uint32Array };

export interface Overlay {
  objects: DetailObject[];
  predictions: DetailObject[];
  predictions_buffer: number;
  buffers: Uint8Array[];
}

export class PageData {
  #values = new Map<string, Values>();
  #blocks = new Map<string, Promise<Pack<never> | null>>();

  private constructor(
    readonly source: Source,
    readonly pack: Pack<Head>,
  ) {}

  static async open(source: Source): Promise<PageData> {
    const bytes = source("data");
    if (!bytes) throw new Error("This file was cut short: it holds no data.");
    const data = new PageData(source, await readPack<Head>(bytes));
    if (data.head.version !== 1) throw new Error("This page was made by another version.");
    return data;
  }

  get head(): Head {
    return this.pack.head;
  }

  get n(): number {
    return this.head.spec.n;
  }

  get collects(): boolean {
    return this.head.spec.offline?.collects ?? false;
  }

  /** Whether a column came with this page. */
  has(name: string): boolean {
    return name in this.head.columns;
  }

  values(name: string): Values {
    const known = this.#values.get(name);
    if (known) return known;
    const column = this.head.columns[name];
    if (!column) throw new Error(`There is no column “${name}” in this page.`);
    const values: Values =
      column.texts && column.places !== undefined
        ? { kind: "text", texts: column.texts, places: asU32(this.pack.buffer(column.places)) }
        : { kind: "number", single: column.bits === 32, at: column.bits === 32 ? asF32(this.pack.buffer(column.values!)) : asF64(this.pack.buffer(column.values!)) };
    this.#values.set(name, values);
    return values;
  }

  codes(name: string): Uint8Array {
    const at = this.head.columns[name]?.codes;
    if (at === undefined) throw new Error(`The column “${name}” has no codes in this page.`);
    return this.pack.buffer(at);
  }

  /** A text of a row; null where there is none. */
  text(name: string, row: number): string | null {
    if (!this.has(name)) return null;
    const values = this.values(name);
    if (values.kind === "number") return null;
    const place = values.places[row]!;
    return place === MISSING ? null : values.texts[place]!;
  }

  id(row: number): string {
    return this.text(this.head.key, row) ?? "";
  }

  tags(): Map<string, Uint8Array> {
    return new Map(this.head.tags.map((tag) => [tag.name, unpackBits(this.pack.buffer(tag.rows), this.n)]));
  }

  /** The answer to an expression of Polars, as it was when the page was made. */
  answer(key: string): Mask {
    const places = this.head.answers[key];
    if (!places) throw new Error("An expression of a notebook is not in this page.");
    const mask = unpackBits(this.pack.buffer(places[0]), this.n);
    const nulls = unpackBits(this.pack.buffer(places[1]), this.n);
    for (let row = 0; row < this.n; row++) if (nulls[row]) mask[row] = 2;
    return mask;
  }

  near(name: string, row: number, k: number): { rows: Uint32Array; distances: Float32Array } {
    const found = this.head.near.find((n) => n.name === name);
    if (!found) return { rows: new Uint32Array(0), distances: new Float32Array(0) };
    const start = row * found.k;
    const rows = asU32(this.pack.buffer(found.rows)).subarray(start, start + Math.min(k, found.k));
    const end = rows.indexOf(MISSING);
    const n = end < 0 ? rows.length : end;
    return { rows: rows.slice(0, n), distances: asF32(this.pack.buffer(found.distances)).slice(start, start + n) };
  }

  map(name: string, layout: string): [Uint16Array, Uint16Array] {
    const found = this.head.maps.find((m) => m.name === name && m.layout === layout) ?? this.head.maps.find((m) => m.name === name);
    if (!found) throw new Error("That map is not in this page.");
    return [asU16(this.pack.buffer(found.x)), asU16(this.pack.buffer(found.y))];
  }

  // -- pictures ---------------------------------------------------------------------------

  /** The number of the whole image that a row is, or lies on. */
  image(row: number): number {
    const of = this.head.albums.images?.of;
    return of === null || of === undefined ? row : asU32(this.pack.buffer(of))[row]!;
  }

  size(image: number): [number, number] {
    const [w, h] = this.head.sizes;
    return [asU32(this.pack.buffer(w))[image]!, asU32(this.pack.buffer(h))[image]!];
  }

  async tile(row: number): Promise<Uint8Array> {
    const { of } = this.head.albums.tiles;
    // Where tiles are those of whole images they lie in the same blocks.
    return this.#picture("tiles", of === null ? row : asU32(this.pack.buffer(of))[row]!);
  }

  async wholeImage(row: number): Promise<Uint8Array> {
    const { images, tiles } = this.head.albums;
    return images && tiles.of === null ? this.#picture("images", this.image(row)) : this.tile(row);
  }

  async #picture(album: string, at: number): Promise<Uint8Array> {
    const { chunk } = this.head;
    const pack = await this.#block<{ ends: number; pictures: number }>(`${album}-${Math.floor(at / chunk)}`);
    if (!pack) return new Uint8Array(0);
    const ends = asU32(pack.buffer(pack.head.ends));
    const i = at % chunk;
    return pack.buffer(pack.head.pictures).subarray(i ? ends[i - 1]! : 0, ends[i]!);
  }

  /** The outline of the object that a row is, in its tile. */
  async shape(row: number): Promise<ThumbShape | null> {
    const { chunk } = this.head;
    const pack = await this.#block<{ shapes: (ThumbShape | null)[] }>(`tiles-shapes-${Math.floor(row / chunk)}`);
    return pack?.head.shapes[row % chunk] ?? null;
  }

  async overlay(row: number): Promise<Overlay> {
    const none = { objects: [], predictions: [], predictions_buffer: 0, buffers: [new Uint8Array(0)] };
    if (!this.head.overlays) return none;
    const { chunk } = this.head;
    const image = this.image(row);
    const pack = await this.#block<{ found: Found[] }>(`overlays-${Math.floor(image / chunk)}`);
    const found = pack?.head.found[image % chunk];
    if (!pack || !found) return none;
    // Coordinates first, then the runs of masks, those of predictions after those of labels.
    const own = found.buffers.length ? found.buffers : [-1];
    const buffers = [...own, ...(found.predicted_buffers ?? [])].map((b) => (b < 0 ? new Uint8Array(0) : pack.buffer(b)));
    const predictions = (found.predictions ?? []).map((p) => (p.mask ? { ...p, mask: { ...p.mask, b: p.mask.b + own.length } } : p));
    return { objects: found.objects, predictions, predictions_buffer: own.length, buffers };
  }

  #block<T>(name: string): Promise<Pack<T> | null> {
    let block = this.#blocks.get(name);
    if (block) this.#blocks.delete(name);
    else {
      const bytes = this.source(name);
      block = bytes ? readPack<never>(bytes) : Promise.resolve(null);
    }
    this.#blocks.set(name, block);
    if (this.#blocks.size > MOST_BLOCKS) this.#blocks.delete(this.#blocks.keys().next().value!);
    return block as Promise<Pack<T> | null>;
  }
}

function asF64(bytes: Uint8Array): Float64Array {
  const whole = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  return new Float64Array(whole.buffer, whole.byteOffset, whole.byteLength >> 3);
}
