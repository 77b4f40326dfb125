// The head of a review: what it is, kinds, whether all is saved, how far one is and how fast.

import type { JSX } from "preact";
import { timeLeft } from "../state/pace";
import { ACCEPTED, CHANGED, OPEN, REJECTED, REMOVED, type Review, SAID } from "../state/review";
import { Button, count, Segments, useExplorer } from "./parts";
import { KIND_NAMES } from "./ReviewCard";

/** Decisions in the order in which they are counted. */
export const DRAWN = [ACCEPTED, CHANGED, REMOVED, REJECTED] as const;

export function Head({ review, help }: { review: Review; help(): void }): JSX.Element {
  const { store } = useExplorer();
  const waiting = review.sending.waiting.value;
  const state = store.stale.value ? "not connected" : waiting ? `saving… ${waiting > 1 ? count(waiting) : ""}` : "saved";
  const kinds = review.spec.kinds;
  const codes = review.kinds.value;
  const decisions = review.decisions.value;
  const n = kinds.map(() => 0);
  codes.forEach((code, i) => decisions[i] === OPEN && n[code]!++);
  return (
    <div class="review-head">
      <strong class="ellipsis" title={review.spec.title}>
        {review.spec.title}
      </strong>
      {kinds.length > 1 && review.state.value === "ready" ? (
        <div class="chips" role="group" aria-label="Kinds" data-testid="review-kinds">
          {kinds.map((kind, k) => {
            const on = review.kind.value === k;
            return (
              <button
                key={kind}
                class={`chip${on ? " on" : ""}${n[k] ? "" : " none"}`}
                aria-pressed={on}
                title={`${KIND_NAMES[kind] ?? kind}: ${count(n[k]!)} left${on ? "; click shows all kinds" : "; click shows only these"}`}
                onClick={() => review.filter(on ? null : k, review.openOnly.value)}
              >
                <span class="chip-text">{KIND_NAMES[kind] ?? kind}</span>
                <span class="chip-n">{count(n[k]!)}</span>
              </button>
            );
          })}
        </div>
      ) : null}
      <span class="spacer" />
      <span class={`nowrap small ${store.stale.value ? "state warn" : "muted"}`} data-testid="review-saved">
        {state}
      </span>
      {review.total.value && review.state.value === "ready" ? (
        <>
          <Segments
            label="Which are shown"
            options={[
              { value: false, text: "all", on: !review.openOnly.value, title: "Arrows and tiles show every entry" },
              { value: true, text: "open", on: review.openOnly.value, title: "Arrows and tiles show only what is open" },
            ]}
            onChange={(open) => review.filter(review.kind.value, open)}
          />
          <Button icon="tiles" label="Tiles (G)" keys="g" pressed={review.tiles.value} testid="review-mode" onClick={() => review.showTiles(!review.tiles.value)} />
          <Button icon="undo" label={store.undo.value ? `Undo: ${store.undo.value} (U)` : "Nothing to undo"} keys="u" disabled={!store.undo.value && !waiting} onClick={() => review.undo()} />
        </>
      ) : null}
      <Button label="Keys (?)" keys="?" onClick={help} testid="review-help">
        ?
      </Button>
      <Button icon="close" label="Back to the explorer (Esc)" keys="Escape" onClick={() => review.open(false)} testid="review-close" />
    </div>
  );
}

export function Progress({ review }: { review: Review }): JSX.Element {
  const counts = review.counts.value;
  const total = review.total.value;
  const pace = review.perMinute.value;
  const left = counts[OPEN]!;
  return (
    <div class="review-progress">
      <div
        class="review-bar"
        role="progressbar"
        aria-label="Reviewed"
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuenow={total - left}
        aria-valuetext={`${count(total - left)} of ${count(total)}`}
      >
        {DRAWN.map((code) => (
          <span key={code} class={`share ${SAID[code]}`} style={{ width: `${(100 * counts[code]!) / total}%` }} />
        ))}
      </div>
      <span class="nowrap" data-testid="review-counts">
        {DRAWN.filter((code) => counts[code] || code === ACCEPTED || code === REJECTED).map((code) => (
          <span key={code} class="tally">
            <i class={`share ${SAID[code]}`} />
            {count(counts[code]!)} {SAID[code]}
          </span>
        ))}
        <span class="tally">
          <strong>{count(left)} left</strong>
        </span>
      </span>
      <span class="nowrap muted" data-testid="review-pace">
        {pace === null ? "" : `${Math.round(pace)} a minute${left && pace >= 1 ? ` · ${timeLeft(left, pace)}` : ""}`}
      </span>
    </div>
  );
}
