// The small picture of a row, with the outline of the object it shows.

import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { ThumbShape } from "../protocol/messages";
import type { Explorer } from "../state/explorer";
import { hue, none } from "./palette";
import { useExplorer } from "./parts";

/** `fit` is how the picture fills its box; `empty` stands in for a picture that is not there, or not yet. */
export function Thumb({ row, fit, empty }: { row: number; fit: "cover" | "contain"; empty(missing: boolean): ComponentChildren }): JSX.Element {
  const { explorer } = useExplorer();
  const tick = useSignal(0);
  useEffect(() => explorer.thumbs.onArrival(() => tick.value++), []);
  useEffect(() => explorer.thumbs.need([row]), [row]);
  void tick.value;
  void explorer.store.codes.value; // a relabelling changes the colour
  const url = explorer.thumbs.url(row);
  const shape = explorer.thumbs.shape(row);
  if (!url) return <>{empty(url === "")}</>;
  return (
    <>
      <img src={url} alt="" />
      {shape ? (
        <svg
          class="outline"
          preserveAspectRatio={`xMidYMid ${fit === "cover" ? "slice" : "meet"}`}
          ref={(svg) => {
            if (svg) outline(svg, shape, shapeColor(explorer, row, shape), !!explorer.store.spec.peek().model);
          }}
        >
          <path />
          <path />
        </svg>
      ) : null}
    </>
  );
}

/** Draw a shape into an <svg> of two paths: a dark halo, and the line above it. */
export function outline(svg: SVGSVGElement, shape: ThumbShape | null, color: string, dashed: boolean): void {
  const key = shape ? color + shape.d : "";
  if (svg.dataset["key"] === key) return;
  svg.dataset["key"] = key;
  svg.style.display = shape ? "" : "none";
  if (!shape) return;
  svg.setAttribute("viewBox", `0 0 ${shape.w} ${shape.h}`);
  svg.style.setProperty("--shape", color);
  svg.classList.toggle("closed", shape.closed);
  svg.classList.toggle("dashed", dashed);
  for (const path of svg.children) path.setAttribute("d", shape.d);
}

/** The class colour as the map has it; the column knows of a relabelling, the picture does not. */
export function shapeColor(explorer: Explorer, row: number, shape: ThumbShape | null): string {
  const outcome = explorer.store.spec.peek().model ? explorer.columns.get("outcome")?.[row] : undefined;
  if (outcome !== undefined) return outcome < 2 ? hue(outcome, true) : none(true);
  const levels = explorer.store.columns.peek().get("class_name")?.levels ?? [];
  const code = explorer.columns.get("class_name")?.[row] ?? levels.indexOf(shape?.cls ?? "");
  return levels[code] === undefined ? none(true) : hue(code, true);
}
