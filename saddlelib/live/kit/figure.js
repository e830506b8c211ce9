// A live figure out of its parts: what it computes, what it draws, what it says. Its state lives in
// the widget's model (get, set, on, off and save_changes, nothing else), so that the same module
// runs in Jupyter, where the model talks to Python, and on a page, where it talks to nobody.

import { controls, DRAG_KEYS, draggable, h, legend, rich, say, slider } from "./controls.js";
import { stopOf } from "./numbers.js";
import { penOn } from "./pen.js";
import { onTheme, palette } from "./theme.js";

const PATIENCE = 3000; // milliseconds that a printer waits for work
const WIDE = 616; // of the body: from here on two plots stand side by side, as in kit.css

const PRINTS = ["beforeprint", "afterprint"];

/* -- the loop -- */

// Draws at most once a frame, when a trait of `state` or the page has changed, and saves what was
// written as seldom. `draw` returns false while the figure is hidden: a closed tab, a folded cell.
function loop(widget, { state, name, draw }) {
  let [request, frames, unsaved, open] = [0, 0, false, false];
  const invalidate = () => {
    if (open && !request) request = requestAnimationFrame(frame);
  };
  function frame() {
    cancelAnimationFrame(request);
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
  for (const key of state) widget.on(`change:${key}`, invalidate);
  return {
    invalidate,
    // Before paper comes: a printer does not wait for the next frame.
    now() {
      if (frames) frame();
    },
    begin() {
      open = true;
      invalidate();
    },
    read: () => Object.fromEntries(state.map((key) => [key, widget.get(key)])),
    write(changes) {
      for (const [key, value] of Object.entries(changes)) set(key, value);
      invalidate();
    },
    // Results, written while drawing.
    publish(results) {
      for (const [key, value] of Object.entries(results)) {
        if (JSON.stringify(widget.get(key)) !== JSON.stringify(value)) set(key, value);
      }
    },
    end() {
      for (const key of state) widget.off(`change:${key}`, invalidate);
      cancelAnimationFrame(request);
      open = false;
    },
  };
}

/* -- words -- */

// The sentence under a figure. A screen reader is told of it only when the reader has asked, by a
// control, a key or a drag, and once what that set going has come to rest. What moves by itself, as
// when a figure comes into view, stays silent. Where the text invites a guess, the result is not
// to be seen before that either: kit.css covers it.
function sentence(root, guess, revealed) {
  const node = h("p", { class: "lf-summary", "data-testid": "summary", "aria-live": "off",
                        "aria-atomic": "true" });
  let [said, saidAt, timer, asked] = ["", -Infinity, 0, false];
  let heard = ""; // what a screen reader was told last, or what stood there before anybody asked
  for (const kind of ["input", "change", "click", "keydown", "pointerdown"]) {
    root.addEventListener(kind, (event) => {
      asked ||= event.key !== "Tab";
      if (!asked || !root.classList.contains("lf-guess")) return;
      root.classList.remove("lf-guess");
      revealed();
    }, true);
  }
  root.classList.toggle("lf-guess", guess);
  function write() { // no number without its unit
    clearTimeout(timer);
    timer = 0;
    saidAt = performance.now();
    node.textContent = said.replace(/(\d) (?=[%ε]|(h|m?s|min|days?|years?|steps?)\b)/g, "$1\u00a0");
  }
  return {
    node, stop: () => clearTimeout(timer),
    say(words, moving) {
      const aloud = asked && !moving;
      node.setAttribute("aria-live", aloud ? "polite" : "off");
      if (words === said && !(aloud && heard !== words)) return;
      said = words;
      if (aloud || !asked) heard = words;
      timer ||= setTimeout(write, Math.max(0, saidAt + 200 - performance.now())); // a few a second are enough
    },
    write,
  };
}

/* -- what goes on by itself -- */

// A place between 0 and the last that plays once when somebody can watch, or when it is told to, and
// that a slider and a button move. With reduced motion it is at the last at once.
function player({ label, last, next, stops = null, slide = true, play = true, words = String,
                  start = 0, verb = "play", waits = false }, { invalidate }) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const state = { at: waits && !calm.matches ? start : Infinity, playing: false, seen: false,
                  started: !play };
  const scrub = slider(label);
  const button = h("button", { type: "button" });
  let all = 0; // the last place, as of the last frame
  let untouched = waits; // what waits shows its end once anything else has been moved
  let places = null;
  scrub.input.addEventListener("input", () => {
    state.at = places ? places[scrub.input.valueAsNumber] : scrub.input.valueAsNumber;
    state.playing = untouched = false;
    invalidate();
  });
  button.addEventListener("click", () => {
    state.playing = !state.playing;
    untouched = false;
    if (state.playing && state.at >= all) state.at = start;
    invalidate();
  });
  const calmed = () => {
    if (calm.matches) Object.assign(state, { at: Infinity, playing: false });
    invalidate();
  };
  calm.addEventListener("change", calmed);
  return {
    node: h("div", { class: "lf-player" }, ...(slide ? [scrub.node] : []), ...(play ? [button] : [])),
    saw(seen) {
      state.seen = seen;
      if (seen && !state.started && !waits && !calm.matches) {
        Object.assign(state, { at: start, playing: true });
      }
      state.started ||= seen;
      invalidate();
    },
    moved() {
      if (untouched) state.at = Infinity;
      untouched = false;
    },
    // On paper what has waited is at its end; it waits on.
    paper(on) {
      if (on && !untouched) return;
      if (on) Object.assign(state, { kept: state.at, started: true, at: Infinity });
      else if (state.kept !== undefined) Object.assign(state, { at: state.kept, kept: undefined });
    },
    // From the beginning, as after a change of what is played; a still figure stays at its end.
    restart() {
      if (!calm.matches) Object.assign(state, { at: start, playing: true });
    },
    go(at) {
      Object.assign(state, { at, playing: false });
      invalidate();
    },
    toEnd() {
      if (!state.playing) state.at = Infinity;
    },
    // One frame: the place to draw, after a step where it plays.
    frame(current) {
      all = last(current);
      if (state.playing && state.seen) state.at = next(state.at, current);
      if (!play) return state.at < Infinity ? Math.min(all, state.at) : null; // nowhere, until it is moved
      if (state.at >= all) Object.assign(state, { at: Infinity, playing: false });
      return Math.floor(Math.min(all, state.at));
    },
    show(at, current) {
      const known = at ?? all;
      places = stops?.(current) ?? null;
      scrub.input.max = places ? places.length - 1 : all;
      scrub.show(places ? stopOf(places, known) : Math.floor(known), at === null ? "all" : words(Math.floor(known), current));
      button.hidden = calm.matches;
      say(button, state.playing ? "pause" : verb);
    },
    get goes() { return state.playing && state.seen; },
    get started() { return state.started; }, // somebody has seen it
    end: () => calm.removeEventListener("change", calmed),
  };
}

