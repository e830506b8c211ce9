"""Who wins where: the record is whole, what is made of it is right, and the page says the same."""

import ast
import importlib
import json
import math
import re
import sys

import numpy as np
import pytest
from browser import ROOT, SITE, soup

pytest.importorskip("torch")
pytest.importorskip("sklearn")

sys.path.insert(0, str(ROOT / "benchmarks"))
standings, suites, leaving, bench, measure = map(
    importlib.import_module, ("standings", "suites", "leaving", "bench", "_measure"))
sys.path.pop(0)

PAGE = ROOT / "practice" / "who_wins.ipynb"
CELLS = json.loads(PAGE.read_text("utf8"))["cells"]
SUITES = {name: make() for name, make in bench.MAKERS.items()}
RECORD = standings.load()
every_suite = pytest.mark.parametrize("name", SUITES)


# The record --------------------------------------------------------------------------------------


@every_suite
def test_the_record_has_every_method_on_every_problem_on_which_it_runs(name):
    suite, kept = SUITES[name], RECORD["suites"][name]
    assert [m["name"] for m in kept["methods"]] == [m.name for m in suite.methods]
    assert {m["name"] for m in kept["methods"] if m["ours"]} == {
        m.name for m in suite.methods if m.ours}
    wanted = {(start, problem, m.name) for start in suite.axes.get("start", [None])
              for problem in suite.axes["problem"] for m in suite.methods
              if suite.meant(problem, m.name)}
    found = [(row.get("start"), row["problem"], row["method"]) for row in kept["rows"]]
    assert len(found) == len(set(found)) and set(found) == wanted
    assert (kept["unit"], kept["limits"], kept["seeds"]) == (suite.unit, suite.limits, suite.seeds)


@every_suite
def test_a_method_that_arrives_has_a_cost_and_counts_add_up(name):
    for row in RECORD["suites"][name]["rows"]:
        if name == "honesty":
            assert row["outcome"] in suites.honesty.OUTCOMES
            continue
        cost = {"certified": "work", "ravines": "to20", "saddles": "samples"}[name]
        assert (row[cost] is not None) == (2 * row["right"] > row["runs"]) or (
            row["runs"] % 2 == 0 and 2 * row["right"] == row["runs"] and row[cost] is None)
        assert row[cost] is None or row[cost] > 0
        assert row["right"] + row.get("wrong", 0) <= row["runs"] > 0


def test_the_record_says_when_where_and_with_what():
    for suite in RECORD["suites"].values():
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", suite["date"]) and suite["seconds"] > 0
        assert {"Python", "saddlelib", "numpy", "scipy", "torch"} == set(suite["versions"])
        assert "cores" in suite["machine"]
    peers = {name: set(suite["peers"]) for name, suite in RECORD["suites"].items()}
    assert peers == {"certified": {"psd-optimizer"}, "ravines": set(), "honesty": set(),
                     "saddles": set(suites.PEERS)}
    assert sum(suite["seconds"] for suite in RECORD["suites"].values()) < 1200
    assert (ROOT / "benchmarks" / "results.json").stat().st_size < 250_000


def test_what_is_unseen_is_what_the_files_say():
    rows = RECORD["suites"]["certified"]["rows"]
    fresh = {row["problem"] for row in rows if row["unseen"]}
    assert fresh == {f"{p.name}, d = {p.dim}" for p in suites.unseen.problems()}
    assert {row["problem"] for row in RECORD["suites"]["ravines"]["rows"]} == {
        row.name for row in suites.unseen_ravines.rows()}
    tasks = {row["problem"] for row in RECORD["suites"]["saddles"]["rows"] if not row["unseen"]}
    assert tasks == {f"task: {name}" for name in leaving.optim_peer.TASKS}
    others = [name for name, problem in leaving.unseen_saddles.PROBLEMS.items()
              if not problem().minimum]
    assert [name for name, (_, fresh) in leaving.saddles().items() if fresh] == others[::2]


# What is made of cells ---------------------------------------------------------------------------


