"""Answers to the exercises of the chapter on saddles."""

from __future__ import annotations

import math
import tracemalloc
import warnings

import numpy as np
import scipy.optimize

from ..curvature import Verdict, certify
from ..doors import minimize
from ..methods import PGD
from ..perturbation import uniform_ball
from ..problems import CoupledQuartic, MatrixFactorization, Octopus, QuarticSaddle
from ..theory import laws
from ._numbers import array, function, given
from ._table import Exercise, equal, near, part, term, whole, within


def _saddles_1():
    """f(x₁, x₂) = x₁² + x₂³ at the origin."""
    word = part(0)
    return Exercise(("kind",), choices=(
        "minimizer", "strict saddle", "degenerate saddle", "not stationary"), rows=[
        (equal(word, "degenerate saddle"),
         "Correct. The Hessian is diag(2, 0): nothing below zero, yet f falls along −x₂."),
        (equal(word, "minimizer"),
         "The Hessian has no negative eigenvalue, but that is not enough: walk along the x₂ axis "
         "to both sides and look at f."),
        (equal(word, "strict saddle"),
         "Strict means λ_min < 0. Work out the second derivative in x₂ at the origin."),
    ], last="Both partial derivatives, 2x₁ and 3x₂², vanish at the origin.")


def _saddles_2():
    """The curvature tolerance for ρ = 9, ε = 1e-4."""
    x, right = part(0), math.sqrt(9 * 1e-4)
    return Exercise(("√(ρε)",), [
        (near(x, right), f"Correct. √(ρε) = √(9 · 10⁻⁴) = {right:g}."),
        (near(x, -right), "The size is right. The threshold √(ρε) is a positive number; λ_min is "
                          "held against its negative."),
        (near(x, right**2), "That is ρε. A curvature is its square root."),
        (near(x, 1e-4), "That is ε, the tolerance for the gradient. Curvature has other units: "
                        "use ρ too."),
        (near(x, math.sqrt(1e-4)), "That is √ε. It leaves out ρ, so it would change with the "
                                   "units of x."),
    ], "Put ρ = 9 and ε = 10⁻⁴ into √(ρε).")


def _saddles_3():
    """Steps from 1e-6 to 1 at η = 0.5, γ = 0.2."""
    x, log, exact = part(0), math.log(1e6), laws.escape_time(1e-6, 1.0, 0.5, 0.2)
    steps = math.ceil(exact)
    return Exercise(("steps",), [
        (equal(x, steps) | near(x, exact, 1e-3),
         f"Correct. ln(10⁶)/ln(1.1) = {exact:.2f}, so it arrives with step {steps}."),
        (equal(x, steps - 1), f"{steps - 1} is just short: ln(10⁶)/ln(1.1) = {exact:.2f}. Round "
                              "up, since there are no parts of a step."),
        (within(x, log / 0.1, 1.5),
         "That is ln(10⁶)/(ηγ), the time of the gradient flow. One step multiplies by 1 + ηγ, so "
         "divide by ln(1 + ηγ)."),
        (within(x, log / math.log(1.2), 1.5),
         "That grows by 1 + γ a step. The step size belongs into it: 1 + ηγ."),
        (within(x, 6 / math.log(1.1), 1.5),
         "You mixed logarithms: log₁₀ above and ln below. Use the same one twice."),
        (x < 0, "A negative number of steps: exchange start and exit in the logarithm."),
    ], "Solve 10⁻⁶ · (1 + ηγ)^k = 1 for k.")


def _saddles_4():
    """The largest stable step when the Hessian has eigenvalues −0.5 and 4."""
    x = part(0)
    return Exercise(("η",), [
        (near(x, 2 / 4), "Correct. |1 − 4η| < 1 exactly when η < 2/4; the negative eigenvalue "
                         "sets no limit."),
        (near(x, 1 / 4), "1/ℓ is where the guaranteed decrease is largest. The coordinate still "
                         "shrinks beyond it: where does |1 − 4η| reach 1?"),
        (near(x, 2 / 0.5), "That is 2/γ with the negative curvature γ = 0.5. Along that direction "
                           "f falls at any step; look at the other eigenvalue."),
        (near(x, 2 / 4.5), "Do not add the two curvatures: each coordinate lives by itself."),
    ], "For each eigenvalue w the coordinate is multiplied by 1 − ηw.")


def _product(answer):
    """A Hessian-vector product for the coupled quartic."""
    answer = function(answer, "hvp(x, v)")
    problem, rng = CoupledQuartic(6, coupling=0.1), np.random.default_rng(0)
    for _ in range(5):
        x, v = rng.standard_normal((2, 6))
        got, want = array(answer(x.copy(), v.copy())), problem.hvp(x, v)
        if got.shape != (6,):
            return f"The product has the shape of v, (6,), but yours has shape {got.shape}. " \
                   "Multiply by v before you return."
        if not np.allclose(got, want, rtol=1e-8, atol=1e-10):
            return _wrong_product(problem, x, v, got, want)
    return _without_a_matrix(answer)


