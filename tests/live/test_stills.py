"""The still pictures, for readers without scripts, are those that their command makes."""

import re

import pytest
from browser import ROOT

FOLDER = ROOT / "figures"
WORDS = re.compile(r"<text[^>]*>([^<]*)</text>|<tspan[^>]*>([^<]*)</tspan>")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The pictures that the command makes, by name, twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import make

        found = []
        for name in ("one", "two"):
            paths = make.main(tmp_path_factory.mktemp(name))
            found.append({path.name: path.read_text("utf-8") for path in paths})
    return found


def test_the_command_makes_every_picture_and_makes_it_again(made):
    one, two = made
    assert set(one) == {path.name for path in FOLDER.glob("*.svg")}
    assert one == two


def test_the_pictures_are_up_to_date(made):
    for name, text in made[0].items():
        here = WORDS.findall((FOLDER / name).read_text("utf-8"))
        assert here == WORDS.findall(text), f"{name}: run python figures/make.py"
        assert len(here) > 20 or name.startswith("story-"), name
