"""Answers to the exercises of the chapter on leaving a saddle."""

from __future__ import annotations

import math

import numpy as np

from ..perturbation import uniform_ball
from ..problems import QuarticSaddle
from ..theory import certified, jin2021, laws
from ._numbers import array, function, returned
from ._table import Exercise, equal, first, near, part, term, whole


def close(a, b):
    """Whether two numbers agree but for rounding."""
    return math.isclose(a, b, rel_tol=1e-6)  # float32 has no more


def _psd_1():
    """Most steps and most moves of certified PSD for Δ_f = 0.5, ℓ = 5, ρ = 4, ε = 0.01."""
    steps, moves = part(0), part(1)
    most = certified.certified_bound(5.0, 4.0, 0.01, 1000, 0.5)
    n, j = round(most.descent_steps), round(most.displacements)
    return Exercise(("N", "J"), [
        ((steps < 0) | (moves < 0), "Both are counts, and positive."),
        (near(steps, j, 1e-3) & near(moves, n, 1e-3),
         "These are the two counts, in the wrong order: the steps first, then the moves."),
        *first(near(steps, n, 1e-3), "N: ", [
            (near(steps, n / 2, 1e-3), "a step lowers f by at least ε²/(2ℓ). The 2 is missing."),
            (near(steps, n * 0.01, 1e-3), "that has ε in place of ε²."),
            (near(steps, 2 * n, 1e-3), "Δ_f is 0.5, not 1."),
        ], "put J = 0 into (1) and solve for N."),
        *first(near(moves, j, 1e-3), "N is right. J: ", [
            (near(moves, j / 12, 1e-3), "a move lowers f by a twelfth of √(ε³/ρ). The 12 is "
                                        "missing."),
            (near(moves, j * 2, 1e-3), "Δ_f is 0.5, not 1."),
            (near(moves, 12 * 0.5 / math.sqrt(0.01**3 * 4), 1e-3), "that has √(ρε³). Divide by ρ."),
            (near(moves, 12 * 0.5 * 4 / 0.01**3, 1e-3), "the root of ε³/ρ is missing."),
            (near(moves, 12 * 0.5 / math.sqrt(0.01 / 4), 1e-3), "that has ε in place of ε³."),
        ], "put N = 0 into (1) and solve for J."),
    ], f"Correct. N ≤ 2ℓΔ_f/ε² = {n} and J ≤ 12 Δ_f √(ρ/ε³) = {j}.")


def _psd_2():
    """Gradients of a wait and of a look at γ = 0.01, ℓ = 1, d = 1000."""
    wait, look, growth = part(0), part(1), math.log(1.01)
    exact = laws.escape_time(1e-3 / math.sqrt(1000), 0.1, 1.0, 0.01)
    steps = math.ceil(exact)
    # As in the table of the chapter: the library tests its answer a little less often.
    products = 11 * certified.look_bound(1.0, 0.01, 1000, 1e-4) // 10
    return Exercise(("wait", "look"), [
        ((wait < 0) | (look < 0), "Both are counts, and positive."),
        (equal(wait, 2 * products) & near(look, steps, 2e-3),
         "These are the two bills, in the wrong order: the wait first, then the look."),
        *first(equal(wait, steps) | near(wait, exact, 1e-3), "The wait: ", [
            (near(wait, math.log(100 * math.sqrt(1000)) / 0.01, 2e-3),
             "that is the time of the gradient flow. One step multiplies by 1 + ηγ, so divide by "
             "ln(1 + ηγ)."),
            (near(wait, math.log(1e5) / growth, 2e-3),
             "that starts at r/d. Of a push of length r about r/√d points the way out."),
            (near(wait, math.log(100) / growth, 2e-3),
             "that starts at r, as if the whole push pointed the way out. Its share of it is about "
             "r/√d."),
            (near(wait, math.log10(100 * math.sqrt(1000)) / growth, 2e-3),
             "you mixed logarithms: log₁₀ above and ln below. Use the same one twice."),
        ], "solve (r/√d)(1 + ηγ)^k = 0.1 for k."),
        *first(equal(look, 2 * products), "The wait is right. The look: ", [
            (equal(look, products), "a product costs two gradients."),
            (equal(look, 172) | equal(look, 86), "those are the products that the look took. It is "
                                                 "allowed a few more."),
        ], "take the row of 100 in the table of looks, and two gradients for each product."),
    ], f"Correct. {steps} against {2 * products}. Where γ is ten times smaller the wait is ten "
       "times as long, and the look three times.")


