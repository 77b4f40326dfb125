// What both imitated managers stand on: the classes that ipywidgets and anywidget ship themselves, loaded as AMD
// modules from the installed packages, and a small manager of models and views.

const modules = new Map();

/** Run an AMD file and return what it defines; `given` are the modules it may ask for. */
async function amd(address, given) {
  const text = await (await fetch(address)).text();
  return new Promise((resolve, reject) => {
    window.define = (names, make) => resolve(typeof make === "function" ? make(...names.map((n) => given[n])) : make);
    try {
      new Function(text)();
    } catch (error) {
      reject(error);
    }
  });
}

async function load() {
  window.Jupyter = { version: "6.5.7" }; // the extension asks which notebook it is in
  window.requirejs = Object.assign(() => {}, { config() {} });
  const base = await amd("/ipywidgets.js", { module: { uri: "" } });
  const anywidget = await amd("/anywidget.js", { "@jupyter-widgets/base": base });
  modules.set("@jupyter-widgets/base", base).set("anywidget", anywidget);
}

export class Manager {
  #models = new Map();
  #ready = load();

  /** Keep a model; its comm and its state are fetched by `open`, once. */
  get_model(id) {
    if (!this.#models.has(id)) this.#models.set(id, this.#make(id));
    return this.#models.get(id);
  }

  /** Overridden: returns `{ comm, state }`. */
  async open(_id) {
    throw new Error("not found");
  }

  async #make(id) {
    await this.#ready;
    const { comm, state } = await this.open(id);
    const Model = await this.loadClass(state._model_name, state._model_module);
    const model = new Model(await Model._deserialize_state(state, this), { model_id: id, widget_manager: this, comm });
    model.name = state._model_name;
    model.module = state._model_module;
    return model;
  }

  async loadClass(name, module) {
    return modules.get(module)[name];
  }

  async create_view(model, options = {}) {
    const View = await this.loadClass(model.get("_view_name"), model.get("_view_module"));
    const view = new View({ model, options });
    view.listenTo(model, "destroy", view.remove);
    await view.render();
    return view;
  }

  callbacks() {
    return {};
  }

  async display(id, element) {
    const view = await this.create_view(await this.get_model(id));
    const tell = (type) => view.luminoWidget.processMessage({ type, isConflatable: false, conflate: () => false });
    tell("before-attach");
    element.append(view.el);
    tell("after-attach");
    return view;
  }
}
