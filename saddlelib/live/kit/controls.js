// Elements of a figure: what readers move, and the pieces that say what they see.

import { clamp, short, stopOf } from "./numbers.js";
import { STYLES } from "./theme.js";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
export const h = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);
// Words with raised and lowered parts, as in ε^{r−1} and λ_{min}.
export const rich = (words) => words.split(/([_^]\{[^}]*\})/).map((part) => (/^[_^]\{/.test(part)
  ? h(part[0] === "_" ? "sub" : "sup", {}, part.slice(2, -1)) : part));
export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// Writes words where they are others: the same ones again would make the browser lay out the page.
export const say = (node, words) => {
  if (node.textContent !== words) node.textContent = words;
};

// The shapes of marks on a plot, and whether they are filled.
const MARKS = { disc: ["M8.5 6a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0", true], cross: ["M9 2l8 8m0-8l-8 8"],
                ring: ["M10 6a3 3 0 1 0 6 0a3 3 0 1 0-6 0"], triangle: ["M13 1l6 10h-12z", true],
                diamond: ["M13 0l6 6l-6 6l-6-6z", true] };

// The line of a method, as in the plot, its bar or its mark; all keep shape where colours are forced.
export function swatch(name, { bar = false, mark = null, dash = null, width = null } = {}) {
  const style = STYLES[name] ?? {};
  const shape = bar ? svg("rect", { x: 3, y: 1, width: 20, height: 10 })
    : mark ? svg("path", { d: MARKS[mark][0] })
    : svg("line", { x1: 1, y1: 6, x2: 25, y2: 6, "stroke-width": width ?? style.width ?? 2 });
  if (mark && MARKS[mark][1]) shape.style.setProperty("fill", "var(--lf-own)");
  if (!bar && !mark) {
    const dashes = dash ?? style.dash;
    if (dashes) shape.setAttribute("stroke-dasharray", dashes.join(" "));
    shape.style.setProperty("--lf-dash", (dash ?? style.forced ?? dashes)?.join(" ") || "none");
  }
  const lines = bar ? (style.ways ?? []).flatMap((way) => [-4, 2, 8, 14].map((x) =>
    svg("line", { x1: 5 + x, x2: 15 + x, y1: way > 0 ? 11 : 1, y2: way > 0 ? 1 : 11,
                  class: style.always ? "lf-hatch lf-always" : "lf-hatch" }))) : [];
  const node = svg("svg", { class: bar ? "lf-swatch lf-solid" : "lf-swatch", width: 26, height: 12,
                            viewBox: "0 0 26 12", "aria-hidden": "true" }, shape, ...lines);
  node.style.setProperty("--lf-own", `var(--lf-${name})`);
  return node;
}

export const legend = (entries) => h("ul", { class: "lf-legend" },
  ...entries.map(([name, words, options]) => h("li", {}, swatch(name, options), words)));

// A table of which only those cells are written that are others: rows are [method, name, ...cells].
export function table({ caption, head }) {
  const body = h("tbody");
  const node = h("div", { class: "lf-table" }, h("table", { "data-testid": "table" },
    h("caption", {}, caption),
    h("thead", {}, h("tr", {}, ...head.map((words) => h("th", { scope: "col" }, words)))), body));
  const heads = []; // what the rows are about
  return { node, update(rows) {
    rows.forEach(([method, name, ...cells], i) => {
      const about = JSON.stringify([method, name, cells.length]);
      if (heads[i] !== about) {
        const row = h("tr", {}, h("th", { scope: "row" }, ...(method ? [swatch(method)] : []), name),
                      ...cells.map(() => h("td")));
        if (i < heads.length) body.rows[i].replaceWith(row);
        else body.append(row);
        heads[i] = about;
      }
      cells.forEach((cell, j) => say(body.rows[i].cells[j + 1], String(cell)));
    });
    while (heads.length > rows.length) {
      heads.pop();
      body.lastChild.remove();
    }
  } };
}

function button(words, action) {
  const node = h("button", { type: "button", "data-lm-suppress-shortcuts": true }, words);
  node.addEventListener("click", action);
  return node;
}

export function slider(label, attributes = {}) {
  const input = h("input", { type: "range", "aria-label": label, min: 0, step: 1, ...attributes });
  const output = h("span", { class: "lf-value", "aria-hidden": "true" });
  const node = h("label", { class: "lf-slider" }, h("span", {}, h("span", {}, label), output), input);
  const show = (value, words) => {
    input.value = value;
    input.setAttribute("aria-valuetext", words);
    say(output, words);
  };
  return { input, node, show };
}

let groups = 0;

// The controls of one figure: each is an element that writes what was chosen, and `update` shows
// the state in all of them.
export function controls({ read, write, chosen, name: figure }) {
  const updates = [];
  const add = (node, update, { hidden = null } = {}) => {
    updates.push((s) => {
      update(s);
      if (hidden) node.hidden = hidden(s);
    });
    return node;
  };
  const box = (input, words, attributes = {}, extra = []) =>
    h("label", { class: "lf-check", ...attributes }, input, ...extra, h("span", {}, words));
  function check(words, on, to, extra) {
    const input = h("input", { type: "checkbox" });
    input.addEventListener("change", () => write(to(input.checked)));
    return add(box(input, words, {}, extra), (s) => { input.checked = on(s); });
  }
  const entries = (options) =>
    Object.entries(options).map(([value, to]) => [value, ...(Array.isArray(to) ? to : [to, {}])]);

  const make = {
    // Over rising stops, an array or a function of the state.
    slider(name, label, stops, words = short, options = {}) {
      const of = (s) => (typeof stops === "function" ? stops(s) : stops);
      const { input, node, show } = slider(label);
      input.addEventListener("input", () => write({ [name]: of(read())[input.valueAsNumber] }));
      return add(node, (s) => {
        const values = of(s);
        input.max = values.length - 1;
        show(stopOf(values, s[name]), words(s[name]));
      }, options);
    },
    check: (name, words) => check(words, (s) => s[name], (on) => ({ [name]: on })),
    // A legend of which each entry can be taken out of the plot: the trait is a list of names.
    legend: (name, options, ...rest) => h("div", { class: "lf-legend", role: "group", "aria-label": "what is drawn" },
      ...Object.entries(options).map(([key, words]) => check(words, (s) => s[name].includes(key),
        (on) => ({ [name]: Object.keys(options).filter((n) => (n === key ? on : read()[name].includes(n))) }),
        [swatch(key)])),
      ...rest.map(([key, words, style]) => h("span", {}, swatch(key, style), words))),
    // {value: words} or {value: [words, what else it changes]}
    radios(name, label, options) {
      const group = `${figure}-${name}-${groups += 1}`; // the arrows move in one group
      return h("div", { class: "lf-choice", role: "radiogroup", "aria-label": label },
        h("span", {}, `${label}:`), ...entries(options).map(([value, words, also]) => {
          const input = h("input", { type: "radio", name: group, value });
          input.addEventListener("change", () => write({ [name]: value, ...also }));
          return add(box(input, words), (s) => { input.checked = s[name] === value; });
        }));
    },
    select(name, label, options) {
      const input = h("select", { "aria-label": label }, ...entries(options).map(([value, words]) =>
        h("option", { value }, words)));
      input.addEventListener("change", () => write({ [name]: input.value,
        ...entries(options).find(([value]) => value === input.value)[2] }));
      return add(h("label", { class: "lf-choice" }, h("span", {}, label), input),
                 (s) => { input.value = s[name]; });
    },
    // Buttons: {words: changes} or {words: (state) => changes}, null where it would change nothing;
    // or a function of the state that gives them, for a state that brings buttons of its own.
    presets(options) {
      const node = h("div", { class: "lf-presets", role: "group", "aria-label": "presets" });
      let [shown, buttons] = ["", []];
      function build(s) {
        const given = typeof options === "function" ? options(s) : options;
        if (JSON.stringify(Object.entries(given)) === shown) return;
        shown = JSON.stringify(Object.entries(given));
        buttons = Object.entries(given).map(([words, to]) => {
          const of = typeof to === "function" ? to : () => to;
          return [of, button(words, () => {
            const changes = of(read()); // now, whatever the last picture still says
            if (changes === null) return;
            chosen();
            write(changes);
          })];
        });
        node.replaceChildren(...buttons.map(([, made]) => made));
      }
      build(read()); // so that nothing moves when it is drawn
      return add(node, (s) => {
        build(s);
        for (const [of, made] of buttons) made.setAttribute("aria-disabled", of(s) === null);
      });
    },
    button: (words, action) => button(words, action),
  };
  return { make, update: (s) => { for (const show of updates) show(s); } };
}

// A point on a canvas that answers the hand and the keyboard. Every pointer takes the handle; a
// mouse also takes it to where it is pressed, and a finger elsewhere scrolls the page. `drop` hears
// pixels of the canvas, `point` gives the two numbers that keys change, and `move` takes them.
export const DRAG_KEYS = "Keys at the start: arrows, with Shift for bigger and Alt or Ctrl for finer "
  + "steps; Page Down and Page Up divide and multiply its first coordinate by ten, Home makes it 0.";

export function draggable(canvas, { label, point, move, drop }) {
  const handle = h("div", { "data-testid": "start", class: "lf-start", tabindex: "0", role: "slider",
    "aria-label": label, "aria-roledescription": "point on the map", "aria-description": DRAG_KEYS });
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
    handle.classList.add("lf-moved");
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
    handle.classList.add("lf-moved");
    move(...to);
  });
  // Where it is: pixels inside a frame, the words for it, and what its first number may be.
  function place({ x, y, frame, words, value, reach, hidden = false }) {
    handle.hidden = hidden;
    handle.style.left = `${clamp(x, frame.left, frame.right)}px`;
    handle.style.top = `${clamp(y, frame.top, frame.bottom)}px`;
    handle.classList.toggle("lf-left", x > (frame.left + 2 * frame.right) / 3);
    const aria = { valuemin: -reach, valuemax: reach, valuenow: value, valuetext: words };
    for (const [name, v] of Object.entries(aria)) handle.setAttribute(`aria-${name}`, v);
  }
  return { handle, place };
}