def _psd_3():
    """How steps, moves and the products of a look grow as ε is divided by 10⁴."""
    steps, moves, products = part(0), part(1), part(2)
    return Exercise(("steps", "moves", "products"), [
        ((steps < 1) | (moves < 1) | (products < 1),
         "All three grow as ε falls. Give the factors, which are larger than one."),
        *first(near(steps, 1e8), "Steps: ", [
            (near(steps, 1e4), "that is 1/ε. The bound has ε²."),
            (near(steps, 1e6), "that is the factor of the moves."),
        ], "their bound is 2ℓΔ_f/ε²."),
        *first(near(moves, 1e6), "Steps are right. Moves: ", [
            (near(moves, 1e12), "that is 1/ε³. A root stands around it."),
            (near(moves, 1e8), "that is the factor of the steps. A move lowers f by more."),
        ], "their bound is 12 Δ_f √(ρ/ε³)."),
        *first(near(products, 10), "Steps and moves are right. Products: ", [
            (near(products, 100), "that is √(1/ε). But γ_ε = √(ρε) has a root of its own, and "
                                  "then √(ℓ/γ_ε) has another."),
            (near(products, 1e4), "there are two roots: γ_ε = √(ρε), and √(ℓ/γ_ε)."),
            (near(products, 1e7), "that is all looks together. One look is asked for."),
        ], "put γ_ε = √(ρε) into √(ℓ/γ_ε)."),
    ], "Correct. ε^(-2), ε^(-3/2) and ε^(-1/4). A finer look is the cheapest part of it.")


def _improve_or_localize(answer):
    """Improve or localize: √(2ηtΔ)."""
    answer = function(answer, "(step_size, steps, decrease)")
    for eta, steps, drop in [(0.05, 40, 0.3), (0.3, 7, 2.0), (0.01, 1000, 0.0), (2.0, 3, 1e-6)]:
        got = returned(answer(eta, steps, drop))
        want = jin2021.improve_or_localize(eta, steps, drop)
        if close(got, want) or got == want:
            continue
        for value, hint in (
            (want**2, "That is the square of the distance. Take the root."),
            (want / math.sqrt(2), "A factor √2 is missing: the descent lemma gives η/2 · ‖∇f‖² a "
                                  "step."),
            (want / math.sqrt(steps), "The number of steps is missing. By Cauchy and Schwarz it "
                                      "comes in as its root."),
            (want * math.sqrt(steps), "That is the triangle inequality with every step as long as "
                                      "the longest could be. Cauchy and Schwarz give √t instead "
                                      "of t."),
            (want / math.sqrt(eta), "The step size is missing: a small step does not get far."),
            (want * math.sqrt(eta), "The power of η is too high: a step is η∇f, and Σ‖∇f‖² ≤ "
                                    "2Δ/η. What is η²/η?"),
        ):
            if close(got, value):
                return hint
        return f"For η = {eta:g}, {steps} steps and a decrease of {drop:g} yours says {got:.4g}; " \
               f"√(2 η · steps · decrease) is {want:.4g}."
    return "Correct. Whoever moved far has lowered f, and whoever has not lowered f is near."


def _certified(answer):
    """The decrease that an episode's gradients certify: η(1 − ηℓ/2) Σ ‖∇f‖²."""
    answer = function(answer, "(grad_norms, step_size, lipschitz_grad)")
    rng = np.random.default_rng(0)
    for eta, ell in [(0.1, 5.0), (0.2, 5.0), (0.03, 1.0)]:
        norms = rng.uniform(0.1, 2.0, 6)
        got = returned(answer(norms.copy(), eta, ell))
        used, factor = norms[:-1], eta * (1 - eta * ell / 2)
        right = factor * (used**2).sum()
        if close(got, right):
            continue
        if close(got, factor * used[-1] ** 2):
            return "That is what the last step certifies. Add up all steps of the episode."
        if close(got, factor * (norms**2).sum()):
            return "The last gradient belongs to the point that the episode has reached. No step " \
                   "was taken from there: leave it out."
        for each, also in ((used, ""), (norms, " And leave out the last gradient: no step was "
                                               "taken from there.")):
            for value, hint in _of_norms(each, eta, eta * ell / 2):
                if close(got, value):
                    return hint + also
        return f"For the norms {np.array2string(norms, precision=2)}, η = {eta:g} and ℓ = " \
               f"{ell:g} yours says {got:.3g}, but {right:.3g} is certified."
    return "Correct. No value of f is needed, so rounding of f does not touch this test."


