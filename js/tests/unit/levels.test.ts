// Another level: nothing of the old one may stay or come late; and edits of labels as they travel.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { mount } from "../../src/app";
import { Actions } from "../../src/state/actions";
import { Explorer } from "../../src/state/explorer";
import { asU32, forEachRow } from "../../src/protocol/selection";
import { FakeProject, type Options } from "../fixtures/server";

class Silent {
  observe(): void {}
  disconnect(): void {}
}
const live: Explorer[] = [];
beforeEach(() => {
  vi.stubGlobal("ResizeObserver", Silent);
  HTMLCanvasElement.prototype.getContext = (() => null) as never;
});
afterEach(() => {
  live.splice(0).forEach((e) => e.dispose());
  vi.unstubAllGlobals();
  document.body.replaceChildren();
});

async function open(options: Options = {}): Promise<{ project: FakeProject; explorer: Explorer; actions: Actions }> {
  const project = new FakeProject({ n: 200, levels: true, ...options });
  const explorer = new Explorer(project.channel);
  live.push(explorer);
  await vi.waitFor(() => expect(explorer.store.result.peek()?.counts.has("class_name")).toBe(true));
  return { project, explorer, actions: new Actions(explorer) };
}
const sent = (project: FakeProject, op: string): Record<string, unknown>[] => project.channel.sent.filter((m) => m["op"] === op);

describe("a switch of level", () => {
  test("forgets selection, filter, sort, focus, hover and the open row, and loads the other rows", async () => {
    const { explorer, actions } = await open();
    const { store } = explorer;
    actions.selectRows([1, 2, 3], "replace");
    actions.toggleValue("class_name", "dog", false);
    actions.sort({ by: "brightness", desc: true });
    await vi.waitFor(() => expect(store.order.peek()).not.toBeNull());
    actions.open(3);
    store.hovered.value = 4;
    await actions.level("object");
    expect(store.spec.peek().n).toBe(300);
    expect([store.selectedCount.peek(), store.selected.peek().length]).toEqual([0, 300]);
    expect(store.filter.peek()).toEqual({ all: [] });
    expect([store.sort.peek(), store.order.peek(), store.detail.peek(), store.focused.peek(), store.hovered.peek()]).toEqual([null, null, null, null, null]);
    expect([store.noun.peek(), store.nouns.peek(), store.switching.peek()]).toEqual(["object", "objects", null]);
    await vi.waitFor(() => expect(store.result.peek()?.matching).toBe(300));
    await vi.waitFor(() => expect(store.positions.peek()?.x.length).toBe(300));
    await vi.waitFor(() => expect(store.tagMasks.peek().get("review")?.length).toBe(300));
  });

  test("drops answers to what was asked before", async () => {
    let hold = false;
    const late: (() => void)[] = [];
    const { project, explorer, actions } = await open();
    const { store } = explorer;
    const answer = project.answer.bind(project);
    project.answer = async (op, content, buffers) => {
      const reply = await answer(op, content, buffers);
      if (hold) await new Promise<void>((done) => late.push(done));
      return reply;
    };
    hold = true;
    explorer.thumbs.need([1, 2]);
    explorer.columns.reset(); // asked for again below, by the old level still
    actions.sort({ by: "sharpness", desc: false });
    void explorer.loading.tags();
    void explorer.loading.base();
    const detail = explorer.ask("row.detail", { row: 1 });
    actions.applyFilter({ all: [{ text: "7" }] });
    explorer.recompute();
    await vi.waitFor(() => expect(sent(project, "filter.eval")).toHaveLength(1));
    await vi.waitFor(() => expect(late.length).toBeGreaterThanOrEqual(6));
    await actions.level("object"); // the other level answers at once
    await vi.waitFor(() => expect(store.result.peek()?.matching).toBe(300));
    await vi.waitFor(() => expect(store.tagMasks.peek().get("review")?.length).toBe(300));
    const before = [store.order.peek(), store.tagMasks.peek(), store.hidden.peek(), explorer.columns.get("brightness"), store.toasts.peek()];
    for (const go of late.splice(0)) go();
    expect(await detail).toBeNull();
    await new Promise((done) => setTimeout(done, 30));
    expect([store.order.peek(), store.tagMasks.peek(), store.hidden.peek(), explorer.columns.get("brightness"), store.toasts.peek()]).toEqual(before);
    expect(explorer.columns.get("brightness")?.length).toBe(300);
    expect(explorer.thumbs.url(1)).toBeUndefined();
    expect(store.result.peek()?.matching).toBe(300);
  });

  test.each([false, true])("takes each level's own selection, in whichever order the traits come", async (last) => {
    const { project, explorer, actions } = await open();
    project.kept["object"] = [250, 251];
    const swap = project.setLevel.bind(project);
    project.setLevel = (level) => swap(level, last);
    actions.selectRows([1, 2, 3], "replace");
    await actions.level("object");
    expect(explorer.store.selectedCount.peek()).toBe(2);
    expect(explorer.store.color.peek()).toBe("class_name");
    await actions.level("item");
    expect(explorer.store.selectedCount.peek()).toBe(0);
  });

  test("made by Python never shows the old level's filter or order on the new rows", async () => {
    const { project, explorer, actions } = await open();
    actions.applyFilter({ all: [{ text: "7" }] });
    actions.sort({ by: "sharpness", desc: true });
    await vi.waitFor(() => expect(explorer.store.order.peek()).not.toBeNull());
    const before = project.channel.sent.length;
    project.setLevel("object");
    await vi.waitFor(() => expect(explorer.store.result.peek()?.matching).toBe(300));
    expect(project.channel.sent.slice(before).map((m) => m["op"])).not.toContain("order.get");
    expect(project.channel.sent.slice(before).map((m) => m["op"])).not.toContain("filter.eval");
  });

  test("that is refused leaves everything as it is, and says why", async () => {
    const { explorer, actions } = await open({ fail: (op) => (op === "level.set" ? "There are no objects." : null) });
    actions.selectRows([1], "replace");
    await actions.level("object");
    expect([explorer.store.spec.peek().level, explorer.store.switching.peek(), explorer.store.selectedCount.peek()]).toEqual(["item", null, 1]);
    expect(explorer.store.toasts.peek()[0]?.text).toBe("There are no objects.");
  });

  test("takes no edits while it is on its way", async () => {
    const { project, actions } = await open({ delay: (op) => (op === "level.set" ? 20 : 0) });
    actions.selectRows([1], "replace");
    const switched = actions.level("object");
    expect(await actions.tag(["x"], [])).toBe(false);
    await switched;
    expect(sent(project, "tags.apply")).toHaveLength(0);
  });

  test("is made by buttons that keep the focus, and words follow the level", async () => {
    const { explorer } = await open();
    const element = document.createElement("div");
    document.body.append(element);
    const unmount = mount(explorer, element);
    const root = element.firstElementChild!.shadowRoot!;
    await vi.waitFor(() => expect(root.querySelector("[data-testid=level]")).not.toBeNull());
    const buttons = [...root.querySelectorAll<HTMLButtonElement>("[data-testid=level] button")];
    expect(buttons.map((b) => [b.textContent, b.getAttribute("aria-pressed")])).toEqual([["Images", "true"], ["Objects", "false"]]);
    buttons[1]!.focus();
    buttons[1]!.click();
    await vi.waitFor(() => expect(root.querySelector("[data-testid=count]")?.textContent).toBe("300 objects"));
    expect(root.querySelector("[data-testid=level] [aria-pressed=true]")).toBe(buttons[1]);
    expect(root.activeElement).toBe(buttons[1]);
    expect(root.querySelector(".grid")?.getAttribute("aria-label")).toBe("objects");
    unmount();
  });
});

