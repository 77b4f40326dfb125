// The anywidget entry. It carries the app deflated, for a widget's module travels, and is saved, with every widget.

import packed from "packed:./app";

type App = typeof import("./app");
type Host = Parameters<App["render"]>[0];

async function unpack(): Promise<App> {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const text = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).text();
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  try {
    return (await import(url)) as App;
  } catch {
    // A page may forbid modules from blobs and allow them from data, or the other way round.
    return (await import(`data:text/javascript;charset=utf-8,${encodeURIComponent(text)}`)) as App;
  } finally {
    URL.revokeObjectURL(url);
  }
}

const app = unpack();
app.catch(() => {}); // said where it is asked for, below

async function initialize(host: Host): Promise<() => void> {
  return (await app).initialize(host);
}

async function render(host: Host): Promise<() => void> {
  try {
    return (await app).render(host);
  } catch (error) {
    const note = document.createElement("p");
    note.textContent = `The explorer could not be started: ${String(error)}. The project works from Python all the same.`;
    host.el.append(note);
    return () => note.remove();
  }
}

export default { initialize, render };
