// Light or dark, as the host has it; watched, because notebooks switch while open.

import type { Scope } from "./scope";

export function isDark(host: Element): boolean {
  const doc = host.ownerDocument;
  const { body, documentElement: html } = doc;
  const lab = body.dataset["jpThemeLight"];
  if (lab !== undefined) return lab === "false";
  const code = body.dataset["vscodeThemeKind"];
  if (code !== undefined) return code.includes("dark") || code === "vscode-high-contrast";
  if (html.getAttribute("theme") === "dark") return true; // Colab
  const named = [...html.classList, ...body.classList];
  if (named.some((name) => name === "dark" || name === "dark-theme")) return true;
  if (named.some((name) => name === "light" || name === "light-theme")) return false; // marimo
  const light = luma(doc.defaultView?.getComputedStyle(body).backgroundColor ?? "");
  if (light !== null) return light < 0.5;
  return doc.defaultView?.matchMedia?.("(prefers-color-scheme: dark)").matches ?? false;
}

/** How light a computed colour is, 0 to 1; null when it is transparent or not understood. */
export function luma(color: string): number | null {
  const [r, g, b, a] = (color.match(/[\d.]+/g) ?? []).map(Number);
  if (r === undefined || g === undefined || b === undefined || a === 0) return null;
  // "rgb(255, 255, 255)", but "color(srgb 1 1 1)" where a style sheet mixes colours, as marimo's does.
  const scale = color.startsWith("rgb") ? 255 : color.startsWith("color(srgb") ? 1 : null;
  return scale === null ? null : (0.299 * r + 0.587 * g + 0.114 * b) / scale;
}

export function watchTheme(host: Element, scope: Scope, changed: (dark: boolean) => void): void {
  const tell = (): void => changed(isDark(host));
  const doc = host.ownerDocument;
  const observer = new MutationObserver(tell);
  const options = { attributes: true, attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind", "theme", "class", "style"] };
  observer.observe(doc.body, options);
  observer.observe(doc.documentElement, options);
  scope.add(() => observer.disconnect());
  const query = doc.defaultView?.matchMedia?.("(prefers-color-scheme: dark)");
  if (query) scope.listen(query, "change", tell);
  tell();
}