def table(rows):
    """Cells as `collect` gives them."""
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    found = np.empty(len(rows), [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        found[name] = column
    return found


def test_a_run_that_is_wrong_or_says_nothing_counts_as_infinite_in_the_median():
    problem = "quartic saddle, d = 2"

    def cells(method, *runs):
        return [{"problem": problem, "start": "saddle", "method": method, "cost": cost,
                 "says": says, "right": right, "took": 0.5, "applies": True}
                for cost, says, right in runs]

    kept = list(suites.certified_kept(table([
        *cells("a", (3.0, True, True), (9.0, True, True), (5.0, True, True)),
        *cells("b", (3.0, True, True), (1.0, True, False), (2.0, True, False)),
        *cells("c", (3.0, True, True), (1.0, False, True), (7.0, True, True)),
        {"problem": problem, "start": "saddle", "method": "d", "cost": 0.0, "says": False,
         "right": False, "took": 0.0, "applies": False}])))
    assert [(row["method"], row["work"], row["right"], row["wrong"]) for row in kept] == [
        ("a", 5.0, 3, 0), ("b", math.inf, 1, 2), ("c", 7.0, 2, 0)]
    assert kept[0]["ms"] == 500 and kept[0]["runs"] == 3 and kept[0]["unseen"] is False


def test_marks_that_are_missed_are_infinite_and_a_mean_of_two_knows_it():
    name = suites.unseen_ravines.rows()[0].name
    kept = list(suites.ravines_kept(table([
        {"problem": name, "method": "L-BFGS", "to12": a, "to20": b, "took": 0.0, "applies": True}
        for a, b in [(10.0, 40.0), (20.0, math.inf)]])))
    assert [(row["to12"], row["to20"], row["right"], row["runs"]) for row in kept] == [
        (15.0, math.inf, 1, 2)]
    assert kept[0]["kind"] == "curved"


def test_the_rate_that_leaves_first_counts_and_the_line_is_that_of_the_bare_ones():
    def cell(method, rate, *trace):
        words = " ".join(f"{n}:{loss}" for n, loss in trace)
        return {"problem": "sensing", "method": method, "rate": rate, "lr": 0.1 * (rate + 1),
                "took": 0.0, "trace": words, "applies": True}

    assert leaving._problem("sensing").best == 0
    kept = {row["method"]: row for row in leaving.saddles_kept(table([
        cell("SGD", 0, (64, 1.0), (128, 0.8)), cell("AdamW", 0, (64, 1.0), (128, 0.9)),
        cell("PSGD", 0, (64, 0.73), (128, 0.71)),       # below 0.72 at the end
        cell("PSGD", 1, (64, 0.5), (128, 0.9)),         # comes back up: has not left
        cell("PSGD", 2, (64, 0.72), (128, 0.1))]))}     # first
    assert kept["SGD"]["line"] == pytest.approx(0.72)
    assert (kept["PSGD"]["samples"], kept["PSGD"]["lr"]) == (64, pytest.approx(0.3))
    assert kept["SGD"]["samples"] == math.inf and kept["SGD"]["right"] == 0


# Who is first ------------------------------------------------------------------------------------

INF = math.inf
MADE_UP = {"a": {"p": 1.0, "q": 10.0, "r": INF, "s": INF}, "b": {"p": 2.0, "q": 5.0, "r": 8.0,
                                                                  "s": INF},
           "c": {"p": 1.0, "q": INF}}


def test_standings_of_a_made_up_table():
    assert standings.ratios(MADE_UP) == {
        "a": {"p": 1, "q": 2, "r": INF, "s": INF}, "b": {"p": 2, "q": 1, "r": 1, "s": INF},
        "c": {"p": 1, "q": INF}}
    assert standings.firsts(MADE_UP) == {"a": 1, "b": 2, "c": 1}
    assert standings.solved(MADE_UP) == {"a": 2, "b": 3, "c": 1}
    assert standings.first_most_often(MADE_UP) == ("b", 2)
    assert standings.best_of(MADE_UP, ["a", "b"]) == {"p": 1, "q": 5, "r": 8, "s": INF}
    assert [standings.place(MADE_UP, m) for m in "abcd"] == [
        ("2 of 4", "1", "1.41"), ("3 of 4", "2", "1.26"), ("1 of 2", "1", "1"),
        ("not installed", "", "")]


def test_a_profile_is_a_graph_of_steps_that_ends_where_the_method_arrives():
    """Dolan and Moré: the share of all problems with a ratio of at most τ."""
    assert standings.profile(MADE_UP) == {
        "a": ([1, 2], [0.25, 0.5]), "b": ([1, 1, 2], [0.25, 0.5, 0.75]), "c": ([1], [0.5])}
    nobody = {"a": {"p": INF}, "b": {"p": INF}}
    assert standings.profile(nobody) == {"a": ([], []), "b": ([], [])}
    assert standings.firsts(nobody) == {"a": 0, "b": 0}


def test_two_methods_are_compared_where_both_arrive_and_losses_where_one_does():
    mean, both, losses = standings.compare(MADE_UP["a"], MADE_UP["b"])
    assert (mean, both) == (pytest.approx(1.0), 2) and losses == [("r", INF), ("q", 2.0)]
    assert standings.compare(MADE_UP["b"], MADE_UP["a"])[2] == [("p", 2.0)]
    assert standings.compare({"p": INF}, {"p": INF}) == (None, 0, [])


def test_the_least_value_of_a_group_is_bold_and_an_infinite_one_never():
    rows = [[3.0, 1.0, 9.0, 9.0], [INF, INF, 2.0, INF], [math.nan, 4.0, 1.0, 0.5]]
    assert standings.bold(rows, [[0, 1], [2, 3]]) == {
        (0, 1), (0, 2), (0, 3), (1, 2), (2, 1), (2, 3)}
    assert [standings.number(x) for x in (14.5, 34053.5, INF, math.nan)] == [
        "14.5", "34,054", "never", ""]


# The command -------------------------------------------------------------------------------------

SMALL = {"certified": {"problem": ["quartic saddle, d = 2"]}, "honesty": {"problem": ["staircase"]},
         "ravines": {"problem": ["d=4"]}, "saddles": {"problem": ["order-5"], "rate": [0]}}


@every_suite
def test_a_suite_runs_on_one_problem_and_its_rows_come_back_from_the_record(
        name, tmp_path, monkeypatch):
    monkeypatch.setattr(suites, "BUDGET", 1000)
    monkeypatch.setattr(leaving, "SAMPLES", 1280)
    suite = SUITES[name].smaller(**SMALL[name])
    cells, seconds = bench.run(suite, tmp_path, parallel=1, progress=False)
    again, _ = bench.run(suite, tmp_path, parallel=1, progress=False)  # nothing is left to do
    assert len(cells) == len(again) and seconds > 0
    kept = bench.told(suite, cells, seconds)
    bench.write({"suites": {name: kept}}, tmp_path / "results.json")
    back = standings.load(tmp_path / "results.json")["suites"][name]
    assert {row["method"] for row in back["rows"]} == {
        m for m in suite.able() if suite.meant(suite.axes["problem"][0], m)}
    if name == "certified":
        found = {start: standings.solved(standings.costs(back["rows"], "work", start=start))
                 for start in ("saddle", "normal")}
        assert found["saddle"]["minimize"] == found["normal"]["minimize"] == 1
        assert found["saddle"]["L-BFGS-B"] == 0 < found["normal"]["L-BFGS-B"]
    if name == "saddles":
        leave = standings.solved(standings.costs(back["rows"], "samples"))
        assert leave["SGD"] == leave["AdamW"] == 0 < leave["Escape(SGD)"]
    if name == "ravines":
        assert standings.solved(standings.costs(back["rows"], "to20"))["order-aware"] == 1
    if name == "honesty":
        assert {row["method"]: row["outcome"] for row in back["rows"]}["minimize"] == "right"


def test_what_was_done_by_other_code_is_forgotten(tmp_path, monkeypatch):
    suite = SUITES["honesty"].smaller(problem=["staircase"])
    bench.run(suite, tmp_path, 1, False)
    parts = set((tmp_path / "honesty" / "parts").iterdir())
    monkeypatch.setattr(bench, "version", lambda: "another")
    bench.run(suite, tmp_path, 1, False)
    assert parts and not parts & set((tmp_path / "honesty" / "parts").iterdir())


def test_a_peer_that_is_away_keeps_its_numbers_and_the_page_says_so(tmp_path, monkeypatch):
    raw = json.loads(standings.RECORD.read_text("utf8"))
    monkeypatch.setattr(suites, "installed", dict)
    suite = SUITES["certified"].smaller(problem=["quartic saddle, d = 2"])
    assert suites.AUTHORS not in suite.able()
    kept = bench.told(suite, *bench.run(suite, tmp_path, 1, False), raw["suites"]["certified"])
    old = [row for row in kept["rows"] if suites.AUTHORS in row]
    assert old == [row for row in raw["suites"]["certified"]["rows"] if suites.AUTHORS in row] != []
    assert kept["peers"]["psd-optimizer"] == raw["suites"]["certified"]["peers"][
        "psd-optimizer"] | {"installed": False}
    path = tmp_path / "results.json"
    for name, part in raw["suites"].items():
        part["peers"] = bench.peers(SUITES[name], part["peers"])
    bench.write(raw, path)
    assert sum("was not installed at the last" in line for line in said(path)) == 4
    for name, part in raw["suites"].items():
        part["peers"] = bench.peers(SUITES[name], {})
        away = {m["name"] for m in part["methods"] if m["package"]}
        part["rows"] = [row for row in part["rows"] if not away & set(map(str, row))]
    bench.write(raw, path)
    assert sum("it has no numbers" in line for line in said(path)) == 4


def test_the_version_knows_the_sources_and_the_versions(monkeypatch):
    now = bench.version()
    assert now == bench.version()
    monkeypatch.setattr(bench, "packages", lambda: {"numpy": "0"})
    assert bench.version() != now


# The page ----------------------------------------------------------------------------------------


def said(path):
    """The sentences that the cells of the page make of a record; what they draw stays away."""
    names, lines = {}, []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PAGE.parent)
        patch.setattr(sys, "path", [*sys.path])
        patch.setattr(standings.load, "__defaults__", (path,))
        patch.setattr("saddlelib.figures.book_style", lambda: None)
        for cell in (cell for cell in CELLS if cell["cell_type"] == "code"):
            source = "".join(cell["source"])
            if "new_axes" in source:
                continue
            tree = ast.parse(source)
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "cell", "exec"), names)
            value = last and eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            lines += value.lines if isinstance(value, standings.Said) else []
    return lines


