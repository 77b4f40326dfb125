// The widget itself: one engine a model, one shadow root a view, nothing shared between modules.

import { type ComponentChild, createElement, render as renderView } from "preact";
import { Scope } from "./host/scope";
import { watchTheme } from "./host/theme";
import { Explorer } from "./state/explorer";
import { HostCheck } from "./state/host-check";
import { type AnyModel, type Channel, ModelChannel } from "./transport/channel";
import css from "./styles/explorer.css";
import hostCheck from "./styles/host-check.css";
import review from "./styles/review.css";
import stacks from "./styles/stacks.css";
import { App } from "./views/App";
import { HostCheckView } from "./views/HostCheck";

// Hosts hand `initialize` and `render` different wrappers of one model, and some evaluate this module
// once for several widgets: the session, unique to a widget, says which engine is meant.
const engines = new Map<string, Explorer>();

interface Session {
  id: string;
  /** "check" for the page's half of `ea.doctor()`; an explorer otherwise. */
  kind?: string;
}

function sessionOf(model: AnyModel): string {
  return (model.get("_session") as Session).id;
}

function isCheck(model: AnyModel): boolean {
  return (model.get("_session") as Session).kind === "check";
}

/** The engine of a model; hosts that skip `initialize` get theirs at the first rendering. */
function engineOf(model: AnyModel): Explorer {
  const id = sessionOf(model);
  const engine = engines.get(id) ?? new Explorer(new ModelChannel(model));
  engines.set(id, engine);
  return engine;
}

/** Begin with a model; returns what ends it. */
export function initialize({ model }: { model: AnyModel }): () => void {
  if (isCheck(model)) return () => {};
  const id = sessionOf(model);
  const engine = engineOf(model);
  return () => {
    engine.dispose();
    if (engines.get(id) === engine) engines.delete(id);
  };
}

/** Put an explorer into an element; returns what takes it out again. */
export function mount(explorer: Explorer, element: HTMLElement): () => void {
  const scope = new Scope();
  const { host, root } = framed(element, "eaw-explorer", scope, (dark) => (explorer.store.dark.value = dark));
  scope.add(explorer.attach());
  void explorer.loading.positions();
  void explorer.loading.colors();
  show(root, css + review + stacks, createElement(App, { explorer, host }), scope);
  return () => scope.dispose();
}

/** Test this host in a page, and show the verdict. */
function mountCheck(model: AnyModel, element: HTMLElement): () => void {
  const scope = new Scope();
  const check = new HostCheck(new ModelChannel(model));
  scope.add(() => check.dispose());
  let isDark = false;
  const { host, root } = framed(element, "eaw-host-check", scope, (dark) => (isDark = dark));
  show(root, css + hostCheck, createElement("div", { class: "app" }, createElement(HostCheckView, { check })), scope);
  void check.run(host.ownerDocument, isDark);
  return () => scope.dispose();
}

/** Make the element that shields our page from the host's styles and keys, and tell how the host looks. */
function framed(element: HTMLElement, name: string, scope: Scope, themed: (dark: boolean) => void): { host: HTMLElement; root: ShadowRoot } {
  const host = document.createElement("div");
  host.className = name;
  // Without these a "b" or "d d" pressed here inserts or deletes notebook cells.
  host.dataset["lmSuppressShortcuts"] = "true";
  host.dataset["jpSuppressContextMenu"] = "true";
  const root = host.attachShadow({ mode: "open" });
  element.append(host);
  watchTheme(host, scope, (dark) => {
    host.dataset["theme"] = dark ? "dark" : "light";
    themed(dark);
  });
  scope.add(() => host.remove());
  return { host, root };
}

function show(root: ShadowRoot, styles: string, view: ComponentChild, scope: Scope): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(styles);
  root.adoptedStyleSheets = [sheet];
  renderView(view, root);
  scope.add(() => renderView(null, root));
}

/** Show a model in an element; returns what takes it out again. */
export function render({ model, el }: { model: AnyModel; el: HTMLElement }): () => void {
  return isCheck(model) ? mountCheck(model, el) : mount(engineOf(model), el);
}

export type { Channel };
