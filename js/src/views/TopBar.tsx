// The bar above: what this is, how it is coloured and sorted, code, undo.

import type { JSX } from "preact";
import type { Column, Spec } from "../protocol/messages";
import { RunChoice } from "./ModelBar";
import { ReviewButton } from "./Review";
import { StacksButton } from "./Stacks";
import { Button, count, Icon, Popover, Segments, Select, Slider, useExplorer } from "./parts";

const LEAST_TILE_PX = 48;
const MOST_TILE_PX = 320;
const TILE_STEP_PX = 8;

export interface Drawers {
  narrow: boolean;
  left: boolean;
  right: boolean;
  toggle(side: "left" | "right"): void;
}

export function TopBar({ drawers }: { drawers: Drawers }): JSX.Element {
  const { store, actions } = useExplorer();
  const spec = store.spec.value;
  const total = spec.base?.n ?? spec.alive;
  const sort = store.sort.value;
  const columns = spec.columns.filter((c) => c.kind !== "text");
  return (
    <div class="topbar" role="group" aria-label="Display">
      {drawers.narrow ? <Button icon="filter" label="Filters" pressed={drawers.left} onClick={() => drawers.toggle("left")} testid="drawer-left" /> : null}
      <strong class="ellipsis project" title={spec.project.path}>
        {spec.project.name}
      </strong>
      <span class="muted ellipsis" data-testid="count">
        {count(total)} {total === 1 ? store.noun.value : store.nouns.value}
        {spec.base ? ` of ${count(spec.alive)}` : ""}
      </span>
      {spec.levels.length > 1 ? (
        <Segments
          label="Show"
          testid="level"
          options={shownLevels(spec.levels, store.switching.value ?? spec.level)}
          onChange={(id) => void actions.level(id)}
        />
      ) : null}
      <RunChoice />
      <ReviewButton />
      <StacksButton narrow={drawers.narrow} />
      <span class="spacer" />
      <label class="labelled">
        <span class="muted">colour</span>
        <Select label="Colour by" testid="color" value={offered(columns, store.color.value)} options={[{ value: "", text: "none" }, ...options(columns)]} onChange={(v) => actions.color(v || null)} />
      </label>
      <label class="labelled">
        <span class="muted">sort</span>
        <Select
          label="Sort by"
          testid="sort"
          value={offered(spec.columns, sort?.by)}
          options={[{ value: "", text: "as added" }, ...options(spec.columns)]}
          onChange={(v) => actions.sort(v ? { by: v, desc: sort?.desc ?? false } : null)}
        />
      </label>
      <Button icon={sort?.desc ? "down" : "up"} label={sort?.desc ? "Descending" : "Ascending"} disabled={!sort} testid="direction" onClick={() => sort && actions.sort({ ...sort, desc: !sort.desc })} />
      {drawers.narrow ? null : <TileSize />}
      <Copy />
      {spec.offline?.collects === false ? null : <Steps />}
      {drawers.narrow ? <Button icon="info" label="Details and tags" pressed={drawers.right} onClick={() => drawers.toggle("right")} testid="drawer-right" /> : null}
    </div>
  );
}

/** One step back, and forth again. */
function Steps(): JSX.Element {
  const { store, actions } = useExplorer();
  return (
    <>
      <Button icon="undo" label={store.undo.value ? `Undo: ${store.undo.value}` : "Nothing to undo"} disabled={!store.undo.value} onClick={() => void actions.undo()} testid="undo" />
      <Button icon="redo" label={store.redo.value ? `Redo: ${store.redo.value}` : "Nothing to redo"} disabled={!store.redo.value} onClick={() => void actions.redo()} testid="redo" />
    </>
  );
}

export function TileSize(): JSX.Element {
  const { store, actions } = useExplorer();
  return (
    <Slider
      label="Tile size"
      title="Tile size"
      min={LEAST_TILE_PX}
      max={MOST_TILE_PX}
      step={TILE_STEP_PX}
      value={store.tile.value}
      onInput={(px) => actions.tile(px)}
    />
  );
}

/** Images, objects, and one button for the predictions of whichever run. */
function shownLevels(levels: Spec["levels"], now: string): { value: string; text: string; title: string; on: boolean }[] {
  const run = levels.find((l) => l.run && l.id === now) ?? levels.find((l) => l.run);
  return levels.flatMap((l) => (l.run && l !== run ? [] : [{ value: l.id, text: l.run ? "Predictions" : l.title, title: l.run ? `${l.title}: ${count(l.n)}` : count(l.n), on: l.id === now }]));
}

/** The name, where there is such a column: an undo may have taken it. */
function offered(columns: readonly Column[], name: string | null | undefined): string {
  return columns.some((c) => c.name === name) ? (name ?? "") : "";
}

function options(columns: readonly Column[]): { value: string; text: string; group: string }[] {
  return columns.map((c) => ({ value: c.name, text: c.title, group: c.group }));
}

function Copy(): JSX.Element {
  const { actions, explorer } = useExplorer();
  const copy = async (what: "filter" | "selection"): Promise<void> => {
    const code = await actions.code(what);
    if (!code) return;
    try {
      await navigator.clipboard.writeText(code);
      explorer.toast("Copied the Python to the clipboard.");
    } catch {
      explorer.toast("This page may not write the clipboard: copy it from here.", code);
    }
  };
  return (
    <Popover label="Copy as Polars" trigger={<><Icon name="copy" /> <span class="wide-only">Copy as Polars</span></>} align="right" testid="copy">
      {(close) => (
        <div class="menu" role="menu">
          <button role="menuitem" data-testid="copy-filter" onClick={() => void copy("filter").then(close)}>
            What is shown: filter and order
          </button>
          <button role="menuitem" onClick={() => void copy("selection").then(close)}>
            What is selected, by id
          </button>
        </div>
      )}
    </Popover>
  );
}
