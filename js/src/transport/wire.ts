// Bytes as hosts deliver them: DataView in Jupyter and marimo, Uint8Array in Colab.

export type Binary = DataView | Uint8Array | ArrayBuffer;

export function asBytes(value: Binary): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : bytes.slice();
}

export function asU16(bytes: Uint8Array): Uint16Array {
  const b = aligned(bytes, 2);
  return new Uint16Array(b.buffer, b.byteOffset, b.byteLength >> 1);
}

export function asU32(bytes: Uint8Array): Uint32Array {
  const b = aligned(bytes, 4);
  return new Uint32Array(b.buffer, b.byteOffset, b.byteLength >> 2);
}

export function asF32(bytes: Uint8Array): Float32Array {
  const b = aligned(bytes, 4);
  return new Float32Array(b.buffer, b.byteOffset, b.byteLength >> 2);
}

/** Expand a bitset (LSB first) to one byte a row. */
export function unpackBits(bytes: Uint8Array, n: number): Uint8Array {
  const out = new Uint8Array(n);
  for (let row = 0; row < n; row++) out[row] = (bytes[row >> 3] ?? 0) >> (row & 7) & 1;
  return out;
}
