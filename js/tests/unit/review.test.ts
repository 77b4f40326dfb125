// A review: what is pressed is what is kept, in that order, whatever the kernel does.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { mount } from "../../src/app";
import { Actions } from "../../src/state/actions";
import { Explorer } from "../../src/state/explorer";
import { Pace, timeLeft } from "../../src/state/pace";
import { ACCEPTED, CHANGED, OPEN, PICTURES_AHEAD, REJECTED, REMOVED, type Review } from "../../src/state/review";
import type { Spec } from "../../src/protocol/messages";
import { Sending } from "../../src/state/sending";
import type { ReviewOptions } from "../fixtures/review";
import { FakeProject, type Options } from "../fixtures/server";

class Silent {
  observe(): void {}
  disconnect(): void {}
}
const cleanups: (() => void)[] = [];

beforeEach(() => {
  vi.stubGlobal("ResizeObserver", Silent);
  vi.stubGlobal("IntersectionObserver", Silent);
  HTMLCanvasElement.prototype.getContext = (() => null) as never;
  HTMLImageElement.prototype.decode = async () => {};
});
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
  vi.unstubAllGlobals();
  document.body.replaceChildren();
});

interface Opened {
  explorer: Explorer;
  review: Review;
  project: FakeProject;
  root: ShadowRoot;
  press(key: string, more?: KeyboardEventInit): void;
  unmount(): void;
  idle(): Promise<void>;
}

async function opened(review: Partial<ReviewOptions> = {}, options: Options = {}): Promise<Opened> {
  const project = new FakeProject({ n: 200, ...options, review: { n: 60, kinds: ["class"], ...review } });
  const explorer = new Explorer(project.channel);
  const box = document.createElement("div");
  document.body.append(box);
  const taken = mount(explorer, box);
  const made = explorer.review!;
  const root = box.firstElementChild!.shadowRoot!;
  const unmount = (): void => {
    if (!box.firstElementChild) return;
    (root.activeElement as HTMLElement | null)?.blur(); // happy-dom cannot say what has the focus once that is out of the page
    taken();
  };
  cleanups.push(() => (unmount(), explorer.dispose()));
  await vi.waitFor(() => expect(made.state.value).toBe("ready"));
  await vi.waitFor(() => expect(made.at.value === null || root.querySelector("[data-testid=review-card]")).toBeTruthy());
  const panel = root.querySelector<HTMLElement>(".review")!;
  panel.focus();
  const press = (key: string, more: KeyboardEventInit = {}): void => {
    const target = root.activeElement ?? panel;
    target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true, ...more }));
  };
  const idle = async (): Promise<void> => void (await vi.waitFor(() => expect(made.sending.waiting.value).toBe(0), { timeout: 10_000 }));
  return { explorer, review: made, project, root, press, unmount, idle };
}
const received = ({ project }: Opened): string[] => project.review!.received.map((r) => `${r.decision}${r.class_name ? `:${r.class_name}` : ""} ${r.is.join(",")}`);
const card = ({ root }: Opened): string => root.querySelector("[data-testid=review-card]")?.textContent ?? "";

