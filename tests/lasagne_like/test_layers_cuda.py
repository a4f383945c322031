"""Every layer over its cases on the emulated GPU: outputs and gradients as on the CPU, with the same random bits."""

import numpy as np
import pytest
from test_layers_cases import ALL, build, sample

import lasagne_like
import symc
import symc.tensor as T
from lasagne_like import layers as L

pytestmark = pytest.mark.usefixtures("emulated_device")


@pytest.mark.parametrize("cls, shapes, args, kwargs", ALL)
def test_layers_agree_with_the_cpu(cls, shapes, args, kwargs):
    results = []
    for device in ("cuda", "interp"):
        rng = np.random.RandomState(5)
        lasagne_like.random.set_rng(np.random.RandomState(3))
        inputs, layer = build(cls, shapes, args, kwargs)
        output = L.get_output(layer)
        variables = [each.input_var for each in inputs]
        wrt = [v for v in variables if "float" in v.dtype] + layer.get_params(trainable=True)
        gradients = symc.grad(T.sum(T.sin(output)), wrt, disconnected_inputs="ignore")
        f = symc.function(variables, [output, *gradients], device=device)
        given = list(sample(inputs, rng))
        results.append([f(*given), f(*given), [p.get_value() for p in layer.get_params()]])
    for there, here in zip(*results):
        for got, want in zip(there, here, strict=True):
            # Sums of terms as large as those of others are as far from exact.
            largest = np.abs(want[np.isfinite(want)]).max(initial=1.0)
            np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5 * largest)
