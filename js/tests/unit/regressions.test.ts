// What users ran into, one test each; see also the owners of the parts.

import { afterEach, expect, test, vi } from "vitest";
import { describe as words, type FilterSpec, polars } from "../../src/protocol/filter";
import { Actions } from "../../src/state/actions";
import { Explorer } from "../../src/state/explorer";
import { MemoryChannel } from "../../src/transport/memory";
import { Rpc, SLOW_MS } from "../../src/transport/rpc";
import { FakeProject, type Options } from "../fixtures/server";

const live: Explorer[] = [];
afterEach(() => live.splice(0).forEach((e) => e.dispose()));

async function open(options: Options = {}): Promise<{ project: FakeProject; explorer: Explorer; actions: Actions }> {
  const project = new FakeProject({ n: 200, ...options });
  const explorer = new Explorer(project.channel);
  live.push(explorer);
  await vi.waitFor(() => {
    expect(explorer.store.result.peek()?.counts.has("class_name")).toBe(true);
    expect(explorer.store.tagMasks.peek().size).toBe(project.tags.size);
  });
  return { project, explorer, actions: new Actions(explorer) };
}
const rows = (explorer: Explorer): number[] => [...explorer.store.selected.peek()].flatMap((v, row) => (v ? [row] : []));
const visible = (explorer: Explorer): number[] => [...explorer.store.result.peek()!.visible];

test("a shift-range starts at the clicked image even when the order changed meanwhile", async () => {
  const { explorer, actions } = await open();
  actions.clickTile(0, { shift: false, ctrl: false });
  const before = explorer.store.order.peek();
  actions.sort({ by: "brightness", desc: false });
  await vi.waitFor(() => expect(explorer.store.order.peek()).not.toBe(before));
  await vi.waitFor(() => expect(visible(explorer)[0]).not.toBe(0));
  const at = visible(explorer).indexOf(0);
  actions.clickTile(3, { shift: true, ctrl: false });
  expect(rows(explorer)).toHaveLength(Math.abs(at - 3) + 1);
  expect(rows(explorer)).toContain(0);
});

test("an explorer opened with a filter still knows the whole distribution", async () => {
  const { explorer } = await open({ filter: { all: [{ col: "brightness", op: "between", lo: 0.25, hi: 0.5, closed: "left" }] } });
  await vi.waitFor(() => expect(explorer.store.result.peek()!.matching).toBeLessThan(200));
  const { base, counts } = explorer.store.result.peek()!;
  const sum = (a: Uint32Array): number => a.reduce((x, y) => x + y, 0);
  expect(sum(base.get("sharpness")!)).toBe(200);
  expect(sum(counts.get("sharpness")!)).toBeLessThan(200);
});

test("tags fetched before an edit do not take the edit off the screen", async () => {
  let slow = false;
  const { explorer, actions } = await open({ delay: (op) => (slow && op === "tags.apply" ? 40 : 0) });
  slow = true;
  actions.selectRows([1], "replace");
  const done = actions.tag(["fresh"], []);
  await explorer.loading.tags(); // answered while the edit is on its way
  expect(actions.tagState("fresh")).toBe("all");
  await done;
  await vi.waitFor(() => expect(explorer.store.tagMasks.peek().get("fresh")?.[1]).toBe(1));
});

test("an edit does not fetch the order again: a sorted grid stays where it is", async () => {
  const { project, explorer, actions } = await open();
  actions.sort({ by: "brightness", desc: true });
  await vi.waitFor(() => expect(explorer.store.order.peek()).not.toBeNull());
  const order = explorer.store.order.peek();
  project.publish();
  await vi.waitFor(() => expect(explorer.store.spec.peek().revision).toBe(project.revision));
  await new Promise((done) => setTimeout(done, 20));
  expect(explorer.store.order.peek()).toBe(order);
});

test("positions of the map travel once, however many ask for them", async () => {
  const project = new FakeProject({ n: 200, delay: (op) => (op === "embedding.get" ? 20 : 0) });
  const explorer = new Explorer(project.channel);
  live.push(explorer);
  await Promise.all([explorer.loading.positions(), explorer.loading.positions()]);
  await vi.waitFor(() => expect(explorer.store.positions.peek()).not.toBeNull());
  expect(project.channel.sent.filter((m) => m["op"] === "embedding.get")).toHaveLength(1);
});

test("histograms stay while the columns are fetched again", async () => {
  let slow = false;
  const { project, explorer } = await open({ delay: (op) => (slow && op === "columns.get" ? 60 : 0) });
  slow = true;
  const columns = project.columns.bind(project);
  project.columns = () => columns().map((c) => ({ ...c, nulls: c.nulls + 1 }));
  project.publish();
  await new Promise((done) => setTimeout(done, 30));
  expect(explorer.store.result.peek()!.counts.has("brightness")).toBe(true);
});

test("a job that failed says why", async () => {
  const { project, explorer } = await open({ state: "ready" });
  project.job = { id: "j", title: "Compute", stage: "pixels", done: 1, total: 9, rate: 1, eta: 8, state: "running", message: "" };
  project.publish();
  project.job = { ...project.job, state: "failed", message: "The disk is full." };
  project.publish();
  expect(explorer.store.toasts.peek()[0]).toMatchObject({ text: "Compute failed.", hint: "The disk is full.", kind: "error" });
});

test("busy is said while a slow request waits, and only then", () => {
  vi.useFakeTimers();
  const channel = new MemoryChannel({});
  const busy: boolean[] = [];
  const rpc = new Rpc(channel, (b) => busy.push(b));
  channel.onMessage((content, buffers) => rpc.receive(content, buffers));
  const id = (i: number): unknown => channel.sent[i]!["id"];
  void rpc.ask("a");
  vi.advanceTimersByTime(SLOW_MS - 1);
  expect(busy).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(busy).toEqual([true]);
  void rpc.ask("b"); // asked later and still young: must not keep "busy" up
  channel.deliver({ re: id(0), ok: true });
  expect(busy).toEqual([true, false]);
  vi.useRealTimers();
});

test("the status line prints the Polars that reproduces the filter", () => {
  const spec: FilterSpec = { all: [{ col: "brightness", op: "between", lo: 0.2, hi: 0.4, closed: "left" }, { any: [{ col: "class", op: "in", values: ["bird"] }, { not: { tag: 'a "b"' } }] }, { col: "x", op: "between", lo: null, hi: 3, closed: "both" }] };
  expect(polars(spec)).toBe('pl.col("brightness").is_between(0.2, 0.4, closed="left"), (pl.col("class") == "bird") | (~(ea.tagged("a \\"b\\""))), pl.col("x") <= 3');
  expect(words({ col: "x", op: "between", lo: 1, hi: 2, closed: "right" })).toBe("1 < x ≤ 2");
});
