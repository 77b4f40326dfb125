// The review: one question large or a page of tiles, a card beside it, everything by keyboard.

import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Review } from "../state/review";
import { trap } from "./Detail";
import { Button, count, useExplorer } from "./parts";
import { Card } from "./ReviewCard";
import { Done, Message, Waiting } from "./ReviewEnds";
import { Head, Progress } from "./ReviewHead";
import { ReviewPicture } from "./ReviewPicture";
import { ReviewTiles } from "./ReviewTiles";

const KEYS: [string, string][] = [
  ["Enter", "accept what is suggested"],
  ["X", "reject: the label stays"],
  ["1 … 9", "give it this class"],
  ["0, C", "type any class"],
  ["Delete", "remove the label"],
  ["S, Space", "skip: leave it open"],
  ["F", "to the next open one"],
  ["← →, K J", "previous, next"],
  ["Home, End", "first, last"],
  ["U, Ctrl+Z", "undo; Shift+U does it again"],
  ["T, N", "type a tag, a note"],
  ["G", "one at a time, or tiles"],
  ["Shift + arrows", "or Shift-click: choose several tiles; A or Enter accepts them"],
  ["Ctrl+A", "choose the open tiles of the page"],
  ["PgUp, PgDn", "turn the page"],
  ["Z, + −", "the whole image or the object; zoom"],
  ["Esc", "back to the explorer"],
];
const TYPING = "input:not([type=checkbox]), textarea, select";

/** Opens the review again; says what is left. */
export function ReviewButton(): JSX.Element | null {
  const { explorer, actions } = useExplorer();
  const { review } = explorer;
  if (!review) return null;
  const left = review.total.value - review.done.value;
  return (
    <Button
      kind={review.active.value ? "plain" : "primary"}
      label={`Review ${count(left)} left`}
      pressed={review.active.value}
      testid="review-button"
      onClick={() => {
        if (review.here.peek()) review.open(!review.shown.peek());
        else void actions.level(review.home).then(() => review.open(true));
      }}
    >
      Review <span class="review-left">{count(left)}</span>
    </Button>
  );
}