describe("keys", () => {
  it("answer what one looks at and go on to the next open one", async () => {
    const o = await opened();
    for (const key of ["Enter", "x", "2", "Delete", "Backspace"]) o.press(key);
    expect([...o.review.decisions.value.slice(0, 6)]).toEqual([ACCEPTED, REJECTED, CHANGED, REMOVED, REMOVED, OPEN]);
    expect(o.review.at.value).toBe(5);
    await o.idle();
    expect(received(o)).toEqual(["accept 0", "reject 1", "class:dog 2", "remove 3", "remove 4"]);
  });

  it("mean the same class throughout, though another becomes the most frequent", async () => {
    const o = await opened();
    const spec = o.project.channel.get<Spec>("_spec");
    o.project.channel.set("_spec", { ...spec, revision: 9, classes: ["new", ...[...spec.classes!].reverse()] });
    o.press("2");
    await o.idle();
    expect(received(o)).toEqual(["class:dog 0"]);
    expect(o.review.classes.at(-1)).toBe("new");
  });

  it("move without answering", async () => {
    const o = await opened();
    const at = (key: string, more?: KeyboardEventInit): number | null => (o.press(key, more), o.review.at.value);
    expect([at("ArrowRight"), at("j"), at("k"), at("ArrowLeft"), at("ArrowLeft")]).toEqual([1, 2, 1, 0, 0]);
    expect([at("End"), at("ArrowRight"), at("Home"), at("s"), at(" "), at("f")]).toEqual([59, 59, 0, 1, 2, 3]);
    expect(o.project.review!.received).toEqual([]);
  });

  it("focus the fields for a class, a tag and a note, and Escape leaves them before it leaves the review", async () => {
    const o = await opened();
    const focused = (): string => o.root.activeElement?.getAttribute("data-testid") ?? "";
    for (const [key, field] of [["0", "class-input"], ["c", "class-input"], ["t", "tag-input"], ["n", "note"]] as const) {
      o.press(key);
      expect(focused()).toBe(field);
      o.press("Escape");
      if (focused() === field) o.press("Escape"); // the first closed the list of classes
      expect(focused()).toBe("review");
    }
    expect(o.review.shown.value).toBe(true);
    o.press("Escape");
    expect(o.review.shown.value).toBe(false);
  });

  it("that are typed into a field answer nothing", async () => {
    const o = await opened();
    o.press("c");
    const field = o.root.activeElement as HTMLInputElement;
    for (const key of ["x", "2", "u", " ", "Backspace"]) o.press(key);
    expect(o.review.done.value).toBe(0);
    field.value = "a class nobody had before";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    await vi.waitFor(() => expect(field.value).toBe("a class nobody had before"));
    o.press("Enter");
    await o.idle();
    expect(received(o)).toEqual(["class:a class nobody had before 0"]);
    expect(o.root.activeElement?.className).toBe("review"); // and the next key is one of the review again
  });

  it("held down answer once: nobody saw what came after", async () => {
    const o = await opened();
    o.press("Enter");
    for (let i = 0; i < 20; i++) o.press("Enter", { repeat: true });
    expect(o.review.done.value).toBe(1);
    for (let i = 0; i < 5; i++) o.press("ArrowRight", { repeat: true });
    expect(o.review.at.value).toBe(6);
    await o.idle();
  });

  it("on a button press that button and nothing else", async () => {
    const o = await opened();
    o.root.querySelector<HTMLElement>("[data-testid=review-reject]")!.focus();
    o.press("Enter");
    expect(o.review.done.value).toBe(0);
    o.press("x");
    expect(o.review.decisions.value[0]).toBe(REJECTED);
    await o.idle();
  });

  it("show the list of keys and the tiles, and never reach the explorer behind", async () => {
    const o = await opened();
    o.press("?");
    await vi.waitFor(() => expect(o.root.querySelector(".review .help")).toBeTruthy());
    expect(o.root.querySelectorAll(".help")).toHaveLength(1);
    o.press("Escape");
    o.press("g");
    expect(o.review.tiles.value).toBe(true);
    o.press("a", { ctrlKey: true });
    expect(o.explorer.store.selectedCount.value).toBe(0);
    expect(o.review.chosen.value.size).toBeGreaterThan(1);
    const before = o.explorer.store.tagMasks.value;
    o.press("z");
    expect(o.explorer.store.tagMasks.value).toBe(before);
  });
});

