"""Every layer over its cases: the inferred shape against the computed one, and gradients against differences.

A layer without cases fails the suite. Sizes are distinct, so that no axis can be taken for another.
"""

import copy
import inspect
import pickle

import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like import layers as L
from lasagne_like.init import Normal
from lasagne_like.nonlinearities import softmax, tanh

FLAT, LINE, IMAGE, VOLUME = (None, 6), (None, 4, 9), (None, 4, 9, 11), (None, 2, 3, 5, 4)


class Made:
    """An argument that is made anew for each layer: a network inside it."""

    def __init__(self, make):
        self.make = make


def convolution(channels):
    return Made(lambda: L.Conv2DLayer(L.InputLayer((None, channels, 5, 6)), 7, 3, pad="same", nonlinearity=None))


# layer class -> list of (input shape or shapes, positional arguments, keyword arguments)
CASES = {
    L.DenseLayer: [
        (FLAT, (5,), {}),
        (IMAGE, (5,), {}),
        (LINE, (5,), {"num_leading_axes": 2}),
        (FLAT, (5,), {"b": None, "nonlinearity": softmax}),
    ],
    L.NINLayer: [(IMAGE, (5,), {}), (LINE, (5,), {"untie_biases": True}), (FLAT, (5,), {})],
    L.EmbeddingLayer: [((None, 3), (7, 5), {})],
    L.Conv1DLayer: [(LINE, (5, 3), {}), (LINE, (5, 3), {"stride": 2, "pad": "same", "untie_biases": True})],
    L.Conv2DLayer: [
        (IMAGE, (5, (3, 2)), {}),
        (IMAGE, (5, 3), {"stride": (2, 3), "pad": "full"}),
        (IMAGE, (6, 3), {"num_groups": 2, "pad": (2, 1), "flip_filters": False}),
        ((None, 4, None, 11), (5, 3), {"pad": "same"}),
    ],
    L.DilatedConv2DLayer: [(IMAGE, (5, (3, 2)), {"dilation": (2, 3)})],
    L.MaxPool1DLayer: [(LINE, (2,), {}), (LINE, (2,), {"ignore_border": False})],
    L.Pool1DLayer: [(LINE, (3,), {"stride": 2, "pad": 1, "mode": "average_exc_pad"})],
    L.MaxPool2DLayer: [
        (IMAGE, (2,), {}),
        (IMAGE, ((3, 2),), {"stride": (2, 1), "pad": (1, 0)}),
        ((None, 4, None, 11), (2,), {}),
    ],
    L.Pool2DLayer: [
        (IMAGE, (2,), {"mode": "average_inc_pad"}),
        (IMAGE, (3,), {"stride": 2, "ignore_border": False, "mode": "average_exc_pad"}),
    ],
    L.GlobalPoolLayer: [(IMAGE, (), {}), (LINE, (T.max,), {})],
    L.FeaturePoolLayer: [(IMAGE, (2,), {}), (FLAT, (3,), {"pool_function": T.mean})],
    L.Upscale1DLayer: [(LINE, (3,), {}), (LINE, (3,), {"mode": "dilate"})],
    L.Upscale2DLayer: [(IMAGE, ((2, 3),), {}), (IMAGE, (2,), {"mode": "dilate"})],
    L.DropoutLayer: [(FLAT, (), {}), (IMAGE, (0.3,), {"shared_axes": (2, 3)})],
    L.GaussianNoiseLayer: [(FLAT, (), {})],
    L.RandomAffine: [(IMAGE, (), {}), ((None, 4, None, 11), (), {"edge": 0.5})],
    L.RandomFlip: [(IMAGE, (), {})],
    L.RandomShift: [(IMAGE, (), {})],
    L.RandomZoom: [(IMAGE, (), {})],
    L.RandomRotation: [(IMAGE, (), {})],
    L.RandomContrast: [(IMAGE, (), {})],
    L.RandomBrightness: [(IMAGE, (), {})],
    L.RescaleLayer: [(IMAGE, (), {"mean": (1, 2, 3, 4), "std": 0.5}), (FLAT, (2,), {})],
    L.BatchNormLayer: [(FLAT, (), {}), (IMAGE, (), {}), (IMAGE, (), {"axes": (0, 1), "beta": None})],
    L.StandardizationLayer: [(FLAT, (), {}), (IMAGE, (), {"axes": "features"})],
    L.LocalResponseNormalization2DLayer: [(IMAGE, (), {}), (IMAGE, (0.5,), {"n": 3})],
    L.FlattenLayer: [(IMAGE, (), {}), (IMAGE, (3,), {}), (IMAGE, (1,), {})],
    L.ReshapeLayer: [(IMAGE, (([0], -1),), {}), (IMAGE, ((-1, [3], 2),), {})],
    L.DimshuffleLayer: [(IMAGE, ((3, 0, "x", 2, 1),), {})],
    L.PadLayer: [(IMAGE, (2,), {}), (IMAGE, (((1, 2), 3),), {"val": 0.5}), (LINE, ((1, 2),), {"batch_ndim": 1})],
    L.SliceLayer: [(IMAGE, (1,), {}), (IMAGE, (slice(1, 7, 2), 2), {}), (IMAGE, (-1, 1), {})],
    L.NonlinearityLayer: [(FLAT, (tanh,), {})],
    L.BiasLayer: [(IMAGE, (), {}), (IMAGE, (), {"shared_axes": (0, 2)})],
    L.ScaleLayer: [(IMAGE, (), {}), (FLAT, (), {})],
    L.ExpressionLayer: [(IMAGE, (lambda x: x**2,), {}), (IMAGE, (lambda x: x.sum(axis=2), "auto"), {})],
    L.ParametricRectifierLayer: [(IMAGE, (), {}), (FLAT, (), {"shared_axes": "all"})],
    L.RandomizedRectifierLayer: [(IMAGE, (), {})],
    L.ConcatLayer: [([(None, 4, 9), (None, 5, 9)], (), {}), ([LINE, LINE], (2,), {})],
    L.ElemwiseMergeLayer: [
        ([LINE, LINE], (T.mul,), {}),
        ([LINE, (None, 3, 10)], (T.maximum, [None, "lower", "center"]), {}),
    ],
    L.ElemwiseSumLayer: [([LINE, LINE, LINE], ([1, 2, 3],), {})],
}