def swapped(name, one, other, tmp_path):
    """A record in which two methods of a suite have each other's rows."""
    raw = json.loads(standings.RECORD.read_text("utf8"))
    suite = raw["suites"][name]
    at = suite["columns"].index("method")
    for row in suite["rows"]:
        row[at] = {one: other, other: one}.get(row[at], row[at])
    bench.write(raw, tmp_path / "results.json")
    return said(tmp_path / "results.json")


def test_the_page_says_what_its_record_says():
    lines = " ".join(said(standings.RECORD))
    rows = {name: suite["rows"] for name, suite in RECORD["suites"].items()}
    for words, race in [
        ("**Started at a saddle**", standings.costs(rows["certified"], "work", start="saddle",
                                                    unseen=True)),
        ("**Started beside it**", standings.costs(rows["certified"], "work", start="normal",
                                                  unseen=True)),
        ("**In training**", standings.costs(rows["saddles"], "samples", unseen=True)),
    ]:
        method, often = standings.first_most_often(race)
        assert f"{words}, {method} is first on {often} of" in lines


def test_the_page_on_methods_says_what_the_record_says():
    page = " ".join((ROOT / "which_method.md").read_text("utf8").split())
    rows = {name: suite["rows"] for name, suite in RECORD["suites"].items()}
    at, near = (standings.costs(rows["certified"], "work", start=start, unseen=True)
                for start in ("saddle", "normal"))
    inside = standings.best_of(at, [m for m in at if m.startswith("certified")])
    assert standings.compare(at["minimize"], inside)[0] == pytest.approx(0.88, abs=0.015)
    price = standings.compare(near["minimize"], near["L-BFGS-B"])[0]
    assert price == pytest.approx(1.15, abs=0.015)
    assert "0.88 of the work" in page and "1.15 times the work" in page
    for start in ("saddle", "normal"):
        walk = standings.costs(rows["certified"], "work", start=start)["minimize"]
        costs = [walk[f"octopus, d = {d}"] for d in (4, 8, 12)]
        assert costs[2] - costs[1] == pytest.approx(costs[1] - costs[0], rel=0.15)
    told = [row["outcome"] for row in rows["honesty"] if row["method"] == "minimize"]
    assert (told.count("wrong"), told.count("flat")) == (0, 4) and "4 times it took a flat" in page
    assert sum(not m["ours"] for m in RECORD["suites"]["honesty"]["methods"]) == 11
    left = standings.costs(rows["saddles"], "samples", unseen=True)
    count = standings.solved(left)
    wrapped = standings.best_of(left, [m for m in left if m.startswith("Escape")])
    ahead = sum(left["noisy_sgd"][p] < wrapped[p] for p in wrapped)
    assert [len(wrapped), count["Escape(SGD)"], count["Escape(AdamW)"], count["noisy_sgd"],
            ahead] == [18, 17, 16, 12, 10]
    assert "SGD and AdamW in the wrapper left 17 and 16" in page and "left only 12, but 10" in page
    dead = next(p for p, cost in wrapped.items() if "dead" in p)
    assert math.inf == standings.best_of(left, left)[dead]


