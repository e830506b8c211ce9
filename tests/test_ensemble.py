"""Many runs at once are the single runs: same points, counts, ends and perturbations."""

import gc
import math
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from saddlelib import Oracle, Status, minimize
from saddlelib.ensemble import _descend, first_time, run, settle
from saddlelib.methods import (
    PGD,
    PSD,
    CertifiedPSD,
    GradientDescent,
    Method,
    State,
    Wait,
    gd_step,
)
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import (
    CoupledQuartic,
    MatrixFactorization,
    QuadraticSaddle,
    QuarticSaddle,
    SeparableQuartic,
)

PROBLEMS = [QuarticSaddle.spread(6, gamma=0.3), SeparableQuartic(3),
            CoupledQuartic(4, coupling=0.3),
            MatrixFactorization.from_eigenvalues([1.0, 0.7, 0.4], 5, rng=0)]


def methods(problem):
    """Numbers with which runs of a few hundred steps perturb, return and finish."""
    eta = 0.5 / problem.lipschitz_grad
    return {
        "gd": GradientDescent(eta, 1e-3),
        "pgd": PGD(eta, 1e-2, 1e-2, 1e-3, 25),
        "pgd whose episodes end early": PGD(eta, 1e-2, 1e-2, 1e-3, 200, early=True),
        "pgd that never stops": PGD(eta, 1e-2, 1e-2, None, 25, wait=True),
        "psd": PSD(eta, 1e-2, 0.1, 1e-2, 20, 50),
        "psd with few episodes": PSD(eta, 1e-2, 0.1, 1e-2, 20, 1),
        "certified psd": CertifiedPSD.practical(
            step_size=eta, epsilon=1e-2, dim=problem.dim, lipschitz_hess=problem.lipschitz_hess,
            use_direction=False),
    }


def single(problem, x0, method, rng, maxiter, until=None, state=None):
    """The loop of `minimize` around one method, with nothing else."""
    oracle = Oracle(problem)
    with np.errstate(over="ignore", invalid="ignore"):
        if state is None:
            state = method.init(oracle, x0, np.random.default_rng(rng))
        status, last = None, state.nit + maxiter
        if not np.isfinite(state.jac).all():
            status = Status.NONFINITE
        elif until is not None and until(state.x[np.newaxis])[0]:
            status = Status.CALLBACK
        while status is None and state.finished is None and state.nit < last:
            new = method.step(oracle, state)
            if not (np.isfinite(new.x).all() and np.isfinite(new.jac).all()):
                status = Status.NONFINITE
                break
            state = new
            if until is not None and until(state.x[np.newaxis])[0]:
                status = Status.CALLBACK
    if status is None:
        status = {None: Status.MAXITER, "precision": Status.PRECISION,
                  "nonfinite": Status.NONFINITE}.get(state.finished, Status.NOT_LOOKED_AT)
    oracle.fun(state.x)
    return state, oracle, status


def check(problem, starts, method, seeds, maxiter, until=None):
    runs = run(problem, starts, method, seeds=seeds, maxiter=maxiter, until=until)
    assert len(runs) == len(starts) == len(runs.states)
    for i, (x0, seed) in enumerate(zip(starts, seeds, strict=True)):
        state, oracle, status = single(problem, x0, method, seed, maxiter, until)
        np.testing.assert_allclose(runs.x[i], state.x, rtol=0, atol=1e-12)
        np.testing.assert_allclose(runs.jac[i], state.jac, rtol=0, atol=1e-11)
        assert runs.fun[i] == pytest.approx(problem.fun(state.x), abs=1e-12)
        for name in ("nfev", "njev", "nhvp", "nhev"):
            assert getattr(runs, name)[i] == getattr(oracle, name), name
        assert runs.nit[i] == state.nit and runs.status[i] == status
        assert runs.finished[i] == (state.finished or "")
        assert runs.perturbed_at[i] == getattr(state, "perturbed_at", ())
        assert runs.reached[i] == (state.nit if status == Status.CALLBACK else math.inf)
        theirs, ours = vars(state), vars(runs.states[i])
        assert set(theirs) == set(ours) and ours["note"] == theirs["note"]
        assert (ours.get("last_perturbation") is None) == (theirs.get("last_perturbation") is None)
        if state.rng is not None:
            assert ours["rng"].bit_generator.state == theirs["rng"].bit_generator.state
    return runs


@pytest.mark.parametrize("name", list(methods(PROBLEMS[0])))
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_rows_are_the_single_runs(problem, name):
    """From the saddle, from near it and from afar, with budgets that cut a run anywhere."""
    rng = np.random.default_rng(0)
    starts = 0.3 * rng.standard_normal((6, problem.dim))
    starts[0] = problem.saddles[0]
    starts[1] = problem.saddles[0] + 1e-4 * starts[1]
    method = methods(problem)[name]
    for maxiter in (0, 1, 17, 300):
        check(problem, starts, method, range(10, 16), maxiter)


