// All state of one explorer. Synced state (traits) and browser-only state are kept apart:
// hover, viewport, caches, drafts and toasts never cross to Python.

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { EMPTY, type FilterSpec } from "../protocol/filter";
import type { Column, Job, Sort, Spec, Tag } from "../protocol/messages";
import type { Verdicts } from "./verdicts";

export interface Toast {
  id: number;
  text: string;
  hint: string;
  kind: "error" | "info";
  /** Offers to take back the edit it tells of. */
  undo: boolean;
}
export interface Positions {
  key: string;
  x: Uint16Array;
  y: Uint16Array;
  layout: string;
  name: string;
}
/** Results of one evaluation of the filter over all rows. */
export interface Result {
  flags: Uint8Array;
  visible: Uint32Array;
  matching: number;
  /** Counts by code or bin of each shown facet, without the facet's own filter. */
  counts: Map<string, Uint32Array>;
  /** The same counts with no filter at all. */
  base: Map<string, Uint32Array>;
  tagCounts: Map<string, number>;
  untagged: number;
}

export class Store {
  // synced with Python
  readonly spec = signal<Spec>(null as unknown as Spec);
  readonly filter = signal<FilterSpec>(EMPTY);
  readonly color = signal<string | null>(null);
  readonly sort = signal<Sort | null>(null);
  readonly embedding = signal<string | null>(null);
  readonly layout = signal<string | null>(null);
  readonly tile = signal(96);
  /** Whether the map shows pictures where there is room for them. */
  readonly pictures = signal(true);
  /** What names the map's clusters: `"color"` for the column that colours it, a column, `"tags"`, or null for none. */
  readonly labels = signal<string | null>("color");
  readonly facets = signal<string[] | null>(null);
  readonly height = signal(640);
  // browser only
  /** Counts the levels that were shown: what was asked for before the last change is out of date. */
  readonly generation = signal(0);
  /** The level that was asked for and is not shown yet. */
  readonly switching = signal<string | null>(null);
  readonly verdicts = signal<Verdicts | null>(null);
  readonly iou = signal(0.5);
  readonly confidence = signal(0);
  /** Whether matrix and curves are shown. */
  readonly panel = signal(false);
  /** The run whose predictions an open image shows. */
  readonly run = signal<string | null>(null);
  readonly codes = signal(new Map<string, Uint8Array>());
  readonly positions = signal<Positions | null>(null);
  readonly hidden = signal<Uint8Array | null>(null);
  readonly order = signal<Uint32Array | null>(null);
  readonly tagMasks = signal(new Map<string, Uint8Array>());
  readonly tags = signal<Tag[]>([]);
  readonly undo = signal<string | null>(null);
  readonly redo = signal<string | null>(null);
  readonly selected = signal<Uint8Array>(new Uint8Array(0));
  readonly selectedCount = signal(0);
  readonly result = signal<Result | null>(null);
  readonly job = signal<Job | null>(null);
  readonly hovered = signal<number | null>(null);
  readonly focused = signal<number | null>(null);
  readonly detail = signal<number | null>(null);
  /** How objects are drawn in the open image: pixels of the line, opacity of the fill. */
  readonly line = signal(2);
  readonly fill = signal(0.2);
  readonly busy = signal(false);
  readonly saving = signal(0);
  readonly stale = signal<string | null>(null);
  /** No kernel answered since the explorer was opened: it may be busy, or there is none, as in a saved notebook. */
  readonly unanswered = signal(false);
  /** Nothing was heard since a request ran out of time: a long cell, or a kernel that is not there any more. */
  readonly silent = signal(false);
  readonly notice = signal<string | null>(null);
  readonly toasts = signal<Toast[]>([]);
  readonly announcement = signal("");
  readonly help = signal(false);
  readonly dark = signal(false);

  /** Forget what belongs to the level that was shown. */
  leaveLevel(): void {
    this.generation.value++;
    this.selected.value = new Uint8Array(0);
    this.selectedCount.value = 0;
    this.filter.value = EMPTY;
    this.codes.value = new Map();
    this.tagMasks.value = new Map();
    for (const one of [this.color, this.sort, this.embedding, this.layout, this.facets, this.verdicts, this.positions, this.hidden, this.order, this.result, this.hovered, this.focused, this.detail])
      (one as Signal<unknown>).value = null;
  }

  /** What a row is called: one, and several. */
  readonly noun = computed(() => this.spec.value.noun ?? "image");
  readonly nouns = computed(() => plural(this.noun.value));
  readonly columns: ReadonlySignal<Map<string, Column>> = computed(
    () => new Map(this.spec.value.columns.map((c) => [c.name, c])),
  );
  /** Facets in the side panel: the user's choice, or the defaults. */
  readonly shownFacets: ReadonlySignal<Column[]> = computed(() => {
    const chosen = this.facets.value;
    const columns = this.spec.value.columns.filter((c) => c.kind !== "text");
    if (chosen) return chosen.flatMap((name) => columns.filter((c) => c.name === name));
    return columns.filter((c) => c.default);
  });
}

function plural(noun: string): string {
  return noun.endsWith("s") ? `${noun}es` : `${noun}s`;
}
