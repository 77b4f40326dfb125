// The whole explorer: layout, drawers, keys, banners, toasts.

import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { take } from "../host/events";
import { Actions } from "../state/actions";
import type { Explorer } from "../state/explorer";
import { DetailView } from "./Detail";
import { Evaluation } from "./Evaluation";
import { Facets } from "./Facets";
import { GridPane } from "./GridPane";
import { Inspector } from "./Inspector";
import { MapPane } from "./MapPane";
import { ModelBar } from "./ModelBar";
import { Button, Cross, ExplorerContext, Link } from "./parts";
import { ReviewView } from "./Review";
import { StacksView } from "./Stacks";
import { StatusBar } from "./StatusBar";
import { Still } from "./Still";
import { TopBar } from "./TopBar";

const NARROW_PX = 900;
const LEAST_HEIGHT_PX = 320;
const MIDDLE = 0.52;
const TOLD_MS = 600;
const SNAP = 0.08; // closer to an end than this collapses the map or the grid
const KEYS: [string, string][] = [
  ["drag on map", "lasso or box; Shift adds, Alt subtracts"],
  ["click, Ctrl-click, Shift-click", "select one, toggle, range"],
  ["Ctrl+A", "select all that match"],
  ["Esc", "clear the selection"],
  ["T", "type a tag"],
  ["1 … 9", "put a tag on the selection, or take it off"],
  ["C", "type a class: relabels the selection"],
  ["Enter, double click", "open the image"],
  ["← → in an open image", "previous, next"],
  ["+ − 0", "zoom the map or the open image; 0 fits, on the map again all"],
  ["M", "pictures on the map when zoomed in, or points alone"],
  ["← → ↑ ↓ on the map", "move it; what is at the cross is read out"],
  ["Space, V, Enter on the map", "select what is at the cross, all on the screen; open"],
  ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"],
  ["Alt-click a chip", "leave it out instead"],
];

