// Axes: a scale is what a number is worth between 0 and 1, with the ticks that suit it.

import { clamp, niceStep, powerOfTen, range, short } from "./numbers.js";

export function linear(low, high, { words = short } = {}) {
  const of = (v) => (v - low) / (high - low);
  return {
    low, high, of, at: (t) => low + t * (high - low),
    ticks(count) {
      const step = niceStep(high - low, count);
      const first = Math.ceil(low / step - 1e-9);
      const n = Math.floor(high / step + 1e-9) - first + 1;
      return range(n, (i) => Number(((first + i) * step).toPrecision(12))).map((v) => [v, words(v)]);
    },
  };
}

// Between two positive numbers; `least` is where 0 and what is below are drawn: under the frame.
export function log(low, high, { words = (n) => powerOfTen(n) } = {}) {
  const [a, b] = [Math.log10(low), Math.log10(high)];
  const of = (v) => (Math.log10(v > 0 ? v : 1e-323) - a) / (b - a);
  return {
    low, high, of, at: (t) => 10 ** (a + t * (b - a)),
    ticks(count) {
      const step = Math.max(1, niceStep(Math.max(b - a, 1e-9), count));
      const first = Math.ceil(a / step - 1e-9);
      const n = Math.floor(b / step + 1e-9) - first + 1;
      return range(Math.max(n, 0), (i) => (first + i) * step).map((v) => [10 ** v, words(v)]);
    },
  };
}

// Counts from 0 on, of which log(n + 1) is drawn.
export function logCounts(high) {
  const of = (n) => Math.log(Math.max(n, 0) + 1) / Math.log(high + 1);
  return { low: 0, high, of, at: (t) => (high + 1) ** t - 1,
           ticks: () => range(7, (i) => 10 ** i).filter((n) => n < high).map((n) => [n, String(n)]) };
}

// Draws grid, ticks and names of a plot in `frame`, a rectangle of pixels, and returns a pen that
// takes numbers instead of pixels. `x` and `y` are scales, or null for an axis without ticks of its
// own; `labels: false` draws the lines of the ticks alone, for a plot that stands over another.
export function axes(pen, frame, { x, y, title = "", xTitle = "", labels = true, gap = [70, 26] }) {
  const { left, right, top, bottom } = frame;
  const px = (v) => clamp(left + (right - left) * x.of(v), -1e4, 1e4);
  const py = (v) => clamp(bottom - (bottom - top) * y.of(v), -1e4, 1e4);
  const inks = { colour: "ink" };
  if (y.ticks) {
    for (const [v, words] of y.ticks(Math.max(1, (bottom - top) / gap[1]))) {
      pen.line(left, py(v), right, py(v), "line");
      pen.text(words, left - 5, py(v) + 4, { align: "right" });
    }
  }
  if (x.ticks) {
    for (const [v, words] of x.ticks(Math.max(1, (right - left) / gap[0]))) {
      pen.line(px(v), top, px(v), bottom, "line");
      const align = px(v) > right - 4 * words.length ? "right" : "center";
      if (labels) pen.text(words, align === "right" ? right : px(v), bottom + 15, { align });
    }
  }
  pen.box(frame);
  if (title) pen.text(title, left, top - 8, inks);
  if (xTitle) pen.text(xTitle, (left + right) / 2, bottom + 31, { ...inks, align: "center" });
  const places = (points) => points.map(([a, b]) => [px(a), py(b)]);
  const within = (draw) => pen.inside(frame, draw);
  return {
    frame, x: px, y: py, within, atX: (p) => x.at((p - left) / (right - left)),
    atY: (p) => y.at((bottom - p) / (bottom - top)),
    line: (points, name, style) => within(() => pen.path(places(points), name, style)),
    band: (lower, upper, name, alpha) => within(() => { // forced colours know no shade: its edges
      if (pen.colours.forced) for (const edge of [lower, upper]) pen.path(places(edge), name);
      else pen.fill(places([...lower, ...[...upper].reverse()]), name, alpha);
    }),
    dot: (a, b, ...style) => within(() => pen.disc(px(a), py(b), ...style)),
    across: (b, name, style, from = x.low) => within(() => pen.line(px(from), py(b), right, py(b), name, style)),
    down: (a, name, style) => within(() => pen.line(px(a), top, px(a), bottom, name, style)),
    // Bars from 0: edges has one number more than counts.
    histogram(edges, counts, name, chosen = () => true) {
      const wide = px(edges[1]) - px(edges[0]);
      const space = wide > 4 ? 0.5 : 0;
      const frames = [...counts].flatMap((n, j) => (n && chosen(j)
        ? [{ left: px(edges[j]) + space, right: px(edges[j + 1]) - space, top: py(n), bottom }] : []));
      within(() => pen.bars(frames, name));
    },
    // The same edges as a curve of steps, in a halo.
    stairs(edges, values, name) {
      const curve = places([...values].flatMap((v, j) => [[edges[j], v], [edges[j + 1], v]]));
      within(() => {
        pen.path(curve, "bg", { width: 4 });
        pen.path(curve, name, { width: 1.75, dash: [] });
      });
    },
  };
}
