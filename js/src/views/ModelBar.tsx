// The bar of a run: IoU and confidence, hits and misses as they stand, and what they filter.

import { useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { chosen } from "../protocol/filter";
import { hue } from "./palette";
import { Button, Chip, count, Select, Slider, useExplorer } from "./parts";

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
        <Slider
          name="IoU ≥"
          title="A prediction is right when it overlaps a label of its class at least so much"
          label="IoU threshold"
          testid="iou"
          max={thresholds.length - 1}
          step={1}
          value={model.table.value}
          shown={store.iou.value.toFixed(2)}
          onInput={(place) => model.set({ iou: thresholds[place]! })}
        />
      ) : null}
      <Slider
        name="confidence ≥"
        title="Predictions below are left out"
        label="Least confidence"
        testid="confidence"
        max={1}
        step={0.01}
        value={store.confidence.value}
        shown={store.confidence.value.toFixed(2)}
        wide
        onInput={(confidence) => model.set({ confidence })}
      />
      {counts ? (
        <>
          <div class="chips" role="group" aria-label="Outcomes">
            {OUTCOMES.map(([code, name, what]) => (
              <Chip
                key={name}
                text={name}
                title={what}
                color={hue(code, store.dark.value)}
                n={code ? counts.fp : counts.tp}
                on={now.has(name)}
                testid={`outcome-${name}`}
                onToggle={() => actions.toggleValue("outcome", name, false)}
              />
            ))}
            <Chip
              text="FN →"
              title={spec.kind === "detection" ? "labels that were missed: shows them at their own level" : "images that got no or another class: shows them"}
              color={hue(MISSED, store.dark.value)}
              n={counts.fn}
              testid="outcome-FN"
              onToggle={() => void actions.missed(null)}
            />
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
