// Requests: what a user waits for in vain if these fail.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Channel, Json } from "../../src/transport/channel";
import { Rpc, RpcError, SLOW_MS } from "../../src/transport/rpc";

describe("requests", () => {
  let sent: Json[];
  let slow: boolean[];
  let rpc: Rpc;
  beforeEach(() => {
    vi.useFakeTimers();
    sent = [];
    slow = [];
    const channel = { send: (content: Json) => void sent.push(content) } as unknown as Channel;
    rpc = new Rpc(channel, (s) => void slow.push(s));
  });
  afterEach(() => vi.useRealTimers());

  it("an answer to another page is ignored", async () => {
    const answer = rpc.ask("hello");
    expect(rpc.receive({ re: "someone:1", ok: true }, [])).toBe(false);
    expect(rpc.receive({ re: sent[0]!["id"], ok: true, n: 3 }, [])).toBe(true);
    expect((await answer).head).toMatchObject({ n: 3 });
  });

  it("an error reply carries its message and its remedy", async () => {
    const answer = rpc.ask("bad");
    rpc.receive({ re: sent[0]!["id"], ok: false, error: { code: "X", message: "no", hint: "do" } }, []);
    await expect(answer).rejects.toMatchObject({ code: "X", message: "no", hint: "do" });
  });

  it("silence becomes an error, and is said to be slow before", async () => {
    const answer = rpc.ask("hello").catch((e: unknown) => e);
    vi.advanceTimersByTime(SLOW_MS);
    expect(slow).toEqual([true]);
    vi.advanceTimersByTime(60_000);
    expect(((await answer) as RpcError).code).toBe("timeout");
    expect(slow).toEqual([true, false]);
  });

  it("a request waits for a kernel that says nothing, since it runs a cell", async () => {
    const answer = rpc.ask("edit");
    vi.advanceTimersByTime(600_000);
    expect(slow).toEqual([true]);
    expect(rpc.receive({ re: sent[0]!["id"], ok: true, n: 1 }, [])).toBe(true);
    expect((await answer).head).toMatchObject({ n: 1 });
    expect(slow).toEqual([true, false]);
  });

  it("a request that a talking kernel leaves out becomes an error", async () => {
    const answer = rpc.ask("edit").catch((e: unknown) => e);
    const told = vi.fn();
    void answer.then(told);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(told).not.toHaveBeenCalled();
    rpc.receive({ push: "changed" }, []);
    await vi.advanceTimersByTimeAsync(25_000);
    expect(((await answer) as RpcError).code).toBe("timeout");
  });

  it("a reply in parts is put together", async () => {
    const answer = rpc.ask("columns.get");
    const re = sent[0]!["id"];
    rpc.receive({ re, ok: true, part: 0, of: 2, pieces: [{ b: 0, at: 0, len: 4 }] }, [Uint8Array.of(1, 2, 3)]);
    rpc.receive({ re, ok: true, part: 1, of: 2, pieces: [{ b: 0, at: 3, len: 4 }, { b: 1, at: 0, len: 1 }], head: { n: 2 } }, [Uint8Array.of(4), Uint8Array.of(9)]);
    const { head, buffers } = await answer;
    expect(head).toEqual({ n: 2 });
    expect(buffers.map((b) => [...b])).toEqual([[1, 2, 3, 4], [9]]);
  });

  it("more than a mebibyte is refused before it can kill the connection", async () => {
    const most = (3 / 4) * 1024 * 1024; // as text a third longer
    await expect(rpc.ask("x", {}, [new Uint8Array(most + 1)])).rejects.toMatchObject({ code: "too-large" });
    expect(sent).toEqual([]);
    void rpc.ask("x", {}, [new Uint8Array(most)]).catch(() => {});
    expect(sent.length).toBe(1);
    rpc.dispose();
  });

  it("a kernel that is gone says so at once", async () => {
    const dead = new Rpc({ send: () => { throw new Error("Cannot send"); } } as unknown as Channel, () => {});
    await expect(dead.ask("hello")).rejects.toMatchObject({ code: "gone" });
  });
});
