// One step of dragging a brush: masks, counts of ten facets and flags, at 100,000 and 1,000,000 rows.
// Run by `npm run bench`.
import { codeMask, countFacet, failing } from "../../src/state/crossfilter";
import { Cube } from "../../src/state/cube";

const FACETS = 10;
const STEPS = 15;

for (const n of [100_000, 1_000_000]) {
  let state = 1;
  const columns = Array.from({ length: FACETS }, () =>
    Uint8Array.from({ length: n }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 26),
  );
  const fixed = codeMask(columns[1]!, new Set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]));
  const flags = new Uint8Array(n);
  const rows = new Uint32Array(n);
  const times: number[] = [];
  const begun = performance.now();
  const others = failing([fixed], n);
  const facets = columns.map((bytes, i) => ({ key: String(i), bytes, own: i === 1 ? 0 : -1 }));
  const cube = new Cube(columns[0]!, others, facets.slice(1), null);
  countFacet(columns[0]!, others, -1, null);
  const start = performance.now() - begun;
  for (let step = 0; step < STEPS; step++) {
    const started = performance.now();
    const inside = new Uint8Array(256).fill(1, step, step + 20);
    let at = 0;
    for (let row = 0; row < n; row++) {
      const passes = others.count[row] === 0 ? inside[columns[0]![row]!]! : 0;
      flags[row] = passes;
      rows[at] = row;
      at += passes;
    }
    for (const facet of facets.slice(1)) cube.counts(facet.key, step, step + 20);
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  const goal = n === 100_000 ? 16 : 100;
  console.log(`drag starts in ${start.toFixed(0)} ms; brush step, ${n.toLocaleString("en")} rows x ${FACETS} facets: median ${times[STEPS >> 1]!.toFixed(1)} ms, worst ${times[STEPS - 1]!.toFixed(1)} ms (goal ${goal})`);
}
