// Small pieces used all over: menus, selects, chips, icons as text.

import { type ComponentChildren, createContext, type JSX } from "preact";
import { useContext, useEffect, useRef, useState } from "preact/hooks";
import type { Actions } from "../state/actions";
import type { Explorer } from "../state/explorer";
import type { Store } from "../state/store";

export interface Context {
  explorer: Explorer;
  store: Store;
  actions: Actions;
}
export const ExplorerContext = createContext<Context>(null as unknown as Context);
export const useExplorer = (): Context => useContext(ExplorerContext);

const PATHS: Record<string, string> = {
  lasso: "M8 3c3.3 0 6 1.8 6 4s-2.7 4-6 4-6-1.8-6-4 2.7-4 6-4zM5 10.5c-1 1.2-.5 2.5.5 3",
  box: "M2.5 3.5h11v9h-11z",
  pan: "M8 1.5v13M1.5 8h13M6 3.5l2-2 2 2M6 12.5l2 2 2-2M3.5 6l-2 2 2 2M12.5 6l2 2-2 2",
  fit: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4",
  close: "M4 4l8 8M12 4l-8 8",
  left: "M10 3L5 8l5 5",
  right: "M6 3l5 5-5 5",
  up: "M8 13V3M4 7l4-4 4 4",
  down: "M8 3v10M4 9l4 4 4-4",
  copy: "M5.5 5.5h8v8h-8zM3.5 10.5h-1v-8h8v1",
  undo: "M3 6h7a3.5 3.5 0 010 7H6M3 6l3-3M3 6l3 3",
  redo: "M13 6H6a3.5 3.5 0 000 7h4M13 6l-3-3M13 6l-3 3",
  filter: "M2 3h12L9.5 8.5V13l-3-1.5v-3z",
  info: "M8 7v4.5M8 4.5v.5M8 14.5a6.5 6.5 0 100-13 6.5 6.5 0 000 13z",
  plus: "M8 3v10M3 8h10",
  delete: "M3 4.5h10M6.5 4.5V2.5h3v2M4.5 4.5l.5 9h6l.5-9",
  image: "M2.5 3.5h11v9h-11zM2.5 11l3.5-3.5 3 3 2-2 2.5 2.5",
  name: "M2.5 2.5h5l6 6-5 5-6-6zM5.2 5.2h.01",
  check: "M3 8.5l3.5 3.5L13 4.5",
  edit: "M3 13l.7-3L10.5 3.2a1 1 0 011.4 0l.9.9a1 1 0 010 1.4L6 12.3z",
  tiles: "M2.5 2.5h4v4h-4zM9.5 2.5h4v4h-4zM2.5 9.5h4v4h-4zM9.5 9.5h4v4h-4z",
  stacks: "M2.5 5.5h8v8h-8zM5.5 5.5v-3h8v8h-3",
  warn: "M8 2.5l6.5 11h-13zM8 6.5v3.5M8 12v.01",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
};

