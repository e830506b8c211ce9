"""Matplotlib pictures in the house style; each draws what it is given and returns its Axes.

One colour per method through the whole book, from the palette of Okabe & Ito, which readers with
any colour vision can tell apart.
"""

from __future__ import annotations

import io
import textwrap

import numpy as np

try:
    import matplotlib.pyplot as plt
except ModuleNotFoundError as error:
    raise ImportError(
        "saddlelib.figures needs matplotlib, which saddlelib does not install by itself: "
        "pip install saddlelib[figures]") from error

__all__ = ["COLORS", "contours", "histogram_with_law", "new_axes", "path", "png",
           "points_with_law", "ritz_values", "series", "taylor_remainders"]

COLORS = {"gd": "#0072B2", "pgd": "#D55E00", "pgd2021": "#E69F00", "psd": "#56B4E9",
          "polyak": "#D55E00", "gdpolyak": "#009E73",
          "theory": "#000000", "saddle": "#CC79A7", "minimizer": "#009E73"}


def new_axes(width=5.0, height=3.2, columns=1):
    """Axes (or an array of them, side by side) without the upper and right spines."""
    figure, axes = plt.subplots(1, columns, figsize=(width, height), layout="constrained")
    for ax in np.atleast_1d(axes):
        ax.spines[["top", "right"]].set_visible(False)
    return axes


def contours(problem, ax, *, xlim=(-1, 1), ylim=(-1, 1), levels=18, title=""):
    """Level lines of a problem in two dimensions, its saddles and minimizers marked."""
    x, y = np.meshgrid(np.linspace(*xlim, 121), np.linspace(*ylim, 121))
    values = problem.fun(np.column_stack([x.ravel(), y.ravel()])).reshape(x.shape)
    ax.contour(x, y, values, levels=levels, cmap="cividis", linewidths=0.8)
    for kind, marker in (("saddle", "X"), ("minimizer", "o")):
        for point in getattr(problem, kind + "s"):
            ax.plot(*point, marker, ms=9, color=COLORS[kind], mec="white", zorder=3)
    ax.set(xlim=xlim, ylim=ylim, aspect="equal", title=title, xlabel="$x_1$", ylabel="$x_2$")
    return ax


def path(ax, points, method, label=None):
    """The way of a method through the plane; ``points`` has shape (n, 2)."""
    ax.plot(*np.asarray(points).T, ".-", ms=3, lw=1.2, color=COLORS[method], label=label or method)
    return ax


def series(ax, values, method, label=None):
    """A quantity against the iteration; ``values`` has shape (n,)."""
    ax.plot(np.arange(len(values)), values, color=COLORS[method], label=label or method)
    ax.set_xlabel("iteration $k$")
    return ax


def points_with_law(ax, x, samples, law_x, law_y, *, method="gd", label="measured",
                    law_label="predicted"):
    """Medians of samples with bars from the 10th to the 90th percentile, and a law through them.

    ``samples`` is a list of arrays, one for each entry of ``x``.
    """
    low, middle, high = np.array([np.percentile(s, [10, 50, 90]) for s in samples]).T
    ax.errorbar(x, middle, [middle - low, high - middle], fmt="o", ms=5, capsize=3,
                color=COLORS[method], label=label)
    ax.plot(law_x, law_y, "--", lw=1.2, color=COLORS["theory"], label=law_label)
    return ax


def histogram_with_law(ax, samples, law, *, method="gd", label="measured", law_label="predicted"):
    """A histogram of whole numbers and one predicted value as a dashed line."""
    samples = np.asarray(samples)
    bins = np.arange(samples.min() - 0.5, samples.max() + 1.5, max(1, np.ptp(samples) // 30))
    ax.hist(samples, bins=bins, color=COLORS[method], alpha=0.8, label=label)
    ax.axvline(law, ls="--", lw=1.5, color=COLORS["theory"], label=law_label)
    return ax


def taylor_remainders(check, ax=None):
    """The remainders of a `saddlelib.DerivativeCheck` against h, and the slopes they should have.

    One thin line for each direction, in a colour for gradient and product each; dashed, through
    the middle of what was fitted, the slopes 2 and 3.
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


def png(ax) -> bytes:
    """The figure of an Axes as PNG, closed afterwards; for an ``ipywidgets.Image``."""
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png", dpi=100)
    plt.close(ax.figure)
    return buffer.getvalue()
