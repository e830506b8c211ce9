"""JAX's arrays come in and go out through NumPy; its derivatives are used where it is installed."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from saddlelib.doors.objective import objective


class Duck:
    """What NumPy sees of a float32 array of JAX, and nothing that it could compute with."""

    def __init__(self, array):
        self._array = np.asarray(array, np.float32)
        self.dtype, self.shape, self.ndim = self._array.dtype, self._array.shape, self._array.ndim

    def __array__(self, dtype=None, copy=None):
        return self._array.astype(dtype or np.float32)


def test_arrays_that_numpy_can_read_come_in_and_go_out():
    x0 = Duck([[0.5, 1.0], [2.0, -1.0]])
    found = objective(lambda x: Duck((x**4).sum()), x0, jac=lambda x: Duck(4 * x**3),
                      hessp=lambda x, v: Duck(12 * x**2 * v))
    x = found.x0
    assert x.dtype == float and x.tolist() == [0.5, 1, 2, -1]
    assert found.oracle.fun(x) == np.float32((x**4).sum())
    assert found.oracle.grad(x).dtype == float and found.oracle.grad(x).tolist() == [0.5, 4, 32, -4]
    assert found.oracle.hvp(x, np.ones(4)).tolist() == [3, 12, 48, 12]
    assert found.restore(x).tolist() == [[0.5, 1], [2, -1]]
    assert found.notes()[0].startswith("fun, hessp and jac answer in float32")


WITHOUT = """
import sys
sys.modules["jax"] = None
from saddlelib.doors.objective import objective
try:
    objective(lambda x: (x**2).sum(), [1.0, 2.0], jac="jax")
except ImportError as error:
    print(error)
"""


def test_without_jax_it_is_said_what_to_install():
    run = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True,
                         check=True)
    assert 'jac="jax" needs JAX: pip install jax' in run.stdout


WITH = """
import sys
import numpy as np, jax, jax.numpy as jnp, saddlelib
from saddlelib.doors.objective import objective
double = sys.argv[1] == "64"
jax.config.update("jax_enable_x64", double)
half = np.random.default_rng(0).standard_normal((6, 2))
M = jnp.asarray(half @ half.T)
def loss(X, c):
    return c * ((X @ X.T - M)**2).sum() / 4
for x0, jac in ((np.zeros((6, 2)), "jax"), (jnp.zeros((6, 2)), None)):
    result = saddlelib.minimize(loss, x0, args=2.0, jac=jac, rng=0)
    assert result.success and result.x.shape == (6, 2) and result.fun < 1e-6, result
    assert type(result.x) is np.ndarray and result.x.dtype == float
    assert ("jax_enable_x64" in result.message) == (not double), result.message
found = objective(loss, half + 1, args=2.0, jac="jax")
x, v = found.x0, np.cos(np.arange(12))
X, V = half + 1, v.reshape(6, 2)
R = X @ X.T - half @ half.T
assert np.allclose(found.oracle.grad(x), 2 * (R @ X).ravel(), rtol=1e-12 if double else 1e-4)
HV = 2 * (R @ V + (X @ V.T + V @ X.T) @ X)
assert np.allclose(found.oracle.hvp(x, v), HV.ravel(), rtol=1e-12 if double else 1e-3)
assert found.oracle.unit == (2.0**-53 if double else 2.0**-24)
given = objective(loss, x0, args=2.0, jac=jax.grad(loss)).oracle
assert np.allclose(given.grad(x), found.oracle.grad(x))
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.parametrize("bits", ["64", "32"])
def test_derivatives_of_jax_are_exact_and_float32_is_said(bits):
    subprocess.run([sys.executable, "-c", WITH, bits], check=True)