@pytest.mark.parametrize("name, one, other, words", [
    ("certified", "minimize", "psd", "**Started at a saddle**, {} is first"),
    ("certified", "L-BFGS-B", "trust-krylov", "**Started beside it**, {} is first"),
    ("ravines", "order-aware", "GDPolyak", "**Down a ravine** to 1e-20, {} is first"),
    ("saddles", "noisy_sgd", "PSDOptimizer", "**In training**, {} is first"),
    ("honesty", "trust-constr", "minimize", "**A false success** comes most often from {}")])
def test_another_winner_or_loser_gets_its_name_into_the_sentence(name, one, other, words, tmp_path):
    assert any(line.startswith(words.format(one)) for line in said(standings.RECORD))
    lines = swapped(name, one, other, tmp_path)
    assert any(line.startswith(words.format(other)) for line in lines)


def test_the_prose_of_the_page_holds_no_number_that_was_measured():
    text = "\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")
    assert len(text.split()) < 2500
    plain = re.sub(r"\]\([^)]*\)|1e-12|1e-20|\(2002\)|chapter 1", "", text)
    assert not re.search(r"\d", plain), re.findall(r".{20}\d.{20}", plain)


def test_the_page_folds_its_code_and_reads_nothing_but_the_record():
    for cell in (cell for cell in CELLS if cell["cell_type"] == "code"):
        assert "hide-input" in cell["metadata"]["tags"]
        source = "".join(cell["source"])
        assert not re.search(r"open\(|read_text|import (bench|suites|leaving)\b", source)


