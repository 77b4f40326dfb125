// The widget itself: one engine a model, one shadow root a view, nothing shared between modules.

import { createElement, render as renderView } from "preact";
import { Scope } from "./host/scope";
import { watchTheme } from "./host/theme";
import { Explorer } from "./state/explorer";
import { type AnyModel, type Channel, ModelChannel } from "./transport/channel";
import css from "./styles/explorer.css";
import review from "./styles/review.css";
import stacks from "./styles/stacks.css";
import { App } from "./views/App";

// Hosts hand `initialize` and `render` different wrappers of one model, and some evaluate this module
// once for several widgets: the session, unique to a widget, says which engine is meant.
const engines = new Map<string, Explorer>();

function sessionOf(model: AnyModel): string {
  return (model.get("_session") as { id: string }).id;
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
  const host = document.createElement("div");
  host.className = "eaw-explorer";
  // Without these a "b" or "d d" pressed here inserts or deletes notebook cells.
  host.dataset["lmSuppressShortcuts"] = "true";
  host.dataset["jpSuppressContextMenu"] = "true";
  const root = host.attachShadow({ mode: "open" });
  element.append(host);
  watchTheme(host, scope, (dark) => {
    host.dataset["theme"] = dark ? "dark" : "light";
    explorer.store.dark.value = dark;
  });
  scope.add(explorer.attach());
  void explorer.loading.positions();
  void explorer.loading.colors();
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css + review + stacks);
  root.adoptedStyleSheets = [sheet];
  renderView(createElement(App, { explorer, host }), root);
  scope.add(() => {
    renderView(null, root);
    host.remove();
  });
  return () => scope.dispose();
}

/** Show a model in an element; returns what takes it out again. */
export function render({ model, el }: { model: AnyModel; el: HTMLElement }): () => void {
  return mount(engineOf(model), el);
}

export type { Channel };
