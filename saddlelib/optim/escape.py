"""A wrapper that lets any optimizer leave the saddles it would stand still at."""

from __future__ import annotations

import copy
import logging
import math
import warnings

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks as _hooks_after
from torch.optim.optimizer import _global_optimizer_pre_hooks as _hooks_before

from .._arguments import integer
from . import _vector as vector
from ._certificate import certify, conclude, groups_for, look_at_group
from ._curvature import can_use_autograd
from ._evaluator import Evaluator, Skipped, Unusable
from ._look import agrees, look, sizes_of
from ._watch import EVERY, beginning, restart, stands

__all__ = ["Escape"]

_log = logging.getLogger(__name__)

_AGAIN = 8  # steps from a look in vain to the next pair
_CREDIT = 64  # evaluations that looks in vain may cost beyond their share where nothing moves
_TESTS = 8  # and where the gradient is lost in noise: what tests of progress may have cost
# That a move needs. A mini-batch that agrees gives 1; 1.5 where there is no gradient, and so no
# noise of it; 3 where slopes show no noise and its fall is like that of the one that looked.
_POINTS = 6
_PARTS = 1.0, 0.5, 0.25  # of a move: what one mini-batch chose may be too long for another
_SILENT = 1e-3  # a slope along the move is that of noise if it is a larger share of the fall
_DELTA = 0.01  # how often a certificate may err
_STANDS = 1e-3  # a step that lowers the loss by less than this share of it hardly moves

_SENTENCES = {
    "watching": "{steps} steps; the run has not stood still, and nobody has looked",
    "moving": "a look at step {at} found a way down on its mini-batch; {agreed} others agree so "
              "far, and nothing has moved yet",
    "moved": "after a look at step {at} moved by {length:.3g}, along which the loss of a fresh "
             "mini-batch falls by {fall:.3g}",
    "refused": "a look at step {at} found a way down on its mini-batch, and a fresh one did not "
               "agree: nothing was moved",
    "none": "a look at step {at} found no way down: least curvature seen {min_eig:.3g}, gradient "
            "{grad_norm:.3g}, loss {value:.6g}",
    "nonfinite": "a look at step {at} met a loss or gradient that is not finite; lower lr, or go "
                 "back to an earlier state",
    "blind": "the run stands still at step {at}, and nobody can look: give "
             "Escape(inner, loss=lambda: criterion(model(x), y)), or call step(closure)",
    "unusable": "nobody can look at step {at}: {why}; or give Escape(inner, loss=...)",
}


def _memory():
    """What a wrapper knows before its first step; no nan, which would not equal itself loaded."""
    return {"steps": 0, "looks": 0, "evaluations": 0, "in_vain": 0, "vain_before": 0,
            "moves": 0, "refused": 0, "agreed": 0, "points": 0.0, "promised": 0.0,
            "certifying": 0, "testing": False, "quiet": False, "forget": False,
            "scale": math.inf,
            "status": "watching", "at": 0, "why": "", **beginning(0),
            "value": None, "grad_norm": None, "min_eig": None, "length": None, "fall": None}


