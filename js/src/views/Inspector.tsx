// The right panel: what is under the pointer or was clicked last, its values, neighbours and tags.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { distance, number } from "../protocol/filter";
import type { Detail } from "../protocol/messages";
import { asF32, asU32 } from "../transport/wire";
import { useExplorer } from "./parts";
import { ClassEditor } from "./ClassEditor";
import { TagEditor } from "./TagEditor";
import { Thumb } from "./Thumb";

const HOVER_MS = 120;
const SIDE_NEIGHBOURS = 4;
const MOST_VALUES = 6;
const FIRST = ["brightness", "contrast", "sharpness", "uniqueness", "colourfulness", "entropy"];

const NO_NEIGHBOURS: Near[] = [];

export interface Near {
  row: number;
  distance: number;
}

/** Details and neighbours of a row, fetched a moment after it stopped changing. */
export function useDetail(row: number | null, k: number, wait: number): { detail: Detail | null; near: Near[] } {
  const { explorer, store } = useExplorer();
  const detail = useSignal<Detail | null>(null);
  const near = useSignal<{ row: number; list: Near[] } | null>(null);
  const { revision, embeddings } = store.spec.value;
  const generation = store.generation.value;
  const run = store.run.value;
  const model = store.spec.value.model ? `${store.iou.value}:${store.confidence.value}` : ""; // outcomes change with the sliders
  const embedding = store.positions.value?.name ?? embeddings[0]?.name ?? null;
  useEffect(() => {
    detail.value = near.value = null; // rows of another level have the same numbers
  }, [generation]);
  useEffect(() => {
    if (row === null) return;
    let current = true;
    const timer = setTimeout(() => {
      void explorer.ask<Detail>("row.detail", { row, run }).then((reply) => {
        if (current && reply) detail.value = { ...reply.head, buffers: reply.buffers };
      });
      if (!embedding) return;
      void explorer.ask("neighbors.get", { row, k, embedding }).then((reply) => {
        if (!current || !reply) return;
        const rows = asU32(reply.buffers[0]!);
        const distances = asF32(reply.buffers[1]!);
        near.value = { row, list: [...rows].map((r, i) => ({ row: r, distance: distances[i]! })) };
      });
    }, wait);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [row, revision, embedding, generation, run, model]);
  return { detail: detail.value?.row === row ? detail.value : null, near: near.value?.row === row ? near.value.list : NO_NEIGHBOURS };
}

export function Inspector(): JSX.Element {
  const { store, actions } = useExplorer();
  const row = store.hovered.value ?? store.focused.value ?? store.result.value?.visible[0] ?? null;
  const { detail, near } = useDetail(row, SIDE_NEIGHBOURS, HOVER_MS);
  return (
    <div class="inspector" data-testid="inspector">
      <TagEditor />
      <ClassEditor />
      {row === null ? (
        <p class="muted small">Point at {article(store.noun.value)} to see its values; double click opens it.</p>
      ) : (
        <>
          <Picture row={row} onOpen={() => actions.open(row)} />
          {detail ? (
            <>
              <h3 class="name" title={detail.uri}>
                {detail.name}
              </h3>
              {detail.class_name ? <p class="small muted">{detail.class_name}</p> : null}
              <Values detail={detail} most={MOST_VALUES} />
            </>
          ) : null}
          {near.length ? <h3>Most similar</h3> : null}
          <Neighbours near={near} onOpen={(r) => actions.open(r)} />
        </>
      )}
    </div>
  );
}

function article(noun: string): string {
  return `${/^[aeiou]/.test(noun) ? "an" : "a"} ${noun}`;
}

function Picture({ row, onOpen }: { row: number; onOpen(): void }): JSX.Element {
  const { store } = useExplorer();
  return (
    <button class="preview" aria-label={`Open this ${store.noun.value}`} onClick={onOpen}>
      <Thumb row={row} fit="contain" empty={(missing) => <span class="muted">{missing ? "no picture" : ""}</span>} />
    </button>
  );
}

export function Values({ detail, most }: { detail: Detail; most?: number }): JSX.Element {
  const rank = (name: string): number => {
    const at = FIRST.indexOf(name);
    return at < 0 ? FIRST.length : at;
  };
  const list = [...detail.values].filter((v) => v.value !== null && (most === undefined || v.percentile !== null));
  list.sort((a, b) => rank(a.name) - rank(b.name));
  return (
    <dl class="values">
      {list.slice(0, most ?? list.length).map((v) => (
        <div key={v.name} class="value" title={[v.name, v.unit && `in ${v.unit}`, v.direction, v.percentile !== null ? `percentile ${Math.round(v.percentile * 100)}` : ""].filter(Boolean).join(" · ")}>
          <dt>{v.name.replaceAll("_", " ")}</dt>
          <dd>
            <span class="value-number">
              {typeof v.value === "number" ? number(v.value) : String(v.value)}
              {most === undefined && v.unit && typeof v.value === "number" ? <span class="unit"> {v.unit}</span> : null}
            </span>
            {v.percentile !== null ? (
              <span class="bar" role="img" aria-label={`percentile ${Math.round(v.percentile * 100)}`}>
                <span class="bar-mark" style={{ left: `${v.percentile * 100}%` }} />
              </span>
            ) : null}
          </dd>
          {most === undefined && v.direction ? <dd class="value-note">{v.direction}</dd> : null}
        </div>
      ))}
    </dl>
  );
}

export function Neighbours({ near, onOpen }: { near: Near[]; onOpen(row: number): void }): JSX.Element | null {
  const { store } = useExplorer();
  if (!near.length) return null;
  return (
    <div class="near">
      {near.map((n) => (
        <button key={n.row} type="button" class="near-item" title={`cosine distance ${distance(n.distance)}`} aria-label={`Similar ${store.noun.value}, distance ${distance(n.distance)}`} onClick={() => onOpen(n.row)}>
          <span class="near-picture">
            <Thumb row={n.row} fit="cover" empty={() => null} />
          </span>
          <span>{distance(n.distance)}</span>
        </button>
      ))}
    </div>
  );
}
