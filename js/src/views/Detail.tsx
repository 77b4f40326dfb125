// One row, large: its image with all objects and a legend, class, tags, note, values, neighbours, previous and next.

import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { take } from "../host/events";
import { Scope } from "../host/scope";
import type { Detail, DetailObject } from "../protocol/messages";
import { layerOf, NO_CLASS, PREDICTED, readShapes } from "../render/shapes";
import { Stage, type StageStyle } from "../render/stage";
import { ClassEditor } from "./ClassEditor";
import { Neighbours, useDetail, Values } from "./Inspector";
import { classHues, hue, none } from "./palette";
import { Button, count, Dot, Link, Select, Slider, useExplorer } from "./parts";
import { TagEditor } from "./TagEditor";

const NEIGHBOURS = 12;
const OUTCOMES = ["TP", "FP", "ignored", ""];
const MOST_SIDE_PX = 2048;

export function DetailView({ row }: { row: number }): JSX.Element {
  const { store, actions } = useExplorer();
  const dialog = useRef<HTMLDivElement>(null);
  const { detail, near } = useDetail(row, NEIGHBOURS, 0);
  const off = useSignal<ReadonlySet<string>>(new Set());
  const zoomKeys = useRef<(key: string) => boolean>(() => false);
  useEffect(() => {
    const root = dialog.current!.getRootNode() as ShadowRoot;
    const before = root.activeElement as HTMLElement | null;
    dialog.current!.focus();
    return () => {
      const now = root.activeElement;
      if (!now || dialog.current?.contains(now)) before?.focus?.(); // else it was taken somewhere on purpose
    };
  }, []);
  const visible = store.result.value?.visible;
  const at = useMemo(() => visible?.indexOf(row) ?? -1, [visible, row]);
  const levels = store.columns.value.get("class_name")?.levels;
  const colors = useMemo(() => {
    const hues = classHues([...new Set(detail?.objects.map((o) => o.class_name ?? NO_CLASS))].sort(), levels);
    const layers = new Set(detail?.predictions?.map(layerOf));
    OUTCOMES.forEach((outcome, i) => layers.has(PREDICTED + outcome) && hues.set(PREDICTED + outcome, i < 2 ? hue(i, true) : none(true)));
    return hues;
  }, [detail, levels]);
  const [line, fill] = [store.line.value, store.fill.value];
  const style = useMemo(() => ({ line, fill, off: off.value, colors }), [line, fill, off.value, colors]);
  const rows = useMemo(() => [row], [row]);
  const noun = store.noun.value;
  return (
    <div
      ref={dialog}
      class="detail"
      role="dialog"
      aria-modal="true"
      aria-label={`${noun[0]!.toUpperCase()}${noun.slice(1)} ${detail?.name ?? ""}`}
      tabIndex={-1}
      data-testid="detail"
      onKeyDown={(event) => {
        if (event.key === "Tab") return trap(event, dialog.current!);
        const inInput = (event.target as Element).matches?.("input, select, textarea");
        if (event.key === "Escape") actions.open(null);
        else if (inInput) return;
        else if (event.key === "ArrowRight") actions.step(1);
        else if (event.key === "ArrowLeft") actions.step(-1);
        else if (event.ctrlKey || event.metaKey || event.altKey || !zoomKeys.current(event.key)) return;
        take(event);
      }}
    >
      <div class="detail-head">
        <strong class="ellipsis" title={detail?.uri}>
          {detail?.name ?? "…"}
        </strong>
        <span class="muted nowrap">
          {detail?.width ? `${detail.width} × ${detail.height} px` : ""}
          {at >= 0 ? ` · ${count(at + 1)} of ${count(visible!.length)}` : ""}
        </span>
        <span class="spacer" />
        <Button icon="left" label="Previous (←)" disabled={at <= 0} onClick={() => actions.step(-1)} />
        <Button icon="right" label="Next (→)" disabled={!visible || at < 0 || at >= visible.length - 1} onClick={() => actions.step(1)} />
        <Button icon="close" label="Close (Esc)" onClick={() => actions.open(null)} testid="detail-close" />
      </div>
      <div class="detail-body">
        <StagePane zoomKeys={zoomKeys} row={row} detail={detail} style={style} />
        <div class="detail-side">
          {detail?.runs?.length ? <Runs detail={detail} /> : null}
          {colors.size ? <Layers objects={[...detail!.objects, ...(detail!.predictions ?? [])]} off={off} colors={colors} /> : null}
          <ClassEditor rows={rows} />
          <TagEditor rows={rows} />
          {detail?.note !== undefined ? <Note key={row} detail={detail} /> : null}
          {detail?.problems.map((p) => (
            <p key={p} class="warning">
              {p}
            </p>
          ))}
          {detail ? (
            <section>
              <h3>Values</h3>
              {detail.class_name ? (
                <p class="small">
                  <span class="muted">class</span> {detail.class_name}
                </p>
              ) : null}
              <Values detail={detail} />
              <p class="small muted wrap">{detail.uri}</p>
            </section>
          ) : null}
          {near.length ? (
            <section>
              <h3>Most similar · cosine distance</h3>
              <Neighbours near={near} onOpen={(r) => actions.open(r)} />
            </section>
          ) : null}
        </div>
      </div>
    </div>
  );
}

/** Keep the focus in a panel that lies over everything else. */
export function trap(event: KeyboardEvent, root: HTMLElement): void {
  const list = [...root.querySelectorAll<HTMLElement>("button:not([disabled]), input, select, [tabindex='0']")].filter((e) => e.offsetParent !== null);
  const active = (root.getRootNode() as ShadowRoot).activeElement;
  const [first, last] = [list[0], list[list.length - 1]];
  if (event.shiftKey && (active === first || active === root)) last?.focus();
  else if (!event.shiftKey && active === last) first?.focus();
  else return;
  event.preventDefault();
}