class Escape(Optimizer):
    r"""Let any optimizer train, and move it on where it stands still at a saddle.

    ::

        optimizer = Escape(torch.optim.AdamW(model.parameters(), lr=1e-3),
                           loss=lambda: criterion(model(x), y))

    All else stays: ``optimizer.step()`` after ``backward``, or ``optimizer.step(closure)``.

    **Idea.** Exactly at a saddle the gradient vanishes, and every method that steps by gradients
    stays there for ever: in a network with symmetric or dead units, at a factorization from zero.
    *Watch*: the inner product of two successive gradients, every 50 steps, says without a unit
    whether a run still goes anywhere. *Look*, where it does not: a few Lanczos steps on the loss of
    the mini-batch find the direction of least curvature; where the Hessian shows nothing, as at a
    degenerate saddle, a draw in the proportions of an initialization and a few steps down from it
    take its place. The length comes from the loss. *Judge*: only a fall counts that the slope does
    not explain, and the parameters move only after the loss of the *next* mini-batch falls along
    the same move too, or along a part of it: two in a row if each sees a fall much like the one
    that the look promised, and next to no slope, and up to six if not. So a false alarm changes
    nothing, not by a bit, and on mini-batches whose loss is convex nothing ever moves.

    **What it costs.** While the run moves, an inner product of some 16,000 numbers every 50 steps.
    A look takes some 10 to 40 evaluations of the loss and keeps up to 36 copies of the parameters
    while it lasts. Looks in vain, moves that were refused counted in, cost at most ``overhead`` of
    all gradients and one look more; 64 evaluations more where the run does not move at all.

    **The contract.** It is an `torch.optim.Optimizer`. ``param_groups``, ``state`` and ``defaults``
    are those of ``inner``, so that schedulers may hold either. What the wrapper remembers is in
    ``param_groups[0]["escape"]``: a checkpoint of the bare optimizer loads into a wrapped one, and
    back. The loss is not part of a checkpoint, a pickle or a copy; set ``optimizer.loss`` again.
    A GradScaler, accumulation, clipping and closures work as ``inner`` has them.
    Complex parameters, and those with sparse gradients, are left to ``inner``: neither watched nor
    moved. A certificate that is open is not part of a checkpoint.

    **Related work.** Chee & Toulis 2018, after Pflug 1990, test by inner products of successive
    gradients whether SGD has become stationary. `saddlelib.curvature` has what Lanczos proves. The
    look at a degenerate saddle and the judge are ours.

    **Many machines.** Under DistributedDataParallel and FSDP2 (`fully_shard`) all ranks watch,
    look, move and judge alike, bit for bit, by the mean of their losses. Give every rank the same
    settings. Where the loss is None on one rank, all say that nobody can look, and go on. An error
    on one rank ends it there; the others end by the time-out of their group. L-BFGS itself decides
    by what its closure returns: let that be the mean over ranks. Shards of
    FullyShardedDataParallel, the older kind, are refused, and by `torch.optim.Muon` all shards.

    **Checkpoints** hold what a run needs to go on as if it had not stopped, also with a move that
    waits for its judgement. `torch.distributed.checkpoint.load` reads only what a fresh optimizer
    has too, and ``flatten_optimizer_state_dict`` saves only that: a move that waits is lost then,
    and the next step looks again; of half a pair of gradients the other half begins anew.

    Parameters
    ----------
    inner : torch.optim.Optimizer
        Any, also of another package.
    loss : callable, optional
        Returns the loss of the present mini-batch, without ``backward``; called at looks only. From
        the beginning of a step to its end it has to be that of one mini-batch; with Lightning keep
        the batch in ``on_train_batch_start``. Without it the closure of `step` is
        used. With neither nobody can look, and the first look that would be due warns.
    overhead : float
        In (0, 1]: the share of evaluations that looks in vain may cost.
    certify : bool
        After a look in vain also certify the curvature at that point, on the eight mini-batches
        that follow; see ``certificate``. This needs ``loss``. It costs up to 43 Hessian-vector
        products on each, of which all together cost at most ``overhead``, and one certificate more.
        Not on many machines; there call `certify` with its ``lipschitz_hess``.
    seed : int
        Not negative; all that is drawn depends on it and on a counter in the memory.
    process_group
        Of the ranks that share a batch; all by default.

    Attributes
    ----------
    counts : dict
        What it saw and did.
    message : str
        The same as a sentence.
    certificate : TrainingCertificate or None
        The last one that ``certify=True`` has made.

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the remedy.

    Examples
    --------
    Adam at the saddle x = 0 of Σ (x⁴ − x²): its gradient is zero, and alone it would stay.

    >>> import torch
    >>> x = torch.zeros(3, requires_grad=True)
    >>> def loss():
    ...     return (x**4 - x**2).sum()
    >>> optimizer = Escape(torch.optim.Adam([x], lr=0.05), loss=loss)
    >>> for _ in range(100):
    ...     optimizer.zero_grad()
    ...     loss().backward()
    ...     optimizer.step()
    >>> round(loss().item(), 3), optimizer.counts["moves"]
    (-0.75, 1)
    """

    def __init__(self, inner, loss=None, *, overhead=0.02, certify=False, seed=0,
                 process_group=None):
        for name in ("param_groups", "state", "step", "state_dict"):
            if not hasattr(inner, name):
                raise TypeError(f"inner must be an optimizer such as torch.optim.AdamW("
                                f"model.parameters()), got {type(inner).__name__}, which has no "
                                f"{name}")
        if any(hasattr(p, "_fsdp_flattened")
               for group in inner.param_groups for p in group["params"]):
            raise TypeError("inner has parameters of FullyShardedDataParallel, and a look does not "
                            "know what its shards are parts of; call fully_shard on the model in "
                            "its place")
        if isinstance(inner, Escape):
            raise TypeError("inner is an Escape already; wrap the optimizer inside it once")
        if isinstance(overhead, bool) or not 0 < float(overhead) <= 1:
            raise ValueError(f"overhead must be in (0, 1], got {overhead!r}: the share of "
                             f"evaluations that looks in vain may cost")
        self.inner, self.overhead, self._certifies = inner, float(overhead), bool(certify)
        self.seed, self.process_group = integer("seed", seed, least=0), process_group
        # A state made in the first step can be forgotten; one made at construction is needed.
        self._forgettable = not inner.state or isinstance(inner, torch.optim.LBFGS)
        self.__setstate__({})
        self.loss = loss

    # The contract: an optimizer whose groups and state are the inner's.

    param_groups = property(lambda self: self.inner.param_groups,
                            lambda self, value: setattr(self.inner, "param_groups", value))
    state = property(lambda self: self.inner.state,
                     lambda self, value: setattr(self.inner, "state", value))
    defaults = property(lambda self: self.inner.defaults)

    @property
    def loss(self):
        """The callable that returns the loss of the present mini-batch, or None."""
        return self._held["loss"]

    @loss.setter
    def loss(self, value):
        if value is not None and not callable(value):
            raise TypeError(f"loss must be a callable without arguments that returns the loss of "
                            f"the present mini-batch, got {type(value).__name__}; give "
                            f"loss=lambda: criterion(model(x), y)")
        self._held["loss"] = value

    def __getattr__(self, name):
        # What else an optimizer of another package has, such as train() and eval().
        if name == "inner" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __getstate__(self):
        return {key: vars(self)[key] for key in ("inner", "overhead", "seed", "_forgettable",
                                            "_certifies")}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.__dict__.setdefault("process_group", None)
        # Changed in place and never assigned: frameworks make subclasses that read through to this
        # object, and what is assigned to those is lost.
        self._held = {"loss": None, "first": None, "move": None, "open": None, "certificate": None}
        super().__setstate__({})  # hooks, and the profile of steps

    def __repr__(self):
        return f"Escape({self.inner!r})"

    def zero_grad(self, set_to_none=True):
        """As ``inner``."""
        self.inner.zero_grad(set_to_none)

    def add_param_group(self, param_group):
        """As ``inner``."""
        self.inner.add_param_group(param_group)

    def state_dict(self):
        """That of ``inner``, with the memory of the wrapper in the first group."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        memory = copy.deepcopy(self._s)
        found = self.inner.state_dict()
        found["param_groups"][0]["escape"] = memory
        index = {p: i for i, p in enumerate(self._all())}
        for key in ("move", "first"):
            for p, t in self._held[key] or ():
                if p in index:
                    i = index[p]
                    found["state"][i] = {**found["state"].get(i, {}), f"escape_{key}": t}
        if self._held["move"] or self._held["first"]:
            for i, p in enumerate(self._all()):
                if p.requires_grad:  # torch.distributed.checkpoint asks for all or for none
                    found["state"].setdefault(i, {})
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, found)
            found = found if changed is None else changed
        return found

    def load_state_dict(self, state_dict):
        """Of a wrapped or a bare optimizer."""
        state_dict = dict(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        self.inner.load_state_dict(state_dict)
        loaded = {"move": [], "first": []}
        for p in self._all():
            own = self.inner.state.get(p, {})
            for key, pairs in loaded.items():
                if f"escape_{key}" in own:
                    pairs.append((p, vector.cut(own.pop(f"escape_{key}"), p)))
            if not own:
                self.inner.state.pop(p, None)
        self._held.update({key: pairs or None for key, pairs in loaded.items()})
        self._regain(self._complete())
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def _all(self):
        return [p for group in self.param_groups for p in group["params"]]

    def _seen(self):
        """The parameters that are watched and moved: real numbers with a dense gradient."""
        return [p for p in self._all() if p.grad is not None and p.requires_grad and p.numel()
                and p.dtype.is_floating_point and p.grad.layout is torch.strided]

    @property
    def _s(self):
        """The memory; what an older checkpoint lacks is as at the beginning."""
        group = self.param_groups[0]
        s = group.get("escape")
        if not isinstance(s, dict) or len(s) != _SIZE:
            s = self._complete()
        return s

    def _complete(self):
        """The memory of the first group with just what this version knows."""
        group = self.param_groups[0]
        old = group.get("escape")
        old = old if isinstance(old, dict) else {}
        group["escape"] = {name: old.get(name, value) for name, value in _memory().items()}
        return group["escape"]

    @property
    def counts(self) -> dict:
        """What it saw and did, by name.

        ``steps``; ``looks``; ``evaluations`` of the loss by looks and judgements, and ``in_vain``
        those that led to no move; ``moves`` kept and ``refused``; from the last look ``at`` its
        step, ``value``, ``grad_norm`` and ``min_eig``, the least curvature seen on its mini-batch;
        ``length`` of the last move, and ``fall``, what the loss of a second mini-batch fell by.
        """
        names = ("steps", "looks", "evaluations", "in_vain", "moves", "refused", "at", "value",
                 "grad_norm", "min_eig", "length", "fall")
        return {name: math.nan if self._s[name] is None else self._s[name] for name in names}

    @property
    def message(self) -> str:
        """What the wrapper last saw and did, in a sentence."""
        s = self._s
        return _SENTENCES[s["status"]].format(**{**self.counts, "agreed": s["agreed"],
                                                 "why": s["why"]})

    @property
    def certificate(self):
        """The last certificate that ``certify=True`` has made, or None."""
        return self._held["certificate"]

    def certify(self, loss=None, batches=None, **options):
        """Certify the curvature of a loss at the present parameters, which stay what they are.

        "No negative curvature down to −γ, checked on n samples", with a probability of error and
        no constants; or a direction of negative curvature. ``loss`` and ``batches``, and the
        options ``curvature_tol``, ``failure_prob``, ``lanczos_steps`` and ``lipschitz_hess`` are
        those of `saddlelib.optim.certify`. Without ``loss`` it is that of the present mini-batch.

        Examples
        --------
        >>> import torch
        >>> x = torch.ones(2, dtype=torch.float64, requires_grad=True)
        >>> optimizer = Escape(torch.optim.SGD([x], lr=0.1))
        >>> print(optimizer.certify(lambda: (x**2).sum()).message[:52])
        no negative curvature down to -0, for the loss given
        """
        loss = self.loss if loss is None else loss
        if loss is None:
            raise TypeError("loss must be given: optimizer.certify(lambda: criterion(model(x), y)) "
                            "for one batch, or certify(loss_of_a_batch, loader)")
        sign = -1.0 if self.param_groups[0].get("maximize") else 1.0
        return certify(self._all(), loss, batches, **{
            "seed": self.seed, "process_group": self.process_group, "sign": sign, **options})

    # A step.

    def step(self, closure=None):
        """A step of ``inner``; returns what it returns.

        Where a move was found in the last step and this mini-batch agrees, the parameters move
        first. A closure then gives the gradient at the new point; gradients computed before belong
        to the old one, and ``inner`` waits for the next.
        """
        args, kwargs = (self, closure), {}
        for hook in (*_hooks_before.values(), *self._optimizer_step_pre_hooks.values()):
            changed = hook(self, args, kwargs)
            if changed is not None:
                args, kwargs = changed
                closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if not torch.compiler.is_compiling() and self._sees_nothing():
            self._s["steps"] += 1
            loss = self.inner.step() if closure is None else self.inner.step(closure)
        else:
            loss = self._watched(closure)
        for hook in (*self._optimizer_step_post_hooks.values(), *_hooks_after.values()):
            hook(self, args, kwargs)
        return loss

    step.hooked = True  # not by torch, whose wrapper costs more than all of this

    def _sees_nothing(self):
        """Whether a step has nothing to look at, as most have; so this is quick."""
        s, held, lr = self._s, self._held, self.param_groups[0].get("lr")
        return s["steps"] + 1 < s["first"] and not (
            held["first"] or held["move"] or held["open"] or s["testing"]
            or "found_inf" in vars(self) or lr.__class__ is float and lr == 0.0)

    def _watched(self, closure):
        before = self._before(closure)
        if before is _MOVED:
            return None
        loss = self.inner.step() if closure is None else self.inner.step(closure)
        self._after(closure, loss, before)
        return loss

    @torch._disable_dynamo
    @torch.no_grad()
    def _before(self, closure):
        """Judge a move; or the loss before a step whose progress is in question."""
        s = self._s
        self._regain(s)
        if "found_inf" in vars(self):  # from a GradScaler, for an optimizer that asked for it
            for name in ("grad_scale", "found_inf"):
                if name in vars(self):
                    setattr(self.inner, name, vars(self)[name])
        if not (self._held["move"] or self._held["open"] or s["testing"] or s["forget"]
                ) or self._rests():
            return None
        if self._held["open"] is not None:
            self._certify_on(s)
        if self._held["move"] is not None and self._judge(s, closure):
            if closure is None:
                s["steps"] += 1
                return _MOVED
            for p in self._all():  # and a closure without a backward leaves it so
                p.grad = None
        if s["forget"]:  # only now: torch.distributed.checkpoint would make a state by a step
            s["forget"] = False
            self.inner.state.clear()
        if s["testing"] and self.loss is not None:
            return self._asking(s, None, lambda ask: ask.sign * ask.value())
        return None

    def _rests(self):
        """Whether nothing is to move; so torch.distributed.checkpoint makes a state, by a step."""
        rates = [group.get("lr") for group in self.param_groups]  # None: the inner finds its own
        return all(lr is not None and float(lr) == 0.0 for lr in rates)

    @torch._disable_dynamo
    @torch.no_grad()
    def _after(self, closure, loss, before):
        """Watch, and look where the run stands still."""
        if "found_inf" in vars(self):
            for name in ("grad_scale", "found_inf"):
                if name in vars(self) and name in vars(self.inner):
                    delattr(self.inner, name)
        s = self._s
        if self._rests() or all(p.grad is None for p in self._all()):
            return  # as for a batch that was skipped
        s["steps"] += 1
        if self._held["move"] is not None:  # and waits for more mini-batches to agree
            return
        if s["testing"]:
            s["testing"] = False
            if not self._advances(s, closure, loss if before is None else before):
                self._look(s, closure)
            return
        seen = stands(s, self._held, self._seen(), self.process_group)
        earned = self.overhead * s["steps"] + (_TESTS if seen == "noise" else _CREDIT)
        if seen is not None and s["in_vain"] <= earned:
            s["testing"] = seen == "perhaps"
            if not s["testing"]:
                self._look(s, closure)

    def _advances(self, s, closure, before):
        """Whether the step that was just made lowered the loss of its own mini-batch notably."""
        values = self._asking(s, closure, lambda ask: (ask.number(before), ask.value()))
        if values is None:
            return True  # nobody can look
        before, after = values
        # A constant in the loss is no scale; what it fell by at a move is one.
        scale = min(max(abs(before), abs(after)), s["scale"])
        return not math.isfinite(scale) or abs(after - before) > _STANDS * scale

    def _regain(self, s):
        """Look again for a move that did not come with a checkpoint, or whose parameters left."""
        if self._held["move"] is not None:
            here = {p for p in self._all() if p.requires_grad}
            if not all(p in here for p, _ in self._held["move"]):
                self._held["move"] = None  # replaced or frozen meanwhile
        if s["status"] == "moving" and self._held["move"] is None:
            s["status"] = "watching"
            restart(s, self._held)

    def _asking(self, s, closure, question, params=None):
        """The answer to a question about the loss; None where nobody can be asked."""
        if self.loss is None and closure is None:
            self._cannot(s, "blind")
            return None
        params = params or self._seen() or self._all()
        sign = -1.0 if self.param_groups[0].get("maximize") else 1.0
        ask = Evaluator(params, self.loss, closure if self.loss is None else None,
                        process_group=self.process_group, sign=sign)
        try:
            with ask:
                return question(ask)
        except Unusable as why:  # on all ranks
            if isinstance(why, Skipped) and s["value"] is not None:  # it has been asked before
                return None
            s["why"] = str(why)
            self._cannot(s, "unusable")
            return None
        finally:
            s["evaluations"] += ask.calls
            s["in_vain"] += ask.calls

    def _cannot(self, s, status):
        """Say once, loudly, that nobody can look."""
        again = s["status"] == status
        s.update(status=status, at=s["steps"])
        if not again:
            warnings.warn(self.message, RuntimeWarning, stacklevel=6)
        # To try again is cheap, and the loss may be given by then.
        s["first"] = s["steps"] + EVERY

    def _look(self, s, closure):
        s["looks"] += 1
        s["vain_before"] = s["in_vain"]
        params = self._seen()

        def question(ask):
            found = look(ask, sizes_of(params), self.seed, s["looks"])
            if found.move is not None:
                ask.average(found.move)  # processors may differ, and replicas must not
            return found

        found = self._asking(s, closure, question, params)
        if found is None:
            return
        seen = {name: getattr(found, name) for name in ("value", "grad_norm", "min_eig")}
        s.update(looked=True, at=s["steps"], **{
            name: number if math.isfinite(number) else None for name, number in seen.items()})
        if found.move is not None:
            quiet, length = found.slope <= _SILENT * found.fall, vector.norm(found.move)
            # Where the gradient leads as far down, nothing stands still but the learning rate.
            if found.fall <= 2 * s["slope"] * length:
                found.move = None
        if found.move is not None:
            s.update(status="moving", agreed=0, points=0.0, promised=found.fall, quiet=quiet,
                     length=length)
            self._held["move"] = list(zip(params, found.move, strict=True))
        else:
            finite = math.isfinite(found.value) and math.isfinite(found.grad_norm)
            s.update(status="none" if finite else "nonfinite",
                     first=max(s["first"], s["steps"] + _AGAIN))
            if self._certifies and finite and self.loss is not None and (
                    s["certifying"] <= self.overhead * s["steps"]):
                self._open(s, params)
        _log.info("%s", self.message)

    def _open(self, s, params):
        """Begin a certificate, if autograd can see the whole loss."""
        if can_use_autograd(params):
            self._held["open"] = {"at": list(zip(params, vector.clone(params), strict=True)),
                                  "found": [], "step": s["steps"]}
        else:
            warnings.warn("certify=True cannot certify on many machines, where autograd does not "
                          "see the whole loss; call optimizer.certify(loss, batches, "
                          "lipschitz_hess=...)", RuntimeWarning, stacklevel=6)

    def _certify_on(self, s):
        """Let the present mini-batch be the next group of the certificate that is open."""
        opened = self._held["open"]
        params, found = [p for p, _ in opened["at"]], opened["found"]
        options = {"tol": None, "rho": None, "steps": 40, "seed": self.seed}

        def question(ask):
            try:
                return look_at_group(ask, len(found), _DELTA, groups_for(_DELTA), options,
                                     found[:1])
            except ValueError as error:
                raise Unusable(str(error)) from error

        now, vain = vector.clone(params), s["in_vain"]
        vector.copy_(params, [x for _, x in opened["at"]])
        try:
            seen = self._asking(s, None, question, params)
        finally:
            vector.copy_(params, now)
        if seen is None:
            self._held["open"] = None
            return
        s["evaluations"] += 2 * seen.products  # what double backward costs
        s["certifying"] += 2 * seen.products + s["in_vain"] - vain
        s["in_vain"] = vain  # a budget of its own: looks are not later for it
        found.append(seen)
        if len(found) == groups_for(_DELTA):
            self._held.update(open=None, certificate=conclude(found, None, _DELTA))
            _log.info("at step %d: %s", opened["step"], self.certificate.message)

    def _judge(self, s, closure):
        """Let the present mini-batch decide about a move, and make it; whether it was made."""
        pairs, self._held["move"] = self._held["move"], None
        params, move = [p for p, _ in pairs], [t for _, t in pairs]
        verdict = self._asking(s, closure, lambda ask: agrees(ask, move, _PARTS), params)
        if verdict is None:
            if self.loss is None:  # a closure may have skipped this batch
                self._held["move"] = pairs
            return False
        part, fall, slope = verdict
        s["fall"] = fall if math.isfinite(fall) else None
        if part == 0.0:
            # Most likely that mini-batch had bad luck: look again soon, while the budget lasts.
            s.update(status="refused", refused=s["refused"] + 1, looked=False,
                     first=s["steps"] + 1)
            _log.info("%s", self.message)
            return False
        s["agreed"] += 1
        if slope > _SILENT * fall:
            s["quiet"] = False
        if part != 1.0:
            move = vector.scale_(move, part)
            s["length"], s["promised"] = part * s["length"], part * s["promised"]
        alike = s["quiet"] and 0.25 * s["promised"] < fall < 4.0 * s["promised"]
        s["points"] += 3.0 if alike else 1.0 if s["grad_norm"] else 1.5
        if s["points"] < _POINTS:
            self._held["move"] = list(zip(params, move, strict=True))
            return False
        vector.add_(params, move)
        s.update(status="moved", moves=s["moves"] + 1, scale=fall)
        s["in_vain"] = s["vain_before"]
        if self._forgettable:
            s["forget"] = True  # moments and secants belong to another place
        restart(s, self._held)
        _log.info("%s", self.message)
        return True


_MOVED, _SIZE = object(), len(_memory())
