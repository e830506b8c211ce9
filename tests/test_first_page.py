"""The code on the first pages and on that of the methods runs and prints what stands beside it."""

import re

import pytest
from browser import ROOT

torch = pytest.importorskip("torch")


def blocks(page):
    """The Python blocks of a page, in order."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf8"), re.DOTALL)


def promised(block):
    """What comments beside ``print`` say that it prints; an ellipsis stands for anything."""
    return re.findall(r"^print\(.*\) +# (.*)$", block, re.MULTILINE)


def given():
    """What the block about a training loop finds in its reader's program."""
    torch.manual_seed(0)
    inputs = torch.randn(64, 3)
    targets = inputs.sum(axis=1, keepdim=True)
    return dict(model=torch.nn.Linear(3, 1), criterion=torch.nn.functional.mse_loss,
                loader=[(inputs[i:i + 8], targets[i:i + 8]) for i in (0, 8, 16)])


@pytest.mark.parametrize("page", ["README.md", "intro.md", "which_method.md"])
def test_the_code_of_a_first_page_prints_what_it_says(page, capsys):
    """As a visitor pastes it: one block after the other, in one session."""
    session = given()
    for block in blocks(page):
        capsys.readouterr()
        exec(block, session)
        printed = capsys.readouterr().out.splitlines()
        wanted = promised(block)
        for line, words in zip(printed, wanted, strict=False):
            pattern = re.escape(words).replace(re.escape("..."), ".*")
            assert re.fullmatch(pattern, line), (line, words)
        assert len(printed) >= len(wanted)


def test_the_first_example_has_three_lines_and_no_constant():
    for page in ("README.md", "intro.md"):
        first = blocks(page)[0]
        assert len(first.splitlines()) == 3
        assert not re.search(r"step_size|lipschitz|curvature_tol|epsilon|options|rng|jac", first)


def test_every_way_to_call_that_the_readme_shows_ends_at_a_minimizer():
    """One line each, with a comment or without: they leave the saddle that SciPy stops at."""
    block = next(block for block in blocks("README.md") if "hessp=hvp" in block)
    calls = [line for line in block.splitlines() if re.match(r"(saddlelib\.)?minimize\(", line)]
    assert len(calls) == 5
    session = {}
    exec("import saddlelib\n" + block, session)
    for line in calls:
        result = eval(line.split("  #")[0], session)
        assert result.success and result.certificate.passed, line
        assert abs(abs(float(result.x[0])) - 1) < 2e-3, line
