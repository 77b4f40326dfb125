// The map: draws points, and turns pointer gestures into selections, hovers and openings.

import { take } from "../host/events";
import { Scope } from "../host/scope";
import { robustBounds } from "./bounds";
import { Camera } from "./camera";
import { Canvas2dPoints, MOST_DRAWN } from "./canvas2d";
import { GlPoints } from "./gl/points";
import { GridIndex } from "./grid-index";
import { drawLabels, type MapLabel } from "./map-labels";
import { type MapPictures, MapThumbs, type ThumbStyle } from "./map-thumbs";
import { HIDDEN, PASSES, type PointRenderer, SELECTED } from "./renderer";

export type { MapLabel } from "./map-labels";
export interface ScatterColors extends ThumbStyle {
  muted: string;
  text: string;
}
export type SelectMode = "replace" | "add" | "subtract";
export type Tool = "lasso" | "box" | "pan";
export interface ScatterEvents {
  select(rows: Uint32Array, mode: SelectMode): void;
  clear(): void;
  hover(row: number | null, x: number, y: number): void;
  open(row: number): void;
  fallback(reason: string): void;
  /** By keys: how many rows are on the screen, and which is at the cross in the middle. */
  describe(inView: number, row: number | null): void;
}

const STEPS = 65534;
const PICK_RADIUS_PX = 8;
const CLICK_SLACK_PX = 4;
const PAN_POINTS = 120_000; // drawn while moving above twice as many; all at rest
const MOST_CANVAS_PX = 8192; // VS Code reports absurd sizes for detached cells (vscode issue 225808)
const WHEEL_SPEED = 0.0016;
const KEY_PAN_PX = 40;
const KEY_ZOOM = 1.4;
const CROSS_PICK_PX = 60;
const PLAN_MS = 120; // while one moves, pictures are chosen anew this often

export class ScatterMap {
  #canvas = document.createElement("canvas");
  #pictures = document.createElement("canvas");
  #overlay = document.createElement("canvas");
  #thumbs: MapThumbs | null = null;
  #planned = 0;
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
  #spaceUsed = false;
  /** Keys move the map: the cross in its middle is shown. */
  #keyed = false;
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
    this.#pictures.className = "map-pictures";
    this.#overlay.className = "map-overlay";
    this.#overlay.tabIndex = 0;
    this.#overlay.setAttribute("role", "application");
    this.#overlay.setAttribute("aria-keyshortcuts", "ArrowLeft ArrowRight ArrowUp ArrowDown + - 0 Space Enter V");
    host.append(this.#canvas, this.#pictures, this.#overlay);
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
      this.#pictures.remove();
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
    this.#thumbs?.clear();
    this.#planned = 0;
    const wasHome = this.#camera.isHome;
    this.#camera.home = robustBounds(x, y);
    if (wasHome) this.#camera.fit();
    this.redraw();
  }

  /** Show pictures where there is room for them; null shows points alone. */
  setPictures(pictures: MapPictures | null): void {
    this.#thumbs = pictures ? new MapThumbs(pictures) : null;
    this.#planned = 0;
    this.redraw();
  }

