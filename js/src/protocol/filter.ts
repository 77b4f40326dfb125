// Filters: the closed JSON that Python compiles to a Polars expression, and its words.

export type Between = { col: string; op: "between"; lo: number | null; hi: number | null; closed?: string };
export type In = { col: string; op: "in"; values: (string | null)[] };
export type Clause =
  | Between
  | In
  | { col: string; op: "null" }
  | { tag: string }
  | { untagged: true }
  | { text: string; cols?: string[] | null }
  | { rows: { enc: string; data: string; n: number } }
  | { expr: string; text: string };
export type FilterSpec = Clause | { all: FilterSpec[] } | { any: FilterSpec[] } | { not: FilterSpec };

export const EMPTY: FilterSpec = { all: [] };

export function parts(spec: FilterSpec): { mode: "all" | "any"; list: FilterSpec[] } {
  if ("any" in spec) return { mode: "any", list: spec.any };
  return { mode: "all", list: "all" in spec ? spec.all : [spec] };
}

export function build(mode: "all" | "any", list: FilterSpec[]): FilterSpec {
  return mode === "any" && list.length > 1 ? { any: list } : { all: list };
}

export function inner(spec: FilterSpec): { clause: FilterSpec; negated: boolean } {
  return "not" in spec ? { clause: spec.not, negated: true } : { clause: spec, negated: false };
}

/** The facet a part belongs to: `col:brightness`, `tags`, or "" for one shown as a chip of its own. */
export function facetOf(spec: FilterSpec): string {
  const { clause } = inner(spec);
  if ("col" in clause) return clause.op === "null" ? "" : `col:${clause.col}`;
  if ("tag" in clause || "untagged" in clause) return "tags";
  if ("any" in clause && clause.any.length > 0 && clause.any.every((c) => "tag" in c || "untagged" in c)) return "tags";
  return "";
}

/** Replace all parts of a facet. */
export function withFacet(spec: FilterSpec, facet: string, added: FilterSpec[]): FilterSpec {
  const { mode, list } = parts(spec);
  const at = list.findIndex((p) => facetOf(p) === facet);
  const rest = list.filter((p) => facetOf(p) !== facet);
  const place = at < 0 ? rest.length : Math.min(at, rest.length);
  return build(mode, [...rest.slice(0, place), ...added, ...rest.slice(place)]);
}

export function without(spec: FilterSpec, part: FilterSpec): FilterSpec {
  const { mode, list } = parts(spec);
  return build(mode, list.filter((p) => p !== part));
}

export function isEmpty(spec: FilterSpec): boolean {
  return parts(spec).list.length === 0;
}

export function rangeOf(spec: FilterSpec, column: string): Between | null {
  for (const part of parts(spec).list)
    if ("col" in part && part.op === "between" && part.col === column) return part;
  return null;
}

/** Included and excluded values of a category facet. */
export function chosen(spec: FilterSpec, column: string): { include: Set<string | null>; exclude: Set<string | null> } {
  const include = new Set<string | null>();
  const exclude = new Set<string | null>();
  for (const part of parts(spec).list) {
    const { clause, negated } = inner(part);
    if ("col" in clause && clause.op === "in" && clause.col === column)
      for (const value of clause.values) (negated ? exclude : include).add(value);
  }
  return { include, exclude };
}

export function categoryParts(column: string, include: Set<string | null>, exclude: Set<string | null>): FilterSpec[] {
  const out: FilterSpec[] = [];
  if (include.size) out.push({ col: column, op: "in", values: [...include] });
  if (exclude.size) out.push({ not: { col: column, op: "in", values: [...exclude] } });
  return out;
}

const UNTAGGED = "\u0000untagged";

/** Included and excluded tags; the pseudo tag for "untagged" is `untaggedKey`. */
export function chosenTags(spec: FilterSpec): { include: Set<string>; exclude: Set<string> } {
  const include = new Set<string>();
  const exclude = new Set<string>();
  for (const part of parts(spec).list) {
    if (facetOf(part) !== "tags") continue;
    const { clause, negated } = inner(part);
    const list = "any" in clause ? clause.any : [clause];
    for (const item of list) {
      const name = "tag" in item ? item.tag : UNTAGGED;
      (negated ? exclude : include).add(name);
    }
  }
  return { include, exclude };
}

export const untaggedKey = UNTAGGED;

export function tagParts(include: Set<string>, exclude: Set<string>): FilterSpec[] {
  const one = (name: string): FilterSpec => (name === UNTAGGED ? { untagged: true } : { tag: name });
  const out: FilterSpec[] = [];
  const included = [...include].map(one);
  if (included.length === 1) out.push(included[0]!);
  else if (included.length) out.push({ any: included });
  for (const name of exclude) out.push({ not: one(name) });
  return out;
}