# What recurrent layers do with masks and initial states: test_layers_recurrent.py.
CASES |= {
    L.RecurrentLayer: [(LINE, (5,), {}), (LINE, (5,), {"backwards": True, "nonlinearity": tanh, "b": None})],
    L.LSTMLayer: [
        (LINE, (5,), {}),
        (LINE, (5,), {"peepholes": False, "only_return_final": True}),
        ((None, None, 9), (5,), {"precompute_input": False, "backwards": True}),
        (IMAGE, (5,), {"unroll_scan": True, "learn_init": True, "forgetgate": L.Gate(nonlinearity=tanh)}),
    ],
    L.GRULayer: [(LINE, (5,), {"learn_init": True}), (LINE, (5,), {"precompute_input": False, "unroll_scan": True})],
    L.LocallyConnected1DLayer: [(LINE, (5, 3), {}), (LINE, (4, 2), {"pad": 1, "stride": 2, "channelwise": True})],
    L.LocallyConnected2DLayer: [
        (IMAGE, (5, 3), {"untie_biases": True}),
        (IMAGE, (5, (3, 2)), {"pad": "valid", "stride": (2, 3), "flip_filters": False}),
        (IMAGE, (4, 3), {"channelwise": True}),
    ],
    L.LocallyConnected3DLayer: [(VOLUME, (3, (3, 1, 3)), {})],
    L.TransposedConv2DLayer: [
        (IMAGE, (5, (3, 2)), {}),
        (IMAGE, (5, 3), {"stride": (2, 3), "crop": "same", "untie_biases": True}),
        (IMAGE, (6, 3), {"num_groups": 2, "crop": (1, 0), "flip_filters": True}),
        ((None, 4, None, 11), (5, 4), {"stride": 2, "crop": "full"}),
        (IMAGE, (5, 4), {"stride": 2, "output_size": (21, 24)}),
    ],
    L.ChannelScaleLayer: [([IMAGE, (None, 4)], (), {})],
    L.GroupNormLayer: [(IMAGE, (2,), {}), (FLAT, (3,), {"gamma": None})],
    L.RMSNormLayer: [(LINE, (), {}), (IMAGE, ((1, 2),), {})],
    L.MultiHeadAttentionLayer: [
        (LINE, (), {"num_heads": 3}),
        ([LINE, (None, None, 7)], (), {"num_heads": 2, "num_units": 10, "b_key": None, "causal": True}),
    ],
    L.PositionalEmbeddingLayer: [(LINE, (), {}), ((None, None, 9), (13,), {"W": Normal(0.5)})],
    L.Conv3DLayer: [
        (VOLUME, (3, (2, 3, 1)), {"stride": (1, 2, 1), "pad": 1}),
        (VOLUME, (4, 3), {"pad": "same", "num_groups": 2, "untie_biases": True}),
    ],
    L.TransposedConv3DLayer: [(VOLUME, (3, (2, 3, 1)), {"stride": (2, 1, 1), "crop": (0, 1, 0)})],
    L.Pool3DLayer: [(VOLUME, ((1, 2, 2),), {"mode": "average_exc_pad", "ignore_border": False})],
    L.MaxPool3DLayer: [(VOLUME, (2,), {"stride": 1})],
    L.Upscale3DLayer: [(VOLUME, ((2, 3, 1),), {}), (VOLUME, (2,), {"mode": "dilate"})],
    L.FeatureWTALayer: [(IMAGE, (2,), {}), (LINE, (3,), {"axis": 2})],
    L.SpatialPyramidPoolingLayer: [
        (IMAGE, ([3, 1],), {}),
        (IMAGE, (), {"mode": "average_inc_pad", "implementation": "kaiming"}),
        ((None, 4, None, 11), (2,), {}),
    ],
    L.TransformerLayer: [
        ([IMAGE, (None, 6)], (), {}),
        ([IMAGE, (None, 6)], ((2, 1.5), "mirror"), {}),
        ([(None, 4, None, 11), (None, 6)], (1, "wrap"), {}),
    ],
    L.TPSTransformerLayer: [([IMAGE, (None, 18)], (2, 9), {}), ([(None, 4, None, 11), (None, 8)], (1, 4), {})],
    L.CustomRecurrentLayer: [
        ((None, 4, 3, 5, 6), (convolution(3), convolution(7)), {"nonlinearity": tanh}),
        ((None, 4, 3, 5, 6), (convolution(3), convolution(7)), {"precompute_input": False, "only_return_final": True}),
    ],
}

