// Shows a notebook's widgets on a page that has no kernel: live figures (anywidget) run here,
// other ipywidgets are replaced by a note. The notebook's stored widget state is all it reads.
// It runs in the head, right after that state, so that a figure is drawn as soon as the parser
// reaches its cell and need not wait for the rest of a long page.
(() => {
  const script = (kind) =>
    document.querySelectorAll(`script[type="application/vnd.jupyter.widget-${kind}+json"]`);
  const states = Object.assign({}, ...[...script("state")].map((s) => JSON.parse(s.textContent).state));
  const models = new Map();
  const modules = new Map();
  const styles = new Set();

  // The part of the Jupyter model interface that live figures use; changes stay in the page.
  function modelOf(id) {
    if (models.has(id)) return models.get(id);
    const { state, buffers = [] } = states[id];
    for (const { path, data } of buffers) {
      const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
      const parent = path.slice(0, -1).reduce((value, key) => value[key], state);
      parent[path.at(-1)] = new DataView(bytes.buffer);
    }
    const listeners = {};
    const fire = (name, ...args) => [...(listeners[name] ?? [])].forEach((f) => f(...args));
    const model = {
      get: (key) => state[key],
      set(key, value) {
        const news = typeof key === "object" ? key : { [key]: value };
        const changed = Object.keys(news).filter((k) => state[k] !== news[k]);
        Object.assign(state, news);
        for (const k of changed) fire("change:" + k, model, state[k]);
        if (changed.length) fire("change", model);
      },
      on: (names, f) => names.split(" ").forEach((n) => (listeners[n] ??= new Set()).add(f)),
      off(names, f) {
        for (const n of names ? names.split(" ") : Object.keys(listeners))
          f ? listeners[n]?.delete(f) : delete listeners[n];
      },
      save_changes() {},
      send() {},
    };
    models.set(id, model);
    return model;
  }

  // The promise of a module, made once; started for all of them before their cells are there.
  function moduleOf(code) {
    if (!modules.has(code)) {
      const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
      modules.set(code, import(url).finally(() => URL.revokeObjectURL(url)));
    }
    return modules.get(code);
  }
  for (const { state } of Object.values(states)) if (state._esm) moduleOf(state._esm);

  async function renderFigure(id, el) {
    const { _esm, _css } = states[id].state;
    if (_css && !styles.has(_css)) {
      styles.add(_css);
      document.head.append(Object.assign(document.createElement("style"), { textContent: _css }));
    }
    const found = (await moduleOf(_esm)).default;
    const widget = typeof found === "function" ? await found() : found;
    const model = modelOf(id);
    await widget.initialize?.({ model });
    await widget.render({ model, el });
  }

  const childrenOf = (id) =>
    (states[id].state.children ?? []).map((ref) => ref.replace("IPY_MODEL_", ""));

  // Everything of one displayed widget that works without a kernel, then a note for the rest.
  async function show(id, el) {
    const leaves = (i) => (childrenOf(i).length ? childrenOf(i).flatMap(leaves) : [i]);
    let needsKernel = false;
    for (const leaf of leaves(id)) {
      const { model_name, state } = states[leaf];
      if (state._esm) {
        await renderFigure(leaf, el.appendChild(document.createElement("div")));
      } else if (model_name === "ImageModel") {
        const bytes = modelOf(leaf).get("value");
        const img = new Image();
        img.src = URL.createObjectURL(new Blob([bytes], { type: "image/" + state.format }));
        img.alt = state.tooltip || "The first picture of a control that needs a running kernel";
        el.append(img);
      } else {
        needsKernel = true;
      }
    }
    if (needsKernel) {
      const note = document.createElement("p");
      note.className = "needs-kernel";
      note.textContent =
        "This control needs a running kernel: open the page on Binder or in JupyterLab.";
      el.append(note);
    }
  }

  const shown = new Map();
  function showNew() {
    for (const view of script("view")) {
      if (shown.has(view)) continue;
      const el = document.createElement("div");
      el.className = "widget-view";
      view.before(el);
      shown.set(view, show(JSON.parse(view.textContent).model_id, el));
    }
  }
  const parser = new MutationObserver(showNew);
  parser.observe(document.documentElement, { childList: true, subtree: true });
  window.liveFigures = new Promise((resolve) => {
    document.addEventListener("DOMContentLoaded", () => {
      parser.disconnect();
      showNew();
      resolve(Promise.all(shown.values()));
    });
  });
  // The class hides the still pictures, so it waits until every figure has been drawn.
  window.liveFigures.then(() => document.documentElement.classList.add("live"));
})();
