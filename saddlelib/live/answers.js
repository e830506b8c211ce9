// The box for an answer. `judge` says to an answer what saddlelib.checks says to it, by the same
// table: terms are trees of lists, and messages are texts with places for numbers in between.

// What _numbers.py takes for a number: literals of Python, their products, quotients, powers, roots.
const DIGITS = "[0-9](?:_?[0-9])*";
const LITERAL = new RegExp(
  `^(?:${DIGITS}\\.?(?:${DIGITS})?|\\.${DIGITS})(?:[eE][+-]?${DIGITS})?`);
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺";

// Each reader of a part gives its value and the rest of the text, or throws.
function factor(text) {
  text = text.trimStart();
  if ("-+√".includes(text[0] ?? " ")) {
    const [value, rest] = factor(text.slice(1));
    return [text[0] === "√" ? Math.sqrt(value) : text[0] === "-" ? -value : value, rest];
  }
  let base, rest;
  if (text[0] === "(") {
    [base, rest] = product(text.slice(1));
    rest = rest.trimStart();
    if (rest[0] !== ")") throw new SyntaxError();
    rest = rest.slice(1).trimStart();
  } else {
    const found = LITERAL.exec(text)?.[0];
    if (!found) throw new SyntaxError();
    [base, rest] = [Number(found.replaceAll("_", "")), text.slice(found.length).trimStart()];
  }
  if (rest[0] !== "^") return [base, rest];
  let power;
  [power, rest] = factor(rest.slice(1));
  const exact = base === 10 && Number.isInteger(power) && Math.abs(power) < 999;
  return [exact ? Number(`1e${power}`) : base ** power, rest];
}

function product(text) {
  let [value, rest] = factor(text);
  while (rest[0] === "*" || rest[0] === "/") {
    const [other, after] = factor(rest.slice(1));
    value = rest[0] === "*" ? value * other : value / other;
    rest = after;
  }
  return [value, rest];
}

function valueOf(plain) {
  if (plain.length > 60) return null;
  try {
    const [value, rest] = product(plain);
    return rest.trim() ? null : value;
  } catch {
    return null;
  }
}

// Thrown where an answer cannot be judged; it does not count as a mistake.
class NoAnswer extends Error {}

export function parse(text, words) {
  let plain = text.trim().replace(/[−–]/g, "-");
  plain = plain.replace(new RegExp(`[${RAISED}]+`, "g"), (raised) =>
    "^" + [...raised].map((c) => "0123456789-+"[RAISED.indexOf(c)]).join(""));
  plain = plain.replaceAll("**", "^").replaceAll("sqrt", "√").replace(/[×·⋅]/g, "*");
  if (!plain) throw new NoAnswer(words.empty);
  const value = /^[+-]?(inf(inity)?|nan)$/i.test(plain) ? Infinity : valueOf(plain);
  if (value === null) {
    const comma = plain.includes(",") &&
      [".", ""].some((other) => valueOf(plain.replaceAll(",", other)) !== null);
    throw new NoAnswer(comma ? words.comma : words.number.replace("{}", () => `“${text}”`));
  }
  if (!Number.isFinite(value)) throw new NoAnswer(words.finite);
  return value;
}

function read({ kind, asks, choices, words }, answer) {
  if (kind === "choice") {
    const word = answer[0].trim().split(/\s+/).join(" ").toLowerCase();
    if (!word) throw new NoAnswer(words.empty);
    if (!choices.includes(word))
      throw new NoAnswer(words.choose.replace("{}", choices.map((c) => `“${c}”`).join(", ")));
    return [word];
  }
  if (kind === "number") return [parse(answer[0], words)];
  const empty = answer.findIndex((text) => !text.trim());
  if (answer.every((text) => !text.trim())) throw new NoAnswer(words.empty);
  if (empty >= 0) throw new NoAnswer(words.missing.replace("{}", () => asks[empty]));
  return answer.map((text, i) => {
    try {
      return parse(text, words);
    } catch (error) {
      throw new NoAnswer(`${asks[i]}: ${error.message}`);
    }
  });
}