describe("what is pressed faster than the kernel answers", () => {
  it("is kept: 200 answers in one moment, in their order, one at a time", async () => {
    let [flying, most] = [0, 0];
    const o = await opened({ n: 250 }, { delay: (op) => (op === "review.decide" && (most = Math.max(most, ++flying)), 0) });
    const answer = o.project.review!.answer.bind(o.project.review!);
    o.project.review!.answer = (op, content, edited) => {
      if (op === "review.decide") flying--;
      return answer(op, content, edited);
    };
    const keys = Array.from({ length: 200 }, (_, i) => ["Enter", "x", "3"][i % 3]!);
    for (const key of keys) o.press(key);
    expect(o.review.done.value).toBe(200);
    expect(o.root.querySelector("[data-testid=review-saved]")).toBeTruthy();
    await o.idle();
    expect(most).toBe(1);
    expect(received(o)).toEqual(keys.map((key, i) => `${{ Enter: "accept", x: "reject", "3": "class:boat" }[key]} ${i}`));
    expect(o.project.review!.history).toHaveLength(200);
    expect([...o.review.decisions.value]).toEqual([...o.project.review!.decisions]);
  });

  it("is sent in its order though answers are slow, and it says that it is saving until they came", async () => {
    let slow = 40;
    const o = await opened({}, { delay: (op) => (op === "review.decide" ? (slow -= 10) : 0) });
    for (const key of ["Enter", "x", "1"]) o.press(key);
    const says = (): string => o.root.querySelector("[data-testid=review-saved]")!.textContent;
    await vi.waitFor(() => expect(says()).toContain("saving"));
    expect(o.explorer.store.saving.value).toBeGreaterThan(0);
    await o.idle();
    await vi.waitFor(() => expect(says()).toBe("saved"));
    expect(received(o)).toEqual(["accept 0", "reject 1", "class:bird 2"]);
  });

  it("is sent when the widget ends, and when its cell is run again", async () => {
    for (const end of ["dispose", "detach"] as const) {
      const o = await opened({}, { delay: (op) => (op === "review.decide" ? 5 : 0) });
      for (let i = 0; i < 10; i++) o.press("Enter");
      if (end === "dispose") o.explorer.dispose();
      else o.unmount();
      expect(o.project.channel.sent.filter((m) => m["op"] === "review.decide")).toHaveLength(10);
      await vi.waitFor(() => expect(received(o)).toEqual(Array.from({ length: 10 }, (_, i) => `accept ${i}`)));
      o.unmount();
    }
  });

  it("keeps its order among tags and notes: undo takes back what was done last", async () => {
    const o = await opened({}, { delay: (op) => (op === "review.decide" ? 5 : 0) });
    o.press("Enter");
    void new Actions(o.explorer).tag(["doubtful"], [], [7]);
    o.press("x");
    await o.idle();
    const ops = o.project.channel.sent.map((m) => m["op"]).filter((op) => op === "review.decide" || op === "tags.apply");
    expect(ops).toEqual(["review.decide", "tags.apply", "review.decide"]);
    o.press("u");
    o.press("u");
    await o.idle();
    await vi.waitFor(() => expect(o.review.done.value).toBe(1));
    expect(o.project.review!.decisions[0]).toBe(ACCEPTED);
  });
});

describe("an answer that is refused", () => {
  it("leaves its entry open, says why, and goes back to it", async () => {
    const o = await opened({}, { fail: (op) => (op === "review.decide" ? "The disk is full." : null) });
    o.press("Enter");
    expect(o.review.at.value).toBe(1); // shown at once
    await vi.waitFor(() => expect(o.review.at.value).toBe(0));
    expect(o.review.decisions.value[0]).toBe(OPEN);
    expect(o.explorer.store.toasts.value.map((t) => [t.text, t.kind])).toContainEqual(["The disk is full.", "error"]);
  });

  it("takes none of the others with it, and only the first takes one back", async () => {
    let asked = 0;
    const o = await opened({}, { fail: (op) => (op === "review.decide" && [3, 4].includes(++asked) ? "Not this one." : null) });
    for (let i = 0; i < 6; i++) o.press("Enter");
    await o.idle();
    expect([...o.review.decisions.value.slice(0, 7)]).toEqual([1, 1, 0, 0, 1, 1, 0]);
    expect(o.review.at.value).toBe(2);
    expect(received(o)).toEqual(["accept 0", "accept 1", "accept 4", "accept 5"]);
  });

  it("does not let the next key answer what appeared unasked", async () => {
    const o = await opened({}, { fail: (op) => (op === "review.decide" ? "no" : null) });
    o.press("Enter");
    await vi.waitFor(() => expect(o.review.at.value).toBe(0));
    o.press("x"); // meant for entry 1, which was shown a moment ago
    expect(o.review.decisions.value[0]).toBe(OPEN);
    await o.idle();
  });
});