def test_rows_that_fill_many_chunks_end_at_different_times(monkeypatch):
    from saddlelib import ensemble
    monkeypatch.setattr(ensemble, "_CHUNK", 42)
    problem = PROBLEMS[0]
    sizes = np.geomspace(1e-3, 0.5, 40)[:, np.newaxis]
    starts = sizes * np.random.default_rng(1).standard_normal((40, 6))
    runs = check(problem, starts, methods(problem)["pgd"], range(40), 300)
    assert len(set(runs.nit.tolist())) > 10
    check(problem, starts, methods(problem)["gd"], range(40), 300,
          until=lambda x: np.abs(x[:, 0]) > 0.2)


@pytest.mark.parametrize("name", ["gd", "pgd", "psd", "certified psd"])
def test_until_stops_a_row_at_its_first_iterate_there(name):
    problem = PROBLEMS[0]
    starts = np.zeros((5, 6))
    starts[1, 0], starts[2, 0], starts[3, 1] = 0.6, 0.05, 0.4
    runs = check(problem, starts, methods(problem)[name], range(5), 200,
                 until=lambda x: np.abs(x[:, 0]) >= 0.25)
    assert runs.reached[1] == 0 and 0 < runs.reached[2] < np.inf


@pytest.mark.parametrize("name", list(methods(PROBLEMS[0])))
def test_runs_go_on_from_their_states(name):
    problem, method = PROBLEMS[0], methods(PROBLEMS[0])[name]
    starts = 0.2 * np.random.default_rng(3).standard_normal((4, 6))
    whole = run(problem, starts, method, seeds=range(4), maxiter=90)
    part = run(problem, starts, method, seeds=range(4), maxiter=33)
    kept = pickle.dumps(part.states)
    rest = run(problem, pickle.loads(kept), method, maxiter=57)
    again = run(problem, part.states, method, maxiter=57)
    assert pickle.dumps(part.states) == kept  # generators and all
    for runs in (rest, again):
        np.testing.assert_allclose(runs.x, whole.x, rtol=0, atol=1e-12)
        assert (runs.nit == whole.nit).all() and runs.perturbed_at == whole.perturbed_at
    assert (rest.njev + part.njev == whole.njev).all()


def test_minimize_gives_the_same_and_goes_on_from_a_row():
    problem = QuarticSaddle.spread(10)
    options = dict(epsilon=1e-3, certificate=False)
    pgd = PGD.practical(step_size=1 / problem.lipschitz_grad, epsilon=1e-3, dim=10,
                        lipschitz_hess=problem.lipschitz_hess)
    runs = run(problem, np.zeros(10), pgd, seeds=[4, 5], maxiter=5000)
    early = run(problem, np.zeros(10), pgd, seeds=[4, 5], maxiter=60)
    for i, seed in enumerate((4, 5)):
        one = minimize(problem, np.zeros(10), "pgd", rng=seed, **options)
        later = minimize(problem, method="pgd", state=early.states[i], **options)
        for result in (one, later):
            np.testing.assert_allclose(runs.x[i], result.x, rtol=0, atol=1e-12)
            assert (result.nit, result.status) == (runs.nit[i], runs.status[i])
            assert result.perturbed_at == runs.perturbed_at[i]
        assert (one.nfev, one.njev) == (runs.nfev[i], runs.njev[i])


def test_a_row_that_diverges_ends_at_its_last_finite_point():
    """x_{k+1} = 101 x_k overflows in one row; the others do not notice."""
    problem = QuadraticSaddle([-100.0, 1.0])
    starts = np.array([[1.0, 1.0], [0.0, 1.0], [1e-150, 1.0]])
    runs = check(problem, starts, GradientDescent(1.0), range(3), 200)
    assert runs.status.tolist() == [Status.NONFINITE, Status.NOT_LOOKED_AT, Status.MAXITER]
    assert np.isfinite(runs.x).all() and abs(runs.x[0, 0]) > 1e300


class Hole(QuadraticSaddle):
    """A quadratic whose gradient is nan beyond |x1| = 1."""

    def _grad(self, X):
        return np.where(np.abs(X[:, :1]) > 1, np.nan, super()._grad(X))


def test_gradients_that_are_nan_stop_a_row_before_them():
    starts = np.array([[0.5, 1.0], [2.0, 1.0], [1.0, 0.0]])
    check(Hole([-1.0, 1.0]), starts, GradientDescent(0.1), range(3), 100)
    # Perturbed from the edge into the hole, or not, as the seed will have it.
    edge = np.tile([1.0, 0.0], (8, 1))
    pgd = PGD(0.1, 0.5, 2.0, 1e-3, 5)
    runs = check(Hole([-1.0, 1.0]), edge, pgd, range(8), 3)
    assert (runs.nit == 0).any() and (runs.nit > 0).any()


