"""Matplotlib pictures in the house style; each draws what it is given and returns its Axes.

One colour per method through the whole book: `COLORS` is the table, and the style sheet of the live
figures has the same values. What one picture shows together also differs in width or dash, for
readers with any colour vision: `line` knows those of each method.
"""

from __future__ import annotations

import html
import io
import re
import textwrap

import numpy as np

try:
    import matplotlib.pyplot as plt
except ModuleNotFoundError as error:
    raise ImportError(
        "saddlelib.figures needs matplotlib, which saddlelib does not install by itself: "
        "pip install saddlelib[figures]") from error

__all__ = ["COLORS", "INK", "STYLE", "Table", "bars", "book_style", "contours", "highest",
           "histogram_with_law", "line", "lowest", "new_axes", "path", "performance_profiles",
           "png", "points_with_law", "ritz_values", "series", "taylor_remainders"]

COLORS = {"gd": "#0072b2", "pgd": "#d55e00", "pgd2021": "#b57c00", "psd": "#2e8ec4",
          "repaired": "#00857f", "certified": "#3a3fa8",
          "polyak": "#8e2560", "gdpolyak": "#008563", "growing": "#6a8f00", "order": "#5c2d91",
          "nesterov": "#8a5a3c", "bb": "#7b8691", "lbfgs": "#4b545d",
          "mode1": "#0072b2", "mode2": "#c24e00", "mode3": "#008563",
          "theory": "#1b1f24", "saddle": "#cc79a7", "missed": "#c0629a", "minimizer": "#009e73"}
"""The colour of each method ("repaired" and "certified" are kinds of PSD, "growing" is GDPolyak
with growing epochs, "order" the order-aware method), of the modes of a deep network, and of laws,
saddles, saddles that were missed and minimizers."""

_LINES = {"gd": (2.4, "-"), "polyak": (1.1, "-"), "gdpolyak": (1.8, "-"), "growing": (2.6, "-"),
          "order": (2.6, "-"), "repaired": (2, "--"), "certified": (2, ":"),
          "nesterov": (1.6, "--"), "bb": (1.6, ":"), "lbfgs": (1.6, "-."),
          "theory": (1.1, "--")}

INK, SOFT, GRID = "#1b1f24", "#4e5862", "#eceff2"
"""The colours of letters, of those that are less important, and of grid lines."""

STYLE = {
    "svg.hashsalt": "saddlelib", "figure.facecolor": "white",
    "font.size": 10.5, "axes.titlesize": 10.5, "axes.labelsize": 10.5, "legend.fontsize": 10,
    "xtick.labelsize": 10, "ytick.labelsize": 10, "axes.titlelocation": "left",
    "axes.edgecolor": "#9aa4ae", "axes.linewidth": 0.8, "axes.labelcolor": INK,
    "axes.titlecolor": INK, "text.color": INK, "xtick.color": SOFT, "ytick.color": SOFT,
    "grid.color": GRID, "legend.frameon": False,
}
"""What all pictures of the book share, for `matplotlib`: white paper, of which the site makes light
and dark."""


def book_style():
    """Let a notebook draw in the style of the book, as SVG that is sharp at every size.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> with plt.rc_context():    # for these lines alone
    ...     book_style()
    ...     print(plt.rcParams["axes.titlelocation"])
    left
    """
    plt.rcParams.update(STYLE)
    if "inline" in plt.get_backend():
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg")


def new_axes(width=5.0, height=3.2, columns=1):
    """Axes (or an array of them, side by side) without the upper and right spines.

    Parameters
    ----------
    width, height : float
        Of the whole figure, in inches.
    columns : int
        How many, side by side.

    Returns
    -------
    Axes or ndarray of Axes, shape (columns,)

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> ax = new_axes(4.0, 3.0)
    >>> bool(ax.spines["top"].get_visible()), ax.figure.get_size_inches().tolist()
    (False, [4.0, 3.0])
    >>> plt.close()
    """
    figure, axes = plt.subplots(1, columns, figsize=(width, height), layout="constrained")
    for ax in np.atleast_1d(axes):
        ax.spines[["top", "right"]].set_visible(False)
    return axes


