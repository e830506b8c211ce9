"""What results.json says: costs by method and problem, who is first, performance profiles.

A cost is a number, and infinite where a method does not arrive. A method is first on a problem
where it arrives at the least cost. The profile of a method says for every factor on which share of
the problems it arrives within this factor of the first (Dolan and Moré 2002); it ends at the share
on which it arrives at all.
"""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path

from _measure import short

RECORD = Path(__file__).with_name("results.json")


def median(values):
    """The median, where values may be infinite."""
    return float(statistics.median(map(float, values)))


def load(path=RECORD):
    """The record, its rows as dictionaries; null stands for an infinite cost."""
    record = json.loads(Path(path).read_text("utf8"))
    for suite in record["suites"].values():
        suite["rows"] = [dict(zip(suite["columns"], row, strict=True)) for row in suite["rows"]]
    return record


def costs(rows, column, **wanted):
    """{method: {problem: cost}} of the rows with these entries; None is an infinite cost."""
    found = {}
    for row in rows:
        if all(row[name] == value for name, value in wanted.items()):
            cost = row[column]
            found.setdefault(row["method"], {})[row["problem"]] = math.inf if cost is None else cost
    return found


def best_of(costs, methods):
    """{problem: the least cost among some methods}, as of one method that picks the best."""
    found = {}
    for method in methods:
        for problem, cost in costs.get(method, {}).items():
            found[problem] = min(cost, found.get(problem, math.inf))
    return found


def ratios(costs):
    """{method: {problem: cost over the least cost}}; infinite also where nobody arrives."""
    least = best_of(costs, costs)
    return {method: {problem: cost / least[problem] if cost < math.inf else math.inf
                     for problem, cost in of.items()} for method, of in costs.items()}


def firsts(costs):
    """{method: on how many problems it is first}; who shares the first place has it, too."""
    return {method: sum(ratio == 1 for ratio in of.values())
            for method, of in ratios(costs).items()}


def solved(costs):
    """{method: on how many problems it arrives}."""
    return {method: sum(cost < math.inf for cost in of.values()) for method, of in costs.items()}


def within(costs, factor):
    """{method: the share of its problems on which it arrives within ``factor`` of the first}."""
    return {method: sum(ratio <= factor for ratio in of.values()) / len(of)
            for method, of in ratios(costs).items()}


def profile(costs):
    """{method: (factors in rising order, share of the problems at each)}, as a graph of steps."""
    found = {}
    for method, of in ratios(costs).items():
        there = sorted(ratio for ratio in of.values() if ratio < math.inf)
        found[method] = there, [(i + 1) / len(of) for i in range(len(there))]
    return found


def compare(one, other):
    """Of two {problem: cost}: (geometric mean of one/other, rows on which both arrive, losses).

    A loss is a problem on which ``one`` costs more or does not arrive where ``other`` does, with
    the ratio; the worst comes first.
    """
    both = [p for p in one if p in other and max(one[p], other[p]) < math.inf]
    mean = math.exp(sum(math.log(one[p] / other[p]) for p in both) / len(both)) if both else None
    losses = {p: one[p] / other[p] for p in one if other.get(p, math.inf) < one[p]}
    return mean, len(both), sorted(losses.items(), key=lambda pair: -pair[1])


# What the page shows -----------------------------------------------------------------------------


class Said:
    """Sentences made of results: Markdown on a page, lines where text is printed."""

    def __init__(self, *lines):
        self.lines = lines

    def __repr__(self):
        return "\n".join(self.lines)

    def _repr_markdown_(self):
        return "\n".join(f"- {line}" for line in self.lines)


def listed(words):
    """Words in a row; "nothing" where there are none."""
    return "; ".join(words) or "nothing"


def names(record, suite):
    """The methods of a suite in their order, and a mark after those whose numbers are older."""
    suite = record["suites"][suite]
    away = {name for name, peer in suite["peers"].items() if not peer["installed"]}
    return {m["name"]: m["name"] + " †" * (m["package"] in away) for m in suite["methods"]}


def stored(record, suite):
    """Sentences on the peers in a suite that were not installed; none where all were."""
    for name, peer in record["suites"][suite]["peers"].items():
        if not peer["installed"]:
            numbers = f"its numbers († in the tables) are those of {peer['date']}, " \
                f"version {peer['version']}" if peer["version"] else "it has no numbers"
            yield f"{name} was not installed at the last measurement; {numbers}."


def place(costs, method):
    """("9 of 12", "4", "1.3"): where it arrives, where it is first, and its factor if it has one.

    The factor is its cost over that of the first, in geometric mean over the problems on which it
    arrives.
    """
    if method not in costs:
        return "not installed", "", ""
    there = [ratio for ratio in ratios(costs)[method].values() if ratio < math.inf]
    factor = f"{math.exp(statistics.fmean(map(math.log, there))):.3g}" if there else ""
    return f"{len(there)} of {len(costs[method])}", str(firsts(costs)[method]), factor


def first_most_often(costs):
    """The method that is first on most problems, and on how many."""
    return max(firsts(costs).items(), key=lambda pair: pair[1])


def race_table(record, suite, races):
    """(columns, lines, columns of first places): methods down, and a `place` in each race.

    What a method is told stands after its name, if anybody is told anything. Methods that have no
    meaning in any of the races stay away.
    """
    methods = record["suites"][suite]["methods"]
    there = {m["name"] for m in methods if m["package"] or any(m["name"] in race for race in races)}
    told = any(m["told"] for m in methods)
    lines = [[names(record, suite)[m["name"]], *[m["told"]] * told,
              *(entry for race in races for entry in place(race, m["name"]))]
             for m in methods if m["name"] in there]
    columns = ["method", *["told"] * told, *["arrives", "first", "factor"] * len(races)]
    return columns, lines, [i for i, column in enumerate(columns) if column == "first"]


def bold(values, groups):
    """Places (row, column) of the least finite value in each group of columns of each row."""
    found = set()
    for at, row in enumerate(values):
        for columns in groups:
            least = min((row[c] for c in columns if not math.isnan(row[c])), default=math.inf)
            if least < math.inf:
                found |= {(at, column) for column in columns if row[column] == least}
    return found


def number(cost):
    """A cost as an entry of a table: "never" where infinite, empty where it has no meaning."""
    if math.isnan(cost):
        return ""
    return short(cost) if cost < math.inf else "never"