# Bases, the input, and the one whose third input depends on the first (tested with the special layers).
WITHOUT_CASES = {L.Layer, L.MergeLayer, L.BaseConvLayer, L.BaseRecurrentLayer, L.InputLayer, L.InverseLayer}

# Noise is drawn anew in every call, and integers have no gradient.
NOT_DIFFERENTIATED = {
    L.DropoutLayer, L.GaussianNoiseLayer, L.RandomizedRectifierLayer, L.EmbeddingLayer, L.RandomAffine, L.RandomFlip,
    L.RandomShift, L.RandomZoom, L.RandomRotation, L.RandomContrast, L.RandomBrightness,
}  # fmt: skip

ALL = [
    pytest.param(cls, *case, id=f"{cls.__name__}-{k}") for cls, cases in CASES.items() for k, case in enumerate(cases)
]


def test_every_layer_has_cases():
    classes = {c for c in vars(L).values() if inspect.isclass(c) and issubclass(c, L.Layer)}
    assert classes - WITHOUT_CASES == set(CASES)


def build(cls, shapes, args, kwargs):
    dtype = cls.input_dtype or symc.config.floatX
    several = isinstance(shapes, list)
    inputs = [
        L.InputLayer(shape, T.tensor(dtype, shape=(None,) * len(shape))) for shape in (shapes if several else [shapes])
    ]
    args = [each.make() if isinstance(each, Made) else each for each in args]
    if several and "incomings" not in inspect.signature(cls.__init__).parameters:
        return inputs, cls(*inputs, *args, **kwargs)
    return inputs, cls(inputs if several else inputs[0], *args, **kwargs)


