// The wire's types: wire keys are the same on both sides.

import type { FilterSpec } from "./filter";

export interface HistogramSpec {
  lo: number;
  step: number;
  bins: number;
  decimals: number;
}
export interface Column {
  name: string;
  title: string;
  kind: "number" | "category" | "text";
  group: string;
  unit: string;
  direction: string;
  about: string;
  range: [number | null, number | null] | null;
  nulls: number;
  default: boolean;
  hist?: HistogramSpec;
  levels?: string[];
  counts?: number[];
}
export interface Tag {
  name: string;
  color: string | null;
  count: number;
  key: number | null;
}
export interface Job {
  id: string;
  title: string;
  stage: string;
  done: number;
  total: number;
  rate: number | null;
  eta: number | null;
  state: "running" | "done" | "failed" | "cancelled";
  message: string;
}
export interface EmbeddingInfo {
  name: string;
  dim: number;
  layouts: string[];
  key: string;
}
export interface Saved {
  name: string;
  filter: FilterSpec;
}
/** Where the sliders of a run stand. */
export interface ModelState {
  iou: number;
  confidence: number;
}
export interface ModelSpec {
  run: string;
  kind: "detection" | "classification";
  /** Changes when the verdicts do. */
  key: string;
  thresholds: number[];
  state: ModelState;
  classes: string[];
  /** What the place without a label or a prediction is called: no class has this name. */
  nothing: string;
  /** Labels to find, by class. */
  labels: number[];
  outcomes: string[];
  reasons: string[];
  scores: { name: string; value: number | null }[];
}
/** A queue of questions about labels, as the explorer is told of it. */
export interface ReviewSpec {
  id: string;
  title: string;
  /** The level whose rows the entries belong to. */
  level?: string;
  total: number;
  done: number;
  kinds: string[];
  open: boolean;
  decidable: boolean;
}
/** One question: what a label says, and what is suggested instead. */
export interface ReviewEntry {
  i: number;
  row: number;
  id: string;
  name: string;
  uri: string;
  width: number | null;
  height: number | null;
  kind: "" | "class" | "missed" | "spurious" | "location" | "duplicate";
  given: string | null;
  suggested: string | null;
  score: number | null;
  reason: string;
  decision: number;
  /** What the label says now. */
  class_name: string | null;
  tags: string[];
  note: string | null;
  label: DetailObject | null;
  suggestion: DetailObject | null;
  others: DetailObject[];
}
/** Duplicates as stacks, as the explorer is told of them. */
export interface StacksSpec {
  open: boolean;
  threshold: number;
  /** Where the slider ends. */
  most: number;
  rule: string;
  rules: { id: string; title: string }[];
  kinds: string[];
}
export interface Spec {
  n: number;
  alive: number;
  revision: number;
  level: string;
  levels: { id: string; title: string; n: number; run?: string }[];
  /** At the level of a run that can be compared with labels. */
  model?: ModelSpec | null;
  /** What one row is: "image", "object" or "class". */
  noun?: string;
  /** Names offered for relabelling rows of this level; missing where they have no class. */
  classes?: string[] | null;
  project: { name: string; path: string };
  columns: Column[];
  embeddings: EmbeddingInfo[];
  tags: Tag[];
  saved: Saved[];
  base: { n: number } | null;
  state: "empty" | "raw" | "ready";
  job: Job | null;
  problems: number;
  undo: string | null;
  redo: string | null;
  /** What lies over map and grid. */
  panels?: { review?: ReviewSpec; stacks?: StacksSpec };
  /** In an exported page: there is no Python, and tags are collected or left alone. */
  offline?: { collects: boolean };
}
export interface Session {
  proto: number;
  id: string;
  version: string;
}
export interface SelectionTrait {
  rev: number;
  by: string;
  n: number;
  enc: string;
  data: unknown;
}
export interface FilterTrait {
  rev: number;
  by: string;
  spec: FilterSpec;
}
export interface Sort {
  by: string;
  desc: boolean;
}
export interface UiTrait {
  rev?: number;
  by?: string;
  color?: string | null;
  sort?: Sort | null;
  embedding?: string;
  layout?: string;
  tile?: number;
  pictures?: boolean;
  labels?: string | null;
  facets?: string[];
  model?: ModelState;
  split?: number;
}
export type Kind = "box" | "rotated_box" | "polygon" | "polyline" | "point" | "keypoints" | "mask" | "classification";
export interface DetailObject {
  id: string;
  row?: number | null;
  kind?: Kind;
  class_name: string | null;
  x: number;
  y: number;
  w: number;
  h: number;
  /** Degrees clockwise about the centre. */
  angle?: number | null;
  track_id?: string | null;
  /** Its coordinates: `n` floats from `at` in the first buffer. */
  at?: number;
  n?: number;
  rings?: number[] | null;
  holes?: number[] | null;
  visibility?: number[] | null;
  mask?: { b: number; w: number; h: number } | null;
  // Of predictions:
  confidence?: number | null;
  outcome?: string | null;
  reason?: string | null;
}
export interface Skeleton {
  names: string[];
  edges: [number, number][];
}
/** Outline of an object in the pixels of its thumbnail. */
export interface ThumbShape {
  w: number;
  h: number;
  d: string;
  closed: boolean;
  cls: string | null;
}
export interface Detail {
  row: number;
  id: string;
  uri: string;
  name: string;
  width: number | null;
  height: number | null;
  class_name: string | null;
  tags: string[];
  values: {
    name: string;
    value: number | string | boolean | null;
    percentile: number | null;
    unit: string;
    direction: string;
    metric: boolean;
  }[];
  objects: DetailObject[];
  predictions?: DetailObject[];
  /** The buffer that their coordinates lie in. */
  predictions_buffer?: number;
  runs?: string[];
  run?: string | null;
  /** What came with the answer: coordinates first, then runs of masks. */
  buffers?: Uint8Array[];
  skeletons?: Record<string, Skeleton>;
  /** Id of the object that this row is. */
  focus?: string | null;
  /** Missing where rows take no note. */
  note?: string | null;
  problems: string[];
}
export interface Edited {
  revision: number;
  tags: Tag[];
  undo: string | null;
  redo: string | null;
  text?: string;
}
