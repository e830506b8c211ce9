// A function of the plane as shades and level lines, on cells of a few pixels.

import { clamp, range } from "./numbers.js";
import { channels, penOn } from "./pen.js";

const MOST = 12000; // cells, so that the first frame stays quick
const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];

// One level curve by marching squares; crossings of an edge by linear interpolation.
function contour({ c, stroke }, { left, top }, { values, columns, cell }, level, name) {
  c.beginPath();
  for (let n = 0; n + columns < values.length; n += 1) {
    // Most cells are not crossed; to see that first keeps the first frame quick.
    const below = (values[n] < level) + (values[n + 1] < level)
      + (values[n + columns] < level) + (values[n + columns + 1] < level);
    if (below === 0 || below === 4 || n % columns === columns - 1) continue;
    const [i, j] = [n % columns, Math.floor(n / columns)];
    const v = CORNERS.map(([a, b]) => values[n + a + b * columns] - level);
    let pen = "moveTo";
    for (let e = 0; e < 4; e += 1) {
      const [p, q, w] = [CORNERS[e], CORNERS[(e + 1) % 4], v[(e + 1) % 4]];
      if ((v[e] < 0) === (w < 0)) continue;
      const t = v[e] / (v[e] - w);
      c[pen](left + cell * (i + p[0] + t * (q[0] - p[0])), top + cell * (j + p[1] + t * (q[1] - p[1])));
      pen = pen === "moveTo" ? "lineTo" : "moveTo";
    }
  }
  stroke(name, { width: 1, dash: [] });
}

// `fun` takes two numbers, `atX` and `atY` turn pixels into them. Shades go from `low` to `high`;
// `levels` is a list of [level, colour].
export function landscape(pen, frame, { fun, atX, atY, low, high, levels }) {
  const { left, top, right, bottom } = frame;
  const cell = Math.max(4, Math.ceil(Math.sqrt(((right - left) * (bottom - top)) / MOST)));
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
    for (const [level, name] of levels) contour(pen, frame, { values, columns, cell }, level, name);
  });
}

// What depends on few things is drawn once and copied until one of them changes.
export function cached(draw) {
  let [canvas, kept] = [null, ""];
  return (pen, key, ...given) => {
    const size = { width: pen.width, height: pen.height, ratio: pen.c.getTransform().a };
    const name = JSON.stringify([size, pen.colours.bg, pen.colours.low, key]);
    canvas ??= document.createElement("canvas");
    if (name !== kept) draw(penOn(canvas, size, pen.colours), ...given);
    kept = name;
    pen.c.drawImage(canvas, 0, 0, size.width, size.height);
  };
}