def sample(inputs, rng, batch=2):
    for each in inputs:
        shape = (batch, *(13 if size is None else size for size in each.shape[1:]))
        dtype = each.input_var.dtype
        yield rng.randint(0, 5, shape).astype(dtype) if "int" in dtype else rng.uniform(-2, 2, shape).astype(dtype)


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("cls, shapes, args, kwargs", ALL)
def test_inferred_shape_is_the_computed_one(cls, shapes, args, kwargs, deterministic, rng):
    inputs, layer = build(cls, shapes, args, kwargs)
    output = L.get_output(layer, deterministic=deterministic)
    assert output.static_shape == layer.output_shape
    result = symc.function([each.input_var for each in inputs], output)(*sample(inputs, rng))
    assert result.ndim == len(layer.output_shape)
    unknown = 0
    for inferred, computed in zip(layer.output_shape, result.shape, strict=True):
        assert inferred in (None, computed)
        unknown += inferred is None
    loose = max(each.shape.count(None) for each in inputs)
    assert unknown <= loose, "the layer forgets sizes that its input has"
    assert np.isfinite(result).all()


@pytest.mark.parametrize("cls, shapes, args, kwargs", ALL)
def test_gradients_are_central_differences(cls, shapes, args, kwargs, rng, float64):
    if cls in NOT_DIFFERENTIATED:
        pytest.skip("random or not differentiable")
    inputs, layer = build(cls, shapes, args, kwargs)
    output = L.get_output(layer, batch_norm_update_averages=False) if cls is L.BatchNormLayer else L.get_output(layer)
    variables = [each.input_var for each in inputs]
    values = list(sample(inputs, rng, batch=3))
    weights = T.constant(rng.randn(*symc.function(variables, output, device="interp")(*values).shape))
    loss = (output * weights).sum()
    params = layer.get_params(trainable=True)
    for param in params:
        param.set_value(rng.uniform(0.2, 1, param.get_value().shape))
    evaluate = symc.function(variables, loss, device="interp")
    # With the loss beside them, since gradients of linear layers do not depend on the inputs.
    _, *gradients = symc.function(variables, [loss, *symc.grad(loss, variables + params)])(*values)

    steps = [rng.randn(*v.shape) * 1e-6 for v in values] + [rng.randn(*p.get_value().shape) * 1e-6 for p in params]
    expected = sum((g * s).sum() for g, s in zip(gradients, steps))
    start = [p.get_value() for p in params]

    def moved(sign):
        for param, value, step in zip(params, start, steps[len(values) :]):
            param.set_value(value + sign * step)
        return evaluate(*(v + sign * s for v, s in zip(values, steps)))

    difference = (moved(1) - moved(-1)) / 2
    np.testing.assert_allclose(expected, difference, rtol=1e-4, atol=1e-9)


