// A page without Python answers as Python does: filters on exact values, orders, tags with undo, an edits file by ids.

import { describe, expect, it } from "vitest";
import type { FilterSpec } from "../../src/protocol/filter";
import { Explorer } from "../../src/state/explorer";
import { Offline } from "../../src/offline/answers";
import { type Head, PageData } from "../../src/offline/data";
import { filterMask, order } from "../../src/offline/filters";
import { decodeBase64, type Source } from "../../src/offline/pack";
import { generator } from "./random";

const N = 60;
const MISSING = 0xffffffff;

/** A pack, written by other code than Python's. */
function pack(head: object, buffers: ArrayBufferView[]): Uint8Array {
  let at = 0;
  const places = buffers.map((b) => {
    const place = [at, b.byteLength];
    at += Math.ceil(b.byteLength / 8) * 8;
    return place;
  });
  const text = new TextEncoder().encode(JSON.stringify({ ...head, buffers: places }));
  const first = Math.ceil((4 + text.length) / 8) * 8;
  const bytes = new Uint8Array(1 + first + at); // stored: a first byte of zero
  new DataView(bytes.buffer).setUint32(1, text.length, true);
  bytes.set(text, 5);
  buffers.forEach((b, i) => bytes.set(new Uint8Array(b.buffer, b.byteOffset, b.byteLength), 1 + first + places[i]![0]!));
  return bytes;
}

const draw = generator(11);
const single = Float32Array.from({ length: N }, (_, row) => (row % 9 === 4 ? NaN : Math.round(draw() * 20) / 20));
const double = Float64Array.from({ length: N }, () => Math.round(draw() * 1e6) / 1e6);
const texts = ["Bird", "dog", "ÄPFEL", "zebra"];
const places = Uint32Array.from({ length: N }, (_, row) => (row % 7 === 3 ? MISSING : Math.floor(draw() * texts.length)));
const ids = Array.from({ length: N }, (_, row) => `id${String(row).padStart(2, "0")}`);
const own = Uint32Array.from({ length: N }, (_, row) => row);
const bits = (has: (row: number) => boolean): Uint8Array => {
  const out = new Uint8Array((N + 7) >> 3);
  for (let row = 0; row < N; row++) if (has(row)) out[row >> 3]! |= 1 << (row & 7);
  return out;
};

function source(collects: boolean): Source {
  const codes = Uint8Array.from(places, (p) => (p === MISSING ? 255 : p));
  const column = { title: "", group: "metrics", unit: "", direction: "", about: "", range: null, nulls: 0, default: true };
  const head: Partial<Head> = {
    version: 1,
    page: { id: "p", title: "A page", made: "now" },
    project: { id: "x", name: "photos" },
    level: "item",
    key: "item_id",
    session: { proto: 1, id: "s", version: "0" },
    filter: { all: [] },
    answers: {},
    selected: { enc: "ids", n: 0, data: 0 },
    ui: { rev: 1, by: "py" },
    columns: {
      item_id: { texts: ids, places: 0 }, single: { bits: 32, values: 1, codes: 5 }, double: { bits: 64, values: 2, codes: 5 }, text: { texts, places: 3, codes: 4 },
    },
    searched: ["item_id", "text"],
    tags: [{ name: "old", color: null, rows: 6 }],
    maps: [], near: [], verdicts: null, chunk: 16, overlays: false, run: null, skeletons: {},
    albums: { tiles: { n: N, of: null }, images: null },
    sizes: [0, 0],
    spec: {
      n: N, alive: N, revision: 1, level: "item", levels: [], noun: "image", classes: null, project: { name: "photos", path: "" },
      columns: [{ ...column, name: "text", kind: "category", levels: texts, counts: [] }, { ...column, name: "single", kind: "number" }],
      embeddings: [], tags: [], saved: [], base: null, state: "ready", job: null, problems: 0, undo: null, redo: null, offline: { collects },
    },
  };
  const data = pack(head, [own, single, double, places, codes, new Uint8Array(N), bits((row) => row < 5)]);
  return (name) => (name === "data" ? data : null);
}

const open = async (collects = true): Promise<Offline> => new Offline(await PageData.open(source(collects)));
const rowsOf = (mask: Uint8Array, value = 1): number[] => [...mask].flatMap((v, row) => (v === value ? [row] : []));
const all = own as unknown as number[];

