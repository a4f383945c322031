import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like.layers import (
    BiasLayer,
    Conv2DLayer,
    DenseLayer,
    ExpressionLayer,
    InputLayer,
    InverseLayer,
    MaxPool2DLayer,
    NonlinearityLayer,
    ParametricRectifierLayer,
    ScaleLayer,
    get_output,
    prelu,
    rrelu,
    standardize,
)
from lasagne_like.nonlinearities import identity, tanh


def run(layer, x, **kwargs):
    variable = T.tensor(x.dtype.name, shape=(None,) * x.ndim)
    return symc.function([variable], get_output(layer, variable, **kwargs))(x)


@pytest.fixture
def x(rng):
    return rng.randn(2, 3, 4, 5)


SHAPE = (None, 3, 4, 5)


def test_nonlinearity(x, float64):
    np.testing.assert_allclose(run(NonlinearityLayer(InputLayer(SHAPE), tanh), x), np.tanh(x))
    assert np.array_equal(run(NonlinearityLayer(InputLayer(SHAPE)), x), np.maximum(x, 0))
    assert NonlinearityLayer(SHAPE, None).nonlinearity is identity


@pytest.mark.parametrize(
    "axes, shape, spread",
    [("auto", (3,), (3, 1, 1)), ((0, 2), (3, 5), (3, 1, 5)), (0, (3, 4, 5), (3, 4, 5)), (-1, None, None)],
)
@pytest.mark.parametrize("layer_class", [BiasLayer, ScaleLayer, ParametricRectifierLayer])
def test_shared_axes(layer_class, axes, shape, spread, x, rng, float64):
    if shape is None:
        with pytest.raises(ValueError, match=f"{layer_class.__name__} needs specified input sizes"):
            layer_class(SHAPE, shared_axes=axes)
        return
    value = rng.randn(*shape)
    layer = layer_class(InputLayer(SHAPE), value, axes)
    meaning = {
        BiasLayer: lambda x, p: x + p,
        ScaleLayer: lambda x, p: x * p,
        ParametricRectifierLayer: lambda x, p: np.where(x > 0, x, p * x),
    }
    np.testing.assert_allclose(run(layer, x), meaning[layer_class](x, value.reshape(spread)), rtol=1e-12)
    assert layer.get_params(regularizable=True) == []
    assert len(layer.get_params(trainable=True)) == 1


def test_shared_axes_errors():
    with pytest.raises(ValueError, match="do not exist"):
        BiasLayer(SHAPE, shared_axes=(0, 4))
    with pytest.raises(ValueError, match="'auto', 'all'"):
        ParametricRectifierLayer(SHAPE, shared_axes="some")


def test_one_slope_for_all(x, float64):
    layer = ParametricRectifierLayer(InputLayer(SHAPE), shared_axes="all")
    assert layer.alpha.get_value().shape == ()
    np.testing.assert_allclose(run(layer, x), np.where(x > 0, x, 0.25 * x))


def test_the_gradient_of_slopes(x, float64):
    layer = ParametricRectifierLayer(InputLayer(SHAPE))
    variable = T.tensor4()
    gradient = symc.grad(get_output(layer, variable).sum(), layer.alpha)
    np.testing.assert_allclose(symc.function([variable], gradient)(x), np.minimum(x, 0).sum(axis=(0, 2, 3)))


def test_no_bias(x, float64):
    layer = BiasLayer(InputLayer(SHAPE), b=None)
    assert layer.get_params() == []
    assert np.array_equal(run(layer, x), x)


@pytest.mark.parametrize("replace", [prelu, rrelu])
def test_replacing_a_nonlinearity(replace):
    dense = DenseLayer((None, 3), 4, nonlinearity=tanh)
    layer = replace(dense, name="r")
    assert dense.nonlinearity is identity
    assert layer.input_layer is dense
    assert layer.name == "r"


@pytest.mark.parametrize("symbolic", [False, True])
def test_standardize(symbolic, x, float64):
    offset, scale = x.mean(axis=(0, 2, 3)), x.std(axis=(0, 2, 3))
    given = (symc.shared(offset, shape=(3,)), symc.shared(scale, shape=(3,))) if symbolic else (offset, scale)
    layer = standardize(InputLayer(SHAPE), *given)
    result = run(layer, x)
    np.testing.assert_allclose(result.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(result.std(axis=(0, 2, 3)), 1)
    assert layer.get_params(trainable=True) == layer.input_layer.get_params(trainable=True) == []


class TestExpression:
    def test_same_shape(self, x, float64):
        layer = ExpressionLayer(InputLayer(SHAPE), lambda x: x**2)
        assert layer.output_shape == SHAPE
        np.testing.assert_allclose(run(layer, x), x**2)

    @pytest.mark.parametrize("shape", ["auto", (None, 3), lambda shape: shape[:2]])
    def test_another_shape(self, shape, x, float64):
        layer = ExpressionLayer(InputLayer(SHAPE), lambda x: x.mean(axis=(2, 3)), output_shape=shape)
        assert layer.output_shape == (None, 3)
        np.testing.assert_allclose(run(layer, x), x.mean(axis=(2, 3)))

    @pytest.mark.parametrize("shape", [None, (None, 4), lambda shape: shape])
    def test_wrong_statements(self, shape):
        layer = ExpressionLayer(SHAPE, lambda x: x.mean(axis=(2, 3)), output_shape=shape)
        with pytest.raises(ValueError, match="contradicts itself"):
            layer.output_shape  # noqa: B018


class TestInverse:
    def test_dense(self, rng, float64):
        l_in = InputLayer((None, 4))
        l1 = DenseLayer(l_in, 3, nonlinearity=None)
        layer = InverseLayer(l1, l1)
        assert layer.output_shape == (None, 4)
        x, W = rng.randn(5, 4), l1.W.get_value()
        np.testing.assert_allclose(run(layer, x), x @ W @ W.T)

    def test_convolution_and_pooling(self, x, float64):
        l_in = InputLayer(SHAPE)
        conv = Conv2DLayer(l_in, 2, 3, nonlinearity=None)
        pool = MaxPool2DLayer(conv, 2, ignore_border=False)
        unpool = InverseLayer(pool, pool)
        layer = InverseLayer(unpool, conv)
        assert unpool.output_shape == conv.output_shape
        assert layer.output_shape == SHAPE
        assert run(layer, x).shape == x.shape
