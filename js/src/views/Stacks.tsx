// Duplicates as stacks: cards of tiles that show the same picture, a threshold to drag, one of each to keep.

import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { take } from "../host/events";
import type { Stacks } from "../state/stacks";
import { cardBeside, type CardSizes, cardsWithin, layCards } from "../ui/card-layout";
import { Button, count, Icon, Popover, Progress, Segments, Slider, useExplorer } from "./parts";
import { StackCard } from "./StackCard";

const OVERSCAN_PX = 400;
const SIZES = { text: 36, head: 30, gap: 10, pad: 8, least: 290 };
/** The slider of the grid sets the tiles here too, a little larger: more is written below them. */
const WIDER_PX = 40;
const LEAST_TILE_PX = 88;
const MOST_TILE_PX = 240;
const STEPS = 100;

/** Opens the stacks again. */
export function StacksButton({ narrow }: { narrow: boolean }): JSX.Element | null {
  const { explorer, actions } = useExplorer();
  const { stacks } = explorer;
  if (!stacks || !stacks.explorer.store.spec.value.alive) return null;
  return (
    <Button
      label="Duplicates"
      icon="stacks"
      pressed={stacks.active.value}
      testid="stacks-button"
      onClick={() => {
        if (stacks.here.peek()) stacks.open.value = !stacks.open.peek();
        else void actions.level("item").then(() => (stacks.open.value = true));
      }}
    >
      {narrow ? null : <span class="wide-only">Duplicates</span>}
    </Button>
  );
}

