// Numbers: as a person writes them, as the ticks of an axis, and as the stops of a slider.

export const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
export const range = (n, of = (i) => i) => Array.from({ length: n }, (_, i) => of(i));

export const finite = (x) => (Number.isFinite(x) ? x : null); // JSON knows no infinity

// Three significant digits: 0.05, 354, 1e−6.
export function short(x, digits = 3) {
  const size = Math.abs(x);
  const words = x === 0 || (size >= 1e-3 && size < 1e5) ? String(Number(x.toPrecision(digits)))
    : x.toExponential(digits - 1).replace(/\.?0+e/, "e");
  return words.replace(/-/g, "\u2212");
}

export const superscript = (n) => String(n).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻");
export const powerOfTen = (n) => (n === 0 ? "1" : `10${superscript(n)}`);
export const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
export const steps = (n) => plural(n, "step");

// 1, 2 or 5 times a power of ten, so that about `count` ticks span `width`.
export function niceStep(width, count) {
  const power = 10 ** Math.floor(Math.log10(width / count));
  return power * [1, 2, 5, 10].find((m) => m * power >= width / count);
}

// The stops of a slider from 10^low to 10^high, each a number of two digits.
export function decades(low, high, { per = 20, tidy = (x) => x } = {}) {
  const found = new Set();
  for (let i = 0; i <= per * (high - low) + 1e-9; i += 1) {
    found.add(tidy(Number((10 ** (low + i / per)).toPrecision(2))));
  }
  return [...found];
}

// Which of the rising stops is nearest, by ratio where they are positive: what was set in Python
// may lie between them.
export function stopOf(values, x) {
  const above = values.findIndex((v) => v >= x);
  if (above < 0) return values.length - 1;
  if (above === 0) return 0;
  const [a, b] = [values[above - 1], values[above]];
  return (a < 0 ? 2 * x < a + b : x * x < a * b) ? above - 1 : above;
}
