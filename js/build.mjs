// Builds the one file that the widget ships, and holds it to its budget.
import { build } from "esbuild";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const BUDGET_BYTES = 150_000;
const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(here, process.argv[2] ?? "../encord_active_widgets/static/widget.js");
const result = await build({
  entryPoints: [resolve(here, "src/index.ts")],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  jsx: "automatic",
  jsxImportSource: "preact",
  loader: { ".css": "text" },
  write: false,
});
// A file of one line that ends like a path would be taken for one by anywidget: keep the newline.
const code = `${result.outputFiles[0].text.trimEnd()}\n`;
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, code);
const bytes = Buffer.byteLength(code);
const gzip = gzipSync(readFileSync(out), { level: 9 }).length;
console.log(`widget.js ${(bytes / 1000).toFixed(1)} kB minified, ${(gzip / 1000).toFixed(1)} kB gzip`);
if (bytes > BUDGET_BYTES) {
  console.error(`over the budget of ${BUDGET_BYTES / 1000} kB`);
  process.exit(1);
}
