// One step of a slider: columns, counts, matrix and curve of 200,000 predictions, 80 classes, 10 thresholds; then the
// recount of ten facets under a filter. Run by `npm run bench`.
import { codeMask, countFacet, failing } from "../../src/state/crossfilter";
import { codesOf, countOf, curveOf, matrixOf, readVerdicts } from "../../src/state/verdicts";

const [N, T, K, FACETS, STEPS] = [200_000, 10, 80, 10, 31];
let state = 7;
const next = (below: number): number => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8) % below;
const bytes = (a: ArrayBufferView): DataView => new DataView(a.buffer, a.byteOffset, a.byteLength);
const v = readVerdicts(N, T, 1, [
  bytes(Float32Array.from({ length: N }, () => next(1000) / 1000)),
  bytes(Uint16Array.from({ length: N }, () => next(K))),
  bytes(Uint8Array.from({ length: N * T }, () => next(3) | (next(8) << 2))),
  bytes(Uint8Array.from({ length: N * T }, () => next(K + 2))),
]);
const labels = Array.from({ length: K }, () => 450);
const facets = Array.from({ length: FACETS }, () => Uint8Array.from({ length: N }, () => next(64)));
const sliders: number[] = [];
const panels: number[] = [];
for (let step = 0; step < STEPS; step++) {
  const [t, confidence] = [step % T, step / STEPS];
  const started = performance.now();
  const codes = codesOf(v, t, confidence, K, 7);
  countOf(v, t, confidence, 36_000, null);
  const state = failing([codeMask(codes.outcome, new Set([1]))], N);
  for (const facet of facets) countFacet(facet, state, -1, null);
  const shown = performance.now();
  matrixOf(v, t, confidence, labels, null);
  curveOf(v, t, 36_000, null, null);
  sliders.push(shown - started);
  panels.push(performance.now() - shown);
}
const middle = (list: number[]): string => list.sort((a, b) => a - b)[STEPS >> 1]!.toFixed(1);
console.log(`slider step, ${N.toLocaleString("en")} predictions x ${K} classes: counts and filter ${middle(sliders)} ms (goal 16), matrix and curve ${middle(panels)} ms more`);
