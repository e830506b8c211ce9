// Paper is white: while a page is printed it is in light colours, whatever the reader has chosen.
// Live figures redraw when the theme changes, as they do on the screen.
(() => {
  const root = document.documentElement;
  let chosen;
  window.addEventListener("beforeprint", () => {
    chosen = root.dataset.theme;
    root.dataset.theme = "light";
  });
  window.addEventListener("afterprint", () => {
    if (chosen !== undefined) root.dataset.theme = chosen;
    chosen = undefined;
  });
})();
