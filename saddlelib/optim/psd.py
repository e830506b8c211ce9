"""Perturbed Saddle-escape Descent for PyTorch, with full-batch gradients."""

from __future__ import annotations

import math

from . import _vector as vector
from ._saddle import SaddleOptimizer, settings_of

__all__ = ["PSD"]


class PSD(SaddleOptimizer):
    r"""Perturbed Saddle-escape Descent: plain steps, and an episode where they stand at a saddle.

    **Idea.** Where the gradient is small, perturb and see whether plain steps then lead down. If
    they do, this was a saddle; if not, go back, to the last bit, and perturb further the next time.
    Where no perturbation helps, look at the smallest eigenvalue of the Hessian, and then rest, each
    time for twice as long. So a minimum stays what it is.

    **Update.** With x all parameters as one vector, outside an episode:

    1. every ``check_every`` steps: if ‖∇f(x)‖ ≤ ε, then x ← x ± ξ, where ± is the sign with the
       smaller loss and ξ is normal with the standard deviation 2ᵏ/(10√fan-in) of each number, a
       tenth of an initialization where k = 0. This takes the place of a step. The next T steps are
       an *episode*. It is over sooner where ‖∇f‖ has been larger than ε and is not any longer: the
       point has arrived. At the step after it f is compared with f where it began, on the data of
       this step: if it has not fallen, x goes back there, and k becomes k + 1;
    2. where k = 4, or a perturbation would raise f by more than a quarter of |f|, there is a look
       at λ_min(∇²f(x)) instead. If it is < −γ, x goes along the direction that proves it, as far
       as f falls. If not, or if that was undone too, k becomes 0, and the next look at ‖∇f‖ comes
       after a rest;
    3. x ← x − lr·∇f(x), the step of `torch.optim.SGD`, bit for bit.

    With ``rule="published"`` the look at λ_min comes first and decides alone: only where it is < −γ
    is ξ, uniform on the ball of radius r, added, and nothing is ever undone. At a degenerate
    saddle, where λ_min = 0, that rule stays for ever; the default leaves it.

    λ_min comes from at most ``lanczos_steps`` Hessian-vector products (randomized Lanczos, see
    `saddlelib.curvature`). Negative curvature is proven by a direction; that there is none is
    certified up to a probability ``failure_prob``, over all checks together.

    **How to use.** Give the loss once, and train as always::

        optimizer = PSD(model.parameters(), lr=0.1, loss=lambda: criterion(model(x), y))

    ``loss`` computes and returns the loss of the present batch, without ``backward``; it is called
    at looks only. Without it the closure of ``optimizer.step(closure)`` is asked, which has to
    clear the gradients, and for one step ``step(curvature_closure=f)`` takes the place of ``loss``.
    With none of them nobody can look: the first step says so by a warning, and all steps are plain
    ones. ``curvature_check=False`` never looks at λ_min; with nobody to ask it perturbs blindly,
    and rests twice as long after each episode. Products are double backward where autograd sees the
    whole loss, and otherwise differences of gradients, two evaluations each: under re-entrant
    checkpointing, in compiled models, on many machines. `counts` says what was done and what it
    cost.

    **Many machines.** Under DistributedDataParallel and FSDP2 (`fully_shard`) all ranks decide and
    perturb alike: the gradients are those of the whole batch, norms and inner products go over all
    shards, and a draw depends on the seed alone. Give every rank the same settings, and a loss that
    goes through the wrapped model. A loss that is not finite on one rank raises there alone: let it
    end the run, as any error of one rank does.

    **Caveats.** The gradient has to be that of the whole loss: use `PSGD` for mini-batches. Plain
    steps are slow where momentum or Adam is fast: `Escape` lets those leave saddles too. One copy
    of the parameters is kept, the point to go back to; a look keeps up to ``lanczos_steps`` more
    while it lasts. Where training ends within an episode, `settle` judges it. ``loss`` is in no
    checkpoint, pickle or copy: give it again, or set ``optimizer.loss``. ``weight_decay`` belongs
    to the loss: ‖∇f‖, λ_min and judgements are of f + weight_decay·‖x‖²/2. Buffers of batch
    normalization and random numbers are after a look what they were; within an episode they move as
    in training. Between two looks a gradient that is not finite goes unnoticed unless the loss is
    not finite too; with ``check_every=1`` it never does. Clip gradients, if you must, between
    ``backward`` and ``step()``, to a norm above ε: the test then still sees whether the gradient is
    small. With a `torch.amp.GradScaler` use ``loss`` and no closure.

    **Related work.** ``rule="published"`` is Algorithm 1 of the repository of Alpay & Alakkad 2025
    (arXiv:2508.16540), with a Lanczos bound for its exact eigenvalue; Jin et al. 2017
    (arXiv:1703.00887) perturb without looking. `saddlelib.methods.PSD` is that rule for NumPy,
    `saddlelib.optim.PSDReference` in twenty lines. The default is ours.

    Parameters
    ----------
    params : iterable
        Parameters or groups. A group may set ``lr``, ``weight_decay`` and ``foreach``; all else is
        of the whole.
    lr : float or Tensor
        η, for example 1/(2ℓ). At most 1/ℓ, or plain steps do not descend.
    loss : callable, optional
        Without arguments; see above.
    rule : {"quick", "published"}
    epsilon : float
        ε > 0, in the units of the gradient.
    curvature_tol, lipschitz_hess : float, optional
        γ and ρ. One of them, for γ = √(ρε); with neither ρ = 1.
    perturbation_radius : float, optional
        r > 0, in the units of the parameters; ε/(8γ) by default as published. For the default rule:
        ξ is uniform on the ball of radius 2ᵏr instead.
    episode_length : int, optional
        T ≥ 1; 10 by default. As published ⌈ln(100 S√d/r)/ln(1 + lr·γ)⌉ with S = max(ε/γ, 2r) and
        the ``lr`` of now: the steps in which a perturbation grows to S, in all but about one case
        in a hundred.
    max_episodes : int, optional
        After so many only plain steps.
    curvature_check : bool
    lanczos_steps : int
        Most products of one check, and most vectors that it keeps.
    failure_prob : float
        δ in (0, 1).
    escape : {"ball", "direction"}
        "direction" goes along the direction of negative curvature, downhill, and nowhere without
        one: by r as published, else as far as f falls.
    rest : int
        Steps to the next look after one in vain, doubled each time until one helps. 0: look at each
        step.
    check_every : int
        Steps from one look at ‖∇f‖ to the next.
    seed : int
        All that is drawn depends on it and on a counter in the state.
    weight_decay : float
        At least 0; as for `torch.optim.SGD`.
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
    >>> optimizer = PSD([x], lr=0.1, loss=lambda: x[0] ** 4 / 4 - x[0] ** 2 / 2 + x[1] ** 2)
    >>> for _ in range(300):
    ...     optimizer.zero_grad()
    ...     optimizer.loss().backward()
    ...     optimizer.step()
    >>> round(optimizer.loss().item(), 4), optimizer.counts["kept"]
    (-0.25, 1)
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
