// A function of the plane as shades and level lines, on cells of a few pixels.

import { clamp, range } from "./numbers.js";
import { channels, penOn } from "./pen.js";

const MOST = 12000; // cells, so that the first frame stays quick
const FINE = 6; // pixels of the smallest cell: a level line bends by a fifth of one within it
const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];

// Level curves by marching squares; crossings of an edge by linear interpolation. Each cell is looked
// at once, with the levels between its lowest and its highest corner: most cells have none.
function contours({ c, stroke }, { left, top }, { values, columns, cell }, levels) {
  const sorted = [...levels].sort(([a], [b]) => a - b);
  const curves = sorted.map(() => []);
  for (let n = 0; n + columns + 1 < values.length; n += 1) {
    if (n % columns === columns - 1) continue;
    const [a, b, d, e] = [values[n], values[n + 1], values[n + columns + 1], values[n + columns]];
    const [lowest, highest] = [Math.min(a, b, d, e), Math.max(a, b, d, e)];
    if (!(lowest < sorted.at(-1)[0]) || !(highest >= sorted[0][0])) continue;
    for (let m = 0; m < sorted.length; m += 1) {
      if (lowest < sorted[m][0] && highest >= sorted[m][0]) curves[m].push(n);
    }
  }
  sorted.forEach(([level, name], m) => {
    c.beginPath();
    for (const n of curves[m]) {
      const [i, j] = [n % columns, Math.floor(n / columns)];
      let pen = "moveTo";
      for (let e = 0; e < 4; e += 1) {
        const [p, q] = [CORNERS[e], CORNERS[(e + 1) % 4]];
        const [v, w] = [values[n + p[0] + p[1] * columns] - level, values[n + q[0] + q[1] * columns] - level];
        if ((v < 0) === (w < 0)) continue;
        const t = v / (v - w);
        c[pen](left + cell * (i + p[0] + t * (q[0] - p[0])), top + cell * (j + p[1] + t * (q[1] - p[1])));
        pen = pen === "moveTo" ? "lineTo" : "moveTo";
      }
    }
    stroke(name, { width: 1, dash: [] });
  });
}

// `fun` takes two numbers, `atX` and `atY` turn pixels into them. Shades go from `low` to `high`;
// `levels` is a list of [level, colour].
export function landscape(pen, frame, { fun, atX, atY, low, high, levels }) {
  const { left, top, right, bottom } = frame;
  const cell = Math.max(FINE, Math.ceil(Math.sqrt(((right - left) * (bottom - top)) / MOST)));
  const [columns, rows] = [right - left, bottom - top].map((l) => Math.ceil(l / cell) + 1);
  const xs = range(columns, (i) => atX(left + cell * i));
  const ys = range(rows, (j) => atY(top + cell * j));
  const values = new Float64Array(columns * rows);
  for (let n = 0; n < values.length; n += 1) values[n] = fun(xs[n % columns], ys[Math.floor(n / columns)]);
  const shade = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
  const image = shade.getContext("2d").createImageData(columns, rows);
  const [dark, light] = [channels(pen.paint("low")), channels(pen.paint("high"))];
  values.forEach((v, n) => {
    const t = Math.sqrt(clamp((v - low) / (high - low), 0, 1));
    for (let b = 0; b < 3; b += 1) image.data[4 * n + b] = dark[b] + t * (light[b] - dark[b]);
    image.data[4 * n + 3] = 255;
  });
  shade.getContext("2d").putImageData(image, 0, 0);
  pen.inside(frame, () => {
    pen.c.drawImage(shade, left - cell / 2, top - cell / 2, columns * cell, rows * cell);
    contours(pen, frame, { values, columns, cell }, levels);
  });
}

// What depends on few things is drawn once and copied until one of them changes; its words are
// written over what comes later.
export function cached(draw) {
  let [canvas, kept, words] = [null, "", []];
  return (pen, key, ...given) => {
    const size = { width: pen.width, height: pen.height, ratio: pen.c.getTransform().a };
    const name = JSON.stringify([size, pen.colours.bg, pen.colours.low, pen.colours.forced, key]);
    canvas ??= document.createElement("canvas");
    if (name !== kept) {
      const own = penOn(canvas, size, pen.colours);
      draw(own, ...given);
      words = own.written;
    }
    kept = name;
    pen.c.drawImage(canvas, 0, 0, size.width, size.height);
    pen.written.push(...words.map((label) => ({ ...label })));
  };
}
