// The window of an imitated VS Code: the extension host that owns the kernel connection, the webview that holds every
// output of a notebook, and the colour theme. After microsoft/vscode-jupyter src/notebooks/controllers/ipywidgets/
// message/ipyWidgetMessageDispatcher.ts and src/webviews/webview-side/ipywidgets/kernel/kernel.ts, and microsoft/vscode
// src/vs/workbench/contrib/webview/browser/pre.
import { fromBase64, packed, toBase64, unpacked } from "./bytes.js";

const webview = document.querySelector("iframe");
const opened = [];
let loaded;
const ready = new Promise((resolve) => (loaded = resolve));

/** Bytes cross from the extension to the webview as arrays of numbers. */
const serialized = (buffer) => [...new Uint8Array(buffer)];
const post = (message, payload) => webview.contentWindow.postMessage({ message, payload }, "*");

window.deliver = async (messages) => {
  await ready;
  for (const { type, comm_id: id, data, buffers } of messages) {
    if (type === "comm_open") opened.push(id);
    const message = { header: { msg_type: type }, content: { comm_id: id, data } };
    if (buffers.length) post("binary_msg", serialized(packed(message, buffers.map(fromBase64))));
    else post("msg", JSON.stringify(message));
  }
};
window.show = async (id) => {
  await ready;
  post("render", id);
};
/** The kernel was restarted: the webview's manager and its kernel connection are disposed of. */
window.restart = () => post("onRestartKernel");
window.setTheme = async (kind, variables) => {
  await ready;
  post("theme", { kind, variables });
};

window.addEventListener("message", async ({ data: { message, payload } }) => {
  if (message === "ready") return loaded();
  const up = message === "binary_msg" ? unpacked(new Uint8Array(payload).buffer) : { message: JSON.parse(payload), buffers: [] };
  const { comm_id, data } = up.message.content;
  const buffers = up.buffers.map((b) => toBase64(new Uint8Array(b.buffer, b.byteOffset, b.byteLength)));
  const replies = await window.kernel(JSON.stringify({ comm_id, data, buffers }));
  // The kernel says "idle" when it is through with a message, which lets the model send its next state.
  post("idle", up.message.header.msg_id);
  await window.deliver(replies);
});
// Opened last: the webview says "ready" once, and what nobody hears yet is lost.
webview.src = "https://webview.invalid/vscode_webview.html";