/* -- the figure -- */

const details = (name, words, ...children) =>
  h("details", { class: `lf-${name}` }, h("summary", {}, words), ...children);

// A view is a canvas with `draw(pen, current, at)`, or a node of its own with `update(current, at)`.
function makeView(view) {
  const node = h("div", { class: "lf-view" });
  if (view.node) node.append(view.node);
  else {
    const canvas = h("canvas", { role: "img", "data-testid": view.name });
    node.append(canvas);
    Object.assign(view, { canvas, size: null });
    view.point = view.drag ? draggable(canvas, view.drag) : null;
    if (view.point) node.append(view.point.handle);
    if (view.hover) canvas.addEventListener("pointermove", (e) => view.hover(e.offsetX, e.offsetY));
  }
  return node;
}

function sizeOf(view, holder, wide) {
  const width = holder.clientWidth;
  const size = { width, height: Math.round(view.height(width, wide)), ratio: devicePixelRatio };
  Object.assign(view.canvas.style, { width: `${width}px`, height: `${size.height}px` });
  return size;
}

// What `spec` may say is in the guide beside this file.
export function figure(spec) {
  function render({ model: widget, el }) {
    const first = !document.querySelector(".lf");
    const { compute, results = () => ({}), presets = {}, more = () => [], beside = () => [] } = spec;
    const compact = spec.compact && widget.get("compact");
    const root = h("div", { class: `lf ${spec.name}`, role: "group", "aria-label": spec.title });
    if (compact) root.classList.add("lf-compact");
    const words = sentence(root, Boolean(spec.guess) && !compact, () => wheel.invalidate());
    const wheel = loop(widget, { state: spec.state, name: spec.name, draw });
    const { read } = wheel;
    let ticks = false; // whether nothing but the player has asked for the next frame
    const invalidate = () => {
      ticks = false;
      wheel.invalidate();
    };
    const initial = read();
    const morePresets = (given) => (typeof given === "function"
      ? (s) => ({ ...given(s), "start over": initial }) : { ...given, "start over": initial });
    const play = spec.player ? player(spec.player, { invalidate }) : null;
    const write = (changes) => {
      play?.moved();
      wheel.write(changes);
    };
    let [colours, current, keyOf, drawnOf, shown, whole, printing] = [null, null, "", "", null, false, false];
    const fig = { root, widget, read, write, invalidate, play, compact, now: () => current };
    const { make, update } = controls({ read, write, name: spec.name, chosen: () => play?.toEnd() });
    const views = spec.views(fig).filter((view) => !compact || !view.full);
    const holders = views.map(makeView);
    const tell = h("p", { class: "lf-tell" });
    const key = spec.legend?.(make, fig) ?? [];
    const shownKey = Array.isArray(key) ? legend(key) : key;

    const controlsBeside = h("div", { class: "lf-sliders" }, ...beside(make, fig));
    const extra = compact ? [] : [make.presets(presets), details("more", "More",
      h("div", { class: "lf-sliders" }, ...more(make, fig)),
      make.presets(morePresets(spec.morePresets)), tell)];
    const body = h("div", { class: "lf-body" }, shownKey, // container queries ask about an ancestor
      h("div", { class: "lf-bench" }, holders[0], ...(play && !compact ? [play.node] : []),
        controlsBeside, words.node, ...extra),
      ...(holders.length > 1 ? [h("div", { class: "lf-others" }, ...holders.slice(1))] : []));
    root.append(body);
    if (!compact) {
      body.append(h("p", { class: "lf-caption" }, spec.caption),
        details("notes", "What is drawn", ...[...spec.notes, ...(views.some(({ drag }) => drag) ? [DRAG_KEYS] : [])]
          .map((paragraph) => h("p", {}, ...rich(paragraph)))));
    }
    // JupyterLab reads keys before the page does: here they are not its shortcuts.
    for (const node of root.querySelectorAll("[tabindex], input, select, button, summary")) {
      node.setAttribute("data-lm-suppress-shortcuts", "true");
    }
    el.append(root);

    function layout() {
      if (holders[0].clientWidth < 100) return false; // hidden: a closed tab, a folded cell
      fig.wide = body.clientWidth >= WIDE;
      views.forEach((view, i) => {
        if (view.canvas) view.size = sizeOf(view, holders[i], fig.wide);
      });
      fig.ratio = devicePixelRatio;
      return true;
    }

    function draw() {
      if (fig.ratio !== devicePixelRatio && !layout()) return false;
      colours ??= palette(root);
      const s = read();
      const state = JSON.stringify(s);
      const name = spec.computed ? JSON.stringify(spec.computed.map((key) => s[key])) : state;
      const begins = current === null;
      if (name !== keyOf) current = compute(s, current, fig);
      else Object.assign(current, s);
      keyOf = name;
      if (begins) { // on a phone to compute and to draw at once would hold up the page
        invalidate();
        return false;
      }
      const before = shown;
      shown = play ? play.frame(current) : null;
      if (ticks && play.goes && shown === before && state === drawnOf) { // the same picture
        wheel.invalidate();
        return false;
      }
      const fresh = drawnOf === "";
      drawnOf = state;
      let going = spec.go?.(current, shown, fig) ?? false; // a piece of long work, or none
      for (const until = performance.now() + PATIENCE; printing && going && performance.now() < until;) {
        going = spec.go(current, shown, fig);
      }
      for (const view of views) {
        const away = view.away && !whole;
        if (!view.canvas) {
          // Out of sight words follow when it rests; the first time they take their room.
          if (fresh || !away || !play?.goes) view.update(current, shown);
          continue;
        }
        view.canvas.setAttribute("aria-label", view.words(current));
        if (away) continue;
        const pen = penOn(view.canvas, view.size, colours);
        view.draw(pen, current, shown);
        pen.finish();
        view.point?.place(view.drag.place(current));
      }
      play?.show(shown, current);
      update(s);
      say(tell, spec.tell?.(current, shown) ?? "");
      words.say(spec.summarize(current, shown), going || Boolean(play?.goes));
      wheel.publish(results(current, shown));
      if (going || play?.goes) {
        ticks = !going;
        wheel.invalidate();
      }
      return true;
    }

    const near = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      near.disconnect();
      wheel.begin();
    }, { rootMargin: "75%" });
    const watched = new IntersectionObserver((entries) => play?.saw(entries.at(-1).isIntersecting),
                                             { threshold: 0.3 });
    watched.observe(holders[0]);
    // Of the views after the first only those near the screen are drawn.
    const passing = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) views[holders.indexOf(target)].away = !isIntersecting;
      invalidate();
    }, { rootMargin: "50%" });
    views.forEach((view, i) => {
      view.away = i > 0;
      if (view.away) passing.observe(holders[i]);
    });
    const resized = new ResizeObserver(() => {
      if (layout()) invalidate();
    });
    resized.observe(root);
    const drawWhole = () => {
      whole = true; // also what is out of sight
      wheel.now();
      whole = false;
    };
    const unthemed = onTheme(root, () => {
      colours = null;
      drawWhole();
    });
    const print = ({ type }) => {
      printing = type === "beforeprint";
      play?.paper(printing);
      drawWhole();
      words.write();
    };
    for (const kind of PRINTS) addEventListener(kind, print);
    if (root.isConnected) layout(); // so that nothing moves when it is drawn
    if (first) wheel.begin();
    else near.observe(root);

    return () => {
      for (const observer of [near, watched, passing, resized]) observer.disconnect();
      unthemed();
      for (const kind of PRINTS) removeEventListener(kind, print);
      play?.end();
      words.stop();
      wheel.end();
    };
  }
  return { render };
}
