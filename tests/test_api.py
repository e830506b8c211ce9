"""The API reference: every public name has a place, and a docstring that answers what people ask.

A public name is one that `__all__` of a room names; of several rooms that export one thing, the one
nearest to the front door counts.
"""

import ast
import builtins
import doctest
import enum
import functools
import html
import inspect
import re
import sys
import textwrap
from collections import Counter
from types import SimpleNamespace

import pytest
from browser import ROOT, SITE, Visit

sys.path.insert(0, str(ROOT / "_site"))
from book_site import api  # noqa: E402

PAGES = sorted(path.stem for path in (ROOT / "api").glob("*.md"))
# Rooms that only hand on what the front door shows.
WITHOUT_PAGE = {"doors", "sampling"}

# Names of the things that are no function and no class.
DATA = [f"{room.__name__}.{name}" for room in api.rooms() for name in room.__all__
        if not callable(getattr(room, name)) and not inspect.ismodule(getattr(room, name))]
THINGS = {full: thing for thing, full in api.known().items()}
every_name = pytest.mark.parametrize("full", sorted(THINGS))

# Sections of a docstring that explain arguments.
ARGUMENTS = {"Parameters", "Attributes", *(title for title, _ in
                                           api.CONFIG["napoleon_custom_sections"])}
# What a function hands out, which its own example shows; and the end of a run, for `minimize`.
WITHOUT_EXAMPLE = {f"saddlelib.{name}" for name in """
Certificate DerivativeCheck SampleCertificate certified.CertifiedState ensemble.Runs loop.End
sweep.Plan sweep.Swept
optim.TrainingCertificate report.Result report.report tasks.Race theory.alpay2025.PSDConstants
theory.budget.Budget theory.certified.CertifiedBound theory.episode.EpisodeConstants
theory.jin2017.FactorizationConstants theory.jin2017.PGDConstants theory.jin2017.PGDliConstants
theory.jin2021.PGDConstants theory.jin2021.PSGDConstants
""".split()}


def sections(thing):
    """The sections of a docstring by title; before the first one stands the title ""."""
    parts = re.split(r"^([A-Z][\w ,]+)\n-{3,}$", inspect.cleandoc(thing.__doc__ or ""),
                     flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def explained(thing, titles=ARGUMENTS, above=True):
    """Names of the arguments that a docstring explains, or those of the classes above."""
    found = set()
    for part in thing.__mro__[:-1] if above and isinstance(thing, type) else [thing]:
        for title, body in sections(part).items():
            if title in titles:
                for line in re.findall(r"^\S.*$", body, re.MULTILINE):
                    found |= {name.strip(" *") for name in line.partition(" :")[0].split(",")}
    return found


def arguments(thing):
    """Names of the arguments that somebody can give."""
    if isinstance(thing, type) and issubclass(thing, (enum.Enum, dict)):
        return set()
    given = inspect.signature(thing).parameters.values()
    return {p.name for p in given
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and not p.name.startswith("_")}


@functools.cache
def tree(thing):
    """The syntax of a function or a class."""
    return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))).body[0]


