// Every page: a box that scrolls sideways (wide equation, code, output, table) can be reached and
// scrolled with the keyboard; one that fits stays out of the way of the Tab key.
(() => {
  const found = document.querySelectorAll("div.math, span.math.long, div.highlight pre, "
    + ".cell_output .output, .pst-scrollable-table-container");
  function mark(box, scrolls) {
    if (scrolls === box.hasAttribute("tabindex")) return;
    if (scrolls) {
      box.setAttribute("tabindex", "0");
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", "Wide content, scrolls sideways");
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  }
  // First all sizes, then all changes: in turns the browser would lay out the page each time.
  function update(boxes) {
    const wide = boxes.map((box) => box.scrollWidth > box.clientWidth);
    boxes.forEach((box, i) => mark(box, wide[i]));
  }
  const watch = new ResizeObserver((entries) => update(entries.map((e) => e.target)));
  // Formulas have their widths when their font is there.
  document.fonts.ready.then(() => found.forEach((box) => watch.observe(box)));
})();
