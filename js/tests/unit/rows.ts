// Rows of an encoded set, as a list.

import { forEachRow } from "../../src/protocol/selection";

export function decode(enc: string, data: ArrayBufferView): number[] {
  const out: number[] = [];
  forEachRow(enc, new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 1 << 20, (row) => {
    out.push(row);
  });
  return out;
}