describe("a page without Python", () => {
  it("keeps a range in the precision of its column, and does not know of missing values", async () => {
    const { data, collected } = await open();
    for (const [col, values] of [["single", single], ["double", double]] as const)
      for (const closed of ["left", "right", "both", "none"])
        for (const [lo, hi] of [[0.2, 0.65], [null, 0.45], [0.3, null]] as const) {
          const [from, to] = [lo, hi].map((v) => (v === null ? null : col === "single" ? Math.fround(v) : v)) as [number | null, number | null];
          const expected = [...all].filter((row) => {
            const v = values[row]!;
            const above = from === null || v > from || (v === from && ["left", "both"].includes(closed));
            const below = to === null || v < to || (v === to && ["right", "both"].includes(closed));
            return !Number.isNaN(v) && above && below;
          });
          const spec: FilterSpec = { col, op: "between", lo, hi, closed };
          expect(rowsOf(filterMask(spec, data, collected))).toEqual(expected);
          expect(rowsOf(filterMask({ not: spec }, data, collected))).toEqual([...all].filter((row) => !expected.includes(row) && !Number.isNaN(values[row]!)));
        }
  });

  it("finds texts in any case, values, missing ones and rows by tag", async () => {
    const { data, collected } = await open();
    const rows = (spec: FilterSpec): number[] => rowsOf(filterMask(spec, data, collected));
    const named = (name: string): number[] => [...all].filter((row) => places[row] === texts.indexOf(name));
    expect(rows({ text: "äpf" })).toEqual(named("ÄPFEL"));
    expect(rows({ text: "ID07" })).toEqual([7]);
    expect(rows({ col: "text", op: "in", values: ["dog"] })).toEqual(named("dog"));
    const missing = [...all].filter((row) => places[row] === MISSING);
    expect(rows({ col: "text", op: "in", values: ["dog", null] })).toEqual([...named("dog"), ...missing].sort((a, b) => a - b));
    expect(rows({ col: "text", op: "null" })).toEqual(missing);
    expect(rows({ not: { col: "text", op: "in", values: ["dog"] } })).not.toContain(missing[0]);
    expect(rows({ tag: "old" })).toEqual([0, 1, 2, 3, 4]);
    expect(rows({ untagged: true }).length).toBe(N - 5);
  });

  it("orders with missing values last both ways, and ties by row", async () => {
    const { data } = await open();
    for (const by of ["single", "text"])
      for (const desc of [false, true]) {
        const rank = (row: number): number => (by === "single" ? single[row]! : places[row] === MISSING ? NaN : places[row]!);
        const known = [...all].filter((row) => !Number.isNaN(rank(row)));
        known.sort((a, b) => (desc ? rank(b) - rank(a) : rank(a) - rank(b)) || a - b);
        expect([...order(by, desc, data)]).toEqual([...known, ...[...all].filter((row) => Number.isNaN(rank(row)))]);
      }
  });

  it("collects tags by id, undoes and redoes them, and takes its own file up again", async () => {
    const page = await open();
    const rows = (...list: number[]): [string, Uint8Array] => ["ids", new Uint8Array(Uint32Array.from(list).buffer)];
    const { collected } = page;
    collected.tag(["new"], [], ...rows(7, 3), ["image", "images"]);
    collected.tag([], ["old"], ...rows(0), ["image", "images"]);
    collected.tag(["old"], [], ...rows(1), ["image", "images"]); // has it already
    collected.note("look", ...rows(9));
    const file = collected.file(new Date(0));
    expect(file.tags).toEqual([{ tag: "old", add: [], remove: ["id00"] }, { tag: "new", add: ["id03", "id07"], remove: [] }]);
    expect(file.notes).toEqual([{ id: "id09", text: "look", before: "" }]);
    expect(file.project).toEqual({ id: "x", name: "photos" });
    expect(collected.changed()).toBe(4);
    for (let i = 0; i < 4; i++) collected.step(false);
    expect(collected.step(false)).toBeNull();
    expect(collected.changed()).toBe(0);
    for (let i = 0; i < 4; i++) collected.step(true);
    expect(collected.file(new Date(0))).toEqual(file);
    const again = await open();
    expect(again.restore(JSON.stringify(file))).toBe(true);
    expect(again.collected.file(new Date(0))).toEqual(file);
    expect(again.restore(JSON.stringify({ ...file, page: { ...file.page, id: "other" } }))).toBe(false);
  });

  it("refuses in plain words what needs Python, and any edit where it only shows", async () => {
    const explorer = new Explorer((await open()).channel);
    await expect(explorer.rpc.ask("job.start", {})).rejects.toThrow("computing works in a notebook only");
    await expect(explorer.rpc.ask("tags.rename", { from: "old", to: "x" })).rejects.toThrow("renaming a tag");
    explorer.dispose();
    const fixed = new Explorer((await open(false)).channel);
    await expect(fixed.rpc.ask("tags.apply", { add: ["x"], remove: [], enc: "ids" }, [Uint32Array.of(1)])).rejects.toThrow("read-only");
    fixed.dispose();
  });

  it("says what is wrong with a file that was cut short", async () => {
    await expect(PageData.open(() => null)).rejects.toThrow("cut short");
    const newer = pack({ version: 2 }, []);
    await expect(PageData.open(() => newer)).rejects.toThrow("another version");
  });

  it("decodes base64 the same with and without the browser's help", () => {
    const bytes = Uint8Array.from({ length: 300 }, (_, i) => (i * 7) % 256);
    expect([...decodeBase64(btoa(String.fromCharCode(...bytes)))]).toEqual([...bytes]);
  });
});
