// The anywidget entry: one engine a model, one shadow root a view, nothing shared between modules.

import { createElement, render as renderView } from "preact";
import { Scope } from "./host/scope";
import { watchTheme } from "./host/theme";
import { Explorer } from "./state/explorer";
import { type AnyModel, type Channel, ModelChannel } from "./transport/channel";
import css from "./styles/explorer.css";
import { App } from "./views/App";

const ENGINE = Symbol.for("encord-active-widgets/engine@1");
type Owner = object & { [ENGINE]?: Explorer | undefined };

/** The engine of a model; hosts that skip `initialize` get theirs at the first rendering. */
function engineOf(model: AnyModel): Explorer {
  const owner = model as unknown as Owner;
  return (owner[ENGINE] ??= new Explorer(new ModelChannel(model)));
}

function initialize({ model }: { model: AnyModel }): () => void {
  const engine = engineOf(model);
  return () => {
    engine.dispose();
    (model as unknown as Owner)[ENGINE] = undefined;
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
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [sheet];
  element.append(host);
  watchTheme(host, scope, (dark) => {
    host.dataset["theme"] = dark ? "dark" : "light";
    explorer.store.dark.value = dark;
  });
  scope.add(explorer.attach());
  void explorer.loadPositions();
  void explorer.loadColors();
  renderView(createElement(App, { explorer, host }), root);
  scope.add(() => {
    renderView(null, root);
    host.remove();
  });
  return () => scope.dispose();
}

function render({ model, el }: { model: AnyModel; el: HTMLElement }): () => void {
  return mount(engineOf(model), el);
}

export type { Channel };
export default { initialize, render };