def test_the_first_line_of_every_table_states_the_unit_of_work():
    tables = [output["data"]["text/plain"] for cell in CELLS if cell["cell_type"] == "code"
              for output in cell["outputs"] if "text/html" in output.get("data", {})]
    assert len(tables) == 6
    for text in tables:
        assert re.match(r"Work: |Calls to |Samples to ", "".join(text))


# The doors ---------------------------------------------------------------------------------------


def test_numbers_of_the_readme_are_those_of_the_record():
    text = " ".join((ROOT / "README.md").read_text("utf8").split())
    rows = {name: suite["rows"] for name, suite in RECORD["suites"].items()}
    race = {start: standings.costs(rows["certified"], "work", start=start, unseen=True)
            for start in ("saddle", "normal")}
    from_saddle = [row for row in rows["certified"] if row["start"] == "saddle" and row["unseen"]]

    def runs(method, column):
        return sum(row[column] for row in from_saddle if row["method"] == method)

    best = standings.best_of(race["saddle"], [m for m in race["saddle"]
                                              if m.startswith("certified")])
    ours = standings.compare(race["saddle"]["minimize"], best)[0]
    price = standings.compare(race["normal"]["minimize"], race["normal"]["L-BFGS-B"])[0]
    leave = standings.costs(rows["saddles"], "samples", unseen=True)
    left, first = standings.solved(leave), standings.firsts(leave)
    for words in (
        f"From {len(best)} saddles that nobody had looked at",
        f"is right in {runs('minimize', 'right')} of {runs('minimize', 'runs')} runs",
        f"with {ours:.2f} of the work of the best of SciPy's solvers inside its loop",
        f"L-BFGS-B is wrong in {runs('L-BFGS-B', 'wrong')} of {runs('L-BFGS-B', 'runs')}",
        f"`minimize` takes {price:.2f} times the work of L-BFGS-B alone",
        f"Of {len(leave['AdamW'])} saddles in training AdamW leaves {left['AdamW']}",
        f"`Escape(AdamW)` {left['Escape(AdamW)']}",
        f"noisy SGD of optax, first on {first['noisy_sgd']}, leaves {left['noisy_sgd']}",
    ):
        assert words in text, words


def test_make_knows_the_command_and_git_ignores_what_it_leaves():
    makefile = (ROOT / "Makefile").read_text("utf8")
    assert '@echo "make bench ' in makefile and "benchmarks/bench.py" in makefile
    assert {"benchmarks/.bench/", "peer/"} <= set((ROOT / ".gitignore").read_text().split())


def test_the_status_page_lists_every_page_with_code_and_how_it_went():
    if not (SITE / "practice/status.html").exists():
        pytest.skip("build the book first: make book")
    page = soup("practice/status").select_one("article, main")
    rows = [[cell.get_text(" ", strip=True) for cell in row.select("td")]
            for row in page.select("table:not(.results) tr") if row.select("td")]
    listed = {row[0] for row in rows}
    notebooks = {path.relative_to(ROOT).with_suffix("").as_posix() for folder in
                 ("chapters", "checking", "practice") for path in (ROOT / folder).glob("*.ipynb")}
    assert listed == notebooks | {"intro", "practice/status"}
    assert all(float(row[3]) > 0 and row[4] == "done" for row in rows)
