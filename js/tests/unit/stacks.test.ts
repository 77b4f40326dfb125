// Stacks of duplicates: what is kept, what goes, what is asked while the slider moves, where the cards lie.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { decode } from "./rows";
import { mount } from "../../src/app";
import { Explorer } from "../../src/state/explorer";
import { splitsOf, type Stacks } from "../../src/state/stacks";
import { cardBeside, cardsWithin, layCards } from "../../src/ui/card-layout";
import type { Channel, Json } from "../../src/transport/channel";
import type { Spec } from "../../src/protocol/messages";
import type { Binary } from "../../src/transport/wire";
import { valueText } from "../../src/views/StackCard";
import { makeSpec, MemoryKernel } from "../fixtures/kernel";

/** Groups of rows at a threshold; the third of each triple is far. Splits: even rows train, odd ones test. */
function groupsAt(threshold: number): number[][] {
  if (threshold < 0.1) return [];
  return threshold < 0.3 ? [[2, 4], [10, 11]] : [[2, 4, 6], [10, 11], [20, 21, 23]];
}

class StackKernel extends MemoryKernel implements Channel {
  listeners = new Set<(content: Json, buffers: Binary[]) => void>();
  edits: { content: Json; rows: number[] }[] = [];
  gone = new Set<number>();

  constructor(level = "item", open = true) {
    super({
      ...makeSpec(),
      level,
      panels: { stacks: { open, threshold: 0.2, most: 0.5, rule: "sharpest", rules: [{ id: "sharpest", title: "sharpest" }, { id: "first", title: "first added" }], kinds: ["exact", "near", "mirrored"] } },
    });
  }

  override onMessage(listener: (content: Json, buffers: Binary[]) => void): () => void {
    this.listeners.add(listener);
    return super.onMessage(listener);
  }

  override send(content: Json, buffers: ArrayBufferView[] = []): void {
    const op = String(content["op"]);
    if (!op.startsWith("stacks.")) return super.send(content);
    this.asked.push(content);
    if (op === "stacks.edit") {
      const rows = decode(String(content["enc"]), buffers[0]!);
      this.edits.push({ content, rows });
      if (content["what"] === "remove") for (const row of rows) this.gone.add(row);
      this.#reply(content, { revision: 2 + this.edits.length, tags: [], undo: `edit ${this.edits.length}`, redo: null }, []);
      return;
    }
    const groups = groupsAt(Number(content["threshold"])).map((g) => g.filter((row) => !this.gone.has(row))).filter((g) => g.length > 1);
    const rows = groups.flat();
    const starts = groups.reduce((at, g) => [...at, at.at(-1)! + g.length], [0]);
    const f32 = (list: number[]): Float32Array => Float32Array.from(list);
    this.#reply(content, { threshold: content["threshold"], rule: content["rule"], column: "sharpness", splits: ["train", "test"], joins: [1, 2] }, [
      Uint32Array.from(starts), Uint32Array.from(rows), Uint32Array.from(groups, (g) => (content["rule"] === "first" ? 0 : g.length - 1)),
      f32(rows.map(() => 0.1)), f32(rows.map((row) => row / 100)), Uint8Array.from(rows, () => 1), Uint8Array.from(rows, (row) => row % 2),
    ]); // prettier-ignore
  }

  #reply(content: Json, head: Json, buffers: ArrayBufferView[]): void {
    queueMicrotask(() => {
      for (const listener of this.listeners)
        listener({ v: 1, re: content["id"], ok: true, ...head }, buffers.map((b) => new DataView(b.buffer, b.byteOffset, b.byteLength)));
    });
  }

  get thresholds(): number[] {
    return this.asked.filter((c) => c["op"] === "stacks.get").map((c) => Number(c["threshold"]));
  }
}

class Silent {
  observe(): void {}
  disconnect(): void {}
}

beforeEach(() => {
  vi.stubGlobal("ResizeObserver", Silent);
  vi.stubGlobal("IntersectionObserver", Silent);
  HTMLCanvasElement.prototype.getContext = (() => null) as never;
});
afterEach(() => {
  vi.unstubAllGlobals();
  document.body.replaceChildren();
});

async function opened(kernel = new StackKernel()): Promise<[Explorer, Stacks, StackKernel]> {
  const explorer = new Explorer(kernel);
  const stacks = explorer.stacks!;
  await vi.waitFor(() => expect(stacks.table.value).not.toBeNull());
  return [explorer, stacks, kernel];
}

