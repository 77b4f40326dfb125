// What is asked about one entry, why, and the answers.

import type { ComponentChildren, JSX } from "preact";
import type { Question } from "../state/ahead";
import { CHANGED, OPEN, type Review, SAID } from "../state/review";
import { ClassField } from "./ClassEditor";
import { Note } from "./Detail";
import { count, Icon, Link } from "./parts";
import { TagEditor } from "./TagEditor";

const MOST_NUMBERED = 9;

export const KIND_NAMES: Record<string, string> = {
  "": "Check",
  class: "Class",
  missed: "Missed",
  spurious: "Spurious",
  location: "Misplaced",
  duplicate: "Duplicate",
};
/** What accepting and rejecting do, by kind of question. */
const ANSWERS: Record<string, [accept: string, reject: string]> = {
  "": ["It is right", "It is wrong"],
  class: ["Accept", "Keep"],
  missed: ["Add this object", "No object"],
  spurious: ["Remove the label", "Keep it"],
  location: ["Take the new shape", "Keep the old shape"],
  duplicate: ["Remove this one", "Keep both"],
};
const NOTHING: Record<string, string> = { missed: "nothing here", spurious: "no object here", duplicate: "only once" };

export function Card({ review, home }: { review: Review; home(): void }): JSX.Element {
  const at = review.at.value!;
  void review.ahead.arrived.value;
  const entry = review.ahead.entry(at);
  const targets = review.targets;
  const several = targets.length > 1;
  const rows = targets.flatMap((i) => review.ahead.entry(i)?.row ?? []);
  const code = review.decisions.value[at] ?? OPEN;
  const kind = review.kindOf(at);
  return (
    <div class="review-card" data-testid="review-card" data-at={at}>
      <div class="review-scroll">
        <div class="row">
          <span class="review-kind">{KIND_NAMES[kind] ?? kind}</span>
          {code !== OPEN ? (
            <span class={`review-said ${SAID[code]}`} data-testid="review-said">
              {SAID[code]}
            </span>
          ) : null}
          {code !== OPEN && !several ? <Link text="reopen" onClick={() => review.decide("clear")} /> : null}
          <span class="spacer" />
          <span class="nowrap muted" data-testid="review-place">
            {count(at + 1)} of {count(review.total.value)}
          </span>
        </div>
        {several ? <p class="review-several">{count(targets.length)} tiles chosen: an answer goes to all of them.</p> : null}
        {entry ? <Asked entry={entry} code={code} /> : <p class="muted late">loading…</p>}
        <Classes review={review} entry={entry} home={home} />
        {rows.length ? <TagEditor rows={rows} /> : null}
        {entry && !several ? <Note key={at} detail={entry} /> : null}
      </div>
      <Answers review={review} entry={entry} kind={kind} n={targets.length} home={home} />
    </div>
  );
}

function Asked({ entry, code }: { entry: Question; code: number }): JSX.Element {
  const { kind, given, suggested, score, reason, class_name } = entry;
  const labelled = given ?? (kind === "" ? class_name : null);
  return (
    <>
      <dl class="review-asked">
        <Line name="Labelled" sample={kind === "missed" ? null : "given"}>
          {kind === "missed" ? <span class="muted">nothing</span> : <Name text={labelled} />}
        </Line>
        {kind === "" ? null : (
          <Line name="Suggested" sample={kind === "spurious" || kind === "duplicate" ? null : "suggested"}>
            {kind === "spurious" || kind === "duplicate" ? <span class="review-name">{NOTHING[kind]}</span> : kind === "location" ? <span class="review-name">another place</span> : <Name text={suggested} />}
          </Line>
        )}
        {code === CHANGED && class_name !== labelled ? (
          <Line name="Now" sample={null}>
            <Name text={class_name} />
          </Line>
        ) : null}
      </dl>
      {score === null ? null : (
        <div class="review-score">
          <span class="muted small">how likely wrong, 0–1</span>
          <span class="bar" role="img" aria-label={`${score.toFixed(2)} of 1`}>
            <span style={{ width: `${100 * Math.min(1, Math.max(0, score))}%` }} />
          </span>
          <strong>{score.toFixed(2)}</strong>
        </div>
      )}
      {reason ? <p class="wrap">{reason}</p> : null}
      <p class="small muted wrap" title={entry.uri}>
        <bdi>{entry.name}</bdi>
        {entry.width ? ` · ${entry.width} × ${entry.height} px` : ""}
      </p>
    </>
  );
}

