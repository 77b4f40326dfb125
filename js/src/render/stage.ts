// One image with its objects, large: zoom and pan, all shapes on one canvas, names under the pointer.

import { take } from "../host/events";
import type { Scope } from "../host/scope";
import { forEachPiece, hit, PREDICTED, type Shape, trace } from "./shapes";

export interface StageStyle {
  line: number;
  fill: number;
  /** Classes that are not drawn. */
  off: ReadonlySet<string>;
  colors: ReadonlyMap<string, string>;
}
interface Group {
  color: string;
  /** Predictions are drawn broken. */
  dashed: boolean;
  faint: boolean;
  lines: Path2D[];
  fills: { path: Path2D; share: number }[];
  masks: { canvas: HTMLCanvasElement; box: Shape["box"] }[];
  dots: Shape[];
}

const MARGIN_PX = 8;
const ZOOM_STEP = 1.25;
const MOST_ZOOM = 40;
const MOST_SCALE = 24; // screen pixels an image pixel, for small objects of large images
const CONTEXT = 2.4; // of an object's size, how much is shown when the view starts on it
const SLACK_PX = 5;
const FEW_NAMES = 40;
/** Above this many, hairlines alone are drawn while the view moves: without a GPU a wide line takes ten times as long. */
const MANY = 150;
const SETTLE_MS = 140;
const LONG_NAME = 24;
const DIMMED = 0.7; // other objects beside the one that is looked at
const FAINT = 0.55;
const BOX_FILL = 0.4; // of the opacity: boxes hold more background than outlines
const MOST_MASK_PX = 4_000_000;
const PIXELATED = 3;
const DASH_PX = 6;
const HALO = "rgba(0,0,0,0.6)";
const PLATE = "rgba(12,14,18,0.86)";
const FONT = "600 11px system-ui, sans-serif";
const WHOLE = { zoom: 1, x: 0, y: 0 };

export class Stage {
  readonly canvas = document.createElement("canvas");
  #image = document.createElement("img");
  #size: [number, number] = [1, 1];
  #room: [number, number] = [1, 1];
  #view = WHOLE; // zoom relative to the fitting one; the offset of the middles
  #untouched = true;
  #shapes: readonly Shape[] = [];
  #shown: Shape[] = [];
  #groups: Group[] = [];
  #focus: readonly Shape[] = [];
  #looked: Shape[] = []; // of the focus, those whose class is drawn
  #whole = false;
  #hovered: Shape | null = null;
  #style: StageStyle = { line: 2, fill: 0.2, off: new Set(), colors: new Map() };
  #drag: [number, number] | null = null;
  #frame = 0;
  #moving = false;
  #settle: ReturnType<typeof setTimeout> | undefined;
  #dirty = true; // paths have to be made anew