class Slope(QuadraticSaddle):
    """x1 + … + xd, whose gradients are one read-only array."""

    def _fun(self, X):
        return X.sum(axis=1)

    def _grad(self, X):
        return np.broadcast_to(np.ones(self.dim), X.shape)


def test_a_row_takes_the_place_of_another_and_writes_into_nothing_it_does_not_own(monkeypatch):
    """Neither into what the problem returned nor into what ``until`` was shown."""
    from saddlelib import ensemble
    monkeypatch.setattr(ensemble, "_CHUNK", 6)
    shown, kept = [], []

    def below(x):
        shown.append(x)
        kept.append(x.copy())
        return x[:, 0] < -1

    starts = np.arange(15.0)[:, np.newaxis] * np.ones(2)
    runs = check(Slope([1.0, 1.0]), starts, GradientDescent(0.25), range(15), 100, below)
    assert (runs.nit == 4 * np.arange(15) + 5).all()
    assert all((x == was).all() for x, was in zip(shown, kept, strict=True))


def test_perturbations_of_many_rows_are_those_of_each_alone():
    """The same draws, bit for bit; and one row whose ξ float64 swallows stops alone."""
    generators = [np.random.default_rng(seed) for seed in range(9)]
    radii = np.geomspace(1e-9, 1e3, 9)[:, np.newaxis]
    together = uniform_ball(generators, 7, radii)
    for seed, radius, xi in zip(range(9), radii[:, 0], together, strict=True):
        alone = np.random.default_rng(seed)
        assert (xi == uniform_ball(alone, 7, radius)).all()
        assert alone.bit_generator.state == generators[seed].bit_generator.state
    starts = np.array([[0.0, 0.0], [0.0, 1e9], [0.0, 1e-3]])
    flat = QuadraticSaddle([-1e-12, 1e-12])
    runs = check(flat, starts, PGD(0.5, 1e-9, 1e-2, None, 5), range(3), 8)
    assert runs.status.tolist() == [Status.MAXITER, Status.PRECISION, Status.MAXITER]
    assert runs.perturbed_at == [(0, 6), (), (0, 6)] and (runs.x[1] == starts[1]).all()


def test_the_collector_is_left_as_it_was():
    was_on = gc.isenabled()
    try:
        for on in (True, False):
            (gc.enable if on else gc.disable)()
            run(PROBLEMS[0], np.zeros(6), methods(PROBLEMS[0])["pgd"], seeds=range(3), maxiter=5)
            assert gc.isenabled() == on
            with pytest.raises(ValueError, match="hess"):
                run(PROBLEMS[0], np.zeros(6), Unable(0.1), seeds=range(3), maxiter=5)
            assert gc.isenabled() == on
    finally:
        (gc.enable if was_on else gc.disable)()


def test_no_rows_and_one_row():
    problem, pgd = PROBLEMS[0], methods(PROBLEMS[0])["pgd"]
    runs = run(problem, np.empty((0, 6)), pgd, maxiter=9)
    assert len(runs) == 0 and runs.x.shape == (0, 6) and repr(runs) == "Runs(0 rows)"
    check(problem, np.zeros((1, 6)), pgd, [3], 200)
    same = run(problem, np.zeros(6), pgd, seeds=[3], maxiter=200)
    assert (same.x == run(problem, np.zeros((1, 6)), pgd, seeds=[3], maxiter=200).x).all()


def test_the_starts_are_left_alone_and_the_same_seeds_give_the_same_runs():
    problem, pgd = PROBLEMS[0], methods(PROBLEMS[0])["pgd"]
    starts = np.zeros((3, 6))
    first, second = (run(problem, starts, pgd, seeds=[1, 2, 1], maxiter=20) for _ in range(2))
    assert (first.x == second.x).all() and (first.x[0] == first.x[2]).all()
    assert (first.x[0] != first.x[1]).any() and not starts.any()


@dataclass(frozen=True)
class Halving:
    """A method that knows nothing of waits: x/2, three times."""

    def init(self, oracle, x0, rng=None):
        return State(x=x0, jac=oracle.grad(x0), rng=rng)

    def step(self, oracle, state):
        new = state.copy()
        new.x, new.nit = state.x / 2, state.nit + 1
        new.jac = oracle.grad(new.x)
        new.finished = "stationary" if new.nit == 3 else None
        return new


class Unable(GradientDescent):
    """A method that cannot begin."""

    def init(self, oracle, x0, rng=None):
        raise ValueError("no hess")