  /** A picture arrived. */
  pictured(): void {
    if (this.#thumbs?.count) this.#soon();
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
    this.#overlay.setAttribute("aria-label", `Map of ${nouns}: drag to lasso, double click opens the ${noun}. Arrow keys move it, plus and minus zoom, Space selects the ${noun} at the cross, V all on the screen, Enter opens it`);
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

  /** Fit what most points fill; once more, everything. */
  fit(): void {
    if (this.#camera.isHome) this.#camera.fitAll();
    else this.#camera.fit();
    this.redraw();
  }

  resize(): void {
    const width = Math.min(this.host.clientWidth, MOST_CANVAS_PX);
    const height = Math.min(this.host.clientHeight, MOST_CANVAS_PX);
    this.#ratio = Math.min(this.host.ownerDocument.defaultView?.devicePixelRatio ?? 1, 3);
    this.#camera.width = Math.max(1, width);
    this.#camera.height = Math.max(1, height);
    for (const canvas of [this.#canvas, this.#pictures, this.#overlay]) {
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
    this.#drawPictures();
    this.#drawOverlay();
  }

  /** The pictures alone, once a frame. */
  #soon(): void {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#drawPictures();
      this.#drawOverlay();
    });
  }

  #drawPictures(): void {
    const context = this.#pictures.getContext("2d");
    if (!context || !this.#colors) return;
    context.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    context.clearRect(0, 0, this.#camera.width, this.#camera.height);
    const thumbs = this.#thumbs;
    if (thumbs && this.#index) {
      const now = performance.now();
      if (!this.#moving || now - this.#planned > PLAN_MS) {
        this.#planned = now;
        thumbs.plan(this.#index, this.#camera, this.#accepts, this.#flags);
      }
      thumbs.draw(context, this.#camera, this.#colors, this.#codes, this.#flags);
    }
    this.host.dataset["pictures"] = String(thumbs?.count ?? 0);
  }

  #drawOverlay(): void {
    const context = this.#overlay.getContext("2d");
    const colors = this.#colors;
    if (!context || !colors) return;
    context.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    context.clearRect(0, 0, this.#camera.width, this.#camera.height);
    const shown = drawLabels(context, this.#labels, this.#camera, colors, this.#thumbs?.boxes(this.#camera));
    this.host.dataset["labels"] = String(shown);
    if (this.#keyed) this.#drawCross(context, colors);
    const index = this.#index;
    if (this.#highlight !== null && index && index.x[this.#highlight] !== undefined && index.x[this.#highlight] !== 65535) {
      const [x, y] = this.#camera.toScreen(index.x[this.#highlight]! / STEPS, index.y[this.#highlight]! / STEPS);
      const box = this.#thumbs?.box(this.#camera, this.#highlight);
      context.beginPath();
      if (box) context.rect(box[0] - 5, box[1] - 5, box[2] + 10, box[3] + 10);
      else context.arc(x, y, 7, 0, 2 * Math.PI);
      context.lineWidth = 2;
      context.strokeStyle = colors.accent;
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

  #drawCross(context: CanvasRenderingContext2D, colors: ScatterColors): void {
    const [x, y] = [this.#camera.width / 2, this.#camera.height / 2];
    for (const [width, color] of [
      [4, colors.map],
      [1.5, colors.text],
    ] as const) {
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
        context.moveTo(x + 5 * dx, y + 5 * dy);
        context.lineTo(x + 13 * dx, y + 13 * dy);
      }
      context.lineWidth = width;
      context.strokeStyle = color;
      context.stroke();
    }
  }

  #at(event: MouseEvent): [number, number] {
    const box = this.#overlay.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #pick(px: number, py: number, radius = PICK_RADIUS_PX): number | null {
    const shown = this.#thumbs?.hit(this.#camera, px, py) ?? null;
    if (shown !== null) return shown;
    const [ux, uy] = this.#camera.toUnit(px, py);
    const rx = radius / this.#camera.scaleX;
    const ry = radius / this.#camera.scaleY;
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
    scope.listen<KeyboardEvent>(overlay, "keydown", (event) => this.#key(event));
    scope.listen<KeyboardEvent>(overlay, "keyup", (event) => {
      if (event.key !== " ") return;
      if (this.#space && !this.#spaceUsed) this.#selectAtCross();
      this.#space = false;
    });
    scope.listen(overlay, "focus", () => {
      if (overlay.matches(":focus-visible")) this.#byKeys();
    });
    scope.listen(overlay, "blur", () => {
      this.#space = false;
      if (this.#keyed) this.#on.hover(null, 0, 0);
      this.#keyed = false;
      this.#drawOverlay();
    });
    const resizing = new ResizeObserver(() => this.resize());
    resizing.observe(this.host);
    const showing = new IntersectionObserver(() => this.redraw());
    showing.observe(this.host);
    scope.add(() => {
      resizing.disconnect();
      showing.disconnect();
    });
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { width, height } = this.#camera;
    const moves: Record<string, () => void> = {
      "+": () => this.#closer(),
      "=": () => this.#closer(),
      "-": () => this.#camera.zoomAt(1 / KEY_ZOOM, width / 2, height / 2),
      "0": () => this.fit(),
      ArrowLeft: () => this.#camera.pan(KEY_PAN_PX, 0),
      ArrowRight: () => this.#camera.pan(-KEY_PAN_PX, 0),
      ArrowUp: () => this.#camera.pan(0, KEY_PAN_PX),
      ArrowDown: () => this.#camera.pan(0, -KEY_PAN_PX),
    };
    const move = moves[event.key];
    if (event.key === " ") {
      if (!event.repeat) [this.#space, this.#spaceUsed] = [true, false];
    } else if (event.key === "Escape" && this.#drag) this.#abort();
    else if (event.key === "Enter") {
      const row = this.#atCross();
      if (row !== null) this.#on.open(row);
    } else if (event.key === "v" || event.key === "V") this.#on.select(this.#inView(), event.shiftKey ? "add" : "replace");
    else if (move) move();
    else return;
    take(event);
    if (move) {
      this.#byKeys();
      this.#moved();
    }
  }

  /** Zoom in by keys: into the middle, or where that is empty, to the point nearest to it. */
  #closer(): void {
    const camera = this.#camera;
    camera.zoomAt(KEY_ZOOM, camera.width / 2, camera.height / 2);
    if (this.#inView().length) return;
    const { scaleX, scaleY } = camera;
    const far = 2 * Math.max(scaleX, scaleY); // px: all of the map is nearer
    const row = this.#index?.nearest(camera.x, camera.y, far / scaleX, far / scaleY, this.#accepts) ?? null;
    if (row !== null) [camera.x, camera.y] = [this.#index!.x[row]! / STEPS, this.#index!.y[row]! / STEPS];
  }

  /** Keys are used: show the cross, and say what is there when the map rests. */
  #byKeys(): void {
    this.#keyed = true;
    this.#moved();
  }

  #inView(): Uint32Array {
    const [x0, y1] = this.#camera.toUnit(0, 0);
    const [x1, y0] = this.#camera.toUnit(this.#camera.width, this.#camera.height);
    const rows: number[] = [];
    this.#index?.within(x0, y0, x1, y1, (row) => {
      if (this.#accepts(row)) rows.push(row);
      return true;
    });
    return Uint32Array.from(rows).sort();
  }

  #atCross(): number | null {
    return this.#pick(this.#camera.width / 2, this.#camera.height / 2, CROSS_PICK_PX);
  }

  #selectAtCross(): void {
    const row = this.#atCross();
    if (row === null) return;
    const selected = ((this.#flags[row] ?? 0) & SELECTED) !== 0;
    this.#on.select(Uint32Array.of(row), selected ? "subtract" : "add");
  }

  #tell(): void {
    const row = this.#atCross();
    this.highlight(row);
    this.#on.hover(row, this.#camera.width / 2, this.#camera.height / 2);
    this.#on.describe(this.#inView().length, row);
  }

  #down(event: PointerEvent): void {
    if (event.button > 1) return;
    this.#keyed = false;
    this.#spaceUsed = true;
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
      if (this.#keyed) this.#tell();
    }, 160);
    this.redraw();
  }
}
