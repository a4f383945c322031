"""Mistakes of users: each message names the function or argument, what was given, and what was expected."""

import re

import numpy as np
import pytest

import symc.tensor as T
from lasagne_like import init, layers, objectives, regularization, updates


def network():
    return layers.DenseLayer(layers.InputLayer((None, 10)), 5)


def loss():
    return layers.get_output(network()).sum()


def picture():
    return layers.InputLayer((None, 3, 10))


def twice(x, y):
    return x + y


class Scaled(layers.Layer):
    """A layer of a user, with an annotation and a default outside of it."""

    def __init__(self, incoming, factor: float = None, **kwargs):  # noqa: RUF013
        super().__init__(incoming, **kwargs)
        self.factor = factor


MISTAKES = [
    # an expression or a number for a layer
    (TypeError, lambda: layers.get_output(T.matrix("x")), "expected a layer or a list of layers, got x"),
    (TypeError, lambda: layers.get_all_params(T.matrix("x")), "expected a layer or a list of layers, got x"),
    (TypeError, lambda: layers.get_all_layers(3), "expected a layer or a list of layers, got 3 of type int"),
    (TypeError, lambda: layers.get_output_shape(3), "expected a layer or a list of layers, got 3"),
    (
        TypeError,
        lambda: regularization.regularize_layer_params(T.matrix("x"), regularization.l2),
        "expected a layer or a list of layers, got x",
    ),
    # a number, or a function of something else, for a function
    (
        TypeError,
        lambda: regularization.regularize_layer_params(network(), 0.1),
        "penalty, such as lasagne_like.regularization.l2: expected a function of x, got 0.1",
    ),
    (TypeError, lambda: regularization.apply_penalty(T.vector(), twice), "cannot be called as twice(x)"),
    (TypeError, lambda: regularization.apply_penalty([], regularization.l2, z=2), "cannot be called as l2(x, z)"),
    (TypeError, lambda: layers.ExpressionLayer(picture(), 3), "function: expected a function of input, got 3"),
    # parameters
    (TypeError, lambda: updates.sgd(loss(), network(), 0.1), "get_all_params(network, trainable=True)"),
    (TypeError, lambda: updates.total_norm_constraint(T.vector("v"), 1.0), "expected a list of tensors, got v"),
    # numbers
    (ValueError, lambda: init.Uniform("a"), "range must be a number or a pair (low, high) of numbers, got 'a'"),
    (ValueError, lambda: init.Uniform((1, 2, 3)), "got (1, 2, 3)"),
    (ValueError, lambda: init.Uniform(None), "got None"),
    (ValueError, lambda: init.Sparse(2.0), "sparsity must be a fraction from 0 to 1, got 2.0"),
    (ValueError, lambda: objectives.categorical_accuracy(T.matrix(), T.ivector(), top_k=0), "at least 1, got 0"),
    # no numbers
    (TypeError, lambda: layers.DropoutLayer(picture(), p="0.5"), "DropoutLayer: p='0.5': expected a number"),
    (
        TypeError,
        lambda: layers.GaussianNoiseLayer(picture(), None),
        "GaussianNoiseLayer: sigma=None: expected a number",
    ),
    (TypeError, lambda: layers.SliceLayer(picture(), indices="a"), "SliceLayer: indices='a': expected an integer"),
    (TypeError, lambda: layers.SliceLayer(picture(), 1.5), "SliceLayer: indices=1.5: expected an integer"),
    (TypeError, lambda: layers.FlattenLayer(picture(), "2"), "FlattenLayer: outdim='2': expected an integer"),
    (TypeError, lambda: layers.ConcatLayer([picture()] * 2, axis="1"), "ConcatLayer: axis='1': expected an integer"),
    (
        TypeError,
        lambda: layers.FeaturePoolLayer(picture(), [3]),
        "FeaturePoolLayer: pool_size=[3]: expected an integer",
    ),
    (TypeError, lambda: layers.DenseLayer(picture(), num_units=5.5), "DenseLayer: num_units=5.5: expected an integer"),
    (TypeError, lambda: layers.BatchNormLayer(picture(), alpha="a"), "BatchNormLayer: alpha='a': expected a number"),
    (
        TypeError,
        lambda: layers.BatchNormLayer(picture(), epsilon=None),
        "BatchNormLayer: epsilon=None: expected a number",
    ),
    (
        TypeError,
        lambda: layers.Conv2DLayer((None, 3, 8, 8), "5", 3),
        "Conv2DLayer: num_filters='5': expected an integer",
    ),
    (TypeError, lambda: layers.ElemwiseSumLayer([picture()] * 2, ["a", 1]), "ElemwiseSumLayer: coeffs='a'"),
    (TypeError, lambda: Scaled(picture(), factor="2"), "Scaled: factor='2': expected a number"),
    # another number of axes
    (ValueError, lambda: layers.Upscale2DLayer(picture(), 2), "Expected 4 input dimensions"),
    (ValueError, lambda: layers.Upscale1DLayer((None, 3, 8, 8), 2), "a 1D upscaling layer with input shape"),
]


@pytest.mark.parametrize("kind, act, text", MISTAKES, ids=lambda v: v if isinstance(v, str) else "")
def test_message(kind, act, text):
    with pytest.raises(kind, match=re.escape(text)):
        act()


class Fails(layers.Layer):
    """A layer of a user whose formula fails when it is applied to training data."""

    def get_output_for(self, input, deterministic=True, **kwargs):
        return input if deterministic else T.dot(input, T.constant(np.ones((4, 4), "float32")))

    def get_output_shape_for(self, input_shape):
        return input_shape


def test_errors_of_a_deep_network_name_the_layer():
    below = layers.DenseLayer(network(), 5)
    top = layers.DenseLayer(Fails(below, name="fails"), 3, name="top")
    with pytest.raises(ValueError, match="inner dims") as caught:
        layers.get_output(top, deterministic=False)
    (note,) = caught.value.__notes__
    assert "the output of layer 4 of 5, Fails (name='fails'), made at" in note and "test_mistakes.py" in note
    values = layers.get_all_param_values(top)
    with pytest.raises(ValueError, match=r"parameter top.W has shape .* it belongs to layer 5 of 5, DenseLayer"):
        layers.set_all_param_values(top, [*values[:-2], np.ones((2, 2)), values[-1]])


def test_an_array_is_a_pair_for_uniform():
    """Its halves were taken for two intervals around 0."""
    found = init.Uniform(np.array([2.0, 3.0])).sample((50, 2))
    assert found.min() >= 2 and found.max() <= 3 and found.std() > 0.1


def test_expressions_are_numbers_too():
    half = T.constant(0.5)
    assert layers.DropoutLayer(picture(), p=half).p is half
    assert layers.BatchNormLayer(picture(), alpha=np.float32(0.5)).alpha == 0.5
    assert layers.SliceLayer(picture(), np.int64(1)).output_shape == (None, 3)
    assert layers.SliceLayer(picture(), T.lscalar("i"), axis=1).slice.ndim == 0
    assert Scaled(picture()).factor is None
