// Compact row sets: the smallest of sorted ids, ranges or a bitset, as store/rows.py writes them.

export type Encoding = "ids" | "ranges" | "bitset";
export interface RowSet {
  enc: Encoding;
  n: number;
  data: Uint8Array;
}

/** Encode the rows where `test(flags[row])` holds. */
export function encodeWhere(n: number, has: (row: number) => boolean): RowSet {
  const bits = new Uint8Array((n + 7) >> 3);
  let count = 0;
  let runs = 0;
  let last = -1;
  let before = false;
  for (let row = 0; row < n; row++) {
    const now = has(row);
    if (now) {
      bits[row >> 3]! |= 1 << (row & 7);
      count++;
      last = row;
      if (!before) runs++;
    }
    before = now;
  }
  if (count === 0) return { enc: "ids", n: 0, data: new Uint8Array(0) };
  const bitsetBytes = (last >> 3) + 1;
  if (count * 4 <= runs * 8 && count * 4 <= bitsetBytes) {
    const ids = new Uint32Array(count);
    let at = 0;
    for (let row = 0; row <= last; row++) if (bits[row >> 3]! & (1 << (row & 7))) ids[at++] = row;
    return { enc: "ids", n: count, data: new Uint8Array(ids.buffer) };
  }
  if (runs * 8 < bitsetBytes) {
    const ranges = new Uint32Array(runs * 2);
    let at = 0;
    let inside = false;
    for (let row = 0; row <= last + 1; row++) {
      const now = row <= last && (bits[row >> 3]! & (1 << (row & 7))) !== 0;
      if (now !== inside) ranges[at++] = row;
      inside = now;
    }
    return { enc: "ranges", n: count, data: new Uint8Array(ranges.buffer) };
  }
  return { enc: "bitset", n: count, data: bits.slice(0, bitsetBytes) };
}

/** Visit every row of an encoded set that is below `n`, ascending. */
export function forEachRow(enc: string, data: Uint8Array, n: number, visit: (row: number) => void): void {
  if (enc === "bitset") {
    const stop = Math.min(n, data.length * 8);
    for (let row = 0; row < stop; row++) if (data[row >> 3]! & (1 << (row & 7))) visit(row);
    return;
  }
  const words = asU32(data);
  if (enc === "ids") {
    for (const row of words) if (row < n) visit(row);
    return;
  }
  for (let i = 0; i + 1 < words.length; i += 2) {
    const stop = Math.min(words[i + 1]!, n);
    for (let row = words[i]!; row < stop; row++) visit(row);
  }
}

/** A u32 view of bytes; copied when the offset is not a multiple of four. */
export function asU32(data: Uint8Array): Uint32Array {
  const whole = data.byteOffset % 4 === 0 ? data : data.slice();
  return new Uint32Array(whole.buffer, whole.byteOffset, whole.byteLength >> 2);
}
