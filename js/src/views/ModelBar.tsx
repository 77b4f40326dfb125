// The bar of a run: IoU and confidence, hits and misses as they stand, and what they filter.

import { useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { chosen } from "../protocol/filter";
import { hue } from "./palette";
import { Button, count, Select, useExplorer } from "./parts";

const OUTCOMES: [code: number, name: string, what: string][] = [
  [0, "TP", "predictions that are right"],
  [1, "FP", "predictions that are wrong"],
];
const MISSED = 3; // place of the colour for what was missed

export function ModelBar(): JSX.Element | null {
  const { store, actions, explorer } = useExplorer();
  const { model } = explorer;
  const spec = store.spec.value.model;
  useSignalEffect(() => {
    const counts = model.counts.value;
    if (counts) store.announcement.value = `${count(counts.tp)} right, ${count(counts.fp)} wrong, ${count(counts.fn)} missed`;
  });
  if (!spec) return null;
  const counts = model.counts.value;
  const now = chosen(store.filter.value, "outcome").include;
  const { thresholds } = spec;
  return (
    <div class="modelbar" role="group" aria-label="Model" data-testid="modelbar">
      {thresholds.length > 1 ? (
        <label class="labelled" title="A prediction is right when it overlaps a label of its class at least so much">
          <span class="muted">IoU ≥</span>
          <input
            class="slider"
            type="range"
            aria-label="IoU threshold"
            data-testid="iou"
            min={0}
            max={thresholds.length - 1}
            step={1}
            value={model.table.value}
            aria-valuetext={store.iou.value.toFixed(2)}
            onInput={(e) => model.set({ iou: thresholds[Number(e.currentTarget.value)]! })}
          />
          <span class="slider-value">{store.iou.value.toFixed(2)}</span>
        </label>
      ) : null}
      <label class="labelled" title="Predictions below are left out">
        <span class="muted">confidence ≥</span>
        <input
          class="slider wide"
          type="range"
          aria-label="Least confidence"
          data-testid="confidence"
          min={0}
          max={1}
          step={0.01}
          value={store.confidence.value}
          onInput={(e) => model.set({ confidence: Number(e.currentTarget.value) })}
        />
        <span class="slider-value">{store.confidence.value.toFixed(2)}</span>
      </label>
      {counts ? (
        <>
          <div class="chips" role="group" aria-label="Outcomes">
            {OUTCOMES.map(([code, name, what]) => (
              <button key={name} class={now.has(name) ? "chip on" : "chip"} aria-pressed={now.has(name)} title={what} data-testid={`outcome-${name}`} onClick={() => actions.toggleValue("outcome", name, false)}>
                <span class="dot" style={{ background: hue(code, store.dark.value) }} />
                <span class="chip-text">{name}</span>
                <span class="chip-n">{count(code ? counts.fp : counts.tp)}</span>
              </button>
            ))}
            <button class="chip" title={spec.kind === "detection" ? "labels that were missed: shows them at their own level" : "images that got no or another class: shows them"} data-testid="outcome-FN" onClick={() => void actions.missed(null)}>
              <span class="dot" style={{ background: hue(MISSED, store.dark.value) }} />
              <span class="chip-text">FN</span>
              <span class="chip-n">{count(counts.fn)} →</span>
            </button>
          </div>
          <span class="rates">
            <Rate name="precision" value={counts.tp / (counts.tp + counts.fp)} />
            <Rate name="recall" value={counts.tp / (counts.tp + counts.fn)} />
            <Rate name="F1" value={(2 * counts.tp) / (2 * counts.tp + counts.fp + counts.fn)} />
          </span>
        </>
      ) : (
        <span class="muted">counting…</span>
      )}
      <span class="spacer" />
      <Button label="Confusion matrix and curves" pressed={store.panel.value} testid="evaluation" onClick={() => (store.panel.value = !store.panel.value)}>
        Evaluation
      </Button>
    </div>
  );
}

function Rate({ name, value }: { name: string; value: number }): JSX.Element {
  return (
    <span class="nowrap">
      <span class="muted">{name}</span> <b>{Number.isFinite(value) ? value.toFixed(3) : "–"}</b>
    </span>
  );
}

/** Which run is shown, where there are several. */
export function RunChoice(): JSX.Element | null {
  const { store, actions } = useExplorer();
  const { levels, level } = store.spec.value;
  const runs = levels.filter((l) => l.run);
  const now = store.switching.value ?? level;
  if (runs.length < 2 || !runs.some((r) => r.id === now)) return null;
  return <Select label="Which run" testid="run" value={now} options={runs.map((r) => ({ value: r.id, text: r.title }))} onChange={(id) => void actions.level(id)} />;
}