function Line({ name, sample, children }: { name: string; sample: "given" | "suggested" | null; children: ComponentChildren }): JSX.Element {
  return (
    <div class={sample ?? ""}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Name({ text }: { text: string | null }): JSX.Element {
  return text === null ? <span class="muted">no class</span> : <bdi class="review-name" title={text}>{text}</bdi>;
}

/** The first nine by number, any by typing. */
function Classes({ review, entry, home }: { review: Review; entry: Question | undefined; home(): void }): JSX.Element {
  return (
    <section class="review-classes">
      <h3>Another class</h3>
      {review.classes.length ? (
        <div class="review-numbers">
          {review.classes.slice(0, MOST_NUMBERED).map((name, i) => {
            const now = entry?.class_name === name && entry.kind !== "missed";
            return (
              <button key={name} class={`review-number${now ? " now" : ""}`} title={name} aria-keyshortcuts={String(i + 1)} aria-current={now ? "true" : undefined} onClick={(event) => press(event, () => review.decide("class", name), home)}>
                <kbd aria-hidden="true">{i + 1}</kbd>
                <bdi class="chip-text">{name}</bdi>
                {entry?.kind === "class" && entry.suggested === name ? <span class="review-star" title="suggested" /> : null}
              </button>
            );
          })}
        </div>
      ) : null}
      <ClassField id="review-class-list" label="Any class" hint={review.classes.length ? "0  any class…" : "0  type a class…"} classes={review.classes} onPick={(name) => (review.decide("class", name), home())} />
    </section>
  );
}

interface Answer {
  text: string;
  keys: string;
  shown: string;
  testid: string;
  run(): void;
  icon?: "check" | "close" | "delete" | "right";
  primary?: boolean;
}

/** Always in the same place: one can answer with the mouse without looking for the buttons. */
function Answers({ review, entry, kind, n, home }: { review: Review; entry: Question | undefined; kind: string; n: number; home(): void }): JSX.Element {
  const [yes, no] = ANSWERS[kind] ?? ANSWERS["class"]!;
  const quoted = (verb: string, name: string | null | undefined): string => (kind === "class" && name ? `${verb} “${name}”` : verb);
  const what = n > 1 ? `Accept ${count(n)}` : quoted(yes, entry?.suggested);
  const list: Answer[] = [
    { text: what, keys: "Enter", shown: "Enter", testid: "review-accept", icon: "check", primary: true, run: () => review.decide("accept") },
    { text: n > 1 ? `Reject ${count(n)}` : quoted(no, entry?.given), keys: "x", shown: "X", testid: "review-reject", icon: "close", run: () => review.decide("reject") },
    { text: "Skip", keys: "s", shown: "S", testid: "review-skip", icon: "right", run: () => review.skip() },
  ];
  if (entry?.label && kind !== "spurious" && kind !== "duplicate")
    list.splice(2, 0, { text: "Remove", keys: "Delete", shown: "Del", testid: "review-remove", icon: "delete", run: () => review.decide("remove") });
  return (
    <div class="review-answers" role="group" aria-label="Answers">
      {list.map(({ text, keys, shown, testid, icon, primary, run }) => (
        <button
          key={testid}
          class={`button ${primary ? "primary" : "plain"}`}
          aria-keyshortcuts={keys}
          title={`${text} (${shown})`}
          data-testid={testid}
          onClick={(event) => press(event, run, home)}
        >
          {icon ? <Icon name={icon} /> : null}
          <bdi class="chip-text">{text}</bdi>
          <kbd aria-hidden="true">{shown}</kbd>
        </button>
      ))}
    </div>
  );
}

/** After a click with the mouse the keys are those of the review again: Enter must not press the button once more. */
function press(event: MouseEvent, run: () => void, home: () => void): void {
  run();
  if (event.detail) home();
}
