// Builds the one file that the widget ships, and holds it to its budget.
import { build, transform } from "esbuild";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateRawSync, gzipSync } from "node:zlib";

const BUDGET_BYTES = 150_000;
const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(here, process.argv[2] ?? "../encord_active_widgets/static/widget.js");
/** Names of our own objects and of what Preact calls on classes (we write none), in no message and no DOM: shortened. */
const INNER = new RegExp(
  `^(${[
    "explorer|store|actions|recompute|counting|refetch|testid|thumbs|toasts|hovered|focused|switching|generation|positions|announcement",
    "selectedCount|tagMasks|shownFacets|setFilter|setPoints|setCodes|setFlags|setPalette|setShapes|setSize|setStyle|setTags|needValues|onArrival",
    "selectRows|clearSelection|selectMatching|keepSelection|toggleTag|toggleTagFilter|toggleValue|removePart|applyFilter|clearFilter|saveFilter",
    "deleteFilter|createTag|renameTag|deleteTag|colorTag|deleteLabels|refreshSoon|toScreen|toUnit|forgetTags|forgetOrder|saveUi|tagState|leaveLevel",
    "peek|listen|shouldComponentUpdate|componentWillUnmount|componentWillReceiveProps|componentWillUpdate|componentWillMount",
    "componentDidUpdate|componentDidMount|componentDidCatch|getChildContext|getDerivedStateFromProps|getDerivedStateFromError",
    "getSnapshotBeforeUpdate|debounceRendering|current|redraw|dispose|verdicts|stale|nouns|facets|trigger|negated|predicted|onTrait|zoomAt|pitch",
  ].join("|")})$`,
);
/** Style sheets travel as text: squeezed and deflated, or they were a tenth of the bundle. `host/dress.ts` unpacks them. */
const styles = {
  name: "styles",
  setup(builder) {
    builder.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(readFileSync(path, "utf8"), { loader: "css", minify: true, target: "es2022" });
      return { contents: deflateRawSync(code.trimEnd(), { level: 9 }).toString("base64"), loader: "text" };
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
const result = await build({
  entryPoints: [resolve(here, "src/index.ts")],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  // Calls of h() instead of the automatic runtime: "children" is not spelled out two hundred times.
  tsconfigRaw: { compilerOptions: { jsx: "react", jsxFactory: "h", jsxFragmentFactory: "Fragment", useDefineForClassFields: true, strict: true } },
  inject: [resolve(here, "src/jsx.ts")],
  mangleProps: INNER,
  plugins: [styles, shaders],
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
