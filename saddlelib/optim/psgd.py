"""Perturbed SGD for PyTorch: a trigger that noise does not deafen."""

from __future__ import annotations

import math

from .._arguments import integer
from ..theory import alpay2025
from . import _vector as vector
from ._curvature import quick_dot
from ._saddle import SaddleOptimizer, settings_of

__all__ = ["PSGD"]


class PSGD(SaddleOptimizer):
    r"""Perturbed SGD: mini-batch steps, and an episode where the true gradient seems small.

    **Idea.** As `PSD`, but from mini-batches. Their noise makes ‖ĝ‖ large wherever one stands:
    E‖ĝ‖² = ‖∇f‖² + σ²d/B. So one small ĝ is enough to know that ∇f is small, and a large one tells
    nothing. The noise of two batches is independent, so that their inner product has no such bias.

    **Update.** As `PSD`, and the gradient counts as small where ‖ĝ‖ ≤ ε, or where

    .. math:: \widehat{\|\nabla f\|^2} = \frac1W \sum_{j=1}^{W}
              \langle \hat g(x_{k_j}), \hat g(x_{k_j+1})\rangle \le \varepsilon^2

    for W = ``window`` pairs of successive gradients. They are taken one after the other, first at
    once, then after 2W steps without, then after twice as many, up to W·``check_every``. An episode
    is judged on a mini-batch that it has not seen. Every step is x ← x − lr·ĝ(x), the step of
    `torch.optim.SGD`, bit for bit.

    At a standing point with noise σ² in each coordinate of a sample the standard deviation of the
    estimate is σ²√d/(B√W), where the bias of ‖ĝ‖² is σ²d/B: choose ``window`` so that the former
    is below ε². The second gradient of a pair is one step further on, which changes the mean by
    −lr(⟨∇f, H∇f⟩ + tr(HΣ)), with H the Hessian and Σ the covariance of ĝ: a trigger too early in a
    valley, too late on a hill. A trigger too early costs an episode that is undone.

    ``rule="pairs"`` takes a pair every ``check_every`` steps, and looks at the curvature first, as
    ``PSD(rule="published")`` does; it listens in episodes too, and one where the estimate was > ε²
    and is not any longer is over. ``rule="published"`` does the same with the trigger of the
    authors' repository, ‖ĝ‖ ≤ ε√(1 + 2σ²/(Bε²)) for one mini-batch, from ``noise_std`` and
    ``batch_size``; for large d it seldom fires. Its episodes have all of their steps.

    **How to use.** As `PSD`: ``PSGD(params, lr=0.1, loss=lambda: criterion(model(x), y))``, where x
    and y are the present mini-batch, the same until the next step; a loss that draws a batch of its
    own at each call is noticed and refused. The curvature is that of this mini-batch: its λ_min is
    on average below that of the whole loss. A larger batch, the same for all calls within a step,
    is better. First gradients of pairs are kept, and the point to go back to: two copies of the
    parameters.

    **Caveats.** Those of `PSD`. Plain SGD often leaves a saddle by its own noise; measure before
    you believe that a perturbation helps. Pairs assume independent mini-batches: in one epoch
    without replacement they are correlated by −1/(n − 1), slightly. ``closure`` has to be the same
    mini-batch each time it is called within one step.

    **Related work.** ``rule="published"`` is the stochastic variant in the repository of Alpay &
    Alakkad 2025 (arXiv:2508.16540); Jin et al. 2021 (arXiv:1902.04811), who perturb at every step;
    Daneshmand et al. 2018 (arXiv:1803.05999), who use the noise that is there.
    `saddlelib.methods.PSGD` is the published one for NumPy, `saddlelib.optim.PSGDReference` that
    and ``rule="pairs"`` in a few lines. The default is ours.

    Parameters
    ----------
    rule : {"quick", "pairs", "published"}
    window : int
        W ≥ 1, pairs for one estimate.
    batch_size, noise_std : int, float, optional
        B, and σ of one coordinate of one sample, for ``rule="published"``.
    params, lr, loss, epsilon, seed, weight_decay, maximize, foreach
        As `PSD`.
    perturbation_radius, episode_length, max_episodes, escape, rest, check_every
        As `PSD`; for "pairs", radius and length are as there for "published".
    curvature_tol, lipschitz_hess, curvature_check, lanczos_steps, failure_prob
        As `PSD`.

    Raises
    ------
    TypeError, ValueError
        Naming the setting outside its range.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> x = torch.zeros(2, requires_grad=True)
    >>> optimizer = PSGD([x], lr=0.1, epsilon=0.05)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = x[0] ** 4 / 4 - x[0] ** 2 / 2 + x[1] ** 2 + noise @ x
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(200):
    ...     noise = 0.1 * torch.randn(2)
    ...     loss = optimizer.step(closure)
    >>> round(abs(x[0].item())), optimizer.counts["kept"] > 0
    (1, True)
    """

    def __init__(self, params, lr=1e-3, *, loss=None, rule="quick", epsilon=1e-3, window=5,
                 batch_size=None, noise_std=None, curvature_tol=None, lipschitz_hess=None,
                 perturbation_radius=None, episode_length=None, max_episodes=None,
                 curvature_check=True, lanczos_steps=60, failure_prob=1e-4, escape="ball",
                 rest=100, check_every=50, seed=0, weight_decay=0.0, maximize=False, foreach=None):
        settings = settings_of(dict(
            lr=lr, rule=rule, epsilon=epsilon, curvature_tol=curvature_tol,
            lipschitz_hess=lipschitz_hess, perturbation_radius=perturbation_radius,
            episode_length=episode_length, max_episodes=max_episodes,
            curvature_check=curvature_check, lanczos_steps=lanczos_steps,
            failure_prob=failure_prob, escape=escape, rest=rest, check_every=check_every, seed=seed,
            weight_decay=weight_decay, maximize=maximize, foreach=foreach),
            ("quick", "pairs", "published"))
        if rule == "published":
            if batch_size is None or noise_std is None:
                raise ValueError("rule='published' needs batch_size and noise_std; the others need "
                                 "neither")
            trigger = alpay2025.batch_trigger(noise_std, settings["epsilon"], batch_size)
        elif batch_size is not None or noise_std is not None:
            raise ValueError("batch_size and noise_std are for rule='published' only")
        else:
            trigger = settings["epsilon"]
        settings.update(window=integer("window", window), batch_size=batch_size,
                        noise_std=noise_std, trigger=trigger)
        super().__init__(params, settings, loss)

    def _prepare(self, p, group):
        state = super()._prepare(p, group)
        if group["rule"] != "published" and p.requires_grad:
            self._tensor(p, "first_grad")
        return state

    def _look(self, s, settings, params, grads):
        s["next_look"] = s["steps"] + settings["check_every"]
        if settings["rule"] == "published":
            s["grad_norm"] = norm = vector.norm(grads)
            return None if not math.isfinite(norm) else norm <= settings["trigger"]
        if s["paired"]:
            return self._second(s, settings, params, grads)
        norm = vector.norm(grads)
        if not math.isfinite(norm):
            return None
        if settings["rule"] == "quick" and norm <= settings["epsilon"]:  # E‖ĝ‖² ≥ ‖∇f‖²
            s.update(grad_norm=norm, pairs=0, inner=0.0)
            return True
        self._first(s, params, grads)
        return False

    def _listen(self, s, settings, work):
        if not super()._listen(s, settings, work):
            return False
        if settings["rule"] == "pairs" and s["steps"] >= s["next_look"]:
            params = [p for _, ps, _ in work for p in ps]
            small = self._look(s, settings, params, [g for _, _, gs in work for g in gs])
            s["looks"] += 1
            if small is None:
                return self._hold(s)
            if s["paired"] == s["pairs"] == 0:  # a window is full
                super()._has_arrived(s, small)
        return True

    def _has_arrived(self, s, small):
        """One mini-batch does not tell that the gradient is large, only that it is small."""
        if s["trial"]:
            super()._has_arrived(s, small)

    def _over(self, s):
        super()._over(s)
        s.update(paired=0, pairs=0, inner=0.0, spacing=0)

    def _first(self, s, params, grads):
        """Keep the gradients; the next step has the second of the pair."""
        vector.copy_([self._tensor(p, "first_grad") for p in params], grads)
        s["paired"], s["next_look"] = len(params), s["steps"] + 1

    def _second(self, s, settings, params, grads):
        """The inner product of the pair; after a window of them, whether the gradient is small."""
        same = len(params) == s["paired"]
        s["paired"], every = 0, settings["check_every"]
        s["next_look"] = s["steps"] + (1 if settings["rule"] == "quick" else max(every - 1, 1))
        if not same:  # another set of parameters has gradients now
            return False
        inner = quick_dot([self._tensor(p, "first_grad") for p in params], grads)
        if not math.isfinite(inner):
            return None
        s["inner"] += inner
        s["pairs"] += 1
        if s["pairs"] < settings["window"]:
            return False
        if settings["rule"] == "quick":  # pair after pair, and then none, each time for longer
            s["spacing"] = min(max(2 * s["spacing"], 2 * s["pairs"]), every * s["pairs"])
            s["next_look"] = s["steps"] + 1 + s["spacing"]
        mean = s["inner"] / s["pairs"]
        s["inner"], s["pairs"] = 0.0, 0
        s["grad_norm"] = math.copysign(math.sqrt(abs(mean)), mean)
        return mean <= settings["epsilon"] ** 2