// ln Γ for x ≥ 1/2, by the sum of Lanczos.
function logGamma(x) {
  const terms = [676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
  const sum = terms.reduce((s, c, i) => s + c / (x + i), 0.99999999999980993);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

// P(χ²_d ≤ x), by the series of the incomplete gamma function; all its terms are positive.
function chi2(d, x) {
  if (!(x > 0)) return 0;
  const [a, y] = [d / 2, x / 2];
  let [sum, next] = [0, Math.exp(a * Math.log(y) - y - logGamma(a + 1))];
  if (y > a + 40 + 12 * Math.sqrt(a)) return 1;
  for (let n = 1; next > 1e-18 * sum || n < y; n++) {
    sum += next;
    next *= y / (a + n);
  }
  return Math.min(sum, 1);
}

// The same for the squared length of a vector whose mean has the squared length c.
function ncx2(d, c, x) {
  let sum = 0;
  let weight = Math.exp(-c / 2);
  for (let j = 0; j < c / 2 + 40 + 12 * Math.sqrt(c); j++) {
    sum += weight * chi2(d + 2 * j, x);
    weight *= c / 2 / (j + 1);
  }
  return sum;
}

// How many of some starts get a depth below a quartic saddle within a window of steps.
function leave(starts, radius, eta, gamma, depth, window) {
  const fall = (x) => x * x * (gamma / 2 - x * x / 4);
  return starts.filter((start) => {
    let x = radius * start;
    for (let k = 0; fall(x) < depth && k < window; k++)
      x += eta * x * (gamma - x * x);
    return fall(x) >= depth;
  }).length;
}

// A run of GDPolyak down the ravine x⁴ + 10(y − x²)² from (0.6, 0.9), with short steps of 0.04.
// Products alone, so that Python comes to the same bits: some of these runs are chaotic.
function race(first, growth, lambda, what) {
  let [x, y, left, epochs, best] = [0.6, 0.9, first, 0, Infinity];
  for (let calls = 1; calls < 700; calls++) {
    const off = y - x * x;
    const f = x * x * (x * x) + 10 * (off * off);
    if (calls <= 300 && f < best) best = f;
    if (f <= 1e-24) return what === "arrived" ? calls : best;
    const [along, across] = [4 * (x * x * x) - 2 * x * (20 * off), 20 * off];
    const largest = Math.max(Math.abs(along), Math.abs(across));
    if (!(largest > 0 && largest < Infinity && f < Infinity)) break;
    let step = 0.04;
    if (left >= 1) {
      left -= 1;
    } else {
      const [a, b] = [along / largest, across / largest];
      step = Math.min(lambda * (f / largest / (a * a + b * b) / largest), Number.MAX_VALUE);
      epochs += 1;
      left = first + Math.floor(Math.min(epochs * growth, Number.MAX_VALUE));
    }
    [x, y] = [x - step * along, y - step * across];
  }
  return what === "arrived" ? Infinity : best;
}

const OPERATIONS = {
  list: (...x) => x,
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  abs: Math.abs,
  sqrt: Math.sqrt,
  log: Math.log,
  ceil: Math.ceil,
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  is: (a, b) => a === b,
  near: (a, b, rel) => Math.abs(a - b) <= rel * Math.max(Math.abs(a), Math.abs(b)),
  whole: Number.isInteger,
  not: (a) => !a,
  chi2, ncx2, leave, race,
};

function evaluate(node, parts) {
  if (!Array.isArray(node)) return node;
  const [name, ...of] = node;
  if (name === "part") return parts[of[0]];
  if (name === "all") return of.every((x) => evaluate(x, parts));
  if (name === "any") return of.some((x) => evaluate(x, parts));
  return OPERATIONS[name](...of.map((x) => evaluate(x, parts)));
}

// A number in the words of ".3g", ".0f" or ".1e", as Python writes it.
export function shown(x, spec) {
  const [digits, kind] = [Number(spec.slice(1, -1)), spec.at(-1)];
  if (!Number.isFinite(x)) return { Infinity: "inf", "-Infinity": "-inf" }[x] ?? "nan";
  if (kind === "f") return fixed(x, digits);
  const [mantissa, exponent] = x.toExponential(digits - (kind === "g")).split("e");
  const short = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (kind === "g" && exponent >= -4 && exponent < digits)
    return short(fixed(x, digits - 1 - exponent));
  const [sign, size] = [exponent[0], exponent.slice(1).padStart(2, "0")];
  return `${kind === "g" ? short(mantissa) : mantissa}e${sign}${size}`;
}

// JavaScript drops the sign of what rounds to zero from below, and Python keeps it.
function fixed(x, digits) {
  const size = Math.abs(x);
  const large = size < 1e21 ? size.toFixed(digits) : `${BigInt(size)}${"." + "0".repeat(digits)}`;
  return (x < 0 ? "-" : "") + large.replace(/\.$/, "");
}

/** What to say to an answer, a list of texts; `counts` is false where nothing could be judged. */
export function judge(table, answer) {
  let parts;
  try {
    parts = read(table, answer);
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    const later = error.message.startsWith("Not answered yet");
    return { correct: false, counts: false, message: (later ? "" : "Not yet. ") + error.message };
  }
  const row = table.rows.find(([condition]) => evaluate(condition, parts));
  const message = (row?.[1] ?? table.last).map((piece) =>
    typeof piece === "string" ? piece : shown(evaluate(piece[1], parts), piece[0])).join("");
  const correct = message.startsWith("Correct.");
  return { correct, counts: true, message: correct ? message : `Not yet. ${message}` };
}

// From here on: the form.
function h(tag, traits = {}, ...children) {
  const element = Object.assign(document.createElement(tag), traits);
  element.append(...children);
  return element;
}

let boxes = 0;

function fields({ kind, name, asks, choices }, id) {
  if (kind === "choice") {
    const radios = choices.map((value) => h("input", { type: "radio", name: id, value }));
    const set = h("fieldset", {}, h("legend", { textContent: "Choose one" }),
      ...radios.map((radio) => h("label", {}, radio, radio.value)));
    return { set, read: () => [radios.find((radio) => radio.checked)?.value ?? ""],
      write: ([word]) => radios.forEach((radio) => { radio.checked = radio.value === word; }),
      inputs: radios };
  }
  const inputs = asks.map(() => h("input", { type: "text", autocomplete: "off",
    autocapitalize: "none", spellcheck: false, enterKeyHint: "done" }));
  const set = h("div", { className: "answer-fields" }, ...inputs.map((input, i) =>
    h("label", {}, h("span", { textContent: asks[i] }), input)));
  return { set, inputs, read: () => inputs.map((input) => input.value),
    write: (texts) => inputs.forEach((input, i) => { input.value = texts[i] ?? ""; }) };
}

// A browser may refuse to remember anything.
function memory(name) {
  const key = `answer:${name}`;
  const tried = (f) => { try { return f(); } catch { return null; } };
  return { get: () => tried(() => JSON.parse(localStorage.getItem(key))),
    set: (answer) => tried(() => localStorage.setItem(key, JSON.stringify(answer))) };
}

// Texts with `code` between backticks.
const spoken = (message) => message.split("`").map((text, i) =>
  (i % 2 ? h("code", { textContent: text }) : text));

// The first fold for a solution after the box, if the page has one.
function solutionAfter(box) {
  const after = [...document.querySelectorAll("details, .solution")].find((element) =>
    box.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING);
  const fold = after?.closest("details") ?? after?.querySelector("details") ?? after;
  return fold && (() => {
    if ("open" in fold) fold.open = true;
    else if (fold.classList.contains("toggle-hidden")) fold.querySelector("button")?.click();
    fold.tabIndex = -1;
    fold.focus();
    fold.scrollIntoView({ block: "nearest" });
  });
}

function needsKernel({ asks }, onPage) {
  if (!onPage) return [`Write ${asks[0]} in the cell below and run it; the feedback follows it.`];
  const link = document.querySelector("a[href*='mybinder.org']");
  return ["This exercise wants code, which needs a running kernel. Open the page ",
    ...(link ? [h("a", { href: link.href, textContent: "on Binder" })] : ["on Binder"]),
    ", or in JupyterLab from the environment that ", h("code", { textContent: "make serve" }),
    " makes."];
}

function render({ model, el }) {
  const table = model.get("exercise");
  const onPage = !model.widget_manager; // a page without a kernel has none
  if (table.kind === "code") {
    el.append(h("p", { className: "answer-box answer-code" }, ...needsKernel(table, onPage)));
    return;
  }
  const id = `answer-${table.name}-${(boxes += 1)}`;
  const { set, read: texts, write, inputs } = fields(table, id);
  const says = h("p", { className: "answer-says", id: `${id}-says` });
  says.setAttribute("role", "status");
  for (const input of inputs) input.setAttribute("aria-describedby", says.id);
  const open = h("button", { type: "button", textContent: "Open the solution", hidden: true });
  const form = h("form", { className: "answer-box", noValidate: true }, set,
    h("div", { className: "answer-buttons" }, h("button", { textContent: "Check" }), open), says);
  form.dataset.exercise = table.name;
  // JupyterLab would take Enter and the arrows for its own.
  form.dataset.lmSuppressShortcuts = "true";
  if (!onPage) form.addEventListener("keydown", (event) => event.stopPropagation());
  const mistakes = new Set();
  const store = onPage ? memory(table.name) : null;
  const before = store?.get();
  if (Array.isArray(before)) write(before);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const answer = texts();
    const { correct, counts, message } = judge(table, answer);
    if (counts) store?.set(answer);
    if (counts && !correct) mistakes.add(JSON.stringify(answer));
    const solution = solutionAfter(form);
    open.hidden = correct || mistakes.size < 2 || !solution;
    open.onclick = solution;
    form.dataset.state = correct ? "right" : "wrong";
    // Emptied first, so that the same words are said again.
    says.textContent = "";
    setTimeout(() => says.replaceChildren(...spoken(message)), 30);
  });
  el.append(form);
}

export default { render };
