// A page of tiles: small pictures with what is asked, ringed by what was answered; several are answered together.

import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { OPEN, type Review, SAID } from "../state/review";
import { KIND_NAMES } from "./ReviewCard";
import { hue, none } from "./palette";
import { Button, count, Icon, useExplorer } from "./parts";
import { SUGGESTED } from "./ReviewPicture";
import { outline } from "./Thumb";

const TILE_PX = 112;
const MIN_TILE_PX = 64;
const CAPTION_PX = 40;
const GAP_PX = 8;
const MARKS = ["", "check", "close", "edit", "delete"] as const;

export function ReviewTiles({ review, home }: { review: Review; home(): void }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const columns = useSignal(1);
  const tick = useSignal(0);
  useEffect(() => review.thumbs.onArrival(() => tick.value++), []);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width = 0, height = 0 } = entry?.contentRect ?? {};
      if (!width) return;
      const high = Math.max(MIN_TILE_PX, height - CAPTION_PX); // where little is high, one row has room with its words
      const across = (columns.value = Math.max(1, Math.floor((width + GAP_PX) / (TILE_PX + GAP_PX)), Math.ceil((width + GAP_PX) / (high + GAP_PX))));
      const side = (width + GAP_PX) / across - GAP_PX;
      review.resize(across * Math.max(1, Math.floor((height + GAP_PX) / (side + CAPTION_PX + GAP_PX))));
    });
    observer.observe(host.current!);
    return () => observer.disconnect();
  }, []);
  const page = review.page.value;
  useEffect(() => review.thumbs.need(page), [page]);
  void tick.value;
  return (
    <div class="review-page">
      <div ref={host} class="review-tiles" role="listbox" aria-multiselectable="true" aria-label="Entries" data-testid="review-tiles" data-columns={columns.value} style={{ gridTemplateColumns: `repeat(${columns.value}, minmax(0, 1fr))` }}>
        {page.map((i) => (
          <Tile key={i} review={review} i={i} url={review.thumbs.url(i)} home={home} />
        ))}
      </div>
      <div class="review-pager small">
        <Button icon="left" label="Previous page (PgUp)" keys="PageUp" onClick={() => review.turn(-1)} />
        <span class="muted nowrap">
          {page.length ? `${count(page[0]! + 1)}–${count(page.at(-1)! + 1)} of ${count(review.total.value)}` : ""}
        </span>
        <Button icon="right" label="Next page (PgDn)" keys="PageDown" onClick={() => review.turn(1)} />
        <span class="spacer" />
        <button class="link nowrap" aria-keyshortcuts="Control+a" onClick={() => (review.pickPage(), home())}>
          choose the open ones
        </button>
      </div>
    </div>
  );
}

/** It is drawn anew when something it was given changed, or a signal it reads: so the picture is given. */
function Tile({ review, i, url, home }: { review: Review; i: number; url: string | undefined; home(): void }): JSX.Element {
  const { store } = useExplorer();
  void review.ahead.arrived.value;
  const entry = review.ahead.entry(i);
  const shape = url ? review.thumbs.shape(i) : null;
  const code = review.decisions.value[i] ?? OPEN;
  const chosen = review.chosen.value.has(i);
  const kind = review.kindOf(i);
  const at = review.at.value === i;
  const levels = store.columns.value.get("class_name")?.levels ?? review.classes;
  const place = levels.indexOf(shape?.cls ?? "");
  const color = kind === "missed" ? SUGGESTED : place < 0 ? none(true) : hue(place, true);
  const from = entry ? (entry.given ?? (kind === "" ? entry.class_name : null)) : null;
  const to = kind === "class" || kind === "missed" ? entry?.suggested : null;
  return (
    <div
      class={`review-tile ${SAID[code]}${at ? " at" : ""}${chosen ? " chosen" : ""}`}
      role="option"
      aria-selected={chosen || (at && !review.chosen.value.size)}
      tabIndex={at ? 0 : -1}
      data-i={i}
      onClick={(event) => {
        review.pick(i, { shift: event.shiftKey, ctrl: event.ctrlKey || event.metaKey });
        home();
      }}
      onDblClick={() => review.showTiles(false)}
    >
      <span class="review-crop">
        {url ? <img src={url} alt="" draggable={false} /> : <span class="muted small">{url === "" ? "no picture" : ""}</span>}
        {shape ? (
          <svg class="outline" preserveAspectRatio="xMidYMid meet" ref={(svg) => { if (svg) outline(svg, shape, color, kind === "missed"); }}>
            <path />
            <path />
          </svg>
        ) : null}
        {code ? (
          <span class={`review-mark ${SAID[code]}`}>
            <Icon name={MARKS[code] || "check"} />
          </span>
        ) : null}
      </span>
      <span class="review-caption">
        {kind === "class" || kind === "missed" ? (
          <>
            <bdi class="chip-text muted">{kind === "missed" ? "missed" : (from ?? "no class")}</bdi>
            <span class="chip-text">
              → <bdi>{to ?? "…"}</bdi>
            </span>
          </>
        ) : (
          <>
            <bdi class="chip-text muted">{kind ? KIND_NAMES[kind] : ""}</bdi>
            <bdi class="chip-text">{from ?? (entry ? "no class" : "…")}</bdi>
          </>
        )}
      </span>
      <span class="visually-hidden">
        {SAID[code]}, {count(i + 1)}
      </span>
    </div>
  );
}
