"""GDPolyak for PyTorch: short gradient steps and one long step of Polyak, again and again."""

from __future__ import annotations

import enum
import math

import torch

from .._arguments import integer, nonnegative, positive
from . import _vector as vector
from ._base import DescentOptimizer, descend_
from ._evaluator import Evaluator

__all__ = ["EpochStatus", "GDPolyak"]

_LOW, _HIGH = 0.4, 1.5  # of the quotient times the curvature, where a long step is safe
_PLATEAU = 0.05
_PATIENCE = 20  # so many short steps at least before the curvature overrules f_star
_FELL = 0.8  # what is left of the curvature, at most, after a long step down a ravine
_FAILURES = 3


class EpochStatus(enum.IntEnum):
    """What `GDPolyak` did at its last look, and why; the sentence is in ``message``.

    Examples
    --------
    >>> EpochStatus.LONG.message
    'a long step was taken'
    """

    START = 0
    LONG = 1
    WAITING = 2
    BACK = 3
    RISING = 4
    BELOW_F_STAR = 5
    AT_F_STAR = 6
    STATIONARY = 7
    PRECISION = 8
    NONFINITE = 9
    UNSEEN = 10

    @property
    def message(self) -> str:
        """A sentence."""
        return _MESSAGES[self]


_MESSAGES = {
    EpochStatus.START: "short steps; no look yet",
    EpochStatus.LONG: "a long step was taken",
    EpochStatus.WAITING: "the curvature says that a long step is not safe yet, or not worth it; "
                         "short steps until the next look",
    EpochStatus.BACK: "the last long step did not help and was taken back; the epochs are longer "
                      "now",
    EpochStatus.RISING: "short steps alone raised the loss: lower lr, or use the same data at each "
                        "look; no long step",
    EpochStatus.BELOW_F_STAR: "the loss was below f_star, which is too high: give a smaller one; "
                              "only short steps",
    EpochStatus.AT_F_STAR: "the loss is f_star; only short steps",
    EpochStatus.STATIONARY: "the gradient is zero and the loss above f_star: a saddle, or f_star "
                            "is too low; nothing moves",
    EpochStatus.PRECISION: "the rounding floor: long steps fail where the gradient or the gap is "
                           "lost in rounding",
    EpochStatus.NONFINITE: "the gradient is not finite; the parameters stay where they are: "
                           "lower lr, or go back to an earlier state",
    EpochStatus.UNSEEN: "nobody has given the loss that a look needs: give loss=lambda: "
                        "criterion(model(x), y); short steps until there is one",
}
_NOBODY = ("a look needs the loss, and step() got neither a closure that returns it nor loss=loss: "
           "give the optimizer loss=lambda: criterion(model(x), y), once, when you make it. Until "
           "then it only takes the short steps of torch.optim.SGD")


