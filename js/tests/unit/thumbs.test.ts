import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { MOST_IN_FLIGHT, MOST_PER_REQUEST, Thumbs } from "../../src/state/thumbs";
import type { Rpc } from "../../src/transport/rpc";

interface Asked { rows: number[]; answer(bytesEach?: number): void; refuse(): void }
let made: string[];
let revoked: string[];
beforeEach(() => {
  [made, revoked] = [[], []];
  vi.stubGlobal("URL", { createObjectURL: () => (made.push(`blob:${made.length}`), made[made.length - 1]!), revokeObjectURL: (u: string) => void revoked.push(u) });
});
afterEach(() => vi.unstubAllGlobals());

function batcher(): { thumbs: Thumbs; asked: Asked[] } {
  const asked: Asked[] = [];
  const ask = (_: string, __: unknown, buffers: Uint32Array[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const rows = [...buffers[0]!];
      asked.push({
        rows,
        answer: (each = 2) => {
          const offsets = Uint32Array.from({ length: rows.length + 1 }, (_, i) => i * each);
          resolve({ head: { mime: "image/jpeg" }, buffers: [new Uint8Array(offsets.buffer), new Uint8Array(rows.length * each)] });
        },
        refuse: () => reject(new Error("no")),
      });
    });
  return { thumbs: new Thumbs({ ask } as unknown as Rpc), asked };
}
const settle = (): Promise<void> => new Promise((done) => setTimeout(done));
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

test("at most 64 a request and two requests at a time", async () => {
  const { thumbs, asked } = batcher();
  thumbs.need(range(0, 300));
  await settle();
  expect(asked.map((a) => a.rows.length)).toEqual(Array(MOST_IN_FLIGHT).fill(MOST_PER_REQUEST));
  asked[0]!.answer();
  await settle();
  expect(asked).toHaveLength(3);
});

test("what was scrolled to last comes before what was passed", async () => {
  const { thumbs, asked } = batcher();
  thumbs.need(range(0, 256));
  await settle();
  thumbs.need(range(1000, 1010));
  await settle();
  asked[0]!.answer();
  await settle();
  expect(asked[2]!.rows.slice(0, 10)).toEqual(range(1000, 1010));
});

test("no picture is asked for twice; a refused one may be asked for again", async () => {
  const { thumbs, asked } = batcher();
  thumbs.need([1, 2]);
  await settle();
  thumbs.need([1, 2]);
  await settle();
  expect(asked).toHaveLength(1);
  asked[0]!.refuse();
  await settle();
  thumbs.need([1]);
  await settle();
  expect(asked[1]!.rows).toEqual([1]);
});

test("pictures of before the images changed are dropped, and URLs freed", async () => {
  const { thumbs, asked } = batcher();
  thumbs.need([1]);
  await settle();
  thumbs.clear();
  asked[0]!.answer();
  await settle();
  expect(thumbs.url(1)).toBeUndefined();
  thumbs.need([2]);
  await settle();
  asked[1]!.answer();
  await settle();
  expect(thumbs.url(2)).toBeDefined();
  thumbs.dispose();
  expect(revoked).toEqual(made);
});

test("memory is bounded: the oldest pictures go first", async () => {
  const { thumbs, asked } = batcher();
  const big = 2 * 1024 * 1024;
  thumbs.need(range(0, 20));
  await settle();
  asked[0]!.answer(big);
  await settle();
  thumbs.url(0); // used just now: stays
  thumbs.need(range(20, 40));
  await settle();
  asked[1]!.answer(big);
  await settle();
  expect(revoked).toHaveLength(8);
  expect(thumbs.url(0)).toBeDefined();
  expect(thumbs.url(1)).toBeUndefined();
});

test("a row without a picture is known to have none", async () => {
  const { thumbs, asked } = batcher();
  thumbs.need([5]);
  await settle();
  asked[0]!.answer(0);
  await settle();
  expect(thumbs.url(5)).toBe("");
});