/** The clauses at the leaves. */
export function leaves(spec: FilterSpec): Clause[] {
  if ("all" in spec) return spec.all.flatMap(leaves);
  if ("any" in spec) return spec.any.flatMap(leaves);
  if ("not" in spec) return leaves(spec.not);
  return [spec];
}

/** Say a filter in words for the status line. */
export function describe(spec: FilterSpec): string {
  if ("all" in spec) return spec.all.map((p) => wrap(p, describe(p), "any")).join(" and ");
  if ("any" in spec) return spec.any.map((p) => wrap(p, describe(p), "all")).join(" or ");
  if ("not" in spec) return `not (${describe(spec.not)})`;
  if ("col" in spec) {
    if (spec.op === "null") return `${spec.col} is missing`;
    if (spec.op === "in") return `${spec.col} = ${spec.values.map((v) => v ?? "missing").join(" | ")}`;
    const closed = spec.closed ?? "left";
    const [from, to] = [closed === "left" || closed === "both", closed === "right" || closed === "both"];
    if (spec.lo !== null && spec.hi !== null) return `${number(spec.lo)} ${from ? "≤" : "<"} ${spec.col} ${to ? "≤" : "<"} ${number(spec.hi)}`;
    if (spec.lo !== null) return `${spec.col} ${from ? "≥" : ">"} ${number(spec.lo)}`;
    return spec.hi === null ? `${spec.col} is known` : `${spec.col} ${to ? "≤" : "<"} ${number(spec.hi)}`;
  }
  if ("tag" in spec) return `tagged “${spec.tag}”`;
  if ("untagged" in spec) return "untagged";
  if ("rows" in spec) return `${spec.rows.n.toLocaleString("en")} chosen`;
  if ("expr" in spec) return spec.text;
  return `text “${spec.text}”`;
}

/** The Polars expressions of a filter, as protocol/code.py prints them. */
export function polars(spec: FilterSpec): string {
  if ("all" in spec) return spec.all.map((p) => code(p)).join(", ");
  return code(spec);
}

function code(spec: FilterSpec): string {
  if ("all" in spec || "any" in spec) {
    const [list, sign] = "all" in spec ? [spec.all, " & "] : [spec.any, " | "];
    if (!list.length) return `pl.lit(${"all" in spec ? "True" : "False"})`;
    return list.length === 1 ? code(list[0]!) : list.map((p) => `(${code(p)})`).join(sign);
  }
  if ("not" in spec) return `~(${code(spec.not)})`;
  if ("tag" in spec) return `ea.tagged(${quoted(spec.tag)})`;
  if ("untagged" in spec) return "ea.untagged()";
  if ("expr" in spec) return spec.text;
  if ("text" in spec) return `ea.contains(${quoted(spec.text)})`;
  if ("rows" in spec) return `ea.rows(${spec.rows.n.toLocaleString("en")} rows)`;
  const column = `pl.col(${quoted(spec.col)})`;
  if (spec.op === "null") return `${column}.is_null()`;
  if (spec.op === "in") {
    const values = spec.values.filter((v) => v !== null);
    const list = `${column}.is_in([${values.map(quoted).join(", ")}])`;
    if (values.length < spec.values.length) return values.length ? `${list}.fill_null(False) | ${column}.is_null()` : `${column}.is_null()`;
    return values.length === 1 ? `${column} == ${quoted(values[0]!)}` : list;
  }
  const { lo, hi, closed = "left" } = spec;
  if (lo !== null && hi !== null) return `${column}.is_between(${lo}, ${hi}${closed === "both" ? "" : `, closed=${quoted(closed)}`})`;
  if (lo !== null) return `${column} ${closed === "left" || closed === "both" ? ">=" : ">"} ${lo}`;
  return hi === null ? `${column}.is_not_null()` : `${column} ${closed === "right" || closed === "both" ? "<=" : "<"} ${hi}`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

function wrap(part: FilterSpec, text: string, key: string): string {
  return key in part ? `(${text})` : text;
}

/** Below this the zeros after the point are more than one reads. */
const SMALL = 1e-4;

/** A distance in two decimals, or in two digits where these would all be zero. */
export function distance(value: number): string {
  if (value >= 0.01 || !value) return value.toFixed(2);
  return value < SMALL ? value.toExponential(1) : String(Number(value.toPrecision(2)));
}

/** A number in at most four significant digits, without exponent where it is readable. */
export function number(value: number): string {
  if (value && Math.abs(value) < SMALL) return value.toExponential(2);
  if (Number.isInteger(value)) return Math.abs(value) < 1e15 ? value.toLocaleString("en") : String(value);
  const text = Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
  return text;
}
