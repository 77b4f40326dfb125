// The entry of an exported page: unpacks what the file holds, mounts the explorer, hands out what was collected.

import { mount } from "../app";
import { Explorer } from "../state/explorer";
import { Offline } from "./answers";
import { PageData } from "./data";
import { pageBlocks } from "./pack";

const LEAST_HEIGHT_PX = 320;
const DRAFT = "encord_active_widgets edits ";
/** The page has a heading of its own, and the window is the explorer's height. */
const IN_A_PAGE = ".app { border: 0; border-radius: 0; } .resizer, .topbar .project { display: none; }";

async function open(): Promise<void> {
  if (typeof DecompressionStream === "undefined") throw new Error("This browser is too old for this page: it cannot unpack what the file holds.");
  const data = await PageData.open(pageBlocks(document));
  const offline = new Offline(data);
  const place = document.getElementById("explorer")!;
  const fit = (): void => offline.channel.set("height", Math.max(LEAST_HEIGHT_PX, Math.floor(place.clientHeight)));
  document.getElementById("said")?.remove();
  if (data.collects) collect(offline);
  fit();
  const explorer = new Explorer(offline.channel);
  mount(explorer, place);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(IN_A_PAGE);
  const root = place.querySelector(".eaw-explorer")!.shadowRoot!;
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
  new ResizeObserver(fit).observe(place);
}

/** The button that downloads what was collected, and a draft kept by the browser until then. */
function collect(offline: Offline): void {
  const header = document.querySelector("header")!;
  const room = document.createElement("span");
  room.className = "room";
  const told = document.createElement("p");
  told.setAttribute("role", "status");
  told.dataset["testid"] = "collected";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Download edits";
  button.dataset["testid"] = "download";
  header.append(room, told, button);
  const key = `${DRAFT}${offline.data.head.page.id}`;
  let downloaded = 0;
  const changes = (): number => offline.collected.changed();
  const show = (): void => {
    const n = changes();
    const { noun = "image" } = offline.data.head.spec;
    const kept = downloaded === offline.collected.revision;
    told.textContent = n ? `${n.toLocaleString("en")} ${n === 1 ? noun : noun.endsWith("s") ? `${noun}es` : `${noun}s`} changed${kept ? ", downloaded" : ""}` : "Tags and notes are collected here";
    button.disabled = n === 0;
    button.classList.toggle("ready", n > 0 && !kept);
  };
  offline.onEdit = () => {
    show();
    keep(key, changes() ? JSON.stringify(offline.collected.file(new Date())) : null);
  };
  button.addEventListener("click", () => {
    const file = offline.collected.file(new Date());
    const url = URL.createObjectURL(new Blob([JSON.stringify(file, null, 1)], { type: "application/json" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `${file.page.title.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^-+|-+$/g, "") || "page"}.edits.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    downloaded = offline.collected.revision;
    show();
  });
  addEventListener("beforeunload", (event) => {
    if (changes() && downloaded !== offline.collected.revision) event.preventDefault();
  });
  const draft = kept(key);
  try {
    if (draft) offline.restore(draft);
  } catch {
    keep(key, null); // a draft that cannot be read
  }
  show();
}

/** Browsers may refuse to keep anything for a file. */
function keep(key: string, text: string | null): void {
  try {
    if (text === null) localStorage.removeItem(key);
    else localStorage.setItem(key, text);
  } catch {
    // then the button is the only way
  }
}

function kept(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

open().catch((error: unknown) => {
  const said = document.getElementById("said") ?? document.getElementById("explorer")!.appendChild(document.createElement("p"));
  said.className = "said bad";
  said.setAttribute("role", "alert");
  said.textContent = error instanceof Error ? error.message : String(error);
});
