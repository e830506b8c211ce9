r"""No negative curvature down to −γ: a certificate from mini-batches that asks for no constant.

Let H be the Hessian of the expected loss, v the unit vector with vᵀHv = λ_min(H), and H₁, …, H_K
the Hessians of K groups of samples that nothing has been fitted to. As v does not depend on them,

.. math:: \lambda_{\min}(H_k) \le v^\top H_k v, \qquad E\, v^\top H_k v = \lambda_{\min}(H).

Where the curvature of a group along a fixed direction is above its mean at most half of the time,
all K of them are above λ_min(H) with probability at most 2^{-K}. Else the least λ_min(H_k) is below
λ_min(H), and so is the least of K lower bounds that Lanczos proves. `certify_samples` makes the
same argument from a bound of the noise in place of the median.

The premise holds for symmetric noise and for the mean of many samples, and fails where a few rare
samples carry the negative curvature: most groups then do not meet them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .._arguments import integer, nonnegative, positive, probability
from ..curvature.certificate import Verdict
from . import _vector as vector
from ._curvature import Products, Source, smallest_curvature
from ._evaluator import Evaluator, Generators, Unusable

__all__ = ["TrainingCertificate", "certify", "conclude", "groups_for", "look_at_group"]

_SHARE = 0.02  # of the largest curvature seen: what counts as negative where nobody says


@dataclass(frozen=True)
class TrainingCertificate:
    """What mini-batches say about the curvature of a training loss at one point.

    Attributes
    ----------
    verdict : Verdict
        ``SOSP``: no negative curvature down to −γ, and γ is at most ``curvature_tol``
        or, where none was given, the largest curvature seen on the first group; the gradient is
        not part of it.
        ``NEGATIVE_CURVATURE``: a direction of it was found on one group and confirmed on the
        others. ``CANNOT_TELL``: neither.
    gamma : float
        γ ≥ 0: λ_min ≥ −γ, except with probability ``failure_prob``. Infinite if nothing is known.
    min_eig : float
        The least curvature seen: of one group, or the mean of the others along its direction.
    grad_norm : float
        ‖∇f‖ of all samples.
    nsamples : int or None
        None where the loss took no batch, so that nobody counted.
    groups, products : int
        Groups of samples; Hessian-vector products.
    failure_prob : float
        Of either verdict; for mini-batches under the premise that `certify` names.
    message : str
    """

    verdict: Verdict
    gamma: float
    min_eig: float
    grad_norm: float
    nsamples: int | None
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
    return max(1, math.ceil(1 - math.log2(failure_prob)))


def certify(params, loss, batches=None, *, curvature_tol=None, failure_prob=0.01, lanczos_steps=40,
            lipschitz_hess=None, seed=0, sign=1.0, process_group=None) -> TrainingCertificate:
    """Certify a training loss at the present parameters; they and all else stay what they are.

    From mini-batches the premise is that they are independent, and that the curvature of a group
    along a fixed direction is as often above its mean as below: neither more than half of the time.
    Symmetric noise has this, also with heavy tails, and the mean of many samples nearly. Where rare
    samples carry all negative curvature it fails, and so does the certificate: if nine groups of
    ten do not meet them, eight of eight do not four times in ten. Use more samples in each group
    then, or `saddlelib.certify_samples` with a bound of the noise.

    The loss may draw random numbers, as dropout does; the certificate is about its mean over them,
    and every group draws its own. Without ``batches`` it is about one draw: call ``model.eval()``.

    Parameters
    ----------
    params : list of Tensor
    loss : callable
        Without ``batches``: returns the whole loss, and the certificate is about that. With them:
        maps a batch to its mean loss, without ``backward``.
    batches : iterable, optional
        Fresh mini-batches, such as a DataLoader; a tuple or list is unpacked, a dict as keywords.
        At least ⌈log₂(2/δ)⌉ of them, 8 for δ = 0.01. All are in memory at once.
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
    sign : float
        −1 to certify a loss that is maximized.
    process_group
        Of the ranks that share a batch; all by default.

    Returns
    -------
    TrainingCertificate

    Raises
    ------
    TypeError, ValueError
        Naming the argument; also for too few batches.
    RuntimeError
        Where the loss or its gradient is not finite, or the loss depends on no parameter.

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
    if not params:
        raise ValueError("params must hold a tensor that requires grad, got none")
    found, generators = [], Generators({p.device for p in params})
    try:
        for k, of_group in enumerate(losses):
            if batches is not None:  # one mask of dropout for all would be no independent look
                generators.seed(options["seed"], k)
            with Evaluator(params, of_group, process_group=process_group, sign=sign) as ask:
                found.append(look_at_group(ask, k, failure_prob, len(losses), options, found[:1]))
    finally:
        generators.set()
    return conclude(found, nsamples, failure_prob, curvature_tol)


def _losses(loss, batches, failure_prob):
    """The loss of each group, and the samples in all of them."""
    if batches is None:
        return [loss], None
    batches = [batch for batch in batches if _size(batch)]
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
    if isinstance(batch, Mapping):
        return loss(**batch)
    return loss(*batch) if isinstance(batch, (tuple, list)) else loss(batch)


def _size(batch):
    """Samples in a batch: the length of its first array, or 1."""
    return next((len(array) if array.ndim else 1 for array in _arrays(batch)), 1)


def _arrays(batch):
    if isinstance(batch, Mapping):
        batch = tuple(batch.values())
    if isinstance(batch, (tuple, list)):
        for part in batch:
            yield from _arrays(part)
    elif hasattr(batch, "ndim"):
        yield batch


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
    # δ/2 for Lanczos, over all groups. If one of them is negative and others are not, the bound of
    # each is the answer; and if all are, it is γ.
    seen = smallest_curvature(product, ask.params, tol, failure_prob / (2 * groups),
                              options["steps"], options["seed"], 2 * k, resolution=1.0,
                              bound=options["tol"] is None and groups > 1)
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
    elif gamma <= (found[0].tol / _SHARE if curvature_tol is None else curvature_tol):
        verdict = Verdict.SOSP
        text = f"no negative curvature down to {-gamma:.3g}, {checked}, {bet}"
    else:
        verdict = Verdict.CANNOT_TELL
        text = (f"curvature between {-gamma:.3g} and {low:.3g}, {checked}: that does not decide; "
                f"give more samples, or a larger lanczos_steps or curvature_tol")
    return TrainingCertificate(verdict, gamma, low, size, nsamples, groups,
                               sum(g.products for g in found), failure_prob, text)