def line(method, **wanted):
    """How the line of a method looks in every picture: what `Axes.plot` is told.

    Parameters
    ----------
    method : str
        A key of `COLORS`.
    **wanted
        What this line is told besides, or otherwise.

    Returns
    -------
    dict
        With ``color``, ``linewidth`` and ``linestyle``.

    Examples
    --------
    >>> line("lbfgs", label="L-BFGS")
    {'color': '#4b545d', 'linewidth': 1.6, 'linestyle': '-.', 'label': 'L-BFGS'}
    """
    width, dash = _LINES.get(method, (1.5, "-"))
    return {"color": COLORS[method], "linewidth": width, "linestyle": dash, **wanted}


def contours(problem, ax, *, xlim=(-1, 1), ylim=(-1, 1), levels=18, title=""):
    """Level lines of a problem in two dimensions, its saddles and minimizers marked.

    Parameters
    ----------
    problem : Problem
        In two dimensions.
    ax : Axes
    xlim, ylim : (float, float)
        The window, in the units of x.
    levels : int or sequence of float
        How many level lines, or the values of f that they are for.
    title : str

    Returns
    -------
    Axes

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from saddlelib.problems import QuarticSaddle
    >>> ax = contours(QuarticSaddle(0.5, [1.0]), new_axes(), title="a saddle")
    >>> ax.get_title(loc="left") or ax.get_title(), len(ax.lines)
    ('a saddle', 3)
    >>> plt.close()
    """
    x, y = np.meshgrid(np.linspace(*xlim, 121), np.linspace(*ylim, 121))
    values = problem.fun(np.column_stack([x.ravel(), y.ravel()])).reshape(x.shape)
    ax.contour(x, y, values, levels=levels, cmap="cividis", linewidths=0.8)
    for kind, marker in (("saddle", "X"), ("minimizer", "o")):
        for point in getattr(problem, kind + "s"):
            ax.plot(*point, marker, ms=9, color=COLORS[kind], mec="white", zorder=3)
    ax.set(xlim=xlim, ylim=ylim, aspect="equal", title=title, xlabel="$x_1$", ylabel="$x_2$")
    return ax


def path(ax, points, method, label=None):
    """The way of a method through the plane.

    Parameters
    ----------
    ax : Axes
    points : array_like, shape (n, 2)
    method : str
        A key of `COLORS`.
    label : str, optional
        For the legend; the method by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> path(new_axes(), [[0.0, 1.0], [0.5, 0.2]], "gd").lines[0].get_label()
    'gd'
    >>> plt.close()
    """
    ax.plot(*np.asarray(points).T, ".-", ms=3, lw=1.2, color=COLORS[method], label=label or method)
    return ax


def series(ax, values, method, label=None):
    """A quantity against the iteration.

    Parameters
    ----------
    ax : Axes
    values : array_like, shape (n,)
    method : str
        A key of `COLORS`.
    label : str, optional
        For the legend; the method by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> series(new_axes(), [1.0, 0.5, 0.25], "psd").get_xlabel()
    'iteration $k$'
    >>> plt.close()
    """
    ax.plot(np.arange(len(values)), values, color=COLORS[method], label=label or method)
    ax.set_xlabel("iteration $k$")
    return ax


def points_with_law(ax, x, samples, law_x, law_y, *, method="gd", label="measured",
                    law_label="predicted"):
    """Medians of samples with bars from the 10th to the 90th percentile, and a law through them.

    Parameters
    ----------
    ax : Axes
    x : array_like, shape (n,)
    samples : sequence of n arrays
        What was measured at each entry of ``x``.
    law_x, law_y : array_like, shape (m,)
        The law, as a line.
    method : str
        A key of `COLORS`.
    label, law_label : str
        For the legend.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> ax = points_with_law(new_axes(), [1, 2], [[1.0, 1.2], [1.9, 2.3]], [1, 2], [1.1, 2.1])
    >>> ax.get_legend_handles_labels()[1]
    ['predicted', 'measured']
    >>> plt.close()
    """
    low, middle, high = np.array([np.percentile(s, [10, 50, 90]) for s in samples]).T
    ax.errorbar(x, middle, [middle - low, high - middle], fmt="o", ms=5, capsize=3,
                color=COLORS[method], label=label)
    ax.plot(law_x, law_y, "--", lw=1.2, color=COLORS["theory"], label=law_label)
    return ax


