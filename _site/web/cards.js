// Cards: what a link leads to, shown beside it. A pointer that rests on the link, the keyboard's
// focus or a first tap opens one; Escape, leaving it or a tap elsewhere closes it. The card stands
// behind its link in the page, so that the Tab key goes from the link into the card and on, and in
// the browser's top layer, so that no box cuts it. Nothing is announced: the link says where it
// leads, and who follows it reads the same words there.
const OPEN_AFTER = 250; // ms, so that a pointer on its way somewhere opens nothing
const CLOSE_AFTER = 250; // ms, enough to go from the link to the card
const EDGE = 8; // px between the card and its link, and the edges of the window

const top = new URL(document.documentElement.dataset.content_root ?? "./", location.href);
const find = (target) => target?.closest?.("a.has-card");

let cards; // a promise of all cards, made when the first is wanted
let card; // the box, once there is one
let shown; // the link whose card is open
let wanted; // the link whose card opens as soon as it is there
let timer;
let kind = "mouse"; // of the last pointer
let place = null; // of the pointer on the page: a link may go on in the next line

function load() {
  cards ??= fetch(new URL("_static/cards.json", top)).then((answer) =>
    answer.ok ? answer.json() : Promise.reject(new Error(answer.statusText)),
  );
  cards.catch(() => (cards = undefined)); // the next try asks again
  return cards;
}

function box() {
  if (card) return card;
  card = document.createElement("div");
  card.className = "card";
  card.popover = "manual";
  card.addEventListener("pointerenter", () => clearTimeout(timer));
  card.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && closeSoon());
  card.addEventListener("focusout", leave);
  return card;
}

// The link's words, and below a thumb also the way to what the card is about.
function fill(link, { html, to }) {
  box().innerHTML = `<div class="card-text">${html}</div>`;
  for (const inner of card.querySelectorAll("a")) {
    inner.href = new URL(inner.getAttribute("href"), top);
  }
  if (kind !== "mouse") {
    const go = document.createElement("a");
    go.className = "card-go";
    go.href = link.href;
    go.textContent = `Go to ${to}`;
    card.append(go);
  }
}

// Below the line of the link that the pointer is on, or above it where there is more room.
function put(link) {
  const lines = [...link.getClientRects()];
  const y = place?.y ?? -1;
  const line = lines.find((rect) => rect.top <= y && y <= rect.bottom) ?? lines[0];
  if (!line) return;
  const bar = document.querySelector(".page-bar")?.getBoundingClientRect().bottom ?? 0;
  const { clientWidth: width, clientHeight: height } = document.documentElement;
  const above = line.top - bar - 2 * EDGE;
  const below = height - line.bottom - 2 * EDGE;
  card.style.maxHeight = "";
  const high = card.offsetHeight;
  const up = high > below && above > below;
  card.style.maxHeight = `${Math.max(Math.min(high + 1, up ? above : below), 96)}px`;
  const left = Math.min(line.left, width - card.offsetWidth - EDGE);
  card.style.left = `${Math.max(left, EDGE) + scrollX}px`;
  card.style.top = `${(up ? line.top - EDGE - card.offsetHeight : line.bottom + EDGE) + scrollY}px`;
  // A card that scrolls can be scrolled by keyboard.
  const text = card.querySelector(".card-text");
  if (text.scrollHeight > text.clientHeight + 1) text.tabIndex = 0;
}

async function open(link) {
  clearTimeout(timer);
  if (shown === link) return true;
  wanted = link;
  let found;
  try {
    found = (await load())[decodeURIComponent(link.hash.slice(1))];
  } catch {
    // Without its card a link is a link.
  }
  if (wanted !== link || !found || !link.isConnected) return Boolean(found);
  close();
  fill(link, found);
  link.after(card);
  card.showPopover();
  shown = link;
  put(link);
  return true;
}

function close() {
  clearTimeout(timer);
  wanted = undefined;
  if (!shown) return;
  shown = undefined;
  card.hidePopover();
  card.remove();
}

function openSoon(link) {
  clearTimeout(timer);
  load().catch(() => {});
  timer = setTimeout(() => open(link), OPEN_AFTER);
}

function closeSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (!card?.contains(document.activeElement)) close();
  }, CLOSE_AFTER);
}

function leave(event) {
  const next = event.relatedTarget;
  if (shown && next !== shown && !card.contains(next)) close();
}

document.addEventListener("pointerover", (event) => {
  if (event.pointerType === "touch") return;
  const link = find(event.target);
  if (!link) return;
  kind = "mouse";
  place = { y: event.clientY };
  if (link === shown) clearTimeout(timer);
  else openSoon(link);
});
document.addEventListener("pointerout", (event) => {
  if (event.pointerType === "touch" || !find(event.target)) return;
  if (find(event.target).contains(event.relatedTarget)) return;
  if (shown) closeSoon();
  else {
    clearTimeout(timer);
    wanted = undefined;
  }
});

// The focus that a click gives opens nothing: the reader is on the way.
document.addEventListener("focusin", (event) => {
  const link = find(event.target);
  if (!link?.matches(":focus-visible") || kind === "touch") return;
  place = null;
  open(link);
});
document.addEventListener("focusout", (event) => {
  if (event.target === wanted) wanted = undefined;
  if (event.target === shown) leave(event);
});

document.addEventListener("keydown", (event) => {
  kind = "mouse";
  if (event.key !== "Escape" || !shown) return;
  const link = shown;
  const inside = card.contains(document.activeElement);
  event.stopPropagation();
  close();
  if (inside) {
    link.focus();
    close();
    wanted = undefined;
  }
}, true);

// By touch the first tap shows the card, the second follows the link.
document.addEventListener("pointerdown", (event) => {
  kind = event.pointerType || "mouse";
  place = { y: event.clientY };
  if (shown && !card.contains(event.target) && find(event.target) !== shown) close();
}, true);
document.addEventListener("click", async (event) => {
  const link = find(event.target);
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (kind !== "touch" || link === shown || !("popover" in link)) {
    close();
    return;
  }
  event.preventDefault();
  if (!(await open(link))) location.href = link.href;
});

addEventListener("resize", () => shown && put(shown));
addEventListener("hashchange", close);
addEventListener("beforeprint", close);
