// The webview of an imitated VS Code notebook: JupyterLab's manager on a proxy of the kernel. Sources as in
// vscode_window.js; the classes and variables of an output after src/webviews/webview-side/ipywidgets/renderer.
import { packed, unpacked } from "./bytes.js";
import { Manager } from "./widgets.js";

const states = new Map();
const comms = new Map();
const idle = new Map();
let sent = 0;
let disposed = false;

class Comm {
  #listener = () => {};
  constructor(id) {
    this.comm_id = id;
    this.target_name = "jupyter.widget";
    comms.set(id, this);
  }
  send(data, callbacks, _metadata, buffers) {
    if (disposed) throw new Error("Cannot send");
    const msg_id = `m${++sent}`;
    idle.set(msg_id, () => callbacks?.iopub?.status?.({ content: { execution_state: "idle" } }));
    const message = { header: { msg_type: "comm_msg", msg_id }, content: { comm_id: this.comm_id, data } };
    if (buffers?.length) parent.postMessage({ message: "binary_msg", payload: [...new Uint8Array(packed(message, buffers))] }, "*");
    else parent.postMessage({ message: "msg", payload: JSON.stringify(message) }, "*");
    return msg_id;
  }
  close() {}
  on_close() {}
  on_msg(callback) {
    this.#listener = callback;
  }
  receive(message, buffers) {
    return this.#listener({ ...message, buffers });
  }
}

class WebviewManager extends Manager {
  async open(id) {
    if (!states.has(id)) throw new Error("not found");
    return { comm: comms.get(id), state: states.get(id) };
  }
}
const manager = new WebviewManager();

function take(message, buffers) {
  const { comm_id: id, data } = message.content;
  if (message.header.msg_type === "comm_open") {
    states.set(id, put(data.state, data.buffer_paths ?? [], buffers));
    new Comm(id);
    void manager.get_model(id); // made at once, before it is shown
  } else if (message.header.msg_type === "comm_msg") void manager.get_model(id).then(() => comms.get(id).receive(message, buffers));
}

function put(state, paths, buffers) {
  paths.forEach((path, i) => path.slice(0, -1).reduce((at, key) => at[key], state)[path.at(-1)] = buffers[i]);
  return state;
}

window.addEventListener("message", ({ data: { message, payload } }) => {
  if (message === "msg") take(JSON.parse(payload), []);
  else if (message === "binary_msg") {
    const { message: read, buffers } = unpacked(new Uint8Array(payload).buffer);
    take(read, buffers);
  } else if (message === "idle") idle.get(payload)?.();
  else if (message === "render") void render(payload);
  else if (message === "onRestartKernel") disposed = true;
  else if (message === "theme") theme(payload);
});

/** As webviews are themed: classes and a data attribute on the body, variables on the root element. */
function theme({ kind, variables }) {
  document.body.classList.remove("vscode-light", "vscode-dark", "vscode-high-contrast", "vscode-high-contrast-light");
  document.body.classList.add(kind);
  if (kind === "vscode-high-contrast-light") document.body.classList.add("vscode-high-contrast");
  document.body.dataset.vscodeThemeKind = kind;
  for (const [name, value] of Object.entries(variables)) document.documentElement.style.setProperty(`--vscode-${name}`, value);
}

async function render(id) {
  const region = document.createElement("div");
  region.className = "cell-output-ipywidget-background";
  region.tabIndex = 0;
  region.setAttribute("role", "region");
  const output = document.createElement("div");
  output.className = "cell-output";
  region.append(output);
  const outer = document.createElement("div");
  outer.className = "cell-output-ipywidget-background output";
  outer.append(region);
  document.getElementById("container").append(outer);
  await manager.display(id, output);
}

parent.postMessage({ message: "ready" }, "*");
