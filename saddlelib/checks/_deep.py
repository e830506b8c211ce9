"""Answers to the exercises of the chapter on deep networks."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad

from ..methods.muon import polar_factor
from ..problems import DeepLinear
from ..theory import rawal2026, saxe2013
from ._numbers import NoAnswerError, array, function, given, returned
from ._table import Exercise, first, near, part

FIRST = "The first is right. "
TWO = "The first two are right. "


def _deep_1():
    """What five layers at 0.1 in a chain of twelve gain from 0.2, or from one layer fewer."""
    larger, fewer, equal = part(0), part(1), part(2)
    eps, depth = 0.1, 12
    wait = rawal2026.critical_depth_time(eps, 5, depth)
    doubled = wait / rawal2026.critical_depth_time(2 * eps, 5, depth)
    less = wait / rawal2026.critical_depth_time(eps, 4, depth)
    return Exercise(("twice ε", "one fewer", "equal at ε ="), [
        *first(near(larger, 8), "Twice ε: ", [
            (near(larger, 1 / 8), "the wait gets shorter, so the factor by which it does is above "
                                  "one."),
            (near(larger, 16) | near(larger, 32), "the exponent is r − 2, and r = 5."),
            (near(larger, 4), "that is r = 4. Here all five layers stay small, only less so."),
            (near(larger, 2), "the wait goes like a power of ε, and the power is not one."),
            (near(larger, 1024), "the twelve layers do not count. Only those that start small do."),
            (near(larger, doubled), "that is the time itself. Here its leading term is wanted."),
        ], "the wait goes like ε to the power −(r − 2). What does twice ε make of it?"),
        *first(near(fewer, 20 / 3), f"{FIRST}One fewer: ", [
            (near(fewer, 10), "that is the power of ε alone. In front of it stands 1/(r − 2), "
                              "which changes, too."),
            (near(fewer, 15), "1/3 stands in front for five small layers, and 1/2 for four. Yours "
                              "exchanges them."),
            (near(fewer, 3 / 20) | near(fewer, 1 / 10), "the wait gets shorter, so the factor by "
                                                        "which it does is above one."),
            (near(fewer, 200 / 3) | near(fewer, 100), "one layer fewer, one power of ε fewer: r is "
                                                      "4 now, not 3."),
            (near(fewer, less), "that is the time itself. Here its leading term is wanted."),
        ], "divide ε⁻³/3 by ε⁻²/2."),
        *first(near(equal, 1 / 12), f"{TWO}Equal: ", [
            (near(equal, 1 / 8), "in front of the powers stand 1/3 and 1/2: one layer fewer gains "
                                 "2/(3ε)."),
            (near(equal, 3 / 16), "that has 3/(2ε). Five small layers wait for ε⁻³/3, and four for "
                                  "ε⁻²/2."),
            (near(equal, 12), "that is 1/ε."),
        ], "twice ε gains 8, whatever ε is, and one layer fewer gains 2/(3ε)."),
    ], "Correct. At 0.1 doubling wins, but not by much; below 1/12 one small layer fewer is worth "
       "more.")


def _deep_2():
    """λ_min where two linear layers are zero: the others stand beside M, or between the zeros."""
    outside, between, both = part(0), part(1), part(2)
    return Exercise(("W₁ = W₂ = 0", "W₁ = W₃ = 0", "W₁ = W₄ = 0"), [
        *first(near(outside, -2), "W₁ = W₂ = 0: ", [
            (near(outside, 2), "there is a way down, so the least eigenvalue is below zero."),
            (near(outside, 0), "three zeros would hide the way down. Two do not: their product is "
                               "of second order."),
            (near(outside, -6), "here D multiplies M itself, and its 3 meets the ½ of M. Which "
                                "entry of DM is the largest?"),
            (near(outside, -1) | near(outside, -4), "a factor of two: along a unit direction f "
                                                    "changes by λ/2, and ⟨A, W₂W₁⟩ is at most "
                                                    "half of ‖A‖."),
            (near(outside, -1.5), "that is the other entry of DM, which is smaller."),
        ], "f changes by −⟨DM, W₂W₁⟩. What is the largest singular value of DM?"),
        *first(near(between, -6), f"{FIRST}W₁ = W₃ = 0: ", [
            (near(between, 6), "below zero, as before."),
            (near(between, -2), "between the zeros D need not meet the entries of M in order: W₁ "
                                "can lead the strong input to the entry 3 of D, and W₃ back."),
            (near(between, -3), "that is D alone. M multiplies it."),
            (near(between, -12) | near(between, -3 / 2), "W₁ and W₃ lead any direction to any "
                                                         "other: the largest of M times the "
                                                         "largest of D."),
        ], "f changes by −⟨M, W₃DW₁⟩, and W₁ and W₃ may turn what they like."),
        *first(near(both, -18), f"{TWO}W₁ = W₄ = 0: ", [
            (near(both, 18), "below zero, as before."),
            (near(both, -6), "two layers stand between the zeros now, and their product counts."),
            (near(both, -12), "the layers between are multiplied, not added: D² has 9."),
            (near(both, -2), "between the zeros nothing has to meet in order: the largest of M "
                             "times the largest of D²."),
            (near(both, 0), "there are four layers, but only two zeros: r = 2."),
        ], "the largest singular value of M times that of W₃W₂ = D²."),
    ], "Correct. Two zeros never hide the way down, and layers that stand between them make it "
       "steeper.")


def _deep_3():
    """Half-times of modes 1 and ¼ of two layers from ε = 10⁻³: gradient flow twice, Muon once."""
    large, small, muon = part(0), part(1), part(2)
    eps = 1e-3
    right = [saxe2013.escape_time(m, eps**2, m / 2) for m in (1.0, 0.25)]
    arrives = math.sqrt(0.125)
    return Exercise(("mode 1", "mode ¼", "mode ¼ with Muon"), [
        *first(near(large, right[0]), "Mode 1: ", [
            (near(large, 2 * right[0]), "p′ = 2p(m − p): two layers grow at once, which halves "
                                        "the time."),
            (near(large, saxe2013.escape_time(1.0, eps, 0.5)), "the strength is the product of "
                                                               "the two, so it begins at ε²."),
            (near(large, 2 * math.log10(1e3), 5e-3) | near(large, math.log10(1e3), 5e-3),
             "the logarithm is the natural one."),
            (near(large, arrives * math.sqrt(4) - eps, 5e-3), "that is the time of Muon."),
        ], "put m = 1, p₀ = ε² = 10⁻⁶ and p = ½ into the time of a mode."),
        *first(near(small, right[1]), f"{FIRST}Mode ¼: ", [
            (near(small, right[0] / 4), "the weaker mode takes longer, not shorter: m stands "
                                        "below."),
            (near(small, right[0]), "1/(2m) stands in front of the logarithm. The weaker mode "
                                    "comes later."),
            (near(small, 4 * right[0]), "nearly. Half of this mode is ⅛, which is nearer to the "
                                        "start: ln(m/ε²), and not ln(1/ε²)."),
            (near(small, 2 * right[1]), "a factor of two: the time is the logarithm over 2m."),
        ], "put m = ¼ and p₀ = 10⁻⁶ into ln(m/p₀ − 1)/(2m)."),
        *first(near(muon, arrives), f"{TWO}Muon: ", [
            (near(muon, 0.125), "that is the strength. It is the product of two equal factors, "
                                "each of which grows at the pace 1: take the root."),
            (near(muon, 0.5, 5e-3), "that is the whole mode. Half of it was asked."),
            (near(muon, math.sqrt(0.5), 5e-3), "that is half of the other mode."),
            (near(muon, right[1]), "that is the time of gradient flow again. Under Muon the "
                                   "factors grow at the pace 1, whatever the gradient is."),
            (near(muon, math.sqrt(0.9 * 0.25), 5e-3), "that is 0.9 of the mode. Here half of it "
                                                      "was asked."),
        ], "both factors are ε + t. When is their product ⅛?"),
    ], f"Correct. {right[0]:.2f}, {right[1]:.1f} and {arrives - eps:.3f}: gradient flow learns "
       "the strong mode first and Muon the weak one.")


def _deep_4():
    """φ of the shifted softplus begins as z²/8; leaky ReLU keeps ‖W₂‖² − ‖W₁‖² = 3."""
    order, coefficient, size = part(0), part(1), part(2)
    return Exercise(("q", "c", "‖W₂‖²"), [
        *first(near(order, 2, 1e-6), "q: ", [
            (near(order, 1, 1e-6), "z/2 is the same in z·s′(z) and in s(z), and drops out."),
            (near(order, 0, 1e-6), "softplus itself would begin with its constant, −ln 2. It has "
                                   "been taken off."),
            (near(order, 3, 1e-6), "softplus has a term z²/8, unlike tanh. An odd q belongs to an "
                                   "odd function."),
        ], "expand s at 0; each term aₖzᵏ of s becomes (k − 1)aₖzᵏ in φ."),
        *first(near(coefficient, 1 / 8), f"{FIRST}c: ", [
            (near(coefficient, 1 / 4), "that is the term of z·s′(z). Take off that of s(z)."),
            (near(coefficient, -1 / 8), "the sign: φ is z·s′(z) minus s(z)."),
            (near(coefficient, 1 / 2), "that is the slope of softplus at 0, which drops out."),
        ], "s = z/2 + z²/8 + …, and a term aₖzᵏ becomes (k − 1)aₖzᵏ."),
        *first(near(size, 9), f"{TWO}‖W₂‖²: ", [
            (near(size, 24), "it is the difference that stays, not the ratio."),
            (near(size, 3), "‖W₂‖² − ‖W₁‖² stays what it was, with its sign: W₂ is the larger "
                            "one to the end."),
            (near(size, 4), "both layers grow."),
            (near(size, -1) | near(size, 1), "it is the difference that stays, not the sum."),
            (near(size, 81), "the norms are squared already."),
        ], "for leaky ReLU φ = 0, so Δ₁ = ‖W₂‖² − ‖W₁‖² stays 4 − 1."),
    ], "Correct. q = 2, as for GELU, and c = ⅛; and 9 − 6 = 4 − 1.")


def _integral(start, end, power, factor, target):
    """The time from one strength to another where p′ = factor·p^power·(target − p)."""
    def inverse(y):
        p = math.exp(y)
        return p ** (1 - power) / (factor * (target - p))
    return quad(inverse, math.log(start), math.log(end), epsabs=0, epsrel=1e-8, limit=200)[0]


def _wait(answer):
    """The time in which gradient flow learns half of a mode, for several depths."""
    answer = function(answer, "(m, eps, depth)")
    for m, eps, L in [(0.6, 0.25, 3), (2.0, 0.01, 3), (1.0, 1e-3, 2), (0.5, 0.05, 2),
                      (0.5, 0.05, 4), (1.5, 0.3, 5), (3.0, 0.25, 6)]:
        got, right = returned(answer(m, eps, L)), saxe2013.escape_time(m, eps**L, m / 2, L)
        if not math.isclose(got, right, rel_tol=5e-3):
            return _wrong_wait(m, eps, L, got, right)
    return "Correct. Within half a per cent for two to six layers."


def _wrong_wait(m, eps, L, got, right):
    """Which mistake leads to the time that a function gave."""
    if not math.isfinite(got):
        return "Yours says that it takes for ever, or gives no number. The whole mode is never " \
               "reached; half of it is."
    if got <= 0:
        return f"A wait is positive; for m = {m:g}, ε = {eps:g}, L = {L} yours says {got:.4g}."
    start, half, power = eps**L, m / 2, 2 - 2 / L
    lost = m - (m - start) / math.sqrt(2)
    lead = math.log(m / eps**L) / (2 * m) if L == 2 else eps ** (2 - L) / ((L - 2) * m)
    for value, hint in (
        (lead, "That is the leading term for ε → 0. Here the time itself is wanted, also where ε "
               "is not tiny: integrate."),
        (_integral(eps, half, power, L, m) if eps < half else math.nan,
         "Yours begins with the strength ε. Each of the L layers is ε, so the strength is ε^L."),
        (_integral(start, half, power, 1, m), "The factor L is missing: each of the L layers "
                                              "grows."),
        (_integral(start, half, 1 - 1 / L, L, m),
         "That is the exponent 1 − 1/L. With it the wait would stay bounded as ε → 0. From "
         "w′ = wᴸ⁻¹(m − wᴸ) and p = wᴸ you get another one."),
        (_integral(start, half, 2 - 1 / L, L, m), "w^(L−1) is p^(1 − 1/L), and it comes in twice: "
                                                  "the exponent is 2 − 2/L."),
        (_integral(start, lost, power, L, m), "Yours ends where the loss is half of what it was. "
                                              "Half of the strength was asked."),
        (_integral(start, 0.9 * m, power, L, m), "Yours ends at 0.9 of the mode. Half of it was "
                                                 "asked."),
        (_integral(start, 0.5, power, L, m) if start < 0.5 < m else math.nan,
         "Yours ends at the strength ½. Half of this mode is m/2."),
        (_integral(start, half, power, L, 1.0) if m < 2 else math.nan,
         "Yours has 1 − p, which is right for m = 1 alone."),
        (math.log(m / start - 1) / (2 * m), "That is the law of two layers, for every depth."),
        (2 * right, "Twice as long as it takes. Is a factor 2 missing?"),
        (right / 2, "Half as long as it takes. Is there a factor 2 too many?"),
    ):
        if math.isclose(got, value, rel_tol=2e-3):
            return hint
    return f"For m = {m:g}, ε = {eps:g} and L = {L} yours says {got:.4g}, and it takes " \
           f"{right:.4g}. If you integrate step by step: is the tolerance finer than the start?"


def _exact(G):
    """The polar factor, and zero for zero."""
    return polar_factor(G, "exact") if G.any() else np.zeros_like(G)


def _through_svd(G):
    U, _, Vt = np.linalg.svd(G, full_matrices=False)
    return U @ Vt


def _crossed(G):
    """U V in place of U Vᵀ, where the shapes allow it."""
    U, _, Vt = np.linalg.svd(G, full_matrices=False)
    return U @ Vt.T if U.shape[1] == Vt.shape[1] else np.zeros_like(G)


class _Layers:
    """A deep linear network as lists of layers, which counts how often its gradient is asked."""

    def __init__(self, problem, start):
        self.problem, self.count = problem, 0
        self.start = [W.copy() for W in problem.unpack(start)]

    def grad(self, layers):
        self.count += 1
        return self.problem.unpack(self.problem.grad(self.problem.pack(layers)))


def _course(network, eta, beta, steps, polar=_exact, *, first=False, nesterov=False, outside=False,
            one_by_one=False):
    """Steps of Muon: as they are meant, or with a common mistake."""
    layers = [W.copy() for W in network.start]
    momenta = [np.zeros_like(W) for W in layers]
    for k in range(steps):
        grads = network.grad(layers)
        for i in range(len(layers)):
            G = network.grad(layers)[i] if one_by_one else grads[i]
            into = polar(G) if outside else G
            momenta[i] = into if first and k == 0 else beta * momenta[i] + (1 - beta) * into
            along = beta * momenta[i] + (1 - beta) * G if nesterov else momenta[i]
            layers[i] = layers[i] - eta * (along if outside else polar(along))
    return layers


def _networks():
    """A random start of two and of three layers, and one whose last layer is zero."""
    rng = np.random.default_rng(6)
    for shape, depth, width, eta, beta, steps, zero in (((4, 3), 2, 3, 0.1, 0.9, 4, False),
                                                        ((4, 5), 3, 2, 0.05, 0.6, 5, False),
                                                        ((5, 4), 2, 2, 0.1, 0.8, 3, True)):
        problem = DeepLinear(rng.normal(size=shape), depth, width)
        network = _Layers(problem, problem.start(0.5, rng))
        if zero:
            network.start[-1][:] = 0
        yield network, eta, beta, steps


def _muon(answer):
    """Muon with the exact polar factor, on layers of a linear network."""
    answer = function(answer, "(grad, layers, eta, beta, steps)")
    with np.errstate(all="ignore"):
        for network, eta, beta, steps in _networks():
            mine = [W.copy() for W in network.start]
            got = _as_layers(given(answer(network.grad, mine, eta, beta, steps)), network.start)
            asked = network.count
            right = _course(network, eta, beta, steps)
            if not _same(got, right):
                return _wrong_muon(network, eta, beta, steps, got)
            if not _same(mine, network.start, 0):
                return "The layers are right, but yours changes the list that it is given, or " \
                       "its matrices. Begin with layers = list(layers), and write W − … in " \
                       "place of W −= …."
            if asked != steps:
                return f"The layers are right, but yours asked {asked} times for the gradients " \
                       f"where {steps} do: once a step, for all layers at once."
    return "Correct. Two layers, three layers, and a start whose last layer is zero."


def _as_layers(got, start):
    """What a reader's function gave, as arrays of the shapes of the layers."""
    try:
        got = [array(W) for W in got]
    except TypeError:
        raise NoAnswerError("Return the list of layers.") from None
    if [W.shape for W in got] != [W.shape for W in start]:
        raise NoAnswerError(f"Return {len(start)} layers of the shapes "
                            f"{', '.join(str(W.shape) for W in start)}; yours have "
                            f"{', '.join(str(W.shape) for W in got) or 'none'}.")
    return got