describe("undo", () => {
  it("goes back to what was undone at once, so that the next key answers it", async () => {
    const o = await opened({}, { delay: (op) => (op.startsWith("review.") ? 5 : 0) });
    for (const key of ["Enter", "Enter", "Enter", "u", "x"]) o.press(key);
    expect([...o.review.decisions.value.slice(0, 4)]).toEqual([1, 1, 2, 0]);
    expect(o.review.at.value).toBe(3);
    await o.idle();
    await vi.waitFor(() => expect([...o.project.review!.decisions.slice(0, 4)]).toEqual([1, 1, 2, 0]));
    expect([...o.review.decisions.value.slice(0, 4)]).toEqual([1, 1, 2, 0]);
  });

  it("and redo walk through the history; Ctrl+Z, the bar above and the key are one", async () => {
    const o = await opened();
    for (const key of ["Enter", "x", "1"]) o.press(key);
    o.press("z", { ctrlKey: true });
    o.press("u");
    await new Actions(o.explorer).undo();
    expect(o.review.at.value).toBe(0);
    expect(o.review.done.value).toBe(0);
    o.press("U", { shiftKey: true });
    o.press("Z", { ctrlKey: true, shiftKey: true });
    await o.idle();
    await vi.waitFor(() => expect([...o.review.decisions.value.slice(0, 3)]).toEqual([1, 2, 0]));
    expect([...o.project.review!.decisions.slice(0, 3)]).toEqual([1, 2, 0]);
  });

  it("of what another page did goes where it leads, and keys wait until that is known", async () => {
    const o = await opened({}, { delay: (op) => (op === "review.undo" ? 30 : 0) });
    o.project.review!.answer("review.decide", { is: [17], decision: "accept" }, (text) => ({ text }) as never);
    o.explorer.store.undo.value = "accept 17";
    o.press("u");
    o.press("x");
    expect(o.review.done.value).toBe(0);
    await vi.waitFor(() => expect(received(o)).toEqual(["accept 17", "reject 17"]));
    await o.idle();
    expect(o.review.decisions.value[0]).toBe(OPEN);
    expect(o.review.decisions.value[17]).toBe(REJECTED);
  });

  it("says so when there is nothing", async () => {
    const o = await opened();
    o.press("u");
    expect(o.explorer.store.announcement.value).toBe("Nothing to undo.");
    expect(o.project.channel.sent.some((m) => m["op"] === "review.undo")).toBe(false);
  });
});

