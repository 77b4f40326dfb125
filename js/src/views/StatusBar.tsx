// The line below: how many are selected and match, the filter in words, saved or busy, keys.

import type { JSX } from "preact";
import { describe, isEmpty, polars } from "../protocol/filter";
import type { Job } from "../protocol/messages";
import { Button, count, Icon, Link, Popover, Progress, useExplorer } from "./parts";
import { TileSize } from "./TopBar";

export function StatusBar(): JSX.Element {
  const { store, actions } = useExplorer();
  const spec = store.spec.value;
  const result = store.result.value;
  const total = spec.base?.n ?? spec.alive;
  const selected = store.selectedCount.value;
  const filter = store.filter.value;
  const job = store.job.value;
  return (
    <div class="statusbar" role="group" aria-label="Status">
      <span class="nowrap" data-testid="selected">
        <strong>{count(selected)}</strong> selected
      </span>
      {selected ? (
        <span class="nowrap actions">
          <Link text="show only these" onClick={() => actions.keepSelection()} />
          <Link text="invert" onClick={() => actions.invert()} />
          <Link text="clear" onClick={() => actions.clearSelection()} />
        </span>
      ) : (
        <Link text="select all that match" testid="select-all" onClick={() => actions.selectMatching()} />
      )}
      <span class="nowrap muted" data-testid="matching">
        {count(result?.matching ?? total)} of {count(total)} match
      </span>
      <span class="mono muted ellipsis filter-text" title={describe(filter)}>
        {isEmpty(filter) ? "" : polars(filter)}
      </span>
      <span class="spacer" />
      <More />
      {job?.state === "running" ? <Running job={job} /> : null}
      {spec.problems ? (
        <span class="muted nowrap" title="Listed in p.problems: what was skipped, why, and what to do">
          {count(spec.problems)} {spec.problems === 1 ? "problem" : "problems"}
        </span>
      ) : null}
      <State />
      <Button kind="ghost" label="Keys (?)" onClick={() => (store.help.value = !store.help.value)}>
        ? keys
      </Button>
    </div>
  );
}

/** What a narrow cell has no room for. */
function More(): JSX.Element {
  const { store, actions } = useExplorer();
  const items: [string, () => void, boolean][] = [
    ["Select all that match", () => actions.selectMatching(), true],
    ["Show only the selection", () => actions.keepSelection(), store.selectedCount.value > 0],
    ["Invert the selection", () => actions.invert(), true],
    ["Clear the selection", () => actions.clearSelection(), store.selectedCount.value > 0],
  ];
  return (
    <span class="narrow-only">
      <Popover label="Selection and tile size" trigger={<Icon name="more" />} align="right" testid="more">
        {(close) => (
          <div class="menu">
            {items.map(([text, run, enabled]) => (
              <button
                key={text}
                disabled={!enabled}
                onClick={() => {
                  run();
                  close();
                }}
              >
                {text}
              </button>
            ))}
            <label class="menu-row">
              tile size <TileSize />
            </label>
          </div>
        )}
      </Popover>
    </span>
  );
}

function State(): JSX.Element {
  const { store } = useExplorer();
  const { offline } = store.spec.value;
  const text = offline ? (offline.collects ? "a copy: edits are collected" : "a copy: read-only") : store.stale.value ? "disconnected" : store.silent.value ? "no answer" : store.busy.value ? "kernel busy" : store.saving.value ? "saving…" : "saved";
  return (
    <span class={`nowrap state ${store.stale.value || store.silent.value || store.busy.value ? "warn" : "muted"}`} data-testid="state">
      {text}
    </span>
  );
}

function Running({ job }: { job: Job }): JSX.Element {
  const { actions } = useExplorer();
  const share = job.total > 1 ? job.done / job.total : null;
  const rate = job.rate && job.total > 1 ? `${job.rate >= 10 ? Math.round(job.rate) : job.rate.toFixed(1)}/s` : "";
  return (
    <span class="running" data-testid="job">
      <span class="nowrap">
        {job.stage || job.title}
        {job.total > 1 ? ` ${count(job.done)}/${count(job.total)}` : "…"}
      </span>
      <Progress share={share} />
      <span class="muted nowrap">
        {rate}
        {job.eta !== null && job.total > 1 ? ` · ${duration(job.eta)} left` : ""}
      </span>
      <Link text="stop" onClick={() => void actions.cancelJob()} />
    </span>
  );
}

function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 3600 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
