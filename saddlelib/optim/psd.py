"""Perturbed Saddle-escape Descent for PyTorch, with full-batch gradients."""

from __future__ import annotations

import math

from . import _vector as vector
from ._saddle import SaddleOptimizer, settings_of

__all__ = ["PSD"]


class PSD(SaddleOptimizer):
    r"""Perturbed Saddle-escape Descent: plain steps, and an episode where they stand at a saddle.

    **Idea.** Where the gradient is small, look at the smallest eigenvalue of the Hessian. If it is
    strongly negative this is a saddle: perturb, and take plain steps until the perturbation has
    grown. If not, go on with plain steps and look again later, each time after twice as long a
    rest. So a minimum is never perturbed.

    **Update.** With x all parameters as one vector, outside an episode:

    1. every ``check_every`` steps: if ‖∇f(x)‖ ≤ ε and λ_min(∇²f(x)) < −γ, then x ← x + ξ with ξ
       uniform on the ball of radius r, and the next T steps are an *episode*, in which nobody
       looks at the curvature. It is over sooner where the gradient, looked at as often, has been
       larger than ε and is not any longer: the point has arrived;
    2. x ← x − lr·∇f(x), the step of `torch.optim.SGD`, bit for bit.

    λ_min comes from at most ``lanczos_steps`` Hessian-vector products (randomized Lanczos, see
    `saddlelib.curvature`). Negative curvature is proven by a direction; that there is none is
    certified up to a probability ``failure_prob``, over all checks together.

    **How to use.** ``optimizer.step(closure)`` with the usual closure. The products are then double
    backward where the graph of the loss is still there (``loss.backward(retain_graph=True)``), and
    differences of gradients where not, two calls of the closure each. With
    ``step(curvature_closure=f)``, where f only computes and returns the loss, no ``closure`` is
    needed, and f is called at checks only. With neither, nobody can look at the curvature: the
    optimizer then perturbs blindly where the gradient is small, and rests twice as long after each
    episode; this is also what ``curvature_check=False`` does. `counts` says what was done and what
    it cost.

    **Many machines.** Under DistributedDataParallel and FSDP2 (`fully_shard`) all ranks decide and
    perturb alike: the gradients are those of the whole batch, norms and inner products go over all
    shards, and a draw depends on the seed alone. Give every rank the same settings, and closures
    that go through the wrapped model. Products are then differences of gradients, because double
    backward passes by the hooks that add up gradients. A loss that is not finite on one rank raises
    there alone: let it end the run, as any error of one rank does.

    **Caveats.** The gradient has to be that of the whole loss: use `PSGD` for mini-batches. Plain
    steps are slow where momentum or Adam is fast, and the noise of SGD leaves most saddles by
    itself; use this where a run stands still at a saddle, or where you need to know whether it
    does. A check keeps up to ``lanczos_steps`` copies of the parameters and a perturbation four,
    for as long as the one call takes; between there is none. Between two looks a gradient that is
    not finite goes unnoticed unless the loss is not finite too; with ``check_every=1`` it never
    does. Clip gradients, if you must, between ``backward`` and ``step()`` without a closure, to a
    norm above ε: the test then still sees whether the gradient is small. Clipping inside a closure
    falsifies differences of gradients wherever it is active. With a `torch.amp.GradScaler` use no
    closure. Batch normalization in training mode is not a function of the parameters alone.

    **Related work.** Algorithm 1 of the repository of Alpay & Alakkad 2025 (arXiv:2508.16540), with
    a Lanczos bound for its exact eigenvalue; Jin et al. 2017 (arXiv:1703.00887) perturb without
    looking. `saddlelib.methods.PSD` is the same for NumPy, `saddlelib.optim.PSDReference` in
    twenty lines.

    Parameters
    ----------
    params : iterable
        Parameters or groups. A group may set ``lr`` and ``foreach``; all else is of the whole.
    lr : float or Tensor
        η, for example 1/(2ℓ). At most 1/ℓ, or plain steps do not descend.
    epsilon : float
        ε > 0, in the units of the gradient.
    curvature_tol, lipschitz_hess : float, optional
        γ and ρ. One of them, for γ = √(ρε); with neither ρ = 1.
    perturbation_radius : float, optional
        r > 0, in the units of the parameters; ε/(8γ) by default.
    episode_length : int, optional
        T ≥ 1; by default ⌈ln(100 S√d/r)/ln(1 + lr·γ)⌉ with S = max(ε/γ, 2r) and the ``lr`` of now:
        the steps in which a perturbation grows to S, in all but about one case in a hundred.
    max_episodes : int, optional
        After so many only plain steps.
    curvature_check : bool
    lanczos_steps : int
        Most products of one check, and most vectors that it keeps.
    failure_prob : float
        δ in (0, 1).
    escape : {"ball", "direction"}
        "direction" moves by r along the direction of negative curvature, downhill, instead of ξ.
    rest : int
        Steps to the next look after a check that finds no saddle, doubled each time until one does.
        0: look at each step.
    check_every : int
        Steps from one look at ‖∇f‖ to the next.
    seed : int
        All that is drawn depends on it and on a counter in the state.
    maximize : bool
    foreach : bool, optional
        False: one tensor after the other, with the same result.

    Raises
    ------
    TypeError, ValueError
        Naming the setting outside its range.

    Examples
    --------
    >>> import torch
    >>> x = torch.zeros(2, requires_grad=True)
    >>> optimizer = PSD([x], lr=0.1, epsilon=1e-3, curvature_tol=0.1)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = x[0] ** 4 / 4 - x[0] ** 2 / 2 + x[1] ** 2
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(1500):
    ...     loss = optimizer.step(closure)
    >>> round(loss.item(), 4), optimizer.counts["episodes"], optimizer.counts["status"].name
    (-0.25, 1, 'NO_NEGATIVE_CURVATURE')
    """

    def __init__(self, params, lr=1e-3, *, loss=None, rule="quick", epsilon=1e-3,
                 curvature_tol=None, lipschitz_hess=None, perturbation_radius=None,
                 episode_length=None, max_episodes=None, curvature_check=True, lanczos_steps=60,
                 failure_prob=1e-4, escape="ball", rest=100, check_every=50, seed=0,
                 weight_decay=0.0, maximize=False, foreach=None):
        super().__init__(params, settings_of(dict(
            lr=lr, rule=rule, epsilon=epsilon, curvature_tol=curvature_tol,
            lipschitz_hess=lipschitz_hess, perturbation_radius=perturbation_radius,
            episode_length=episode_length, max_episodes=max_episodes,
            curvature_check=curvature_check, lanczos_steps=lanczos_steps,
            failure_prob=failure_prob, escape=escape, rest=rest, check_every=check_every, seed=seed,
            weight_decay=weight_decay, maximize=maximize, foreach=foreach),
            ("quick", "published")), loss)

    def _look(self, s, settings, params, grads):
        s["grad_norm"] = norm = vector.norm(grads)
        s["next_look"] = s["steps"] + settings["check_every"]
        return None if not math.isfinite(norm) else norm <= settings["epsilon"]
