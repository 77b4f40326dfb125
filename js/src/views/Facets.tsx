// The left panel: search, histograms with brushes, category and tag chips, saved filters.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useSignalEffect } from "@preact/signals";
import { Scope } from "../host/scope";
import { chosen, chosenTags, describe, facetOf, type FilterSpec, inner, isEmpty, number, parts, rangeOf, untaggedKey } from "../protocol/filter";
import type { Column } from "../protocol/messages";
import { HistogramView } from "../render/histogram";
import { binsOf, edge } from "../state/evaluator";
import { levelHue, none, ramp, tagColor } from "./palette";
import { Chip, count, Cross, Dot, Icon, Link, Popover, Segments, useExplorer } from "./parts";

const FEW_CHIPS = 14;
const TYPING_MS = 250;

export function Facets(): JSX.Element {
  const { store } = useExplorer();
  const facets = store.shownFacets.value;
  const numbers = facets.filter((c) => c.kind === "number");
  const categories = facets.filter((c) => c.kind === "category");
  return (
    <div class="facets" data-testid="facets">
      <Search />
      <Conditions />
      {numbers.length ? <h3>Metrics</h3> : null}
      {numbers.map((c) => (
        <Metric key={c.name} column={c} />
      ))}
      {categories.map((c) => (
        <Category key={c.name} column={c} />
      ))}
      <Tags />
      <Saved />
      <Picker />
    </div>
  );
}

function Search(): JSX.Element {
  const { store, actions } = useExplorer();
  const current = parts(store.filter.value).list.find((p) => "text" in p && !("expr" in p));
  const text = current && "text" in current ? current.text : "";
  const [draft, setDraft] = useState<string | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const apply = (value: string, wait: number): void => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => value.trim() !== text && actions.search(value), wait);
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <input
      class="input"
      type="search"
      placeholder="find in names and text…"
      aria-label="Find text"
      data-testid="search"
      value={draft ?? text}
      onInput={(e) => {
        setDraft(e.currentTarget.value);
        apply(e.currentTarget.value, TYPING_MS);
      }}
      onBlur={(e) => {
        apply(e.currentTarget.value, 0);
        setDraft(null);
      }}
      onKeyDown={(e) => {
        if (e.key === "Enter") apply(e.currentTarget.value, 0);
      }}
    />
  );
}

/** What no brush or chip shows, each with a cross; and the switch between all and any. */
function Conditions(): JSX.Element | null {
  const { store, actions } = useExplorer();
  const { mode, list } = parts(store.filter.value);
  const shown = new Map(store.shownFacets.value.map((c) => [`col:${c.name}`, c.kind]));
  const loose = list.filter((p) => mode === "any" || !onFacet(p, list, shown));
  if (!list.length) return null;
  return (
    <div class="conditions">
      <div class="conditions-head">
        {list.length > 1 ? (
          <Segments label="How conditions combine" options={(["all", "any"] as const).map((m) => ({ value: m, text: `match ${m}`, on: mode === m }))} onChange={(m) => actions.setMode(m)} />
        ) : (
          <span class="muted">1 condition</span>
        )}
        <Link text="clear" testid="clear-filter" onClick={() => actions.clearFilter()} />
      </div>
      {loose.map((part, i) => (
        <span key={i} class="chip condition" title={describe(part)}>
          <span class="chip-text mono">{describe(part)}</span>
          <Cross label={`Remove ${describe(part)}`} onClick={() => actions.removePart(part)} />
        </span>
      ))}
    </div>
  );
}

/** Whether a brush or a chip of a shown facet says this part already. */
function onFacet(part: FilterSpec, list: FilterSpec[], shown: Map<string, string>): boolean {
  const facet = facetOf(part);
  if (facet === "tags") return true;
  const { clause, negated } = inner(part);
  if (!("col" in clause)) return false;
  if (clause.op === "between") return !negated && shown.get(facet) === "number" && list.find((p) => facetOf(p) === facet) === part;
  return clause.op === "in" && shown.get(facet) === "category";
}