describe("a review that is left", () => {
  it("goes on at the first open entry", async () => {
    const o = await opened({ done: 23 });
    expect(o.review.at.value).toBe(23);
    expect(o.review.done.value).toBe(23);
    expect(card(o)).toContain("24 of 60");
  });

  it("is closed and opened again where it was, and the button says what is left", async () => {
    const o = await opened();
    o.press("Enter");
    o.press("Escape");
    await vi.waitFor(() => expect(o.root.querySelector(".review")).toBeNull());
    const button = o.root.querySelector<HTMLElement>("[data-testid=review-button]")!;
    await vi.waitFor(() => expect(button.textContent).toContain("59"));
    button.click();
    await vi.waitFor(() => expect(o.root.querySelector(".review")).toBeTruthy());
    expect(o.review.at.value).toBe(1);
    await o.idle();
  });

  it("shows answers that were given elsewhere", async () => {
    const o = await opened();
    o.project.review!.answer("review.decide", { is: [3], decision: "reject" }, (text) => ({ text }) as never);
    await o.review.refresh();
    expect(o.review.decisions.value[3]).toBe(REJECTED);
  });

  it("lets the explorer behind it fetch what changed once, when it closes", async () => {
    const o = await opened();
    const asked = (): number => o.project.channel.sent.filter((m) => m["op"] === "columns.get").length;
    await vi.waitFor(() => expect(asked()).toBeGreaterThan(0));
    const before = asked();
    for (const key of ["Enter", "x", "1"]) {
      o.press(key);
      await o.idle();
      const spec = o.project.channel.get<Spec>("_spec");
      o.project.channel.set("_spec", { ...spec, revision: spec.revision + 1, columns: spec.columns.map((c) => ({ ...c, nulls: c.nulls + 1 })) });
    }
    await new Promise((done) => setTimeout(done, 50));
    expect(asked()).toBe(before);
    o.press("Escape");
    await vi.waitFor(() => expect(asked()).toBeGreaterThan(before));
  });

  it("ends with what was done, or with nothing to do", async () => {
    const o = await opened({ n: 3 });
    for (const key of ["Enter", "x", "2"]) o.press(key);
    await o.idle();
    await vi.waitFor(() => expect(o.root.querySelector("[data-testid=review-done]")!.textContent).toContain("All 3 reviewed: 1 accepted, 1 changed, 1 rejected"));
    o.press("ArrowLeft");
    expect(o.review.at.value).toBe(2);
    for (const clean of cleanups.splice(0)) clean();
    const empty = await opened({ n: 0 });
    expect(empty.root.querySelector(".review-message")!.textContent).toContain("Nothing to review");
  });

  it("tells when it cannot be loaded, and tries again", async () => {
    const project = new FakeProject({ n: 50, review: { n: 5 }, fail: (op) => (op === "review.state" ? "no" : null) });
    const explorer = new Explorer(project.channel);
    cleanups.push(() => explorer.dispose());
    await vi.waitFor(() => expect(explorer.review!.state.value).toBe("failed"));
    delete project.options.fail;
    await explorer.review!.refresh();
    expect(explorer.review!.state.value).toBe("ready");
  });
});

describe("what comes next", () => {
  it("is loaded before: the next pictures and the one before, no more", async () => {
    const o = await opened();
    const rows = (): number[] => o.project.channel.sent.filter((m) => m["op"] === "image.get").map((m) => Number(m["row"]));
    await vi.waitFor(() => expect(rows()).toEqual([0, 1, 2, 3, 4].map((i) => i * 7)));
    for (let i = 0; i < 3; i++) o.press("Enter");
    await vi.waitFor(() => expect(rows()).toHaveLength(5 + 3));
    await vi.waitFor(() => expect(Array.from({ length: 9 }, (_, i) => typeof o.review.ahead.picture(i * 7))).toEqual([...Array(2).fill("undefined"), ...Array(2 + PICTURES_AHEAD).fill("object"), "undefined"]));
    await o.idle();
  });

  it("is asked for by the dozen, and once", async () => {
    const o = await opened({ n: 500 });
    for (let i = 0; i < 100; i++) o.press("ArrowRight");
    await vi.waitFor(() => expect(o.review.ahead.entry(140)).toBeTruthy());
    const asked = o.project.channel.sent.filter((m) => m["op"] === "review.get");
    const all = asked.flatMap((m) => Array.from({ length: Number(m["count"]) }, (_, k) => Number(m["at"]) + k));
    expect(new Set(all).size).toBe(all.length);
    expect(Math.max(...asked.map((m) => Number(m["count"])))).toBeLessThanOrEqual(64);
  });

  it("is never shown with the picture of what was before", async () => {
    let late = false;
    const o = await opened({}, { delay: (op) => (op === "image.get" && late ? 400 : 0) });
    const stage = (): HTMLElement => o.root.querySelector<HTMLElement>(".review .stage")!;
    await vi.waitFor(() => expect(o.review.ahead.picture(28)).toBeTypeOf("object"));
    late = true;
    for (let i = 0; i < 4; i++) {
      o.press("Enter");
      await Promise.resolve();
    }
    await vi.waitFor(() => expect(stage().dataset["at"]).toBe("4"));
    expect(stage().dataset["shown"]).toBe("4"); // it was here before
    o.press("Enter");
    await vi.waitFor(() => expect(stage().dataset["at"]).toBe("5"));
    expect(stage().dataset["shown"]).toBeUndefined();
    expect(stage().querySelector("img")!.hidden).toBe(true);
    await vi.waitFor(() => expect(stage().dataset["shown"]).toBe("5"));
    expect(stage().querySelector("img")!.hidden).toBe(false);
    await o.idle();
  });

  it("can be answered though its picture cannot be read", async () => {
    const o = await opened({ missing: () => true });
    await vi.waitFor(() => expect(o.root.querySelector(".review .stage")!.textContent).toContain("cannot be shown"));
    expect(card(o)).toContain("Labelled");
    o.press("Enter");
    await o.idle();
    expect(received(o)).toEqual(["accept 0"]);
  });
});

