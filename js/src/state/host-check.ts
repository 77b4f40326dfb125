// What this host carries between page and kernel, tried out: the page's half of `ea.doctor()`.

import { signal } from "@preact/signals";
import { hostName } from "../host/name";
import type { Channel, Json } from "../transport/channel";
import { Rpc } from "../transport/rpc";
import type { Binary } from "../transport/wire";

/** One line of the verdict, as Python words it. */
export interface Finding {
  check: string;
  found: string;
  ok: boolean;
  remedy: string;
}
export interface Verdict {
  /** Not "ok": that a reply has of its own. */
  well: boolean;
  text: string;
  rows: Finding[];
}
/** What was measured; Python judges it. Times in milliseconds. */
interface Facts extends Json {
  host: string;
  dark: boolean;
  round_trip_ms: number | null;
  up: { bytes: number; ms: number }[];
  up_failed: string;
  down: { bytes: number; ms: number }[];
  down_failed: string;
  bytes_as: string[];
  traits_ms: number | null;
  unasked: boolean;
  drawing: string;
}

const ROUND_TRIPS = 5;
/** The last becomes 1 MiB of text on its way up: the most that a request may have. */
const UP_BYTES = [65_536, 786_432];
/** The last comes in two messages of at most 4 MiB. */
const DOWN_BYTES = [1_048_576, 5_242_880];
const ECHO_MS = 10_000;
/** The last ones for a kernel that runs a long cell: what is sent meanwhile is answered when it ends. */
const ASK_AGAIN_MS = [0, 400, 1000, 15_000, 30_000];

export class HostCheck {
  readonly doing = signal("asking the kernel");
  readonly verdict = signal<Verdict | null>(null);
  readonly silent = signal(false);
  #rpc: Rpc;
  #unasked = new Set<() => void>();
  #kinds = new Set<string>();
  #off: () => void;
  #disposed = false;

  constructor(
    readonly channel: Channel,
    readonly patience = ECHO_MS,
  ) {
    this.#rpc = new Rpc(channel, (slow) => void (this.silent.value = slow));
    this.#off = channel.onMessage((content, buffers) => this.#take(content, buffers));
  }