def as_arguments(layer, given):
    """The arguments of the constructor for parameters by name."""
    names = {"input_to_hidden.W": "W_in_to_hid", "input_to_hidden.b": "b", "hidden_to_hidden.W": "W_hid_to_hid"}
    if not isinstance(layer, L.LSTMLayer | L.GRULayer):
        return {names.get(name, name): value for name, value in given.items()}
    found, gates = {}, {}
    for name, value in given.items():
        part, _, gate = name.replace("b_", "b_to_").partition("_to_")
        if gate:
            gates.setdefault(gate, {"W_cell": None})[part] = value
        else:
            found[name] = value
    return found | {
        gate: L.Gate(**parts, nonlinearity=getattr(layer, f"nonlinearity_{gate}")) for gate, parts in gates.items()
    }


WAYS_TO_GIVE = {
    "shared variable": lambda value: symc.shared(value),
    "expression of a shared variable": lambda value: symc.shared(value / 2) * 2,
    "expression of known shape": lambda value: 2 * symc.shared(value / 2, shape=value.shape),
    "shared variable to be filled later": lambda value: symc.shared(value),
}


@pytest.mark.parametrize("cls, shapes, args, kwargs", ALL)
def test_parameters_given_as_variables_keep_shapes_known(cls, shapes, args, kwargs, rng):
    inputs, plain = build(cls, shapes, args, kwargs)
    names = [param.name for param in plain.params]
    if not names:
        pytest.skip("no parameters")
    if cls is L.CustomRecurrentLayer:
        pytest.skip("the parameters are those of its networks")
    values = {param.name: rng.uniform(0.2, 1, param.get_value().shape).astype("float32") for param in plain.params}
    wanted = [(2, *shape[1:]) for shape in (shapes if isinstance(shapes, list) else [shapes])]
    shape_found = plain.get_output_shape_for(plain._arguments(wanted))
    made = []
    for way, give in WAYS_TO_GIVE.items():
        given = {name: give(value) for name, value in values.items()}
        if "later" in way:
            for variable in given.values():
                variable.set_value(np.zeros((1,) * variable.ndim, "float32"))
        others, layer = build(cls, shapes, args, kwargs | as_arguments(plain, given))
        assert all(param is given[param.name] for param in layer.params), way
        assert layer.output_shape == plain.output_shape, way
        assert layer.get_output_shape_for(layer._arguments(wanted)) == shape_found, way
        output = L.get_output(layer, deterministic=True)
        assert output.static_shape == plain.output_shape, way
        above = L.DenseLayer(L.FlattenLayer(layer), 2) if None not in layer.output_shape[1:] else None
        assert above is None or above.W.get_value().shape == (int(np.prod(plain.output_shape[1:])), 2), way
        if "later" in way:
            for name, variable in given.items():
                variable.set_value(values[name])
        made.append((others, output))
    for param in plain.params:
        param.set_value(values[param.name])
    data = list(sample(inputs, rng))
    expected, *results = [
        symc.function([each.input_var for each in ins], output, device="interp")(*data)
        for ins, output in ((inputs, L.get_output(plain, deterministic=True)), *made)
    ]
    for way, result in zip(WAYS_TO_GIVE, results, strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6, err_msg=way)


@pytest.mark.parametrize("cls, shapes, args, kwargs", ALL)
def test_layers_are_copied_and_pickled(cls, shapes, args, kwargs):
    inputs, layer = build(cls, shapes, args, kwargs)
    copied = copy.deepcopy(layer)
    assert copied.output_shape == layer.output_shape and copied.input_layers[0] is not layer.input_layers[0]
    if cls is L.ExpressionLayer:
        layer.function = np.negative  # no pickle takes the functions of the cases
    for protocol in range(6):
        twin = pickle.loads(pickle.dumps(layer, protocol))
        assert twin.output_shape == layer.output_shape
        assert [p.name for p in twin.get_params()] == [p.name for p in layer.get_params()]
        for mine, theirs in zip(twin.get_params(), layer.get_params()):
            assert mine is not theirs
            np.testing.assert_array_equal(mine.get_value(), theirs.get_value())
