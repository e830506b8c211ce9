// Shows figures on a page of their own: every element with data-figure and data-state gets the
// module and the state of these names, and a model that talks to nobody.

function modelOf(state) {
  const listeners = {};
  return {
    get: (key) => state[key],
    set(key, value) {
      if (state[key] === value) return;
      state[key] = value;
      for (const heard of listeners[`change:${key}`] ?? []) heard();
    },
    on: (name, heard) => (listeners[name] ??= new Set()).add(heard),
    off: (name, heard) => listeners[name]?.delete(heard),
    save_changes() {},
  };
}

for (const el of document.querySelectorAll("[data-figure]")) {
  const at = (name) => new URL(name, document.baseURI).href;
  const [figure, state] = await Promise.all([import(at(el.dataset.figure)),
    fetch(at(el.dataset.state)).then((answer) => answer.json())]);
  figure.default.render({ model: modelOf(state), el });
}