export function StacksView({ stacks }: { stacks: Stacks }): JSX.Element {
  const { store, explorer } = useExplorer();
  const panel = useRef<HTMLDivElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const inside = useRef(false);
  const width = useSignal(800);
  const window_ = useSignal<[number, number]>([0, 900]);
  const table = stacks.table.value;
  const shown = stacks.shown.value;
  const tile = Math.min(MOST_TILE_PX, Math.max(LEAST_TILE_PX, store.tile.value + WIDER_PX));
  const sizes: CardSizes = useMemo(() => ({ ...SIZES, tile }), [tile]);
  const layout = useMemo(() => layCards(table ? shown.map((g) => stacks.sizeOf(g)) : [], width.value, sizes), [table, shown, width.value, sizes]);
  const [from, to] = cardsWithin(layout, window_.value[0] - OVERSCAN_PX, window_.value[1] + OVERSCAN_PX);
  const measure = (): void => {
    const box = scroller.current;
    if (!box) return;
    width.value = box.clientWidth || width.peek();
    window_.value = [box.scrollTop, box.scrollTop + box.clientHeight];
  };
  useEffect(() => {
    const observer = new ResizeObserver(measure);
    observer.observe(scroller.current!);
    measure();
    const root = panel.current!.getRootNode() as ShadowRoot;
    if (root.activeElement) focusTile();
    return () => {
      observer.disconnect();
      if (inside.current) root.querySelector<HTMLElement>("[data-testid=stacks-button]")?.focus();
    };
  }, []);
  useEffect(() => {
    if (!table) return;
    const rows: number[] = [];
    for (let at = from; at < to; at++) for (let place = 0; place < stacks.sizeOf(shown[at]!); place++) rows.push(stacks.rowAt(shown[at]!, place));
    explorer.thumbs.need(rows);
  }, [table, shown, from, to]);
  const focusTile = (): void => {
    const [at, place] = stacks.cursor.peek();
    (panel.current?.querySelector<HTMLElement>(`[data-stack="${at}"] [data-place="${place}"]`) ?? scroller.current)?.focus({ preventScroll: true });
  };
  const reveal = (at: number): void => {
    const [box, card] = [scroller.current!, layout.cards[at]];
    if (!card) return;
    if (card.y < box.scrollTop + SIZES.gap) box.scrollTop = card.y - SIZES.gap;
    else if (card.y + card.height > box.scrollTop + box.clientHeight) box.scrollTop = Math.min(card.y - SIZES.gap, card.y + card.height + SIZES.gap - box.clientHeight);
    measure();
  };
  const move = (at: number, place: number): void => {
    stacks.cursor.value = [at, place];
    reveal(at);
    requestAnimationFrame(focusTile);
  };
  useSignalEffect(() => {
    // The groups changed under the focus: what had it may be gone.
    void stacks.table.value;
    if (inside.current) requestAnimationFrame(() => panel.current && !(panel.current.getRootNode() as ShadowRoot).activeElement && focusTile());
  });
  useSignalEffect(() => {
    const closed = store.detail.value === null;
    if (closed && inside.current) requestAnimationFrame(() => panel.current && focusTile());
  });
  return (
    <div
      ref={panel}
      class="stacks"
      role="region"
      aria-label="Duplicates"
      data-testid="stacks"
      data-groups={table ? shown.length : undefined}
      onFocusIn={() => (inside.current = true)}
      onFocusOut={(event) => {
        const target = event.relatedTarget as Node | null;
        if (target && !panel.current!.contains(target)) inside.current = false;
      }}
      onKeyDown={(event) => {
        if (keys(event)) take(event);
        else if (!((event.ctrlKey || event.metaKey) && /^[zy]$/i.test(event.key)) && event.key !== "Tab") event.stopPropagation(); // not for the grid behind
      }}
    >
      <Head stacks={stacks} />
      <div ref={scroller} class="stacks-list" tabIndex={-1} onScroll={measure} data-testid="stacks-list">
        {table && shown.length ? (
          <div class="stacks-space" style={{ height: `${layout.height}px` }}>
            {shown.slice(from, to).map((group, i) => {
              const place = layout.cards[from + i]!;
              return (
                <StackCard
                  key={table.rows[table.starts[group]!]}
                  stacks={stacks}
                  group={group}
                  at={from + i}
                  tile={tile}
                  style={{ transform: `translate(${place.x}px, ${place.y}px)`, width: `${place.width}px`, height: `${place.height}px` }}
                  columns={place.columns}
                  move={move}
                />
              );
            })}
          </div>
        ) : (
          <Nothing stacks={stacks} />
        )}
      </div>
      <p class="stacks-keys small muted">
        <kbd>←→↑↓</kbd> move <kbd>K</kbd> or click: keep this one <kbd>N</kbd> not duplicates <kbd>Enter</kbd> open the image <kbd>Ctrl+Z</kbd> undo
      </p>
    </div>
  );

  /** Act on a key; false where it is none of ours. */
  function keys(event: KeyboardEvent): boolean {
    const target = event.target as Element;
    if (event.ctrlKey || event.metaKey || event.altKey || !stacks.table.peek()) return false;
    if (event.key === "Escape" && !target.closest(".popover")) {
      stacks.open.value = false;
      return true;
    }
    if (!target.closest(".stacks-list")) return false;
    const list = stacks.shown.peek();
    const [at, place] = stacks.cursor.peek();
    const group = list[at];
    if (group === undefined) return false;
    const last = stacks.sizeOf(group) - 1;
    const page = Math.max(1, to - from - 2);
    switch (event.key) {
      case "ArrowRight":
        if (place < last) move(at, place + 1);
        else if (at + 1 < list.length) move(at + 1, 0);
        return true;
      case "ArrowLeft":
        if (place > 0) move(at, place - 1);
        else if (at > 0) move(at - 1, stacks.sizeOf(list[at - 1]!) - 1);
        return true;
      case "ArrowDown":
      case "ArrowUp": {
        const columns = layout.cards[at]!.columns;
        const next = place + (event.key === "ArrowDown" ? columns : -columns);
        if (next >= 0 && next <= last) move(at, next);
        else move(cardBeside(layout, at, event.key === "ArrowDown"), 0);
        return true;
      }
      case "Home":
      case "End":
        move(event.key === "Home" ? 0 : list.length - 1, 0);
        return true;
      case "PageDown":
      case "PageUp":
        move(Math.max(0, Math.min(list.length - 1, at + (event.key === "PageDown" ? page : -page))), 0);
        return true;
      case "k":
        stacks.keep(group, place);
        return true;
      case "n":
        void stacks.notDuplicates(group);
        return true;
      case "Enter":
        if (!target.matches("[data-place]")) return false;
        store.detail.value = stacks.rowAt(group, place);
        return true;
      default:
        return false;
    }
  }
}