def histogram_with_law(ax, samples, law, *, method="gd", label="measured", law_label="predicted"):
    """A histogram of whole numbers and one predicted value as a dashed line.

    Parameters
    ----------
    ax : Axes
    samples : array_like of int, shape (n,)
    law : float
        The predicted value.
    method : str
        A key of `COLORS`.
    label, law_label : str
        For the legend.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> ax = histogram_with_law(new_axes(), [3, 4, 4, 5], 4.2)
    >>> int(sum(bar.get_height() for bar in ax.patches))
    4
    >>> plt.close()
    """
    samples = np.asarray(samples)
    bins = np.arange(samples.min() - 0.5, samples.max() + 1.5, max(1, np.ptp(samples) // 30))
    ax.hist(samples, bins=bins, color=COLORS[method], alpha=0.8, label=label)
    ax.axvline(law, ls="--", lw=1.5, color=COLORS["theory"], label=law_label)
    return ax


def taylor_remainders(check, ax=None):
    """The remainders of a `saddlelib.DerivativeCheck` against h, and the slopes they should have.

    One thin line for each direction, in a colour for gradient and product each; dashed, through
    the middle of what was fitted, the slopes 2 and 3.

    Parameters
    ----------
    check : DerivativeCheck
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import saddlelib
    >>> seen = saddlelib.check_derivatives(lambda x: x @ x, lambda x: 2 * x, [1.0, 2.0], rng=0)
    >>> taylor_remainders(seen).get_xscale()
    'log'
    >>> plt.close()
    """
    ax = new_axes() if ax is None else ax
    for kind, color, power in (("gradient", COLORS["gd"], 2), ("product", COLORS["pgd"], 3)):
        rows = check.remainders.get(kind)
        if rows is None or not (rows > 0).any():
            continue
        rows = np.where(rows > 0, rows, np.nan)
        ax.plot(check.steps, rows.T, ".-", ms=3, lw=0.8, color=color)
        ax.lines[-1].set_label(f"{kind}: slope {check.slopes[kind]:.2g}")
        window = check.windows[kind]
        if window is not None:
            inside = (check.steps >= window[0]) & (check.steps <= window[1])
            h = check.steps[inside]
            middle = np.exp(np.nanmean(np.log(rows[:, inside])))
            ax.plot(h, middle * (h / np.sqrt(h[0] * h[-1])) ** power, "--", lw=1.5,
                    color=COLORS["theory"], label=f"slope {power}")
    ax.set(xscale="log", yscale="log", xlabel="step $h$", ylabel="remainder")
    if ax.lines:
        ax.legend(frameon=False)
    return ax


def ritz_values(certificate, ax=None):
    """The Ritz values of a `saddlelib.Certificate` against what it allows, and its verdict.

    The vertical axis is linear around 0, up to the power of ten below the tolerance γ, and
    logarithmic beyond it. The band holds the negative curvature that is allowed; the bar at the
    first value reaches down to ``min_eig_lower``. There is no bar where nothing bounds λ_min.

    Parameters
    ----------
    certificate : Certificate
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import saddlelib
    >>> from saddlelib.problems import QuarticSaddle
    >>> seen = saddlelib.certify(QuarticSaddle(0.5, [1.0]), [0.0, 0.0], epsilon=1e-3, rng=0)
    >>> ritz_values(seen).get_ylabel()
    'curvature'
    >>> plt.close()
    """
    ax = new_axes() if ax is None else ax
    gamma, values = certificate.curvature_tol, certificate.ritz_values
    count = values.size
    ax.axhspan(-gamma, 0, color=COLORS["minimizer"], alpha=0.2, lw=0,
               label=f"allowed, down to −γ = −{gamma:.2g}")
    ax.plot(np.arange(1, count + 1), values, "o", ms=4, color=COLORS["gd"], zorder=3,
            label="Ritz values" if count else "no curvature was seen")
    if count and np.isfinite(certificate.min_eig_lower):
        ends = [certificate.min_eig, certificate.min_eig_lower]
        ax.plot([1, 1], ends, "-", lw=1.5, color=COLORS["pgd"])
        ax.plot(1, ends[1], "_", ms=14, mew=2.5, color=COLORS["pgd"],
                label=r"$\lambda_{\min}$ is not below")
    ax.set_yscale("symlog", linthresh=10 ** np.floor(np.log10(gamma)))
    ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    ax.set(xlim=(0.5, max(count, 1) + 0.5), xlabel="number of the value", ylabel="curvature")
    ax.set_title(textwrap.fill(certificate.verdict.value, 52), fontsize="medium")
    ax.legend(frameon=False)
    return ax


def performance_profiles(ax, profiles, *, most=None, dashed=(), colors=None):
    """For each method, on which share of the problems it is within a factor of the best.

    Parameters
    ----------
    ax : Axes
    profiles : dict
        Of each label the factors, rising from 1, and the share of the problems at each; a step
        goes on to the right edge.
    most : float, optional
        The right edge; by default a little beyond the largest factor.
    dashed : iterable of str
        Labels whose lines are dashed.
    colors : dict, optional
        Of a label its colour; the others take theirs in order.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> ax = performance_profiles(new_axes(), {"a": ([1.0, 3.0], [0.5, 1.0]), "b": ([], [])})
    >>> len(ax.lines), ax.get_xscale()
    (2, 'log')
    >>> plt.close()
    """
    largest = max((max(factors) for factors, _ in profiles.values() if len(factors)), default=1.0)
    most = 1.2 * largest if most is None else most
    others = [COLORS["gdpolyak"], COLORS["gd"], COLORS["pgd"], COLORS["psd"], COLORS["saddle"],
              COLORS["pgd2021"], INK]
    for i, (label, (factors, shares)) in enumerate(profiles.items()):
        x = [1.0, *factors, max(most, 1.0)]
        ax.step(x, [0.0, *shares, shares[-1] if len(shares) else 0.0], where="post", lw=1.6,
                color=(colors or {}).get(label, others[i % len(others)]), label=label,
                ls=(0, (4, 1.5)) if label in dashed else "-")
    ax.set(xscale="log", xlim=(1, most), ylim=(0, 1.02), xlabel="within this factor of the first",
           ylabel="share of the problems")
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 1000) if tick <= most]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    return ax