describe("labels", () => {
  async function objects(): Promise<{ project: FakeProject; explorer: Explorer; actions: Actions; bytes: Uint8Array[][] }> {
    const all = await open();
    await all.actions.level("object");
    await vi.waitFor(() => expect(all.explorer.store.result.peek()?.counts.has("class_name")).toBe(true));
    const bytes: Uint8Array[][] = [];
    const send = all.project.channel.send.bind(all.project.channel);
    all.project.channel.send = (content, buffers = []) => {
      if (/^(labels|notes)/.test(String(content["op"]))) bytes.push(buffers.map((b) => new Uint8Array(b.buffer as ArrayBuffer, b.byteOffset, b.byteLength).slice()));
      send(content, buffers);
    };
    return { ...all, bytes };
  }

  test("of the selection travel as one row set with the new class", async () => {
    const { project, explorer, actions, bytes } = await objects();
    actions.selectRows([5, 100, 250], "replace");
    expect(await actions.relabel("food")).toBe(true);
    const [message] = sent(project, "labels.relabel");
    expect(message).toMatchObject({ class_name: "food", enc: "ids", n: 3 });
    expect([...asU32(bytes[0]![0]!)]).toEqual([5, 100, 250]);
    expect(explorer.store.toasts.peek()[0]).toMatchObject({ text: "3 objects relabelled “food”.", undo: true });
    await vi.waitFor(() => expect(explorer.columns.fresh("class_name")?.[250]).toBe(4));
  });

  test("many rows in a row are a range; one given row goes before the selection", async () => {
    const { project, actions, bytes } = await objects();
    actions.selectRows(Array.from({ length: 120 }, (_, i) => i + 20), "replace");
    await actions.deleteLabels();
    const read = (op: string, i: number): number[] => {
      const rows: number[] = [];
      forEachRow(String(sent(project, op)[0]!["enc"]), bytes[i]![0]!, 300, (row) => rows.push(row));
      return rows;
    };
    const rows = read("labels.delete", 0);
    expect([rows.length, rows[0], rows[119]]).toEqual([120, 20, 139]);
    await actions.relabel("dog", [7]);
    expect(read("labels.relabel", 1)).toEqual([7]);
    await actions.note("blurred", 8);
    expect(sent(project, "notes.set")[0]).toMatchObject({ text: "blurred", n: 1 });
    expect(read("notes.set", 2)).toEqual([8]);
  });

  test("the offer to undo goes when something else is edited", async () => {
    const { explorer, actions } = await objects();
    actions.selectRows([1], "replace");
    await actions.deleteLabels();
    expect(explorer.store.toasts.peek().some((t) => t.undo)).toBe(true);
    await actions.tag(["later"], []);
    expect(explorer.store.toasts.peek().some((t) => t.undo)).toBe(false);
  });

  test("nothing is sent for an empty selection", async () => {
    const { project, actions } = await objects();
    expect(await actions.relabel("dog")).toBe(false);
    expect(sent(project, "labels.relabel")).toHaveLength(0);
  });
});