class Circling(Method):
    """Plain steps with a look at every one, and a stop outside a ball: the default wait."""

    step_size = 0.1

    def init(self, oracle, x0, rng=None):
        return State(x=x0, jac=oracle.grad(x0), rng=rng)

    def look(self, oracle, state):
        if np.linalg.norm(state.x) > 1:
            state.finished = "stationary"


class Leaving(Circling):
    """The same, with a wait that knows when the look will matter."""

    def waits(self, state):
        return Wait(anchor=np.zeros_like(state.x), radius=1.0)


@pytest.mark.parametrize("method", [Halving(), Circling(), Leaving()], ids=lambda m: str(type(m)))
def test_a_new_method_works_without_more_words(method):
    starts = np.array([[0.5, 0.0], [0.01, 2.0], [0.3, 0.1]])
    check(QuadraticSaddle([-1.0, 1.0]), starts, method, range(3), 30)


def test_a_wait_saves_the_looks():
    """A run of hundreds of steps looks a handful of times."""
    problem, looks = QuarticSaddle.spread(6, gamma=0.1), []

    class Watched(PGD):
        def look(self, oracle, state):
            looks.append(state.nit)
            return super().look(oracle, state)

    runs = run(problem, np.zeros((4, 6)), Watched(0.5, 1e-2, 1e-3, 1e-4, 150), seeds=range(4),
               maxiter=2000)
    assert (runs.finished == "stationary").all() and runs.nit.min() > 200
    assert len(looks) <= 4 * 5


@pytest.mark.parametrize("change, error, words", [
    (dict(starts=np.zeros(6)), ValueError, r"starts must have shape \(n, 6\)"),
    (dict(starts=np.zeros((2, 5))), ValueError, r"starts must have shape \(n, 6\)"),
    (dict(starts=np.full((2, 6), np.nan)), ValueError, "starts must be finite"),
    (dict(seeds=[1]), ValueError, "seeds must have one entry for each of the 2 starts, got 1"),
    (dict(maxiter=-1), ValueError, "maxiter"),
    (dict(maxiter=2.0), TypeError, "maxiter"),
    (dict(method="pgd"), TypeError, "method must be an object"),
    (dict(method=GradientDescent), TypeError, "method must be an object"),
    (dict(problem=lambda x: x @ x), TypeError, "problem must be a saddlelib Problem"),
])
def test_bad_input_is_named(change, error, words):
    good = dict(problem=PROBLEMS[0], starts=np.zeros((2, 6)), method=GradientDescent(0.1),
                maxiter=3)
    with pytest.raises(error, match=words):
        run(**{**good, **change})


def test_states_bring_their_own_generators():
    runs = run(PROBLEMS[0], np.zeros((1, 6)), GradientDescent(0.1), maxiter=0)
    with pytest.raises(ValueError, match="leave seeds out"):
        run(PROBLEMS[0], runs.states, GradientDescent(0.1), seeds=[0], maxiter=3)


def test_plain_steps_end_where_the_wait_says():
    """x_k = 2^k x_0 along the negative direction: every end is known in closed form."""
    problem, one = QuadraticSaddle([-1.0]), np.ones((1, 1))
    for wait, steps in ((Wait(steps=5), 5), (Wait(radius=15.9, anchor=np.zeros(1)), 4),
                        (Wait(radius=16.0, anchor=np.zeros(1)), 4),
                        (Wait(radius=15.0, anchor=np.ones(1)), 4), (Wait(), 9)):
        x, jac, taken, _ = _descend(problem, one, problem.grad(one), 1.0, [wait], [9])
        assert taken[0] == steps and x[0, 0] == 2.0**steps and jac[0, 0] == -x[0, 0]
    bowl = QuadraticSaddle([0.5])
    x, _, taken, _ = _descend(bowl, one, bowl.grad(one), 1.0, [Wait(grad_threshold=2.0**-6)], [99])
    assert taken[0] == 5 and x[0, 0] == 2.0**-5  # the gradient is half of x


def test_first_time_and_settle_are_gradient_descent():
    problem = PROBLEMS[0]
    starts = 0.1 * np.random.default_rng(5).standard_normal((20, 6))
    starts[0], starts[1] = 0.0, problem.minimizers[0]
    far = lambda x: np.abs(x[:, 0]) >= 0.3  # noqa: E731
    times = first_time(problem, starts, far, step_size=0.5, maxiter=400)
    points, still = settle(problem, starts, step_size=0.5, maxiter=400)
    for x, time, end, rests in zip(starts, times, points, still, strict=True):
        met = math.inf
        for k in range(401):
            if met == math.inf and far(x[np.newaxis])[0]:
                met = k
            last, x = x, gd_step(x, problem.grad(x), 0.5)
        assert time == met
        np.testing.assert_allclose(end, last, rtol=0, atol=1e-15)
        assert rests == (x == last).all()
    assert times[0] == np.inf and times[1] == 0