def _same(ours, theirs, tolerance=1e-4):
    return all(np.abs(A - B).max() <= tolerance for A, B in zip(ours, theirs, strict=True))


def _wrong_muon(network, eta, beta, steps, got):
    """Which mistake leads to the layers that a function gave."""
    if not all(np.isfinite(W).all() for W in got):
        return "Not all entries that yours returns are finite. What does it do with a gradient " \
               "that is zero?"
    plain = {"eta": eta, "beta": beta, "steps": steps}
    for change, hint in (
        ({"steps": 0}, "The layers are as they were. Add the steps."),
        ({"eta": -eta}, "Uphill: a step is W − η·polar(B)."),
        ({"polar": lambda G: G}, "That is gradient descent with momentum: the polar factor is "
                                 "missing."),
        ({"polar": lambda G: G / (np.linalg.norm(G) or 1)},
         "That divides by the norm: the step has the right size, but its singular values are as "
         "unequal as before."),
        ({"polar": np.sign}, "That takes the sign of each entry, which is Adam's way, and depends "
                             "on the basis."),
        ({"polar": polar_factor}, "That is the optimizer's Newton–Schulz iteration, whose singular "
                                  "values are between 0.68 and 1.14. Here they are 1: take the "
                                  "SVD."),
        ({"polar": _crossed}, "The SVD of NumPy gives the third factor transposed already: "
                              "U @ Vt."),
        ({"polar": _through_svd}, "Right, but for a gradient that is zero. NumPy finds singular "
                                  "vectors for it, too, and they mean nothing: stay where B = 0."),
        ({"beta": 0}, "The momentum is missing: B ← βB + (1 − β)G, and the polar factor of B."),
        ({"beta": 1 - beta}, "β and 1 − β are exchanged."),
        ({"first": True}, "Yours begins with B = G. B is zero at first, so that the first gradient "
                          "counts no more than the others."),
        ({"nesterov": True}, "That is Nesterov's momentum. Here it is the polar factor of B "
                             "itself."),
        ({"outside": True}, "Yours takes the mean of polar factors. Take the polar factor of the "
                            "mean."),
        ({"one_by_one": True}, "Your layers move one after the other, each with gradients of those "
                               "that have moved. Take all gradients first."),
        ({"steps": steps - 1}, "One step is missing."),
        ({"steps": steps + 1}, "One step too many."),
    ):
        if _same(got, _course(network, **{**plain, **change})):
            return hint
    off = max(np.abs(A - B).max() for A, B in zip(got, _course(network, **plain), strict=True))
    return f"After {steps} steps on {network.problem!r} an entry is off by {off:.2g}. A step is " \
           "B ← βB + (1 − β)G and W ← W − η·UVᵀ with B = USVᵀ, for each layer."


CHECKS = {
    "deep-1": _deep_1,
    "deep-2": _deep_2,
    "deep-3": _deep_3,
    "deep-4": _deep_4,
    "deep-5": lambda: Exercise(("wait(m, eps, depth)",), code=_wait),
    "deep-6": lambda: Exercise(("muon(grad, layers, eta, beta, steps)",), code=_muon),
}
