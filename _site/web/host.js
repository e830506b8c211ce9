// Runs the live figures of a page. The build has put a box in the place of each, with its still
// picture and the address of its module; a figure starts when it is near the screen, and the first
// at once. Nothing here needs more than this site's own files.
(() => {
  const files = new URL(".", document.currentScript.src);
  const root = document.documentElement;

  // The part of the Jupyter model interface that live figures use; changes stay in the page.
  function modelOf(state) {
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
    return model;
  }

  // Draws behind the still picture, in the same box, and takes its place when it is complete.
  async function run(box) {
    const { module, state } = JSON.parse(box.querySelector("script").textContent);
    const found = (await import(new URL(module, files))).default;
    const widget = typeof found === "function" ? await found() : found;
    const el = document.createElement("div");
    box.append(el);
    const model = modelOf(state);
    await widget.initialize?.({ model });
    await widget.render({ model, el });
    box.classList.add("runs");
  }

  const started = new Map();
  function start(box) {
    near.unobserve(box);
    if (!started.has(box)) started.set(box, run(box));
    return started.get(box);
  }
  const near = new IntersectionObserver(
    (entries) => entries.filter((e) => e.isIntersecting).forEach((e) => start(e.target)),
    { rootMargin: "600px 0px" },
  );

  // The first figure need not wait for the rest of a long page.
  const seen = new Set();
  function look() {
    for (const box of document.querySelectorAll(".live-figure")) {
      if (seen.has(box) || !box.querySelector("script")) continue;
      if (seen.size) near.observe(box);
      else start(box);
      seen.add(box);
    }
  }
  const parser = new MutationObserver(look);
  window.liveFigures = new Promise((resolve) => {
    const done = () => {
      parser.disconnect();
      look();
      resolve(Promise.all(started.values()));
    };
    if (document.readyState !== "loading") return done();
    parser.observe(root, { childList: true, subtree: true });
    document.addEventListener("DOMContentLoaded", done);
    look();
  });
  window.liveFigures.then(() => root.classList.add("live"));
})();