describe("filters", () => {
  it("by kind count what is left of it, ask only about it, and say when it is done", async () => {
    const o = await opened({ n: 10, kinds: ["class", "missed"] });
    const chips = [...o.root.querySelectorAll<HTMLElement>("[data-testid=review-kinds] button")];
    expect(chips.map((c) => c.textContent)).toEqual(["Class5", "Missed5"]);
    chips[1]!.click();
    expect(o.review.at.value).toBe(1);
    for (let i = 0; i < 5; i++) o.press("Enter");
    await o.idle();
    expect(received(o)).toEqual([1, 3, 5, 7, 9].map((i) => `accept ${i}`));
    await vi.waitFor(() => expect(o.root.querySelector("[data-testid=review-done]")!.textContent).toContain("Missed: all reviewed"));
    o.review.filter(null, false);
    expect(o.review.at.value).toBe(0);
  });

  it("by what is open leave out what was answered", async () => {
    const o = await opened({ done: 0 });
    for (let i = 0; i < 3; i++) o.press("Enter");
    o.press("Home");
    expect(o.review.at.value).toBe(0);
    o.review.filter(null, true);
    o.press("Home");
    expect(o.review.at.value).toBe(3);
    o.press("ArrowLeft");
    expect(o.review.at.value).toBe(3);
    await o.idle();
  });
});

describe("tiles", () => {
  it("are answered together, and the page turns when it is done", async () => {
    const o = await opened();
    o.press("g");
    o.review.resize(6);
    await vi.waitFor(() => expect(o.root.querySelectorAll(".review-tile")).toHaveLength(6));
    o.press("ArrowRight", { shiftKey: true });
    o.press("ArrowRight", { shiftKey: true });
    expect([...o.review.chosen.value]).toEqual([0, 1, 2]);
    o.press("a");
    expect(o.review.at.value).toBe(3);
    o.press("x");
    o.press("a", { ctrlKey: true });
    expect([...o.review.chosen.value]).toEqual([4, 5]);
    o.press("Enter");
    await o.idle();
    expect(received(o)).toEqual(["accept 0,1,2", "reject 3", "accept 4,5"]);
    expect(o.review.page.value).toEqual([6, 7, 8, 9, 10, 11]);
    o.press("u");
    expect([...o.review.decisions.value.slice(0, 7)]).toEqual([1, 1, 1, 2, 0, 0, 0]);
    expect(o.review.page.value).toContain(4);
    await o.idle();
  });

  it("show their pictures when they come, however late", async () => {
    const o = await opened({}, { delay: (op) => (op === "review.thumbs" ? 80 : 0) });
    o.press("g");
    await vi.waitFor(() => expect(o.root.querySelectorAll(".review-tile .chip-text").length).toBeGreaterThan(20));
    expect(o.root.querySelectorAll(".review-tile img")).toHaveLength(0);
    await vi.waitFor(() => expect(o.root.querySelectorAll(".review-tile img")).toHaveLength(24));
  });

  it("are chosen by Shift-click and Ctrl-click; pages turn and stay within the queue", async () => {
    const o = await opened({ n: 20 });
    o.press("g");
    o.review.resize(8);
    o.review.pick(2, { shift: false, ctrl: false });
    o.review.pick(5, { shift: true, ctrl: false });
    o.review.pick(7, { shift: false, ctrl: true });
    o.review.pick(3, { shift: false, ctrl: true });
    expect(o.review.targets).toEqual([2, 4, 5, 7]);
    o.press("PageDown");
    expect(o.review.page.value[0]).toBe(8);
    o.press("PageDown");
    expect(o.review.page.value).toEqual([12, 13, 14, 15, 16, 17, 18, 19]); // the last page is full
    o.press("PageUp");
    expect(o.review.page.value).toEqual([4, 5, 6, 7, 8, 9, 10, 11]);
    o.press("Escape");
    expect(o.review.shown.value).toBe(false);
  });
});

