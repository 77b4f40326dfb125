// The engine and the page against a kernel in memory.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Scope } from "../../src/host/scope";
import { mount } from "../../src/app";
import { Actions } from "../../src/state/actions";
import { Explorer } from "../../src/state/explorer";
import { makeSpec, MemoryKernel, N } from "../fixtures/kernel";

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

async function opened(kernel = new MemoryKernel()): Promise<[Explorer, Actions, MemoryKernel]> {
  const explorer = new Explorer(kernel);
  await vi.waitFor(() => expect(explorer.store.result.value?.counts.has("class_name")).toBe(true));
  return [explorer, new Actions(explorer), kernel];
}

describe("selection", () => {
  it("is written once, when the gesture ends, and its echo changes nothing", async () => {
    const [explorer, actions, kernel] = await opened();
    actions.selectRows([3, 4, 5], "replace");
    const written = kernel.writes.filter(([name]) => name === "_selection");
    expect(written).toHaveLength(1);
    expect(written[0]![1]).toMatchObject({ rev: 1, by: explorer.rpc.client, n: 3, enc: "bitset" });
    expect(explorer.store.selectedCount.value).toBe(3);
    explorer.dispose();
  });

  it("set from Python moves the page, an older one does not", async () => {
    const [explorer, , kernel] = await opened();
    kernel.push("_selection", { rev: 5, by: "py", n: 2, enc: "ids", data: new Uint8Array(Uint32Array.of(1, 2).buffer) });
    expect(explorer.store.selectedCount.value).toBe(2);
    kernel.push("_selection", { rev: 4, by: "py", n: 0, enc: "ids", data: null });
    expect(explorer.store.selectedCount.value).toBe(2);
    explorer.dispose();
  });

  it("shift takes the range as the grid shows it, ctrl adds and takes off", async () => {
    const [explorer, actions] = await opened();
    actions.clickTile(2, { shift: false, ctrl: false });
    actions.clickTile(5, { shift: true, ctrl: false });
    expect(explorer.store.selectedCount.value).toBe(4);
    actions.clickTile(3, { shift: false, ctrl: true });
    expect(explorer.store.selectedCount.value).toBe(3);
    actions.invert();
    expect(explorer.store.selectedCount.value).toBe(N - 3);
    explorer.dispose();
  });
});

describe("filter", () => {
  it("is counted while dragging and told to Python at the end", async () => {
    const [explorer, actions, kernel] = await opened();
    const column = explorer.store.columns.value.get("brightness")!;
    actions.brush(column, 2, 5, false);
    await vi.waitFor(() => expect(explorer.store.result.value!.matching).toBe(30));
    expect(kernel.writes.filter(([name]) => name === "_filter")).toEqual([]);
    actions.brush(column, 2, 6, true);
    expect(kernel.traits["_filter"]).toMatchObject({
      rev: 1,
      spec: { all: [{ col: "brightness", op: "between", lo: 0.2, hi: 0.6, closed: "left" }] },
    });
    await vi.waitFor(() => expect(explorer.store.result.value!.matching).toBe(40));
    expect(explorer.store.result.value!.counts.get("class_name")![0]).toBe(20);
    explorer.dispose();
  });

  it("counts while dragging as it does at rest, beside other conditions and tags", async () => {
    const [explorer, actions] = await opened();
    actions.selectRows([1, 2, 3, 52, 53], "replace");
    await actions.tag(["a"], []);
    actions.toggleValue("class_name", "cat", false);
    const column = explorer.store.columns.value.get("brightness")!;
    const seen = (): unknown => {
      const { matching, counts, tagCounts, untagged, flags, visible } = explorer.store.result.value!;
      return [matching, ...["brightness", "class_name"].map((k) => [...counts.get(k)!]), [...tagCounts], untagged, [...flags], [...visible]];
    };
    actions.brush(column, 2, 4, false);
    await vi.waitFor(() => expect(explorer.store.result.value!.matching).toBe(10));
    const dragged = seen();
    actions.brush(column, 2, 4, true);
    await vi.waitFor(() => expect(explorer.store.filter.value).not.toBeNull());
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    expect(seen()).toEqual(dragged);
    explorer.dispose();
  });

  it("that the page cannot evaluate is asked of the kernel", async () => {
    const [explorer, , kernel] = await opened();
    kernel.push("_filter", { rev: 1, by: "py", spec: { all: [{ expr: "e1", text: "pl.col('x') > pl.col('y')" }] } });
    await vi.waitFor(() => expect(explorer.store.result.value!.matching).toBe(1));
    expect(kernel.asked.some((m) => m["op"] === "filter.eval")).toBe(true);
    explorer.dispose();
  });
});