function Metric({ column }: { column: Column }): JSX.Element {
  const { store, actions } = useExplorer();
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<HistogramView | null>(null);
  useEffect(() => {
    const scope = new Scope();
    view.current = new HistogramView(host.current!, scope, {
      brush: (lo, hi, done) => actions.brush(column, lo, hi, done),
    });
    return () => scope.dispose();
  }, [column.name]);
  const range = rangeOf(store.filter.value, column.name);
  const text = rangeText(column, range?.lo ?? null, range?.hi ?? null);
  useSignalEffect(() => {
    const result = store.result.value;
    const filter = store.filter.value;
    void store.dark.value;
    const style = getComputedStyle(host.current!);
    const token = (name: string): string => style.getPropertyValue(name);
    const counts = result?.counts.get(column.name) ?? new Uint32Array(256);
    const now = rangeOf(filter, column.name);
    const bins = column.hist?.bins ?? 1;
    const exact = now ? (binsOf(column, now.lo, now.hi, now.closed) ?? nearestBins(column, now.lo, now.hi)) : null;
    view.current?.set({
      bins,
      base: result?.base.get(column.name) ?? null,
      counts,
      brush: now && exact ? [now.lo === null ? null : exact[0], now.hi === null ? null : exact[1]] : null,
      colors: { bar: token("--bar"), faint: token("--bar-faint"), brush: token("--brush") },
      label: `${column.title}: brush a range; arrow keys move its low end, with shift its high end`,
      valueText: now ? rangeText(column, now.lo, now.hi) : "everything",
    });
  });
  return (
    <div class={range ? "metric brushed" : "metric"} data-testid={`facet-${column.name}`}>
      <div class="metric-head" title={[column.title, column.unit && `in ${column.unit}`, column.direction].filter(Boolean).join(" · ")}>
        <span class="metric-name">{column.title}</span>
        <span class="metric-range">{text}</span>
        {range ? <Cross label={`Clear ${column.title}`} onClick={() => actions.brush(column, null, null, true)} /> : null}
      </div>
      <div ref={host} class="metric-plot" />
    </div>
  );
}

function nearestBins(column: Column, lo: number | null, hi: number | null): [number, number] {
  const h = column.hist!;
  const at = (v: number): number => Math.min(h.bins, Math.max(0, (v - h.lo) / h.step));
  return [lo === null ? 0 : at(lo), hi === null ? h.bins : Math.max(at(hi), (lo === null ? 0 : at(lo)) + 0.2)];
}

/** The upper end as people read it: no further than values can reach. */
function top(column: Column): number {
  return Math.min(edge(column, column.hist!.bins), column.range?.[1] ?? Infinity);
}

function rangeText(column: Column, lo: number | null, hi: number | null): string {
  const h = column.hist;
  if (!h) return "";
  const unit = column.unit && column.unit.length <= 5 && !["share", "score"].includes(column.unit) ? ` ${column.unit}` : "";
  return `${number(lo ?? edge(column, 0))}–${number(hi ?? top(column))}${unit}`;
}

function Category({ column }: { column: Column }): JSX.Element {
  const { store, actions } = useExplorer();
  const [all, setAll] = useState(false);
  const counts = store.result.value?.counts.get(column.name);
  const now = chosen(store.filter.value, column.name);
  const dark = store.dark.value;
  const colored = store.color.value === column.name;
  const levels: (string | null)[] = [...(column.levels ?? [])];
  if (column.nulls) levels.push(null);
  const shown = all ? levels : levels.filter((v, i) => i < FEW_CHIPS || now.include.has(v) || now.exclude.has(v));
  return (
    <section class="category" data-testid={`facet-${column.name}`}>
      <h3>{column.name === "class_name" ? "Class" : column.title}</h3>
      <div class="chips">
        {shown.map((value) => {
          const i = value === null ? 255 : levels.indexOf(value);
          return (
            <Chip
              key={value ?? "\u0000"}
              text={value ?? "none"}
              color={colored ? (value === null ? none(dark) : levelHue(column, i, dark)) : null}
              n={counts?.[i] ?? 0}
              on={now.include.has(value)}
              off={now.exclude.has(value)}
              onToggle={(exclude) => actions.toggleValue(column.name, value, exclude)}
            />
          );
        })}
        {all || levels.length > shown.length ? (
          <Link text={all ? "less" : `${count(levels.length - shown.length)} more`} expanded={all} onClick={() => setAll(!all)} />
        ) : null}
      </div>
    </section>
  );
}

