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
