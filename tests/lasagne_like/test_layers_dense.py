import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like.init import Constant
from lasagne_like.layers import DenseLayer, InputLayer, NINLayer, get_output
from lasagne_like.nonlinearities import identity, tanh


def run(layer, x):
    variable = T.tensor(x.dtype.name, shape=(None,) * x.ndim)
    return symc.function([variable], get_output(layer, variable))(x)


@pytest.mark.parametrize(
    "shape, leading, trailing, reshaped",
    [
        ((None, 3), 1, 3, (-1, 3)),
        ((None, 3, 4), 1, 12, (-1, 12)),
        ((None, 3, 4), 2, 4, (5, 3, 4)),
        ((None, 3, 4), -1, 4, (5, 3, 4)),
        ((None, 3, 2, 4), -2, 8, (5, 3, 8)),
        ((None, None, 4), 2, 4, (5, -1, 4)),
    ],
)
def test_dense(shape, leading, trailing, reshaped, rng, float64):
    W, b = rng.randn(trailing, 6), rng.randn(6)
    layer = DenseLayer(InputLayer(shape), 6, W, b, nonlinearity=tanh, num_leading_axes=leading)
    x = rng.randn(5, *(size or 7 for size in shape[1:]))
    np.testing.assert_allclose(run(layer, x), np.tanh(x.reshape(reshaped) @ W + b), rtol=1e-10)


def test_dense_defaults():
    layer = DenseLayer((None, 3), 6, name="d")
    assert [(p.name, p.static_shape) for p in layer.get_params()] == [("d.W", (3, 6)), ("d.b", (6,))]
    assert layer.get_params(regularizable=True) == [layer.W]
    assert len(DenseLayer((None, 3), 6, b=None).get_params()) == 1
    assert DenseLayer((None, 3), 6, nonlinearity=None).nonlinearity is identity


@pytest.mark.parametrize(
    "shape, leading, message",
    [
        ((None, 3), 2, "leaving no trailing axes"),
        ((None, 3), -3, "more trailing axes than there are"),
        ((3, None), 1, "fixed input shape"),
        ((None, 3, None), -1, "fixed input shape"),
    ],
)
def test_dense_errors(shape, leading, message):
    with pytest.raises(ValueError, match=message):
        DenseLayer(shape, 6, num_leading_axes=leading)


@pytest.mark.parametrize("untied", [False, True])
def test_nin(untied, rng, float64):
    W = rng.randn(3, 6)
    b = rng.randn(6, 4, 5) if untied else rng.randn(6)
    layer = NINLayer(InputLayer((None, 3, 4, 5)), 6, untied, W, b, nonlinearity=tanh)
    x = rng.randn(2, 3, 4, 5)
    expected = np.einsum("bchw,cu->buhw", x, W) + (b if untied else b[:, None, None])
    np.testing.assert_allclose(run(layer, x), np.tanh(expected), rtol=1e-10)


def test_nin_of_other_dimensionalities(rng, float64):
    x = rng.randn(2, 3, 4)
    W = rng.randn(3, 6)
    layer = NINLayer(InputLayer((None, 3, 4)), 6, W=W, b=None, nonlinearity=None)
    np.testing.assert_allclose(run(layer, x), np.einsum("bcl,cu->bul", x, W))


def test_untied_biases_need_sizes():
    with pytest.raises(ValueError, match="unknown dimension"):
        NINLayer((None, 3, None, 5), 6, untie_biases=True, b=Constant())
