// The map: draws points, and turns pointer gestures into selections, hovers and openings.

import { take } from "../host/events";
import { Scope } from "../host/scope";
import { Camera } from "./camera";
import { Canvas2dPoints, MOST_DRAWN } from "./canvas2d";
import { GlPoints } from "./gl/points";
import { GridIndex } from "./grid-index";
import { HIDDEN, PASSES, type PointRenderer } from "./renderer";

export interface ScatterColors {
  map: string;
  accent: string;
  muted: string;
  text: string;
  palette: Uint8Array;
}
export type SelectMode = "replace" | "add" | "subtract";
export type Tool = "lasso" | "box" | "pan";
export interface MapLabel {
  x: number;
  y: number;
  text: string;
  code: number;
}
export interface ScatterEvents {
  select(rows: Uint32Array, mode: SelectMode): void;
  clear(): void;
  hover(row: number | null, x: number, y: number): void;
  open(row: number): void;
  fallback(reason: string): void;
}

const STEPS = 65534;
const PICK_RADIUS_PX = 8;
const CLICK_SLACK_PX = 4;
const PAN_POINTS = 120_000; // drawn while moving above twice as many; all at rest
const MOST_CANVAS_PX = 8192; // VS Code reports absurd sizes for detached cells (vscode issue 225808)
const WHEEL_SPEED = 0.0016;

export class ScatterMap {
  #canvas = document.createElement("canvas");
  #overlay = document.createElement("canvas");
  #camera = new Camera();
  #points: PointRenderer;
  #index: GridIndex | null = null;
  #flags: Uint8Array = new Uint8Array(0);
  #codes: Uint8Array | null = null;
  #n = 0;
  #colors: ScatterColors | null = null;
  #labels: MapLabel[] = [];
  #tool: Tool = "lasso";
  #path: number[] = [];
  #drag: { x: number; y: number; panning: boolean; moved: boolean; mode: SelectMode } | null = null;
  #highlight: number | null = null;
  #frame = 0;
  #moving = false;
  #space = false;
  #touches = new Map<number, [number, number]>();
  #settle = 0;
  #ratio = 1;
  #scope: Scope;
  #on: ScatterEvents;

