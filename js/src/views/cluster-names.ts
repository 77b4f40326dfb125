// Which names stand on the map: those of the classes, the tags or another column, of what passes the filter.

import type { Column } from "../protocol/messages";
import { densest, type MapLabel } from "../render/map-labels";
import type { Explorer } from "../state/explorer";
import type { Store } from "../state/store";

const LEAST_NAMED = 8;
const MOST_NAMES = 24;
const MOST_READ = 20_000;
export const AS_COLOURED = "color";
export const BY_TAGS = "tags";

/** Columns that can name clusters. */
export function naming(store: Store): Column[] {
  return store.spec.value.columns.filter((c) => c.kind === "category" && (c.levels?.length ?? 0) > 1);
}

/** Names from the rows that pass; every so manyth row where they are many. */
export function clusterNames({ store, columns }: Explorer): MapLabel[] {
  const positions = store.positions.value;
  const visible = store.result.value?.visible;
  const by = store.labels.value;
  if (!positions || !visible || by === null) return [];
  const stride = Math.max(1, Math.floor(visible.length / MOST_READ));
  const groups = new Map<string, number[]>();
  const put = (name: string, row: number): void => {
    const rows = groups.get(name);
    if (rows) rows.push(row);
    else groups.set(name, [row]);
  };
  if (by === BY_TAGS) {
    for (const [name, mask] of store.tagMasks.value) for (let i = 0; i < visible.length; i += stride) if (mask[visible[i]!]) put(name, visible[i]!);
  } else {
    const column = store.columns.value.get((by === AS_COLOURED ? store.color.value : by) ?? "");
    const codes = column && columns.get(column.name);
    if (!codes || column.kind !== "category" || !column.levels) return [];
    for (let i = 0; i < visible.length; i += stride) {
      const name = column.levels[codes[visible[i]!]!];
      if (name !== undefined) put(name, visible[i]!);
    }
  }
  return [...groups]
    .filter(([, rows]) => rows.length * stride >= LEAST_NAMED)
    .sort((a, b) => b[1].length - a[1].length)
    .slice(0, MOST_NAMES)
    .flatMap(([text, rows]) => {
      const at = densest(rows, positions.x, positions.y);
      return at ? [{ x: at[0], y: at[1], text, n: rows.length * stride }] : [];
    });
}
