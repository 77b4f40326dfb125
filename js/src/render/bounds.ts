// Where most points lie: a map is fitted to these, so that one far cluster does not squeeze the rest into a corner.

import { EVERYTHING, type Home } from "./camera";
import { NO_POSITION } from "./grid-index";

const STEPS = 65534;
const TAIL = 0.005; // this share of the points may lie outside, at each end of each axis
const PADDING = 0.05;
const LEAST_SIDE = 0.005;
/** An axis is cut only where this much or less of it is left: a map without far points looks as it always did. */
const MOST_LEFT = 0.7;

export function robustBounds(x: Uint16Array, y: Uint16Array): Home {
  const [cx, w] = axis(x);
  const [cy, h] = axis(y);
  return w === 1 && h === 1 ? EVERYTHING : { x: cx, y: cy, w, h };
}

/** The middle and the length of an axis between its quantiles, by counting. */
function axis(values: Uint16Array): [middle: number, length: number] {
  const counts = new Uint32Array(65536);
  let n = 0;
  for (const value of values) {
    if (value === NO_POSITION) continue;
    counts[value]!++;
    n++;
  }
  const outside = Math.floor(n * TAIL);
  if (!n || !outside) return [0.5, 1];
  let [lo, below] = [0, counts[0]!];
  while (below <= outside) below += counts[++lo]!;
  let [hi, above] = [STEPS, counts[STEPS]!];
  while (above <= outside) above += counts[--hi]!;
  const length = Math.max(LEAST_SIDE, ((hi - lo) / STEPS) * (1 + 2 * PADDING));
  return length > MOST_LEFT ? [0.5, 1] : [(lo + hi) / 2 / STEPS, length];
}