  constructor(
    readonly host: HTMLElement,
    scope: Scope,
  ) {
    this.#image.alt = "";
    this.#image.draggable = false;
    host.append(this.#image, this.canvas);
    const resizing = new ResizeObserver(() => this.#measure());
    resizing.observe(host);
    scope.add(() => {
      resizing.disconnect();
      cancelAnimationFrame(this.#frame);
      clearTimeout(this.#settle);
    });
    scope.listen<WheelEvent>(
      host,
      "wheel",
      (event) => {
        take(event);
        const [x, y] = this.#at(event);
        this.#zoom(Math.exp(-event.deltaY * 0.0015), x - this.#room[0] / 2, y - this.#room[1] / 2);
      },
      { passive: false },
    );
    scope.listen<PointerEvent>(host, "pointerdown", (event) => {
      this.#drag = [event.clientX, event.clientY];
      host.setPointerCapture(event.pointerId);
    });
    scope.listen<PointerEvent>(host, "pointermove", (event) => this.#move(event));
    scope.listen(host, "pointerup", () => (this.#drag = null));
    scope.listen(host, "pointercancel", () => (this.#drag = null));
    scope.listen(host, "pointerleave", () => this.#hover(null));
    scope.listen(host, "dblclick", () => (this.#view.zoom > 1 ? this.#set(WHOLE) : this.#zoom(3)));
    this.#measure();
  }

  /** Show another picture, or none while it is on its way. The view starts anew where `anew` says so. */
  setImage(url: string | null): void {
    this.#image.hidden = !url;
    if (url) this.#image.src = url;
    else {
      this.#untouched = true;
      this.setShapes([], null);
    }
    this.redraw();
  }

  /** Show a picture that was decoded before, at once; or none while it is on its way. Where one looks stays. */
  setPicture(image: HTMLImageElement | null): void {
    if (image && image !== this.#image) {
      image.alt = "";
      image.draggable = false;
      this.#image.replaceWith(image);
      this.#image = image;
    }
    this.#image.hidden = !image;
    this.redraw();
  }

  /** Start with the whole image, though there is an object to look at. */
  setWhole(whole: boolean): void {
    this.#whole = whole;
    this.#untouched = true;
    this.#start();
  }

  /** Width and height of the whole image, in its own pixels. */
  setSize(w: number, h: number): void {
    this.#size = [w, h];
    this.#image.style.width = `${w}px`;
    this.#image.style.height = `${h}px`;
    this.#start();
  }

  /** `focus` is the object to look at, by its id, or several shapes of these. */
  setShapes(shapes: readonly Shape[], focus: string | null | readonly Shape[]): void {
    this.#shapes = shapes;
    this.#focus = focus instanceof Array ? focus : shapes.filter((s) => s.object.id === focus).slice(0, 1);
    this.#hovered = null;
    this.#dirty = true;
    this.#start();
  }

  setStyle(style: StageStyle): void {
    this.#dirty ||= style.off !== this.#style.off || style.colors !== this.#style.colors;
    this.#style = style;
    this.redraw();
  }

  /** Plus and minus zoom, 0 shows the whole image; false for any other key. */
  key(key: string): boolean {
    if (key === "+" || key === "=") this.#zoom(ZOOM_STEP);
    else if (key === "-") this.#zoom(1 / ZOOM_STEP);
    else if (key === "0") this.#set(WHOLE);
    else return false;
    return true;
  }

  redraw(): void {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.draw();
    });
  }

  get #fit(): number {
    return Math.max(1e-4, Math.min((this.#room[0] - 2 * MARGIN_PX) / this.#size[0], (this.#room[1] - 2 * MARGIN_PX) / this.#size[1]));
  }

  #measure(): void {
    const { clientWidth, clientHeight } = this.host;
    this.#room = [Math.max(1, clientWidth), Math.max(1, clientHeight)];
    this.#start();
  }

  /** Until somebody zooms or pans: the object this row is, with what is around it, else the whole image. */
  #start(): void {
    this.redraw();
    if (!this.#untouched) return;
    this.#view = WHOLE;
    if (!this.#focus.length || this.#whole) return;
    const side = (k: number, of: (...values: number[]) => number): number => of(...this.#focus.map((s) => s.box[k]!));
    const [x0, y0, x1, y1] = [side(0, Math.min), side(1, Math.min), side(2, Math.max), side(3, Math.max)];
    const [w, h] = [Math.max(1, x1 - x0) * CONTEXT, Math.max(1, y1 - y0) * CONTEXT];
    const zoom = this.#bounded(Math.min(this.#room[0] / w, this.#room[1] / h) / this.#fit);
    const scale = zoom * this.#fit;
    if (zoom > 1) this.#view = { zoom, x: (this.#size[0] / 2 - (x0 + x1) / 2) * scale, y: (this.#size[1] / 2 - (y0 + y1) / 2) * scale };
  }

  #bounded(zoom: number): number {
    return Math.min(Math.max(MOST_ZOOM, MOST_SCALE / this.#fit), Math.max(1, zoom));
  }

  #set(view: typeof WHOLE): void {
    this.#untouched = false;
    this.#view = view;
    this.#moving = this.#shown.length > MANY;
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => {
      this.#moving = false;
      this.redraw();
    }, SETTLE_MS);
    this.redraw();
  }

  #zoom(factor: number, px = 0, py = 0): void {
    const old = this.#view;
    const zoom = this.#bounded(old.zoom * factor);
    const f = zoom / old.zoom;
    this.#set(zoom === 1 ? WHOLE : { zoom, x: px - (px - old.x) * f, y: py - (py - old.y) * f });
  }

  #at(event: MouseEvent): [number, number] {
    const box = this.host.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #move(event: PointerEvent): void {
    if (this.#drag) {
      const { zoom, x, y } = this.#view;
      this.#set({ zoom, x: x + event.clientX - this.#drag[0], y: y + event.clientY - this.#drag[1] });
      this.#drag = [event.clientX, event.clientY];
      return;
    }
    const [scale, left, top] = this.#place();
    const [x, y] = this.#at(event);
    this.#hover(hit(this.#shown, (x - left) / scale, (y - top) / scale, SLACK_PX / scale));
  }

  #hover(shape: Shape | null): void {
    if (shape === this.#hovered) return;
    this.#hovered = shape;
    this.redraw();
  }

  /** Screen pixels an image pixel, and where the image's corner lies. */
  #place(): [scale: number, left: number, top: number] {
    const scale = this.#fit * this.#view.zoom;
    return [scale, this.#room[0] / 2 + this.#view.x - (this.#size[0] * scale) / 2, this.#room[1] / 2 + this.#view.y - (this.#size[1] * scale) / 2];
  }

  /** Read the geometry into paths, once. */
  #build(): void {
    this.#dirty = false;
    const { off, colors } = this.#style;
    this.#shown = this.#shapes.filter((s) => !off.has(s.name) && (s.parts.length || s.dots.length));
    if (this.#hovered && !this.#shown.includes(this.#hovered)) this.#hovered = null;
    this.#looked = this.#focus.filter((s) => this.#shown.includes(s));
    this.canvas.dataset["shapes"] = String(this.#shown.length);
    const groups = new Map<string, Group>();
    for (const shape of this.#shown) {
      const color = colors.get(shape.name) ?? "#ffffff";
      const dashed = shape.name.startsWith(PREDICTED);
      const faint = shape.faint ?? false;
      const key = color + dashed + faint;
      const group = groups.get(key) ?? { color, dashed, faint, lines: [], fills: [], masks: [], dots: [] };
      groups.set(key, group);
      const path = pathOf(shape);
      group.lines.push(path); // not joined into one: wide lines of a large path are drawn much more slowly
      if (faint) {
        // its line alone
      } else if (shape.runs) {
        const canvas = tinted(shape, color);
        if (canvas) group.masks.push({ canvas, box: shape.box });
      } else if (shape.closed && !dashed) group.fills.push({ path, share: shape.object.kind === "polygon" ? 1 : BOX_FILL });
      if (shape.seen.length) group.dots.push(shape);
    }
    this.#groups = [...groups.values()];
  }

  draw(): void {
    // Drawn by the processor: as fast with any graphics card as with none, where wide lines take seconds otherwise.
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    if (!context) return;
    if (this.#dirty) this.#build();
    const ratio = this.host.ownerDocument.defaultView?.devicePixelRatio ?? 1;
    const [width, height] = [Math.round(this.#room[0] * ratio), Math.round(this.#room[1] * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    const [scale, left, top] = this.#place();
    this.#image.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    this.#image.classList.toggle("pixelated", scale > PIXELATED);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!this.#shown.length) return;
    const { line, fill } = this.#style;
    const px = 1 / scale;
    context.setTransform(scale * ratio, 0, 0, scale * ratio, left * ratio, top * ratio);
    context.imageSmoothingEnabled = false;
    context.lineJoin = context.lineCap = "round";
    if (this.#moving) {
      context.lineWidth = px / ratio;
      for (const group of this.#groups) {
        context.strokeStyle = group.color;
        for (const path of group.lines) context.stroke(path);
      }
      return;
    }
    for (const group of this.#groups) {
      context.fillStyle = group.color;
      for (const { path, share } of group.fills) {
        context.globalAlpha = fill * share;
        context.fill(path, "evenodd");
      }
      context.globalAlpha = fill;
      for (const { canvas, box } of group.masks) context.drawImage(canvas, box[0], box[1], box[2] - box[0], box[3] - box[1]);
    }
    const alpha = this.#looked.length ? DIMMED : 1;
    context.globalAlpha = alpha;
    context.strokeStyle = HALO;
    context.lineWidth = (line + 1.5) * px;
    for (const group of this.#groups) if (!group.dashed && !group.faint) for (const path of group.lines) context.stroke(path);
    for (const group of this.#groups) {
      context.globalAlpha = group.faint ? FAINT : alpha;
      context.lineWidth = (group.faint ? 1 : line) * px;
      context.strokeStyle = group.color;
      context.lineCap = group.dashed ? "butt" : "round";
      context.setLineDash(group.dashed ? [DASH_PX * px, DASH_PX * px] : []);
      for (const path of group.lines) context.stroke(path);
    }
    context.setLineDash([]);
    for (const shape of new Set([...this.#looked, this.#hovered])) if (shape) this.#emphasise(context, shape, px);
    context.globalAlpha = 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const group of this.#groups) if (group.dots.length) this.#dots(context, group, scale, left, top);
    this.#names(context, scale, left, top);
  }

  #emphasise(context: CanvasRenderingContext2D, shape: Shape, px: number): void {
    const path = pathOf(shape);
    const { line, fill, colors } = this.#style;
    context.globalAlpha = 1;
    context.strokeStyle = "#ffffff";
    context.lineWidth = (line + 4) * px;
    context.stroke(path);
    context.strokeStyle = context.fillStyle = colors.get(shape.name) ?? "#ffffff";
    context.lineWidth = (line + 1) * px;
    if (shape.name.startsWith(PREDICTED)) {
      context.strokeStyle = HALO;
      context.stroke(path);
      context.strokeStyle = context.fillStyle;
      context.lineCap = "butt";
      context.setLineDash([DASH_PX * px, DASH_PX * px]);
    }
    context.stroke(path);
    context.setLineDash([]);
    context.globalAlpha = Math.min(1, fill);
    if (shape.closed && !shape.runs && shape === this.#hovered) context.fill(path, "evenodd");
  }

  /** Points and keypoints: filled where visible, hollow where hidden, nothing where absent. */
  #dots(context: CanvasRenderingContext2D, group: Group, scale: number, left: number, top: number): void {
    const radius = this.#style.line + 1.5;
    for (const kind of [2, 1]) {
      context.beginPath();
      for (const { dots, seen } of group.dots)
        for (let i = 0; i < seen.length; i++) {
          if (seen[i] !== kind) continue;
          const [x, y] = [dots[2 * i]! * scale + left, dots[2 * i + 1]! * scale + top];
          context.moveTo(x + radius, y);
          context.arc(x, y, radius, 0, 2 * Math.PI);
        }
      context.strokeStyle = HALO;
      context.lineWidth = kind === 2 ? 2 : 4;
      context.stroke();
      context.fillStyle = context.strokeStyle = group.color;
      context.lineWidth = 2;
      if (kind === 2) context.fill();
      else context.stroke();
    }
  }

  #names(context: CanvasRenderingContext2D, scale: number, left: number, top: number): void {
    context.font = FONT;
    context.textBaseline = "middle";
    const taken: [number, number, number, number][] = [];
    const put = (shape: Shape, whole: string, always: boolean): void => {
      const text = !always && whole.length > LONG_NAME ? `${whole.slice(0, LONG_NAME)}…` : whole;
      const width = context.measureText(text).width + 10;
      const corner = topOf(shape);
      const x = Math.max(2, Math.min(corner[0]! * scale + left - 1, this.#room[0] - width - 2));
      const above = corner[1]! * scale + top - 20;
      const y = Math.max(2, Math.min(above, this.#room[1] - 20));
      const box: [number, number, number, number] = [x, y, x + width, y + 18];
      // A name that was pushed in from outside would tell of what is not on the screen.
      const outside = corner[0]! * scale + left > this.#room[0] || above + 20 > this.#room[1] || shape.box[2] * scale + left < 0 || shape.box[3] * scale + top < 0;
      if (!always && (outside || taken.some((t) => t[0] < box[2] && t[2] > box[0] && t[1] < box[3] && t[3] > box[1]))) return;
      taken.push(box);
      context.fillStyle = PLATE;
      context.fillRect(x, y, width, 18);
      context.fillStyle = this.#style.colors.get(shape.name) ?? "#ffffff";
      context.fillRect(x, y, 3, 18);
      context.fillStyle = "#ffffff";
      context.fillText(text, x + 6, y + 9.5);
    };
    const named = new Set([this.#hovered, ...this.#looked, ...(this.#shown.length <= FEW_NAMES ? this.#shown.filter((s) => !s.faint) : [])]);
    for (const shape of named) {
      if (!shape) continue;
      const { id, track_id, class_name, confidence, outcome, reason } = shape.object;
      if (confidence !== undefined) {
        const sure = `${class_name ?? ""} ${(confidence ?? 1).toFixed(2)}`;
        put(shape, shape === this.#hovered ? [sure, outcome, reason].filter(Boolean).join(" · ") : sure, shape === this.#hovered);
      } else if (shape === this.#hovered) put(shape, `${shape.name} · ${track_id ? `track ${track_id}` : id}`, true);
      else put(shape, shape.name, false);
    }
  }
}

/** The highest vertex, where a name touches the shape it tells of. */
function topOf({ parts, box }: Shape): ArrayLike<number> {
  let top: ArrayLike<number> = parts[0] ?? box;
  for (const part of parts) for (let i = 0; i + 1 < part.length; i += 2) if (part[i + 1]! < top[1]!) top = part.subarray(i);
  return top;
}

const paths = new WeakMap<Shape, Path2D>();

function pathOf(shape: Shape): Path2D {
  const known = paths.get(shape);
  if (known) return known;
  const path = new Path2D();
  trace(path, shape);
  paths.set(shape, path);
  return path;
}

const pictures = new WeakMap<Shape, HTMLCanvasElement>();

/** A mask as a picture in its colour, cut to its bounds; very large ones in coarser pixels. */
function tinted(shape: Shape, color: string): HTMLCanvasElement | null {
  const known = pictures.get(shape);
  if (known?.dataset["color"] === color) return known;
  const [x0, y0, x1, y1] = shape.box;
  const step = Math.max(1, Math.sqrt(((x1 - x0) * (y1 - y0)) / MOST_MASK_PX));
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil((x1 - x0) / step);
  canvas.height = Math.ceil((y1 - y0) / step);
  const context = canvas.getContext("2d");
  if (!context || !shape.runs || x1 <= x0) return null;
  context.scale(1 / step, 1 / step);
  context.fillStyle = canvas.dataset["color"] = color;
  pictures.set(shape, canvas);
  forEachPiece(shape.runs, (x, from, to) => context.fillRect(x - x0, from - y0, step, to - from));
  return canvas;
}
