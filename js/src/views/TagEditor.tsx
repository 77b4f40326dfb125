// Tags of the selection (or of one image): type to create, click or number key to toggle.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { take } from "../host/events";
import type { Tag } from "../protocol/messages";
import { tagColor } from "./palette";
import { count, Dot, Icon, Popover, useExplorer } from "./parts";

const SWATCHES = ["#d9545b", "#e8872b", "#c59a1c", "#59a14f", "#3c9d9b", "#4e79a7", "#b07aa1", "#e377a2", "#9c755f", "#6c727b"];
const MOST_SUGGESTED = 40;

export function TagEditor({ rows }: { rows?: number[] }): JSX.Element {
  const { store, actions } = useExplorer();
  const draft = useSignal("");
  const n = rows ? rows.length : store.selectedCount.value;
  const tags = store.tags.value;
  void store.tagMasks.value;
  void store.selected.value;
  const text = draft.value.trim();
  const shown = text ? tags.filter((t) => t.name.toLowerCase().includes(text.toLowerCase())) : tags;
  const exact = tags.some((t) => t.name === text);
  const fixed = store.spec.value.offline?.collects === false; // a page that only shows
  const submit = (): void => {
    if (!text) return;
    if (n > 0) void actions.tag([text], [], rows);
    else void actions.createTag(text);
    draft.value = "";
  };
  return (
    <section class="tag-editor" data-testid="tag-editor">
      <h3>{rows ? "Tags" : "Tags of the selection"}</h3>
      {fixed ? null : <input
        class="input"
        data-testid="tag-input"
        placeholder={n > 0 ? "add a tag…" : "new tag…"}
        aria-label="Add a tag"
        value={draft.value}
        maxLength={200}
        onInput={(e) => (draft.value = e.currentTarget.value)}
        onKeyDown={(e) => {
          if (e.key === "Enter") submit();
          else if (e.key === "Escape" && draft.value) draft.value = "";
          else return;
          take(e);
        }}
      />}
      <div class="chips">
        {shown.slice(0, MOST_SUGGESTED).map((tag) => (
          <TagChip key={tag.name} tag={tag} rows={rows} enabled={n > 0} fixed={fixed} />
        ))}
        {text && !exact ? (
          <button class="chip new" onClick={submit}>
            <Icon name="plus" /> <span class="chip-text">{text}</span>
          </button>
        ) : null}
      </div>
      {n === 0 && !rows ? <p class="muted small">Nothing selected. Drag on the map, click tiles, or press Ctrl+A.</p> : null}
    </section>
  );
}

function TagChip({ tag, rows, enabled, fixed }: { tag: Tag; rows: number[] | undefined; enabled: boolean; fixed: boolean }): JSX.Element {
  const { store, actions } = useExplorer();
  const state = enabled ? actions.tagState(tag.name, rows) : "none";
  const color = tagColor(store.tags.value, tag.name, store.dark.value);
  const words = { all: "on all", some: "on some", none: "on none" }[state];
  return (
    <span class={`chip tag ${state}`}>
      <button
        class="chip-inner"
        aria-pressed={state === "all" ? "true" : state === "some" ? "mixed" : "false"}
        title={enabled ? `${tag.name}: ${words}${fixed ? "" : `; click to ${state === "all" ? "take it off" : "put it on all"}`}` : tag.name}
        disabled={!enabled || fixed}
        onClick={() => void actions.toggleTag(tag.name, rows)}
      >
        {tag.key ? <kbd aria-hidden="true">{tag.key}</kbd> : null}
        <Dot color={color} />
        <span class="chip-text">
          {tag.name}
          <span class="unseen">, {words} of the selection, </span>
        </span>
        <span class="chip-n">
          {count(tag.count)}
          <span class="unseen"> in all</span>
        </span>
      </button>
      {store.spec.value.offline ? null : (
        <Popover label={`Edit tag ${tag.name}`} trigger={<Icon name="more" />} align="right">
          {(close) => <TagMenu tag={tag} close={close} />}
        </Popover>
      )}
    </span>
  );
}

function TagMenu({ tag, close }: { tag: Tag; close(): void }): JSX.Element {
  const { store, actions } = useExplorer();
  const name = useSignal(tag.name);
  const sure = useSignal(false);
  const wanted = name.value.trim();
  const merges = wanted !== tag.name && store.tags.value.some((t) => t.name === wanted);
  return (
    <div class="tag-menu">
      <form
        class="row"
        onSubmit={(e) => {
          e.preventDefault();
          if (wanted && wanted !== tag.name) void actions.renameTag(tag.name, wanted, merges);
          close();
        }}
      >
        <input class="input" aria-label="New name" value={name.value} onInput={(e) => (name.value = e.currentTarget.value)} />
        <button type="submit" class="button" disabled={!wanted || wanted === tag.name}>
          {merges ? "Merge" : "Rename"}
        </button>
      </form>
      <p class="muted small">{merges ? `There is a tag “${wanted}”: the two are joined.` : "The name of another tag joins the two."}</p>
      <div class="swatches" role="group" aria-label="Colour">
        {SWATCHES.map((color) => (
          <button
            key={color}
            class={tag.color === color ? "swatch on" : "swatch"}
            style={{ background: color }}
            aria-label={`Colour ${color}`}
            aria-pressed={tag.color === color}
            onClick={() => void actions.colorTag(tag.name, tag.color === color ? null : color)}
          />
        ))}
      </div>
      {sure.value ? (
        <button
          class="button danger"
          onClick={() => {
            void actions.deleteTag(tag.name);
            close();
          }}
        >
          Delete from {count(tag.count)} {tag.count === 1 ? store.noun.value : store.nouns.value}
        </button>
      ) : (
        <button class="button" onClick={() => (sure.value = true)}>
          Delete…
        </button>
      )}
    </div>
  );
}