def own(node):
    """What a function does itself: its nodes without those of functions inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            yield child
            yield from own(child)


def validators(thing):
    """Names by which a module calls what checks arguments and raises."""
    module = sys.modules[thing.__module__]
    return {name for name, made in vars(module).items()
            if inspect.isfunction(made) and re.search(r"\._(arguments|numbers)$", made.__module__)}


def validates(thing):
    """Whether a function, or the making of an object, raises for bad arguments."""
    bodies = [tree(thing)]
    if isinstance(thing, type):
        bodies = [node for node in tree(thing).body if isinstance(node, ast.FunctionDef)
                  and node.name in ("__init__", "__post_init__")]
    checks = validators(thing)
    return any(isinstance(node, ast.Raise) and node.exc is not None
               or isinstance(node, ast.Call) and getattr(node.func, "id", "") in checks
               for body in bodies for node in own(body))


def hands_back(thing):
    """Whether a function returns or yields something."""
    return not isinstance(thing, type) and any(
        isinstance(node, (ast.Yield, ast.YieldFrom))
        or isinstance(node, ast.Return) and node.value is not None
        and not (isinstance(node.value, ast.Constant) and node.value.value is None)
        for node in own(tree(thing)))


def lacking(full, thing):
    """What a docstring does not say."""
    said = sections(thing)
    lacks = [] if said[""].strip() else ["words"]
    unsaid = arguments(thing) - explained(thing)
    lacks += [f"parameters {', '.join(sorted(unsaid))}"] if unsaid else []
    if hands_back(thing) and not {"Returns", "Yields"} & set(said):
        lacks.append("Returns")
    if validates(thing) and "Raises" not in said:
        lacks.append("Raises")
    if ">>> " not in (thing.__doc__ or "") and full not in WITHOUT_EXAMPLE:
        lacks.append("an example")
    return lacks


def of_all(faults):
    """Public name → what ``faults(name, thing)`` finds there, for those where it finds any."""
    return {full: found for full, thing in THINGS.items() if (found := faults(full, thing))}


# Docstrings


def test_a_docstring_says_what_goes_in_what_comes_out_and_what_is_raised():
    assert of_all(lacking) == {}


def test_only_what_exists_goes_without_an_example():
    assert WITHOUT_EXAMPLE <= set(THINGS)
    assert [name for name in WITHOUT_EXAMPLE if ">>> " in THINGS[name].__doc__] == []


def test_a_docstring_explains_no_argument_that_is_gone():
    """An attribute may be one that is made; a parameter is one that can be given."""
    def gone(full, thing):
        given = explained(thing, {"Parameters"}, above=False)
        known = inspect.signature(thing).parameters if given else {}
        free = any(p.kind is p.VAR_KEYWORD for p in known.values())
        return set() if free else given - set(known)

    assert of_all(gone) == {}


def test_a_section_of_arguments_has_names_and_indented_words_alone():
    """What else stands there would be shown as the name of an argument."""
    def stray(full, thing):
        return [line for title, body in sections(thing).items() if title in ARGUMENTS
                for line in re.findall(r"^\S.*$", body, re.MULTILINE)
                if not re.fullmatch(r"\*{0,2}\w+(?:, \*{0,2}\w+)*(?: : \S.*)?", line)]

    assert of_all(stray) == {}


def test_what_a_docstring_raises_are_exceptions():
    def unknown(full, thing):
        lines = re.findall(r"^\S.*$", sections(thing).get("Raises", ""), re.MULTILINE)
        raised = {name.strip(): getattr(builtins, name.strip(), Exception if "." in name else None)
                  for line in lines for name in line.split(",")}
        return [name for name, found in raised.items()
                if not (isinstance(found, type) and issubclass(found, BaseException))]

    assert of_all(unknown) == {}


@every_name
def test_an_example_runs_where_the_names_of_its_room_are_known(full):
    """What else it needs it imports itself, so that a reader can copy it from the page."""
    room = sys.modules[full.rpartition(".")[0]]
    known = {name: getattr(room, name) for name in room.__all__}
    example = doctest.DocTestParser().get_doctest(THINGS[full].__doc__, known, full, None, 0)
    said = []
    assert doctest.DocTestRunner(verbose=False).run(example, out=said.append).failed == 0, said


# Pages


def linked(text, thing):
    """A docstring after the hook that gives it its links."""
    lines = text.split("\n")
    api.link(SimpleNamespace(env=SimpleNamespace(temp_data={})), "function", "", thing, {}, lines)
    return "\n".join(lines)


def test_names_become_links_and_what_is_verbatim_stays():
    said = """Of `certify`, `PGD.practical`, `jin2021.smallest_iota` and `nothing`: |x| and ``|y|``.

.. math:: |x| `a`
    + |z|

Then |u|.

>>> print("|`certify`|")