function Head({ stacks }: { stacks: Stacks }): JSX.Element {
  const { groups, images, spare } = stacks.summary.value;
  const { most, rules } = stacks.spec;
  const { joins } = stacks.table.value ?? { joins: [] };
  const top = Math.max(1, ...joins);
  const leaks = stacks.leaks.value;
  const rule = stacks.rule.value;
  const waits = stacks.table.value === null;
  return (
    <div class="stacks-head" role="group" aria-label="Which duplicates">
      <strong class="nowrap" data-testid="stacks-count" aria-live="polite">
        {waits ? "Duplicates" : `${count(groups)} ${groups === 1 ? "group" : "groups"}, ${count(images)} images, ${count(spare)} could go`}
      </strong>
      <span class="threshold" title="Cosine distance up to which neighbours with like hashes are duplicates. The bars: how many pairs join at each distance.">
        <span class="muted small">threshold</span>
        <span class="threshold-plot">
          <span class="threshold-bars" aria-hidden="true">
            {joins.map((n, i) => (
              <span key={i} class={(i + 0.5) / joins.length <= stacks.threshold.value / most ? "on" : ""} style={{ height: n ? `${Math.round(10 + 90 * Math.sqrt(n / top))}%` : "0" }} />
            ))}
          </span>
          <Slider
            label="Threshold"
            testid="threshold"
            max={STEPS}
            step={1}
            value={Math.round((stacks.threshold.value / most) * STEPS)}
            shown={stacks.threshold.value.toFixed(3)}
            onInput={(v) => stacks.setThreshold(Math.round((v / STEPS) * most * 1e4) / 1e4)}
          />
        </span>
      </span>
      <span class="labelled">
        <span class="muted small">keep</span>
        <Segments label="Which to keep" testid="keep-rule" options={rules.map((r) => ({ value: r.id, text: r.title, on: r.id === rule }))} onChange={(id) => stacks.setRule(id)} />
      </span>
      {leaks ? (
        <Button label="Show only groups that lie in several splits" testid="only-leaks" pressed={stacks.onlyLeaks.value} onClick={() => stacks.leaksOnly(!stacks.onlyLeaks.peek())}>
          <Icon name="warn" /> {count(leaks)} {leaks === 1 ? "leak" : "leaks"}
        </Button>
      ) : null}
      <span class="spacer" />
      <span class="row">
        <TagOthers stacks={stacks} spare={spare} />
        <Button label={`Take ${count(spare)} images out of the project; the files stay`} disabled={!spare} testid="remove-others" onClick={() => void stacks.removeOthers()}>
          Remove the others
        </Button>
      </span>
      <Button kind="ghost" icon="close" label="Back to the explorer (Esc)" testid="stacks-close" onClick={() => (stacks.open.value = false)} />
    </div>
  );
}

function TagOthers({ stacks, spare }: { stacks: Stacks; spare: number }): JSX.Element {
  const draft = useSignal("duplicate");
  const tag = draft.value.trim();
  return (
    <Popover label="Tag the others" trigger={<>Tag the others…</>} align="right" testid="tag-others">
      {(close) => (
        <form
          class="stacks-tag"
          onSubmit={(event) => {
            event.preventDefault();
            if (tag && spare) void stacks.tagOthers(tag).then(close);
          }}
        >
          <label class="small muted" for="stacks-tag">
            tag for the {count(spare)} that are not kept
          </label>
          <input id="stacks-tag" class="input" maxLength={200} value={draft.value} data-testid="tag-others-input" onInput={(e) => (draft.value = e.currentTarget.value)} />
          <button type="submit" class="button primary" disabled={!tag || !spare}>
            Tag {count(spare)}
          </button>
        </form>
      )}
    </Popover>
  );
}

function Nothing({ stacks }: { stacks: Stacks }): JSX.Element {
  const { store, actions } = useExplorer();
  if (stacks.raw.value) {
    const job = store.job.value?.state === "running" ? store.job.value : null;
    return (
      <div class="empty" data-testid="stacks-empty">
        <strong>Duplicates were not computed yet</strong>
        <span class="muted">They come with the other metrics and the map: p.compute().</span>
        {job ? (
          <Progress share={job.total ? job.done / job.total : null} />
        ) : (
          <Button kind="primary" label="Compute" onClick={() => void actions.compute()}>
            Compute
          </Button>
        )}
      </div>
    );
  }
  const waits = stacks.table.value === null && !stacks.failed.value;
  return (
    <div class="empty" data-testid="stacks-empty">
      {waits ? (
        <>
          <strong>Looking for duplicates…</strong>
          <Progress share={null} />
        </>
      ) : stacks.failed.value ? (
        <>
          <strong>No duplicates to show</strong>
          <span class="muted">Were they computed? Call p.compute() in a cell.</span>
        </>
      ) : (
        <>
          <strong>No duplicates at this threshold</strong>
          <span class="muted">Move the threshold up to group what is less alike.</span>
        </>
      )}
    </div>
  );
}
