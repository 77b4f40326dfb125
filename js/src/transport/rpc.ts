// Requests with an answer, an error or a time-out, over a channel that broadcasts to every page.

import type { Channel, Json } from "./channel";
import { asBytes, type Binary } from "./wire";

export interface Reply<T> {
  head: T;
  buffers: Uint8Array[];
}
interface Pending {
  resolve(reply: Reply<never>): void;
  reject(error: RpcError): void;
  timer?: ReturnType<typeof setTimeout>;
  slow: ReturnType<typeof setTimeout>;
  late: boolean;
  parts: Uint8Array[];
}

export const SLOW_MS = 1500;
const TIMEOUT_MS = 20_000;
const LONG_TIMEOUT_MS = 90_000;
const LONG = new Set(["thumbs.get", "image.get", "embedding.get", "columns.get", "neighbors.get", "order.get", "review.thumbs", "check.down"]);
/** They ask whether a kernel is there at all: silence is an answer to them. */
const PROBES = /^(hello$|sync$|check\.)/;
/** Of text, which bytes become on their way: a message above 10 MB would end the connection without a word. */
const MOST_LETTERS = 1024 * 1024;

export class RpcError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint = "",
  ) {
    super(message);
  }
}

export class Rpc {
  #pending = new Map<string, Pending>();
  #next = 1;
  #slow = 0;
  /** How many messages came, whatever they said. */
  #heard = 0;
  readonly client = crypto.randomUUID?.().slice(0, 8) ?? Math.random().toString(36).slice(2, 10);

  constructor(
    readonly channel: Channel,
    readonly busy: (slow: boolean) => void,
  ) {}

  /**
   * Send a request; rejects with an RpcError.
   *
   * A kernel that runs a cell answers after it, and in turn: while it says nothing at all, a request waits. One that
   * answers others but not this is late, which is an error.
   */
  ask<T>(op: string, content: Json = {}, buffers: ArrayBufferView[] = []): Promise<Reply<T>> {
    const size = buffers.reduce((sum, b) => sum + 4 * Math.ceil(b.byteLength / 3), 0);
    if (size > MOST_LETTERS) return Promise.reject(new RpcError("too-large", "The request is larger than 1 MiB.", "Select fewer rows at a time."));
    const id = `${this.client}:${this.#next++}`;
    return new Promise<Reply<T>>((resolve, reject) => {
      const pending: Pending = {
        resolve: resolve as Pending["resolve"],
        reject,
        slow: setTimeout(() => {
          pending.late = true;
          this.#setSlow(1);
        }, SLOW_MS),
        late: false,
        parts: [],
      };
      this.#pending.set(id, pending);
      const arm = (): void => {
        const heard = this.#heard;
        pending.timer = setTimeout(
          () => {
            if (heard === this.#heard && !PROBES.test(op)) return arm();
            this.#finish(id);
            reject(new RpcError("timeout", "The kernel did not answer.", "It may be busy or gone; try again."));
          },
          LONG.has(op) ? LONG_TIMEOUT_MS : TIMEOUT_MS,
        );
      };
      arm();
      try {
        this.channel.send({ v: 1, id, op, ...content }, buffers);
      } catch {
        this.#finish(id);
        reject(new RpcError("gone", "The kernel is gone.", "Re-run this cell."));
      }
    });
  }

  /** Take one incoming message; false when it is not an answer to one of ours. */
  receive(content: Json, buffers: Binary[]): boolean {
    this.#heard++;
    const id = content["re"];
    if (typeof id !== "string") return false;
    const pending = this.#pending.get(id);
    if (!pending) return false;
    if (content["ok"] === false) {
      const error = content["error"] as { code: string; message: string; hint?: string };
      this.#finish(id);
      pending.reject(new RpcError(error.code, error.message, error.hint ?? ""));
      return true;
    }
    const data = buffers.map(asBytes);
    if (typeof content["part"] !== "number") {
      this.#finish(id);
      pending.resolve({ head: content as never, buffers: data });
      return true;
    }
    const pieces = content["pieces"] as { b: number; at: number; len: number }[];
    pieces.forEach((piece, i) => {
      const whole = (pending.parts[piece.b] ??= new Uint8Array(piece.len));
      whole.set(data[i]!, piece.at);
    });
    if (content["part"] === (content["of"] as number) - 1) {
      this.#finish(id);
      pending.resolve({ head: content["head"] as never, buffers: pending.parts });
    }
    return true;
  }

  dispose(): void {
    for (const id of [...this.#pending.keys()]) this.#finish(id);
  }

  #finish(id: string): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    clearTimeout(pending.timer);
    clearTimeout(pending.slow);
    this.#pending.delete(id);
    if (pending.late) this.#setSlow(-1);
  }

  #setSlow(change: number): void {
    this.#slow += change;
    this.busy(this.#slow > 0);
  }
}
