// Answers what the explorer asks of Python, from what the page holds. What needs Python is refused in plain words.

import { type FilterSpec, polars } from "../protocol/filter";
import type { Column, Detail, Edited, FilterTrait, SelectionTrait, Tag, UiTrait } from "../protocol/messages";
import { encodeWhere, forEachRow } from "../protocol/selection";
import { type Answer, MemoryChannel } from "../transport/memory";
import { asU32 } from "../transport/wire";
import type { PageData } from "./data";
import { Collected } from "./edits";
import { filterMask, order } from "./filters";

type Content = Record<string, unknown>;
type Handler = (content: Content, buffers: Uint8Array[]) => Answer | Promise<Answer>;

const MOST_TAG_LETTERS = 200;
const NUMBER_KEYS = 9;
const MOST_IDS = 1000;
const ROOTS: Record<string, string> = { item: "p.items", object: "p.objects", classification: "p.classifications" };

export class Offline {
  readonly channel: MemoryChannel;
  readonly collected: Collected;
  /** Called when what is collected changed. */
  onEdit: () => void = () => {};

  constructor(readonly data: PageData) {
    this.collected = new Collected(data);
    const { spec, session, filter, selected, ui } = data.head;
    this.channel = new MemoryChannel(
      {
        _session: session,
        _spec: spec,
        _filter: { rev: 1, by: "py", spec: filter },
        _selection: { rev: 1, by: "py", n: selected.n, enc: selected.enc, data: selected.n ? data.pack.buffer(selected.data) : null },
        _ui: ui,
        height: 640,
      },
      (content, buffers) => {
        this.channel.sent.length = 0; // nobody reads what was asked
        const op = String(content["op"]);
        const answer = this.#answers[op];
        if (!answer) throw new Error(`This is a page without Python: ${WORDS[op] ?? op} works in a notebook only.`);
        return answer(content, buffers);
      },
    );
  }

  /** Take up what was collected before; false where it belongs to another page. */
  restore(text: string): boolean {
    if (!this.data.collects || !this.collected.restore(JSON.parse(text) as never)) return false;
    this.#publish();
    this.onEdit();
    return true;
  }

  readonly #answers: Record<string, Handler> = {
    "hello": () => ({ head: { session: this.data.head.session.id, revision: this.collected.revision } }),
    "sync": () => ({ head: { revision: this.collected.revision, what: [], job: null, saved: true } }),
    "base.get": () => ({ head: { n: this.data.n }, buffers: [encodeBits(new Uint8Array(this.data.n).fill(1))] }),
    "columns.get": (content) => this.#columns(content["names"] as string[], String(content["enc"])),
    "embedding.get": (content) => ({ head: { bounds: [0, 1, 0, 1], name: content["name"], layout: content["layout"] }, buffers: this.data.map(String(content["name"]), String(content["layout"])) }),
    "filter.eval": (content) => this.#filter(content["spec"] as FilterSpec),
    "order.get": (content) => ({ head: {}, buffers: [order((content["by"] as string | null) ?? null, content["desc"] === true, this.data)] }),
    "thumbs.get": (content, buffers) => this.#thumbs(content, asU32(buffers[0]!)),
    "image.get": (content) => this.#image(Number(content["row"])),
    "row.detail": (content) => this.#detail(Number(content["row"])),
    "rows.get": (content) => this.#records(content["rows"] as number[], (content["columns"] as string[] | null) ?? [this.data.head.key, "uri"]),
    "neighbors.get": (content) => {
      const { rows, distances } = this.data.near(String(content["embedding"]), Number(content["row"]), Number(content["k"]));
      return { head: {}, buffers: [rows, distances] };
    },
    "model.get": () => this.#verdicts(),
    "tags.get": () => this.#tags(),
    "tags.apply": (content, buffers) => {
      const { noun = "image" } = this.data.head.spec;
      const add = (content["add"] as string[]).map(tagName);
      return this.#edit(() => this.collected.tag(add, content["remove"] as string[], String(content["enc"]), buffers[0]!, [noun, plural(noun)]));
    },
    "tags.create": (content) => this.#edit(() => this.collected.create(tagName(String(content["name"])))),
    "notes.set": (content, buffers) => this.#edit(() => this.collected.note(String(content["text"]).trim(), String(content["enc"]), buffers[0]!)),
    "edits.undo": () => this.#step(false),
    "edits.redo": () => this.#step(true),
    "code.get": (content) => ({ head: { code: content["what"] === "selection" ? this.#selectionCode() : this.#viewCode() } }),
  };

  #columns(names: string[], enc: string): Answer {
    const buffers = names.map((name) => {
      if (enc !== "f32") return this.data.codes(name);
      const values = this.data.values(name);
      if (values.kind === "text") throw new Error(`“${name}” holds texts.`);
      return values.single ? (values.at as Float32Array) : Float32Array.from(values.at);
    });
    return { head: { columns: names.map((name) => ({ name, enc })) }, buffers };
  }

  #filter(spec: FilterSpec): Answer {
    const mask = filterMask(spec, this.data, this.collected);
    const nulls = mask.reduce((sum, v) => sum + (v === 2 ? 1 : 0), 0);
    const n = mask.reduce((sum, v) => sum + (v === 1 ? 1 : 0), 0);
    return { head: { n, nulls }, buffers: [encodeBits(mask, 1), nulls ? encodeBits(mask, 2) : new Uint8Array(0)] };
  }

