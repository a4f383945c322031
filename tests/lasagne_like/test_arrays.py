"""Layers applied to arrays: ``layer.get_output_for(array)``."""

import numpy as np
import pytest

import symc.tensor as T
from lasagne_like import layers
from lasagne_like.descent import get_or_compute_grads
from symc import shared
from symc.graph.evaluate import evaluate

IMAGES = (2, 6, 8, 8)

LAYERS = [
    layers.BatchNormLayer,
    layers.DenseLayer,
    layers.DilatedConv2DLayer,
    layers.FeaturePoolLayer,
    layers.FeatureWTALayer,
    layers.FlattenLayer,
    layers.GlobalPoolLayer,
    layers.LocallyConnected2DLayer,
    layers.NINLayer,
    layers.PadLayer,
    layers.SpatialPyramidPoolingLayer,
    layers.TransposedConv2DLayer,
    layers.Upscale2DLayer,
]
ARGUMENTS = {
    "DenseLayer": (3,),
    "DilatedConv2DLayer": (3, 3),
    "FeaturePoolLayer": (2,),
    "FeatureWTALayer": (2,),
    "LocallyConnected2DLayer": (3, 3),
    "NINLayer": (3,),
    "PadLayer": (1,),
    "TransposedConv2DLayer": (3, 3),
    "Upscale2DLayer": (2, "dilate"),
}


@pytest.mark.parametrize("layer_class", LAYERS)
def test_an_array_is_a_constant(layer_class: type) -> None:
    images = np.random.default_rng(1).normal(size=IMAGES).astype("float32")
    layer = layer_class(IMAGES, *ARGUMENTS.get(layer_class.__name__, ()))
    given, expected = layer.get_output_for(images), layer.get_output_for(T.constant(images))
    assert given.static_shape == expected.static_shape == layer.output_shape
    np.testing.assert_array_equal(*evaluate([given, expected], {}))


def test_arrays_of_a_merge_layer() -> None:
    left, right = np.ones((2, 3), "float32"), np.zeros((2, 4), "float32")
    joined = layers.ConcatLayer([left.shape, right.shape]).get_output_for([left, right])
    np.testing.assert_array_equal(*evaluate([joined], {}), np.concatenate([left, right], axis=1))


def test_a_formula_of_operators_keeps_arrays() -> None:
    array = -np.ones((2, 3), "float32")
    assert layers.BiasLayer(array.shape, b=None).get_output_for(array) is array


def test_a_layer_with_unknown_sizes_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="A LocallyConnected2DLayer requires a fixed input shape"):
        layers.LocallyConnected2DLayer((10, None, 4, 4), 4, 3, channelwise=True)


def test_gradients_that_are_given_are_returned() -> None:
    params = [shared(np.zeros(3, "float32")), shared(np.zeros(2, "float32"))]
    grads = [param * 2 for param in params]
    assert get_or_compute_grads(grads, params) is grads
    assert get_or_compute_grads(tuple(grads), params) == grads
