// The image grid: a pool of recycled buttons over any number of items, by arithmetic alone.

import { take } from "../host/events";
import type { Scope } from "../host/scope";

export interface Tile {
  button: HTMLButtonElement;
  image: HTMLImageElement;
  outline: SVGSVGElement;
  value: HTMLSpanElement;
  tags: HTMLSpanElement;
}
export interface GridEvents {
  click(index: number, keys: { shift: boolean; ctrl: boolean }): void;
  open(index: number): void;
  need(from: number, to: number): void;
  hover(index: number | null): void;
  cursor(index: number): void;
}

const GAP_PX = 4;
const PAD_PX = 8;
const OVERSCAN_ROWS = 2;
const SVG = "http://www.w3.org/2000/svg";
/** Browsers cap the height of an element; above this, scrolling is mapped. */
export const MOST_SCROLL_PX = 8_000_000;

export interface Layout {
  columns: number;
  side: number;
  pitch: number;
  rows: number;
  content: number;
  scroll: number;
}

export function layout(width: number, tile: number, count: number): Layout {
  const usable = Math.max(1, width - 2 * PAD_PX + GAP_PX);
  const columns = Math.max(1, Math.floor(usable / (tile + GAP_PX)));
  const pitch = usable / columns;
  const rows = Math.ceil(count / columns);
  const content = rows * pitch + 2 * PAD_PX;
  return { columns, side: pitch - GAP_PX, pitch, rows, content, scroll: Math.min(content, MOST_SCROLL_PX) };
}

/** Offset of the content at a scroll position; the ends always meet. */
export function contentOffset(scrollTop: number, view: number, l: Layout): number {
  if (l.content <= MOST_SCROLL_PX) return scrollTop;
  const share = scrollTop / Math.max(1, l.scroll - view);
  return Math.min(1, Math.max(0, share)) * (l.content - view);
}

export class VirtualGrid {
  #root = document.createElement("div");
  #space = document.createElement("div");
  #tiles: Tile[] = [];
  #shown: number[] = [];
  #count = 0;
  #tile = 96;
  #layout = layout(1, 96, 0);
  #render: (index: number, tile: Tile) => void = () => {};
  #cursor = 0;
  #frame = 0;
  #range: [number, number] = [-1, -1];

