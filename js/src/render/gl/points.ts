// Points in WebGL2: u16 positions, u8 codes and u8 flags straight to the GPU, shuffled once
// so that any prefix is a fair sample to draw while panning.

import type { Camera } from "../camera";
import { LAST_VALUE, type PointRenderer } from "../renderer";
import { acquire, release, type SharedGl } from "./context";

/** Strength of what is not selected, while something is. */
const DIMMED = 0.4;
/** Opacity of what the filter leaves out, up to this many such points; less above. */
const FAINT = 0.1;
const LEAST_FAINT = 0.02;
const FAINT_POINTS = 15_000;
/** How long a lost context may take to come back. */
const RESTORE_MS = 2500;
const VERTEX = `#version 300 es
precision highp float;
layout(location=0) in vec2 position;
layout(location=1) in float code;
layout(location=2) in float flags;
uniform vec2 scale, offset;
uniform float size, pass_, dim, faint;
uniform sampler2D palette;
out vec4 color;
out float radius;
void main() {
  int bits = int(flags + 0.5);
  bool passes = (bits & 1) != 0, selected = (bits & 2) != 0, hidden = (bits & 4) != 0 || position.x > 65534.5;
  bool missing = code > float(${LAST_VALUE}) + 0.5;
  float kind = !passes ? 0.0 : selected ? 3.0 : missing ? 1.0 : 2.0;
  if (hidden || kind != pass_) { gl_Position = vec4(2.0, 2.0, 0.0, 1.0); gl_PointSize = 0.0; return; }
  gl_Position = vec4(position / 65534.0 * scale + offset, 0.0, 1.0);
  gl_PointSize = size * (kind == 3.0 ? 1.7 : kind == 0.0 ? 0.8 : 1.0);
  radius = gl_PointSize;
  vec4 base = texelFetch(palette, ivec2(int(code + 0.5), 0), 0);
  color = kind == 0.0 ? vec4(base.rgb, faint) : vec4(base.rgb, kind == 3.0 ? 1.0 : base.a * dim);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec4 color;
in float radius;
out vec4 result;
void main() {
  float edge = 1.0;
  if (radius > 3.0) {
    float d = length(gl_PointCoord - 0.5) * radius;
    edge = clamp(radius * 0.5 - d + 0.5, 0.0, 1.0);
    if (edge <= 0.0) discard;
  }
  result = vec4(color.rgb * color.a * edge, color.a * edge);
}`;

export class GlPoints implements PointRenderer {
  readonly kind = "webgl2" as const;
  #shared: SharedGl;
  #program!: WebGLProgram;
  #buffers: WebGLBuffer[] = [];
  #array!: WebGLVertexArrayObject;
  #texture!: WebGLTexture;
  #n = 0;
  #order: Uint32Array = new Uint32Array(0);
  /** How many points the filter leaves out, keep their strength, are selected. */
  #kinds: [number, number, number] = [0, 0, 0];
  #anyMissing = false;
  #last: { x?: Uint16Array; y?: Uint16Array; codes?: Uint8Array | null; flags?: Uint8Array; palette?: Uint8Array } = {};
  #lost = false;
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #stop = new AbortController();

  /** `changed` says that a lost context came back, `gone` that it did not. */
  static make(changed: () => void, gone: () => void): GlPoints | null {
    const shared = acquire();
    if (!shared) return null;
    try {
      return new GlPoints(shared, changed, gone);
    } catch {
      release(shared);
      return null;
    }
  }

  private constructor(shared: SharedGl, changed: () => void, gone: () => void) {
    this.#shared = shared;
    this.#build();
    const { signal } = this.#stop;
    shared.canvas.addEventListener(
      "webglcontextlost",
      (event) => {
        event.preventDefault();
        this.#lost = true;
        clearTimeout(this.#waiting);
        this.#waiting = setTimeout(gone, RESTORE_MS);
      },
      { signal },
    );
    shared.canvas.addEventListener(
      "webglcontextrestored",
      () => {
        this.#lost = false;
        clearTimeout(this.#waiting);
        this.#build();
        const { x, y, codes, flags, palette } = this.#last;
        if (palette) this.setPalette(palette);
        if (x && y) this.setPoints(x, y);
        if (codes !== undefined) this.setCodes(codes);
        if (flags) this.setFlags(flags);
        changed();
      },
      { signal },
    );
  }

  #build(): void {
    const { gl } = this.#shared;
    const program = gl.createProgram()!;
    for (const [type, source] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ] as const) {
      const shader = gl.createShader(type)!;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
      throw new Error(gl.getProgramInfoLog(program) ?? "link failed");
    this.#program = program;
    this.#array = gl.createVertexArray()!;
    this.#buffers = [gl.createBuffer()!, gl.createBuffer()!, gl.createBuffer()!];
    gl.bindVertexArray(this.#array);
    const layouts = [
      [2, gl.UNSIGNED_SHORT],
      [1, gl.UNSIGNED_BYTE],
      [1, gl.UNSIGNED_BYTE],
    ] as const;
    layouts.forEach(([size, type], i) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffers[i]!);
      gl.enableVertexAttribArray(i);
      gl.vertexAttribPointer(i, size, type, false, 0, 0);
    });
    this.#texture = gl.createTexture()!;
  }

