// The class of the selection (or of the open row): choose one of those there are, or type another; delete labels.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { take } from "../host/events";
import { Button, count, lift, useExplorer } from "./parts";

const MOST_OFFERED = 50;

export function ClassEditor({ rows }: { rows?: number[] }): JSX.Element | null {
  const { store, actions } = useExplorer();
  const draft = useSignal("");
  const open = useSignal(false);
  const at = useSignal(-1);
  const box = useRef<HTMLDivElement>(null);
  const { classes, level } = store.spec.value;
  const n = rows ? rows.length : store.selectedCount.value;
  const what = `${count(n)} ${n === 1 ? store.noun.value : store.nouns.value}`;
  const text = draft.value.trim();
  const offered = (classes ?? []).filter((c) => c.toLowerCase().includes(text.toLowerCase())).slice(0, MOST_OFFERED);
  const shown = open.value && offered.length > 0;
  useEffect(() => {
    const menu = box.current?.querySelector<HTMLElement>(".listbox");
    if (menu) lift(menu, box.current!, "left");
  }, [shown, text]);
  useEffect(() => box.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [at.value]);
  if (!classes) return null;
  const show = (value: boolean): void => {
    open.value = value;
    at.value = -1;
  };
  const apply = (name: string): void => {
    if (name) void actions.relabel(name, rows);
    draft.value = "";
    show(false);
  };
  const remove = async (): Promise<void> => {
    const next = rows ? actions.beside(rows[0]!) : null;
    if (!(await actions.deleteLabels(rows))) return;
    if (rows) actions.open(next);
    else actions.clearSelection();
  };
  const id = rows ? "classes-of-row" : "classes";
  return (
    <section class="class-editor" data-testid="class-editor">
      <h3>Class</h3>
      <div ref={box} class="row">
        <input
          class="input"
          role="combobox"
          aria-label={`Class for ${what}`}
          aria-expanded={shown}
          aria-controls={id}
          aria-autocomplete="list"
          aria-activedescendant={shown && at.value >= 0 ? `${id}-${at.value}` : undefined}
          autocomplete="off"
          data-testid="class-input"
          placeholder={n ? `relabel ${what}…` : `select ${store.nouns.value} to relabel`}
          disabled={!n}
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
        {level === "object" ? (
          <Button icon="delete" label={`Delete ${what}`} disabled={!n} testid="delete-labels" onClick={() => void remove()} />
        ) : null}
        {shown ? (
          <div id={id} class="popover listbox menu" role="listbox" aria-label="Classes">
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
      </div>
    </section>
  );
}
