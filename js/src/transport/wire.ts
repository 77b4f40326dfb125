// Bytes as hosts deliver them: DataView in Jupyter, VS Code and marimo, Uint8Array in Colab. What goes up is text.

export type Binary = DataView | Uint8Array | ArrayBuffer;

export function asBytes(value: Binary): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

const LETTERS_AT_ONCE = 0x8000; // more arguments than this can overflow the stack

/** Spell bytes in base64. */
export function asText(value: ArrayBufferView): string {
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  let letters = "";
  for (let at = 0; at < bytes.length; at += LETTERS_AT_ONCE) letters += String.fromCharCode(...bytes.subarray(at, at + LETTERS_AT_ONCE));
  return btoa(letters);
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
