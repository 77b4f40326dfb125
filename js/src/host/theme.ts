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
  if (html.classList.contains("dark") || body.classList.contains("dark") || body.classList.contains("dark-theme")) return true;
  const background = doc.defaultView?.getComputedStyle(body).backgroundColor ?? "";
  const [r, g, b, a] = (background.match(/[\d.]+/g) ?? []).map(Number);
  if (r !== undefined && g !== undefined && b !== undefined && a !== 0) return 0.299 * r + 0.587 * g + 0.114 * b < 128;
  return doc.defaultView?.matchMedia?.("(prefers-color-scheme: dark)").matches ?? false;
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
