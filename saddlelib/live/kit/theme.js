// What things look like. Colours are the variables --lf-NAME of kit.css, in light, dark and forced
// colours; here is what else tells one method from another.

// Of each method the width and the dash of its line, the dash that it has where the system forces
// its own colours on the page, and how its bars are hatched there: ways are slopes of lines.
export const STYLES = {
  gd: { width: 3 },
  sgd: { width: 2.5 },
  pgd: { width: 2, forced: [7, 3] },
  psgd: { width: 2, forced: [7, 3] },
  pgd2021: { width: 2, dash: [6, 4], forced: [10, 3, 2, 3], ways: [1] },
  psd: { width: 2.5 },
  repaired: { width: 2.5, dash: [6, 4], ways: [-1], always: true },
  certified: { width: 2.5, dash: [2, 3], ways: [1, -1], always: true },
  polyak: { width: 1.25, forced: [2, 2] },
  gdpolyak: { width: 2.25, forced: [5, 2] },
  growing: { width: 3, forced: [12, 3, 3, 3] },
  nesterov: { width: 2, dash: [9, 3] },
  bb: { width: 2, dash: [3, 3] },
  lbfgs: { width: 2, dash: [9, 3, 2, 3] },
  order: { width: 3, forced: [16, 3] },
  mode1: { width: 3.5 },
  mode2: { width: 2.75, forced: [9, 3] },
  mode3: { width: 2, forced: [2, 3] },
  law: { width: 1.5, dash: [6, 4] },
  late: { ways: [1] },
  missed: { ways: [1], always: true },
  false: { ways: [1, -1], always: true },
};
const OTHERS = "bg ink soft line edge saddle minimizer low high contour zero shade band good floor";
const NAMES = [...Object.keys(STYLES), ...OTHERS.split(" ")];

const asked = (query) => matchMedia(`(${query})`);
const QUERIES = ["prefers-color-scheme: dark", "forced-colors: active"];

function isDark() {
  const sphinx = document.documentElement.dataset.theme;
  if (sphinx === "dark" || sphinx === "light") return sphinx === "dark";
  const lab = document.body.dataset.jpThemeLight;
  return lab ? lab === "false" : asked(QUERIES[0]).matches;
}

// The font and the colours of a figure now.
export function palette(root) {
  const css = getComputedStyle(root);
  return { font: `12px ${css.fontFamily}`, forced: asked(QUERIES[1]).matches,
           ...Object.fromEntries(NAMES.map((n) => [n, css.getPropertyValue(`--lf-${n}`).trim()])) };
}

// How a method is drawn, with what the caller wants otherwise.
export function styleOf(name, colours, wanted = {}) {
  const { width = 1, dash = [], forced = dash } = STYLES[name] ?? {};
  return { width, dash: colours.forced ? forced : dash, ...wanted };
}

// Tells of every change of the colours, until what is returned is called.
export function onTheme(root, changed) {
  const follow = () => {
    root.dataset.dark = isDark();
    changed();
  };
  const themed = new MutationObserver(follow);
  themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  themed.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  const queries = QUERIES.map(asked);
  for (const query of queries) query.addEventListener("change", follow);
  follow();
  return () => {
    themed.disconnect();
    for (const query of queries) query.removeEventListener("change", follow);
  };
}