  async #thumbs(content: Content, rows: Uint32Array): Promise<Answer> {
    const blobs = await Promise.all(Array.from(rows, (row) => this.data.tile(row)));
    const shapes = this.data.head.albums.tiles.of === null && this.data.head.albums.images ? await Promise.all(Array.from(rows, (row) => this.data.shape(row))) : null;
    const offsets = new Uint32Array(rows.length + 1);
    blobs.forEach((b, i) => (offsets[i + 1] = offsets[i]! + b.length));
    const bytes = new Uint8Array(offsets[rows.length]!);
    blobs.forEach((b, i) => bytes.set(b, offsets[i]!));
    return { head: { gen: content["gen"], mime: "image/jpeg", ...(shapes ? { shapes } : {}) }, buffers: [offsets, bytes] };
  }

  async #image(row: number): Promise<Answer> {
    const bytes = await this.data.wholeImage(row);
    if (!bytes.length) throw new Error("There is no picture of this image in the page.");
    const [width, height] = this.data.size(this.data.image(row));
    return { head: { w: width, h: height, width: width || null, height: height || null, mime: "image/jpeg" }, buffers: [bytes] };
  }

  async #detail(row: number): Promise<Answer> {
    const { head } = this.data;
    const overlay = await this.data.overlay(row);
    const [width, height] = this.data.size(this.data.image(row));
    const uri = this.data.text("uri", row) ?? "";
    const { noun = "image" } = head.spec;
    const note = this.collected.notes.get(row) ?? null;
    const values = head.spec.columns.filter((c) => c.name !== "class_name" && c.name !== "note").map((column) => this.#value(column, row));
    if (!this.data.collects && note) values.unshift({ name: "note", value: note, percentile: null, unit: "", direction: "", metric: false });
    const detail: Detail = {
      row,
      id: this.data.id(row),
      uri,
      name: uri.split(/[\\/]/).pop() || uri,
      width: width || null,
      height: height || null,
      class_name: this.data.text("class_name", row),
      tags: [...this.collected.tags].filter(([, mask]) => mask[row]).map(([name]) => name),
      values,
      focus: noun === "image" ? null : this.data.id(row),
      objects: overlay.objects,
      predictions: overlay.predictions,
      predictions_buffer: overlay.predictions_buffer,
      runs: head.run ? [head.run] : [],
      run: head.run,
      skeletons: head.skeletons,
      problems: [],
      ...(this.data.collects ? { note } : {}),
    };
    return { head: { ...detail }, buffers: overlay.buffers };
  }

  #value(column: Column, row: number): Detail["values"][number] {
    const { name, unit, direction, group } = column;
    const told = { name, unit, direction, metric: group === "metrics" };
    if (!this.data.has(name)) return { ...told, value: null, percentile: null };
    const values = this.data.values(name);
    if (values.kind === "text") return { ...told, value: this.data.text(name, row), percentile: null };
    const value = values.at[row]!;
    return Number.isNaN(value) ? { ...told, value: null, percentile: null } : { ...told, value, percentile: share(values.at, value) };
  }

  #records(rows: number[], columns: string[]): Answer {
    const one = (name: string, row: number): unknown => {
      if (!this.data.has(name)) return null;
      const values = this.data.values(name);
      return values.kind === "text" ? this.data.text(name, row) : Number.isNaN(values.at[row]!) ? null : values.at[row];
    };
    return { head: { records: rows.map((row) => Object.fromEntries(columns.map((name) => [name, one(name, row)]))) } };
  }

  #verdicts(): Answer {
    const { verdicts } = this.data.head;
    if (!verdicts) throw new Error("This page holds no predictions.");
    return { head: { n: verdicts.n, label_bytes: verdicts.label_bytes }, buffers: verdicts.tables.map((t) => this.data.pack.buffer(t)) };
  }

  // -- tags -------------------------------------------------------------------------------

  #tagList(): Tag[] {
    const colors = new Map(this.data.head.tags.map((t) => [t.name, t.color]));
    return [...this.collected.tags].map(([name, mask], i) => ({
      name,
      color: colors.get(name) ?? null,
      count: mask.reduce((sum, one) => sum + one, 0),
      key: i < NUMBER_KEYS ? i + 1 : null,
    }));
  }

  #tags(): Answer {
    const sets = [...this.collected.tags.values()].map((mask) => encodeWhere(mask.length, (row) => mask[row] === 1));
    const tags = this.#tagList().map((tag, i) => ({ ...tag, enc: sets[i]!.enc, n: sets[i]!.n }));
    return { head: { tags, revision: this.collected.revision }, buffers: sets.map((s) => s.data) };
  }

  #edit(change: () => void): Answer {
    if (!this.data.collects) throw new Error("This page is read-only: tags and notes are kept in the project it was made from.");
    change();
    this.onEdit();
    return { head: { ...this.#edited() } };
  }

  #edited(): Edited {
    const { revision, undo, redo } = this.collected;
    return { revision, tags: this.#tagList(), undo, redo };
  }

  #step(redo: boolean): Answer {
    const text = this.collected.step(redo);
    const did = redo ? "redo" : "undo";
    this.onEdit();
    this.#publish();
    return { head: { ...this.#edited(), text: text === null ? `nothing to ${did}` : `${did === "redo" ? "redone" : "undone"}: ${text}` } };
  }

  /** Tell the page what changed behind its back. */
  #publish(): void {
    const { revision, undo, redo } = this.collected;
    this.channel.set("_spec", { ...this.data.head.spec, revision, tags: this.#tagList(), undo, redo });
  }

  // -- code -------------------------------------------------------------------------------

  get #root(): string {
    const { level } = this.data.head;
    return ROOTS[level] ?? `p.predictions[${JSON.stringify(level.slice(level.indexOf(":") + 1))}]`;
  }

  #viewCode(): string {
    const { spec } = this.channel.get<FilterTrait>("_filter");
    const text = JSON.stringify(spec);
    if (text.includes('"rows"')) throw new Error("Chosen rows go by their ids: copy the selection instead.");
    const sort = this.channel.get<UiTrait>("_ui").sort;
    const filter = polars(spec);
    const code = `${this.#root}${filter ? `.filter(${filter})` : ""}${sort ? `.sort(${JSON.stringify(sort.by)}${sort.desc ? ", descending=True" : ""})` : ""}`;
    return `import polars as pl\n${code.includes("ea.") ? "import encord_active_widgets as ea\n" : ""}\nview = ${code}\n`;
  }

  #selectionCode(): string {
    const { enc, data } = this.channel.get<SelectionTrait>("_selection");
    const ids: string[] = [];
    if (data) for (const row of rowsOf(enc, data as ArrayBufferView, this.data.n)) ids.push(this.data.id(row));
    if (ids.length > MOST_IDS) throw new Error(`${ids.length.toLocaleString("en")} ids are too many for a line of code: give the rows a tag, and download the tags.`);
    return `view = ${this.#root}.by_ids(${JSON.stringify(ids)})\n`;
  }
}

