"""Numbers from one end of float64 to the other: an answer, or an error that names an argument."""

import itertools
import math

import numpy as np
import pytest

from saddlelib import minimize
from saddlelib.methods import PSD, CertifiedPSD, RepairedPSD
from saddlelib.theory import (
    alpay2025,
    certified,
    du2017,
    episode,
    jin2017,
    jin2021,
    jumps,
    laws,
    muon,
    ravine,
    rawal2026,
    saxe2013,
)

SIZES = [1e-300, 1e-160, 1.0, 1e160, 1e300]
SETTING = dict(lipschitz_grad=10.0, lipschitz_hess=0.1, epsilon=1e-3, dim=10, delta_f=1.0,
               failure_prob=0.1)
CONSTANTS = dict(lipschitz_grad=10.0, lipschitz_hess=0.1, epsilon=1e-3)
WAY = dict(step_size=0.1, gamma=1.0)
FUNCTIONS = [
    (CertifiedPSD.practical, dict(step_size=0.1, epsilon=1e-3, dim=10, lipschitz_hess=0.1)),
    (CertifiedPSD.practical, dict(step_size=0.1, epsilon=1e-3, dim=10, curvature_tol=0.1,
                                  perturbation_radius=0.1, exit_radius=1.0, failure_prob=0.1)),
    (PSD.published, SETTING), (RepairedPSD.proved, SETTING),
    (certified.certified_bound, SETTING),
    (certified.look_bound, dict(lipschitz_grad=1.0, curvature_tol=0.1, dim=9, failure_prob=0.1)),
    (alpay2025.iteration_bound, SETTING), (episode.iteration_bound, SETTING),
    (episode.episode_constants, CONSTANTS | dict(dim=10, episode_length=30_000)),
    (jin2017.iteration_bound, SETTING | dict(c=1.0)),
    (jin2017.local_iterations, dict(alpha=1.0, beta=2.0, zeta=1.0, epsilon=0.1)),
    (jin2017.factorization_pgdli, dict(start_norm=1.0, sigma_max=1.0, sigma_min=0.5, rank=3)),
    (jin2021.escape_failure_prob, CONSTANTS | dict(dim=10, iota=20.0)),
    (jin2021.smallest_iota, SETTING),
    (laws.escape_time, WAY | dict(start=0.1, exit=1.0)),
    (laws.quartic_escape_time, WAY | dict(start=0.1, exit=0.5)),
    (laws.escape_deadline, WAY | dict(failure_prob=0.1, dim=10, radius=0.1, exit=0.5)),
    (laws.escape_time_slope, WAY),
    (du2017.exit_time_ratio, dict(step_size=0.1, L=1.0, gamma=1.0)),
    (ravine.growth, dict(step_size=0.1, mu=1.0, order=4.0, factor=1.0)),
    (ravine.calls, dict(distance_ratio=0.1, step_size=0.1, mu=1.0, order=4.0, factor=1.0)),
    (ravine.step_growth, dict(order=4.0, factor=1.0)),
    (ravine.rounding_floor, dict(scale=1.0, order=4.0, eps=1e-16)),
    (jumps.decrement_ratio, dict(order=4.0, wall_share=0.1)),
    (jumps.jump_length, dict(order=4.0, wall_share=0.1)),
    (lambda order, wall_share: sum(jumps.jump(order, wall_share)),
     dict(order=4.0, wall_share=0.1)),
    (jumps.misjudged_jump, dict(order=4.0, error_share=0.1)),
    (jumps.settle_exponent, dict(order=4.0, smoothness=1.0)),
    (jumps.settles, dict(order=4.0, bend=2.0, smoothness=1.0)),
    (jumps.short_steps, dict(distance_ratio=0.1, step_size=0.1, mu=1.0, order=4.0)),
    (jumps.critical_factor, dict(curvature_ratio=12.0, order=4.0)),
    (jumps.kept_direction, dict(curvature_ratio=12.0, order=4.0, factor=1.0)),
    (rawal2026.critical_depth_time, dict(eps=0.1, r=3, depth=5, fraction=0.5, rest=1.0)),
    (rawal2026.critical_depth_law, dict(eps=0.1, r=3, depth=5, fraction=0.5, rest=1.0)),
    (saxe2013.rate, dict(u=0.1, s=1.0, depth=3)),
    (saxe2013.escape_time, dict(s=1.0, u0=0.1, uf=0.5, depth=3)),
    (muon.escape_time, dict(m=1.0, start=0.1, fraction=0.5)),
    (muon.gradient_escape_time, dict(m=1.0, start=0.1, fraction=0.5)),
    (lambda least, steps: muon.newton_schulz_band(steps, least=least)[1],
     dict(least=0.01, steps=5)),
]


def changed(given, names, values):
    """``given`` with some of its numbers replaced, whole ones by whole ones."""
    return given | {name: max(1, int(value)) if isinstance(given[name], int) else value
                    for name, value in zip(names, values, strict=True)}


@pytest.mark.parametrize("function, given", FUNCTIONS,
                         ids=lambda f: getattr(f, "__qualname__", None) or "-".join(f))
def test_every_pair_of_sizes_has_an_answer_or_an_error_that_names_an_argument(function, given):
    function(**given)
    refused = 0
    for names in itertools.combinations(given, 2):
        for values in itertools.product(SIZES, SIZES):
            try:
                answer = function(**changed(given, names, values))
            except ValueError as error:
                assert any(name in str(error) for name in given), error
                refused += 1
                continue
            numbers = vars(answer).values() if hasattr(answer, "__dict__") else [answer]
            assert not any(isinstance(n, float) and math.isnan(n) for n in numbers)
    assert refused > 0


def quartic(rule, **options):
    return minimize(lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2, [0.0, 1.0], "psd", rule=rule,
                    jac=lambda x: np.array([x[0]**3 - x[0], 2 * x[1]]),
                    hess=lambda x: np.diag([3 * x[0]**2 - 1, 2.0]), maxiter=30, rng=0, **options)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the user's own function
@pytest.mark.parametrize("rule, given", [
    ("practical", dict(step_size=0.2, lipschitz_hess=6.0, epsilon=1e-3)),
    ("repaired", dict(lipschitz_grad=5.0, lipschitz_hess=6.0, epsilon=0.1, delta_f=0.25)),
    ("published", dict(lipschitz_grad=5.0, lipschitz_hess=6.0, epsilon=0.1, delta_f=0.25))])
def test_a_run_of_any_size_ends_with_a_status_or_is_refused_by_name(rule, given):
    for names in itertools.combinations(given, 2):
        for values in itertools.product(SIZES, SIZES):
            try:
                run = quartic(rule, **changed(given, names, values))
            except ValueError as error:
                assert any(name in str(error) for name in (*given, "curvature_tol")), error
                continue
            assert run.nit <= 30 and (np.isfinite(run.x).all() or not run.success)
