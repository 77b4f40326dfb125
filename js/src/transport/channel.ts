// What carries messages and traits: the notebook's model, or memory in tests and pages without a kernel.

import { asText, type Binary } from "./wire";

export type Json = Record<string, unknown>;

export interface Channel {
  send(content: Json, buffers?: ArrayBufferView[]): void;
  onMessage(listener: (content: Json, buffers: Binary[]) => void): () => void;
  get<T>(name: string): T;
  set(name: string, value: unknown): void;
  onTrait(name: string, listener: () => void): () => void;
  /** Call when the host says that the kernel restarted or died; hosts that cannot tell never do. */
  onGone(listener: () => void): () => void;
}

/** Jupyter's kernel connection, as far as it is used. */
interface Kernel {
  statusChanged?: {
    connect(slot: (sender: unknown, status: string) => void): void;
    disconnect(slot: (sender: unknown, status: string) => void): void;
  };
}
const GONE = new Set(["restarting", "autorestarting", "dead", "terminating"]);

/** The part of anywidget's model that is used. */
export interface AnyModel {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  widget_manager?: { kernel?: Kernel | null };
  on(event: string, callback: (...args: never[]) => void): void;
  off(event: string, callback: (...args: never[]) => void): void;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBufferView[]): void;
}

/**
 * A notebook's model. Bytes go up as base64 in the message itself: some hosts lose the bytes beside a message, and one
 * stuck in the way stops all after it (VS Code before 2024: vscode-jupyter pull request 14867, its Colab kernels:
 * colab-vscode issue 328, Positron before May 2025: positron pull request 7464). Text arrives everywhere.
 */
export class ModelChannel implements Channel {
  constructor(readonly model: AnyModel) {}

  send(content: Json, buffers: ArrayBufferView[] = []): void {
    this.model.send(buffers.length ? { ...content, b64: buffers.map(asText) } : content);
  }

  onMessage(listener: (content: Json, buffers: Binary[]) => void): () => void {
    const callback = (content: Json, buffers: Binary[]): void => listener(content, buffers ?? []);
    this.model.on("msg:custom", callback as never);
    return () => this.model.off("msg:custom", callback as never);
  }

  get<T>(name: string): T {
    return this.model.get(name) as T;
  }

  set(name: string, value: unknown): void {
    this.model.set(name, spelt(value));
    this.model.save_changes();
  }

  onTrait(name: string, listener: () => void): () => void {
    // Hosts pass different arguments: read the value from the model.
    const callback = (): void => listener();
    this.model.on(`change:${name}`, callback as never);
    return () => this.model.off(`change:${name}`, callback as never);
  }

  onGone(listener: () => void): () => void {
    const signal = this.model.widget_manager?.kernel?.statusChanged;
    const slot = (_: unknown, status: string): void => {
      if (GONE.has(status)) listener();
    };
    signal?.connect(slot);
    return () => signal?.disconnect(slot);
  }
}

/** Return a trait's value with the bytes in it as text. */
function spelt(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, ArrayBuffer.isView(part) ? asText(part) : part]));
}