def bars(ax, names, parts, *, colors):
    """A horizontal bar for each name, the first on top, of one or more parts with their numbers.

    Parameters
    ----------
    ax : Axes
    names : sequence of str, n of them
    parts : dict
        Of each part n numbers; a label in the legend where there is more than one part.
    colors : dict
        Of each part a colour, or n of them.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> ax = bars(new_axes(), ["a", "b"], {"right": [1, 2], "wrong": [2, 0]},
    ...           colors={"right": COLORS["gd"], "wrong": COLORS["pgd"]})
    >>> [int(patch.get_width()) for patch in ax.patches]
    [1, 2, 2, 0]
    >>> plt.close()
    """
    y, left = np.arange(len(names)), np.zeros(len(names))
    for part, numbers in parts.items():
        drawn = ax.barh(y, numbers, left=left, height=0.72, color=colors[part], label=part)
        shown = [f"{number:g}" if number else "" for number in numbers]
        ax.bar_label(drawn, shown, label_type="center" if len(parts) > 1 else "edge", padding=2,
                     fontsize=9, color=INK)
        left = left + np.asarray(numbers, float)
    ax.set_yticks(y, names)
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    return ax


class Table:
    """Rows under a header: aligned text where text is printed, an HTML table on a page.

    A column whose entries are numbers is set to the right, the others to the left.

    Parameters
    ----------
    columns : sequence of str
        The words of the header.
    rows : sequence of sequences of str
        One entry for each column.
    caption : str
        A line above the table.
    groups : sequence of (str, int)
        Words that stand above so many columns, as a second header.
    best : sequence of (int, int)
        Row and column of entries that are set bold; `lowest` finds them.

    Raises
    ------
    ValueError
        If a row has another number of entries than there are columns.

    Examples
    --------
    >>> Table(["d", "steps"], [["2", "66"], ["10", "70"]], caption="measured")
    measured
     d  steps
     2     66
    10     70
    """

    def __init__(self, columns, rows, *, caption="", groups=(), best=()):
        self.columns, self.rows = [str(c) for c in columns], [[str(e) for e in r] for r in rows]
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row has {len(row)} entries for {len(self.columns)} columns: "
                                 f"{row}")
        self.caption, self.groups, self.best = caption, list(groups), set(best)
        self._right = [bool(self.rows) and all(_like_a_number(row[i]) for row in self.rows)
                       for i in range(len(self.columns))]

    def __repr__(self):
        lines = [self.columns, *self.rows]
        width = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        for words, start, stop in self._spans():
            lacking = len(words) - sum(width[start:stop]) - 2 * (stop - start - 1)
            width[stop - 1] += max(0, lacking)

        def text(line):
            return "  ".join(entry.rjust(w) if right else entry.ljust(w) for entry, w, right
                             in zip(line, width, self._right, strict=True)).rstrip()

        above = "  ".join(words.ljust(sum(width[start:stop]) + 2 * (stop - start - 1))
                          for words, start, stop in self._spans()).rstrip()
        return "\n".join(filter(None, [self.caption, above, *map(text, lines)]))

    def _spans(self):
        start = 0
        for words, count in self.groups:
            yield words, start, start + count
            start += count

    def _repr_html_(self):
        def cell(kind, text, i, attributes=""):
            side = ' class="number"' if self._right[i] else ""
            return f"<{kind}{side}{attributes}>{html.escape(text)}</{kind}>"

        head = "".join(cell("th", c, i, ' scope="col"') if c else "<td></td>"
                       for i, c in enumerate(self.columns))
        above = "".join(f'<th colspan="{stop - start}" scope="colgroup">{html.escape(words)}</th>'
                        if words else f'<td colspan="{stop - start}"></td>'
                        for words, start, stop in self._spans())
        body = "".join("<tr>" + "".join(
            cell("td", entry, i).replace(html.escape(entry), f"<b>{html.escape(entry)}</b>")
            if (at, i) in self.best else cell("td", entry, i) for i, entry in enumerate(row))
            + "</tr>\n" for at, row in enumerate(self.rows))
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        above = f"<tr>{above}</tr>\n" if above else ""
        return (f'<table class="results">{caption}\n<thead>{above}<tr>{head}</tr></thead>\n'
                f"<tbody>\n{body}</tbody></table>")


