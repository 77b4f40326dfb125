// A review with no entry to show: it is loading, could not be loaded, is empty, or done.

import type { JSX } from "preact";
import { type Review, SAID } from "../state/review";
import { Button, count, useExplorer } from "./parts";
import { KIND_NAMES } from "./ReviewCard";
import { DRAWN } from "./ReviewHead";

export function Waiting({ review }: { review: Review }): JSX.Element {
  if (review.state.value === "loading")
    return (
      <div class="review-message" role="status">
        <span class="muted">Loading the review…</span>
      </div>
    );
  return (
    <div class="review-message" role="alert">
      <strong>The review could not be loaded</strong>
      <span class="muted">Nothing was changed. What was answered before is kept in the project.</span>
      <Button
        kind="primary"
        label="Try again"
        onClick={() => {
          review.state.value = "loading";
          void review.refresh();
        }}
      >
        Try again
      </Button>
    </div>
  );
}

export function Message({ title, text, review }: { title: string; text: string; review: Review }): JSX.Element {
  return (
    <div class="review-message">
      <strong>{title}</strong>
      <span class="muted">{text}</span>
      <Back review={review} />
    </div>
  );
}

function Back({ review }: { review: Review }): JSX.Element {
  return (
    <Button kind="primary" label="Back to the explorer" testid="review-back" onClick={() => review.open(false)}>
      Back to the explorer
    </Button>
  );
}

/** Nothing is open: of all, or of the kind that is shown. */
export function Done({ review, left }: { review: Review; left: number }): JSX.Element {
  const { store } = useExplorer();
  const counts = review.counts.value;
  const total = review.total.value;
  const waiting = review.sending.waiting.value;
  const told = DRAWN.filter((code) => counts[code]).map((code) => `${count(counts[code]!)} ${SAID[code]}`);
  const kind = review.kind.value === null ? "" : review.spec.kinds[review.kind.value]!;
  return (
    <div class="review-message" data-testid="review-done">
      <span class="review-tick" aria-hidden="true">
        ✓
      </span>
      {left ? (
        <>
          <strong>{kind ? `${KIND_NAMES[kind] ?? kind}: all reviewed` : "None is open here"}</strong>
          <span class="muted">{count(left)} of other kinds are open.</span>
          <Button kind="primary" label="Show all kinds" onClick={() => review.filter(null, review.openOnly.value)}>
            Show all kinds
          </Button>
        </>
      ) : (
        <>
          <strong>
            All {count(total)} reviewed: {told.join(", ")}
          </strong>
          <span class="muted">
            {waiting ? `Saving the last ${count(waiting)}…` : store.stale.value ? "The kernel is gone: re-run this cell." : "Everything is saved."} In Python, <code>p.changes()</code> lists what was changed.
          </span>
          <Back review={review} />
        </>
      )}
      <span class="muted small">
        <kbd>←</kbd> looks back, <kbd>U</kbd> takes back the last one.
      </span>
    </div>
  );
}
