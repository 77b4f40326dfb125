// Bytes between the page and the test's process, and Jupyter's binary message: offsets, then the parts.

export const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

export function toBase64(bytes) {
  let letters = "";
  for (let at = 0; at < bytes.length; at += 8192) letters += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(letters);
}

/** Write a message as Jupyter's default WebSocket protocol does: count, offsets, JSON, buffers; big-endian. */
export function packed(message, buffers) {
  const parts = [new TextEncoder().encode(JSON.stringify(message)), ...buffers.map((b) => (ArrayBuffer.isView(b) ? new Uint8Array(b.buffer, b.byteOffset, b.byteLength) : new Uint8Array(b)))];
  const start = 4 * (parts.length + 1);
  const out = new Uint8Array(start + parts.reduce((sum, part) => sum + part.length, 0));
  const numbers = new DataView(out.buffer);
  numbers.setUint32(0, parts.length);
  let at = start;
  parts.forEach((part, i) => {
    numbers.setUint32(4 * (i + 1), at);
    out.set(part, at);
    at += part.length;
  });
  return out.buffer;
}

/** Read such a message; the buffers are views into it, at whatever offset they lie. */
export function unpacked(buffer) {
  const numbers = new DataView(buffer);
  const n = numbers.getUint32(0);
  const ends = Array.from({ length: n }, (_, i) => numbers.getUint32(4 * (i + 1)));
  ends.push(buffer.byteLength);
  const text = new TextDecoder().decode(new Uint8Array(buffer, ends[0], ends[1] - ends[0]));
  return { message: JSON.parse(text), buffers: ends.slice(1, -1).map((at, i) => new DataView(buffer, at, ends[i + 2] - at)) };
}
