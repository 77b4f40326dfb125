// The map with its tools, legend and hover picture; drawing is ScatterMap's.

import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Scope } from "../host/scope";
import { type MapLabel, ScatterMap, type Tool } from "../render/scatter";
import { Legend } from "./Facets";
import { pointPalette } from "./palette";
import { Button, Segments, useExplorer } from "./parts";
import { Thumb } from "./Thumb";

const LEAST_LABELLED = 8;
const MOST_LABELS = 24;
const TIP_PX = 136;
const TIP_GAP_PX = 14;
const NO_POINTS = new Uint16Array(0);

export function MapPane(): JSX.Element {
  const { store, actions, explorer } = useExplorer();
  const host = useRef<HTMLDivElement>(null);
  const map = useRef<ScatterMap | null>(null);
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
    });
    view.setTool(tool.peek());
    map.current = view;
    host.current!.dataset["renderer"] = view.renderer;
    return () => {
      map.current = null;
      scope.dispose();
    };
  }, []);
  useSignalEffect(() => {
    const positions = store.positions.value;
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
      palette: pointPalette(column, dark),
    });
    map.current?.setColors(column ? (explorer.columns.get(column.name) ?? null) : null);
  });
  useSignalEffect(() => {
    const result = store.result.value;
    if (result) map.current?.setFlags(result.flags);
  });
  useSignalEffect(() => {
    void store.codes.value;
    map.current?.setLabels(labels(store, explorer.columns.get(store.color.value ?? "")));
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
        <Button icon="fit" label="Fit the map" onClick={() => map.current?.fit()} />
      </div>
      <MapChoice />
      {spec.embeddings.length && placed ? <Legend /> : null}
      {tip.value ? <Tip row={tip.value.row} x={place(tip.value.x, host.current?.clientWidth ?? 0)} y={place(tip.value.y, host.current?.clientHeight ?? 0)} /> : null}
    </div>
  );
}

function labels(store: ReturnType<typeof useExplorer>["store"], codes: Uint8Array | undefined): MapLabel[] {
  const positions = store.positions.value;
  const column = store.columns.value.get(store.color.value ?? "");
  if (!positions || !codes || column?.kind !== "category" || !column.levels || column.levels.length > MOST_LABELS) return [];
  const sums = column.levels.map(() => ({ x: [] as number[], y: [] as number[] }));
  const stride = Math.max(1, Math.floor(codes.length / 20_000));
  for (let row = 0; row < codes.length; row += stride) {
    const sum = sums[codes[row]!];
    if (!sum || positions.x[row] === 65535) continue;
    sum.x.push(positions.x[row]!);
    sum.y.push(positions.y[row]!);
  }
  const middle = (list: number[]): number => list.sort((a, b) => a - b)[list.length >> 1]!;
  return sums.flatMap((s, i) => (s.x.length * stride >= LEAST_LABELLED ? [{ x: middle(s.x), y: middle(s.y), text: column.levels![i]!, code: i }] : []));
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
            : "Computing reads every image once: metrics, duplicates, neighbours and this map."}
      </span>
      {running || store.spec.value.state === "empty" ? null : (
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
