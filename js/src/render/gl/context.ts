// The one WebGL2 context of a page. Browsers keep 16 at most and re-run cells leak them,
// so every map of every explorer draws through this one and copies to its own 2-D canvas.

export interface SharedGl {
  canvas: HTMLCanvasElement;
  gl: WebGL2RenderingContext;
  users: number;
}

const KEY = Symbol.for("encord-active-widgets/gl@1");
type Holder = { [KEY]?: SharedGl | undefined };

export function acquire(): SharedGl | null {
  const holder = globalThis as Holder;
  const known = holder[KEY];
  if (known && !known.gl.isContextLost()) {
    known.users += 1;
    return known;
  }
  const canvas = document.createElement("canvas");
  const gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true, preserveDrawingBuffer: true });
  if (!gl) return null;
  const made: SharedGl = { canvas, gl, users: 1 };
  holder[KEY] = made;
  return made;
}

export function release(shared: SharedGl): void {
  shared.users -= 1;
  if (shared.users > 0) return;
  const holder = globalThis as Holder;
  if (holder[KEY] === shared) holder[KEY] = undefined;
  shared.gl.getExtension("WEBGL_lose_context")?.loseContext();
}