export function Icon({ name }: { name: keyof typeof PATHS }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={PATHS[name]} fill="none" stroke="currentColor" stroke-width={name === "more" ? 2.4 : 1.5} stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

interface ButtonProps {
  label: string;
  onClick(event: MouseEvent): void;
  children?: ComponentChildren;
  icon?: keyof typeof PATHS;
  pressed?: boolean;
  disabled?: boolean;
  kind?: "plain" | "ghost" | "primary";
  testid?: string;
  /** The keys that do the same, as `aria-keyshortcuts` has them. */
  keys?: string;
}

export function Button({ label, onClick, children, icon, pressed, disabled, kind = "plain", testid, keys }: ButtonProps): JSX.Element {
  return (
    <button
      class={`button ${kind}${icon && !children ? " square" : ""}`}
      title={label}
      aria-label={icon && !children ? label : undefined}
      aria-pressed={pressed}
      aria-keyshortcuts={keys}
      disabled={disabled ?? false}
      onClick={onClick}
      data-testid={testid}
    >
      {icon ? <Icon name={icon} /> : null}
      {children}
    </button>
  );
}

/** A button that reads as a word in the text. */
export function Link({ text, onClick, testid, expanded }: { text: string; onClick(): void; testid?: string; expanded?: boolean }): JSX.Element {
  return (
    <button class="link nowrap" aria-expanded={expanded} data-testid={testid} onClick={onClick}>
      {text}
    </button>
  );
}

/** The cross that takes something away. */
export function Cross({ label, onClick }: { label: string; onClick(): void }): JSX.Element {
  return (
    <button class="chip-x" aria-label={label} onClick={onClick}>
      <Icon name="close" />
    </button>
  );
}

/** A spot of a class's, a tag's or an outcome's colour. */
export function Dot({ color }: { color: string }): JSX.Element {
  return <span class="dot" style={{ background: color }} />;
}

/** A value with its count that shows only its rows, or leaves them out. */
export function Chip({ text, color, n, on, off, title, testid, onToggle }: {
  text: string;
  color: string | null;
  n: number;
  on?: boolean;
  off?: boolean;
  title?: string;
  testid?: string;
  onToggle(exclude: boolean): void;
}): JSX.Element {
  const chosen = on || off;
  return (
    <button
      class={`chip${on ? " on" : ""}${off ? " off" : ""}${n === 0 && !chosen ? " none" : ""}`}
      aria-pressed={chosen ? "true" : "false"}
      title={title ?? `${text}: click shows only it, alt-click leaves it out`}
      data-testid={testid}
      onClick={(e) => onToggle(e.altKey)}
    >
      {color ? <Dot color={color} /> : null}
      <span class="chip-text">
        {off ? `not ${text}` : text}
        <span class="unseen">, </span>
      </span>
      <span class="chip-n">{count(n)}</span>
    </button>
  );
}

/** A slider, with its name before it and its value in words behind it where they are given. */
export function Slider({ name, title, label, testid, min = 0, max, step, value, shown, wide, onInput }: {
  name?: string;
  title?: string;
  label: string;
  testid?: string;
  min?: number;
  max: number;
  step: number;
  value: number;
  shown?: string;
  wide?: boolean;
  onInput(value: number): void;
}): JSX.Element {
  return (
    <label class="labelled small" title={title}>
      {name ? <span class="muted">{name}</span> : null}
      <input
        class={wide ? "slider wide" : "slider"}
        type="range"
        aria-label={label}
        aria-valuetext={shown}
        data-testid={testid}
        min={min}
        max={max}
        step={step}
        value={value}
        onInput={(e) => onInput(Number(e.currentTarget.value))}
      />
      {shown ? <span class="slider-value">{shown}</span> : null}
    </label>
  );
}

/** Buttons of which one is pressed. */
export function Segments<T>({ label, options, onChange, testid, place = "" }: {
  label: string;
  options: { value: T; text: string; on: boolean; title?: string }[];
  onChange(value: T): void;
  testid?: string;
  place?: string;
}): JSX.Element {
  return (
    <div class={`segments ${place}`} role="group" aria-label={label} data-testid={testid}>
      {options.map((o) => (
        <button key={o.text} type="button" class="segment" aria-pressed={o.on} title={o.title} onClick={() => onChange(o.value)}>
          {o.text}
        </button>
      ))}
    </div>
  );
}

interface SelectProps {
  label: string;
  value: string;
  options: { value: string; text: string; group?: string }[];
  onChange(value: string): void;
  testid?: string;
}

export function Select({ label, value, options, onChange, testid }: SelectProps): JSX.Element {
  const groups = [...new Set(options.map((o) => o.group ?? ""))];
  const list = (group: string): JSX.Element[] =>
    options
      .filter((o) => (o.group ?? "") === group)
      .map((o) => (
        <option key={o.value} value={o.value} selected={o.value === value}>
          {o.text}
        </option>
      ));
  return (
    <select class="select" aria-label={label} title={label} data-testid={testid} value={value} onChange={(e) => onChange(e.currentTarget.value)}>
      {groups.map((g) =>
        g ? (
          <optgroup key={g} label={g}>
            {list(g)}
          </optgroup>
        ) : (
          list(g)
        ),
      )}
    </select>
  );
}

/** A panel that opens under a button and closes on Escape or a click elsewhere in the widget. */
export function Popover({ label, trigger, children, align = "left", testid }: {
  label: string;
  trigger: ComponentChildren;
  children: (close: () => void) => ComponentChildren;
  align?: "left" | "right";
  testid?: string;
}): JSX.Element {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const close = (): void => {
    setOpen(false);
    button.current?.focus();
  };
  useEffect(() => {
    if (!open) return;
    const root = box.current?.getRootNode() as ShadowRoot | Document | undefined;
    const outside = (event: Event): void => {
      if (!event.composedPath().includes(box.current!)) setOpen(false);
    };
    root?.addEventListener("pointerdown", outside, true);
    const panel = box.current?.querySelector<HTMLElement>(".popover");
    if (panel && button.current) lift(panel, button.current, align);
    const scrolled = (event: Event): void => {
      if (!panel?.contains(event.target as Node)) setOpen(false);
    };
    root?.addEventListener("scroll", scrolled, true);
    box.current?.querySelector<HTMLElement>(".popover input, .popover button, .popover select")?.focus();
    return () => {
      root?.removeEventListener("pointerdown", outside, true);
      root?.removeEventListener("scroll", scrolled, true);
    };
  }, [open]);
  return (
    <div
      class="popover-anchor"
      ref={box}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        close();
      }}
    >
      <button ref={button} class="button ghost" aria-label={label} title={label} aria-haspopup="dialog" aria-expanded={open} onClick={() => setOpen(!open)} data-testid={testid}>
        {trigger}
      </button>
      {open ? (
        <div class={`popover ${align}`} role="dialog" aria-label={label}>
          {children(close)}
        </div>
      ) : null}
    </div>
  );
}

const MARGIN_PX = 4;

/** Show a panel above everything, beside its button and within the window; old browsers keep it where it is. */
export function lift(panel: HTMLElement, button: HTMLElement, align: "left" | "right"): void {
  if (typeof panel.showPopover !== "function") return;
  panel.popover = "manual";
  if (!panel.matches(":popover-open")) panel.showPopover();
  const { innerWidth, innerHeight } = panel.ownerDocument.defaultView!;
  const at = button.getBoundingClientRect();
  const below = at.bottom + MARGIN_PX;
  const { offsetWidth: w, offsetHeight: h } = panel;
  const top = below + h + MARGIN_PX <= innerHeight ? below : at.top - MARGIN_PX - h;
  const left = align === "left" ? at.left : at.right - w;
  panel.style.top = `${Math.max(MARGIN_PX, Math.min(top, innerHeight - h - MARGIN_PX))}px`;
  panel.style.left = `${Math.max(MARGIN_PX, Math.min(left, innerWidth - w - MARGIN_PX))}px`;
}

export function Progress({ share }: { share: number | null }): JSX.Element {
  return (
    <div class="progress" role="progressbar" aria-label="Progress" aria-valuemin={0} aria-valuemax={100} aria-valuenow={share === null ? undefined : Math.round(share * 100)}>
      <div class={share === null ? "progress-bar unknown" : "progress-bar"} style={{ width: share === null ? "30%" : `${share * 100}%` }} />
    </div>
  );
}

export function count(n: number): string {
  return n.toLocaleString("en");
}
