"""Layers under the names of libraries for GPUs, and what old programs expect of others."""

from types import SimpleNamespace

import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like import init, layers, legacy
from lasagne_like.utils import create_param

RNG = np.random.default_rng(3)


def evaluated(layer, x):
    """The output of a layer for an array in the layer's own order of axes."""
    given = T.TensorType("float64", [None] * x.ndim)()
    return symc.function([given], layer.get_output_for(given))(x)


def correlated(x, w):
    """The cross-correlation (filters, rows, columns) of (channels, rows, columns) with (filters, channels, 3, 3)."""
    patches = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
    return np.einsum("crsij,fcij->frs", patches, w)


@pytest.mark.parametrize("untied", [False, True])
def test_convolution_with_the_batch_last(untied):
    x, w = RNG.normal(size=(4, 6, 5, 2)), RNG.normal(size=(4, 3, 3, 16))
    b = RNG.normal(size=(16, 4, 3) if untied else 16)
    layer = legacy.Conv2DCCLayer(
        (4, 6, 5, None), 16, 3, W=w, b=b, untie_biases=untied, dimshuffle=False, nonlinearity=None
    )
    assert layer.output_shape == (16, 4, 3, None)
    shift = b if untied else b[:, None, None]
    expected = [correlated(x[..., k], w.transpose(3, 0, 1, 2)) + shift for k in range(2)]
    np.testing.assert_allclose(evaluated(layer, x), np.stack(expected, -1), rtol=1e-4, atol=1e-4)


def test_initial_weights_with_the_filters_last():
    layer = legacy.Conv2DCCLayer((4, 9, 9, None), 16, 3, dimshuffle=False)
    weights = layer.W.get_value()
    bound = np.sqrt(6 / ((4 + 16) * 9))  # Glorot: channels and filters, times the receptive field
    assert weights.shape == (4, 3, 3, 16) and 0.9 * bound < np.abs(weights).max() <= bound


def test_pooling_with_the_batch_last():
    x = RNG.normal(size=(3, 5, 5, 2))
    layer = legacy.MaxPool2DCCLayer((3, 5, 5, None), 2, dimshuffle=False)
    assert layer.output_shape == (3, 3, 3, None)
    filled = np.pad(x, [(0, 0), (0, 1), (0, 1), (0, 0)], constant_values=-np.inf)
    expected = filled.reshape(3, 3, 2, 3, 2, 2).max((2, 4))
    np.testing.assert_array_equal(evaluated(layer, x), expected)
    images = legacy.bc01_to_c01b((None, 3, 5, 5))
    assert legacy.c01b_to_bc01(images).output_shape == (None, 3, 5, 5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"filter_size": (3, 5)}, "square filters"),
        ({"stride": (1, 2)}, "square strides"),
        ({"pad": (1, 2)}, "square padding"),
        ({"num_filters": 15}, "multiple of 16"),
        ({"incoming": (None, 7, 9, 9)}, "1, 2, 3 or a multiple of 4"),
    ],
)
def test_limits_of_cuda_convnet(options, message):
    given = {"incoming": (None, 3, 9, 9), "num_filters": 16, "filter_size": 3} | options
    with pytest.raises(NotImplementedError, match=message):
        legacy.Conv2DCCLayer(**given)


@pytest.mark.parametrize("options", [{"pad": 1}, {"ignore_border": True}, {"stride": 3}, {"stride": (1, 2)}])
def test_limits_of_pooling_in_cuda_convnet(options):
    with pytest.raises(NotImplementedError, match="MaxPool2DCCLayer"):
        legacy.MaxPool2DCCLayer((None, 3, 9, 9), 2, **options)


def test_names_of_cudnn_for_volumes():
    volume = (None, 2, 6, 7, 8)
    assert legacy.Conv3DDNNLayer(volume, 4, 3).flip_filters is False
    assert legacy.MaxPool3DDNNLayer(volume, 2).output_shape == (None, 2, 3, 3, 4)
    assert legacy.Pool3DDNNLayer(volume, 2, mode="average_exc_pad").mode == "average_exc_pad"
    assert legacy.SpatialPyramidPoolingDNNLayer((None, 5, None, None)).output_shape == (None, 5, 21)
    for kind, shape in ((legacy.MaxPool2DDNNLayer, volume[:4]), (legacy.Pool3DDNNLayer, volume)):
        with pytest.raises(NotImplementedError, match="does not support ignore_border=False"):
            kind(shape, 2, ignore_border=False)


