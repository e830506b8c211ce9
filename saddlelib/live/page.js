// What every live figure does on its page: elements, numbers as a person writes them, a pen for
// canvases, and the loop from the widget's model to the page and back.

/* -- numbers -- */

export const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

// Three significant digits: 0.05, 354, 1e−6.
export function short(x, digits = 3) {
  const size = Math.abs(x);
  const words = x === 0 || (size >= 1e-3 && size < 1e5) ? String(Number(x.toPrecision(digits)))
    : x.toExponential(digits - 1).replace(/\.?0+e/, "e");
  return words.replace(/-/g, "\u2212");
}

export const superscript = (n) => String(n).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻");
export const powerOfTen = (n) => (n === 0 ? "1" : `10${superscript(n)}`);
export const steps = (n) => `${n} step${n === 1 ? "" : "s"}`;

// 1, 2 or 5 times a power of ten, so that about `count` ticks span `range`.
export function niceStep(range, count) {
  const power = 10 ** Math.floor(Math.log10(range / count));
  return power * [1, 2, 5, 10].find((m) => m * power >= range / count);
}

// The stops of a slider from 10^low to 10^high, each a number of two digits.
export function decades(low, high, { per = 20, tidy = (x) => x } = {}) {
  const found = new Set();
  for (let i = 0; i <= per * (high - low) + 1e-9; i += 1) {
    found.add(tidy(Number((10 ** (low + i / per)).toPrecision(2))));
  }
  return [...found];
}

// Which of the rising stops is nearest by ratio: what was set in Python may lie between them.
export function stopOf(values, x) {
  const above = values.findIndex((v) => v >= x);
  if (above < 0) return values.length - 1;
  return above > 0 && x * x < values[above] * values[above - 1] ? above - 1 : above;
}

/* -- elements; their classes begin with the prefix of the figure -- */

export function fill(node, attributes, children = []) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
export const h = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

export function button(words, action) {
  const node = h("button", { type: "button" }, words);
  node.addEventListener("click", action);
  return node;
}

export function slider(prefix, label, attributes = {}) {
  const input = h("input", { type: "range", "aria-label": label, ...attributes });
  const output = h("span", { class: `${prefix}-value`, "aria-hidden": "true" });
  const box = h("label", { class: `${prefix}-slider` },
                h("span", {}, h("span", {}, label), output), input);
  const show = (value, words) => {
    input.value = value;
    input.setAttribute("aria-valuetext", words);
    output.textContent = words;
  };
  return { input, box, show };
}

export const notes = (prefix, paragraphs) =>
  h("details", { class: `${prefix}-notes` }, h("summary", {}, "What is drawn"),
    ...paragraphs.map((words) => h("p", {}, words)));

// A paragraph of which a screen reader reads every change: a few a second are enough.
export function status(prefix) {
  const node = h("p", { class: `${prefix}-summary`, "data-testid": "summary", role: "status",
                        "aria-live": "polite", "aria-atomic": "true" });
  let [said, saidAt, timer] = ["", -Infinity, 0];
  function say(words) {
    if (words === said) return;
    said = words;
    timer ||= setTimeout(() => {
      timer = 0;
      saidAt = performance.now();
      node.textContent = said;
    }, Math.max(0, saidAt + 200 - performance.now()));
  }
  return { node, say, stop: () => clearTimeout(timer) };
}

// A point on a canvas that answers the hand and the keyboard. Every pointer takes the handle; a
// mouse also takes it to where it is pressed, and a finger elsewhere scrolls the page. `drop` hears
// pixels of the canvas, `point` gives the two numbers that keys change, and `move` takes them.
export function draggable(handle, canvas, { drop, point, move }) {
  let grip = null;
  const drag = (event) => {
    if (!grip) return;
    const box = canvas.getBoundingClientRect();
    drop(event.clientX - box.left - grip[0], event.clientY - box.top - grip[1]);
  };
  const seize = (event) => {
    const held = event.currentTarget === handle;
    if (event.button !== 0 || (!held && event.pointerType === "touch")) return;
    const { left, top, width, height } = handle.getBoundingClientRect();
    grip = held ? [event.clientX - left - width / 2, event.clientY - top - height / 2] : [0, 0];
    handle.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    event.preventDefault();
    if (!held) drag(event);
  };
  for (const node of [handle, canvas]) node.addEventListener("pointerdown", seize);
  handle.addEventListener("pointermove", drag);
  handle.addEventListener("lostpointercapture", () => { grip = null; });
  handle.addEventListener("keydown", (event) => {
    const [a, b] = point();
    const d = event.shiftKey ? 0.1 : event.altKey || event.ctrlKey ? 0.001 : 0.01;
    const to = { ArrowLeft: [a - d, b], ArrowRight: [a + d, b], ArrowUp: [a, b + d],
                 ArrowDown: [a, b - d], PageDown: [a / 10, b], PageUp: [a * 10, b],
                 Home: [0, b] }[event.key];
    if (!to) return;
    event.preventDefault();
    move(...to);
  });
}
export const DRAG_KEYS = "Keys at the start: arrows, with Shift for bigger and Alt or Ctrl for finer "
  + "steps; Page Down and Page Up move it ten times nearer to and farther from the stable manifold, "
  + "Home onto it.";

