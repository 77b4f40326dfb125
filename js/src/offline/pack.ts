// Packs: a JSON head and buffers in a block of the page, as export/pack.py writes them.

const ALIGNED = 8;

export interface Pack<T> {
  head: T;
  buffer(number: number): Uint8Array;
}

/** Read a pack; deflated ones are inflated. */
export async function readPack<T>(bytes: Uint8Array): Promise<Pack<T>> {
  const body = bytes[0] === 1 ? await inflate(bytes.subarray(1)) : bytes.slice(1); // a copy: aligned
  const length = new DataView(body.buffer, body.byteOffset).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(body.subarray(4, 4 + length))) as T & { buffers: [number, number][] };
  const first = Math.ceil((4 + length) / ALIGNED) * ALIGNED;
  return {
    head,
    buffer(number) {
      const place = head.buffers[number];
      if (!place) throw new Error(`This page lacks its buffer ${number}.`);
      return body.subarray(first + place[0], first + place[0] + place[1]);
    },
  };
}

async function inflate(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Newer browsers decode base64 themselves. */
type Decoding = typeof Uint8Array & { fromBase64?(text: string): Uint8Array };

export function decodeBase64(text: string): Uint8Array {
  const decode = (Uint8Array as Decoding).fromBase64;
  if (decode) return decode.call(Uint8Array, text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/** The packs of a page by name; null where there is none of that name. */
export type Source = (name: string) => Uint8Array | null;

export function pageBlocks(page: Document): Source {
  return (name) => {
    const text = page.querySelector(`script[data-eaw="${name}"]`)?.textContent;
    return text ? decodeBase64(text) : null;
  };
}
