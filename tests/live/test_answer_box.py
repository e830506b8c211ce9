"""The box for an answer: it says what `saddlelib.checks` says, by keyboard and on a phone."""

import itertools
import json
import subprocess

import numpy as np
import pytest
from browser import ROOT, Visit, node, serve
from test_checks import BOXES, RIGHT, WRONG

from saddlelib.checks import _table, box, check
from saddlelib.checks._table import shown

LIVE = ROOT / "saddlelib" / "live"
ODD = ["", "  ", "0", "-0", "−1", "1e999", "inf", "-NaN", "Infinity", "0,03", "25,000", "1,2,3",
       "three", "½", "0x1", "1_000", "_1", "1__0", "1.", ".", "1e", "5/2/2", "5//2", "1/0", "0/0",
       "2^0.5", "2^-3^2", "-2^2", "(-8)^(1/3)", "0^-1", "10^-4", "10^400", "9^999", "1/9^999",
       "10⁻⁴", "⁻4", "10^", "√2", "√-2", "sqrt(2)", "sqrt", "2·10^3", "2×3", "2*", "(1", "1)",
       "((1))", "--1", "+-1", "1 2", "1 / 3", "\t7\n", "٣", "minimizer", "STRICT  Saddle", "9" * 70,
       "None", "“”", "{}", "$&", "1e-400", "-", "1e5000", "0.1 %"]


def leaves(tree):
    """The numbers that stand in a term, and their neighbours at the edges of what is allowed."""
    if isinstance(tree, list):
        for x in tree:
            yield from leaves(x)
        if tree[:1] == ["near"] and isinstance(tree[2], (int, float)):
            for share in (0.999, 1.001):
                yield from (tree[2] * (1 + tree[3] * share), tree[2] * (1 - tree[3] * share))
    elif isinstance(tree, (int, float)):
        yield tree


def as_texts(answer):
    """What a reader would write into the fields for an answer, or None."""
    if isinstance(answer, str):
        return [answer]
    try:
        return [x if isinstance(x, str) else repr(float(x)) for x in np.atleast_1d(answer)]
    except (TypeError, ValueError):
        return None


def grid(name):
    """Answers to an exercise: known ones, what its table names, their neighbours, and odd ones."""
    table = _table(name)
    count, kind = len(table.asks), table.kind
    known = [*RIGHT[name], *(answer for answer, _ in WRONG[name])]
    known = [texts for texts in map(as_texts, known) if texts and len(texts) == count]
    if kind == "choice":
        return known + [[text] for text in ODD]
    named = sorted({x for row, _ in table.rows for x in leaves(row.node)}, key=abs)
    most = (400, 40, 12)[count - 1]
    few = [repr(float(x)) for x in named[:: 1 + len(named) // most]]
    found = [list(texts) for texts in itertools.product(few, repeat=count)] if count < 3 else []
    for texts in known[:: 1 + (count == 3)]:  # one part at a time beside known answers
        for i in range(count):
            found += [[*texts[:i], x, *texts[i + 1:]] for x in (*few, texts[i] + "1", "-1")]
    for text in ODD:
        found += [[*known[0][:i], text, *known[0][i + 1:]] for i in range(count)] + [[text] * count]
    return known + found


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """All answers, what Python says to them, and what the page says, in one call of Node."""
    folder = tmp_path_factory.mktemp("answers")
    answers = {name: grid(name) for name in BOXES}
    rng = np.random.default_rng(0)
    numbers = [(float(x), spec) for x in (*rng.normal(size=60) * 10.0 ** rng.integers(-9, 9, 60), 0,
                                          0.125, 2.5, -0.4, 1e21, 1e300, 9.9999996, 999.9999)
               for spec in (".6g", ".3g", ".2g", ".0f", ".3f", ".1e", ".0e")]
    (folder / "fixtures.json").write_text(json.dumps({"numbers": numbers, "exercises": [
        {"table": _table(name).to_json(name), "answers": answers[name]} for name in BOXES]}))
    command = [node(), ROOT / "tests" / "live" / "answers.mjs", LIVE / "answers.js",
               folder / "fixtures.json"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    return answers, numbers, json.loads(done.stdout)


@pytest.mark.parametrize("name", BOXES)
def test_page_and_python_say_the_same(compared, name):
    answers, _, js = compared
    judged = js["judged"][BOXES.index(name)]
    assert len(answers[name]) > 60 and any(correct for correct, _ in judged)
    for texts, (correct, message) in zip(answers[name], judged, strict=True):
        feedback = check(name, texts if len(texts) > 1 else texts[0])
        assert [feedback.correct, feedback.message] == [correct, message], texts


def test_numbers_in_messages_look_alike(compared):
    _, numbers, js = compared
    assert [shown(x, spec) for x, spec in numbers] == js["shown"]
