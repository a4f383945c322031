"""Random graphs of square matrices that are read in both orders: an iteration has one element of each value."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T

MADE = 9


def random_graph(seed: int, x, y, library):
    """The same values by symc (``library`` is its tensor module) or by NumPy."""
    rng = np.random.default_rng(seed)
    values = [x, y, x.T]
    for _ in range(MADE):
        kind = rng.integers(7)
        a, b = (values[k] for k in rng.integers(len(values), size=2))
        if kind == 0:
            made = a + b.T
        elif kind == 1:
            made = a * b
        elif kind == 2:
            made = a + a.T
        elif kind == 3:
            made = library.tanh(a - b)
        elif kind == 4:
            made = library.where(a < b, a.T, 0.5 * b)
        elif kind == 5:
            made = a - a.sum(axis=int(rng.integers(2)), keepdims=True) * 0.25
        else:
            made = a + b.max(axis=int(rng.integers(2)))
        values.append(made * 0.5)
    picked = [values[k] for k in rng.choice(np.arange(3, len(values)), size=3, replace=False)]
    return [*picked, values[-1]]


@pytest.mark.parametrize("start", range(0, 160, 40))
def test_interpreted(start: int) -> None:
    for seed in range(start, start + 40):
        check(seed, "interp", static=bool(seed % 2))


def test_compiled() -> None:
    for seed in range(1000, 1024):
        check(seed, "c", static=bool(seed % 2))


def check(seed: int, device: str, static: bool) -> None:
    rng = np.random.default_rng(seed + 5000)
    n = 5
    arrays = [rng.standard_normal((n, n)) for _ in range(2)]
    inputs = [T.tensor("float64", shape=(n, n) if static else (None, None)) for _ in arrays]
    f = symc.function(inputs, random_graph(seed, *inputs, T), device=device, on_unused_input="ignore")
    for got, want in zip(f(*arrays), random_graph(seed, *arrays, np)):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12, err_msg=f"seed {seed}")