describe("stacks", () => {
  it("are counted, and the others are all but the kept ones", async () => {
    const [explorer, stacks] = await opened();
    expect(stacks.summary.value).toEqual({ groups: 2, images: 4, spare: 2 });
    expect(stacks.others(stacks.shown.value)).toEqual([2, 10]);
    stacks.keep(0, 0);
    expect(stacks.others(stacks.shown.value)).toEqual([4, 10]);
    expect([stacks.isChosen(0), stacks.isChosen(1)]).toEqual([true, false]);
    stacks.keep(0, 1); // as the rule has it: no choice any more
    expect(stacks.isChosen(0)).toBe(false);
    explorer.dispose();
  });

  it("keep a choice when the threshold moves, and forget it with another rule", async () => {
    const [explorer, stacks] = await opened();
    stacks.keep(0, 0);
    stacks.setThreshold(0.4);
    await vi.waitFor(() => expect(stacks.summary.value.groups).toBe(3));
    expect(stacks.rowAt(0, stacks.keptOf(0))).toBe(2);
    stacks.setRule("first");
    await vi.waitFor(() => expect(stacks.table.value!.rule).toBe("first"));
    expect(stacks.others(stacks.shown.value)).toEqual([4, 6, 11, 21, 23]);
    explorer.dispose();
  });

  it("ask for the place where the slider ends, and not for every place it passed", async () => {
    const [explorer, stacks, kernel] = await opened();
    for (let i = 0; i <= 40; i++) stacks.setThreshold(0.1 + i / 100);
    await vi.waitFor(() => expect(stacks.table.value!.threshold).toBe(0.5));
    expect(kernel.thresholds.length).toBeLessThan(6);
    expect(kernel.thresholds.at(-1)).toBe(0.5);
    explorer.dispose();
  });

  it("show only those in several splits when asked, and act on these alone", async () => {
    const [explorer, stacks, kernel] = await opened();
    expect(stacks.leaks.value).toBe(1);
    expect(splitsOf(stacks.table.value!, 1)).toEqual(["train", "test"]);
    stacks.leaksOnly(true);
    expect(stacks.summary.value).toEqual({ groups: 1, images: 2, spare: 1 });
    await stacks.tagOthers("drop");
    expect(kernel.edits.at(-1)).toMatchObject({ content: { what: "tag", tag: "drop" }, rows: [10] });
    explorer.dispose();
  });

  it("are asked for again after an edit, and each edit offers its undo", async () => {
    const [explorer, stacks, kernel] = await opened();
    await stacks.removeOthers();
    expect(kernel.edits.at(-1)!.rows).toEqual([2, 10]);
    await vi.waitFor(() => expect(stacks.summary.value.groups).toBe(0));
    expect(explorer.store.toasts.value.at(-1)).toMatchObject({ undo: true });
    expect(explorer.store.undo.value).toBe("edit 1");
    explorer.dispose();
  });

  it("say that a whole group is none", async () => {
    const [explorer, stacks, kernel] = await opened();
    await stacks.notDuplicates(1);
    expect(kernel.edits.at(-1)).toMatchObject({ content: { what: "not_duplicates" }, rows: [10, 11] });
    explorer.dispose();
  });

  it("stay with the image one looks at when the groups change", async () => {
    const [explorer, stacks] = await opened();
    stacks.cursor.value = [1, 1];
    stacks.setThreshold(0.4);
    await vi.waitFor(() => expect(stacks.summary.value.groups).toBe(3));
    expect(stacks.cursor.value).toEqual([1, 1]);
    stacks.setThreshold(0);
    await vi.waitFor(() => expect(stacks.summary.value.groups).toBe(0));
    expect(stacks.cursor.value).toEqual([0, 0]);
    explorer.dispose();
  });

  it("ask for nothing before they are opened, and at once then", async () => {
    const kernel = new StackKernel("item", false);
    const explorer = new Explorer(kernel);
    await new Promise((done) => setTimeout(done, 100));
    expect(kernel.thresholds).toEqual([]);
    explorer.stacks!.open.value = true;
    await vi.waitFor(() => expect(explorer.stacks!.summary.value.groups).toBe(2));
    explorer.dispose();
  });

  it("ask for nothing before anything was computed", async () => {
    const kernel = new StackKernel();
    kernel.push("_spec", { ...kernel.get<Spec>("_spec"), state: "raw" });
    const explorer = new Explorer(kernel);
    await new Promise((done) => setTimeout(done, 100));
    expect(kernel.thresholds).toEqual([]);
    kernel.push("_spec", { ...kernel.get<Spec>("_spec"), state: "ready", revision: 2 });
    await vi.waitFor(() => expect(explorer.stacks!.summary.value.groups).toBe(2));
    explorer.dispose();
  });

  it("lie over images only: at another level the explorer is shown", async () => {
    const kernel = new StackKernel("object");
    const explorer = new Explorer(kernel);
    expect(explorer.stacks!.active.value).toBe(false);
    expect(kernel.thresholds).toEqual([]);
    explorer.dispose();
  });

  it("are drawn with what is kept, and answer to keys without a word to the grid behind", async () => {
    const [explorer, stacks, kernel] = await opened();
    const box = document.createElement("div");
    document.body.append(box);
    const unmount = mount(explorer, box);
    const root = (): ShadowRoot => [...box.querySelectorAll("*")].find((e) => e.shadowRoot)?.shadowRoot ?? box.shadowRoot!;
    await vi.waitFor(() => expect(root().querySelectorAll("[data-stack]").length).toBe(2));
    const kept = [...root().querySelectorAll(".stack-tile.kept .stack-kept")].map((e) => e.textContent);
    expect(kept).toEqual(["kept: sharpest 0.04", "kept: sharpest 0.11"]);
    const press = (key: string): boolean => root().querySelector("[data-place]")!.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, composed: true }));
    press("k");
    expect(stacks.isChosen(0)).toBe(true);
    press("ArrowRight");
    press("ArrowRight");
    expect(stacks.cursor.value).toEqual([1, 0]);
    press("n");
    await vi.waitFor(() => expect(kernel.edits.at(-1)?.rows).toEqual([10, 11]));
    press("1"); // a tag's key in the explorer behind
    expect(kernel.asked.some((c) => c["op"] === "tags.apply")).toBe(false);
    press("Escape");
    expect(stacks.open.value).toBe(false);
    unmount();
    explorer.dispose();
  });
});