def _like_a_number(text):
    return text in ("", "never") or (
        text[0] in "0123456789+-−.<>≤≥" and not text[1:].strip().isalpha())


def lowest(rows, columns, *, by_row=False):
    """Places of the least number in each of some columns, or among them in each row.

    An entry counts with the number that it begins with; one that begins with none does not count.

    Parameters
    ----------
    rows : sequence of sequences of str
        As for `Table`.
    columns : iterable of int
        The columns that are compared.
    by_row : bool
        Whether the entries of a row are compared with each other, instead of those of a column.

    Returns
    -------
    set of (int, int)
        Row and column of each.

    Examples
    --------
    >>> lowest([["a", "3 of 5", "-"], ["b", "1e-3", "2"]], [1, 2]) == {(1, 1), (1, 2)}
    True
    """
    columns = list(columns)
    values = np.array([[_number(row[i]) for i in columns] for row in rows])
    least = values.min(axis=1 if by_row else 0, keepdims=True)
    return {(int(r), columns[c])
            for r, c in np.argwhere((values == least) & np.isfinite(values))}


def highest(rows, columns, *, by_row=False):
    """Places of the largest number, as `lowest` finds the least.

    Parameters
    ----------
    rows, columns, by_row
        As `lowest`.

    Returns
    -------
    set of (int, int)
        Row and column of each.

    Examples
    --------
    >>> highest([["a", "3 of 5"], ["b", "4 of 5"]], [1])
    {(1, 1)}
    """
    turned = [[-_number(entry) if np.isfinite(_number(entry)) else "" for entry in row]
              for row in rows]
    return lowest(turned, columns, by_row=by_row)


def _number(text):
    found = re.match(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", str(text))
    return float(found[0]) if found else np.inf


def png(ax) -> bytes:
    """The figure of an Axes as PNG, closed afterwards; for an ``ipywidgets.Image``.

    Parameters
    ----------
    ax : Axes
        Its figure is drawn at 200 dots an inch.

    Returns
    -------
    bytes

    Examples
    --------
    >>> png(new_axes())[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png", dpi=200)
    plt.close(ax.figure)
    return buffer.getvalue()