======  ====
`PGD`   |v|
======  ====
"""
    found = linked(said, THINGS["saddlelib.methods.PGD"])
    first, rest = found.split("\n", 1)
    assert first == (
        "Of :py:obj:`certify <saddlelib.certify>`, "
        ":py:obj:`PGD.practical <saddlelib.methods.PGD.practical>`, :py:obj:`jin2021.smallest_iota "
        "<saddlelib.theory.jin2021.smallest_iota>` and ``nothing``: \\|x\\| and ``|y|``.")
    assert rest == said.split("\n", 1)[1].replace("|u|", "\\|u\\|")


def test_indices_and_powers_are_set_as_such_and_names_stay_names():
    said = "λ_min(x_{k+1}) ≥ (1 + η)^(−t), dΔ_l and R^d of k_max, not `x_t`, f_star, t_max"
    assert linked(said, THINGS["saddlelib.certify"]).replace("\\ ", "") == (
        "λ:sub:`min`(x:sub:`k+1`) ≥ (1 + η):sup:`−t`, dΔ:sub:`l` and R:sup:`d` of k:sub:`max`, "
        "not ``x_t``, f_star, t_max")


def test_a_member_that_is_handed_down_leads_to_the_class_that_shows_it():
    octopus, probe = THINGS["saddlelib.problems.Octopus"], THINGS["saddlelib.methods.LanczosProbe"]
    assert api.meant("saddles", octopus) == "saddlelib.problems.Problem.saddles"
    assert api.meant("init", probe) == "saddlelib.methods.CertifiedPSD.init"
    assert api.meant("Verdict.SOSP", THINGS["saddlelib.certify"]) == "saddlelib.Verdict"
    assert api.meant("_fun", octopus) is None


def test_every_room_has_a_page_that_the_index_describes():
    rooms = {room.__name__.split(".")[1] for room in api.rooms() if "." in room.__name__}
    assert rooms - WITHOUT_PAGE == set(PAGES) - {"index", "saddlelib"}
    index = (ROOT / "api" / "index.md").read_text("utf8")
    rows = re.findall(r"^- \[.*?\]\((\w+)\.md\): \S.*", index, re.MULTILINE)
    assert sorted(rows) == sorted(set(PAGES) - {"index"})
    toc = re.findall(r"file: api/(\w+)", (ROOT / "_toc.yml").read_text("utf8"))
    assert toc == ["index", *rows], "in the order of the index"


def anchors(page):
    """Names of saddlelib that a built page describes, each as often as it does."""
    path = SITE / "api" / f"{page}.html"
    if not path.exists():
        pytest.skip("the site is not built: run make book")
    return Counter(re.findall(r'<dt class="sig[^"]*" id="(saddlelib[\w.]*)"',
                              path.read_text("utf8")))


def test_every_public_name_stands_on_exactly_one_page():
    found = sum((anchors(page) for page in PAGES), Counter())
    assert {name for name in [*THINGS, *DATA] if found[name] != 1} == set()
    assert [name for name, count in found.items() if count > 1] == []
    for name in found - Counter([*THINGS, *DATA]):
        assert name.rpartition(".")[0] in THINGS, f"{name} is no public name"


def test_a_name_stands_on_the_page_of_its_room():
    for full in THINGS:
        room = full.split(".")[1] if full.count(".") > 1 else "saddlelib"
        assert anchors(room)[full] == 1, full


def test_formulas_of_docstrings_are_typeset_and_no_markup_is_left():
    for page in PAGES:
        if not anchors(page) and page != "index":
            pytest.fail(f"{page} is empty")
        whole = (SITE / "api" / f"{page}.html").read_text("utf8")
        article = re.search(r"<article\b.*?</article>", whole, re.DOTALL)[0]
        words = re.sub(r"<(math|pre)\b.*?</\1>|<[^>]*>", "", article, flags=re.DOTALL)
        left = re.search(r"`|:(?:py|su[bp]):|\\frac|\\\||[_^]\{|\)\^|[Α-ω]_[a-z]",
                         html.unescape(words))
        assert not left, (page, left)
        assert not re.search(r"<ol[^>]* start=", article), f"{page}: a sentence became a list"
    assert "<math" in (SITE / "api" / "theory.html").read_text("utf8")


@pytest.mark.browser
def test_the_search_finds_a_function(browser, site):
    with Visit(browser) as visit:
        page = visit.open(f"{site}/search.html?q=check_derivatives")
        link = "ul.search li a[href*='api/saddlelib.html#saddlelib.check_derivatives']"
        page.locator(link).first.wait_for(timeout=5000)
        assert visit.foreign(site) == [] and visit.errors == []
