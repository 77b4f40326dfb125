// The map with its tools, legend and hover picture; drawing is ScatterMap's.

import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Scope } from "../host/scope";
import { ScatterMap, type Tool } from "../render/scatter";
import { AS_COLOURED, BY_TAGS, clusterNames, naming } from "./cluster-names";
import { Legend } from "./Facets";
import { DecodedPictures } from "./map-pictures";
import { pointPalette } from "./palette";
import { Button, count, Icon, Popover, Segments, useExplorer } from "./parts";
import { Thumb } from "./Thumb";

const NAMES_MS = 80; // while a histogram is brushed, names follow a moment later
const TIP_PX = 136;
const TIP_GAP_PX = 14;
const NO_POINTS = new Uint16Array(0);

export function MapPane(): JSX.Element {
  const { store, actions, explorer } = useExplorer();
  const host = useRef<HTMLDivElement>(null);
  const map = useRef<ScatterMap | null>(null);
  const pictures = useRef<DecodedPictures | null>(null);
  const waiting = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const tool = useSignal<Tool>("lasso");
  const tip = useSignal<{ row: number; x: number; y: number } | null>(null);
  useEffect(() => {
    const scope = new Scope();
    const view = new ScatterMap(host.current!, scope, {
      select: (rows, mode) => actions.selectRows(rows, mode),
      clear: () => actions.clearSelection(),
      hover: (row, x, y) => {
        tip.value = row === null ? null : { row, x, y };
        store.hovered.value = row;
      },
      open: (row) => actions.open(row),
      fallback: (reason) => {
        store.notice.value = reason;
        host.current!.dataset["renderer"] = "canvas2d";
      },
      describe: (inView, row) => {
        const { noun, nouns } = store;
        const at = row === null ? "" : `; at the cross ${noun.peek()} ${row}${selectedWord(store.selected.peek(), row)}`;
        store.announcement.value = `${count(inView)} ${inView === 1 ? noun.peek() : nouns.peek()} on the screen${at}`;
      },
    });
    view.setTool(tool.peek());
    map.current = view;
    pictures.current = new DecodedPictures(explorer, () => view.pictured());
    scope.add(explorer.thumbs.onArrival(() => view.pictured()));
    scope.add(() => clearTimeout(waiting.current));
    host.current!.dataset["renderer"] = view.renderer;
    return () => {
      map.current = null;
      scope.dispose();
    };
  }, []);
  useSignalEffect(() => {
    const positions = store.positions.value;
    pictures.current?.clear();
    map.current?.setPoints(positions?.x ?? NO_POINTS, positions?.y ?? NO_POINTS);
    const result = store.result.peek();
    if (positions && result) map.current?.setFlags(result.flags);
  });
  useSignalEffect(() => map.current?.setNoun(store.noun.value, store.nouns.value));
  useSignalEffect(() => {
    const name = store.color.value;
    const dark = store.dark.value;
    void store.codes.value;
    void store.positions.value;
    const column = name ? store.columns.value.get(name) : undefined;
    const style = getComputedStyle(host.current!);
    const token = (key: string): string => style.getPropertyValue(key).trim();
    map.current?.setTheme({
      map: token("--bg") || (dark ? "#1a1b1e" : "#ffffff"),
      accent: token("--accent"),
      muted: token("--muted"),
      text: token("--fg"),
      tile: token("--tile"),
      border: token("--muted"),
      accentText: token("--accent-fg"),
      palette: pointPalette(column, dark),
    });
    map.current?.setColors(column ? (explorer.columns.get(column.name) ?? null) : null);
  });
  useSignalEffect(() => {
    const result = store.result.value;
    if (result) map.current?.setFlags(result.flags);
  });
  useSignalEffect(() => {
    void [store.codes.value, store.positions.value, store.result.value, store.tagMasks.value, store.labels.value, store.color.value];
    clearTimeout(waiting.current);
    waiting.current = setTimeout(() => map.current?.setLabels(clusterNames(explorer)), NAMES_MS);
  });
  useSignalEffect(() => {
    const own = pictures.current;
    map.current?.setPictures(store.pictures.value && own ? own : null);
  });
  useSignalEffect(() => map.current?.highlight(store.hovered.value));
  useSignalEffect(() => map.current?.setTool(tool.value));
  const spec = store.spec.value;
  const placed = store.positions.value !== null;
  return (
    <div class="map" data-testid="map">
      <div ref={host} class="map-host" />
      {placed || (spec.embeddings.length && spec.state !== "empty") ? null : <MapEmpty />}
      <div class="map-tools" role="toolbar" aria-label="Map tools">
        {(["lasso", "box", "pan"] as const).map((t) => (
          <Button key={t} icon={t} label={`${t} (${t === "pan" ? "drag moves the map" : "drag selects; shift adds, alt subtracts"})`} pressed={tool.value === t} onClick={() => (tool.value = t)} testid={`tool-${t}`} />
        ))}
        <Button icon="image" label="Pictures on the map (M)" keys="M" pressed={store.pictures.value} onClick={() => actions.pictures()} testid="map-pictures" />
        <Names />
        <Button icon="fit" label="Fit the map; again, far points too (0)" keys="0" onClick={() => map.current?.fit()} />
      </div>
      <MapChoice />
      {spec.embeddings.length && placed ? <Legend /> : null}
      {tip.value ? <Tip row={tip.value.row} x={place(tip.value.x, host.current?.clientWidth ?? 0)} y={place(tip.value.y, host.current?.clientHeight ?? 0)} /> : null}
    </div>
  );
}

