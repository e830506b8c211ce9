"""Plain steps, and an episode where they stand at a saddle: what `PSD` and `PSGD` share."""

from __future__ import annotations

import enum
import math

import torch

from .._arguments import curvature_scale, integer, nonnegative, positive, probability
from . import _vector as vector
from ._base import DescentOptimizer, check_lr
from ._curvature import Products, Seen, Source, smallest_curvature
from ._evaluator import Evaluator, Unusable
from ._look import sizes_of

__all__ = ["SaddleOptimizer", "Status", "settings_of"]

_LONG = 1 << 40  # steps; a rest is not doubled beyond
_LENGTH = 10  # steps of a quick episode
_RUNGS = 4  # so many perturbations, each twice as long as the last
_SHARE = 0.1  # of an initialization: the length of the first
_RISE = 0.25  # of the loss: what a perturbation may cost at once
_TRIES = 24  # lengths along a direction of negative curvature, each four times the last


class Status(enum.IntEnum):
    """What an optimizer is doing, or why it does no more; the sentence is in ``message``.

    Examples
    --------
    >>> Status.EPISODE.message
    'an episode has begun at a small gradient'
    """

    DESCENDING = 0
    EPISODE = 1
    NO_NEGATIVE_CURVATURE = 2
    NONE_FOUND = 3
    EXHAUSTED = 4
    NONFINITE = 5
    PRECISION = 6
    KEPT = 7
    UNDONE = 8
    UNSEEN = 9

    @property
    def message(self) -> str:
        """A sentence."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.DESCENDING: "plain steps; the gradient was large at the last look",
    Status.EPISODE: "an episode has begun at a small gradient",
    Status.NO_NEGATIVE_CURVATURE: "small gradient, and certified to have no strong negative "
                                  "curvature; plain steps, next look after a rest",
    Status.NONE_FOUND: "small gradient; the products allowed found no strong negative curvature "
                       "and do not prove that there is none; next look after a rest",
    Status.EXHAUSTED: "max_episodes episodes are used; only plain steps from now on",
    Status.NONFINITE: "the gradient is not finite; the parameters stay where they are: lower "
                      "lr, or go back to an earlier state",
    Status.PRECISION: "the perturbation is lost in rounding: perturbation_radius is too small for "
                      "the dtype of the parameters; next look after a rest",
    Status.KEPT: "the last episode was kept, as the loss has fallen; plain steps",
    Status.UNDONE: "the last episode was undone, as the loss has not fallen; the next perturbation "
                   "is longer, or comes after a rest",
    Status.UNSEEN: "small gradient, and nobody can look whether this is a saddle: give "
                   "loss=lambda: criterion(model(x), y); plain steps, next look after a rest",
}
_NOBODY = ("nobody can look whether a small gradient is a saddle, as step() got no closure that "
           "returns a loss: give the optimizer loss=lambda: criterion(model(x), y), once, when you "
           "make it. Until then it only takes the plain steps of torch.optim.SGD; "
           "curvature_check=False perturbs blindly")


class SaddleOptimizer(DescentOptimizer):
    """The loop of a step; a subclass says in `_look` when the gradient counts as small."""

    def __init__(self, params, defaults, loss=None):
        super().__init__(params, defaults, loss)
        groups = self.param_groups
        if defaults["episode_length"] is None:
            length = _LENGTH if defaults["rule"] == "quick" else _episode_length(
                defaults, min(float(group["lr"]) for group in groups),
                sum(vector.numel(group["params"]) for group in groups))
            for settings in (defaults, *groups):
                settings["episode_length"] = length

    def _fresh(self):
        zeros = ("steps", "closure_calls", "hvp", "looks", "checks", "episodes", "kept", "undone",
                 "draws", "left", "away", "next_look", "after", "trial", "rung", "proven", "paired",
                 "pairs", "spacing")
        return {**dict.fromkeys(zeros, 0), "inner": 0.0, "pause": self.param_groups[0]["rest"],
                "status": int(Status.DESCENDING), "source": int(Source.NONE),
                "grad_norm": math.nan, "min_eig": math.nan, "min_eig_lower": math.nan}

    def _prepare(self, p, group):
        state = super()._prepare(p, group)
        if group["rule"] == "quick" and p.requires_grad:
            self._tensor(p, "before")
        return state

    @property
    def counts(self) -> dict:
        """What the run has cost so far and what the last look saw, by name.

        ``steps``, calls of `step`; ``closure_calls`` of either closure and of ``loss``; ``hvp``,
        Hessian-vector products; ``looks`` at the norm of the gradient; ``checks`` of the curvature;
        ``episodes``, of which ``kept`` and ``undone`` were judged; ``left``, steps left of the
        present episode; ``status``, a `Status`; ``grad_norm``, the estimate of the last look;
        ``min_eig`` and ``min_eig_lower``, an upper and a lower bound of λ_min from the last check;
        ``hvp_by``, where its products came from: "autograd", "differences" (two gradients each) or
        "none" if no check was made.
        """
        s = self._scalars
        names = ("steps", "closure_calls", "hvp", "looks", "checks", "episodes", "kept", "undone",
                 "left", "grad_norm", "min_eig", "min_eig_lower")
        return {**{name: s[name] for name in names}, "status": Status(s["status"]),
                "hvp_by": Source(s["source"]).name.lower()}

    @torch._disable_dynamo
    @torch.no_grad()
    def step(self, closure=None, curvature_closure=None):
        """One step; returns the loss of the closure, if there is one.

        Parameters
        ----------
        closure : callable, optional
            Clears the gradients, computes the loss, calls ``backward`` and returns the loss.
            Without it the gradients that the parameters have are used. Where it returns None, as
            that of a skipped batch does, nobody looks.
        curvature_closure : callable, optional
            In place of the ``loss`` of the constructor, for this step.

        Raises
        ------
        RuntimeError
            Where a gradient is sparse, or the closure returns a loss that is not finite. The
            parameters are then what they were.
        """
        scale = self._grad_scale(closure)
        if scale == 0.0:
            return None
        s, settings = self._scalars, self.param_groups[0]
        loss = None if closure is None else self._loss(s, closure)
        work = self._gather(scale)
        if not work:  # as after a batch that was skipped
            return loss
        ask = self._asked(closure, loss, curvature_closure)
        move = True
        if s["left"] > 0:
            move = self._listen(s, settings, work)
        elif s["trial"]:
            move = ask is None or self._judge(s, settings, work, ask)
        elif s["steps"] >= s["next_look"]:
            move = self._look_around(s, settings, work, ask, closure)
            if s["left"] > 0 and move:
                work = self._gather()  # the gradient at the perturbed point
        if move:
            self._descend(settings, work)
            if s["left"] > 0:
                s["left"] -= 1
                if s["left"] == 0:
                    self._over(s)
        s["steps"] += 1
        return loss

    def _loss(self, s, closure):
        """Evaluate a closure; its loss, if it can be used."""
        loss = self._evaluate(s, closure)
        if loss is None:
            return None
        value = float(loss.detach() if isinstance(loss, torch.Tensor) else loss)
        if not math.isfinite(value) and not s["trial"]:  # which is undone where it fails
            raise RuntimeError(f"the closure returned a loss of {value}; the parameters are "
                               f"unchanged; lower lr, or look at the last mini-batch")
        return loss

    def _asked(self, closure, loss, curvature_closure):
        """What a look can ask, as arguments of `Evaluator`; None where there is nobody."""
        given = self.loss if curvature_closure is None else curvature_closure
        if given is not None:
            return {"loss": given}
        return None if loss is None else {"closure": closure, "known": loss}

    def _evaluator(self, settings, params, ask):
        return Evaluator(params, **ask, process_group=self.process_group,
                         sign=-1.0 if settings["maximize"] else 1.0)

    # Looks at the gradient ----------------------------------------------------

    def _listen(self, s, settings, work):
        """Look at the gradient now and then in an episode; whether a plain step is to follow."""
        quick = s["trial"]
        if not quick and s["left"] % settings["check_every"] != 0:
            return True
        if not self._finite(s, work):
            return False
        self._has_arrived(s, s["grad_norm"] <= settings["epsilon"])
        return True

    def _has_arrived(self, s, small):
        """Let an episode end whose gradient has been large and is small again."""
        if not small:
            s["away"] = 1
        elif s["away"]:
            s["left"] = 1

    def _over(self, s):
        """What follows on an episode."""
        s["next_look"] = s["steps"] + 1 + s["after"]

    def _finite(self, s, work):
        """Whether the gradients are finite; if not, an episode is over."""
        s["grad_norm"] = vector.norm([g for _, _, grads in work for g in grads])
        s["looks"] += 1
        return math.isfinite(s["grad_norm"]) or self._hold(s)

    def _hold(self, s):
        """Stay here until the gradient is finite; go back where a perturbation was to blame."""
        if s["trial"]:
            return self._undo(s)
        s["status"], s["left"], s["next_look"] = int(Status.NONFINITE), 0, s["steps"] + 1
        return False

    def _rest(self, s, status):
        """Look again after a pause, which doubles each time until a saddle is found."""
        s["status"], s["next_look"] = int(status), s["steps"] + max(1, s["pause"])
        s["pause"] = min(2 * s["pause"], _LONG)
        s["rung"] = s["proven"] = 0
        return True

    def _look(self, s, settings, params, grads):
        """Whether the gradient counts as small; None where it is not finite. Sets next_look."""
        raise NotImplementedError

    def _look_around(self, s, settings, work, ask, closure):
        """Look, and begin an episode at a saddle; whether a plain step is to follow."""
        params = [p for _, ps, _ in work for p in ps]
        grads = [g for _, _, gs in work for g in gs]
        small = self._look(s, settings, params, grads)
        s["looks"] += 1
        unseen = ask is None and settings["curvature_check"]
        if unseen:
            self._say_once(_NOBODY)
        if small is None:
            return self._hold(s)
        if not small:
            s["status"] = int(Status.DESCENDING)
            if not (s["paired"] or s["pairs"]):  # else it is not known yet
                self._leave(s, settings)
            return True
        if unseen:
            return self._rest(s, Status.UNSEEN)
        try:
            if settings["rule"] == "quick" and ask is not None:
                return self._climb(s, settings, work, ask)
            seen = self._check(s, settings, work, ask)
        except Unusable as error:
            self._say_once(f"{type(self).__name__} cannot look: {error}")
            return self._rest(s, Status.UNSEEN)
        if seen is not None and not seen.negative:
            return self._rest(s, Status.NO_NEGATIVE_CURVATURE if seen.certified
                              else Status.NONE_FOUND)
        return self._exhausted(s, settings) or self._kick(s, settings, params, grads, seen, closure)

    @staticmethod
    def _exhausted(s, settings):
        most = settings["max_episodes"]
        if most is None or s["episodes"] < most:
            return False
        s["status"], s["next_look"] = int(Status.EXHAUSTED), _LONG
        return True

    def _leave(self, s, settings):
        """The gradient is large: whatever was there before is left behind."""
        if s["proven"]:
            s["pause"] = settings["rest"]
        s["rung"] = s["proven"] = 0

    # Looks at the curvature ---------------------------------------------------

    def _check(self, s, settings, work, ask) -> Seen | None:
        """The curvature here; None where nobody is to look."""
        if not settings["curvature_check"]:
            s["source"] = int(Source.NONE)
            return None
        params = [p for _, ps, _ in work for p in ps]
        s["checks"] += 1
        s["draws"] += 1
        evaluator = self._evaluator(settings, params, ask)
        raw = [p.grad for p in params]
        try:
            with evaluator:
                product = Products(evaluator, raw, settings["lipschitz_hess"], ask.get("known"),
                                   [group["weight_decay"] for group, ps, _ in work for _ in ps])
                if evaluator.closure is not None:
                    _clears(evaluator, raw)
                elif product.source == Source.DIFFERENCES:
                    evaluator.check(evaluator.gradient()[0])
                # The k-th check may fail with probability δ/(k(k+1)); these add up to at most δ.
                seen = smallest_curvature(
                    product, params, settings["curvature_tol"],
                    settings["failure_prob"] / (s["checks"] * (s["checks"] + 1)),
                    settings["lanczos_steps"], settings["seed"], s["draws"])
        finally:
            s["closure_calls"] += evaluator.calls
        s["hvp"] += product.calls
        s["source"] = int(product.source)
        s["min_eig"], s["min_eig_lower"] = seen.min_eig, seen.lower
        return seen

    # Episodes as published ----------------------------------------------------

    def _kick(self, s, settings, params, grads, seen, closure):
        """Begin an episode; whether its first plain step follows at once."""
        s["draws"] += 1
        radius = settings["perturbation_radius"]
        if settings["escape"] == "direction" and seen is not None:
            slope = float(vector.dot(grads, seen.direction)) * (-1 if settings["maximize"] else 1)
            xi = vector.scale_(seen.direction, -radius if slope > 0 else radius)
        else:
            xi = self._drawn(s, settings, params)
        before = vector.clone(params)
        if not _moved(params, xi):
            return self._rest(s, Status.PRECISION)
        if closure is not None:
            for p in params:  # whether the closure clears them or not
                p.grad = None
            try:
                self._loss(s, closure)
            except Exception:
                vector.copy_(params, before)
                raise
        s["episodes"] += 1
        s["left"], s["status"] = settings["episode_length"], int(Status.EPISODE)
        s["away"] = 0
        if seen is None:  # nobody knows whether this was a saddle: rest ever longer
            s["after"], s["pause"] = s["pause"], min(2 * s["pause"], _LONG)
        else:
            s["after"], s["pause"] = 0, settings["rest"]
        return closure is not None

    def _drawn(self, s, settings, params):
        """ξ: on a ball, or in the proportions of an initialization; twice as long on each rung."""
        radius, seed = settings["perturbation_radius"], settings["seed"]
        larger = 2.0 ** s["rung"]
        if radius is not None:
            return vector.uniform_ball(params, radius * larger, seed, s["draws"])
        return _initialization(params, _SHARE * larger, seed, s["draws"])

    # Quick episodes -----------------------------------------------------------

    @torch.no_grad()
    def settle(self, loss=None) -> bool:
        """Judge an episode that is not over: keep it if the loss is lower than where it began.

        Call it where training ends: within an episode the parameters may stand higher than before.

        Parameters
        ----------
        loss : callable, optional
            As that of the constructor, which is called without it.

        Returns
        -------
        bool
            Whether the parameters went back.
        """
        s = self._scalars
        if not s["trial"]:
            return False
        loss = self.loss if loss is None else loss
        if loss is None:
            raise ValueError("loss must be given, as a function that returns the loss: nobody has "
                             "given one before")
        work = [(group, ps, None) for group in self.param_groups
                if (ps := [p for p in group["params"] if "before" in self.state[p]])]
        kept = s["kept"]
        self._judge(s, self.param_groups[0], work, {"loss": loss})
        s["left"] = 0
        return s["kept"] == kept

    def _climb(self, s, settings, work, ask):
        """Perturb, further on each rung; look at the curvature where that has not helped."""
        if s["proven"]:  # the last episode was kept and has not led away
            return self._rest(s, Status.KEPT)
        last = s["rung"] >= _RUNGS
        if settings["escape"] == "direction" or last and settings["curvature_check"]:
            seen = self._check(s, settings, work, ask)
            if not seen.negative:
                return self._rest(s, Status.NO_NEGATIVE_CURVATURE if seen.certified
                                  else Status.NONE_FOUND)
            return self._exhausted(s, settings) or self._along(s, settings, work, ask, seen)
        if last:
            return self._rest(s, Status.UNDONE)
        if self._exhausted(s, settings):
            return True
        params = [p for _, ps, _ in work for p in ps]
        s["draws"] += 1
        xi = self._drawn(s, settings, params)
        with self._evaluator(settings, params, ask) as evaluator:
            values = []
            for t in (0.0, 1.0, -1.0):
                evaluator.at(xi, t)
                values.append(evaluator.value() + self._penalty(work))
        s["closure_calls"] += evaluator.calls
        start, there, back = values
        s["rung"] += 1
        s["next_look"], s["status"] = s["steps"] + 1, int(Status.UNDONE)
        if not min(there, back) - start <= _RISE * abs(start):  # a longer one would be worse
            s["rung"] = _RUNGS
            return True
        self._keep()
        if not _moved(params, xi if there <= back else vector.scale_(xi, -1.0)):
            s["status"] = int(Status.PRECISION)
            return True
        return self._begin(s, settings)

    def _along(self, s, settings, work, ask, seen):
        """Go along a direction of negative curvature as far as the loss falls."""
        params = [p for _, ps, _ in work for p in ps]
        grads = [g for _, _, gs in work for g in gs]
        uphill = float(vector.dot(grads, seen.direction)) * (-1 if settings["maximize"] else 1) > 0
        v = vector.scale_(seen.direction, -1.0 if uphill else 1.0)
        self._keep()
        with self._evaluator(settings, params, ask) as evaluator:
            f = evaluator.value() + self._penalty(work)
            eps = max(torch.finfo(p.dtype).eps for p in params)
            t = math.sqrt(128 * eps * max(abs(f), eps) / -seen.min_eig)
            best, length = f, 0.0
            for _ in range(_TRIES):
                evaluator.at(v, t)
                now = evaluator.value() + self._penalty(work)
                if now < best:
                    best, length = now, t
                elif length > 0 or not math.isfinite(now):
                    break
                t *= 4
        s["closure_calls"] += evaluator.calls
        if length == 0.0:
            return self._rest(s, Status.PRECISION)
        vector.add_(params, v, alpha=length)
        self._begin(s, settings)
        s["left"], s["rung"] = 1, _RUNGS + 1  # the loss is lower at once, and there is no way left
        return False

    def _begin(self, s, settings):
        """An episode on trial. The gradient is that of the point before: no step follows on it."""
        s["episodes"] += 1
        s["left"], s["status"] = settings["episode_length"], int(Status.EPISODE)
        s["trial"], s["away"], s["after"] = 1, 0, 0
        return False

    def _movable(self):
        return [p for group in self.param_groups for p in group["params"] if p.requires_grad]

    def _keep(self):
        params = self._movable()
        vector.copy_([self._tensor(p, "before") for p in params], params)

    def _judge(self, s, settings, work, ask):
        """Keep an episode if the loss of this mini-batch, which it has not seen, has fallen."""
        params = [p for p in self._movable() if "before" in self.state[p]]
        before = [self._tensor(p, "before") for p in params]
        evaluator = self._evaluator(settings, params, ask)
        try:
            with evaluator:
                evaluator.at()
                new = evaluator.value() + self._penalty(work)
                if s["kept"] == s["undone"] == 0:
                    evaluator.check(new - self._penalty(work))
                vector.copy_(params, before)
                old = evaluator.value() + self._penalty(work)
        except Unusable as error:
            self._say_once(f"{type(self).__name__} cannot judge an episode: {error}")
            self._undo(s)
            self._rest(s, Status.UNSEEN)
            return False
        finally:
            s["closure_calls"] += evaluator.calls
        eps = max(torch.finfo(p.dtype).eps for p in params)
        if not new < old - 8 * eps * abs(old):
            return self._undo(s)
        s["kept"] += 1
        s["trial"], s["rung"], s["proven"] = 0, 0, 1
        s["status"], s["next_look"] = int(Status.KEPT), s["steps"] + 1
        return True

    def _undo(self, s):
        """Go back to where the episode began; the gradient at hand belongs elsewhere."""
        params = [p for p in self._movable() if "before" in self.state[p]]
        vector.copy_(params, [self._tensor(p, "before") for p in params])
        s["undone"] += 1
        s["trial"] = s["left"] = 0
        self._over(s)
        if s["rung"] > _RUNGS:
            self._rest(s, Status.UNDONE)
        s["status"] = int(Status.UNDONE)
        return False


def _clears(evaluator, grads):
    """`Unusable` where a closure leaves gradients in place that are there, and adds to them.

    So do those that accumulate several mini-batches, each divided by their number: what they return
    has another scale than the gradient of the step. At a saddle its gradient alone does not tell.
    """
    evaluator.calls += 1
    evaluator.random.set()
    mark = 1e3 * max(1.0, vector.norm(grads))
    for p in evaluator.params:
        p.grad = torch.full_like(p, mark, requires_grad=False)
    with torch.enable_grad():
        evaluator.closure()
    left = [torch.zeros_like(p, requires_grad=False) if p.grad is None else p.grad
            for p in evaluator.params]
    if not vector.norm(left) < mark / 2:
        raise Unusable(
            "the closure does not clear the gradients. Where it accumulates them over several "
            "mini-batches its loss has another scale than they; give the optimizer "
            "loss=lambda: criterion(model(x), y) as well")


def _moved(params, xi):
    """Add ξ; whether at least half of it is left after rounding. If not, nothing has happened."""
    before = vector.clone(params)
    vector.add_(params, xi)
    lost = vector.add_(vector.add_(vector.clone(params), before, alpha=-1.0), xi, alpha=-1.0)
    if vector.norm(lost) <= 0.5 * vector.norm(xi):
        return True
    vector.copy_(params, before)
    return False


def _initialization(params, share, seed, counter):
    """Normal numbers of standard deviation share/√fan-in, as a layer begins with."""
    xi = vector.gaussian(params, seed, counter, radius=share * math.sqrt(vector.numel(params)))
    torch._foreach_mul_(vector.local(xi), sizes_of(params))
    return xi


def settings_of(given, rules) -> dict:
    """What a user gave, checked, for ``defaults``; an episode_length of None is filled in later."""
    check_lr(given["lr"])
    if given["rule"] not in rules:
        raise ValueError(f"rule must be one of {', '.join(map(repr, rules))}, got "
                         f"{given['rule']!r}")
    if given["escape"] not in ("ball", "direction"):
        raise ValueError(f"escape must be 'ball' or 'direction', got {given['escape']!r}")
    if given["escape"] == "direction" and not given["curvature_check"]:
        raise ValueError("escape='direction' needs the direction that curvature_check finds; set "
                         "curvature_check=True or escape='ball'")
    least = {"episode_length": 1, "max_episodes": 1, "lanczos_steps": 1, "rest": 0,
             "check_every": 1, "seed": 0}
    numbers = {name: integer(name, given[name], least=n) for name, n in least.items()
               if given[name] is not None or name not in ("episode_length", "max_episodes")}
    return {**given, **_scales(given), **numbers,
            "weight_decay": nonnegative("weight_decay", given["weight_decay"]),
            "failure_prob": probability("failure_prob", given["failure_prob"]),
            "curvature_check": bool(given["curvature_check"]), "maximize": bool(given["maximize"])}


def _scales(given) -> dict:
    """ε, γ, ρ and r: what is left out follows from the others."""
    epsilon, rho, radius = (given[name] for name in ("epsilon", "lipschitz_hess",
                                                     "perturbation_radius"))
    epsilon = positive("epsilon", epsilon)
    if given["curvature_tol"] is None and rho is None:
        rho = 1.0
    rho, gamma = curvature_scale(None, epsilon, rho, given["curvature_tol"])
    if radius is None and given["rule"] != "quick":
        radius = epsilon / (8 * gamma)
    return {"epsilon": epsilon, "curvature_tol": gamma,
            "lipschitz_hess": rho or gamma * gamma / epsilon,
            "perturbation_radius": None if radius is None else positive("perturbation_radius",
                                                                        radius)}


def _episode_length(settings, lr, dim):
    """Steps in which all but about one perturbation in a hundred grow from r/√d to ε/γ."""
    if lr <= 0:
        raise ValueError("episode_length follows from lr, which is 0 in a group; give it")
    radius, gamma = settings["perturbation_radius"], settings["curvature_tol"]
    far = max(settings["epsilon"] / gamma, 2 * radius)
    return math.ceil(math.log(100 * far * math.sqrt(dim) / radius) / math.log1p(lr * gamma))