interface StagePaneProps {
  zoomKeys: { current: (key: string) => boolean };
  row: number;
  detail: Detail | null;
  style: StageStyle;
}

/** The image with its objects; wheel zooms, dragging moves, 0 fits. */
function StagePane({ zoomKeys, row, detail, style }: StagePaneProps): JSX.Element {
  const { explorer } = useExplorer();
  const host = useRef<HTMLDivElement>(null);
  const stage = useRef<Stage | null>(null);
  const failed = useSignal(false);
  useEffect(() => {
    const scope = new Scope();
    const view = (stage.current = new Stage(host.current!, scope));
    zoomKeys.current = (key) => view.key(key);
    return () => scope.dispose();
  }, []);
  useEffect(() => {
    let made: string | null = null;
    let current = true;
    stage.current!.setImage(null);
    failed.value = false;
    void explorer.ask<{ w: number; h: number; mime: string; width: number | null; height: number | null }>("image.get", { row, max: MOST_SIDE_PX }).then((reply) => {
      if (!current) return;
      failed.value = !reply;
      if (!reply) return;
      const { mime, width, height, w, h } = reply.head;
      made = URL.createObjectURL(new Blob([reply.buffers[0]!.slice()], { type: mime }));
      stage.current!.setSize(width ?? w, height ?? h);
      stage.current!.setImage(made);
    });
    return () => {
      current = false;
      if (made) URL.revokeObjectURL(made);
    };
  }, [row]);
  useEffect(() => {
    if (!detail) return;
    if (detail.width && detail.height) stage.current!.setSize(detail.width, detail.height);
    stage.current!.setShapes(readShapes(detail), detail.focus ?? null);
  }, [detail]);
  useEffect(() => stage.current!.setStyle(style), [style]);
  const n = detail?.objects.length ?? 0;
  return (
    <div ref={host} class="stage" tabIndex={0} role="img" aria-label={`Image with ${count(n)} ${n === 1 ? "object" : "objects"}; plus and minus zoom, 0 fits`}>
      {failed.value ? <span class="muted">This image cannot be shown.</span> : null}
    </div>
  );
}

/** Whose predictions are laid over the labels. */
function Runs({ detail }: { detail: Detail }): JSX.Element | null {
  const { store } = useExplorer();
  if (store.spec.value.levels.some((l) => l.run && l.id === store.spec.value.level)) return null; // that of the level
  const options = [{ value: "", text: "none" }, ...detail.runs!.map((r) => ({ value: r, text: r }))];
  return (
    <label class="labelled small">
      <span class="muted">predictions of</span>
      <Select label="Predictions of" testid="detail-run" value={store.run.value ?? ""} options={options} onChange={(v) => (store.run.value = v || null)} />
    </label>
  );
}

/** Which classes are drawn, and how. */
function Layers({ objects, off, colors }: { objects: readonly DetailObject[]; off: Signal<ReadonlySet<string>>; colors: ReadonlyMap<string, string> }): JSX.Element {
  const { store } = useExplorer();
  const slider = (name: string, value: Signal<number>, most: number, step: number): JSX.Element => (
    <Slider name={name} label={name} max={most} step={step} value={value.value} onInput={(v) => (value.value = v)} />
  );
  return (
    <section>
      <div class="row">
        <h3>Objects</h3>
        <span class="spacer" />
        <Link text="all" onClick={() => (off.value = new Set())} />
        <Link text="none" onClick={() => (off.value = new Set(colors.keys()))} />
      </div>
      <div class="chips">
        {[...colors].map(([name, color]) => (
          <button
            key={name}
            class={off.value.has(name) ? "chip none" : "chip"}
            aria-pressed={!off.value.has(name)}
            onClick={() => {
              const next = new Set(off.value);
              if (!next.delete(name)) next.add(name);
              off.value = next;
            }}
          >
            <Dot color={color} />
            <span class="chip-text">{name.startsWith(PREDICTED) ? `predicted ${name.slice(1)}` : name}</span>
            <span class="chip-n">{count(objects.filter((o) => layerOf(o) === name).length)}</span>
          </button>
        ))}
      </div>
      <div class="row sliders">
        {slider("line", store.line, 6, 0.5)}
        {slider("fill", store.fill, 1, 0.05)}
      </div>
    </section>
  );
}

/** A note on this row; kept when the field is left or Enter is pressed. */
export function Note({ detail }: { detail: { row: number; note?: string | null } }): JSX.Element {
  const { actions } = useExplorer();
  const draft = useRef<string | null>(null);
  const save = (text: string): void => {
    if (draft.current === null || text.trim() === (detail.note ?? "")) return;
    draft.current = null;
    void actions.note(text.trim(), detail.row).then((ok) => ok && (detail.note = text.trim()));
  };
  // Closing the view takes the field away without a word from the browser.
  useEffect(() => () => save(draft.current ?? ""), []);
  return (
    <section>
      <h3>Note</h3>
      <input
        class="input"
        aria-label="Note"
        placeholder="write a note…"
        data-testid="note"
        maxLength={2000}
        value={draft.current ?? detail.note ?? ""}
        onInput={(e) => (draft.current = e.currentTarget.value)}
        onBlur={(e) => save(e.currentTarget.value)}
        onKeyDown={(e) => {
          if (e.key === "Enter") save(e.currentTarget.value);
        }}
      />
    </section>
  );
}