function Tags(): JSX.Element {
  const { store, actions } = useExplorer();
  const now = chosenTags(store.filter.value);
  const result = store.result.value;
  const tags = store.tags.value;
  const dark = store.dark.value;
  return (
    <section data-testid="facet-tags">
      <h3>Tags</h3>
      <div class="chips">
        {tags.map((tag) => (
          <Chip
            key={tag.name}
            text={tag.name}
            color={tagColor(tags, tag.name, dark)}
            n={result?.tagCounts.get(tag.name) ?? tag.count}
            on={now.include.has(tag.name)}
            off={now.exclude.has(tag.name)}
            onToggle={(exclude) => actions.toggleTagFilter(tag.name, exclude)}
          />
        ))}
        <Chip
          text="untagged"
          color={null}
          n={result?.untagged ?? store.spec.value.alive}
          on={now.include.has(untaggedKey)}
          off={now.exclude.has(untaggedKey)}
          onToggle={(exclude) => actions.toggleTagFilter(untaggedKey, exclude)}
        />
      </div>
    </section>
  );
}

function Saved(): JSX.Element | null {
  const { store, actions } = useExplorer();
  const [name, setName] = useState("");
  const { saved, offline } = store.spec.value;
  const empty = isEmpty(store.filter.value) || offline !== undefined; // a filter is saved in the project
  if (!saved.length && empty) return null;
  return (
    <section>
      <h3>Saved filters</h3>
      <div class="chips">
        {saved.map((s) => (
          <span key={s.name} class="chip">
            <button class="chip-inner" title={describe(s.filter)} onClick={() => actions.applyFilter(s.filter)}>
              {s.name}
            </button>
            <Cross label={`Forget filter ${s.name}`} onClick={() => void actions.deleteFilter(s.name)} />
          </span>
        ))}
      </div>
      {empty ? null : (
        <form
          class="row"
          onSubmit={(e) => {
            e.preventDefault();
            if (name.trim()) void actions.saveFilter(name.trim()).then(() => setName(""));
          }}
        >
          <input class="input" placeholder="name this filter…" aria-label="Name of the filter" value={name} onInput={(e) => setName(e.currentTarget.value)} />
          <button type="submit" class="button" disabled={!name.trim()}>
            Save
          </button>
        </form>
      )}
    </section>
  );
}

function Picker(): JSX.Element {
  const { store, actions } = useExplorer();
  const shown = store.shownFacets.value.map((c) => c.name);
  const columns = store.spec.value.columns.filter((c) => c.kind !== "text");
  const groups = [...new Set(columns.map((c) => c.group))];
  return (
    <Popover label="Columns: choose what this panel shows" trigger={<><Icon name="plus" /> columns</>} testid="facet-picker">
      {() => (
        <div class="picker">
          {groups.map((g) => (
            <fieldset key={g}>
              <legend>{g}</legend>
              {columns
                .filter((c) => c.group === g)
                .map((c) => (
                  <label key={c.name} class="check">
                    <input
                      type="checkbox"
                      checked={shown.includes(c.name)}
                      onChange={(e) => actions.facets(e.currentTarget.checked ? [...shown, c.name] : shown.filter((n) => n !== c.name))}
                    />
                    {c.title}
                  </label>
                ))}
            </fieldset>
          ))}
        </div>
      )}
    </Popover>
  );
}

/** The legend of the map: chips for categories, a ramp for numbers. */
export function Legend(): JSX.Element | null {
  const { store, actions } = useExplorer();
  const dark = store.dark.value;
  const name = store.color.value;
  const column = name ? store.columns.value.get(name) : undefined;
  if (!column) return null;
  if (column.kind === "number" && column.hist) {
    const stops = Array.from({ length: 9 }, (_, i) => ramp(i / 8, dark)).join(", ");
    return (
      <div class="legend" data-testid="legend">
        <span class="legend-title">{column.title}</span>
        <span>{number(edge(column, 0))}</span>
        <span class="ramp" style={{ background: `linear-gradient(90deg, ${stops})` }} />
        <span>{number(top(column))}</span>
      </div>
    );
  }
  const now = chosen(store.filter.value, column.name);
  const levels = (column.levels ?? []).slice(0, 12);
  return (
    <div class="legend" data-testid="legend">
      {levels.map((level, i) => (
        <button
          key={level}
          class={`legend-item${now.include.size && !now.include.has(level) ? " dim" : ""}`}
          aria-pressed={now.include.has(level)}
          onClick={(e) => actions.toggleValue(column.name, level, e.altKey)}
        >
          <Dot color={levelHue(column, i, dark)} />
          {level}
        </button>
      ))}
      {(column.levels?.length ?? 0) > levels.length ? <span class="muted">+{column.levels!.length - levels.length}</span> : null}
    </div>
  );
}
