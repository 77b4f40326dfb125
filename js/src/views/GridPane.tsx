// The image grid: tiles of the rows that pass the filter, in the chosen order.

import { useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Scope } from "../host/scope";
import { number } from "../protocol/filter";
import { type Tile, VirtualGrid } from "../ui/virtual-grid";
import { tagColor } from "./palette";
import { Button, useExplorer } from "./parts";
import { outline, shapeColor } from "./Thumb";

const MOST_TILE_TAGS = 3;
const MOST_ROWS_WITH_VALUES = 300_000;

export function GridPane(): JSX.Element {
  const { store, actions, explorer } = useExplorer();
  const host = useRef<HTMLDivElement>(null);
  const grid = useRef<VirtualGrid | null>(null);
  const sorted = useRef("0::false");
  const opened = useRef<number | null>(null);
  useEffect(() => {
    const scope = new Scope();
    const rowAt = (index: number): number | undefined => store.result.peek()?.visible[index];
    const view = new VirtualGrid(host.current!, scope, {
      click: (index, keys) => actions.clickTile(index, keys),
      open: (index) => actions.open(rowAt(index) ?? null),
      need: (from, to) => explorer.thumbs.need(store.result.peek()?.visible.subarray(from, to) ?? []),
      hover: (index) => (store.hovered.value = index === null ? null : (rowAt(index) ?? null)),
      cursor: (index) => (store.focused.value = rowAt(index) ?? null),
    });
    grid.current = view;
    view.setItem((index, tile) => {
      const row = rowAt(index);
      if (row !== undefined) draw(tile, row);
    });
    scope.add(explorer.thumbs.onArrival(() => view.refreshSoon()));
    return () => {
      grid.current = null;
      scope.dispose();
    };
  }, []);

  const draw = (tile: Tile, row: number): void => {
    const url = explorer.thumbs.url(row);
    const { button, image, value, tags } = tile;
    const shape = url ? explorer.thumbs.shape(row) : null;
    outline(tile.outline, shape, shape ? shapeColor(explorer, row, shape) : "", !!store.spec.peek().model);
    if (url && image.getAttribute("src") !== url) image.src = url;
    if (!url) image.removeAttribute("src");
    button.classList.toggle("loading", url === undefined);
    button.classList.toggle("broken", url === "");
    const selected = store.selected.peek()[row] === 1;
    button.classList.toggle("selected", selected);
    button.setAttribute("aria-selected", String(selected));
    const text = valueText(row);
    if (value.textContent !== text) value.textContent = text;
    const own = [...store.tagMasks.peek()].filter(([, mask]) => mask[row]).map(([name]) => name);
    const key = [...own, text ? "," : ""].join("\u0000");
    if (tags.dataset["key"] !== key) {
      tags.dataset["key"] = key;
      tags.replaceChildren(
        ...own.slice(0, MOST_TILE_TAGS).map((name, i, shown) => {
          const chip = document.createElement("span");
          chip.className = "tile-tag";
          const dot = document.createElement("span");
          dot.className = "dot";
          dot.style.background = tagColor(store.tags.peek(), name, store.dark.peek());
          chip.append(dot, name);
          if (text || i < shown.length - 1) {
            // The tile's name holds what is seen on it, word for word.
            const comma = document.createElement("span");
            comma.className = "unseen";
            comma.textContent = ", ";
            chip.append(comma);
          }
          return chip;
        }),
      );
    }
    const tagged = [...own.slice(MOST_TILE_TAGS), ...own.slice(0, MOST_TILE_TAGS)].join(", ");
    button.setAttribute("aria-label", `${store.noun.peek()} ${row}${tagged ? `, tags ${tagged}` : ""}${text ? `, ${text}` : ""}`);
  };

  /** The value a tile shows: of the column that sorts, else of the one that colours. */
  const valueText = (row: number): string => {
    const judged = verdictText(row);
    if (judged) return judged;
    const sort = store.sort.peek();
    const column = store.columns.peek().get(sort?.by ?? store.color.peek() ?? "");
    if (!column) return "";
    if (column.kind === "number") {
      const value = explorer.columns.values(column.name)?.[row];
      return value === undefined || Number.isNaN(value) ? "" : number(value);
    }
    const code = explorer.columns.get(column.name)?.[row];
    return code === undefined ? "" : (column.levels?.[code] ?? "");
  };

  /** Of a prediction: its class, how sure the model is, and what became of it. */
  const verdictText = (row: number): string => {
    const verdicts = store.verdicts.peek();
    const model = store.spec.peek().model;
    if (!verdicts || !model || store.sort.peek()) return "";
    const outcome = explorer.columns.get("outcome")?.[row];
    return `${model.outcomes[outcome ?? -1] ?? ""} ${model.classes[verdicts.predicted[row]!] ?? ""} ${verdicts.confidence[row]!.toFixed(2)}`;
  };

  useSignalEffect(() => {
    const result = store.result.value;
    grid.current?.setCount(result?.matching ?? 0);
  });
  useSignalEffect(() => grid.current?.setTile(store.tile.value));
  useSignalEffect(() => grid.current?.setLabel(store.nouns.value));
  useSignalEffect(() => {
    const name = store.sort.value?.by ?? store.color.value;
    void store.codes.value;
    const column = name ? store.columns.value.get(name) : undefined;
    // Exact values are four bytes a row: on very large sets only a sort asks for them.
    const affordable = store.sort.value !== null || store.spec.value.n <= MOST_ROWS_WITH_VALUES;
    if (column?.kind === "number" && affordable) void explorer.columns.needValues(column).then(() => grid.current?.refreshSoon());
    if (column?.kind === "category") void explorer.columns.need([column]).then(() => grid.current?.refreshSoon());
    grid.current?.refreshSoon();
  });
  useSignalEffect(() => {
    void store.tagMasks.value;
    void store.selected.value;
    void store.tags.value;
    grid.current?.refreshSoon();
  });
  useSignalEffect(() => {
    const { by, desc } = store.sort.value ?? { by: "", desc: false };
    const key = `${store.generation.value}:${by}:${desc}`;
    if (key !== sorted.current) grid.current?.top();
    sorted.current = key;
  });
  useSignalEffect(() => {
    void store.order.value;
    grid.current?.refreshSoon();
  });
  useSignalEffect(() => {
    const row = store.detail.value;
    const closed = row === null ? opened.current : null;
    opened.current = row;
    const index = closed === null ? -1 : (store.result.peek()?.visible.indexOf(closed) ?? -1);
    // After the dialog gave the focus back: the tile that had it may show another image now.
    if (index >= 0) requestAnimationFrame(() => grid.current?.reveal(index));
  });
  const result = store.result.value;
  return (
    <div class="grid-pane" data-testid="grid">
      <div ref={host} class="grid-host" />
      {result && result.matching === 0 ? (
        <div class="empty over">
          <strong>{store.spec.value.alive === 0 ? `No ${store.nouns.value} here` : "Nothing matches"}</strong>
          <span class="muted">{store.spec.value.alive === 0 ? "This view holds no rows." : `No ${store.noun.value} passes all the conditions on the left.`}</span>
          {store.spec.value.alive === 0 ? null : (
            <Button label="Clear the filter" onClick={() => actions.clearFilter()}>
              Clear the filter
            </Button>
          )}
        </div>
      ) : null}
    </div>
  );
}