def _wrong_product(problem, x, v, got, want):
    """What went wrong in a product that is not the right one."""
    bend = 12 * x**2 - 2
    for value, hint in (
        (bend * v, "The quartic part is right. The coupling 0.1 Σ xᵢxⱼ adds 0.1 (Σⱼvⱼ − vᵢ)."),
        (bend * v + 0.1 * v.sum(), "Almost: the coupling has no diagonal, so vᵢ itself must be "
                                   "left out of the sum."),
        ((4 * x**2 - 2) * v + 0.1 * (v.sum() - v), "The second derivative of x⁴ is 12x², not 4x²."),
        (problem.grad(v), "That is the gradient at v. The product depends on x and is linear in "
                          "v."),
    ):
        if np.allclose(got, value):
            return hint
    off = np.linalg.norm(got - want) / np.linalg.norm(want)
    if off < 1e-2:
        return f"Off by a share of {off:.0e} only, like a difference of gradients. That is a " \
               "good way where nothing better is known. Here the product has a formula: take " \
               "the derivative of the gradient in the direction v by hand."
    return "Differentiate the gradient 4xᵢ³ − 2xᵢ + 0.1 Σ_{j≠i} xⱼ in the direction v."


def _without_a_matrix(answer, dim=500):
    """Whether a right product takes the memory of vectors alone."""
    x, v = np.random.default_rng(1).standard_normal((2, dim))
    right = CoupledQuartic(dim, coupling=0.1).hvp(x, v)
    tracemalloc.start()
    try:
        got = answer(x, v)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if not (np.shape(got) == (dim,) and np.allclose(got, right, rtol=1e-8, atol=1e-10)):
        return f"Right in 6 dimensions, but not in {dim}. Let it take d from x."
    if peak > dim**2:
        return f"The numbers are right. But in {dim} dimensions it takes {peak / 1e6:.0f} MB, as " \
               f"a matrix does; a vector has {8e-6 * dim:.3f}. Multiply without one."
    return "Correct. And it takes no more memory than a few vectors, in any dimension."


def _saddles_6():
    """A perturbation radius and a window for d = 1000."""
    radius, window = part(0), part(1)
    pushes = np.sort([abs(uniform_ball(np.random.default_rng(seed), 1000)[0])
                      for seed in range(20)])
    saddle = QuarticSaddle.spread(1000, gamma=0.1)
    rule = PGD.practical(step_size=1 / saddle.lipschitz_grad, epsilon=1e-3, dim=1000,
                         curvature_tol=0.05)
    eta, gamma, depth = rule.step_size, saddle.gamma, rule.decrease_threshold
    escaped = term("leave", pushes, radius, eta, gamma, depth, window)
    exit = math.sqrt(gamma - math.sqrt(gamma**2 - 4 * depth))
    needed = term("ceil", term("log", exit / float(pushes[0]) / radius)
                  / math.log1p(eta * gamma))
    return Exercise(("perturbation_radius", "episode_length"), [
        (~whole(window) | (window < 1), "The window is a whole number of steps, at least 1."),
        (radius <= 0, "The radius is positive: without a push gradient descent stays."),
        (radius > 0.1, f"A radius of {radius} is a third of the way to the minimizer or more: at "
                       "a minimizer it would undo the work of many steps. Stay within 0.1."),
        (window > 200, f"Each run waits {window} steps before it believes in a minimizer. Stay "
                       "within 200."),
        ((escaped >= 20) & (window > needed + 20),
         "All 20 runs leave the saddle, but the window is more than 20 steps longer than the "
         "slowest needs. A run pays for the whole window, also at its end, at a minimizer: shorten "
         "it."),
        (escaped >= 20, f"Correct. All 20 runs leave the saddle, the slowest after {needed:.0f} "
                        "steps."),
    ], f"{escaped} of 20 runs leave. From a radius of {radius} in 1000 dimensions the unluckiest "
       f"of them needs {needed:.0f} steps; your window is {window}.")