describe("tags", () => {
  it("refused by the kernel are taken back, and the user is told", async () => {
    const [explorer, actions, kernel] = await opened();
    kernel.refuse.add("tags.apply");
    actions.selectRows([1, 2], "replace");
    const done = actions.tag(["night"], []);
    expect(actions.tagState("night")).toBe("all");
    expect(await done).toBe(false);
    expect(explorer.store.tagMasks.value.has("night")).toBe(false);
    expect(explorer.store.toasts.value.map((t) => t.text)).toEqual(["no"]);
    explorer.dispose();
  });

  it("are asked for once when the description changes, not again and again", async () => {
    const [explorer, , kernel] = await opened();
    const asked = (): number => kernel.asked.filter((m) => m["op"] === "tags.get").length;
    const before = asked();
    for (let i = 0; i < 5; i++) kernel.push("_spec", { ...makeSpec(), revision: 7 });
    await vi.waitFor(() => expect(asked()).toBe(before + 1));
    explorer.dispose();
  });

  it("say whether all, some or none of the selection has them", async () => {
    const [explorer, actions] = await opened();
    actions.selectRows([1], "replace");
    await actions.tag(["a"], []);
    actions.selectRows([1, 2], "replace");
    expect([actions.tagState("a"), actions.tagState("zzz")]).toEqual(["some", "none"]);
    explorer.dispose();
  });
});

describe("page", () => {
  it("shows text from data as text, and leaves nothing behind", async () => {
    const evil = "<img src=x onerror=alert(1)>";
    const spec = makeSpec([evil]);
    spec.project.name = evil;
    spec.columns[1]!.levels = [evil, "dog"];
    const before = Scope.live;
    const [explorer] = await opened(new MemoryKernel(spec));
    const element = document.createElement("div");
    document.body.append(element);
    const unmount = mount(explorer, element);
    const root = element.firstElementChild!.shadowRoot!;
    await vi.waitFor(() => expect(root.querySelector(".project")?.textContent).toBe(evil));
    expect(root.querySelectorAll("img[src='x']").length).toBe(0);
    expect(root.textContent).toContain(evil);
    unmount();
    explorer.dispose();
    await vi.waitFor(() => expect(Scope.live).toBe(before));
    expect(element.children.length).toBe(0);
  });

  it("says that the kernel restarted", async () => {
    const [explorer, , kernel] = await opened();
    kernel.restart();
    expect(explorer.store.stale.value).toContain("re-run");
    explorer.dispose();
  });

  it("another session behind the same page counts as a restart", async () => {
    const [explorer, , kernel] = await opened();
    kernel.traits["_session"] = { proto: 1, id: "s2", version: "0" };
    kernel.push("_spec", makeSpec());
    expect(explorer.store.stale.value).toContain("re-run");
    explorer.dispose();
  });

  it("a kernel that cannot be reached is said at the first request", async () => {
    const [explorer, actions, kernel] = await opened();
    kernel.dead = true;
    await actions.undo();
    expect(explorer.store.stale.value).toContain("re-run");
    explorer.dispose();
  });
});