/** What names the clusters. */
function Names(): JSX.Element {
  const { store, actions } = useExplorer();
  const choices: [string | null, string][] = [
    [AS_COLOURED, "as coloured"],
    [BY_TAGS, "tags"],
    ...naming(store).map((c): [string, string] => [c.name, c.title]),
    [null, "no names"],
  ];
  return (
    <Popover label="Names on the map" trigger={<Icon name="name" />} align="right" testid="map-names">
      {() => (
        <fieldset class="names">
          <legend>Names on the map</legend>
          {choices.map(([value, text]) => (
            <label key={text} class="check">
              <input type="radio" name="map-names" checked={store.labels.value === value} onChange={() => actions.labels(value)} />
              {text}
            </label>
          ))}
        </fieldset>
      )}
    </Popover>
  );
}

function selectedWord(selected: Uint8Array, row: number): string {
  return selected[row] ? ", selected" : "";
}

/** Which embedding and which layout, where there is a choice. */
function MapChoice(): JSX.Element | null {
  const { store, actions } = useExplorer();
  const { embeddings } = store.spec.value;
  const positions = store.positions.value;
  const choices = embeddings.flatMap((e) => e.layouts.map((l) => ({ name: e.name, layout: l })));
  if (!positions || choices.length < 2) return null;
  const shownName = embeddings.length > 1;
  return (
    <Segments
      label="Which map"
      place="map-choice"
      options={choices.map((c) => ({
        value: c,
        text: shownName ? `${c.name} ${c.layout.toUpperCase()}` : c.layout.toUpperCase(),
        on: positions.name === c.name && positions.layout === c.layout,
      }))}
      onChange={(c) => actions.map(c.name, c.layout)}
    />
  );
}

function MapEmpty(): JSX.Element {
  const { store, actions } = useExplorer();
  const job = store.job.value;
  const running = job?.state === "running";
  return (
    <div class="empty">
      <strong>{running ? "The map is being made" : store.spec.value.state === "empty" ? `No ${store.nouns.value} here` : "No map yet"}</strong>
      <span class="muted">
        {running
          ? "It appears here as soon as the images are read."
          : store.spec.value.state === "empty"
            ? "This view holds no rows."
            : store.spec.value.offline
              ? "It was not computed when this page was made."
              : "Computing reads every image once: metrics, duplicates, neighbours and this map."}
      </span>
      {running || store.spec.value.state === "empty" || store.spec.value.offline ? null : (
        <Button kind="primary" label="Compute" onClick={() => void actions.compute()} testid="compute">
          Compute
        </Button>
      )}
    </div>
  );
}

/** Beside the pointer, on the side where there is room. */
function place(at: number, room: number): number {
  const after = at + TIP_GAP_PX;
  return after + TIP_PX <= room ? after : Math.max(0, at - TIP_GAP_PX - TIP_PX);
}

function Tip({ row, x, y }: { row: number; x: number; y: number }): JSX.Element {
  return (
    <div class="tip" style={{ transform: `translate(${x}px, ${y}px)` }}>
      <span>
        <Thumb row={row} fit="contain" empty={() => <span class="muted">…</span>} />
      </span>
    </div>
  );
}
