// Which host this page belongs to, by what hosts write into their pages.

const BY_ADDRESS: [RegExp, string][] = [
  [/colab/, "Colab"],
  [/kaggle/, "Kaggle"],
  [/databricks/, "Databricks"],
];

/** The host's name, with its version where the page says it; empty when nothing tells. */
export function hostName(doc: Document): string {
  if (doc.body.dataset["vscodeThemeKind"] !== undefined || doc.location?.protocol === "vscode-webview:") return "VS Code";
  const marimo = doc.querySelector("marimo-version");
  if (marimo) return `marimo ${marimo.getAttribute("data-version") ?? ""}`.trim();
  const address = `${doc.location?.hostname ?? ""} ${doc.referrer}`;
  for (const [pattern, name] of BY_ADDRESS) if (pattern.test(address)) return name;
  try {
    const config = JSON.parse(doc.getElementById("jupyter-config-data")?.textContent ?? "{}") as Record<string, unknown>;
    if (typeof config["appName"] === "string") return `${config["appName"]} ${typeof config["appVersion"] === "string" ? config["appVersion"] : ""}`.trim();
  } catch {
    // no configuration that can be read: not Jupyter's page
  }
  return "";
}
