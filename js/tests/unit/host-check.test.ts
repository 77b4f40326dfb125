// The page's half of `ea.doctor()`: a user whose host loses something is told so, and is not left with a spinner.
import { afterEach, describe, expect, it, vi } from "vitest";
import { hostName } from "../../src/host/name";
import { HostCheck, pattern } from "../../src/state/host-check";
import { type Answer, MemoryChannel } from "../../src/transport/memory";

type Facts = Record<string, unknown> & { up: { bytes: number }[]; down: { bytes: number }[] };

/** A kernel that does all that is asked, unless told otherwise. */
function kernel(spoil: { bytes?: boolean; traits?: boolean; unasked?: boolean } = {}): { channel: MemoryChannel; facts: () => Facts } {
  let facts: Facts | null = null;
  const channel: MemoryChannel = new MemoryChannel({ _session: { id: "a", kind: "check" }, _page: {}, _kernel: {} }, (content, buffers): Answer => {
    if (content["op"] === "check.echo") {
      const back = buffers.flatMap((b) => [b, b.slice()]);
      if (spoil.bytes && back[1]) back[1][7]! ^= 1;
      return { head: {}, buffers: back };
    }
    if (content["op"] === "check.down") return { head: {}, buffers: [pattern(content["n"] as number)] };
    if (content["op"] === "check.unasked" && !spoil.unasked) setTimeout(() => channel.deliver({ v: 1, check: "unasked" }), 5);
    if (content["op"] === "check.done") facts = content["facts"] as Facts;
    return { head: { well: !spoil.bytes, text: "Judged.", rows: [] } };
  });
  channel.onTrait("_page", () => {
    if (!spoil.traits) channel.set("_kernel", channel.get("_page"));
  });
  return { channel, facts: () => facts! };
}

describe("a check of the host", () => {
  afterEach(() => vi.useRealTimers());

  it("finds that a whole host carries 1 MiB of text up, 5 MiB of bytes down and changes both ways", async () => {
    const { channel, facts } = kernel();
    const check = new HostCheck(channel, 500);
    await check.run(document, true);
    expect(check.verdict.value).toMatchObject({ well: true, text: "Judged." });
    expect(facts()).toMatchObject({ dark: true, up_failed: "", down_failed: "", bytes_as: ["DataView"], unasked: true, drawing: "2-D canvas" });
    expect((facts().up.at(-1)!.bytes * 4) / 3).toBe(2 ** 20);
    expect(facts().down.at(-1)!.bytes).toBe(5 * 2 ** 20);
    expect(facts()["traits_ms"]).toBeGreaterThan(0);
    check.dispose();
  });

  it("notices one changed bit, and goes on with the rest", async () => {
    const { channel, facts } = kernel({ bytes: true });
    const check = new HostCheck(channel, 500);
    await check.run(document, false);
    expect(facts()["up_failed"]).toContain("came back changed");
    expect(facts().up).toEqual([]);
    expect(facts().down.length).toBe(2);
    expect(check.verdict.value!.well).toBe(false);
    check.dispose();
  });

  it("says so when traits or unasked messages do not come", async () => {
    const { channel, facts } = kernel({ traits: true, unasked: true });
    const check = new HostCheck(channel, 20);
    await check.run(document, false);
    expect(facts()).toMatchObject({ traits_ms: null, unasked: false });
    check.dispose();
  });

  it("takes the first answer there is: the first message may wait for a running cell", async () => {
    let asked = 0;
    const channel: MemoryChannel = new MemoryChannel({}, (content, buffers) =>
      content["op"] === "check.echo" && ++asked === 1 ? null : { head: { well: true, text: "", rows: [] }, buffers: buffers.flatMap((b) => [b, b]) },
    );
    const check = new HostCheck(channel, 5);
    await check.run(document, false);
    expect(channel.sent.filter((m) => m["op"] === "check.echo").length).toBeGreaterThan(2);
    expect(channel.sent.at(-1)!["op"]).toBe("check.done");
    check.dispose();
  });

  it("ends with what to do when nothing ever answers", async () => {
    vi.useFakeTimers();
    const check = new HostCheck(new MemoryChannel({}));
    const ran = check.run(document, false);
    await vi.advanceTimersByTimeAsync(60_000);
    await ran;
    expect(check.verdict.value).toMatchObject({ well: false, text: "Messages do not come through." });
    expect(check.verdict.value!.rows[0]!.remedy).toContain("run all cells again");
    check.dispose();
  });
});

describe("the name of a host", () => {
  const page = (html: string): Document => new DOMParser().parseFromString(`<html><body>${html}</body></html>`, "text/html");
  it("is what the host writes into its page", () => {
    const config = (text: string): Document => page(`<script id="jupyter-config-data" type="application/json">${text}</script>`);
    expect(hostName(config('{"appName": "JupyterLab", "appVersion": "4.6.6"}'))).toBe("JupyterLab 4.6.6");
    expect(hostName(config('{"appName": "Jupyter Notebook"}'))).toBe("Jupyter Notebook");
    expect(hostName(config("{half"))).toBe("");
    expect(hostName(page('<marimo-version data-version="0.25.2" hidden></marimo-version>'))).toBe("marimo 0.25.2");
    expect(hostName(page(""))).toBe("");
    const code = page("");
    code.body.dataset["vscodeThemeKind"] = "vscode-dark";
    expect(hostName(code)).toBe("VS Code");
  });
});
