// Every page: the bar's buttons, the contents that follow the reader, one switch for all code, and
// boxes that scroll sideways with the keyboard.
const root = document.documentElement;
const one = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const recall = (key) => {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
};
const remember = (key, value) => {
  try {
    localStorage.setItem(key, value);
  } catch {
    // A browser that keeps nothing obeys on this page only.
  }
};

function colours() {
  const button = one(".theme-switch");
  const modes = { auto: "as the system", light: "light", dark: "dark" };
  const name = () => button.setAttribute("aria-label", `Colours: ${modes[root.dataset.mode]}`);
  button?.addEventListener("click", () => {
    const order = Object.keys(modes);
    window.setColours(order[(order.indexOf(root.dataset.mode) + 1) % order.length]);
    name();
  });
  if (button) name();
}

// On a narrow screen the sidebar lies over the page, which rests until it closes.
function drawer() {
  const button = one(".contents-button");
  const sidebar = one(".sidebar");
  const rest = [one("main"), one(".bar-title"), one(".bar-tools")];
  const show = (open) => {
    root.classList.toggle("drawer-open", open);
    button.setAttribute("aria-expanded", open);
    for (const part of rest) part.inert = open;
    if (open) follow?.();
  };
  button.addEventListener("click", () => show(!root.classList.contains("drawer-open")));
  sidebar.addEventListener("click", (event) => event.target.closest("a") && show(false));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !root.classList.contains("drawer-open")) return;
    show(false);
    button.focus();
  });
  document.addEventListener("pointerdown", (event) => {
    if (root.classList.contains("drawer-open") && !event.target.closest(".sidebar, .page-bar"))
      show(false);
  });
  matchMedia("(min-width: 1000px)").addEventListener("change", () => show(false));
}

// The contents mark the last heading above the upper third of the window, always exactly one.
let follow;
function contents() {
  const links = all(".page-toc a");
  if (!links.length) return;
  const marks = links
    .map((link) => [link, document.getElementById(decodeURIComponent(link.hash.slice(1)))])
    .filter(([, target]) => target);
  let current;
  follow = () => {
    const line = innerHeight / 3;
    const bottom = innerHeight + scrollY >= root.scrollHeight - 2;
    let found = marks[0];
    for (const mark of marks.slice(1)) {
      if (mark[1].getBoundingClientRect().top > (bottom ? innerHeight : line)) break;
      found = mark;
    }
    if (found[0] === current) return;
    current?.removeAttribute("aria-current");
    current = found[0];
    current.setAttribute("aria-current", "location");
    const sidebar = one(".sidebar");
    const at = current.getBoundingClientRect();
    const box = sidebar.getBoundingClientRect();
    if (at.bottom > box.bottom - 40 || at.top < box.top + 40)
      sidebar.scrollTop += at.top - box.top - box.height / 2;
  };
  let waiting = false;
  const soon = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      follow();
    });
  };
  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", soon);
  follow();
}

// One switch opens the code of every cell, here and on the pages to come. What the reader looks at
// stays where it is.
function code() {
  const button = one(".code-switch");
  if (!button) return;
  const folds = all("details.code");
  const show = (open) => {
    const kept = all(".bd-article section > :not(section)").find(
      (e) => e.getBoundingClientRect().top > 50,
    );
    const before = kept?.getBoundingClientRect().top;
    root.style.overflowAnchor = "none"; // or the browser would move the page once more
    for (const fold of folds) fold.open = open;
    button.setAttribute("aria-pressed", open);
    const hold = () =>
      kept && scrollBy({ top: kept.getBoundingClientRect().top - before, behavior: "instant" });
    hold();
    // Once more when the folds have their heights.
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        hold();
        root.style.overflowAnchor = "";
      }),
    );
  };
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-pressed") !== "true";
    show(open);
    remember("all-code", open ? "shown" : "folded");
  });
  if (recall("all-code") === "shown") show(true);
}

// Code can be taken along; of a session in Python what was typed, without the prompts.
const typed = (text) =>
  text.startsWith(">>>")
    ? [...text.matchAll(/^(?:>>>|\.\.\.) ?(.*)$/gm)].map((line) => line[1]).join("\n")
    : text.replace(/\n$/, "");
function copying() {
  if (!navigator.clipboard) return;
  for (const pre of all(".cell_input pre, .bd-article div[class*='highlight-'] pre")) {
    if (pre.closest(".cell_output")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copybtn";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(typed(pre.textContent));
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
    pre.parentElement.append(button);
  }
}

// A link into a fold opens it, and one to what an earlier edition had here leads to where it is now.
const files = new URL(".", document.currentScript.src);
async function seek(name) {
  const moved = await (await fetch(new URL("moved.json", files))).json();
  if (Object.hasOwn(moved, name)) location.replace(new URL(`../${moved[name]}`, files));
}
function links() {
  const reach = () => {
    const name = decodeURIComponent(location.hash.slice(1));
    const target = document.getElementById(name);
    if (name && !target) return seek(name);
    const folds = [];
    for (let e = target; e; e = e.parentElement) if (e.matches("details")) folds.push(e);
    if (!folds.some((fold) => !fold.open)) return;
    for (const fold of folds) fold.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reach);
  if (location.hash) reach();
}

// How much of a box fades at its edges, in a browser whose style sheets cannot follow its scrolling.
function fade(box) {
  const left = box.scrollLeft;
  const hidden = { left, right: box.scrollWidth - box.clientWidth - left };
  for (const side in hidden)
    box.style.setProperty(`--more-${side}`, `${Math.min(hidden[side], 35)}px`);
}

// A box that scrolls sideways (wide equation, code, output, table) can be reached and scrolled with
// the keyboard; one that fits stays out of the way of the Tab key.
function boxes() {
  const fades = !CSS.supports("animation-timeline: scroll()");
  const found = all(
    "div.math, span.math.long, div.highlight pre, .cell_output .output, .table-box, "
      + "figure:has(.picture), .cell_output:has(> .picture)",
  );
  function mark(box, scrolls) {
    if (fades && scrolls) {
      fade(box);
      box.onscroll = () => fade(box);
    }
    if (scrolls === box.hasAttribute("tabindex")) return;
    if (scrolls) {
      box.setAttribute("tabindex", "0");
      if (box.localName !== "figure") box.setAttribute("role", "group"); // which it is by itself
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
}

// The menu of the page closes like any other, and prints.
function menu() {
  const box = one(".page-menu");
  one(".print-button")?.addEventListener("click", () => print());
  if (!box) return;
  document.addEventListener("pointerdown", (event) => {
    if (!box.contains(event.target)) box.open = false;
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    box.open = false;
    box.querySelector("summary").focus();
  });
}

for (const part of [colours, drawer, contents, code, copying, links, boxes, menu]) part();
