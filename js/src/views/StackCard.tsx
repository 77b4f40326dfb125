// One group of duplicates: its pictures side by side, what is kept of them and why, in which splits they lie.

import type { JSX } from "preact";
import { number } from "../protocol/filter";
import { splitsOf, type Stacks } from "../state/stacks";
import { tagColor } from "./palette";
import { count, Dot, Icon, useExplorer } from "./parts";
import { Thumb } from "./Thumb";

const MOST_TILE_TAGS = 2;
const MEGAPIXEL = 1e6;

interface CardProps {
  stacks: Stacks;
  group: number;
  at: number;
  tile: number;
  columns: number;
  style: Record<string, string>;
  move(at: number, place: number): void;
}

export function StackCard({ stacks, group, at, tile, columns, style, move }: CardProps): JSX.Element {
  const { store } = useExplorer();
  const table = stacks.table.value!;
  const size = stacks.sizeOf(group);
  const kept = stacks.keptOf(group);
  const splits = splitsOf(table, group);
  const leak = splits.length > 1;
  const [cursorAt, cursorPlace] = stacks.cursor.value;
  return (
    <div class={`stack${cursorAt === at ? " current" : ""}${leak ? " leak" : ""}`} role="group" aria-label={`Group ${at + 1}: ${size} images${leak ? `, in ${splits.join(" and ")}` : ""}`} style={style} data-stack={at} data-testid="stack">
      <div class="stack-head">
        <span class="muted small nowrap">{count(size)} images</span>
        {leak ? (
          <span class="stack-leak small" title={`The same picture lies in ${splits.join(" and ")}: what is tested was seen in training.`}>
            <Icon name="warn" /> <span class="ellipsis">{splits.join(" + ")}</span>
          </span>
        ) : null}
        <span class="spacer" />
        <button
          class="link small nowrap"
          aria-label={`Not duplicates: group ${at + 1}`}
          title="These are not duplicates: remembered, and undone like any edit (N)"
          data-testid="not-duplicates"
          onClick={() => void stacks.notDuplicates(group)}
        >
          Not duplicates
        </button>
      </div>
      <div class="stack-tiles" style={{ gridTemplateColumns: `repeat(${columns}, ${tile}px)` }}>
        {Array.from({ length: size }, (_, place) => {
          const i = table.starts[group]! + place;
          const row = table.rows[i]!;
          const isKept = place === kept;
          const kind = stacks.spec.kinds[table.kinds[i]!] ?? "";
          const distance = table.distances[i]!;
          const [what, why] = [keptText(stacks, group, place), `${kind}${Number.isNaN(distance) || kind === "exact" ? "" : ` ${distance.toFixed(3)}`}`];
          const split = table.splitNames[table.splits[i]!];
          return (
            <button
              key={row}
              class={`stack-tile${isKept ? " kept" : ""}`}
              aria-pressed={isKept}
              aria-label={`Image ${place + 1} of ${size}: ${isKept ? what : "not kept"}, ${why}${split ? `, in ${split}` : ""}`}
              tabIndex={cursorAt === at && cursorPlace === place ? 0 : -1}
              data-place={place}
              data-row={row}
              onClick={() => {
                stacks.keep(group, place);
                move(at, place);
              }}
              onDblClick={() => (store.detail.value = row)}
            >
              <span class="stack-picture" style={{ height: `${tile}px` }}>
                <Thumb row={row} fit="contain" empty={(missing) => <span class="muted small">{missing ? "no picture" : ""}</span>} />
                {split ? <span class={`stack-split${leak ? " warn" : ""}`}>{split}</span> : null}
                <Tags row={row} />
              </span>
              <span class="stack-kept ellipsis">{what}</span>
              <span class="stack-why ellipsis muted" title={`${kind}: ${KIND_WORDS[kind] ?? ""}`}>
                {why}
              </span>
            </button>
          );
        })}
      </div>
    </div>
  );
}

const KIND_WORDS: Record<string, string> = {
  exact: "the bytes are those of another",
  near: "cosine distance to the nearest of its group",
  mirrored: "left and right exchanged; cosine distance to the mirror image",
};

/** What is written below a picture: why it is kept, or what the rule saw of it. */
function keptText(stacks: Stacks, group: number, place: number): string {
  const table = stacks.table.value!;
  const value = valueText(table.column, table.values[table.starts[group]! + place]!);
  if (place !== stacks.keptOf(group)) return value;
  if (stacks.isChosen(group)) return "kept: your choice";
  const title = stacks.spec.rules.find((r) => r.id === table.rule)?.title ?? table.rule;
  return `kept: ${title}${value ? ` ${value}` : ""}`;
}

export function valueText(column: string | null, value: number): string {
  if (column === null || Number.isNaN(value)) return "";
  if (column === "area") return value >= MEGAPIXEL / 10 ? `${(value / MEGAPIXEL).toFixed(2)} MP` : `${count(value)} px`;
  if (column === "label_count") return `${count(value)} ${value === 1 ? "label" : "labels"}`;
  return Math.abs(value) < 10 ? value.toFixed(2) : number(value);
}

function Tags({ row }: { row: number }): JSX.Element | null {
  const { store } = useExplorer();
  const own = [...store.tagMasks.value].filter(([, mask]) => mask[row]).map(([name]) => name);
  if (!own.length) return null;
  return (
    <span class="tile-tags stack-tags">
      {own.slice(0, MOST_TILE_TAGS).map((name) => (
        <span key={name} class="tile-tag">
          <Dot color={tagColor(store.tags.value, name, store.dark.value)} />
          {name}
        </span>
      ))}
    </span>
  );
}
