import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like import regularization as reg
from lasagne_like.layers import DenseLayer, InputLayer


@pytest.fixture
def layers(float64, rng):
    l_in = InputLayer((None, 3))
    l1 = DenseLayer(l_in, 4, W=rng.randn(3, 4), b=rng.randn(4))
    l2 = DenseLayer(l1, 2, W=rng.randn(4, 2), b=rng.randn(2))
    return l_in, l1, l2


def value(expression):
    return expression.eval({})


def test_penalties():
    x = T.constant(np.array([[1.0, -2.0], [3.0, -4.0]]))
    assert value(reg.l1(x)) == 10
    assert value(reg.l2(x)) == 30


def test_apply_penalty():
    a, b = T.constant(np.array([1.0, -2.0])), T.constant(np.array([3.0]))
    assert value(reg.apply_penalty(a, reg.l2)) == 5
    assert value(reg.apply_penalty([a, b], reg.l2)) == 14
    assert value(reg.apply_penalty([a, b], lambda x, power: T.sum(x**power), power=3)) == 20
    assert reg.apply_penalty([], reg.l2) == 0


def test_layer_params_are_weights_by_default(layers):
    _, l1, l2 = layers
    expected = (l1.W.get_value() ** 2).sum()
    np.testing.assert_allclose(value(reg.regularize_layer_params(l1, reg.l2)), expected)
    expected += (l2.W.get_value() ** 2).sum()
    np.testing.assert_allclose(value(reg.regularize_layer_params([l1, l2], reg.l2)), expected)


def test_layer_params_by_tag(layers):
    _, l1, _ = layers
    expected = abs(l1.b.get_value()).sum()
    penalty = reg.regularize_layer_params(l1, reg.l1, tags={"regularizable": False})
    np.testing.assert_allclose(value(penalty), expected)


def test_layer_params_weighted(layers):
    _, l1, l2 = layers
    half = symc.shared(np.array(0.5))
    expected = 0.5 * (l1.W.get_value() ** 2).sum() + 3 * (l2.W.get_value() ** 2).sum()
    penalty = reg.regularize_layer_params_weighted({l1: half, l2: 3}, reg.l2)
    np.testing.assert_allclose(value(penalty), expected)


def test_network_params(layers):
    _, l1, l2 = layers
    expected = (l1.W.get_value() ** 2).sum() + (l2.W.get_value() ** 2).sum()
    np.testing.assert_allclose(value(reg.regularize_network_params(l2, reg.l2)), expected)
    np.testing.assert_allclose(
        value(reg.regularize_network_params(l2, reg.l1, tags={"trainable": True, "regularizable": False})),
        abs(l1.b.get_value()).sum() + abs(l2.b.get_value()).sum(),
    )
