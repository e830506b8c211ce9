// Every page: a box that scrolls sideways (wide equation, code, output, table) can be reached and
// scrolled with the keyboard; one that fits stays out of the way of the Tab key.
(() => {
  const boxes =
    "div.math, span.math.wide, div.highlight pre, .cell_output .output, .pst-scrollable-table-container";
  function update(box) {
    const scrolls = box.scrollWidth > box.clientWidth;
    if (scrolls === box.hasAttribute("tabindex")) return;
    if (scrolls) {
      box.setAttribute("tabindex", "0");
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", "Wide content, scrolls sideways");
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  }
  const watch = new ResizeObserver((entries) => entries.forEach((e) => update(e.target)));
  function all() {
    // A formula in the text that is wider than its paragraph becomes such a box too.
    for (const formula of document.querySelectorAll("span.math > mjx-container")) {
      const room = formula.parentElement.closest("p, li, td, th, dd")?.clientWidth ?? Infinity;
      formula.parentElement.classList.toggle("wide", formula.offsetWidth > room);
    }
    for (const box of document.querySelectorAll(boxes)) {
      watch.observe(box);
      update(box);
    }
  }
  all();
  window.addEventListener("resize", all);
  // Equations get their width from MathJax, which arrives after this script; math.js calls this.
  window.watchBoxes = () => window.MathJax.startup.promise.then(all);
})();