export function ReviewView({ review }: { review: Review }): JSX.Element {
  const { store } = useExplorer();
  const panel = useRef<HTMLDivElement>(null);
  const inside = useRef(false);
  const { help } = store;
  const zoomKeys = useRef<(key: string) => boolean>(() => false);
  const at = review.at.value;
  const tiles = review.tiles.value;
  /** Where keys are heard: the tile one looks at, or the panel. */
  const home = (): void => {
    const tile = review.tiles.peek() ? panel.current?.querySelector<HTMLElement>(".review-tile[tabindex='0']") : null;
    (tile ?? panel.current)?.focus({ preventScroll: true });
  };
  useLayoutEffect(() => {
    const root = panel.current!.getRootNode() as ShadowRoot;
    // Opened by its button: take the focus. Opened with the cell: leave it where somebody may be typing.
    if (root.activeElement) home();
    return () => {
      const now = root.activeElement;
      if (inside.current && (!now || panel.current?.contains(now))) root.querySelector<HTMLElement>("[data-testid=review-button]")?.focus();
    };
  }, []);
  useLayoutEffect(() => {
    const active = (panel.current!.getRootNode() as ShadowRoot).activeElement;
    // A control that had the focus may be gone with the entry it belonged to; the tile looked at changes too.
    if (inside.current && (!active || active.matches(".review-tile") || active === panel.current)) home();
  }, [at, tiles, review.page.value, review.decisions.value]);
  const field = (selector: string): void => panel.current?.querySelector<HTMLElement>(selector)?.focus();
  const left = review.total.value - review.done.value;
  return (
    <div
      ref={panel}
      class="review"
      role="dialog"
      aria-modal="true"
      aria-label={review.spec.title}
      tabIndex={-1}
      data-testid="review"
      data-state={review.state.value}
      onFocusIn={() => (inside.current = true)}
      onFocusOut={(event) => {
        const to = event.relatedTarget as Node | null;
        if (to && !panel.current!.contains(to)) inside.current = false;
      }}
      onKeyDownCapture={(event) => {
        // A tag that was typed is given: the keys are those of the review again.
        if (event.key === "Enter" && (event.target as Element).matches?.(".tag-editor input")) queueMicrotask(home);
      }}
      onKeyDown={(event) => {
        if (event.key === "Tab") trap(event, panel.current!);
        else if (keys(event)) event.preventDefault();
        event.stopPropagation(); // neither the explorer behind nor the notebook acts on it
      }}
    >
      <Head review={review} help={() => (help.value = !help.value)} />
      {review.state.value === "ready" && review.total.value ? <Progress review={review} /> : null}
      <div class="review-body">
        {review.state.value !== "ready" ? (
          <Waiting review={review} />
        ) : !review.total.value ? (
          <Message title="Nothing to review" text="This view holds no questions." review={review} />
        ) : at === null ? (
          <Done review={review} left={left} />
        ) : (
          <>
            {tiles ? <ReviewTiles review={review} home={home} /> : <ReviewPicture review={review} zoomKeys={zoomKeys} />}
            <Card review={review} home={home} />
            <p class="review-hint small">Click here to use the keys.</p>
          </>
        )}
        {help.value ? <Keys close={() => (help.value = false)} /> : null}
      </div>
    </div>
  );

  /** Act on a key; false where it is none of ours. */
  function keys(event: KeyboardEvent): boolean {
    const target = event.target as Element;
    const tiles = review.tiles.peek(); // what was drawn last may be older
    const { key } = event;
    const command = event.ctrlKey || event.metaKey;
    if (target.matches?.(TYPING)) {
      if (key !== "Escape" && (key !== "Enter" || !target.matches("[data-testid=note]"))) return false;
      home();
      return true;
    }
    const letter = key.length === 1 ? key.toLowerCase() : key;
    if (command) {
      if (letter === "z") event.shiftKey ? review.redo() : review.undo();
      else if (letter === "y") review.redo();
      else if (letter === "a" && tiles) review.pickPage();
      else return false;
      return true;
    }
    if (event.altKey) return false;
    if ((key === "Enter" || key === " ") && target.matches?.("button, [role=button], a")) return false; // it is pressed
    const move = (by: number): void => review.step(by);
    const columns = tiles ? columnsOf(panel.current!) : 1;
    const go = (by: number): void => {
      const page = review.page.peek();
      const next = page[page.indexOf(review.at.peek() ?? -1) + by];
      if (tiles && event.shiftKey) next === undefined || review.pick(next, { shift: true, ctrl: false });
      else if (tiles && next !== undefined) review.pick(next, { shift: false, ctrl: false });
      else move(Math.sign(by));
    };
    const commands: Record<string, () => void> = {
      "?": () => (help.value = !help.value),
      Enter: () => review.decide("accept"),
      x: () => review.decide("reject"),
      Delete: () => remove(),
      Backspace: () => remove(),
      "0": () => field(".review-classes input"),
      c: () => field(".review-classes input"),
      t: () => field(".tag-editor input"),
      n: () => field("[data-testid=note]"),
      u: () => (event.shiftKey ? review.redo() : review.undo()),
      s: () => review.skip(),
      " ": () => review.skip(),
      f: () => review.skip(),
      ArrowLeft: () => go(-1),
      ArrowRight: () => go(1),
      k: () => move(-1),
      j: () => move(1),
      Home: () => review.end(false),
      End: () => review.end(true),
      g: () => review.showTiles(!tiles),
      z: () => (review.whole.value = !review.whole.peek()),
      Escape: () => {
        if (help.peek()) help.value = false;
        else if (review.chosen.peek().size) review.unpick();
        else review.open(false);
      },
    };
    if (tiles)
      Object.assign(commands, {
        a: () => review.decide("accept"),
        ArrowUp: () => go(-columns),
        ArrowDown: () => go(columns),
        PageUp: () => review.turn(-1),
        PageDown: () => review.turn(1),
      });
    const answers = "Enter x a Delete Backspace".split(" ").includes(letter) || /^[1-9]$/.test(key);
    if (event.repeat && answers) return true; // held down, a key would answer what nobody saw
    if (answers && review.state.peek() !== "ready") return true;
    const name = /^[1-9]$/.test(key) ? review.classes[Number(key) - 1] : undefined;
    if (name !== undefined) review.decide("class", name);
    else if (commands[letter]) commands[letter]();
    else return !tiles && zoomKeys.current(key);
    return true;
  }

  function remove(): void {
    const entry = review.ahead.entry(review.at.peek() ?? -1);
    if (review.chosen.peek().size || !entry || entry.label) review.decide("remove");
    else store.announcement.value = "There is no label to remove here.";
  }
}

function columnsOf(panel: HTMLElement): number {
  const grid = panel.querySelector<HTMLElement>(".review-tiles");
  return Math.max(1, Number(grid?.dataset["columns"] ?? 1));
}

function Keys({ close }: { close(): void }): JSX.Element {
  return (
    <div class="help" role="dialog" aria-label="Keys of the review">
      <div class="row">
        <h3>Keys</h3>
        <span class="spacer" />
        <Button kind="ghost" icon="close" label="Close" onClick={close} />
      </div>
      <dl>
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>{key}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
