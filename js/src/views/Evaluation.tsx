// Confusion matrix and curves of a run, recounted as the sliders move; a click filters, or sets the confidence.

import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useMemo } from "preact/hooks";
import { take } from "../host/events";
import { type CurvePoint, curveOf, matrixOf } from "../state/verdicts";
import { hue } from "./palette";
import { count, Select, useExplorer } from "./parts";

/** Up to so many classes each cell says its count. */
const MOST_WRITTEN = 12;
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [220, 160, 32, 28, 8, 10];

export function Evaluation(): JSX.Element | null {
  const { store } = useExplorer();
  const spec = store.spec.value.model;
  if (!spec || !store.verdicts.value) return null;
  return (
    <div class="evaluation" role="group" aria-label="Evaluation" data-testid="evaluation-panel">
      <Matrix />
      <Curves />
    </div>
  );
}

function Matrix(): JSX.Element {
  const { store, actions, explorer } = useExplorer();
  const { classes, labels, kind, nothing: unnamed } = store.spec.value.model!;
  const table = explorer.model.table.value;
  const { verdicts, confidence, hidden, dark } = store;
  const counts = useMemo(() => matrixOf(verdicts.value!, table, confidence.value, labels, hidden.value), [verdicts.value, table, confidence.value, labels, hidden.value]);
  const looked = useSignal(-1);
  const first = counts.findIndex((n) => n > 0);
  const stop = counts[looked.value] ? looked.value : first; // the one cell that Tab reaches
  const k = classes.length;
  const side = k + 1;
  const move = (event: KeyboardEvent): void => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -side, ArrowDown: side }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    take(event);
    const cells = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLButtonElement>(".cell")];
    for (let i = stop + step; i >= 0 && i < cells.length; i += step) {
      if (Math.abs(step) === 1 && Math.floor(i / side) !== Math.floor(stop / side)) return;
      if (!cells[i]!.disabled) return cells[i]!.focus();
    }
  };
  const nothing = kind === "detection" ? unnamed : "no prediction";
  const rows = kind === "detection" ? side : k;
  const name = (i: number): string => classes[i] ?? nothing;
  const written = k <= MOST_WRITTEN;
  return (
    <section>
      <h3>Confusion · rows: labels, columns: predictions</h3>
      <div class={`matrix${written ? "" : " dense"}`} role="group" aria-label="Confusion matrix; arrow keys move" onKeyDown={move} style={{ gridTemplateColumns: `minmax(${written ? 48 : 84}px, auto) repeat(${side}, minmax(${written ? 40 : 7}px, 1fr))` }}>
        <span class="matrix-head" />
        {Array.from({ length: side }, (_, j) => (
          <span key={j} class="matrix-head ellipsis" title={name(j)}>
            {written ? name(j) : ""}
          </span>
        ))}
        {Array.from({ length: rows }, (_, i) => {
          let total = 0;
          for (let j = 0; j < side; j++) total += counts[i * side + j]!;
          return [
            <span key={`h${i}`} class="matrix-side ellipsis" title={name(i)}>
              {name(i)}
            </span>,
            ...Array.from({ length: side }, (_, j) => {
              const n = counts[i * side + j]!;
              const share = total ? n / total : 0;
              const color = hue(i === j ? 0 : j === k ? 3 : 1, dark.value);
              const text = `${count(n)}: label ${name(i)}, predicted ${name(j)}`;
              return (
                <button
                  key={j}
                  class="cell"
                  disabled={!n}
                  tabIndex={i * side + j === stop ? 0 : -1}
                  onFocus={() => (looked.value = i * side + j)}
                  title={text}
                  aria-label={text}
                  style={{ background: n ? `color-mix(in srgb, ${color} ${Math.round(12 + 40 * share)}%, transparent)` : "none" }}
                  onClick={() => actions.cell(name(i), j === k ? null : name(j))}
                >
                  {written && n ? count(n) : ""}
                </button>
              );
            }),
          ];
        })}
      </div>
    </section>
  );
}