def _of_norms(norms, eta, lost):
    """What an answer may have made of the norms, and the hint for it."""
    squares, factor = (norms**2).sum(), eta * (1 - lost)
    return (
        (eta * squares, "The factor 1 − ηℓ/2 is missing: the curvature gives back up to ηℓ/2 of "
                        "what the slope promises."),
        (eta / 2 * squares, "η/2 is the factor for η = 1/ℓ. In general it is η(1 − ηℓ/2)."),
        ((1 - lost) * squares, "The step size in front is missing: η(1 − ηℓ/2)."),
        (factor * norms.sum(), "Square the norms: a step lowers f by its slope times its length."),
        (factor * norms.sum() ** 2, "First square, then add. The square of the sum is larger."),
    )


def _psd_7():
    """Step, radius and length of an episode that all but one start in 200 need in 1000 dimensions.

    What they need by the law is asked for, and that 20 starts get half way down within it.
    """
    eta, radius, length = part(0), part(1), part(2)
    problem = QuarticSaddle.spread(1000, gamma=0.01)
    ell, gamma, ahead = problem.lipschitz_grad, problem.gamma, -problem.f_star
    pushes = np.sort(abs(uniform_ball(np.random.default_rng(0), 1000, 1.0, 20)[:, 0]))
    left = term("leave", pushes, radius, eta, gamma, ahead / 2, length)
    # Half of f* is reached at √γ·√(1 − √½); one start in 200 is slower than this.
    half_way = math.sqrt(gamma * (1 - math.sqrt(0.5)))
    slow = laws.ball_coordinate_quantile(1000, 1.0, 0.005)
    needed = term("log", half_way / slow / radius) / term("log", 1 + gamma * eta)
    rise = ell / 2 * (radius * radius)
    return Exercise(("step_size", "perturbation_radius", "episode_length"), [
        (~((eta > 0) & (radius > 0) & (length > 0)), "All three are positive."),
        (~whole(length), "The length of an episode is a whole number of steps."),
        (eta > 1 / ell, f"A step of {eta} is beyond 1/ℓ = {1 / ell:g}. Nothing in this chapter "
                        "says that f falls there."),
        (rise > ahead, f"A radius of {radius} may raise f by ℓr²/2 = {rise:.2g}, which is more "
                       f"than the whole descent of {ahead:.2g} that lies ahead."),
        (20 * length > 25_000, f"20 episodes of {length} steps take {20 * length} gradients; the "
                               "budget is 25000."),
        (length > 1.1 * needed, f"That is enough, and more than a tenth too long: a start that is "
                                f"slower than 199 others needs less than {length} steps. Take its "
                                "coordinate from the 0.5 % quantile."),
        ((left >= 20) & (length >= needed), f"Correct. Of 20 starts all get half way down within "
                                            f"{length} steps."),
    ], f"{left} of 20 starts get half way down. With a step of {eta} from a radius of {radius} one "
       f"in 200 needs about {needed:.0f} steps; your episode has {length}.")


def _look_and_move(answer):
    """One look and one move of PSD in 1000 dimensions, from products alone."""
    answer = function(answer, "look_and_move(x, g, hvp, ell, rho, epsilon)")
    rng, d, rho, epsilon = np.random.default_rng(0), 1000, 2.0, 0.005  # √(ρε) is 0.1
    for lowest in (-0.25, -0.4, -0.03):
        # The eigenvectors are columns of a reflection, so that no coordinate is one of them.
        mirror = rng.standard_normal(d)
        mirror /= np.linalg.norm(mirror)
        curvatures = np.append(lowest, rng.uniform(0.0, 1.0, d - 1))
        for side in (1.0, -1.0):
            saddle = _Saddle(curvatures, mirror)
            x = rng.standard_normal(d)
            g = side * 0.8 * epsilon * saddle.lowest
            got = array(answer(x.copy(), g.copy(), saddle.hvp, 1.0, rho, epsilon))
            hint = _wrong_move(got, x, g, saddle, rho, epsilon)
            if hint:
                return hint
    return "Correct. It moves off saddles, to the side that does not go uphill, stays where the " \
           "curvature is within the tolerance, and has never seen a matrix."


