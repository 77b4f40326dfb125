// Tags and notes that are collected in the page: what they are now, undo, and the file to hand back.

import { forEachRow } from "../protocol/selection";
import type { PageData } from "./data";

const FORMAT = "encord_active_widgets edits";
const VERSION = 1;

interface State {
  tags: ReadonlyMap<string, Uint8Array>;
  notes: ReadonlyMap<number, string>;
}
interface Step {
  before: State;
  text: string;
}
/** What `p.apply_edits(file)` reads: rows by their ids, for numbers change. */
export interface EditsFile {
  format: string;
  version: number;
  project: { id: string; name: string };
  page: { id: string; title: string; made: string };
  collected: string;
  level: string;
  key: string;
  tags: { tag: string; add: string[]; remove: string[] }[];
  notes: { id: string; text: string; before: string }[];
}

export class Collected {
  #first: State;
  #now: State;
  #done: Step[] = [];
  #undone: Step[] = [];
  revision = 1;

  constructor(readonly data: PageData) {
    const notes = new Map<number, string>();
    if (data.has("note"))
      for (let row = 0; row < data.n; row++) {
        const note = data.text("note", row);
        if (note !== null) notes.set(row, note);
      }
    this.#first = this.#now = { tags: data.tags(), notes };
  }

  get tags(): ReadonlyMap<string, Uint8Array> {
    return this.#now.tags;
  }

  get notes(): ReadonlyMap<number, string> {
    return this.#now.notes;
  }

  get undo(): string | null {
    return this.#done[this.#done.length - 1]?.text ?? null;
  }

  get redo(): string | null {
    return this.#undone[this.#undone.length - 1]?.text ?? null;
  }

  tag(add: readonly string[], remove: readonly string[], enc: string, rows: Uint8Array, nouns: [string, string]): void {
    const tags = new Map(this.#now.tags);
    let n = 0;
    forEachRow(enc, rows, this.data.n, () => n++);
    for (const [names, value] of [[add, 1], [remove, 0]] as const)
      for (const name of names) {
        const mask = tags.get(name)?.slice() ?? new Uint8Array(this.data.n);
        forEachRow(enc, rows, this.data.n, (row) => (mask[row] = value));
        tags.set(name, mask);
      }
    const what = `${n.toLocaleString("en")} ${nouns[n === 1 ? 0 : 1]}`;
    const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ");
    const parts = [...(add.length ? [`tagged ${what} ${quoted(add)}`] : []), ...(remove.length ? [`untagged ${what} ${quoted(remove)}`] : [])];
    this.#take({ ...this.#now, tags }, parts.join(" and "));
  }

  create(name: string): void {
    if (this.#now.tags.has(name)) return;
    this.#take({ ...this.#now, tags: new Map(this.#now.tags).set(name, new Uint8Array(this.data.n)) }, `created tag "${name}"`);
  }

  note(text: string, enc: string, rows: Uint8Array): void {
    const notes = new Map(this.#now.notes);
    forEachRow(enc, rows, this.data.n, (row) => {
      if (text) notes.set(row, text);
      else notes.delete(row);
    });
    this.#take({ ...this.#now, notes }, "noted");
  }

  /** Go one step back or forth; the words of what was undone, or null. */
  step(redo: boolean): string | null {
    const [from, to] = redo ? [this.#undone, this.#done] : [this.#done, this.#undone];
    const step = from.pop();
    if (!step) return null;
    to.push({ before: this.#now, text: step.text });
    this.#now = step.before;
    this.revision++;
    return step.text;
  }

  /** How many rows differ from what they were when the page was made. */
  changed(): number {
    const rows = new Set<number>();
    for (const { mask, before } of this.#masks()) for (let row = 0; row < mask.length; row++) if (mask[row] !== before[row]) rows.add(row);
    for (const row of this.#noted()) rows.add(row);
    return rows.size;
  }

  file(now: Date): EditsFile {
    const { head } = this.data;
    const tags = this.#masks().flatMap(({ name, mask, before }) => {
      const entry = { tag: name, add: [] as string[], remove: [] as string[] };
      for (let row = 0; row < mask.length; row++) if (mask[row] !== before[row]) entry[mask[row] ? "add" : "remove"].push(this.data.id(row));
      return entry.add.length + entry.remove.length ? [entry] : [];
    });
    const notes = this.#noted().map((row) => ({ id: this.data.id(row), text: this.#now.notes.get(row) ?? "", before: this.#first.notes.get(row) ?? "" }));
    return { format: FORMAT, version: VERSION, project: head.project, page: head.page, collected: now.toISOString(), level: head.level, key: head.key, tags, notes };
  }

  /** Take up what was collected before: it is one step, which can be undone. */
  restore(file: EditsFile): boolean {
    if (file.format !== FORMAT || file.version !== VERSION || file.page.id !== this.data.head.page.id) return false;
    const rows = new Map(Array.from({ length: this.data.n }, (_, row) => [this.data.id(row), row]));
    const tags = new Map(this.#now.tags);
    for (const { tag, add, remove } of file.tags) {
      const mask = tags.get(tag)?.slice() ?? new Uint8Array(this.data.n);
      for (const [ids, value] of [[add, 1], [remove, 0]] as const) for (const id of ids) if (rows.has(id)) mask[rows.get(id)!] = value;
      tags.set(tag, mask);
    }
    const notes = new Map(this.#now.notes);
    for (const { id, text } of file.notes) {
      const row = rows.get(id);
      if (row === undefined) continue;
      if (text) notes.set(row, text);
      else notes.delete(row);
    }
    this.#take({ tags, notes }, "brought back what was collected before");
    return true;
  }

  #take(state: State, text: string): void {
    this.#done.push({ before: this.#now, text });
    this.#undone = [];
    this.#now = state;
    this.revision++;
  }

  #masks(): { name: string; mask: Uint8Array; before: Uint8Array }[] {
    const empty = new Uint8Array(this.data.n);
    return [...this.#now.tags].map(([name, mask]) => ({ name, mask, before: this.#first.tags.get(name) ?? empty }));
  }

  #noted(): number[] {
    const rows = new Set([...this.#first.notes.keys(), ...this.#now.notes.keys()]);
    return [...rows].filter((row) => this.#first.notes.get(row) !== this.#now.notes.get(row)).sort((a, b) => a - b);
  }
}
