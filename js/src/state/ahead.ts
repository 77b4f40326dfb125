// What a review shows next, fetched before it is asked for: texts by the dozen, the next pictures decoded.

import { signal } from "@preact/signals";
import type { ReviewEntry, Skeleton } from "../protocol/messages";
import { type Shape, PREDICTED, readShapes } from "../render/shapes";
import type { Reply } from "../transport/rpc";

export const MOST_ENTRIES = 64;
const MOST_FLYING = 2;
const MOST_KEPT = 1024;
const MOST_SIDE_PX = 2048;

export interface Question extends ReviewEntry {
  /** The given label, then the suggested shape, then the other labels of the image. */
  shapes: Shape[];
  /** What is asked about, to look at. */
  asked: Shape[];
}
export interface Picture {
  image: HTMLImageElement;
  width: number;
  height: number;
}
type Ask = <T>(op: string, content: Record<string, unknown>) => Promise<Reply<T>>;

export class Ahead {
  /** Changes when something came. */
  readonly arrived = signal(0);
  #entries = new Map<number, Question>();
  #asked = new Set<number>();
  #stale = new Set<number>();
  #pictures = new Map<number, Picture | string>();
  #loading = new Set<number>();
  #wanted: number[] = [];
  #era = 0;

  constructor(readonly ask: Ask) {}

  entry(i: number): Question | undefined {
    return this.#entries.get(i);
  }

  /** The picture of a row, why there is none, or undefined while it is on its way. */
  picture(row: number): Picture | string | undefined {
    return this.#pictures.get(row);
  }

  /** Fetch the texts of entries that are not here, or were changed since. */
  need(list: readonly number[]): void {
    const missing = list.filter((i) => (!this.#entries.has(i) || this.#stale.has(i)) && !this.#asked.has(i)).sort((a, b) => a - b);
    for (let first = 0; first < missing.length; ) {
      const at = missing[first]!;
      let last = first;
      while (last + 1 < missing.length && missing[last + 1]! < at + MOST_ENTRIES) last++;
      void this.#fetch(at, missing[last]! - at + 1);
      first = last + 1;
    }
  }

  /** Keep the pictures of these entries, the first ones first; all others are let go. */
  want(list: readonly number[]): void {
    this.#wanted = [...list];
    this.#pump();
  }

  /** The kernel changed these: what is here is shown until the new comes. */
  stale(list: readonly number[]): void {
    for (const i of list) if (this.#entries.has(i)) this.#stale.add(i);
  }

  /** All may have changed. */
  allStale(): void {
    this.stale([...this.#entries.keys()]);
  }

  clear(): void {
    this.#era++;
    for (const row of this.#pictures.keys()) this.#drop(row);
    for (const kept of [this.#entries, this.#asked, this.#stale, this.#pictures, this.#loading]) kept.clear();
    this.#wanted = [];
  }

  async #fetch(at: number, count: number): Promise<void> {
    const era = this.#era;
    const range = Array.from({ length: count }, (_, k) => at + k);
    for (const i of range) {
      this.#asked.add(i);
      this.#stale.delete(i); // what changes from now on is stale again
    }
    const reply = await this.ask<{ entries: ReviewEntry[]; skeletons?: Record<string, Skeleton> }>("review.get", { at, count }).catch(() => null);
    if (era !== this.#era) return;
    for (const i of range) this.#asked.delete(i);
    if (!reply) return;
    for (const entry of reply.head.entries) {
      this.#entries.delete(entry.i);
      this.#entries.set(entry.i, questionOf(entry, reply.buffers, reply.head.skeletons));
    }
    for (const i of this.#entries.keys()) {
      if (this.#entries.size <= MOST_KEPT) break;
      this.#entries.delete(i);
    }
    this.arrived.value++;
    this.#pump();
  }

  #pump(): void {
    const rows = [...new Set(this.#wanted.flatMap((i) => this.#entries.get(i)?.row ?? []))];
    for (const row of this.#pictures.keys()) if (!rows.includes(row) && this.#wanted.every((i) => this.#entries.has(i))) this.#drop(row);
    for (const row of rows) {
      if (this.#loading.size >= MOST_FLYING) return;
      if (!this.#pictures.has(row) && !this.#loading.has(row)) void this.#load(row);
    }
  }

  async #load(row: number): Promise<void> {
    const era = this.#era;
    this.#loading.add(row);
    let made: Picture | string;
    try {
      const { head, buffers } = await this.ask<{ w: number; h: number; mime: string; width: number | null; height: number | null }>("image.get", { row, max: MOST_SIDE_PX });
      const image = document.createElement("img");
      image.src = URL.createObjectURL(new Blob([buffers[0]!.slice()], { type: head.mime }));
      made = { image, width: head.width ?? head.w, height: head.height ?? head.h };
      await image.decode().catch(() => {
        URL.revokeObjectURL(image.src);
        made = "The browser cannot read it.";
      });
    } catch (error) {
      made = error instanceof Error ? error.message : String(error);
    }
    if (era !== this.#era) {
      if (typeof made !== "string") URL.revokeObjectURL(made.image.src);
      return;
    }
    this.#loading.delete(row);
    this.#pictures.set(row, made);
    this.arrived.value++;
    this.#pump();
  }

  #drop(row: number): void {
    const picture = this.#pictures.get(row);
    if (typeof picture === "object") URL.revokeObjectURL(picture.image.src);
    this.#pictures.delete(row);
  }
}

/** Read the shapes of an entry; those it does not ask about are drawn faint. */
function questionOf(entry: ReviewEntry, buffers: Uint8Array[], skeletons: Record<string, Skeleton> | undefined): Question {
  const read = (objects: ReviewEntry["others"]): Shape[] =>
    readShapes({ objects, buffers, skeletons: skeletons ?? {}, predictions: [] });
  const label = entry.label ? read([entry.label]) : [];
  // Where the class alone is in question, the shape that suggests it would only hide the label's.
  const drawn = entry.kind === "missed" || entry.kind === "location" ? entry.suggestion : null;
  const suggestion = drawn ? read([{ ...drawn, class_name: drawn.class_name ?? entry.suggested, confidence: drawn.confidence ?? null }]) : [];
  const others = read(entry.others);
  for (const shape of suggestion) shape.name = PREDICTED;
  for (const shape of others) shape.faint = true;
  const asked = [...label, ...suggestion].filter((s) => Number.isFinite(s.area));
  return { ...entry, shapes: [...others, ...label, ...suggestion], asked };
}
