"""Random programs with shared variables on the emulated GPU, threads in either order; and loops that share a block."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_emulator import emulator
from random_programs import random_program
from test_fuzz import check

import symc
import symc.tensor as T

pytestmark = pytest.mark.usefixtures("emulated_device")


@pytest.mark.parametrize("seed", [*range(5000, 5020), 5167, 5183])
def test_programs_agree_with_numpy(seed):
    with emulator.settings(reverse=bool(seed % 2)):
        check(random_program(seed, ("float64", "float32")[seed % 2]), "cuda", "fast_run")


def test_a_loop_after_a_fold_of_everything_stays_with_it():
    """The second loop reads, through a value loaded outside loops, what the first one accumulated."""
    x = T.tensor(dtype="float32", shape=(6, 7))
    scaled = x / (x.sum() + x.max())
    value = np.random.default_rng(0).random((6, 7), dtype="float32")
    got = symc.function([x], [scaled, scaled.T + 1, x.sum()], device="cuda")(value)
    want = value / (value.sum() + value.max())
    for g, w in zip(got, (want, want.T + 1, value.sum()), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-5)


@pytest.mark.parametrize("count", [3, 7])
def test_more_transposed_operands_than_shared_memory_holds(count, rng):
    """In float64, five tiles fit into what every GPU provides; the others are read in place."""
    xs = [T.dmatrix(f"x{k}") for k in range(count)]
    values = [rng.standard_normal((65, 65)) for _ in xs]
    y = T.dmatrix("y")
    total = y
    for k, x in enumerate(xs):
        total = total + (k + 1) * x.T
    found = symc.function([y, *xs], total, device="cuda")(np.ones((65, 65)), *values)
    want = 1 + sum((k + 1) * v.T for k, v in enumerate(values))
    np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-12)
