// One output of an imitated Colab: a frame with a widget manager of its own. Behaviour after googlecolab/
// colab-cdn-widget-manager src/manager.ts: a comm is an async iterator of messages whose bytes are ArrayBuffers, handed
// on as Uint8Array; nothing is known of the kernel's state; sending resolves when the notebook has taken the message.
import { Manager } from "./widgets.js";

const waiting = new Map();
const listeners = new Map();
let sent = 0;

window.addEventListener("message", ({ data }) => {
  if (data.theme !== undefined) document.documentElement.setAttribute("theme", data.theme);
  else if (data.answer) waiting.get(data.answer)?.(data.state);
  else if (data.acknowledged) waiting.get(data.acknowledged)?.();
  else if (data.id) listeners.get(data.id)?.({ data: data.data, buffers: data.buffers });
});

function later(key) {
  return new Promise((resolve) => waiting.set(key, resolve));
}

async function* messages(id) {
  const queue = [];
  let wake = () => {};
  listeners.set(id, (message) => {
    queue.push(message);
    wake();
  });
  for (;;) {
    while (queue.length) yield queue.shift();
    await new Promise((resolve) => (wake = resolve));
  }
}

class Comm {
  constructor(id) {
    this.comm_id = id;
    this.target_name = "";
    this.incoming = messages(id);
  }
  send(data, callbacks, _metadata, buffers) {
    const n = ++sent;
    const bytes = (buffers ?? []).map((b) => (ArrayBuffer.isView(b) ? new Uint8Array(b.buffer, b.byteOffset, b.byteLength) : b));
    parent.postMessage({ send: this.comm_id, n, data, buffers: bytes }, "*");
    later(n).then(() => callbacks?.iopub?.status?.({ content: { execution_state: "idle" } }));
    return "";
  }
  close() {}
  on_close() {}
  on_msg(callback) {
    void (async () => {
      for await (const { data, buffers } of this.incoming) {
        callback({ content: { comm_id: this.comm_id, data }, buffers: buffers?.map((b) => new Uint8Array(b)) });
      }
    })();
  }
}

class ColabManager extends Manager {
  async open(id) {
    const answer = later(id);
    parent.postMessage({ ask: id }, "*");
    const state = await answer;
    if (!state) throw new Error("not found");
    const comm = new Comm(id);
    return { comm, state };
  }
}

const output = document.getElementById("output-area");
new ResizeObserver(() => parent.postMessage({ height: output.offsetHeight }, "*")).observe(output);
await new ColabManager().display(location.hash.slice(1), output);
