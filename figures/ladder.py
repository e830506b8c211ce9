"""which-method.svg: the seven questions of the page on methods, from the first to the last."""

from __future__ import annotations

from style import INK, SOFT

WIDTH, LINE, GAP = 456, 22, 16
SPINE, TEXT = 16, 44
# Each question, and where its answers lead; an answer without a word continues the last one.
QUESTIONS = [
    (["Do you train a model on mini-batches,", "in PyTorch?"], [("no", "to question 4")]),
    (["Is the loss falling?"], [("yes", "keep your optimizer"), ("up", "the step is too long")]),
    (["Has it stood still from the first step, or", "are some gradients exactly zero?"],
     [("yes", "Escape; small weights: larger ones"),
      ("no", "optim.certify(params, loss_of, batches)"),
      ("", "negative: Escape; else: models’ table")]),
    (["Bounds, constraints, or a global minimum?"], [("yes", "another book")]),
    (["A sum too large to evaluate at every step?"], [("yes", "minimize(terms, x0, “psgd”)")]),
    (["Many digits, and ever slower progress?"],
     [("yes", "if the order is above 2: “ravine”")]),
    (["Is there a solver that you like?"],
     [("yes", "minimize(f, x0, “L-BFGS-B”)"), ("no", "minimize(f, x0)")]),
]


def text(x, y, words, colour, font="15px", more=""):
    """A line of words."""
    return (f'<text x="{x}" y="{y}" fill="{colour}" style="font: {font} sans-serif"'
            f'{more}>{words}</text>')


def ladder():
    """The questions on a line that leads from each to the next, but not out of training."""
    y, parts, places = 0, [], []
    for number, (question, answers) in enumerate(QUESTIONS, 1):
        y += LINE + GAP
        places.append(y - 5)
        parts.append(text(SPINE, y, number, INK, "bold 15px", ' text-anchor="middle"'))
        for words in question:
            parts.append(text(TEXT, y, words, INK))
            y += LINE
        for said, leads in answers:
            if said:
                parts.append(text(TEXT + 12, y, f"{said} →", SOFT))
            parts.append(text(TEXT + 64, y, leads, INK, "bold 15px"))
            y += LINE
        y -= LINE
    circles = [f'<circle cx="{SPINE}" cy="{place}" r="13" fill="none" stroke="{SOFT}"/>'
               for place in places]
    line = [f'<path d="M{SPINE} {a + 13}V{b - 13}" stroke="{SOFT}"/>'
            for a, b in zip(places, places[1:], strict=False) if a != places[2]]  # the third ends
    return "\n".join([f'<svg viewBox="0 0 {WIDTH} {y + GAP}" width="{WIDTH}" height="{y + GAP}" '
                      'role="img" xmlns="http://www.w3.org/2000/svg">', *line, *circles, *parts,
                      "</svg>", ""])
