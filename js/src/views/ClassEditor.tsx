// The class of the selection (or of the open row): choose one of those there are, or type another; delete labels.
// The field for it serves a review too.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { take } from "../host/events";
import { Button, count, lift, useExplorer } from "./parts";

const MOST_OFFERED = 50;

/** A field that takes a class: one of those that are offered, or another. */
export function ClassField({ id, label, hint, classes, disabled, onPick }: {
  id: string;
  label: string;
  hint: string;
  classes: readonly string[];
  disabled?: boolean;
  onPick(name: string): void;
}): JSX.Element {
  const draft = useSignal("");
  const open = useSignal(false);
  const at = useSignal(-1);
  const field = useRef<HTMLInputElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  const text = draft.value.trim();
  const offered = classes.filter((c) => c.toLowerCase().includes(text.toLowerCase())).slice(0, MOST_OFFERED);
  const shown = open.value && offered.length > 0;
  useEffect(() => {
    if (menu.current) lift(menu.current, field.current!.parentElement!, "left");
  }, [shown, text]);
  useEffect(() => menu.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [at.value]);
  const show = (value: boolean): void => {
    open.value = value;
    at.value = -1;
  };
  const apply = (name: string): void => {
    if (name) onPick(name);
    draft.value = "";
    show(false);
  };
  return (
    <>
      <input
        ref={field}
        class="input"
        role="combobox"
        aria-label={label}
        aria-expanded={shown}
        aria-controls={id}
        aria-autocomplete="list"
        aria-activedescendant={shown && at.value >= 0 ? `${id}-${at.value}` : undefined}
        autocomplete="off"
        data-testid="class-input"
        placeholder={hint}
        disabled={disabled ?? false}
        maxLength={200}
        value={draft.value}
        onFocus={() => show(true)}
        onBlur={() => show(false)}
        onInput={(e) => {
          draft.value = e.currentTarget.value;
          show(true);
        }}
        onKeyDown={(e) => {
          const by = e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0;
          if (by && !shown) show(true);
          else if (by) at.value = (at.value + by + (at.value < 0 && by < 0 ? 1 : 0) + offered.length) % offered.length;
          else if (e.key === "Enter") apply(offered[at.value] ?? text);
          else if (e.key === "Escape" && (shown || draft.value)) {
            draft.value = "";
            show(false);
          } else return;
          take(e);
        }}
      />
      {shown ? (
        <div ref={menu} id={id} class="popover listbox menu" role="listbox" aria-label="Classes">
          {offered.map((name, i) => (
            <div
              key={name}
              id={`${id}-${i}`}
              role="option"
              aria-selected={i === at.value}
              onPointerDown={(e) => {
                e.preventDefault(); // the field keeps the focus
                apply(name);
              }}
            >
              {name}
            </div>
          ))}
        </div>
      ) : null}
    </>
  );
}

export function ClassEditor({ rows }: { rows?: number[] }): JSX.Element | null {
  const { store, actions } = useExplorer();
  const { classes, level } = store.spec.value;
  const n = rows ? rows.length : store.selectedCount.value;
  const what = `${count(n)} ${n === 1 ? store.noun.value : store.nouns.value}`;
  if (!classes) return null;
  const remove = async (): Promise<void> => {
    const next = rows ? actions.beside(rows[0]!) : null;
    if (!(await actions.deleteLabels(rows))) return;
    if (rows) actions.open(next);
    else actions.clearSelection();
  };
  return (
    <section class="class-editor" data-testid="class-editor">
      <h3>Class</h3>
      <div class="row">
        <ClassField
          id={rows ? "classes-of-row" : "classes"}
          label={`Class for ${what}`}
          hint={n ? `relabel ${what}…` : `select ${store.nouns.value} to relabel`}
          classes={classes}
          disabled={!n}
          onPick={(name) => void actions.relabel(name, rows)}
        />
        {level === "object" ? (
          <Button icon="delete" label={`Delete ${what}`} disabled={!n} testid="delete-labels" onClick={() => void remove()} />
        ) : null}
      </div>
    </section>
  );
}
