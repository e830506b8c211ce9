// Before anything is drawn: the colours that the reader has chosen, else those of the system, and
// a class by which controls that need scripts are shown.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  root.classList.add("js");
  const paint = () => {
    const mode = root.dataset.mode;
    root.dataset.theme = mode === "auto" ? (dark.matches ? "dark" : "light") : mode;
  };
  window.setColours = (mode) => {
    root.dataset.mode = mode;
    paint();
    try {
      localStorage.setItem("mode", mode);
    } catch {
      // A browser that keeps nothing shows the choice on this page.
    }
  };
  let mode;
  try {
    mode = localStorage.getItem("mode");
  } catch {
    mode = null;
  }
  root.dataset.mode = ["light", "dark"].includes(mode) ? mode : "auto";
  paint();
  dark.addEventListener("change", paint);
})();