export function App({ explorer, host }: { explorer: Explorer; host: HTMLElement }): JSX.Element {
  const { store } = explorer;
  const actions = useMemo(() => new Actions(explorer), [explorer]);
  const context = useMemo(() => ({ explorer, store, actions }), [explorer]);
  const root = useRef<HTMLDivElement>(null);
  const narrow = useSignal(false);
  const left = useSignal(false);
  const right = useSignal(false);
  const split = useSignal(MIDDLE);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const width = entry?.contentRect.width ?? NARROW_PX;
      if (width > 0) narrow.value = width < NARROW_PX;
    });
    observer.observe(root.current!);
    return () => observer.disconnect();
  }, []);
  useSignalEffect(() => {
    // Tests and screen recorders wait for a settled drawing.
    const result = store.result.value;
    void store.positions.value;
    void store.tagMasks.value;
    const state = store.stale.value ? "stale" : store.job.value?.state === "running" ? "computing" : store.spec.value.state;
    const frame = requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        host.dataset["eawState"] = state;
        if (result) host.dataset["eawReady"] = String(Number(host.dataset["eawReady"] ?? 0) + 1);
      }),
    );
    return () => cancelAnimationFrame(frame);
  });
  const said = useRef<[matching: number, timer: ReturnType<typeof setTimeout> | undefined]>([-1, undefined]);
  useSignalEffect(() => {
    // Read out what a filter leaves, when it rests.
    const matching = store.result.value?.matching;
    if (matching === undefined) return;
    const [before, timer] = said.current;
    clearTimeout(timer);
    const told = setTimeout(() => before >= 0 && before !== matching && (store.announcement.value = `${matching.toLocaleString("en")} match`), TOLD_MS);
    said.current = [matching, before === matching ? undefined : told];
    if (before === matching) clearTimeout(told);
  });
  const toggle = (side: "left" | "right"): void => {
    const [own, other] = side === "left" ? [left, right] : [right, left];
    own.value = !own.value;
    other.value = false;
  };
  const type = (field: string): void => {
    if (narrow.peek() && store.detail.peek() === null) right.value = true;
    // In the open image it goes to that image, not to the selection behind it.
    const find = (): HTMLElement | null | undefined => root.current?.querySelector<HTMLElement>(`${store.detail.peek() === null ? ".inspector" : ".detail"} ${field}`);
    const input = find();
    if (input) input.focus();
    else requestAnimationFrame(() => find()?.focus());
  };
  const covered = explorer.review?.active.value ?? false; // what lies behind it is not for keys and readers
  return (
    <ExplorerContext.Provider value={context}>
      <div
        ref={root}
        class={`app${narrow.value ? " narrow" : ""}${store.dark.value ? " dark" : ""}`}
        style={{ height: `${store.height.value}px` }}
        data-testid="explorer"
        onKeyDown={(event) => keys(event, context, type)}
      >
        <TopBar drawers={{ narrow: narrow.value, left: left.value, right: right.value, toggle }} />
        <Banner />
        <ModelBar />
        <div class="body" inert={store.switching.value !== null}>
          {!narrow.value || left.value ? (
            <div class={narrow.value ? "left drawer" : "left"} role="group" aria-label="Filters" inert={covered}>
              <Facets />
            </div>
          ) : null}
          <div class="centre" inert={covered}>
            <div class="top-pane" style={{ flex: `${split.value} 1 0` }}>
              <MapPane />
              {store.panel.value ? <Evaluation /> : null}
            </div>
            <Splitter onMove={(share) => (split.value = share < SNAP ? 0 : share > 1 - SNAP ? 1 : share)} share={split.value} />
            <div class="bottom-pane" style={{ flex: `${1 - split.value} 1 0` }}>
              <GridPane />
            </div>
          </div>
          {!narrow.value || right.value ? (
            <div class={narrow.value ? "right drawer" : "right"} role="group" aria-label="Details and tags" inert={covered}>
              <Inspector />
            </div>
          ) : null}
          {explorer.stacks?.active.value ? <StacksView stacks={explorer.stacks} /> : null}
          {store.detail.value !== null ? <DetailView row={store.detail.value} /> : null}
          {explorer.review?.active.value ? <ReviewView review={explorer.review} /> : null}
          {store.help.value && !explorer.review?.active.value ? <Help /> : null}
          <Still />
        </div>
        <StatusBar />
        <Resizer />
        <Toasts />
        <div class="visually-hidden" role="status" aria-live="polite">
          {store.announcement.value}
        </div>
      </div>
    </ExplorerContext.Provider>
  );

  function Banner(): JSX.Element | null {
    if (store.stale.value)
      return (
        <div class="banner warn" role="alert" data-testid="banner">
          {store.stale.value}
        </div>
      );
    if (store.silent.value && !store.unanswered.value)
      return (
        <div class="banner warn" role="status" data-testid="silent">
          The kernel has not answered for a while. If it runs a cell, wait for it; if it was restarted, re-run this cell.
        </div>
      );
    if (!store.notice.value) return null;
    return (
      <div class="banner" role="status">
        <span>{store.notice.value}</span>
        <Button kind="ghost" icon="close" label="Dismiss" onClick={() => (store.notice.value = null)} />
      </div>
    );
  }

  function Help(): JSX.Element {
    return (
      <div class="help" role="dialog" aria-label="Keys">
        <div class="row">
          <h3>Keys</h3>
          <span class="spacer" />
          <Button kind="ghost" icon="close" label="Close" onClick={() => (store.help.value = false)} />
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

  function Toasts(): JSX.Element {
    return (
      <div class="toasts">
        {store.toasts.value.map((t) => (
          <div key={t.id} class={`toast ${t.kind}`} role={t.kind === "error" ? "alert" : "status"}>
            <div>
              <div>{t.text}</div>
              {t.hint ? <div class="muted small toast-hint">{t.hint}</div> : null}
            </div>
            {t.undo ? <Link text="Undo" onClick={() => void actions.undo()} /> : null}
            <Cross label="Dismiss" onClick={() => (store.toasts.value = store.toasts.value.filter((o) => o !== t))} />
          </div>
        ))}
      </div>
    );
  }

  function Resizer(): JSX.Element {
    return (
      <div
        class="resizer"
        role="separator"
        aria-label="Height"
        aria-orientation="horizontal"
        aria-valuenow={store.height.value}
        aria-valuemin={LEAST_HEIGHT_PX}
        aria-valuemax={4000}
        tabIndex={0}
        onPointerDown={(e) => {
          e.preventDefault();
          const start = { y: e.clientY, height: store.height.peek() };
          const element = e.currentTarget;
          element.setPointerCapture(e.pointerId);
          const move = (m: PointerEvent): void => actions.height(Math.max(LEAST_HEIGHT_PX, Math.round(start.height + m.clientY - start.y)), false);
          element.onpointermove = move;
          element.onpointerup = () => {
            element.onpointermove = element.onpointerup = null;
            actions.height(store.height.peek(), true);
          };
        }}
        onKeyDown={(e) => {
          const by = e.key === "ArrowDown" ? 20 : e.key === "ArrowUp" ? -20 : 0;
          if (!by) return;
          take(e);
          actions.height(Math.max(LEAST_HEIGHT_PX, store.height.peek() + by), true);
        }}
      />
    );
  }
}

function Splitter({ onMove, share }: { onMove(share: number): void; share: number }): JSX.Element {
  return (
    <div
      class="splitter"
      role="separator"
      aria-label="Map and grid"
      aria-orientation="horizontal"
      aria-valuenow={Math.round(share * 100)}
      title="Drag to an end to fold the map or the grid; double click brings both back"
      onDblClick={() => onMove(MIDDLE)}
      tabIndex={0}
      onPointerDown={(e) => {
        e.preventDefault();
        const element = e.currentTarget;
        const centre = element.parentElement!;
        element.setPointerCapture(e.pointerId);
        element.onpointermove = (m) => {
          const box = centre.getBoundingClientRect();
          onMove((m.clientY - box.top) / box.height);
        };
        element.onpointerup = () => (element.onpointermove = element.onpointerup = null);
      }}
      onKeyDown={(e) => {
        const box = e.currentTarget.parentElement!.getBoundingClientRect();
        const now = (e.currentTarget.getBoundingClientRect().top - box.top) / box.height;
        if (e.key === "ArrowUp") onMove(share === 1 ? 1 - SNAP : now - 0.05);
        else if (e.key === "ArrowDown") onMove(share === 0 ? SNAP : now + 0.05);
        else if (e.key === "Home") onMove(0);
        else if (e.key === "End") onMove(1);
        else if (e.key === "Enter") onMove(MIDDLE);
        else return;
        take(e);
      }}
    />
  );
}

/** Keys of the whole widget; only while the focus is inside, and never while typing. */
function keys(event: KeyboardEvent, { explorer, store, actions }: { explorer: Explorer; store: Explorer["store"]; actions: Actions }, type: (field: string) => void): void {
  const target = event.composedPath()[0] as HTMLElement;
  const typing = target.matches?.("input:not([type=range]):not([type=checkbox]), textarea, select");
  const command = event.ctrlKey || event.metaKey;
  const open = store.detail.peek();
  let handled = true;
  if (command && !typing && event.key.toLowerCase() === "z") void (event.shiftKey ? actions.redo() : actions.undo());
  else if (command && !typing && event.key.toLowerCase() === "y") void actions.redo();
  else if (command && !typing && event.key.toLowerCase() === "a" && open === null && !explorer.review?.active.peek()) actions.selectMatching();
  else if (typing || command || event.altKey || explorer.review?.active.peek()) handled = false;
  else if (event.key === "t") type(".tag-editor input");
  else if (event.key === "c") type(".class-editor input");
  else if (event.key === "m" && open === null) actions.pictures();
  else if (event.key === "?") store.help.value = !store.help.peek();
  else if (event.key === "Escape") {
    if (store.help.peek()) store.help.value = false;
    else actions.clearSelection();
  } else if (/^[1-9]$/.test(event.key)) {
    const tag = store.tags.peek()[Number(event.key) - 1];
    if (tag) void actions.toggleTag(tag.name, open === null ? undefined : [open]);
  } else handled = false;
  if (!handled) return;
  take(event);
}