def test_kinds_of_exceptions_of_parameters():
    for kind in (RuntimeError, TypeError):
        with pytest.raises(kind):
            create_param({}, (2, 3))
    for kind in (RuntimeError, ValueError):
        with pytest.raises(kind):
            create_param(np.ones((3, 2)), (2, 3))


def test_initialisers_are_found_as_subclasses():
    for kind in (init.Glorot, init.He, init.Constant, init.Orthogonal):
        assert kind in init.Initializer.__subclasses__()


def test_batch_sizes_of_the_networks_of_a_recurrent_layer():
    def of_images(batch):
        return layers.Conv2DLayer(layers.InputLayer((batch, 4, 5, 6)), 7, 3, pad="same")

    state = layers.Conv2DLayer(layers.InputLayer((2, 7, 5, 6)), 7, 3, pad="same")
    sequences = layers.InputLayer((2, 3, 4, 5, 6))
    for batch, precompute in ((2, True), (3, False)):
        with pytest.raises(ValueError, match="batch size"):
            layers.CustomRecurrentLayer(sequences, of_images(batch), state, precompute_input=precompute)
    for batch, precompute in ((6, True), (None, True), (2, False), (None, False)):
        layers.CustomRecurrentLayer(sequences, of_images(batch), state, precompute_input=precompute)


def test_shapes_for_more_inputs_than_a_layer_has():
    pair = [layers.InputLayer((None, 2)), layers.InputLayer((None, 2))]
    added, joined = layers.ElemwiseSumLayer(pair, coeffs=[2, -1]), layers.ConcatLayer(pair)
    assert added.get_output_shape_for([(None, 2), (3, 2), (None, 2)]) == (3, 2)
    assert joined.get_output_shape_for([(None, 2), (3, 5), (3, 1)]) == (3, 8)
    for layer in (added, joined):
        with pytest.raises(ValueError, match="Mismatch"):
            layer.get_output_shape_for([(None, 2), (3, 2), (4, 2)])


def test_normalisation_of_objects_without_a_name():
    top = layers.batch_norm(SimpleNamespace(output_shape=(None, 3), nonlinearity=T.tanh))
    assert top.name is None and top.nonlinearity is T.tanh and top.output_shape == (None, 3)


def test_a_grid_of_unknown_size_cannot_be_precomputed():
    image, moves = layers.InputLayer((None, 3, None, 8)), layers.InputLayer((None, 32))
    with pytest.raises(ValueError, match="precomputed"):
        layers.TPSTransformerLayer(image, moves, precompute_grid=True)
    assert layers.TPSTransformerLayer(image, moves).output_shape == (None, 3, None, 8)


@pytest.mark.parametrize(
    "kind, options, message",
    [
        ("DilatedConv2DLayer", {"pad": "same"}, "requires pad=0"),
        ("DilatedConv2DLayer", {"pad": (1, 0)}, "requires pad=0"),
        ("DilatedConv2DLayer", {"flip_filters": True}, "requires flip_filters=False"),
        ("LocallyConnected2DLayer", {"pad": "valid"}, "requires pad='same'"),
        ("LocallyConnected2DLayer", {"stride": 2}, "requires stride=1 / (1, 1)"),
    ],
)
def test_limits_of_lasagne(kind, options, message):
    getattr(layers, kind)((2, 3, 8, 8), 4, 3, **options)
    with pytest.raises(NotImplementedError) as error:
        getattr(legacy, kind)((2, 3, 8, 8), 4, 3, **options)
    assert message in str(error.value)


def test_layers_within_the_limits_of_lasagne():
    assert legacy.DilatedConv2DLayer((2, 3, 8, 8), 4, 3, pad="valid").output_shape == (2, 4, 6, 6)
    assert legacy.LocallyConnected2DLayer((2, 3, 8, 8), 4, 3).output_shape == (2, 4, 8, 8)
