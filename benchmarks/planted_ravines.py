"""`analyze` on functions whose growth is known by construction: how often it is wrong.

    python benchmarks/planted_ravines.py                 300 instances, a minute or two
    python benchmarks/planted_ravines.py --seeds 50 60   only some of them

README.md says what the instances are and what the columns mean.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections import Counter

import numpy as np
import scipy.optimize
from _measure import table, versions

from saddlelib.ravine import Growth, analyze

KINDS = ("order 4: sum of squares", "order 4: separable", "order 4: not convex",
         "order 3", "q negative", "order 6", "order 6 in one direction")
FOUND = ("yes", "no", "cannot tell", "error")


class Planted:
    """f(x) = F·(½Σ λᵢ(uᵢ − bᵢ(v))²(1 + w) + c(v) + q(v) + r(v)) of (u, v) = Qᵀ(x − x̄)/X.

    b is quadratic and cubic, w linear, c a cubic form or zero, and r of degree five and six. So the
    floor is u = b(v), and its height c + q + r; where it is of order six, r is 2‖v‖⁶. ``grows``
    says whether f has fourth-order growth at x̄. Even seeds are known by gradients alone, odd ones
    have products as well.
    """

    def __init__(self, seed):
        self.seed, rng = seed, np.random.default_rng(seed)
        self.kind = KINDS[seed % len(KINDS)]
        self.m = m = 1 + (seed // len(KINDS)) % 12
        if m == 1 and self.kind in ("order 4: not convex", "order 6 in one direction"):
            self.m = m = 2
        self.r = r = int(rng.integers(1, 7))
        self.scale, self.size = 10.0 ** rng.uniform(-6, 6), 10.0 ** rng.uniform(-2, 2)
        self.off = 10.0 ** rng.uniform(-12, -3)
        self.walls = 10.0 ** np.concatenate([[0.0], rng.uniform(-3, 1, r - 1)])
        self.turn = np.linalg.qr(rng.standard_normal((r + m, r + m)))[0]
        self.centre = rng.standard_normal(r + m) * rng.integers(0, 2)
        self.bend = rng.standard_normal((r, m, m)) / m, rng.standard_normal((r, m)) / 2
        self.tilt = 0.3 * rng.standard_normal(r + m) / math.sqrt(r + m)
        self.rest = rng.standard_normal(m) / 2 * (not self.kind.startswith("order 6")), 2.0
        self.cubic = np.zeros((m, 4))
        self.grows = self.kind.startswith("order 4")
        self.A, self.weights, self.round = self._form(rng)
        self.products = seed % 2 == 1
        self.by_solver = seed % 3 == 0 and self.kind not in ("order 3", "q negative")

    def _form(self, rng):
        """q(v) = Σ weights (vᵀAv)² + round ‖v‖⁴, with symmetric A."""
        m, kind = self.m, self.kind
        if kind == "order 4: separable":
            A = np.array([np.diag(row) for row in np.eye(m)])
            return A, 10.0 ** rng.uniform(-1, 1, m), 0.0
        one = np.concatenate([np.ones((m + 1) // 2), -np.ones(m // 2)])
        one = one if m > 1 else np.zeros(1)
        Q = np.linalg.qr(rng.standard_normal((m, m)))[0]
        saddle = (Q * one) @ Q.T
        if kind == "order 4: not convex":
            return saddle[None], np.ones(1), 10.0 ** rng.uniform(-2, -0.5)
        if kind == "q negative":
            return saddle[None], np.ones(1), -(10.0 ** rng.uniform(-2, -0.5))
        if kind == "order 6":
            return saddle[None], np.zeros(1), 0.0
        if kind == "order 6 in one direction":
            return saddle[None], np.ones(1), 0.0
        A = rng.standard_normal((m + 1, m, m))
        if kind == "order 3":
            self.cubic = rng.standard_normal((m, 4)) * 10.0 ** rng.uniform(-1, 0)
        return A + A.transpose(0, 2, 1), np.ones(m + 1) / (m + 1), 10.0 ** rng.uniform(-1, 0)

    def _parts(self, z):
        """Value and gradient in (u, v)."""
        u, v = z[:self.r], z[self.r:]
        B, C = self.bend
        wall = u - np.einsum("rij,i,j->r", B, v, v) - C @ v**3
        slope = -(np.einsum("rij,j->ri", B + B.transpose(0, 2, 1), v) + 3 * C * v**2)
        factor, energy = 1 + self.tilt @ z, 0.5 * self.walls @ wall**2
        g = np.concatenate([self.walls * wall, slope.T @ (self.walls * wall)]) * factor
        g += self.tilt * energy
        value = energy * factor
        forms, square = np.einsum("kij,i,j->k", self.A, v, v), v @ v
        value += self.weights @ forms**2 + self.round * square**2
        floor = 4 * np.einsum("k,kij,j->i", self.weights * forms, self.A, v)
        floor = floor + 4 * self.round * square * v
        five, six = self.rest
        value += (five @ v) * square**2 + six * square**3
        floor = floor + five * square**2 + 4 * (five @ v) * square * v + 6 * six * square**2 * v
        along = self.cubic.T @ v
        value += (along**3).sum()
        g[self.r:] += floor + 3 * self.cubic @ along**2
        return value, g

    def _inside(self, x):
        return self.turn.T @ (x / self.size - self.centre)

    def fun(self, x):
        """f(x)."""
        return self.scale * self._parts(self._inside(x))[0]

    def jac(self, x):
        """∇f(x)."""
        return self.scale / self.size * (self.turn @ self._parts(self._inside(x))[1])

    def hessp(self, x, v):
        """∇²f(x)v, by a complex step."""
        z, w = self._inside(x), self.turn.T @ np.asarray(v) / self.size
        g = self._parts(z + 1e-30j * w)[1].imag / 1e-30
        return self.scale / self.size * (self.turn @ g)

    def start(self):
        """The point that `analyze` is given: x̄ and a displacement, or what L-BFGS arrives at."""
        rng = np.random.default_rng(self.seed + 10_000)
        push = rng.standard_normal(self.r + self.m)
        push /= np.linalg.norm(push)
        if self.by_solver:
            with np.errstate(all="ignore"):
                found = scipy.optimize.minimize(
                    lambda x: (self.fun(x) / self.scale, self.jac(x) * self.size / self.scale),
                    self.size * (self.centre + 0.1 * push), jac=True, method="L-BFGS-B",
                    options=dict(ftol=0, gtol=1e-12, maxiter=2000, maxfun=4000)).x
            # Where 1 + w changes its sign f has no lower bound, and some runs arrive there.
            if np.linalg.norm(found / self.size - self.centre) < 0.05:
                return found
        return self.size * (self.centre + self.off * push)

    def ask(self):
        """"yes", "no", "cannot tell" or "error", and what was found."""
        given = dict(jac=self.jac, **(dict(hessp=self.hessp) if self.products else {}))
        try:
            found = analyze(None, self.start(), **given)
        except ValueError as error:
            return "error", error
        return {Growth.YES: "yes", Growth.NO: "no"}.get(found.verdict, "cannot tell"), found


def wrong(instance, said):
    """Whether this is a wrong yes or a wrong no; that of order six may be called either not yes."""
    return said == "yes" if not instance.grows else said == "no"


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 300), metavar=("FIRST", "END"))
    parser.add_argument("--verbose", action="store_true", help="a line for each that is not told")
    arguments = parser.parse_args()
    counts, mistakes, begun = Counter(), 0, time.process_time()
    for seed in range(*arguments.seeds):
        instance = Planted(seed)
        said, found = instance.ask()
        counts[instance.kind, said] += 1
        right = said == ("yes" if instance.grows else "no")
        if wrong(instance, said):
            mistakes += 1
            print(f"WRONG {seed} {instance.kind}, m = {instance.m}: {said}: {found}")
        elif arguments.verbose and not right:
            print(f"{seed} {instance.kind} m {instance.m} r {instance.r} off {instance.off:.0e} "
                  f"products {instance.products} f {instance.scale:.0e} x {instance.size:.0e} "
                  f"solver {instance.by_solver}: {said}: {found}")
    rows = [[kind, *(str(counts[kind, said]) for said in FOUND)] for kind in KINDS]
    total = sum(counts.values())
    untold = sum(counts[key] for key in itertools.product(KINDS, FOUND[2:]))
    print(table(["kind", *FOUND], rows))
    print(f"{total} instances, {mistakes} wrong, {untold / total:.0%} not told; "
          f"{time.process_time() - begun:.0f} s of processor time. {versions()}")


if __name__ == "__main__":
    main()
