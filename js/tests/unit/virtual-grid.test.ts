import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Scope } from "../../src/host/scope";
import { contentOffset, layout, MOST_SCROLL_PX, VirtualGrid } from "../../src/ui/virtual-grid";

const [WIDTH, HEIGHT] = [816, 400];

describe("where tiles are", () => {
  it.each([1, 7, 200, 1_000_000, 50_000_000])("of %i items the first is at the top and the last at the bottom of the scroll", (count) => {
    const l = layout(WIDTH, 96, count);
    expect(l.columns * l.rows).toBeGreaterThanOrEqual(count);
    expect(l.scroll).toBeLessThanOrEqual(MOST_SCROLL_PX);
    expect(contentOffset(0, HEIGHT, l)).toBe(0);
    if (l.content > HEIGHT) expect(contentOffset(l.scroll - HEIGHT, HEIGHT, l)).toBeCloseTo(l.content - HEIGHT, 6);
  });

  it("fills the width without cutting a tile off", () => {
    for (const width of [120, 640, 815, 1601])
      for (const tile of [48, 96, 256]) {
        const l = layout(width, tile, 1000);
        expect(l.columns * l.pitch).toBeLessThanOrEqual(Math.max(width, tile));
      }
  });
});

describe("the grid on a page", () => {
  let scope: Scope;
  let grid: VirtualGrid;
  let root: HTMLElement;
  const shown = (): number[] =>
    [...root.querySelectorAll<HTMLElement>(".tile:not([hidden])")].map((t) => Number(t.dataset["index"])).sort((a, b) => a - b);
  const events = { click: vi.fn(), open: vi.fn(), need: vi.fn(), hover: vi.fn(), cursor: vi.fn() };
  const press = (key: string): boolean => root.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));

  beforeEach(() => {
    vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(WIDTH);
    vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(HEIGHT);
    scope = new Scope();
    const host = document.body.appendChild(document.createElement("div"));
    grid = new VirtualGrid(host, scope, events);
    root = host.querySelector<HTMLElement>("[role=grid]")!;
    grid.setItem((index, tile) => (tile.value.textContent = String(index)));
    grid.setCount(1_000_000);
  });
  afterEach(() => {
    scope.dispose();
    vi.restoreAllMocks();
    document.body.replaceChildren();
  });

  it("reaches the last of a million images with End, and the first with Home", () => {
    press("End");
    expect(shown()).toContain(999_999);
    expect(events.cursor).toHaveBeenLastCalledWith(999_999);
    press("Home");
    expect(shown()[0]).toBe(0);
  });

  it("keeps few elements and asks for exactly what it shows, wherever it is scrolled to", () => {
    for (const index of [0, 12_345, 500_000, 999_990]) {
      grid.scrollTo(index);
      expect(shown()).toContain(index);
      expect(root.querySelectorAll(".tile").length).toBeLessThan(120);
      const [from, to] = events.need.mock.lastCall as [number, number];
      expect([shown()[0], shown().at(-1)]).toEqual([from, to - 1]);
      for (const tile of root.querySelectorAll<HTMLElement>(".tile:not([hidden])")) expect(tile.querySelector(".tile-value")!.textContent).toBe(tile.dataset["index"]);
    }
  });

  it("has exactly one tile that Tab reaches, also when the cursor has scrolled out of sight", () => {
    for (const index of [0, 800_000]) {
      grid.scrollTo(index);
      expect(root.querySelectorAll('.tile:not([hidden])[tabindex="0"]').length).toBe(1);
    }
  });

  it("shows nothing when nothing matches", () => {
    grid.setCount(0);
    expect(shown()).toEqual([]);
    expect(press("End")).toBe(true);
  });

  it("is gone when its view closes", () => {
    scope.dispose();
    expect(document.querySelector("[role=grid]")).toBeNull();
  });
});
