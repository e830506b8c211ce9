// Loads MathJax, but only after the live figures of the page have been drawn: setting a chapter's
// mathematics takes longer than a reader waits for a picture.
(() => {
  const src = new URL("vendor/mathjax/tex-chtml.js", document.currentScript.src).href;
  const add = (name, properties) =>
    document.head.append(Object.assign(document.createElement(name), properties));
  add("link", { rel: "preload", as: "script", href: src });
  Promise.allSettled([window.liveFigures]).then(() =>
    requestAnimationFrame(() => setTimeout(() => add("script", { src, onload: window.watchBoxes })))
  );
})();
