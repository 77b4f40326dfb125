// One histogram with a brush: drawn on a canvas, dragged by pointer or arrow keys.

import { take } from "../host/events";
import type { Scope } from "../host/scope";

export interface HistogramColors {
  bar: string;
  faint: string;
  brush: string;
}
export interface HistogramData {
  bins: number;
  base: Uint32Array | null;
  counts: Uint32Array;
  brush: [number | null, number | null] | null;
  colors: HistogramColors;
  label: string;
  valueText: string;
}

const HEIGHT_PX = 34;
const HANDLE_PX = 6;

export class HistogramView {
  #canvas = document.createElement("canvas");
  #data: HistogramData | null = null;
  #drag: { kind: "new" | "move" | "lo" | "hi"; from: number; lo: number; hi: number } | null = null;

  constructor(
    readonly host: HTMLElement,
    scope: Scope,
    readonly on: { brush(lo: number | null, hi: number | null, done: boolean): void },
  ) {
    const canvas = this.#canvas;
    canvas.className = "histogram";
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "slider");
    host.append(canvas);
    scope.add(() => canvas.remove());
    scope.listen<PointerEvent>(canvas, "pointerdown", (e) => this.#down(e));
    scope.listen<PointerEvent>(canvas, "pointermove", (e) => this.#move(e));
    scope.listen<PointerEvent>(canvas, "pointerup", (e) => this.#up(e));
    scope.listen(canvas, "pointercancel", () => (this.#drag = null));
    scope.listen(canvas, "dblclick", () => on.brush(null, null, true));
    scope.listen<KeyboardEvent>(canvas, "keydown", (e) => this.#key(e));
    const resizing = new ResizeObserver(() => this.#draw());
    resizing.observe(host);
    scope.add(() => resizing.disconnect());
  }

  set(data: HistogramData): void {
    this.#data = data;
    const canvas = this.#canvas;
    canvas.setAttribute("aria-label", data.label);
    canvas.setAttribute("aria-valuetext", data.valueText);
    canvas.setAttribute("aria-valuemin", "0");
    canvas.setAttribute("aria-valuemax", String(data.bins));
    canvas.setAttribute("aria-valuenow", String(data.brush?.[0] ?? 0));
    this.#draw();
  }

  #range(): [number, number] {
    const data = this.#data!;
    return [data.brush?.[0] ?? 0, data.brush?.[1] ?? data.bins];
  }

  #binAt(event: PointerEvent): number {
    const box = this.#canvas.getBoundingClientRect();
    return ((event.clientX - box.left) / Math.max(1, box.width)) * this.#data!.bins;
  }

  #emit(lo: number, hi: number, done: boolean): void {
    const { bins } = this.#data!;
    const from = Math.max(0, Math.min(Math.round(lo), bins - 1)); // an end set from Python may lie inside a bin
    const to = Math.min(bins, Math.max(Math.round(hi), from + 1));
    const whole = from <= 0 && to >= bins;
    this.on.brush(whole || from <= 0 ? null : from, whole || to >= bins ? null : to, done);
  }

  #down(event: PointerEvent): void {
    if (!this.#data || event.button !== 0) return;
    const at = this.#binAt(event);
    const [lo, hi] = this.#range();
    const slack = (HANDLE_PX / Math.max(1, this.#canvas.clientWidth)) * this.#data.bins;
    const brushed = this.#data.brush !== null;
    const kind = !brushed ? "new" : Math.abs(at - lo) < slack ? "lo" : Math.abs(at - hi) < slack ? "hi" : at > lo && at < hi ? "move" : "new";
    this.#drag = { kind, from: at, lo, hi };
    this.#canvas.setPointerCapture(event.pointerId);
    event.stopPropagation();
  }

  #move(event: PointerEvent): void {
    if (this.#drag && this.#data) this.#apply(event, false);
  }

  #up(event: PointerEvent): void {
    if (!this.#drag || !this.#data) return;
    const drag = this.#drag;
    const moved = Math.abs(this.#binAt(event) - drag.from) * (this.#canvas.clientWidth / this.#data.bins) > 3;
    if (!moved && drag.kind === "new") this.on.brush(null, null, true);
    else this.#apply(event, true);
    this.#drag = null;
  }

  #apply(event: PointerEvent, done: boolean): void {
    const { kind, from, lo, hi } = this.#drag!;
    const at = this.#binAt(event);
    if (kind === "new") this.#emit(Math.floor(Math.min(from, at)), Math.ceil(Math.max(from, at)), done);
    else if (kind === "lo") this.#emit(Math.min(Math.round(at), hi - 1), hi, done);
    else if (kind === "hi") this.#emit(lo, Math.max(Math.round(at), lo + 1), done);
    else {
      const { bins } = this.#data!;
      const shift = Math.max(-lo, Math.min(Math.round(at - from), bins - hi));
      this.#emit(lo + shift, hi + shift, done);
    }
  }

  #key(event: KeyboardEvent): void {
    if (!this.#data || event.ctrlKey || event.metaKey) return;
    const [lo, hi] = this.#range();
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (event.key === "Escape" && this.#data.brush) this.on.brush(null, null, true);
    else if (step && event.shiftKey) this.#emit(lo, Math.max(lo + 1, hi + step), true);
    else if (step) this.#emit(Math.min(lo + step, hi - 1), hi, true);
    else return;
    take(event);
  }

  #draw(): void {
    const data = this.#data;
    const context = this.#canvas.getContext("2d");
    if (!data || !context) return;
    const ratio = this.host.ownerDocument.defaultView?.devicePixelRatio ?? 1;
    const width = Math.min(this.host.clientWidth, 2000);
    this.#canvas.width = Math.max(1, Math.round(width * ratio));
    this.#canvas.height = HEIGHT_PX * ratio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, HEIGHT_PX);
    const bar = width / data.bins;
    const gap = bar > 4 ? 1 : 0;
    const [lo, hi] = this.#range();
    if (data.brush) {
      context.fillStyle = data.colors.brush;
      context.fillRect(lo * bar, 0, (hi - lo) * bar, HEIGHT_PX);
    }
    let most = 1;
    for (let i = 0; i < data.bins; i++) most = Math.max(most, data.base?.[i] ?? 0, data.counts[i]!);
    const top = HEIGHT_PX - 3;
    const rise = (count: number): number => (count === 0 ? 0 : Math.max(1.5, (count / most) * top));
    for (let i = 0; i < data.bins; i++) {
      const x = i * bar;
      const all = rise(data.base?.[i] ?? 0);
      context.fillStyle = data.colors.faint;
      context.fillRect(x, HEIGHT_PX - 1 - all, Math.max(0.5, bar - gap), all);
      const now = rise(data.counts[i]!);
      context.fillStyle = i >= lo && i < hi ? data.colors.bar : data.colors.faint;
      context.fillRect(x, HEIGHT_PX - 1 - now, Math.max(0.5, bar - gap), now);
    }
    context.fillStyle = data.colors.faint;
    context.fillRect(0, HEIGHT_PX - 1, width, 1);
    if (!data.brush) return;
    context.fillStyle = data.colors.bar;
    if (data.brush[0] !== null) context.fillRect(Math.max(0, lo * bar - 1), 0, 2, HEIGHT_PX);
    if (data.brush[1] !== null) context.fillRect(Math.min(width - 2, hi * bar - 1), 0, 2, HEIGHT_PX);
  }
}
