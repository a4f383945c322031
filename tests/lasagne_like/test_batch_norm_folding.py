"""Networks with batch normalisation at inference: no work of it is left, and outputs are those of NumPy."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like import init
from lasagne_like.layers import (
    BatchNormLayer,
    Conv1DLayer,
    Conv2DLayer,
    DenseLayer,
    DilatedConv2DLayer,
    DropoutLayer,
    ElemwiseSumLayer,
    GlobalPoolLayer,
    InputLayer,
    MaxPool2DLayer,
    NINLayer,
    NonlinearityLayer,
    ScaleLayer,
    batch_norm,
    get_all_params,
    get_output,
)
from lasagne_like.nonlinearities import linear, rectify, softmax
from lasagne_like.training import Trainer
from lasagne_like.transfer import freeze

RNG = np.random.default_rng(7)


def randomise(net):
    """Parameters and averages that differ from their initial values."""
    for param in get_all_params(net):
        shape = param.get_value().shape
        low = 0.5 if param.name and param.name.endswith(("inv_std", "gamma")) else -1
        param.set_value(RNG.uniform(low, 1, shape).astype(param.dtype))


def folded(f):
    return sum(p.source is not None for p in f.specialisation.state.prepared)


def compare(net, inputs, count):
    """Compare a network with the same expression, computed without any rewrite; returns the function."""
    x = T.tensor(str(inputs.dtype), shape=(None,) * inputs.ndim)
    output = get_output(net, x, deterministic=True)
    f = symc.function([x], output, profile=True)
    plain = symc.function([x], output, mode="no_rewrite", device="interp")
    assert folded(f) == count and folded(plain) == 0
    expected = plain(inputs)
    for _ in range(2):
        np.testing.assert_allclose(f(inputs), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    return f


def residual(net, filters, groups=1):
    def conv(below, size, **kwargs):
        return batch_norm(Conv2DLayer(below, filters, size, pad="same", W=init.Normal(0.3), **kwargs))

    first = conv(net, 3, nonlinearity=rectify)
    deep = conv(first, 3, nonlinearity=linear, num_groups=groups)
    short = conv(net, 1, nonlinearity=linear)
    return NonlinearityLayer(ElemwiseSumLayer([deep, short]), rectify)


def test_a_residual_network():
    net = InputLayer((None, 3, 12, 12), name="input")
    net = MaxPool2DLayer(batch_norm(Conv2DLayer(net, 4, 3, stride=2, pad=1)), 2)
    net = residual(net, 4)
    net = residual(net, 6, groups=2)
    net = residual(net, 6, groups=6)
    net = DenseLayer(GlobalPoolLayer(net, T.max), 9, nonlinearity=linear)
    randomise(net)
    f = compare(net, RNG.standard_normal((2, 3, 12, 12)).astype("float32"), 10)
    kernels = {row.kernel.partition(" by ")[0] for row in f.profile.rows}
    assert not any(word in kernel for kernel in kernels for word in ("mul", "sub", "div", "sqr"))
    assert kernels == {"conv2d", "conv2d+add+relu", "pool2d", "max", "dot+add"}, kernels


@pytest.mark.parametrize("biases", [False, True], ids=["without biases", "with biases"])
def test_kinds_of_layers(biases):
    b = {"b": init.Constant(0.5)} if biases else {"b": None}
    plain = {"nonlinearity": linear} | b
    for below, build in (
        ((None, 4), lambda l: DenseLayer(l, 5, **plain)),
        ((None, 3, 4), lambda l: DenseLayer(l, 5, num_leading_axes=2, **plain)),
        ((None, 3, 8), lambda l: Conv1DLayer(l, 5, 3, **plain)),
        ((None, 3, 6, 6), lambda l: Conv2DLayer(l, 4, 3, flip_filters=False, stride=2, pad="full", **plain)),
        ((None, 3, 6, 6), lambda l: NINLayer(l, 4, **plain)),
        ((None, 3, 9, 9), lambda l: DilatedConv2DLayer(l, 4, 3, dilation=2, **plain)),
    ):
        layer = build(InputLayer(below))
        net = BatchNormLayer(layer, axes=(0, 1) if len(below) == 3 and isinstance(layer, DenseLayer) else "auto")
        net = NonlinearityLayer(net, rectify)
        randomise(net)
        sizes = [2, *(size for size in below[1:])]
        compare(net, RNG.standard_normal(sizes).astype("float32"), 1)


def test_parts_of_the_layer_and_plain_scales():
    for kwargs in ({"beta": None}, {"gamma": None}, {"beta": None, "gamma": None}, {"epsilon": 0.1}):
        net = BatchNormLayer(DenseLayer(InputLayer((None, 4)), 3, nonlinearity=None), **kwargs)
        randomise(net)
        compare(net, RNG.standard_normal((2, 4)).astype("float32"), 1)
    net = ScaleLayer(DenseLayer(InputLayer((None, 4)), 3, nonlinearity=None))
    randomise(net)
    compare(net, RNG.standard_normal((2, 4)).astype("float32"), 1)
    # the nonlinearity comes first: nothing can be folded
    net = BatchNormLayer(DenseLayer(InputLayer((None, 4)), 3, nonlinearity=rectify))
    randomise(net)
    compare(net, RNG.standard_normal((2, 4)).astype("float32"), 0)
    # dropout in between does nothing at inference
    net = BatchNormLayer(DropoutLayer(DenseLayer(InputLayer((None, 4)), 3, nonlinearity=None)))
    randomise(net)
    compare(net, RNG.standard_normal((2, 4)).astype("float32"), 1)


def test_training_is_not_folded_and_evaluation_follows_it():
    net = batch_norm(DenseLayer(InputLayer((None, 6)), 8))
    net = DenseLayer(net, 3, nonlinearity=softmax)
    X = RNG.standard_normal((40, 6)).astype("float32")
    y = RNG.integers(0, 3, 40).astype("int32")
    trainer = Trainer(net, verbose=False, batch_size=10)
    for _ in range(3):
        trainer.fit(X, y, 2)
        found = trainer.predict(X)
        dense, normal = net.input_layer.input_layer.input_layer, net.input_layer.input_layer
        h = X @ dense.W.get_value()
        h = (h - normal.mean.get_value()) * normal.inv_std.get_value() * normal.gamma.get_value()
        h = np.maximum(h + normal.beta.get_value(), 0)
        e = np.exp(h @ net.W.get_value() + net.b.get_value())
        np.testing.assert_allclose(found, e / e.sum(1, keepdims=True), rtol=1e-3, atol=1e-5)


def test_a_frozen_base_is_folded_in_training():
    """The frozen base is the same in training and at inference; its gradients are not needed."""
    x, y = T.matrix("x"), T.ivector("y")
    base = batch_norm(DenseLayer(InputLayer((None, 6), x), 8, name="base"))
    net = DenseLayer(base, 3, nonlinearity=softmax, name="head")
    randomise(net)
    freeze(lambda layer: layer is not net, net)
    loss = T.nnet.categorical_crossentropy(get_output(net), y).mean()
    params = get_all_params(net, trainable=True)
    assert [p.name for p in params] == ["head.W", "head.b"]
    step = symc.function([x, y], [loss, *symc.grad(loss, params)])
    plain = symc.function([x, y], [loss, *symc.grad(loss, params)], mode="no_rewrite", device="interp")
    X, labels = RNG.standard_normal((5, 6)).astype("float32"), np.array([0, 1, 2, 1, 0])
    assert folded(step) == 1
    for found, expected in zip(step(X, labels), plain(X, labels)):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