describe("cards", () => {
  const sizes = { tile: 100, text: 30, head: 30, gap: 10, pad: 8, least: 226 };

  it.each([300, 640, 1100, 1500])("never overlap and never leave a list of %i px", (width) => {
    const groups = Array.from({ length: 400 }, (_, i) => 2 + ((i * 7) % 9));
    const { cards, height } = layCards(groups, width, sizes);
    cards.forEach((a, i) => {
      expect(a.x >= 0 && a.x + a.width <= width).toBe(true);
      expect(a.y + a.height).toBeLessThanOrEqual(height);
      expect(a.columns * 100 + (a.columns - 1) * 10 + 16).toBeLessThanOrEqual(a.width);
      for (const b of cards.slice(i + 1, i + 12)) expect(a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y).toBe(true);
    });
  });

  it("in a window are exactly those a slow search finds, row-mates aside", () => {
    const layout = layCards(Array.from({ length: 10_000 }, (_, i) => 2 + ((i * 5) % 4)), 1100, sizes);
    for (const top of [0, 777, 50_000, layout.height - 600]) {
      const [from, to] = cardsWithin(layout, top, top + 600);
      const met = layout.cards.flatMap((c, i) => (c.y < top + 600 && c.y + c.height > top ? [i] : []));
      expect(from).toBeLessThanOrEqual(met[0]!);
      expect(to - 1).toBeGreaterThanOrEqual(met.at(-1)!);
      expect(to - from).toBeLessThan(met.length + 12);
    }
    expect(cardsWithin(layCards([], 800, sizes), 0, 600)).toEqual([0, 0]);
  });

  it("above and below are found by place", () => {
    const layout = layCards([2, 2, 2, 2, 2, 2], 760, sizes); // three in a row
    expect(layout.cards[3]!.y).toBeGreaterThan(layout.cards[2]!.y);
    expect([cardBeside(layout, 1, true), cardBeside(layout, 4, false), cardBeside(layout, 1, false), cardBeside(layout, 5, true)]).toEqual([4, 1, 1, 5]);
  });

  it("say what the rule looked at in its own unit", () => {
    expect([valueText("sharpness", 0.7134), valueText("area", 307_200), valueText("area", 900), valueText("label_count", 1), valueText(null, 1), valueText("sharpness", NaN)]).toEqual(["0.71", "0.31 MP", "900 px", "1 label", "", ""]);
  });
});