  /** Try everything once, in the order of what the explorer needs most. */
  async run(doc: Document, dark: boolean): Promise<void> {
    const facts: Facts = {
      host: hostName(doc), dark, round_trip_ms: null, up: [], up_failed: "", down: [], down_failed: "", bytes_as: [],
      traits_ms: null, unasked: false, drawing: drawing(doc),
    };
    try {
      facts.round_trip_ms = await this.#roundTrip();
      this.doing.value = "sending bytes to the kernel";
      facts.up_failed = await each(UP_BYTES, async (n) => void facts.up.push({ bytes: n, ms: await this.#up(n) }));
      this.doing.value = "fetching bytes from the kernel";
      facts.down_failed = await each(DOWN_BYTES, async (n) => void facts.down.push({ bytes: n, ms: await this.#down(n) }));
      facts.bytes_as = [...this.#kinds];
      this.doing.value = "changing what both sides keep";
      facts.traits_ms = await this.#traits();
      facts.unasked = await this.#wait((done) => this.#unasked.add(done), () => void this.#rpc.ask("check.unasked").catch(() => {}), this.patience / 5);
      this.doing.value = "waiting for the verdict";
      const { head } = await this.#rpc.ask<Verdict & Json>("check.done", { facts });
      if (!this.#disposed) this.verdict.value = head;
    } catch (error) {
      if (!this.#disposed) this.verdict.value = failed(error);
    }
  }

  dispose(): void {
    this.#disposed = true;
    this.#off();
    this.#rpc.dispose();
  }

  #take(content: Json, buffers: Binary[]): void {
    for (const one of buffers) this.#kinds.add(one instanceof DataView ? "DataView" : one instanceof Uint8Array ? "Uint8Array" : "ArrayBuffer");
    if (!this.#rpc.receive(content, buffers) && content["check"] === "unasked") for (const done of [...this.#unasked]) done();
  }

  /** The middle of a few short messages and their answers. The first may wait until the running cell has ended. */
  async #roundTrip(): Promise<number> {
    await this.#answered();
    const times: number[] = [];
    for (let i = 0; i < ROUND_TRIPS; i++) times.push(await timed(() => this.#rpc.ask("check.echo")));
    return times.sort((a, b) => a - b)[ROUND_TRIPS >> 1]!;
  }

  /**
   * Ask several times and take the first answer. JupyterLab sends the first message of a widget to the thread that
   * runs the cell, and all later ones to another, which is free to answer.
   */
  async #answered(): Promise<void> {
    let answered = false;
    const asks = ASK_AGAIN_MS.map(async (ms) => {
      if (ms) await new Promise((resolve) => setTimeout(resolve, ms));
      if (answered || this.#disposed) return;
      await this.#rpc.ask("check.echo");
      answered = true;
    });
    try {
      await Promise.any(asks);
    } catch (error) {
      throw error instanceof AggregateError ? error.errors[0] : error;
    }
  }

  async #up(n: number): Promise<number> {
    const sent = pattern(n);
    return timed(async () => {
      const { buffers } = await this.#rpc.ask("check.echo", {}, [sent]);
      for (const came of buffers) if (!same(came, sent)) throw new Error(`${n} bytes came back changed`);
      if (buffers.length !== 2) throw new Error(`${buffers.length} of 2 buffers came back`);
    });
  }

  async #down(n: number): Promise<number> {
    return timed(async () => {
      const { buffers } = await this.#rpc.ask("check.down", { n });
      if (!buffers[0] || !same(buffers[0], pattern(n))) throw new Error(`${n} bytes did not come as they were sent`);
    });
  }

  /** A trait set here and seen there, and one set there and seen here. */
  async #traits(): Promise<number | null> {
    const start = performance.now();
    const mark = Math.floor(start) + 1;
    const seen = await this.#wait(
      (done) =>
        this.channel.onTrait("_kernel", () => {
          if (this.channel.get<{ seen?: number }>("_kernel")?.seen === mark) done();
        }),
      () => this.channel.set("_page", { seen: mark }),
      this.patience,
    );
    return seen ? performance.now() - start : null;
  }

  /** Begin something and tell whether it happened in time. */
  async #wait(listen: (done: () => void) => unknown, begin: () => void, ms: number): Promise<boolean> {
    let off: unknown;
    const happened = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      off = listen(() => {
        clearTimeout(timer);
        resolve(true);
      });
      begin();
    });
    if (typeof off === "function") off();
    this.#unasked.clear();
    return happened;
  }
}

/** Do something for each size until one fails; return why. */
async function each(sizes: number[], work: (n: number) => Promise<void>): Promise<string> {
  for (const n of sizes) {
    try {
      await work(n);
    } catch (error) {
      return `${n} bytes: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  return "";
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Bytes that neither repeat in step with a part's length nor are text. */
export function pattern(n: number): Uint8Array {
  const out = new Uint8Array(n);
  for (let i = 0; i < n; i++) out[i] = (i * 31 + (i >> 8) * 7) & 255;
  return out;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

function drawing(doc: Document): string {
  try {
    const gl = doc.createElement("canvas").getContext("webgl2");
    const said = gl ? "WebGL2" : "2-D canvas";
    gl?.getExtension("WEBGL_lose_context")?.loseContext();
    return said;
  } catch {
    return "2-D canvas";
  }
}

function failed(error: unknown): Verdict {
  const found = error instanceof Error ? error.message : String(error);
  const remedy = "If a cell runs, let it end and run this one again; if the kernel was restarted, run all cells again.";
  return { well: false, text: "Messages do not come through.", rows: [{ check: "messages", found, ok: false, remedy }] };
}