const WORDS: Record<string, string> = {
  "tags.rename": "renaming a tag",
  "tags.delete": "deleting a tag",
  "tags.color": "colouring a tag",
  "labels.relabel": "relabelling",
  "labels.delete": "deleting labels",
  "filters.save": "saving a filter",
  "filters.delete": "forgetting a filter",
  "job.start": "computing",
  "job.cancel": "computing",
  "level.set": "another level",
  "model.missed": "showing missed labels",
};

function plural(noun: string): string {
  return noun.endsWith("s") ? `${noun}es` : `${noun}s`;
}

function tagName(name: string): string {
  const text = name.trim();
  if (!text || text.length > MOST_TAG_LETTERS) throw new Error(`A tag has 1 to ${MOST_TAG_LETTERS} letters.`);
  return text;
}

/** Share of values below, half of the equal ones counted. */
function share(values: Float32Array | Float64Array, value: number): number | null {
  let [n, below, same] = [0, 0, 0];
  for (const v of values) {
    if (Number.isNaN(v)) continue;
    n++;
    if (v < value) below++;
    else if (v === value) same++;
  }
  return n ? (below + same / 2) / n : null;
}

function encodeBits(mask: Uint8Array, value = 1): Uint8Array {
  const bits = new Uint8Array((mask.length + 7) >> 3);
  mask.forEach((one, row) => one === value && (bits[row >> 3]! |= 1 << (row & 7)));
  return bits;
}

function rowsOf(enc: string, data: ArrayBufferView, n: number): number[] {
  const rows: number[] = [];
  forEachRow(enc, new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength), n, (row) => rows.push(row));
  return rows;
}
