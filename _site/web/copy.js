// Copying text with formulas gives each formula as the TeX that it was written in, between dollar
// signs; a browser alone would copy its symbols one a line.
const texOf = (math) => math.querySelector("annotation")?.textContent ?? math.textContent;

/** The selected part of the page; of a formula that is cut at the edge, the whole. */
function selected(selection) {
  const range = selection.getRangeAt(0).cloneRange();
  const formula = (node) => (node.nodeType === 1 ? node : node.parentElement)?.closest("math");
  const [first, last] = [formula(range.startContainer), formula(range.endContainer)];
  if (first) range.setStartBefore(first);
  if (last) range.setEndAfter(last);
  return range.cloneContents();
}

/** The text of a piece of the page as a browser would copy it, with TeX in place of formulas. */
function textOf(piece) {
  const box = document.createElement("div");
  box.style.cssText = "position: fixed; left: -200vw; width: 100vw";
  box.append(piece);
  for (const extra of box.querySelectorAll("script, style, .headerlink, .copybtn")) extra.remove();
  for (const math of box.querySelectorAll("math")) {
    const mark = math.getAttribute("display") === "block" ? "$$" : "$";
    math.replaceWith(mark + texOf(math) + mark);
  }
  document.body.append(box);
  const text = box.innerText;
  box.remove();
  return text.replace(/\u2060/g, "");
}

document.addEventListener("copy", (event) => {
  const selection = document.getSelection();
  if (event.defaultPrevented || !selection.rangeCount) return;
  const piece = selected(selection);
  if (!piece.querySelector("math")) return;
  const html = document.createElement("div");
  html.append(piece.cloneNode(true));
  event.clipboardData.setData("text/html", html.innerHTML);
  event.clipboardData.setData("text/plain", textOf(piece));
  event.preventDefault();
});
