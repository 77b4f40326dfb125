// The notebook page of an imitated Colab. It keeps the kernel and the models' states, and gives each output a frame of
// another origin. After the published sources: googlecolab/colabtools packages/outputframe/lib/index.d.ts and
// googlecolab/colab-cdn-widget-manager src/api.ts.
import { fromBase64, toBase64 } from "./bytes.js";

const models = new Map();
const frames = [];

/** Messages from Python. Bytes beside the opening message are lost (colab-cdn-widget-manager issues 33 and 8). */
window.deliver = (messages) => {
  for (const { type, comm_id: id, data, buffers } of messages) {
    if (type === "comm_open") models.set(id, { ...data.state });
    else if (type === "comm_close") models.delete(id);
    else {
      // What a frame that comes later is told: the state without its bytes.
      if (data.method === "update") models.set(id, { ...models.get(id), ...data.state });
      for (const frame of frames) frame.contentWindow?.postMessage({ id, data, buffers: buffers.map(fromBase64) }, "*");
    }
  }
};

/** Show a model in an output of its own. */
window.show = (id) => {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts allow-same-origin allow-downloads allow-popups allow-forms");
  frame.src = `https://output-${frames.length}.invalid/colab_output.html?theme=${document.documentElement.getAttribute("theme") ?? ""}#${id}`;
  frames.push(frame);
  const cell = document.createElement("div");
  cell.className = "cell";
  cell.append(frame);
  document.getElementById("cells").append(cell);
};

window.setTheme = (theme) => {
  document.documentElement.setAttribute("theme", theme);
  for (const frame of frames) frame.contentWindow?.postMessage({ theme }, "*");
};

window.addEventListener("message", async ({ data, source }) => {
  const frame = frames.find((one) => one.contentWindow === source);
  if (!frame) return;
  if (data.height) frame.style.height = `${data.height}px`;
  if (data.ask) source.postMessage({ answer: data.ask, state: models.get(data.ask) }, "*");
  if (data.send) {
    const buffers = (data.buffers ?? []).map((b) => toBase64(new Uint8Array(b)));
    const replies = await window.kernel(JSON.stringify({ comm_id: data.send, data: data.data, buffers }));
    source.postMessage({ acknowledged: data.n }, "*");
    window.deliver(replies);
  }
});