  constructor(
    readonly host: HTMLElement,
    scope: Scope,
    on: ScatterEvents,
  ) {
    this.#scope = scope;
    this.#on = on;
    this.#canvas.className = "map-points";
    this.#overlay.className = "map-overlay";
    this.#overlay.tabIndex = 0;
    this.#overlay.setAttribute("role", "application");
    host.append(this.#canvas, this.#overlay);
    const gl = GlPoints.make(
      () => this.redraw(),
      () => this.#plain("stopped working"),
    );
    this.#points = gl ?? new Canvas2dPoints();
    if (!gl) this.#plain("is not available");
    scope.add(() => {
      cancelAnimationFrame(this.#frame);
      clearTimeout(this.#settle);
      this.#points.dispose();
      this.#canvas.remove();
      this.#overlay.remove();
    });
    this.#listen();
    this.resize();
  }

  /** Go on without WebGL2, and say so. */
  #plain(why: string): void {
    this.#points.dispose();
    this.#points = new Canvas2dPoints();
    if (this.#index) this.#points.setPoints(this.#index.x, this.#index.y);
    this.#points.setCodes(this.#codes);
    this.#points.setFlags(this.#flags);
    if (this.#colors) this.#points.setPalette(this.#colors.palette);
    this.redraw();
    this.#on.fallback(`WebGL2 ${why}: the map is drawn on a plain canvas, at most ${MOST_DRAWN.toLocaleString("en")} points of it.`);
  }

  get renderer(): "webgl2" | "canvas2d" {
    return this.#points.kind;
  }

  setPoints(x: Uint16Array, y: Uint16Array): void {
    this.#n = x.length;
    this.#index = new GridIndex(x, y);
    this.#points.setPoints(x, y);
    this.redraw();
  }

  setColors(codes: Uint8Array | null): void {
    this.#codes = codes;
    this.#points.setCodes(codes);
    this.redraw();
  }

  setTheme(colors: ScatterColors): void {
    this.#colors = colors;
    this.#points.setPalette(colors.palette);
    this.redraw();
  }

  setFlags(flags: Uint8Array): void {
    this.#flags = flags;
    this.#points.setFlags(flags);
    this.#moved(); // flags change many times a second while a histogram is brushed: all points at rest only
  }

  setTool(tool: Tool): void {
    this.#tool = tool;
    this.#overlay.style.cursor = tool === "pan" ? "grab" : "crosshair";
  }

  setNoun(noun: string, nouns: string): void {
    this.#overlay.setAttribute("aria-label", `Map of ${nouns}: drag to lasso, double click opens the ${noun}`);
  }

  setLabels(labels: MapLabel[]): void {
    this.#labels = labels;
    this.redraw();
  }

  highlight(row: number | null): void {
    if (row === this.#highlight) return;
    this.#highlight = row;
    this.#drawOverlay();
  }

  fit(): void {
    this.#camera.fit();
    this.redraw();
  }

  resize(): void {
    const width = Math.min(this.host.clientWidth, MOST_CANVAS_PX);
    const height = Math.min(this.host.clientHeight, MOST_CANVAS_PX);
    this.#ratio = Math.min(this.host.ownerDocument.defaultView?.devicePixelRatio ?? 1, 3);
    this.#camera.width = Math.max(1, width);
    this.#camera.height = Math.max(1, height);
    for (const canvas of [this.#canvas, this.#overlay]) {
      canvas.width = Math.max(1, Math.round(width * this.#ratio));
      canvas.height = Math.max(1, Math.round(height * this.#ratio));
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    this.#draw();
  }

  redraw(): void {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #accepts = (row: number): boolean => {
    const flags = this.#flags[row] ?? PASSES;
    return (flags & PASSES) !== 0 && (flags & HIDDEN) === 0;
  };

  #draw(): void {
    const target = this.#canvas.getContext("2d");
    if (!target || !this.#colors) return;
    const few = Math.sqrt(20_000 / Math.max(1, this.#n));
    const size = Math.max(1.6, Math.min(7, 4.2 * Math.min(1.6, few))) * Math.min(2.2, Math.max(1, this.#camera.zoom ** 0.35));
    const most = this.#moving && this.#n > 2 * PAN_POINTS ? PAN_POINTS : Infinity;
    this.#points.draw(target, this.#camera, this.#ratio, size, most);
    this.#drawOverlay();
  }

  #drawOverlay(): void {
    const context = this.#overlay.getContext("2d");
    const colors = this.#colors;
    if (!context || !colors) return;
    context.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    context.clearRect(0, 0, this.#camera.width, this.#camera.height);
    this.#drawLabels(context, colors);
    const index = this.#index;
    if (this.#highlight !== null && index && index.x[this.#highlight] !== undefined && index.x[this.#highlight] !== 65535) {
      const [x, y] = this.#camera.toScreen(index.x[this.#highlight]! / STEPS, index.y[this.#highlight]! / STEPS);
      context.lineWidth = 2;
      context.strokeStyle = colors.accent;
      context.beginPath();
      context.arc(x, y, 7, 0, 2 * Math.PI);
      context.stroke();
    }
    if (this.#path.length < 4) return;
    context.beginPath();
    context.moveTo(this.#path[0]!, this.#path[1]!);
    for (let i = 2; i < this.#path.length; i += 2) context.lineTo(this.#path[i]!, this.#path[i + 1]!);
    context.closePath();
    context.globalAlpha = 0.1;
    context.fillStyle = colors.accent;
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.strokeStyle = colors.accent;
    context.stroke();
  }

  #drawLabels(context: CanvasRenderingContext2D, colors: ScatterColors): void {
    context.font = "600 12px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    const taken: [number, number, number, number][] = [];
    for (const label of this.#labels) {
      const [x, y] = this.#camera.toScreen(label.x / STEPS, label.y / STEPS);
      const width = context.measureText(label.text).width + 8;
      const box: [number, number, number, number] = [x - width / 2, y - 9, x + width / 2, y + 9];
      if (taken.some((t) => t[0] < box[2] && t[2] > box[0] && t[1] < box[3] && t[3] > box[1])) continue;
      taken.push(box);
      context.lineWidth = 4;
      context.lineJoin = "round";
      context.strokeStyle = colors.map;
      context.strokeText(label.text, x, y);
      context.fillStyle = colors.text;
      context.fillText(label.text, x, y);
    }
  }

  #at(event: MouseEvent): [number, number] {
    const box = this.#overlay.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #pick(px: number, py: number): number | null {
    const [ux, uy] = this.#camera.toUnit(px, py);
    const rx = PICK_RADIUS_PX / this.#camera.scaleX;
    const ry = PICK_RADIUS_PX / this.#camera.scaleY;
    return this.#index?.nearest(ux, uy, rx, ry, this.#accepts) ?? null;
  }

  #listen(): void {
    const overlay = this.#overlay;
    const scope = this.#scope;
    scope.listen<PointerEvent>(overlay, "pointerdown", (event) => this.#down(event));
    scope.listen<PointerEvent>(overlay, "pointermove", (event) => this.#move(event));
    scope.listen<PointerEvent>(overlay, "pointerup", (event) => this.#up(event));
    scope.listen<PointerEvent>(overlay, "pointercancel", (event) => {
      this.#touches.delete(event.pointerId);
      this.#abort();
    });
    scope.listen<PointerEvent>(overlay, "pointerleave", () => this.#on.hover(null, 0, 0));
    scope.listen<MouseEvent>(overlay, "dblclick", (event) => {
      const row = this.#pick(...this.#at(event));
      if (row !== null) this.#on.open(row);
    });
    scope.listen<WheelEvent>(
      overlay,
      "wheel",
      (event) => {
        const root = overlay.getRootNode() as Document | ShadowRoot;
        if (root.activeElement !== overlay && !event.ctrlKey && !event.metaKey) return;
        take(event);
        const unit = event.deltaMode === 1 ? 16 : 1;
        this.#camera.zoomAt(Math.exp(-event.deltaY * unit * WHEEL_SPEED), ...this.#at(event));
        this.#moved();
      },
      { passive: false },
    );
    scope.listen<KeyboardEvent>(overlay, "keydown", (event) => {
      const step = 40;
      const moves: Record<string, () => void> = {
        "+": () => this.#camera.zoomAt(1.4, this.#camera.width / 2, this.#camera.height / 2),
        "=": () => this.#camera.zoomAt(1.4, this.#camera.width / 2, this.#camera.height / 2),
        "-": () => this.#camera.zoomAt(1 / 1.4, this.#camera.width / 2, this.#camera.height / 2),
        "0": () => this.#camera.fit(),
        ArrowLeft: () => this.#camera.pan(step, 0),
        ArrowRight: () => this.#camera.pan(-step, 0),
        ArrowUp: () => this.#camera.pan(0, step),
        ArrowDown: () => this.#camera.pan(0, -step),
      };
      const move = moves[event.key];
      if (event.key === " ") this.#space = true;
      else if (event.key === "Escape" && this.#drag) this.#abort();
      else if (move && !event.ctrlKey && !event.metaKey) move();
      else return;
      take(event);
      if (event.key !== " ") this.#moved();
    });
    scope.listen<KeyboardEvent>(overlay, "keyup", (event) => {
      if (event.key === " ") this.#space = false;
    });
    scope.listen(overlay, "blur", () => (this.#space = false));
    const resizing = new ResizeObserver(() => this.resize());
    resizing.observe(this.host);
    const showing = new IntersectionObserver(() => this.redraw());
    showing.observe(this.host);
    scope.add(() => {
      resizing.disconnect();
      showing.disconnect();
    });
  }

  #down(event: PointerEvent): void {
    if (event.button > 1) return;
    this.#overlay.focus({ preventScroll: true });
    const [x, y] = this.#at(event);
    const mode: SelectMode = event.altKey ? "subtract" : event.shiftKey || event.ctrlKey || event.metaKey ? "add" : "replace";
    this.#overlay.setPointerCapture(event.pointerId);
    event.preventDefault();
    if (event.pointerType === "touch") this.#touches.set(event.pointerId, [x, y]);
    if (this.#touches.size > 1) this.#abort(); // a second finger turns a lasso into a pinch
    else this.#drag = { x, y, panning: this.#tool === "pan" || event.button === 1 || this.#space, moved: false, mode };
  }

  #move(event: PointerEvent): void {
    const [x, y] = this.#at(event);
    if (this.#touches.size > 1) {
      this.#pinch(event.pointerId, x, y);
      return;
    }
    const drag = this.#drag;
    if (!drag) {
      const row = this.#pick(x, y);
      this.highlight(row);
      this.#on.hover(row, x, y);
      return;
    }
    if (!drag.moved && Math.hypot(x - drag.x, y - drag.y) < CLICK_SLACK_PX) return;
    if (!drag.moved) {
      drag.moved = true;
      this.#on.hover(null, 0, 0);
      this.#path = drag.panning ? [] : [drag.x, drag.y];
    }
    if (drag.panning) {
      this.#camera.pan(x - drag.x, y - drag.y);
      drag.x = x;
      drag.y = y;
      this.#moved();
    } else if (this.#tool === "box") {
      const [x0, y0] = [drag.x, drag.y];
      this.#path = [x0, y0, x, y0, x, y, x0, y];
      this.#drawOverlay();
    } else {
      this.#path.push(x, y);
      this.#drawOverlay();
    }
  }

  #pinch(id: number, x: number, y: number): void {
    const before = this.#touches.get(id);
    const other = [...this.#touches].find(([key]) => key !== id)?.[1];
    if (!before || !other) return;
    this.#touches.set(id, [x, y]);
    const spread = Math.hypot(x - other[0], y - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1]));
    this.#camera.pan((x - before[0]) / 2, (y - before[1]) / 2);
    this.#camera.zoomAt(spread, (x + other[0]) / 2, (y + other[1]) / 2);
    this.#moved();
  }

  #up(event: PointerEvent): void {
    this.#touches.delete(event.pointerId);
    const drag = this.#drag;
    this.#drag = null;
    if (!drag) return;
    if (!drag.moved) {
      const row = this.#pick(...this.#at(event));
      if (row !== null) this.#on.select(Uint32Array.of(row), drag.mode);
      else if (drag.mode === "replace") this.#on.clear();
      return;
    }
    if (drag.panning) return;
    const polygon: number[] = [];
    for (let i = 0; i < this.#path.length; i += 2) polygon.push(...this.#camera.toUnit(this.#path[i]!, this.#path[i + 1]!));
    this.#path = [];
    this.#drawOverlay();
    if (polygon.length >= 6 && this.#index) this.#on.select(this.#index.inside(polygon, this.#accepts), drag.mode);
  }

  #abort(): void {
    this.#drag = null;
    this.#path = [];
    this.#drawOverlay();
  }

  #moved(): void {
    this.#moving = true;
    clearTimeout(this.#settle);
    this.#settle = window.setTimeout(() => {
      this.#moving = false;
      this.redraw();
    }, 160);
    this.redraw();
  }
}
