"""Every case of every op on the emulated GPU, against what the case expects; and its first and second derivatives,
against the C back end, which other tests hold against central differences."""

from __future__ import annotations

import numpy as np
import pytest
from test_ops import CASES, GRAD_CASES, as_list, compare, expected, fill, variables

import symc
import symc.tensor as T
from symc.graph.dtypes import is_float

pytestmark = pytest.mark.usefixtures("emulated_device")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_value(case, dtype):
    rng = np.random.default_rng(7)
    arrays = [fill(a, dtype, rng) for a in case.args]
    # known shapes for one dtype, symbolic ones for the other: both ways for every case, at half the compilations
    inputs = variables(case, arrays, static=case.static and dtype == "float64")
    with symc.config.change(floatX=dtype):
        out = as_list(case.build(*inputs))
        want = expected(case, arrays)
        f = symc.function(inputs, out, device="cuda", on_unused_input="ignore")
        assert f.device == "cuda"
        compare(case, f(*arrays), want, out, "cuda")


@pytest.mark.parametrize("case", GRAD_CASES)
def test_gradients(case):
    rng = np.random.default_rng(11)
    arrays = [fill(a, "float64", rng) for a in case.args]
    inputs = variables(case, arrays, False)
    with symc.config.change(floatX="float64"):
        wrt = [inputs[k] for k, a in enumerate(arrays) if is_float(a.dtype.name)]
        outputs = [o for o in as_list(case.build(*inputs)) if is_float(o.dtype)]
        first = symc.grad(sum(T.sum(o * o) for o in outputs), wrt, disconnected_inputs="ignore")
        second = symc.grad(sum(T.sum(g * g) for g in first), wrt, disconnected_inputs="ignore")
        on = [symc.function(inputs, first + second, device=d, on_unused_input="ignore") for d in ("cuda", "c")]
    for got, want in zip(on[0](*arrays), on[1](*arrays)):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)