def _caught(answer):
    """A function on which BFGS stops at a strict saddle, and the default does not."""
    fun, origin = function(answer, "f(x)"), np.zeros(2)
    given(fun(origin.copy()))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of functions that overflow far out
        alone = scipy.optimize.minimize(fun, origin, method="BFGS")
        if not alone.success:
            return f"BFGS itself reports no success from the origin: {alone.message} Give it a " \
                   "point where the gradient vanishes."
        seen = certify(fun, alone.x, epsilon=1e-3, jac="2-point", rng=0)
        default = minimize(fun, origin, rng=0, maxfev=10_000)
    where = "({:.3g}, {:.3g})".format(*(alone.x.round(6) + 0.0))
    if seen.passed:
        return f"BFGS reports success at {where}, and it is right: no curvature there is clearly " \
               "below zero. Which second derivatives make a saddle?"
    if seen.verdict is not Verdict.NEGATIVE_CURVATURE:
        return f"BFGS stops at {where}, but its curvature is not clearly below zero. A strict " \
               "saddle has a second derivative that is negative."
    if not default.success:
        return f"BFGS is caught at {where}. But the default finds no minimum either: does f rise " \
               "again far out, in every direction?"
    return f"Correct. BFGS reports success at the saddle {where}; the default goes on to " \
           f"f = {default.fun:.3g}, and has a certificate there."


def _saddles_9():
    """The factor of a step with momentum, for η = 0.1, γ = 0.5 and β = 0.9."""
    x = part(0)
    return Exercise(("factor",), [
        (near(x, 1.2), "Correct. λ² − 1.95λ + 0.9 = 0 has the roots 1.2 and 0.75, and the larger "
                       "one wins."),
        (near(x, 1.05), "That is 1 + ηγ, a step without momentum. The last step still pushes."),
        (near(x, 0.75), "That is the other root of the quadratic equation. Its share of the "
                        "coordinate dies out; which one stays?"),
        (near(x, 1.95), "That is 1 + ηγ + β, the factor of z_k alone. Of it, βz_{k−1} is taken "
                        "off again."),
        (near(x, 1.5), "That is 1 + ηγ/(1 − β), a step ten times as long. Momentum adds up to "
                       "that only where the slope hardly changes, and here it grows in every "
                       "step."),
        (near(x, 1 / 1.2), "That shrinks: you have turned the factor round, z_k over z_{k+1}."),
    ], "First show that z_{k+1} = (1 + ηγ + β)z_k − βz_{k−1}. Then put z_k = λ^k and solve the "
       "quadratic equation for λ.")


class _EndlessError(BaseException):
    """More gradients than any right run takes."""


class _Watched:
    """A problem that keeps the points at which a reader's run asks for the gradient."""

    def __init__(self, problem, eta, most=4000):
        self.problem, self.eta, self.most = problem, eta, most
        self.asked, self.wasted, self.points, self.grads = 0, 0, [], []

    def fun(self, x):
        return self.problem.fun(x)

    def grad(self, x):
        self.asked += 1
        if self.asked > self.most:
            raise _EndlessError
        x = np.array(x, dtype=float)
        if not self.points or (x != self.points[-1]).any():
            self.points.append(x)
            self.grads.append(self.problem.grad(x))
        elif not self.stands():
            self.wasted += 1
        return self.grads[-1].copy()

    def ahead(self):
        """Where a plain step from the last point leads."""
        return self.points[-1] - self.eta * self.grads[-1]

    def stands(self):
        """Whether a step from the last point is too short to change a bit of it."""
        return (self.ahead() == self.points[-1]).all()


def _runs():
    """Problems, where a run begins, and η, r, g_thres, f_thres, t_thres.

    Two begin exactly at a saddle, of which one has three in a row; between them the two columns of
    the chapter. The windows are so long that of a hundred thousand right pushes one or two fail.
    """
    return [
        (QuarticSaddle(0.4, [1.0, 0.5]), np.zeros(3), (0.5, 0.01, 1e-3, 4e-3, 90)),
        (MatrixFactorization(np.diag([1.0, 0.25])), np.array([0.5, 0, 0, 0]),
         (0.1, 0.01, 1e-3, 3e-3, 320)),
        (Octopus(3), np.zeros(3), (0.1, 0.03, 0.03, 1.0, 100)),
    ]


def _pgd(answer):
    """Perturbed gradient descent, Algorithm 2 of 2017, with one gradient a point."""
    answer = function(answer, "pgd(f, grad, x, eta, r, g_thres, f_thres, t_thres, rng)")
    pushes, wasted, points = [], 0, 0
    for problem, x0, numbers in _runs():
        seen = _Watched(problem, numbers[0])
        try:
            got = given(answer(seen.fun, seen.grad, x0.copy(), *numbers, np.random.default_rng(0)))
        except _EndlessError:
            got = None
        hint = _what_went_wrong(seen, x0, got, *numbers, pushes)
        if hint:
            return hint
        wasted, points = wasted + seen.wasted, points + len(seen.points)
    if min(map(np.linalg.norm, pushes)) > 1 - 1e-9:
        return "All your pushes have the length r: they lie on the sphere. A point of the ball " \
               "has a length below r, r·u^(1/d) with u uniform between 0 and 1."
    if abs(np.sign(np.concatenate(pushes)).sum()) == sum(push.size for push in pushes):
        return "All your pushes go to the same side in every coordinate. A point that is uniform " \
               "on the ball lies to either side; normal numbers have a direction like that."
    if wasted:
        return f"It does what it should. But it asks for {points + wasted} gradients at {points} " \
               "points. One a point is enough: keep it in a variable."
    return f"Correct. It leaves every saddle of three problems, with {points} gradients at as " \
           "many points."