  constructor(
    readonly host: HTMLElement,
    scope: Scope,
    readonly on: GridEvents,
  ) {
    const root = this.#root;
    root.className = "grid";
    root.setAttribute("role", "grid");
    root.tabIndex = -1;
    this.#space.className = "grid-space";
    this.#space.setAttribute("role", "row");
    root.append(this.#space);
    host.append(root);
    scope.add(() => {
      cancelAnimationFrame(this.#frame);
      root.remove();
    });
    scope.listen(root, "scroll", () => this.refreshSoon(), { passive: true });
    scope.listen<MouseEvent>(root, "click", (e) => this.#click(e));
    scope.listen<MouseEvent>(root, "dblclick", (e) => this.#open(e));
    scope.listen<MouseEvent>(root, "pointerover", (e) => on.hover(this.#indexOf(e)));
    scope.listen(root, "pointerleave", () => on.hover(null));
    scope.listen<KeyboardEvent>(root, "keydown", (e) => this.#key(e));
    const resizing = new ResizeObserver(() => this.#measure());
    resizing.observe(root);
    scope.add(() => resizing.disconnect());
    this.#measure();
  }

  get columns(): number {
    return this.#layout.columns;
  }

  get cursor(): number {
    return this.#cursor;
  }

  setCount(count: number): void {
    this.#count = count;
    this.#cursor = Math.min(this.#cursor, Math.max(0, count - 1));
    this.#root.setAttribute("aria-rowcount", String(count));
    this.#measure();
  }

  setTile(px: number): void {
    const first = this.#range[0];
    this.#tile = px;
    this.#measure();
    if (first > 0) this.scrollTo(first);
  }

  setItem(render: (index: number, tile: Tile) => void): void {
    this.#render = render;
    this.refresh();
  }

  setLabel(text: string): void {
    this.#root.setAttribute("aria-label", text);
  }

  top(): void {
    this.#root.scrollTop = 0;
  }

  focus(): void {
    this.#focusCursor();
  }

  scrollTo(index: number): void {
    const l = this.#layout;
    const view = this.#root.clientHeight;
    const y = Math.floor(index / l.columns) * l.pitch;
    const now = contentOffset(this.#root.scrollTop, view, l);
    let target = now;
    if (y < now) target = y;
    else if (y + l.pitch + 2 * PAD_PX > now + view) target = y + l.pitch + 2 * PAD_PX - view;
    if (target === now) return;
    this.#root.scrollTop = l.content <= MOST_SCROLL_PX ? target : (target / Math.max(1, l.content - view)) * (l.scroll - view);
    this.refresh();
  }

  /** Bring an item into view; the focus follows when it is in the grid. */
  reveal(index: number): void {
    const inside = this.#tiles.some((t) => t.button.matches(":focus"));
    this.#moveCursor(Math.min(this.#count - 1, Math.max(0, index)));
    if (inside) this.#focusCursor();
  }

  refreshSoon(): void {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.refresh();
    });
  }

  refresh(): void {
    const l = this.#layout;
    const view = this.#root.clientHeight;
    const offset = contentOffset(this.#root.scrollTop, view, l);
    const firstRow = Math.max(0, Math.floor((offset - PAD_PX) / l.pitch) - OVERSCAN_ROWS);
    const lastRow = Math.min(l.rows, Math.ceil((offset + view) / l.pitch) + OVERSCAN_ROWS);
    const from = Math.min(this.#count, firstRow * l.columns);
    const to = Math.min(this.#count, lastRow * l.columns);
    const shift = this.#root.scrollTop - offset;
    const stop = this.#cursor >= from && this.#cursor < to ? this.#cursor : Math.min(to - 1, Math.ceil(offset / l.pitch) * l.columns); // the one tile that Tab reaches
    while (this.#tiles.length < to - from) this.#tiles.push(this.#make());
    for (let i = 0; i < this.#tiles.length; i++) {
      const tile = this.#tiles[i]!;
      const index = from + ((i - (from % Math.max(1, this.#tiles.length)) + this.#tiles.length) % this.#tiles.length);
      const visible = index < to;
      tile.button.hidden = !visible;
      this.#shown[i] = visible ? index : -1;
      if (!visible) continue;
      const [row, column] = [Math.floor(index / l.columns), index % l.columns];
      tile.button.style.transform = `translate(${PAD_PX + column * l.pitch}px, ${PAD_PX + row * l.pitch + shift}px)`;
      tile.button.style.width = tile.button.style.height = `${l.side}px`;
      tile.button.tabIndex = index === stop ? 0 : -1;
      tile.button.dataset["index"] = String(index);
      tile.button.setAttribute("aria-rowindex", String(index + 1));
      this.#render(index, tile);
    }
    if (from !== this.#range[0] || to !== this.#range[1]) {
      this.#range = [from, to];
      this.on.need(from, to);
    }
  }

  /** Ask for the visible items again, after their data changed. */
  renew(): void {
    this.#range = [-1, -1];
    this.refresh();
  }

  #make(): Tile {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "tile";
    button.setAttribute("role", "gridcell");
    const image = document.createElement("img");
    image.alt = "";
    image.draggable = false;
    image.decoding = "async";
    const value = document.createElement("span");
    value.className = "tile-value";
    const tags = document.createElement("span");
    tags.className = "tile-tags";
    const outline = document.createElementNS(SVG, "svg");
    outline.setAttribute("class", "outline");
    outline.setAttribute("preserveAspectRatio", "xMidYMid slice"); // as the picture: object-fit is cover
    outline.append(document.createElementNS(SVG, "path"), document.createElementNS(SVG, "path"));
    button.append(image, outline, tags, value);
    this.#space.append(button);
    this.#shown.push(-1);
    return { button, image, outline, value, tags };
  }

  #measure(): void {
    this.#layout = layout(this.#root.clientWidth, this.#tile, this.#count);
    this.#space.style.height = `${this.#layout.scroll}px`;
    this.renew();
  }

  #indexOf(event: Event): number | null {
    const button = (event.target as Element | null)?.closest?.(".tile") as HTMLElement | null;
    return button ? Number(button.dataset["index"]) : null;
  }

  #click(event: MouseEvent): void {
    const index = this.#indexOf(event);
    if (index === null) return;
    this.#moveCursor(index);
    if (event.detail < 2) this.on.click(index, { shift: event.shiftKey, ctrl: event.ctrlKey || event.metaKey });
  }

  #open(event: MouseEvent): void {
    const index = this.#indexOf(event);
    if (index !== null) this.on.open(index);
  }

  #key(event: KeyboardEvent): void {
    if (this.#count === 0) return;
    const { columns } = this.#layout;
    const page = Math.max(1, Math.floor(this.#root.clientHeight / this.#layout.pitch)) * columns;
    const targets: Record<string, number> = {
      ArrowLeft: this.#cursor - 1,
      ArrowRight: this.#cursor + 1,
      ArrowUp: this.#cursor - columns,
      ArrowDown: this.#cursor + columns,
      PageUp: this.#cursor - page,
      PageDown: this.#cursor + page,
      Home: 0,
      End: this.#count - 1,
    };
    const target = targets[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target !== undefined) {
      this.#moveCursor(Math.min(this.#count - 1, Math.max(0, target)));
      if (event.shiftKey) this.on.click(this.#cursor, { shift: true, ctrl: false });
      this.#focusCursor();
    } else if (event.key === "Enter") this.on.open(this.#cursor);
    else if (event.key === " ") this.on.click(this.#cursor, { shift: event.shiftKey, ctrl: !event.shiftKey });
    else return;
    take(event);
  }

  #moveCursor(index: number): void {
    this.#cursor = index;
    this.scrollTo(index);
    this.refresh();
    this.on.cursor(index);
  }

  #focusCursor(): void {
    const at = this.#shown.indexOf(this.#cursor);
    this.#tiles[at]?.button.focus({ preventScroll: true });
  }
}