it("names are text: nothing in them becomes part of the page", async () => {
  const evil = '<img src=x onerror="window.bad=1"><b>';
  const o = await opened({ names: [evil, evil] });
  expect(card(o)).toContain(evil);
  o.press("g");
  await vi.waitFor(() => expect(o.root.querySelector(".review-tile")?.textContent).toContain(evil));
  expect(o.root.querySelector(".review b, .review img[src=x]")).toBeNull();
});

it("says every answer: what it was and how far one is", async () => {
  const o = await opened();
  o.press("Enter");
  expect(o.explorer.store.announcement.value).toBe("accepted: bird → dog. 1 of 60");
  o.press("3");
  expect(o.explorer.store.announcement.value).toBe("changed: other → boat. 2 of 60");
  await o.idle();
});

describe("pace", () => {
  it("is that of the last two minutes at work; a break does not slow it down", () => {
    const pace = new Pace();
    let now = 0;
    pace.touch(now);
    for (let i = 0; i < 60; i++) pace.add(1, (now += 1000));
    expect(pace.perMinute).toBeCloseTo(60, 0);
    now += 3_600_000;
    for (let i = 0; i < 60; i++) pace.add(1, (now += 500));
    expect(pace.perMinute!).toBeGreaterThan(60);
    for (let i = 0; i < 240; i++) pace.add(1, (now += 500));
    expect(pace.perMinute).toBeCloseTo(120, 0); // what was before two minutes ago is forgotten
  });

  it("is not told before there is one, and undoing takes from it", () => {
    const pace = new Pace();
    pace.touch(0);
    pace.add(1, 1000);
    expect(pace.perMinute).toBeNull();
    for (let i = 2; i <= 10; i++) pace.add(1, i * 1000);
    pace.add(-5, 10_000);
    expect(pace.perMinute).toBeCloseTo(30, 0);
  });

  it("gives the time that is left in words", () => {
    expect([timeLeft(10, 60), timeLeft(100, 50), timeLeft(6000, 50), timeLeft(5, 0)]).toEqual(["less than a minute left", "about 2 min left", "about 2.0 h left", ""]);
  });
});

it("sending goes on after a failure, and flushing sends the rest at once", async () => {
  const sending = new Sending();
  const log: string[] = [];
  const step = (name: string, fails = false): Promise<void> =>
    sending.add(async () => {
      log.push(name);
      await new Promise((done) => setTimeout(done, 5));
      if (fails) throw new Error(name);
    });
  const first = step("a", true).catch(() => log.push("a failed"));
  const rest = [step("b"), step("c"), step("d")];
  expect(log).toEqual(["a"]);
  await first;
  await rest[0];
  sending.flush();
  expect(log).toEqual(["a", "a failed", "b", "c", "d"]);
  await Promise.all(rest);
  expect(sending.waiting.value).toBe(0);
});
