// A pen for canvases. Colours are names of kit.css, and a name brings its width and dash.

import { styleOf, STYLES } from "./theme.js";

const FAINT = 0.4; // the grid, where the system has but a few colours

// Draws in CSS pixels on a canvas of the device's pixels, cleared first. Words stand in a halo, so
// that lines may pass behind them, and `finish` writes them, last of all; those that are `free` step
// aside, up or down, where others stand.
export function penOn(canvas, { width, height, ratio }, colours) {
  const [w, t] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== t) Object.assign(canvas, { width: w, height: t });
  const c = canvas.getContext("2d");
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, width, height);
  c.lineJoin = "round";
  c.font = colours.font;
  const paint = (name) => colours[name] ?? name;
  const written = []; // words, with the place of their canvas
  let clip = null;
  // What stands within a quarter of a pixel is one point: runs end with thousands of them.
  const trace = (points) => {
    c.beginPath();
    let [lastX, lastY] = [NaN, NaN];
    points.forEach(([x, y], i) => {
      if (Math.abs(x - lastX) + Math.abs(y - lastY) < 0.25 && i < points.length - 1) return;
      [lastX, lastY] = [x, y];
      c.lineTo(x, y);
    });
  };
  const stroke = (name, style) => {
    const { width: thick, dash } = styleOf(name, colours, style);
    Object.assign(c, { strokeStyle: paint(name), lineWidth: thick });
    c.setLineDash(dash);
    const alpha = c.globalAlpha;
    if (colours.forced && (name === "line" || name === "contour")) c.globalAlpha = FAINT;
    c.stroke();
    c.globalAlpha = alpha;
    c.setLineDash([]);
  };
  const path = (points, name, style) => {
    trace(points);
    stroke(name, style);
  };
  const rectangle = ({ left, top, right, bottom }) => {
    c.beginPath();
    c.rect(left, top, right - left, bottom - top);
  };
  const inside = (frame, draw) => {
    c.save();
    rectangle(frame);
    c.clip();
    clip = frame;
    draw();
    clip = null;
    c.restore();
  };
  function write({ words, x, y, colour, align, halo, at, left, wide }, behind) {
    c.setTransform(at);
    Object.assign(c, { textAlign: align, strokeStyle: paint(halo), lineWidth: 4, fillStyle: paint(behind ? halo : colour) });
    if (!behind) c.fillText(words, x, y);
    else {
      if (halo === "bg" && words.includes(" ")) c.fillRect(left, y - 9, wide, 11); // no line shows in a gap
      c.strokeText(words, x, y);
    }
  }
  const line = (x0, y0, x1, y1, name, style) => path([[x0, y0], [x1, y1]], name, style);
  return {
    c, colours, width, height, paint, stroke, path, inside, line, written,
    fill(points, name, alpha = 1) {
      trace(points);
      Object.assign(c, { fillStyle: paint(name), globalAlpha: alpha });
      c.fill();
      c.globalAlpha = 1;
    },
    disc(x, y, radius, inner, edge, thick = 1.5) {
      c.beginPath();
      c.arc(x, y, radius, 0, 2 * Math.PI);
      c.fillStyle = paint(inner);
      if (inner) c.fill();
      stroke(edge, { width: thick, dash: [] });
    },
    // Many of one colour, each alone: one path of all of them takes twice as long to fill.
    dots(points, radius, name) {
      c.fillStyle = paint(name);
      for (const [x, y] of points) {
        c.beginPath();
        c.arc(x, y, radius, 0, 2 * Math.PI);
        c.fill();
      }
    },
    square(x, y, half, inner, edge = "bg") {
      c.beginPath();
      c.rect(x - half, y - half, 2 * half, 2 * half);
      c.fillStyle = paint(inner);
      if (inner) c.fill();
      stroke(edge, { width: 1.5, dash: [] });
    },
    diamond(x, y, half, inner, edge = "bg") {
      trace([[x, y - half], [x + half, y], [x, y + half], [x - half, y], [x, y - half]]);
      c.fillStyle = paint(inner);
      c.fill();
      stroke(edge, { width: 1.5, dash: [] });
    },
    text(words, x, y, { colour = "soft", align = "left", halo = "bg", free = false } = {}) {
      if (clip && (x < clip.left || x > clip.right || y < clip.top || y > clip.bottom)) return;
      written.push({ words, x, y, colour, align, halo, free, at: c.getTransform() });
    },
    finish() {
      const taken = [];
      for (const label of [...written].sort((a, b) => a.free - b.free)) {
        const { words, x, align, free } = label;
        const wide = c.measureText(words).width;
        const left = x - { left: 0, center: wide / 2, right: wide }[align];
        const clash = (y) => taken.some((b) => Math.abs(b.y - y) < 13 && b.left < left + wide + 4 && left < b.right + 4);
        const up = free ? [0, 1, -1, 2, -2, 3, -3].find((n) => !clash(label.y - 13 * n)) ?? 0 : 0;
        label.y -= 13 * up;
        taken.push({ y: label.y, left, right: left + wide });
        Object.assign(label, { left, wide });
      }
      for (const behind of [true, false]) for (const label of written) write(label, behind);
      c.setTransform(ratio, 0, 0, ratio, 0, 0);
    },
    box(frame, name = "line") {
      rectangle(frame);
      stroke(name, { width: 1, dash: [] });
    },
    block(frame, name, alpha = 1) {
      rectangle(frame);
      Object.assign(c, { fillStyle: paint(name), globalAlpha: alpha });
      c.fill();
      c.globalAlpha = 1;
    },
    // Rectangles of one kind, hatched where its style says so: colour alone tells nothing there.
    bars(frames, name) {
      const { ways = [], always = false } = STYLES[name] ?? {};
      const hatched = ways.length && (always || colours.forced);
      c.beginPath();
      for (const { left, top, right, bottom } of frames) c.rect(left, top, right - left, bottom - top);
      c.fillStyle = paint(hatched && colours.forced ? "bg" : name);
      c.fill();
      if (colours.forced) stroke(name, { width: 1, dash: [] });
      if (!hatched || !frames.length) return;
      c.save();
      c.clip();
      const [left, right] = [Math.min(...frames.map((f) => f.left)), Math.max(...frames.map((f) => f.right))];
      const [top, bottom] = [Math.min(...frames.map((f) => f.top)), Math.max(...frames.map((f) => f.bottom))];
      c.beginPath();
      const tall = bottom - top;
      for (let x = left - tall; x < right + tall; x += 5) {
        for (const way of ways) {
          c.moveTo(x, way > 0 ? bottom : top);
          c.lineTo(x + tall, way > 0 ? top : bottom);
        }
      }
      stroke(colours.forced ? name : "bg", { width: 1.25, dash: [] });
      c.restore();
    },
  };
}

// The red, green and blue of any colour that a style sheet can name, each from 0 to 255.
export function channels(colour) {
  const c = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
  c.fillStyle = colour;
  c.fillRect(0, 0, 1, 1);
  return [...c.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}
