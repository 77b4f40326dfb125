// Builds the two files that are shipped, and holds each to its budget: the widget, and the script of exported pages.
import { build, transform } from "esbuild";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateRawSync, gzipSync } from "node:zlib";

const BUDGET_BYTES = 150_000;
const PAGE_BUDGET_BYTES = 400_000;
const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(here, process.argv[2] ?? "../encord_active_widgets/static/widget.js");
const styles = {
  name: "styles",
  setup(builder) {
    builder.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(readFileSync(path, "utf8"), { loader: "css", minify: true, target: "es2022" });
      return { contents: code.trimEnd(), loader: "text" };
    });
  },
};
/** Shaders travel without the spaces that people read them by. */
const shaders = {
  name: "shaders",
  setup(builder) {
    builder.onLoad({ filter: /gl[\\/]points\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replace(/`#version[^`]*`/g, (text) => text.replace(/\n\s+|(?<=[;{}])\n/g, "").replace(/ ?([=*+<>?:&|,-]+) /g, "$1")),
      loader: "ts",
    }));
  },
};
const common = { bundle: true, minify: true, format: "esm", target: "es2022", charset: "utf8", legalComments: "none", write: false };
const app = {
  ...common,
  loader: { ".css": "text" },
  // Calls of h() instead of the automatic runtime: "children" is not spelled out two hundred times.
  tsconfigRaw: { compilerOptions: { jsx: "react", jsxFactory: "h", jsxFragmentFactory: "Fragment", useDefineForClassFields: true, strict: true } },
  inject: [resolve(here, "src/jsx.ts")],
  plugins: [styles, shaders],
};
/** The app travels deflated in its loader, `src/index.ts`, which unpacks it. */
let unpacked = 0;
const packed = {
  name: "packed",
  setup(builder) {
    builder.onResolve({ filter: /^packed:/ }, ({ path, resolveDir }) => ({ path: resolve(resolveDir, path.slice(7)), namespace: "packed" }));
    builder.onLoad({ filter: /./, namespace: "packed" }, async ({ path }) => {
      const made = await build({ ...app, entryPoints: [`${path}.ts`] });
      const text = `${made.outputFiles[0].text.trimEnd()}\n//# sourceURL=encord_active_widgets.js\n`;
      unpacked = Buffer.byteLength(text);
      return { contents: deflateRawSync(text, { level: 9 }).toString("base64"), loader: "text" };
    });
  },
};
/** In a page the script stands as it is: a policy that names its hash then lets no other script run. */
const made = await build({ ...app, format: "iife", entryPoints: [resolve(here, "src/offline/page.ts")] });
const page = `${made.outputFiles[0].text.trimEnd()}\n`;
const result = await build({ ...common, entryPoints: [resolve(here, "src/index.ts")], plugins: [packed] });
// A file of one line that ends like a path would be taken for one by anywidget: keep the newline.
const code = `${result.outputFiles[0].text.trimEnd()}\n`;
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, code);
writeFileSync(resolve(dirname(out), "offline.js"), page);
const kB = (n) => `${(n / 1000).toFixed(1)} kB`;
const bytes = Buffer.byteLength(code);
const gzip = gzipSync(readFileSync(out), { level: 9 }).length;
console.log(`widget.js ${kB(bytes)} (${kB(unpacked)} unpacked), ${kB(gzip)} gzip`);
console.log(`offline.js ${kB(Buffer.byteLength(page))}, ${kB(gzipSync(page, { level: 9 }).length)} gzip`);
for (const [name, size, budget] of [["widget.js", bytes, BUDGET_BYTES], ["offline.js", Buffer.byteLength(page), PAGE_BUDGET_BYTES]])
  if (size > budget) {
    console.error(`${name} is over its budget of ${budget / 1000} kB`);
    process.exitCode = 1;
  }
