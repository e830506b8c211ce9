"""Pictures: each function draws what it is given on the Axes it returns."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

from saddlelib import figures  # noqa: E402
from saddlelib.problems import QuarticSaddle  # noqa: E402


@pytest.fixture(autouse=True)
def close():
    yield
    matplotlib.pyplot.close("all")


def test_contours_mark_the_known_points():
    problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    ax = figures.contours(problem, figures.new_axes(), title="t")
    marked = np.array([line.get_xydata()[0] for line in ax.lines])
    np.testing.assert_allclose(marked, np.concatenate([problem.saddles, problem.minimizers]))
    assert ax.get_xlabel() and ax.get_ylabel() and ax.get_title() == "t"


def test_runs_are_drawn_in_the_colour_of_their_method():
    ax = figures.new_axes()
    points = np.random.default_rng(0).random((5, 2))
    assert figures.path(ax, points, "gd") is ax
    figures.series(ax, [3.0, 2.0, 1.0], "pgd")
    assert [line.get_color() for line in ax.lines] == [figures.COLORS["gd"], figures.COLORS["pgd"]]
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), points)
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[0, 3], [1, 2], [2, 1]])


def test_samples_are_drawn_as_medians_with_the_law_over_them():
    ax = figures.new_axes()
    figures.points_with_law(ax, [1, 2], [[1, 2, 9], [4, 5, 6]], [1, 2], [2.5, 5.5])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [2, 5])
    assert [t.get_text() for t in ax.legend().get_texts()] == ["predicted", "measured"]


def test_a_histogram_counts_everything_once():
    ax = figures.new_axes()
    samples = np.random.default_rng(0).integers(3, 300, 1000)
    figures.histogram_with_law(ax, samples, 50)
    assert sum(bar.get_height() for bar in ax.patches) == 1000
    assert figures.histogram_with_law(figures.new_axes(), [7, 7], 7).patches[0].get_height() == 2


def test_png_is_a_png_and_leaves_no_figure_open():
    ax = figures.new_axes()
    assert figures.png(ax).startswith(b"\x89PNG") and not matplotlib.pyplot.get_fignums()


def test_axes_side_by_side():
    assert figures.new_axes(9, 3, columns=3).shape == (3,)