function Curves(): JSX.Element {
  const { store, explorer } = useExplorer();
  const { classes, labels } = store.spec.value.model!;
  const cls = useSignal("");
  const at = cls.value === "" ? null : Number(cls.value);
  const table = explorer.model.table.value;
  const { verdicts, hidden, confidence } = store;
  const total = at === null ? explorer.model.labels.value : (labels[at] ?? 0);
  const points = useMemo(() => curveOf(verdicts.value!, table, total, at, hidden.value), [verdicts.value, table, total, at, hidden.value]);
  let best: CurvePoint | null = null;
  for (const p of points) if (!best || p.f1 >= best.f1) best = p;
  let now: CurvePoint | null = null;
  for (const p of points) if (p.confidence >= confidence.value) now = p;
  const set = (p: CurvePoint): void => explorer.model.set({ confidence: Math.floor(p.confidence * 100) / 100 });
  return (
    <section>
      <div class="row">
        <h3>Curves at IoU {store.iou.value.toFixed(2)}</h3>
        <span class="spacer" />
        <Select label="Class of the curves" testid="curve-class" value={cls.value} options={[{ value: "", text: "all classes" }, ...classes.map((c, i) => ({ value: String(i), text: c }))]} onChange={(v) => (cls.value = v)} />
      </div>
      <div class="curves">
        <Chart label="precision by recall" x="recall" y="precision" points={points} now={now} onPick={set} />
        <Chart label="F1 by confidence" x="confidence" y="f1" points={points} now={now} best={best} onPick={set} />
      </div>
      {best ? (
        <p class="small muted">
          best F1 {best.f1.toFixed(3)} at confidence {best.confidence.toFixed(2)} · click a curve to set the confidence
        </p>
      ) : (
        <p class="small muted">No predictions count here.</p>
      )}
    </section>
  );
}

interface ChartProps {
  label: string;
  x: keyof CurvePoint;
  y: keyof CurvePoint;
  points: readonly CurvePoint[];
  now: CurvePoint | null;
  best?: CurvePoint | null;
  onPick(point: CurvePoint): void;
}

function Chart({ label, x, y, points, now, best, onPick }: ChartProps): JSX.Element {
  const { store } = useExplorer();
  const px = (v: number): number => LEFT + v * (WIDTH - LEFT - RIGHT);
  const py = (v: number): number => HEIGHT - BOTTOM - v * (HEIGHT - BOTTOM - TOP);
  const line = points.map((p, i) => `${i ? "L" : "M"}${px(p[x]).toFixed(1)} ${py(p[y]).toFixed(1)}`).join("");
  const dark = store.dark.value;
  const [upward, across] = label.split(" by ");
  const pick = (event: MouseEvent): void => {
    const box = (event.currentTarget as SVGElement).getBoundingClientRect();
    const [u, v] = [((event.clientX - box.left) / box.width) * WIDTH, ((event.clientY - box.top) / box.height) * HEIGHT];
    let near: CurvePoint | null = null;
    let least = Infinity;
    for (const p of points) {
      const d = (px(p[x]) - u) ** 2 + 0.2 * (py(p[y]) - v) ** 2;
      if (d < least) [near, least] = [p, d];
    }
    if (near) onPick(near);
  };
  const text = (at: number, to: number, words: ComponentChildren, anchor: "middle" | "end" = "middle", turn?: string): JSX.Element => (
    <text x={at} y={to} text-anchor={anchor} transform={turn}>
      {words}
    </text>
  );
  return (
    <svg class="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label} onClick={pick}>
      {[0, 0.5, 1].map((v) => (
        <g key={v}>
          <path class="chart-grid" d={`M${px(v)} ${py(0)}V${py(1)}M${px(0)} ${py(v)}H${px(1)}`} />
          {text(px(v), HEIGHT - BOTTOM + 12, v)}
          {text(LEFT - 5, py(v) + 3, v, "end")}
        </g>
      ))}
      {text(px(0.5), HEIGHT - 4, across)}
      {text(9, py(0.5), upward, "middle", `rotate(-90 9 ${py(0.5)})`)}
      <path d={line} fill="none" stroke={hue(0, dark)} stroke-width={1.8} stroke-linejoin="round" />
      {best ? <circle cx={px(best[x])} cy={py(best[y])} r={3.5} fill="none" stroke={hue(1, dark)} stroke-width={1.8} /> : null}
      {now ? <circle cx={px(now[x])} cy={py(now[y])} r={3.5} fill={hue(0, dark)} /> : null}
    </svg>
  );
}
