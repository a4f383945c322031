"""Every case of every op on the emulated GPU, against what the case expects; and its first and second derivatives,
against the C back end, which other tests hold against central differences."""

from __future__ import annotations

import numpy as np
import pytest
from test_ops import CASES, GRAD_CASES, as_list, check_compiled, fill, grouped, variables

import symc
import symc.tensor as T
from symc.graph.dtypes import is_float

pytestmark = pytest.mark.usefixtures("emulated_device")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("group", grouped(CASES))
def test_value(group, dtype):
    # known shapes for one dtype, symbolic ones for the other: both ways for every case, at half the compilations
    check_compiled(group, dtype, "cuda", (False,) if dtype == "float32" else (True,))


@pytest.mark.parametrize("group", grouped(GRAD_CASES, 4))
def test_gradients(group):
    inputs, arrays, outputs, names = [], [], [], []
    with symc.config.change(floatX="float64"):
        for name, case in group:
            rng = np.random.default_rng(11)
            values = [fill(a, "float64", rng) for a in case.args]
            made = variables(case, values, False)
            wrt = [made[k] for k, a in enumerate(values) if is_float(a.dtype.name)]
            out = [o for o in as_list(case.build(*made)) if is_float(o.dtype)]
            first = symc.grad(sum(T.sum(o * o) for o in out), wrt, disconnected_inputs="ignore")
            second = symc.grad(sum(T.sum(g * g) for g in first), wrt, disconnected_inputs="ignore")
            inputs += made
            arrays += values
            outputs += first + second
            names += [name] * (2 * len(wrt))
        on = [symc.function(inputs, outputs, device=d, on_unused_input="ignore") for d in ("cuda", "interp")]
    for name, got, want in zip(names, on[0](*arrays), on[1](*arrays), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9, err_msg=name)
