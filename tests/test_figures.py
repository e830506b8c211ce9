"""Pictures: each function draws what it is given on the Axes it returns."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

from bs4 import BeautifulSoup  # noqa: E402

from saddlelib import certify, certify_samples, figures  # noqa: E402
from saddlelib.oracle import FiniteSum  # noqa: E402
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


def test_a_certificate_draws_its_ritz_values_between_the_bound_and_the_tolerance():
    problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0, 2.0])
    seen = certify(problem, np.zeros(3), epsilon=1e-3, rng=0)
    assert -0.5 <= seen.ritz_values[0] < -seen.curvature_tol
    assert (np.diff(seen.ritz_values) > 0).all()
    ax = seen.plot()
    values, bar, end = (line.get_xydata() for line in ax.lines)
    np.testing.assert_array_equal(values.T, [np.arange(1, 1 + seen.iterations), seen.ritz_values])
    np.testing.assert_array_equal(bar, [[1, seen.min_eig], [1, seen.min_eig_lower]])
    np.testing.assert_array_equal(end, bar[1:])
    band = ax.patches[0]
    assert band.get_y() == -seen.curvature_tol and band.get_y() + band.get_height() == 0
    assert ax.get_title().replace("\n", " ") == seen.verdict.value
    assert ax.get_xlabel() and ax.get_ylabel() == "curvature" and ax.get_legend()
    assert seen.plot(ax) is ax


def test_a_certificate_that_saw_no_curvature_draws_what_was_allowed():
    seen = certify(lambda x: 0.0, np.zeros(2), jac=lambda x: np.full(2, np.nan), epsilon=1e-3,
                   lipschitz_hess=1.0, rng=0)
    assert seen.ritz_values.shape == (0,)
    words = [text.get_text() for text in seen.plot().get_legend().get_texts()]
    assert "no curvature was seen" in words and len(words) == 2


def test_a_certificate_from_samples_draws_the_same_picture():
    terms = FiniteSum(lambda x: 0.5 * x @ x, lambda x, i: np.tile(x, (i.size, 1)), 3, 2,
                      hvps=lambda x, v, i: np.tile(v, (i.size, 1)))
    seen = certify_samples(terms, np.zeros(2), epsilon=0.1, curvature_tol=0.5, rng=0)
    np.testing.assert_allclose(seen.plot().lines[0].get_ydata(), 1.0)


def test_png_is_a_png_and_leaves_no_figure_open():
    ax = figures.new_axes()
    assert figures.png(ax).startswith(b"\x89PNG") and not matplotlib.pyplot.get_fignums()


def test_axes_side_by_side():
    assert figures.new_axes(9, 3, columns=3).shape == (3,)


ROWS = [["plain", "23", "0.5 of 2"], ["a longer <name>", "never", "3"]]


def test_a_table_is_text_where_text_is_printed():
    table = figures.Table(["method", "steps", "loss"], ROWS, caption="measured",
                          groups=[("", 1), ("a run from zero", 2)])
    assert repr(table).splitlines() == [
        "measured",
        "                 a run from zero",
        "method           steps      loss",
        "plain               23  0.5 of 2",
        "a longer <name>  never         3"]


def test_a_table_is_html_on_a_page_with_the_best_values_bold():
    soup = BeautifulSoup(figures.Table(
        ["", "steps", "loss"], ROWS, groups=[("", 1), ("from zero", 2)],
        best=figures.lowest(ROWS, [1, 2]))._repr_html_(), "html.parser")
    assert [b.get_text() for b in soup.find_all("b")] == ["23", "0.5 of 2"]
    assert soup.find_all("tr")[-1].td.get_text() == "a longer <name>"
    heads = soup.find_all("th")
    assert [th.get_text() for th in heads] == ["from zero", "steps", "loss"], "no empty header"
    assert heads[0]["colspan"] == "2" and all(th["scope"] for th in heads)
    assert [td.get("class") for td in soup.find_all("tr")[2].find_all("td")] == [
        None, ["number"], ["number"]]


def test_the_best_are_found_by_column_and_by_row():
    rows = [["a", "3 (4)", "1e-3"], ["b", "-", "2"], ["c", "3", "5"]]
    assert figures.lowest(rows, [1, 2]) == {(0, 1), (2, 1), (0, 2)}
    assert figures.lowest(rows, [1, 2], by_row=True) == {(0, 2), (1, 2), (2, 1)}
    assert figures.highest(rows, [2]) == {(2, 2)}


def test_a_table_refuses_a_row_of_another_length():
    with pytest.raises(ValueError, match="2 entries for 1 columns"):
        figures.Table(["a"], [["1", "2"]])


def test_a_notebook_draws_in_the_style_of_the_book():
    with matplotlib.rc_context():
        figures.book_style()
        ax = figures.new_axes()
        assert ax.xaxis.label.get_color() == figures.INK
        assert ax.xaxis.label.get_fontsize() >= 10