def _what_went_wrong(seen, x0, got, eta, r, small, drop, window, pushes):
    """A hint on one run, or None; appends its pushes, over r, to ``pushes``."""
    begun, last, before = f"On the {seen.problem.name}: ", None, None
    if not seen.points or (seen.points[0] != x0).any():
        return f"{begun}first ask for the gradient at the start."
    step = 0
    pairs = zip(seen.points, seen.grads, seen.points[1:], strict=False)
    for x, g, after in pairs:
        slope, since = np.linalg.norm(g), math.inf if last is None else step - last
        stands = last is not None and (x - eta * g == x).all()  # its steps cannot be counted
        if (since == window or stands) and seen.fun(x) - seen.fun(before) > -drop:
            return f"{begun}{window} steps after a push f has not fallen by f_thres = {drop:g}. " \
                   "Yours goes on: return the point before the push."
        if _same(after, x - eta * g):
            if slope <= small and since > window:
                return f"{begun}after {step} steps ‖∇f‖ is {slope:.1e}, which is small, and " \
                       "no push is recent. Yours takes a plain step: push first."
            step += 1
        elif _same(after, x + eta * g):
            return f"{begun}your step goes uphill. It is x − η∇f(x)."
        elif slope > small:
            return f"{begun}where ‖∇f‖ = {slope:.1e} is not small, only x − η∇f(x) is allowed. " \
                   "Yours goes elsewhere."
        elif since <= window:
            return f"{begun}yours pushes again after {since} of the {window} steps in which a " \
                   "push may show what it is worth."
        elif np.linalg.norm(after - x) > r * (1 + 1e-9):
            return f"{begun}a push of length {np.linalg.norm(after - x):.2g} leaves the ball of " \
                   f"radius {r:g}."
        else:
            last, before = step, x
            pushes.append((after - x) / r)
    if len(seen.points) == 1 and seen.asked > 1:
        return f"{begun}the run never leaves its start, a saddle. Nothing pushes it."
    if got is None:
        return f"{begun}after {seen.most} gradients it has not ended. {window} steps after a " \
               "push compare f with its value before the push."
    return _wrong_end(seen, begun, got, before, step, last, r, drop, window)


def _wrong_end(seen, begun, got, before, step, last, r, drop, window):
    """A hint on how a run ends, or None."""
    try:
        got = np.asarray(got, dtype=float)
    except (TypeError, ValueError):
        got = np.zeros(0)
    if got.shape != seen.points[0].shape:
        return f"{begun}return the point alone, an array of {seen.points[0].size} numbers."
    if last is None:
        return f"{begun}it ends without a push. A small gradient is where PGD begins to doubt, " \
               "not where it ends."
    if step - last not in (window - 1, window) and not (step < last + window and seen.stands()):
        return f"{begun}it ends {step - last} steps after a push. The test is made after {window}."
    end = seen.points[-1] if step - last == window else seen.ahead()
    if seen.fun(end) - seen.fun(before) <= -drop:
        return f"{begun}the push has worked, and f has fallen. Go on, and return only where it " \
               "has not."
    if seen.problem.distance(before) > 0.1:
        return f"{begun}the push was in vain, and the run has ended at a saddle. A push that is " \
               f"uniform on the ball of radius {r:g} leaves it within {window} steps."
    if not _same(got, before):
        return f"{begun}return the point before the push. (If you wrote x -= … or x += …, the " \
               "point that you kept has moved along: write x = x − ….)"
    return None


def _same(x, y):
    return np.allclose(x, y, rtol=1e-12, atol=1e-14)


CHECKS = {
    "saddles-1": _saddles_1,
    "saddles-2": _saddles_2,
    "saddles-3": _saddles_3,
    "saddles-4": _saddles_4,
    "saddles-5": lambda: Exercise(("hvp(x, v)",), code=_product),
    "saddles-6": _saddles_6,
    "saddles-7": lambda: Exercise(("f(x)",), code=_caught),
    "saddles-8": lambda: Exercise(
        ("pgd(f, grad, x, eta, r, g_thres, f_thres, t_thres, rng)",), code=_pgd),
    "saddles-9": _saddles_9,
}