  setPoints(x: Uint16Array, y: Uint16Array): void {
    this.#last.x = x;
    this.#last.y = y;
    this.#n = x.length;
    this.#order = shuffled(this.#n);
    const positions = new Uint16Array(this.#n * 2);
    for (let i = 0; i < this.#n; i++) {
      positions[2 * i] = x[this.#order[i]!]!;
      positions[2 * i + 1] = y[this.#order[i]!]!;
    }
    this.#upload(0, positions);
    this.setCodes(this.#last.codes ?? null);
    this.setFlags(this.#last.flags?.length === this.#n ? this.#last.flags : new Uint8Array(this.#n).fill(1));
  }

  setCodes(codes: Uint8Array | null): void {
    this.#last.codes = codes;
    this.#anyMissing = codes?.some((code) => code > LAST_VALUE) ?? false;
    this.#upload(1, this.#permuted(codes && codes.length === this.#n ? codes : new Uint8Array(this.#n)));
  }

  setFlags(flags: Uint8Array): void {
    this.#last.flags = flags;
    if (flags.length !== this.#n) return;
    const kinds: [number, number, number] = [0, 0, 0];
    for (const f of flags) if (!(f & 4)) kinds[f & 1 ? (f & 2 ? 2 : 1) : 0]++;
    this.#kinds = kinds;
    this.#upload(2, this.#permuted(flags));
  }

  setPalette(palette: Uint8Array): void {
    this.#last.palette = palette;
    const { gl } = this.#shared;
    gl.bindTexture(gl.TEXTURE_2D, this.#texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, palette);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  }

  draw(target: CanvasRenderingContext2D, camera: Camera, ratio: number, size: number, most: number): void {
    const { gl, canvas } = this.#shared;
    if (this.#lost || gl.isContextLost()) return;
    const [width, height] = [target.canvas.width, target.canvas.height];
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(this.#program);
    gl.bindVertexArray(this.#array);
    gl.bindTexture(gl.TEXTURE_2D, this.#texture);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const at = (name: string): WebGLUniformLocation | null => gl.getUniformLocation(this.#program, name);
    const sx = (2 * camera.scaleX) / camera.width;
    const sy = (2 * camera.scaleY) / camera.height;
    gl.uniform2f(at("scale"), sx, sy);
    gl.uniform2f(at("offset"), -camera.x * sx, -camera.y * sy);
    gl.uniform1f(at("size"), size * ratio);
    // Faint points pile up: the more there are, the less each may show.
    gl.uniform1f(at("faint"), Math.max(LEAST_FAINT, FAINT * Math.min(1, Math.sqrt(FAINT_POINTS / Math.max(1, this.#kinds[0])))));
    gl.uniform1f(at("dim"), this.#kinds[2] ? DIMMED : 1);
    const count = Math.min(this.#n, most);
    // What has no value lies below what has one, and the selection above all.
    const [out, plain, selected] = this.#kinds;
    for (const [pass, any] of [[0, out], [1, plain && this.#anyMissing], [2, plain], [3, selected]] as const) {
      if (!any) continue;
      gl.uniform1f(at("pass_"), pass);
      gl.drawArrays(gl.POINTS, 0, count);
    }
    target.clearRect(0, 0, width, height);
    target.drawImage(canvas, 0, 0);
  }

  dispose(): void {
    this.#stop.abort();
    clearTimeout(this.#waiting);
    const { gl } = this.#shared;
    for (const buffer of this.#buffers) gl.deleteBuffer(buffer);
    gl.deleteVertexArray(this.#array);
    gl.deleteTexture(this.#texture);
    gl.deleteProgram(this.#program);
    release(this.#shared);
  }

  #permuted(values: Uint8Array): Uint8Array {
    const out = new Uint8Array(this.#n);
    for (let i = 0; i < this.#n; i++) out[i] = values[this.#order[i]!]!;
    return out;
  }

  #upload(i: number, data: Uint8Array | Uint16Array): void {
    const { gl } = this.#shared;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffers[i]!);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
  }
}

/** A fixed shuffle: a stride coprime with n visits every row once, in an order without pattern. */
function shuffled(n: number): Uint32Array {
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  let state = 0x9e3779b9;
  for (let i = n - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((state / 4294967296) * (i + 1));
    const swap = order[i]!;
    order[i] = order[j]!;
    order[j] = swap;
  }
  return order;
}
