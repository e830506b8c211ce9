r"""No negative curvature down to −γ: a certificate from mini-batches that asks for no constant.

Let H be the Hessian of the expected loss, v the unit vector with vᵀHv = λ_min(H), and H₁, …, H_K
the Hessians of K groups of samples that nothing has been fitted to. As v does not depend on them,

.. math:: \lambda_{\min}(H_k) \le v^\top H_k v, \qquad E\, v^\top H_k v = \lambda_{\min}(H).

Where the curvature of a group along a fixed direction is above its mean at most half of the time,
all K of them are above λ_min(H) with probability at most 2^{-K}. Else the least λ_min(H_k) is below
λ_min(H), and so is the least of K lower bounds that Lanczos proves. `certify_samples` makes the
same argument from a bound of the noise in place of the median.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .._arguments import integer, nonnegative, positive, probability
from ..curvature.certificate import Verdict
from . import _vector as vector
from ._curvature import Products, Source, smallest_curvature
from ._evaluator import Evaluator, Unusable

__all__ = ["TrainingCertificate", "certify", "conclude", "groups_for", "look_at_group"]

_SHARE = 0.02  # of the largest curvature seen: what counts as negative where nobody says


@dataclass(frozen=True)
class TrainingCertificate:
    """What mini-batches say about the curvature of a training loss at one point.

    Attributes
    ----------
    verdict : Verdict
        ``SOSP``: no negative curvature down to −``gamma``; the gradient is not part of it.
        ``NEGATIVE_CURVATURE``: a direction of it was found on one group and confirmed on the
        others. ``CANNOT_TELL``: neither.
    gamma : float
        γ ≥ 0: λ_min ≥ −γ, except with probability ``failure_prob``.
    min_eig : float
        The least curvature seen: of one group, or the mean of the others along its direction.
    grad_norm : float
        ‖∇f‖ of all samples.
    nsamples : int or None
        None where the loss took no batch, so that nobody counted.
    groups, products : int
        Groups of samples; Hessian-vector products.
    failure_prob : float
    message : str
    """

    verdict: Verdict
    gamma: float
    min_eig: float
    grad_norm: float
    nsamples: int
    groups: int
    products: int
    failure_prob: float
    message: str


@dataclass
class _Group:
    """What Lanczos saw on one group."""

    min_eig: float
    lower: float
    negative: bool
    direction: list
    grad: list
    products: int
    tol: float
    along: float = math.nan  # the curvature along the direction of the first group


def groups_for(failure_prob) -> int:
    """K with 2^{-K} ≤ δ/2; the other half is for Lanczos.

    Examples
    --------
    >>> groups_for(0.01)
    8
    """
    return max(1, math.ceil(math.log2(2 / failure_prob)))


def certify(params, loss, batches=None, *, curvature_tol=None, failure_prob=0.01, lanczos_steps=40,
            lipschitz_hess=None, seed=0, sign=1.0, process_group=None) -> TrainingCertificate:
    """Certify a training loss at the present parameters; they and all else stay what they are.

    Parameters
    ----------
    params : list of Tensor
    loss : callable
        Without ``batches``: returns the whole loss, and the certificate is about that. With them:
        maps a batch to its mean loss, without ``backward``.
    batches : iterable, optional
        Fresh mini-batches, such as a DataLoader; a tuple or list is unpacked, a dict as keywords.
        At least `groups_for` δ of them. All are in memory at once.
    curvature_tol : float, optional
        γ: stop as soon as λ_min ≥ −γ is certified or refuted. By default a fiftieth of the largest
        curvature seen; the answer's ``gamma`` is what was found.
    failure_prob : float
        δ in (0, 1).
    lanczos_steps : int
        Most products for each group.
    lipschitz_hess : float, optional
        ρ. Needed only where autograd does not see the whole loss, as on many machines: it bounds
        the error of differences.
    seed : int

    Raises
    ------
    TypeError, ValueError
        Naming the argument; also for too few batches.

    Examples
    --------
    >>> import torch
    >>> x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    >>> H = torch.tensor([-1.0, 1.0, 2.0])
    >>> rng = torch.Generator().manual_seed(0)
    >>> data = [torch.randn(16, 3, generator=rng) for _ in range(16)]
    >>> seen = certify([x], lambda z: ((H + z) * x * x).sum(1).mean() / 2, data)
    >>> seen.verdict.name, seen.nsamples, seen.groups
    ('NEGATIVE_CURVATURE', 256, 8)
    """
    if not callable(loss):
        raise TypeError(f"loss must be callable, got {type(loss).__name__}")
    failure_prob = probability("failure_prob", failure_prob)
    options = {
        "tol": None if curvature_tol is None else positive("curvature_tol", curvature_tol),
        "rho": None if lipschitz_hess is None else nonnegative("lipschitz_hess", lipschitz_hess),
        "steps": integer("lanczos_steps", lanczos_steps), "seed": integer("seed", seed, least=0)}
    params = [p for p in params if p.requires_grad]
    losses, nsamples = _losses(loss, batches, failure_prob)
    found = []
    for k, of_group in enumerate(losses):
        with Evaluator(params, of_group, process_group=process_group, sign=sign) as ask:
            found.append(look_at_group(ask, k, failure_prob, len(losses), options, found[:1]))
    return conclude(found, nsamples, failure_prob, curvature_tol)


def _losses(loss, batches, failure_prob):
    """The loss of each group, and the samples in all of them."""
    if batches is None:
        return [loss], None
    batches = list(batches)
    groups = groups_for(failure_prob)
    if len(batches) < groups:
        raise ValueError(f"batches must hold at least {groups} mini-batches for failure_prob = "
                         f"{failure_prob:g}, got {len(batches)}; give more and smaller ones, or "
                         f"leave batches out if loss() is the whole loss")
    sizes = [_size(batch) for batch in batches]

    def of_group(k):
        mine = range(k, len(batches), groups)
        whole = sum(sizes[i] for i in mine)
        return lambda: sum(_call(loss, batches[i]) * (sizes[i] / whole) for i in mine)
    return [of_group(k) for k in range(groups)], sum(sizes)


def _call(loss, batch):
    if isinstance(batch, dict):
        return loss(**batch)
    return loss(*batch) if isinstance(batch, (tuple, list)) else loss(batch)


def _size(batch):
    """Samples in a batch: the length of its first tensor."""
    while isinstance(batch, (dict, tuple, list)) and batch:
        batch = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
    return len(batch) if isinstance(batch, torch.Tensor) and batch.ndim else 1


def look_at_group(ask, k, failure_prob, groups, options, first) -> _Group:
    """Lanczos on group k, and the curvature along the direction of the first, if there is one."""
    value, grad = ask.gradient()
    if not (math.isfinite(value) and math.isfinite(vector.norm(grad))):
        raise Unusable("the loss or its gradient is not finite here")
    product = Products(ask, grad, options["rho"] or 1.0)
    if product.source is not Source.AUTOGRAD and options["rho"] is None:
        raise ValueError("lipschitz_hess must be given here: autograd does not see the whole loss, "
                         "so that products are differences of gradients, whose error it bounds")
    tol = first[0].tol if first else options["tol"]
    if tol is None:
        v = vector.uniform_sphere(ask.params, options["seed"], 2 * k + 1)
        for _ in range(3):
            v = product(v)
            largest = vector.norm(v)
            if not 0 < largest < math.inf:
                break
            vector.scale_(v, 1 / largest)
        tol = max(_SHARE * largest, 1e-300)
    # δ/2 for Lanczos, over all groups.
    seen = smallest_curvature(product, ask.params, tol, failure_prob / (2 * groups),
                              options["steps"], options["seed"], 2 * k)
    along = math.nan
    if first and first[0].negative:
        v = first[0].direction
        along = float(vector.dot(v, product(v))) + product.error(1)
    return _Group(seen.min_eig, seen.lower, seen.negative, seen.direction if k == 0 else [], grad,
                  product.calls, tol, along)


def conclude(found, nsamples, failure_prob, curvature_tol=None) -> TrainingCertificate:
    """The certificate from what all groups said."""
    groups, gamma = len(found), max(0.0, -min(g.lower for g in found))
    low, others = min(g.min_eig for g in found), [g.along for g in found[1:]]
    mean = vector.clone(found[0].grad)
    for g in found[1:]:
        vector.add_(mean, g.grad)
    size = vector.norm(mean) / groups
    checked = ("for the loss given" if groups == 1 else f"checked on {groups} mini-batches"
               if nsamples is None else f"checked on {nsamples} samples in {groups} groups")
    bet = f"wrong with probability at most {failure_prob:.3g}; |gradient| {size:.3g}"
    if found[0].negative and all(a < 0 for a in others):
        verdict = Verdict.NEGATIVE_CURVATURE
        low = math.fsum(others) / len(others) if others else low
        text = f"curvature {low:.3g} along a direction, {checked}, {bet}"
    elif math.isfinite(gamma) and (curvature_tol is None or gamma <= curvature_tol):
        verdict = Verdict.SOSP
        text = f"no negative curvature down to {-gamma:.3g}, {checked}, {bet}"
    else:
        verdict = Verdict.CANNOT_TELL
        text = (f"curvature between {-gamma:.3g} and {low:.3g}, {checked}: that does not decide; "
                f"give more samples, or a larger lanczos_steps or curvature_tol")
    return TrainingCertificate(verdict, gamma, low, size, nsamples, groups,
                               sum(g.products for g in found), failure_prob, text)