class _Saddle:
    """A Hessian with given eigenvalues, known by its products, which are counted."""

    def __init__(self, curvatures, mirror):
        self.curvatures, self.mirror, self.products = curvatures, mirror, 0
        self.lowest = self.turn(np.eye(1, len(mirror))[0])

    def turn(self, v):
        """The reflection that turns coordinates into eigenvectors, and back."""
        return v - 2 * (self.mirror @ v) * self.mirror

    def hvp(self, v):
        """One product, for whoever answers."""
        self.products += 1
        return self.turn(self.curvatures * self.turn(np.asarray(v, dtype=float)))

    def curvature(self, v):
        """vᵀHv/vᵀv, without counting."""
        w = self.turn(v)
        return (self.curvatures * w) @ w / (w @ w)


def _wrong_move(got, x, g, saddle, rho, epsilon):
    """What is wrong with the point that one look and move has led to, if anything."""
    low, tolerance = saddle.curvatures[0], math.sqrt(rho * epsilon)
    if got.shape != x.shape:
        return f"Return a point, of the shape {x.shape} of x; yours has the shape {got.shape}."
    if saddle.products > 300:
        what = "as many as a whole Hessian has columns" if saddle.products >= x.size else \
            "more than the 300 that you have"
        return f"The look took {saddle.products} products, {what}. One product with the same " \
               "vector again and again is enough: it turns towards the eigenvector."
    move = got - x
    length = np.linalg.norm(move)
    if not math.isfinite(length):
        return "The point that yours returns is not finite."
    if low >= -tolerance:
        return "" if length == 0 else (
            f"At a point with λ_min = {low:g}, which is not below −√(ρε) = {-tolerance:g}, yours "
            f"moves {length:.2g} away. That point passes: return x itself.")
    if not length > 0:
        return f"Yours stays at a saddle with λ_min = {low:g}, below −√(ρε) = {-tolerance:g}."
    curvature = saddle.curvature(move)
    if not curvature < -tolerance / 2:
        if np.linalg.norm(got) < 0.5 * np.linalg.norm(x):
            return "That is far from x. Return x + (2c/ρ)v, and not the displacement alone."
        if curvature > 0.9:
            return "You found the largest eigenvalue, which is what products with ∇²f find. With " \
                   "ℓI − ∇²f the smallest one wins."
        return f"The curvature along your direction is {curvature:.3g}, and λ_min = {low:g}. Go " \
               "on multiplying; a hundred products are enough."
    if g @ move > 0:
        return "The direction is right, its sign is not: ⟨g, v⟩ > 0, so this step begins uphill. " \
               "Both signs have the same curvature; take the one with ⟨g, v⟩ ≤ 0."
    right = -2 * curvature / rho
    for value, hint in (
        (1.0, "That is a unit vector. Make it 2c/ρ long."),
        (right / 2, "That is c/ρ. At 2c/ρ the guaranteed decrease is largest."),
        (right * rho, "The length is 2c. Without ρ it would be no length at all: 2c/ρ."),
        (2 * tolerance / rho, "The length has √(ρε) in place of c, the curvature that you found."),
    ):
        if math.isclose(length, value, rel_tol=0.01):
            return hint
    if not math.isclose(length, right, rel_tol=0.01):
        return f"The direction is right. Its length should be 2c/ρ = {right:.3g}; yours is " \
               f"{length:.3g}."
    return ""


CHECKS = {
    "psd-1": _psd_1,
    "psd-2": _psd_2,
    "psd-3": _psd_3,
    "psd-5": lambda: Exercise(("improve_or_localize(step_size, steps, decrease)",),
                              code=_improve_or_localize),
    "psd-6": lambda: Exercise(("certified(grad_norms, step_size, lipschitz_grad)",),
                              code=_certified),
    "psd-7": _psd_7,
    "psd-9": lambda: Exercise(("look_and_move(x, g, hvp, ell, rho, epsilon)",),
                              code=_look_and_move),
}
