"""which-method.svg: the seven questions of the page on methods, and where each answer leads.

Narrow enough that a phone shows its letters nearly as large as those of the page.
"""

from __future__ import annotations

from style import INK, SOFT

WIDTH, LINE, GAP, LETTER = 330, 19, 27, 13.5
LANE, SPINE, TEXT, RADIUS = 8, 30, 54, 12
# Of each question its lines, its answers, and the answer with which one goes on to the next.
QUESTIONS = [
    (["Do you train a model on", "mini-batches, in PyTorch?"], [], "yes"),
    (["Is the loss falling?"],
     [("yes", ["keep your optimizer"]), ("it jumps", ["a ten times shorter step"])],
     "it stands still"),
    (["Why does it stand still?"],
     [("gradients are exactly zero", ["wrap your optimizer in Escape"]),
      ("units are exactly alike", ["start them apart"]),
      ("the weights began small", ["larger weights, or Adam"]),
      ("unknown, it fell first", ["ask optim.certify:", "negative curvature → Escape",
                                   "none → last row for models"])], ""),
    (["Are there bounds or constraints, or", "do you need the global minimum?"],
     [("yes", ["not in this book"])], "no"),
    (["Is it a sum that is too large", "to evaluate at every step?"],
     [("yes", ["the method “psgd”"])], "no"),
    (["Do you need many digits, and does", "progress get slower and slower?"],
     [("the order of growth is above 2", ["the method “ravine”"])], "no"),
    (["Is there a solver that you like?"],
     [("yes", ["minimize(f, x0, “L-BFGS-B”)"]), ("no", ["minimize(f, x0)"])], ""),
]
FROM, TO = 1, 4  # of the way around


def text(x, y, words, colour, weight="", size=LETTER, anchor=""):
    """A line of words."""
    more = f' text-anchor="{anchor}"' if anchor else ""
    font = f"{weight} {size}px sans-serif".strip()
    return (f'<text x="{x}" y="{y}" fill="{colour}" style="font: {font}"{more}>'
            f'{words}</text>')


def arrow(path, x, y, dx, dy):
    """A line that ends in a head at (x, y), which points along (dx, dy)."""
    across = f"l{-5 * dx - 4 * dy} {-5 * dy - 4 * dx}l{8 * dy} {8 * dx}z"
    return (f'<path d="{path}" fill="none" stroke="{SOFT}"/>'
            f'<path d="M{x} {y}{across}" fill="{SOFT}"/>')


def ladder():
    """The questions one below the other, with an arrow for each answer that leads to another."""
    y, parts, places, ends = 0, [], [], []
    for question, answers, _ in QUESTIONS:
        y += GAP
        places.append(y - 5)
        for words in question:
            parts.append(text(TEXT, y, words, INK))
            y += LINE
        for said, leads in answers:
            short = len(said) <= 3
            parts.append(text(TEXT, y, f"{said} →" if short else f"{said}:", SOFT))
            y += 0 if short else LINE
            for words in leads:
                parts.append(text(TEXT + 46 if short else TEXT + 14, y, words, INK, "bold"))
                y += LINE
        ends.append(y - LINE)
    height = y - LINE + 10
    for number, place in enumerate(places, 1):
        parts.append(f'<circle cx="{SPINE}" cy="{place}" r="{RADIUS}" fill="none" '
                     f'stroke="{SOFT}"/>')
        parts.append(text(SPINE, place + 5, number, INK, "bold", anchor="middle"))
    for i, (_, _, on) in enumerate(QUESTIONS[:-1]):
        if on:
            a, b = places[i] + RADIUS, places[i + 1] - RADIUS
            parts.append(arrow(f"M{SPINE} {a}V{b - 4}", SPINE, b, 0, 1))
            parts.append(text(SPINE + 7, b - 3, on, SOFT, size=11.5))
    a, b = places[FROM - 1], places[TO - 1]
    parts.append(arrow(f"M{SPINE - RADIUS} {a}H{LANE}V{b}H{SPINE - RADIUS - 4}",
                       SPINE - RADIUS, b, 1, 0))
    parts.append(text(LANE + 3, a + 28, "no", SOFT, size=11.5))
    return "\n".join([f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
                      'role="img" xmlns="http://www.w3.org/2000/svg">', *parts, "</svg>", ""])