class GDPolyak(DescentOptimizer):
    r"""GDPolyak: K short gradient steps, one long step of Polyak, and that again and again.

    **Idea.** Where a loss grows like the fourth power of the distance to its minimizers in some
    directions and quadratically in all others, it has a *ravine*. Short steps lead into it and then
    crawl. The step of Polyak adapts to the slope: in the ravine its length grows exponentially and
    the error falls by a constant factor each time; outside it is thrown about. So take short steps
    until the ravine is reached, then one long step along it.

    **Update.** With x all parameters as one vector, an epoch is K steps and one more:

    .. math:: x \leftarrow x - \mathrm{lr}\,\nabla f(x) \quad (K \text{ times}), \qquad
              x \leftarrow x - \lambda\,\frac{f(x) - f^*}{\|\nabla f(x)\|^2}\,\nabla f(x).

    Short steps are those of `torch.optim.SGD`, bit for bit. With ``safe=True``, at the end of an
    epoch the optimizer *looks*:

    1. Did the last long step help? It did if f fell by ``gain`` of the gap it was made for. If not,
       x goes back to where it was before, and K becomes half as long again.
    2. Is a long step safe now? κ = ⟨g, g − g⁺⟩/(lr‖g‖²), the curvature that the last short step
       saw, times the quotient of Polyak is between ½ and 1 in a ravine. So the step is taken if it
       lies in [0.4, 1.5], and if it is worth more than ``guard`` short steps. Otherwise a short
       step is taken, and the next look comes after K more.

    Where f* is not known, or disagrees with κ after two epochs of short steps, the quotient is ¾/κ,
    which it is where the growth is of order four, if κ has changed by less than 5 % in the last
    fifth of the epoch and since the last look. Down a ravine κ falls; where such a step has helped,
    and κ is what it was at the next, that was a wall, and K becomes half as long again too. f* is
    heard again at the next look; it is given up only where the loss is below it. `counts` says what
    the last long step went by.

    **How to use.** ``GDPolyak(params, lr, loss=lambda: criterion(model(x), y))``, and then
    ``optimizer.step()`` after ``backward``, as always: the function, which returns the loss without
    ``backward``, is called where a step is long, judged or taken back, and nowhere else. Or
    ``optimizer.step(closure)`` with the usual closure, or ``step(loss=loss)`` after
    ``loss.backward()``. Where nobody gives the loss, the first step says so by a warning, and all
    steps are short ones. Each step costs one evaluation, so an epoch costs K + 1 of them; a long
    step that is taken back costs none of its own. ``lr`` has to be safe for
    plain gradient descent. Groups may have an ``lr`` each: the method is then that in the
    coordinates where all are equal, so that the long step is λτ times a short one, with
    τ = (f − f*)/Σ lr‖∇f‖² over the groups. Without ``safe`` nothing is kept outside the
    parameters; with it two copies of them are, from the start: the point to go back to, and the
    last gradient.

    **Many machines.** The loss is averaged over the ranks at every step, one number, and norms and
    inner products go over all shards; so all ranks decide alike, from the whole batch, under
    DistributedDataParallel and FSDP2. Give equal shares of the batch to all. Where only some ranks
    share the batch, set ``optimizer.process_group`` to their group.

    **Caveats.** It is for full-batch losses with a ravine, deterministic, in float64 or with f*
    near 0: overparameterized factorizations, small networks fitted to the end, physics-informed
    losses. Where the loss grows quadratically L-BFGS or momentum is better. With mini-batches the
    loss and the quotient belong to the mini-batch. Without ``safe`` the long step is then that of
    stochastic Polyak methods: it converges where one point is best for every sample, and elsewhere
    throws x about, unless a ``cap`` of a few lr holds it. With ``safe`` losses of different
    mini-batches would be compared, which means little: use the whole loss at every step, or at
    those where `at_look` is true. A loss that differs at the same point is noticed where a step was
    taken back, the only point that is evaluated twice; it raises if the difference is more than
    half of what was judged. A finite ``cap`` makes long steps constant in the end, and the rate
    slow. With a fixed K and without ``safe`` the run stalls at a floor; see ``growth``.
    ``weight_decay`` belongs to the loss: f and f* are those of f + weight_decay·‖x‖²/2. ``loss`` is
    in no checkpoint, pickle or copy: give it again, or set ``optimizer.loss``. Dropout and
    batch normalization in training mode are no functions of the parameters alone. Do not clip
    gradients: the quotient is that of the gradient of the loss. With a `torch.amp.GradScaler` call
    ``scaler.step(optimizer)`` if it has ``loss``, and else ``scaler.step(optimizer, loss=loss)``
    with the loss before scaling. A gradient that is not
    finite is noticed at looks; before, only if the loss is not finite too. Every step reads the
    loss, which makes a GPU wait.

    **Related work.** Davis, Drusvyatskiy & Jiang (arXiv:2409.19791): ``safe=False`` is their
    authors' code, without its second evaluation. The safe rule is ours: that of
    `saddlelib.methods.SafeGDPolyak`, with looks at the end of epochs only. Stochastic Polyak steps:
    Loizou et al. 2021 (arXiv:2002.10542). `saddlelib.optim.GDPolyakReference` is the same in plain
    lines.

    Parameters
    ----------
    params : iterable
        Parameters or groups. A group may set ``lr``, ``weight_decay`` and ``foreach``; all else is
        of the whole.
    lr : float or Tensor
        Short step, at most 1/ℓ.
    loss : callable, optional
        Without arguments; see above.
    f_star : float, optional
        Least value of the loss (the greatest with ``maximize``). None: not known, for ``safe``.
    epoch_length : int, optional
        K ≥ 0 short steps; with ``safe`` those of the first epoch, at least 2, and 10 by default.
    safe : bool
    factor : float, optional
        λ > 0, below 2p for growth of order p; 1.9 by default with ``safe``, else 1. From 2 on steps
        are thrown about between directions that grow differently.
    growth : float
        Without ``safe``: epoch i (from 0) has ⌊K + i·growth⌋ short steps.
    cap : float
        Most long step, as a multiple of the gradient; ``inf`` for none.
    gain, guard : float
        See above; ``gain`` in (0, 1).
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
    >>> x = torch.tensor([0.5, 0.5], dtype=torch.float64, requires_grad=True)
    >>> optimizer = GDPolyak([x], lr=0.0125, f_star=0.0)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = x[0] ** 4 + 10 * (x[1] - x[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(500):
    ...     loss = optimizer.step(closure)
    >>> loss.item() < 1e-12, optimizer.counts["closure_calls"], optimizer.counts["epochs"] < 20
    (True, 500, True)
    """

    def __init__(self, params, lr=1e-3, *, loss=None, f_star=None, epoch_length=None, safe=True,
                 factor=None, growth=0.0, cap=math.inf, gain=0.2, guard=10.0, weight_decay=0.0,
                 maximize=False, foreach=None):
        super().__init__(params, {
            **_settings(f_star, epoch_length, safe, factor, growth, cap, gain, guard),
            "lr": lr, "weight_decay": nonnegative("weight_decay", weight_decay),
            "maximize": bool(maximize), "foreach": foreach}, loss)

    def _fresh(self):
        settings = self.param_groups[0]
        length = settings["epoch_length"]
        return {
            "steps": 0, "closure_calls": 0, "looks": 0, "epochs": 0, "accepted": 0, "rejected": 0,
            "left": length, "length": length, "taken": 0, "in_a_row": 0,
            "status": int(EpochStatus.START), "loss": math.inf, "least": math.inf,
            "grad_norm": math.nan, "quotient": math.nan, "long_step": math.nan,
            # The long step on trial, and whether its start is to be evaluated again.
            "trial": False, "again": False, "before_loss": math.nan, "before_gap": math.nan,
            "before_norm": math.nan, "before_curvature": math.nan,
            "kept": 0, "kept_lr": 0.0, "curvature": math.nan, "last_curvature": math.nan,
            "look_curvature": math.inf, "doubted": False, "without": settings["f_star"] is None}

    def _prepare(self, p, group):
        state = super()._prepare(p, group)
        if group["safe"] and p.requires_grad:
            for key in ("before", "last_grad"):
                self._tensor(p, key)
        return state

    @property
    def counts(self) -> dict:
        """What the run has cost so far and what the last look saw, by name.

        ``steps``, calls of `step`; ``closure_calls``, also of ``loss``; ``looks``; ``epochs``, long
        steps taken; ``accepted`` and ``rejected``, those that were judged; ``left``, short steps to
        the next look; ``epoch_length``, the present K; ``status``, an `EpochStatus`; ``loss``,
        ``grad_norm`` and ``curvature`` at the last look, the norm with groups weighted by their
        ``lr``, as parts of the largest; ``best_loss`` of all that was seen; ``quotient`` and
        ``long_step``, of the last long step; ``f_star``, nan where it is not known, was too high,
        or disagreed with the curvature that the last long step went by.
        """
        s, settings = self._scalars, self.param_groups[0]
        sign = -1.0 if settings["maximize"] else 1.0
        names = ("steps", "closure_calls", "looks", "epochs", "accepted", "rejected", "left",
                 "grad_norm", "curvature", "quotient", "long_step")
        return {**{name: s[name] for name in names}, "epoch_length": s["length"],
                "loss": sign * s["loss"], "best_loss": sign * s["least"],
                "f_star": math.nan if s["without"] or s["doubted"] else settings["f_star"],
                "status": EpochStatus(s["status"])}

    @property
    def at_look(self) -> bool:
        """Whether the next step uses the loss, or gradients that are compared with each other.

        With mini-batches give it the whole loss there, or one large batch, always the same. True
        for the last step of an epoch; with ``safe`` for the last two, for two a fifth of the epoch
        earlier, and after a step back.
        """
        s = self._scalars
        return s["left"] == 0 or s["again"] or (
            self.param_groups[0]["safe"] and s["left"] in (1, *self._pair(s)))

    @staticmethod
    def _pair(s):
        """Short steps left at the two gradients that show κ a fifth of the epoch earlier."""
        fifth = max(1, s["length"] // 5)
        return fifth, fifth + 1

    @torch._disable_dynamo
    @torch.no_grad()
    def step(self, closure=None, *, loss=None):
        """One step, short or long, or one back; returns the loss where it was computed.

        Parameters
        ----------
        closure : callable
            Clears the gradients, computes the loss, calls ``backward`` and returns the loss.
        loss : Tensor or float
            Instead of a closure: the loss whose gradients the parameters have. With neither the
            ``loss`` of the constructor is called, where a look needs it; with none of the three all
            steps are short ones.

        Raises
        ------
        TypeError
            With both.
        RuntimeError
            Where a gradient is sparse, the loss is not finite and no long step can be taken back,
            or a loss is not the same at the same point.
        """
        if closure is not None and loss is not None:
            raise TypeError("step() takes the loss once: either step(closure), or step(loss=loss) "
                            "after loss.backward()")
        if closure is not None and not callable(closure):
            raise TypeError(f"closure must be a function, got {type(closure).__name__}; a loss is "
                            f"given as step(loss=loss)")
        scale = self._grad_scale(closure)
        if scale == 0.0:
            return None
        s, settings = self._scalars, self.param_groups[0]
        if closure is not None:
            loss = self._evaluate(s, closure)
        work = self._gather(scale)
        if not work:  # as after a batch that was skipped
            return loss
        value = self._loss_here(s, settings, work, loss)
        if value is None:
            self._unseen(s, settings, work)
            return loss
        if not math.isfinite(value) and not s["trial"]:
            raise RuntimeError(f"the loss is {value}; the parameters are unchanged; lower lr, look "
                               f"at the last mini-batch, or set safe=True, which takes long steps "
                               f"that go too far back")
        if s["again"]:
            self._compare(s, settings, value, loss)
        if not math.isfinite(value):
            self._back(s, settings)
        else:
            s["least"] = min(s["least"], value)
            if settings["safe"]:
                self._follow(s, work)
            if s["left"] > 0:
                self._descend(settings, work)
                s["left"] -= 1
                s["taken"] += 1
            else:
                self._look(s, settings, work, value)
        s["steps"] += 1
        return loss

    def _loss_here(self, s, settings, work, loss):
        """What is minimized, here; None where nobody says."""
        if loss is None:
            if self.loss is None or not (s["left"] == 0 or s["again"]):
                return None
            params = [p for _, ps, _ in work for p in ps]
            with Evaluator(params, loss=self.loss, process_group=self.process_group,
                           sign=-1.0 if settings["maximize"] else 1.0) as ask:
                value = ask.value()
            s["closure_calls"] += ask.calls
        else:
            value = self._value(settings, loss)
        return value + self._penalty(work)

    def _unseen(self, s, settings, work):
        """A short step without a loss; where a look needs one, it waits."""
        if self.loss is None:
            self._say_once(_NOBODY)
        if settings["safe"]:
            self._follow(s, work)
        if s["left"] == 0:
            s["status"], s["left"] = int(EpochStatus.UNSEEN), s["length"]
        self._descend(settings, work)
        s["left"], s["taken"] = max(s["left"] - 1, 0), s["taken"] + 1
        s["steps"] += 1

    def _compare(self, s, settings, value, loss):
        """The loss where a step was taken back to has to be what it was."""
        unit = torch.finfo(loss.dtype if isinstance(loss, torch.Tensor) else torch.float64).eps
        allowed = max(settings["gain"] * s["before_gap"] / 2, 64 * unit * abs(s["before_loss"]))
        if not abs(value - s["before_loss"]) <= allowed:
            sign = -1.0 if settings["maximize"] else 1.0
            raise RuntimeError(
                f"the loss is {sign * value:.6g} where it was {sign * s['before_loss']:.6g} "
                f"before: a long step can only be judged where the loss is deterministic. Use the "
                f"same data at each step (or at those where at_look is true), fix dropout and "
                f"other randomness, or set safe=False")
        s["again"] = False

    # The curvature that short steps see -------------------------------------

    def _follow(self, s, work):
        """κ of the last short step before a look and of one before; keeps one gradient for each."""
        second, first = self._pair(s)
        if s["left"] not in (0, 1, second, first):
            return
        grads = [g for _, _, gs in work for g in gs]
        kept = [self._tensor(p, "last_grad") for _, ps, _ in work for p in ps]
        if s["left"] == first:
            s["curvature"] = math.nan
        elif s["left"] in (0, second) and s["kept"] == len(grads):
            s["last_curvature"], s["curvature"] = s["curvature"], self._secant(s, work)
        if s["left"] in (1, first):
            vector.copy_(kept, grads)
            s["kept"], s["kept_lr"] = len(grads), self._lr()
        else:
            s["kept"] = 0

    def _secant(self, s, work):
        """κ = ⟨g, g − g⁺⟩/(lr‖g‖²); the kept g becomes g − g⁺."""
        numbers = [0.0, 0.0, 0.0]
        for weight, params, grads in self._weighted(work):
            change = [self._tensor(p, "last_grad") for p in params]
            vector.add_(change, grads, alpha=-1.0)
            pairs = ((grads, grads), (grads, change), (change, change))
            found = vector.read([vector.dot(a, b) for a, b in pairs])
            numbers = [n + weight * m for n, m in zip(numbers, found, strict=True)]
        new, mixed, square = numbers
        old = new + 2 * mixed + square
        return (mixed + square) / old / s["kept_lr"] if old > 0 < s["kept_lr"] else math.nan

    def _lr(self):
        return max(float(group["lr"]) for group in self.param_groups)

    def _weighted(self, work):
        """(weight, parameters, gradients), of the groups with the same lr together."""
        largest, found = self._lr(), {}
        for group, params, grads in work:
            weight = float(group["lr"]) / largest if largest > 0 else 0.0
            together = found.setdefault(weight, ([], []))
            together[0].extend(params)
            together[1].extend(grads)
        return [(weight, *both) for weight, both in found.items()]

    # At a look ----------------------------------------------------------------

    def _look(self, s, settings, work, value):
        s["looks"] += 1
        s["grad_norm"] = norm = math.hypot(*(
            math.sqrt(weight) * vector.norm(grads) for weight, _, grads in self._weighted(work)))
        if s["trial"]:
            fell = s["before_loss"] - value >= settings["gain"] * s["before_gap"]
            if not (fell and math.isfinite(norm)):
                self._back(s, settings)
                return
            s["accepted"] += 1
            s["trial"], s["in_a_row"] = False, 0
            s["length"] = max(2, math.floor(0.8 * s["length"]))
        if not math.isfinite(norm):  # stay, and look again
            s["status"] = int(EpochStatus.NONFINITE)
            return
        status, quotient = self._decide(s, settings, value, norm)
        s["loss"], s["status"] = value, int(status)
        if status == EpochStatus.LONG:
            self._go(s, settings, work, value, norm, quotient)
        else:
            self._descend(settings, work)
            s["taken"] += 1
        s["left"] = s["length"] if settings["safe"] else self._published_length(s, settings)

    @staticmethod
    def _published_length(s, settings):
        s["length"] = settings["epoch_length"] + math.floor(s["epochs"] * settings["growth"])
        return s["length"]

    def _decide(self, s, settings, value, norm):
        """The status, and the quotient of Polyak where that is LONG."""
        safe, lr = settings["safe"], self._lr()
        if lr == 0.0:
            return EpochStatus.WAITING, math.nan
        if safe and value > s["loss"] + 8 * self._unit() * abs(value):
            return EpochStatus.RISING, math.nan
        gap = math.nan if settings["f_star"] is None else value - (
            -settings["f_star"] if settings["maximize"] else settings["f_star"])
        if not s["without"] and gap - (value - s["least"]) < 0:
            if not safe:
                return EpochStatus.BELOW_F_STAR, math.nan
            s["without"] = True
        if gap == 0 and not s["without"]:
            return EpochStatus.AT_F_STAR, math.nan
        if norm == 0.0:
            return EpochStatus.STATIONARY, math.nan
        quotient = gap / norm / norm
        if safe:
            status, quotient = self._safe_quotient(s, lr, norm, quotient)
            if status != EpochStatus.LONG:
                return status, math.nan
            if not quotient > settings["guard"] * lr:
                return EpochStatus.WAITING, math.nan
        return EpochStatus.LONG, quotient

    def _safe_quotient(self, s, lr, norm, quotient):
        kappa, unit = s["curvature"], self._unit()
        # At the first look of a wait there is no κ of the look before.
        earlier = [k for k in (s["last_curvature"], s["look_curvature"]) if not k == math.inf]
        still = all(abs(kappa - k) <= _PLATEAU * abs(k) for k in earlier)
        s["look_curvature"] = kappa
        noise = unit * (norm + self._size() / lr)
        credible = lr * abs(kappa) * norm >= 16 * noise
        known = not s["without"]
        if known and (credible or not s["doubted"]):
            # Where κ is noise f_star has to do.
            if not credible or _LOW <= quotient * kappa <= _HIGH:
                s["doubted"] = False
                return EpochStatus.LONG, quotient
            # Either the gradient is not along the ravine yet, or f_star is wrong.
            if s["taken"] < max(_PATIENCE, 2 * s["length"]):
                return EpochStatus.WAITING, math.nan
        if still and 0 < kappa * self.param_groups[0]["guard"] * lr < 0.75:
            s["doubted"] = known
            if kappa > _FELL * s["before_curvature"]:
                self._longer(s, s["length"])
            s["before_curvature"] = kappa
            return EpochStatus.LONG, 0.75 / kappa
        # κ may be noise; on a plane it is none, and 0.
        lost = not credible and lr * abs(kappa) > unit
        return EpochStatus.PRECISION if lost else EpochStatus.WAITING, math.nan

    def _go(self, s, settings, work, value, norm, quotient):
        """The long step."""
        largest = min(torch.finfo(torch.promote_types(p.dtype, torch.float32)).max
                      for _, ps, _ in work for p in ps)
        length = min(settings["factor"] * quotient, settings["cap"], largest)
        if settings["safe"]:
            params = self._movable()
            vector.copy_([self._tensor(p, "before") for p in params], params)
            s["trial"], s["before_loss"], s["before_norm"] = True, value, norm
            # Where the quotient is right this is the gap itself.
            s["before_gap"] = length / settings["factor"] * norm * norm
        lr = self._lr()
        for group, params, grads in work:
            part = length * (float(group["lr"]) / lr)
            many = [(p, g) for p, g in zip(params, grads, strict=True) if p.dtype.itemsize >= 4]
            if many:
                descend_([p for p, _ in many], [g for _, g in many], part, settings["maximize"],
                         group["foreach"] is not False)
            for p, g in zip(params, grads, strict=True):
                if p.dtype.itemsize < 4:  # which has no numbers as long as the step
                    wide = [p.float()]
                    descend_(wide, [g.float()], part, settings["maximize"])
                    p.copy_(wide[0])
        s["quotient"], s["long_step"] = quotient, length
        s["epochs"] += 1
        s["taken"], s["look_curvature"] = 0, math.inf

    def _back(self, s, settings):
        """Return to where the last long step began, and take more short steps there."""
        params = self._movable()
        vector.copy_(params, [self._tensor(p, "before") for p in params])
        s["rejected"] += 1
        s["in_a_row"] += 1
        self._longer(s, max(s["length"], s["taken"]))
        s["before_curvature"], s["look_curvature"] = math.nan, math.inf
        s["left"], s["taken"], s["kept"], s["loss"] = s["length"], 0, 0, s["before_loss"]
        s["trial"], s["again"] = False, True
        floor = 8 * self._unit()
        gap = math.inf if s["without"] or s["doubted"] else abs(s["before_loss"] - (
            -settings["f_star"] if settings["maximize"] else settings["f_star"]))
        lost = s["before_norm"] * self._lr() <= floor * self._size() or (
            gap <= floor * abs(s["before_loss"]))
        s["status"] = int(EpochStatus.PRECISION if lost and s["in_a_row"] >= _FAILURES
                          else EpochStatus.BACK)

    @staticmethod
    def _longer(s, wait):
        s["length"] = math.ceil(1.5 * wait) + 1

    @torch.no_grad()
    def settle(self, loss) -> bool:
        """Take a long step that is on trial back, unless the loss is below what it began with.

        Call it where training ends, with the loss of the parameters as they are: an epoch may be
        cut short by a budget, and the parameters then stand higher than at the look before. After
        it the loss is no more than at the last look.

        Parameters
        ----------
        loss : Tensor or float

        Returns
        -------
        bool
            Whether the parameters went back.
        """
        s, settings = self._scalars, self.param_groups[0]
        if not s["trial"] or self._value(settings, loss) < s["before_loss"]:
            return False
        self._back(s, settings)
        return True

    def _movable(self):
        return [p for group in self.param_groups for p in group["params"] if p.requires_grad]

    def _size(self):
        return vector.norm(self._movable())

    def _unit(self):
        return max(torch.finfo(p.dtype).eps for p in self._movable())


def _settings(f_star, epoch_length, safe, factor, growth, cap, gain, guard):
    """The settings of epochs and long steps, checked, for ``defaults``."""
    safe = bool(safe)
    if f_star is None and not safe:
        raise ValueError("safe=False needs f_star, the least value of the loss; give it, or set "
                         "safe=True, which can do without")
    if f_star is not None and not math.isfinite(float(f_star)):
        raise ValueError(f"f_star must be a finite number, or None where it is not known, got "
                         f"{f_star!r}")
    if epoch_length is None and not safe:
        raise ValueError("safe=False needs epoch_length, the number of short steps before a long "
                         "one; safe=True finds it")
    if growth != 0:
        positive("growth", growth)
        if safe:
            raise ValueError("growth is for safe=False; safe=True finds the length of epochs")
    if cap != math.inf:
        positive("cap", cap)
    if positive("gain", gain) >= 1:
        raise ValueError(f"gain must lie strictly between 0 and 1, got {gain!r}")
    return {
        "f_star": None if f_star is None else float(f_star),
        "epoch_length": 10 if epoch_length is None else integer("epoch_length", epoch_length,
                                                                least=2 if safe else 0),
        "safe": safe, "factor": (1.9 if safe else 1.0) if factor is None else positive("factor",
                                                                                       factor),
        "growth": float(growth), "cap": float(cap), "gain": float(gain),
        "guard": positive("guard", guard),
    }
