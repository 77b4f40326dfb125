// One image, large: zoom and pan, boxes with a legend, all values, tags, neighbours, previous and next.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { DetailObject } from "../protocol/messages";
import { Neighbours, useDetail, Values } from "./Inspector";
import { hue } from "./palette";
import { Button, count, useExplorer } from "./parts";
import { TagEditor } from "./TagEditor";

const NEIGHBOURS = 12;
const MOST_SIDE_PX = 2048;
const ZOOM_STEP = 1.25;
const MOST_ZOOM = 40;
const FEW_LABELS = 60;
const WHOLE = { zoom: 1, x: 0, y: 0 };

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
    return () => before?.focus?.();
  }, []);
  const visible = store.result.value?.visible;
  const at = useMemo(() => visible?.indexOf(row) ?? -1, [visible, row]);
  const classes = useMemo(() => [...new Set(detail?.objects.map((o) => o.class_name ?? "none") ?? [])].sort(), [detail]);
  return (
    <div
      ref={dialog}
      class="detail"
      role="dialog"
      aria-modal="true"
      aria-label={detail ? `Image ${detail.name}` : "Image"}
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
        event.preventDefault();
        event.stopPropagation();
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
        <Stage zoomKeys={zoomKeys} row={row} width={detail?.width ?? null} height={detail?.height ?? null} objects={detail?.objects ?? []} classes={classes} off={off.value} />
        <div class="detail-side">
          {classes.length ? (
            <section>
              <h3>Boxes</h3>
              <div class="chips">
                {classes.map((name, i) => {
                  const n = detail!.objects.filter((o) => (o.class_name ?? "none") === name).length;
                  const shown = !off.value.has(name);
                  return (
                    <button
                      key={name}
                      type="button"
                      class={shown ? "chip" : "chip none"}
                      aria-pressed={shown}
                      onClick={() => {
                        const next = new Set(off.value);
                        if (!next.delete(name)) next.add(name);
                        off.value = next;
                      }}
                    >
                      <span class="dot" style={{ background: hue(i, true) }} />
                      <span class="chip-text">{name}</span>
                      <span class="chip-n">{count(n)}</span>
                    </button>
                  );
                })}
              </div>
            </section>
          ) : null}
          <TagEditor rows={[row]} />
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

function trap(event: KeyboardEvent, root: HTMLElement): void {
  const list = [...root.querySelectorAll<HTMLElement>("button:not([disabled]), input, select, [tabindex='0']")].filter((e) => e.offsetParent !== null);
  const active = (root.getRootNode() as ShadowRoot).activeElement;
  const [first, last] = [list[0], list[list.length - 1]];
  if (event.shiftKey && (active === first || active === root)) last?.focus();
  else if (!event.shiftKey && active === last) first?.focus();
  else return;
  event.preventDefault();
}

interface StageProps {
  zoomKeys: { current: (key: string) => boolean };
  row: number;
  width: number | null;
  height: number | null;
  objects: DetailObject[];
  classes: string[];
  off: ReadonlySet<string>;
}

/** The image with its boxes; wheel zooms, dragging moves, 0 fits. */
function Stage({ zoomKeys, row, width, height, objects, classes, off }: StageProps): JSX.Element {
  const { explorer } = useExplorer();
  const host = useRef<HTMLDivElement>(null);
  const url = useSignal<string | null>(null);
  const size = useSignal<[number, number]>([1, 1]);
  const failed = useSignal(false);
  const view = useSignal(WHOLE);
  const room = useSignal<[number, number]>([1, 1]);
  const drag = useRef<{ x: number; y: number } | null>(null);
  useEffect(() => {
    let made: string | null = null;
    let current = true;
    url.value = null;
    failed.value = false;
    view.value = WHOLE;
    void explorer.ask<{ w: number; h: number; mime: string; width: number | null; height: number | null }>("image.get", { row, max: MOST_SIDE_PX }).then((reply) => {
      if (!current) return;
      if (!reply) {
        failed.value = true;
        return;
      }
      made = URL.createObjectURL(new Blob([reply.buffers[0]!.slice()], { type: reply.head.mime }));
      size.value = [reply.head.width ?? reply.head.w, reply.head.height ?? reply.head.h];
      url.value = made;
    });
    return () => {
      current = false;
      if (made) URL.revokeObjectURL(made);
    };
  }, [row]);
  useEffect(() => {
    const measure = (): void => {
      // JupyterLab delays resize callbacks: one may come after the view has gone.
      if (host.current) room.value = [host.current.clientWidth, host.current.clientHeight];
    };
    const observer = new ResizeObserver(measure);
    observer.observe(host.current!);
    measure();
    const wheel = (event: WheelEvent): void => {
      event.preventDefault();
      event.stopPropagation();
      const box = host.current!.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2);
    };
    host.current!.addEventListener("wheel", wheel, { passive: false });
    const element = host.current!;
    return () => {
      observer.disconnect();
      element.removeEventListener("wheel", wheel);
    };
  }, []);
  const zoom = (factor: number, px = 0, py = 0): void => {
    const old = view.value;
    const next = Math.min(MOST_ZOOM, Math.max(1, old.zoom * factor));
    const f = next / old.zoom;
    view.value = next === 1 ? WHOLE : { zoom: next, x: px - (px - old.x) * f, y: py - (py - old.y) * f };
  };
  zoomKeys.current = (key) => {
    if (key === "+" || key === "=") zoom(ZOOM_STEP);
    else if (key === "-") zoom(1 / ZOOM_STEP);
    else if (key === "0") view.value = WHOLE;
    else return false;
    return true;
  };
  const [w, h] = width && height ? [width, height] : size.value;
  const fit = Math.min((room.value[0] - 16) / w, (room.value[1] - 16) / h);
  const shown = Math.max(0.001, fit * view.value.zoom);
  const visible = objects.filter((o) => !off.has(o.class_name ?? "none"));
  return (
    <div
      ref={host}
      class="stage"
      tabIndex={0}
      role="img"
      aria-label={`Image with ${objects.length} boxes; plus and minus zoom`}
      onPointerDown={(e) => {
        drag.current = { x: e.clientX, y: e.clientY };
        e.currentTarget.setPointerCapture(e.pointerId);
      }}
      onPointerMove={(e) => {
        if (!drag.current) return;
        view.value = { ...view.value, x: view.value.x + e.clientX - drag.current.x, y: view.value.y + e.clientY - drag.current.y };
        drag.current = { x: e.clientX, y: e.clientY };
      }}
      onPointerUp={() => (drag.current = null)}
      onDblClick={() => (view.value.zoom > 1 ? (view.value = WHOLE) : zoom(3))}
    >
      {failed.value ? <span class="muted">This image cannot be shown.</span> : null}
      {url.value ? (
        <div class="sheet" style={{ width: `${w * shown}px`, height: `${h * shown}px`, transform: `translate(-50%, -50%) translate(${view.value.x}px, ${view.value.y}px)` }}>
          <img src={url.value} alt="" draggable={false} class={shown > 3 ? "pixelated" : ""} />
          <svg viewBox={`0 0 ${w} ${h}`} aria-hidden="true">
            {visible.map((o) => (
              <Box key={o.id} object={o} color={hue(classes.indexOf(o.class_name ?? "none"), true)} scale={shown} labelled={visible.length <= FEW_LABELS} />
            ))}
          </svg>
        </div>
      ) : null}
    </div>
  );
}

function Box({ object: o, color, scale, labelled }: { object: DetailObject; color: string; scale: number; labelled: boolean }): JSX.Element {
  const px = 1 / scale;
  const turn = o.angle ? `rotate(${o.angle} ${o.x + o.w / 2} ${o.y + o.h / 2})` : undefined;
  const name = o.class_name ?? "none";
  return (
    <g transform={turn}>
      <rect x={o.x} y={o.y} width={o.w} height={o.h} fill="none" stroke="rgba(0,0,0,0.55)" stroke-width={3.5 * px} />
      <rect x={o.x} y={o.y} width={o.w} height={o.h} fill="transparent" stroke={color} stroke-width={2 * px}>
        <title>{name}</title>
      </rect>
      {labelled ? (
        <text x={o.x + 3 * px} y={o.y + 12 * px} font-size={11 * px} fill={color} stroke="rgba(0,0,0,0.75)" stroke-width={2.5 * px} paint-order="stroke">
          {name}
        </text>
      ) : null}
    </g>
  );
}
