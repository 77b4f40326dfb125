// The picture of the entry one looks at, with what is asked about: never an old picture beside a new text.

import type { JSX } from "preact";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { Scope } from "../host/scope";
import { NO_CLASS, PREDICTED } from "../render/shapes";
import { Stage } from "../render/stage";
import type { Review } from "../state/review";
import { classHues, none } from "./palette";
import { count, useExplorer } from "./parts";

/** What is suggested: on pictures no class has this colour. */
export const SUGGESTED = "#38e1ff";
const NOTHING_OFF: ReadonlySet<string> = new Set();
const LINE_PX = 2.5;
const FILL = 0.1;

export function ReviewPicture({ review, zoomKeys }: { review: Review; zoomKeys: { current: (key: string) => boolean } }): JSX.Element {
  const { store } = useExplorer();
  const host = useRef<HTMLDivElement>(null);
  const stage = useRef<Stage | null>(null);
  const looked = useRef<number | null>(null);
  const at = review.at.value!;
  void review.ahead.arrived.value;
  const entry = review.ahead.entry(at);
  const picture = entry && review.ahead.picture(entry.row);
  const whole = review.whole.value;
  const levels = store.columns.value.get("class_name")?.levels;
  const style = useMemo(() => {
    const own = entry?.shapes.filter((s) => !s.faint && s.name !== PREDICTED).map((s) => s.name) ?? [];
    const colors = classHues([...new Set(own)], levels ?? review.classes);
    for (const { faint, name } of entry?.shapes ?? []) if (faint && !colors.has(name)) colors.set(name, none(true));
    colors.set(PREDICTED, SUGGESTED);
    return { line: LINE_PX, fill: FILL, off: NOTHING_OFF, colors: colors.set(NO_CLASS, none(true)) };
  }, [entry, levels]);
  useLayoutEffect(() => {
    const scope = new Scope();
    const view = (stage.current = new Stage(host.current!, scope));
    zoomKeys.current = (key) => view.key(key);
    return () => scope.dispose();
  }, []);
  // Before the browser paints: an effect after it would leave the old picture beside the new text for a moment.
  useLayoutEffect(() => {
    const view = stage.current!;
    if (looked.current !== at) view.setImage(null);
    looked.current = at;
    view.setPicture(typeof picture === "object" ? picture.image : null);
    if (typeof picture === "object") view.setSize(picture.width, picture.height);
    else if (entry?.width && entry.height) view.setSize(entry.width, entry.height);
    view.setStyle(style);
    view.setShapes(entry?.shapes ?? [], entry?.asked ?? []);
  }, [at, entry, picture]);
  useLayoutEffect(() => stage.current!.setWhole(whole), [whole]);
  const n = entry?.others.length ?? 0;
  return (
    <div
      ref={host}
      class="stage"
      role="img"
      data-testid="review-picture"
      data-at={at}
      data-shown={typeof picture === "object" ? at : undefined}
      aria-label={entry ? `${entry.name}${entry.label ? `, label ${entry.given ?? "without class"}` : ""}${entry.suggestion ? `, suggestion ${entry.suggested ?? ""}` : ""}${n ? `, ${count(n)} other labels` : ""}` : "Loading"}
    >
      {typeof picture === "string" ? (
        <span class="muted">
          <span>This image cannot be shown.</span>
          <span class="small">{picture}</span>
        </span>
      ) : picture ? null : (
        <span class="muted late">loading…</span>
      )}
      {entry?.shapes.some((s) => s.name === PREDICTED) ? (
        <span class="review-legend" aria-hidden="true">
          {entry.label ? <><i class="line" style={{ borderColor: style.colors.get(entry.label.class_name ?? NO_CLASS) }} /> given </> : null}
          <i class="line dashed" style={{ borderColor: SUGGESTED }} /> suggested
        </span>
      ) : null}
    </div>
  );
}