// JupyterLab reads keys before the page does: here they are not its shortcuts.
export function quiet(root) {
  for (const node of root.querySelectorAll("[tabindex], input, button, summary")) {
    node.setAttribute("data-lm-suppress-shortcuts", "true");
  }
}

/* -- colours and a pen -- */

function isDark() {
  const sphinx = document.documentElement.dataset.theme;
  if (sphinx === "dark" || sphinx === "light") return sphinx === "dark";
  const lab = document.body.dataset.jpThemeLight;
  return lab ? lab === "false" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// The font and the colours that the style sheet gives to a figure.
export function palette(root, prefix, names) {
  const css = getComputedStyle(root);
  const colour = (name) => css.getPropertyValue(`--${prefix}-${name}`).trim();
  return { font: `12px ${css.fontFamily}`,
           ...Object.fromEntries(names.split(" ").map((name) => [name, colour(name)])) };
}

// Draws in CSS pixels on a canvas of the device's pixels, cleared first. Words stand in a halo,
// so that lines may pass behind them.
export function penOn(canvas, { width, height, ratio }, colours, haloWidth = 3) {
  const [w, t] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== t) Object.assign(canvas, { width: w, height: t });
  const c = canvas.getContext("2d");
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, width, height);
  c.lineJoin = "round";
  c.font = colours.font;
  const trace = (points) => {
    c.beginPath();
    for (const point of points) c.lineTo(...point);
  };
  const stroke = (colour, { width: thick = 1, dash = [] } = {}) => {
    Object.assign(c, { strokeStyle: colour, lineWidth: thick });
    c.setLineDash(dash);
    c.stroke();
    c.setLineDash([]);
  };
  const path = (points, colour, style) => {
    trace(points);
    stroke(colour, style);
  };
  const rectangle = ({ left, top, right, bottom }) => {
    c.beginPath();
    c.rect(left, top, right - left, bottom - top);
  };
  return {
    c, colours, stroke, path,
    line: (x0, y0, x1, y1, colour, style) => path([[x0, y0], [x1, y1]], colour, style),
    fill(points, colour) {
      trace(points);
      c.fillStyle = colour;
      c.fill();
    },
    disc(x, y, radius, inner, edge, thick = 1.5) {
      c.beginPath();
      c.arc(x, y, radius, 0, 2 * Math.PI);
      c.fillStyle = inner ?? "transparent";
      c.fill();
      stroke(edge, { width: thick });
    },
    text(words, x, y, { colour = colours.soft, align = "left", halo = colours.bg } = {}) {
      Object.assign(c, { textAlign: align, strokeStyle: halo, lineWidth: haloWidth,
                         fillStyle: colour });
      c.strokeText(words, x, y);
      c.fillText(words, x, y);
    },
    box(frame, colour) {
      rectangle(frame);
      stroke(colour);
    },
    inside(frame, draw) {
      c.save();
      rectangle(frame);
      c.clip();
      draw();
      c.restore();
    },
  };
}

/* -- the loop -- */

// Draws at most once a frame, when a trait of `state` or the page has changed, and saves what was
// written as seldom. `draw` returns false while the figure is hidden: a closed tab, a folded cell.
export function loop(widget, { state, name, draw }) {
  let [request, frames, unsaved] = [0, 0, false];
  const invalidate = () => {
    if (!request) request = requestAnimationFrame(frame);
  };
  function frame() {
    request = 0;
    if (draw() === false) return;
    if (unsaved) widget.save_changes();
    unsaved = false;
    if (frames === 0) performance.mark(`${name}:visible`);
    frames += 1;
    if (frames % 1000 === 0) performance.clearMarks(`${name}:drawn`); // they are kept for ever
    performance.mark(`${name}:drawn`);
  }
  const set = (key, value) => {
    widget.set(key, value);
    unsaved = true;
  };
  return {
    invalidate,
    read: () => Object.fromEntries(state.map((key) => [key, widget.get(key)])),
    write(changes) {
      for (const [key, value] of Object.entries(changes)) set(key, value);
      invalidate();
    },
    // Results, written while drawing.
    publish(results) {
      for (const [key, value] of Object.entries(results)) {
        if (widget.get(key) !== value) set(key, value);
      }
    },
    // From here on the figure follows its model, its size and the colour scheme of the page.
    // Returns what ends that.
    begin(root, { layout, rethemed = () => {} }) {
      for (const key of state) widget.on(`change:${key}`, invalidate);
      const resized = new ResizeObserver(() => {
        if (layout()) invalidate();
      });
      resized.observe(root);
      const retheme = () => {
        root.dataset.dark = isDark();
        rethemed();
      };
      const themed = new MutationObserver(retheme);
      themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
      themed.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
      const scheme = matchMedia("(prefers-color-scheme: dark)");
      scheme.addEventListener("change", retheme);
      retheme();
      invalidate();
      return () => {
        for (const key of state) widget.off(`change:${key}`, invalidate);
        for (const observer of [resized, themed]) observer.disconnect();
        scheme.removeEventListener("change", retheme);
        cancelAnimationFrame(request);
      };
    },
  };
}
