// Paper is white: while a page is printed it is in light colours, whatever the reader has chosen.
// Live figures redraw when the theme changes, as they do on the screen. And paper cannot unfold:
// closed proofs and notes open meanwhile. Code and solutions stay as the reader left them.
(() => {
  const root = document.documentElement;
  const closed = ".bd-article details:not([open], .code, .solution, .live-figure *)";
  let chosen, opened = [];
  window.addEventListener("beforeprint", () => {
    chosen ??= root.dataset.theme;
    root.dataset.theme = "light";
    for (const fold of document.querySelectorAll(closed)) {
      fold.open = true;
      opened.push(fold);
    }
  });
  window.addEventListener("afterprint", () => {
    if (chosen !== undefined) root.dataset.theme = chosen;
    chosen = undefined;
    for (const fold of opened) fold.open = false;
    opened = [];
  });
})();
