"""Saliency, guided backpropagation, Grad-CAM, CAM and occlusion, against NumPy by hand on small networks."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like import init
from lasagne_like.attribution import cam, grad_cam, guided_backprop, occlusion, saliency, upsampled
from lasagne_like.layers import (
    Conv2DLayer,
    DenseLayer,
    DropoutLayer,
    ExpressionLayer,
    GlobalPoolLayer,
    InputLayer,
    NonlinearityLayer,
    batch_norm,
    get_all_params,
)
from lasagne_like.nonlinearities import linear, rectify, sigmoid, softmax, tanh


class ByHand:
    """Input, 1 x 1 convolution with rectifier, global average pooling, dense layer: all of it in NumPy."""

    def __init__(self, classes=3, squash=softmax):
        rng = np.random.default_rng(3)
        self.A = rng.standard_normal((4, 2))  # maps, channels
        self.a = rng.standard_normal(4) * 0.3
        self.D = rng.standard_normal((4, classes))
        self.d = rng.standard_normal(classes)
        net = InputLayer((None, 2, 5, 6), name="input")
        net = Conv2DLayer(net, 4, 1, W=self.A[:, :, None, None], b=self.a, nonlinearity=rectify, name="conv")
        pooled = DropoutLayer(GlobalPoolLayer(net, name="pool"), name="dropout")
        self.net = DenseLayer(pooled, classes, W=self.D, b=self.d, nonlinearity=squash, name="out")
        self.x = rng.standard_normal((3, 2, 5, 6)).astype("float32")
        self.before = np.einsum("kc,ncij->nkij", self.A, self.x) + self.a[:, None, None]
        self.maps = np.maximum(self.before, 0)
        self.scores = self.maps.mean((2, 3)) @ self.D + self.d

    def slope(self, classes, guided=False):
        """The gradient of the scores by the pictures."""
        g = self.D[:, classes].T[:, :, None, None] / 30 * (self.before > 0)
        g = np.maximum(g, 0) if guided else g
        return np.einsum("nkij,kc->ncij", g, self.A)


def test_saliency():
    by_hand = ByHand()
    predicted = by_hand.scores.argmax(1)
    for target, classes in ((None, predicted), (1, [1, 1, 1]), ([0, 2, 1], [0, 2, 1])):
        slope = by_hand.slope(classes)
        found = saliency(by_hand.net, by_hand.x, target, signed=True, batch_size=2)
        np.testing.assert_allclose(found, slope, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(saliency(by_hand.net, by_hand.x, target), np.abs(slope).max(1), rtol=1e-4, atol=1e-6)
    # one picture, and a softmax in a layer of its own
    out = DenseLayer(by_hand.net.input_layer, 3, W=by_hand.D, b=by_hand.d, nonlinearity=None)
    apart = NonlinearityLayer(out, softmax)
    found = saliency({"out": out, "prob": apart}, by_hand.x[0], 2, signed=True)
    np.testing.assert_allclose(found, by_hand.slope([2, 2, 2])[:1], rtol=1e-4, atol=1e-6)


def test_one_sigmoid_unit():
    by_hand = ByHand(1, sigmoid)
    for target, sign in ((1, 1), (0, -1), (None, np.where(by_hand.scores[:, 0] > 0, 1, -1)[:, None, None, None])):
        found = saliency(by_hand.net, by_hand.x, target, signed=True)
        np.testing.assert_allclose(found, sign * by_hand.slope([0, 0, 0]), rtol=1e-4, atol=1e-6)
    up, down = (cam(by_hand.net, by_hand.x, k, upsample=False) for k in (1, 0))
    np.testing.assert_allclose(up.mean((1, 2)) + by_hand.d[0], by_hand.scores[:, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(down, -up)


def test_guided_backprop():
    by_hand = ByHand()
    found = guided_backprop(by_hand.net, by_hand.x, [0, 1, 2])
    np.testing.assert_allclose(found, by_hand.slope([0, 1, 2], guided=True), rtol=1e-4, atol=1e-6)
    # the network itself keeps its gradient
    np.testing.assert_allclose(
        saliency(by_hand.net, by_hand.x, [0, 1, 2], signed=True), by_hand.slope([0, 1, 2]), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    "rectifier", [lambda x: T.maximum(x, 0), lambda x: T.maximum(0.0, x), T.nnet.relu], ids=["max", "turned", "relu"]
)
def test_guided_backprop_finds_rectifiers_of_ones_own(rectifier):
    rng = np.random.default_rng(0)
    U, V = rng.standard_normal((12, 5)), rng.standard_normal((5, 4))
    D = rng.standard_normal((4, 2))
    hidden = DenseLayer(InputLayer((None, 3, 2, 2)), 5, W=U, b=None, nonlinearity=None)
    hidden = DenseLayer(ExpressionLayer(hidden, rectifier), 4, W=V, b=None, nonlinearity=rectify)
    net = DenseLayer(hidden, 2, W=D, b=None, nonlinearity=softmax)
    x = rng.standard_normal((6, 3, 2, 2)).astype("float32")
    first = x.reshape(6, 12) @ U
    second = np.maximum(first, 0) @ V
    g = np.maximum(np.broadcast_to(D[:, 1], (6, 4)), 0) * (second > 0) @ V.T
    g = np.maximum(g, 0) * (first > 0) @ U.T
    np.testing.assert_allclose(guided_backprop(net, x, 1), g.reshape(x.shape), rtol=1e-4, atol=1e-6)


def test_guided_backprop_without_rectifiers():
    net = DenseLayer(InputLayer((None, 3, 2, 2)), 2, nonlinearity=tanh)
    with pytest.raises(ValueError, match="has no rectifier"):
        guided_backprop(net, np.zeros((1, 3, 2, 2)))


def test_grad_cam_and_cam():
    by_hand = ByHand()
    classes = [0, 1, 2]
    weights = by_hand.D[:, classes].T / 30  # of a mean over 30 places
    expected = np.maximum(np.einsum("nk,nkij->nij", weights, by_hand.maps), 0)
    for at in (None, "conv", by_hand.net.input_layer.input_layer.input_layer):
        found = grad_cam(by_hand.net, by_hand.x, classes, at=at, upsample=False, batch_size=2)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    found = cam(by_hand.net, by_hand.x, classes, upsample=False)
    np.testing.assert_allclose(found, np.einsum("nk,nkij->nij", 30 * weights, by_hand.maps), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        found.mean((1, 2)) + by_hand.d, by_hand.scores[np.arange(3), classes], rtol=1e-4, atol=1e-5
    )
    assert grad_cam(by_hand.net, by_hand.x).shape == cam(by_hand.net, by_hand.x).shape == (3, 5, 6)


def test_a_place_that_decides_is_found():
    """The network looks only at the brightness of the first channel: all maps point to the bright square."""
    W = np.zeros((1, 2, 3, 3))
    W[0, 0] = 1 / 9
    net = Conv2DLayer(InputLayer((None, 2, 24, 24)), 1, 3, stride=2, pad=1, W=W, b=None, nonlinearity=rectify)
    net = DenseLayer(GlobalPoolLayer(net), 2, W=np.array([[-20.0, 20.0]]), b=None, nonlinearity=softmax)
    x = np.zeros((1, 2, 24, 24), "float32")
    x[0, 0, 4:10, 12:18] = 1
    square = np.zeros((24, 24), bool)
    square[2:12, 10:20] = True
    for found in (cam(net, x, 1)[0], grad_cam(net, x, 1)[0], occlusion(net, x, 1, size=4, stride=2, value=0)[0]):
        assert found.shape == (24, 24)
        assert found[square].sum() > 0.9 * found.sum() > 0
        assert square[np.unravel_index(found.argmax(), found.shape)]


def test_occlusion():
    """A linear score over pixels: the drop is the weight of the covered pixels."""
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((2, 4, 5))
    W = np.stack([weights.ravel(), -weights.ravel()], axis=1)
    net = DenseLayer(InputLayer((None, 2, 4, 5)), 2, W=W, b=None, nonlinearity=linear)
    x = rng.standard_normal((2, 2, 4, 5)).astype("float32")
    found = occlusion(net, x, [0, 1], size=1, stride=1, value=0)
    each = (weights * x).sum(1)
    np.testing.assert_allclose(found, [each[0], -each[1]], rtol=1e-4, atol=1e-6)
    # patches of 2 x 2, the last ones end with the picture; by default the mean of each channel covers them
    found = occlusion(net, x[0], 0, size=2, stride=2)[0]
    part = (weights * (x[0] - x[0].mean((1, 2), keepdims=True))).sum(0)
    drops, counts = np.zeros((4, 5)), np.zeros((4, 5))
    for top in (0, 2):
        for left in (0, 2, 3):
            patch = slice(top, top + 2), slice(left, left + 2)
            drops[patch] += part[patch].sum()
            counts[patch] += 1
    np.testing.assert_allclose(found, drops / counts, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="size=9 does not fit into pictures of 4 x 5"):
        occlusion(net, x, 0, size=9)
    with pytest.raises(ValueError, match="stride=-1"):
        occlusion(net, x, 0, size=2, stride=-1)


def test_occlusion_of_probabilities():
    by_hand = ByHand()
    found = occlusion(by_hand.net, by_hand.x[:1], 2, size=(5, 6), value=0.0)
    exponents = np.exp(by_hand.scores[0])
    empty = np.exp(np.maximum(by_hand.a, 0) @ by_hand.D + by_hand.d)
    np.testing.assert_allclose(found, exponents[2] / exponents.sum() - empty[2] / empty.sum(), rtol=1e-3, atol=1e-5)


def test_upsampling():
    maps = np.array([[[0.0, 1.0], [2.0, 3.0]]])
    np.testing.assert_allclose(upsampled(maps, (2, 2)), maps)
    np.testing.assert_allclose(upsampled(maps, (2, 4))[0, 0], [0, 0.25, 0.75, 1])
    from PIL import Image

    rng = np.random.default_rng(0)
    one = rng.random((5, 7)).astype("float32")
    bilinear = np.asarray(Image.fromarray(one).resize((21, 20), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(upsampled(one[None], (20, 21))[0], bilinear, atol=1e-5)


def test_batch_normalisation_uses_its_averages_and_nothing_changes():
    net = batch_norm(Conv2DLayer(InputLayer((None, 1, 6, 6)), 3, 3))
    net = DenseLayer(net, 2, nonlinearity=softmax)
    values = [p.get_value() for p in get_all_params(net)]
    x = np.random.default_rng(0).standard_normal((4, 1, 6, 6))
    for function in (saliency, guided_backprop, grad_cam, occlusion):
        whole = function(net, x, 1)
        np.testing.assert_allclose(whole[2:3], function(net, x[2:3], 1), rtol=1e-3, atol=1e-6)
    for p, before in zip(get_all_params(net), values):
        np.testing.assert_array_equal(p.get_value(), before)
    assert net.nonlinearity is softmax


def test_errors():
    by_hand = ByHand()
    with pytest.raises(ValueError, match="target=3: the network's classes are 0 to 2"):
        saliency(by_hand.net, by_hand.x, 3)
    with pytest.raises(ValueError, match="target has 2 classes for 3 pictures"):
        saliency(by_hand.net, by_hand.x, [0, 1])
    with pytest.raises(ValueError, match="'cat' is no class of the network; its classes are none: pass an index"):
        saliency(by_hand.net, by_hand.x, "cat")
    with pytest.raises(ValueError, match="channels-first"):
        saliency(by_hand.net, by_hand.x.transpose(0, 2, 3, 1))
    with pytest.raises(ValueError, match="batch_size=0"):
        saliency(by_hand.net, by_hand.x, batch_size=0)
    with pytest.raises(ValueError, match="one input layer for pictures"):
        saliency(DenseLayer(InputLayer((None, 3)), 2), np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"expected scores \(batch, classes\)"):
        saliency(by_hand.net.input_layer.input_layer.input_layer, by_hand.x)
    with pytest.raises(ValueError, match="use grad_cam"):
        cam(DenseLayer(InputLayer((None, 2, 5, 6)), 2), by_hand.x)
    maximum = DenseLayer(GlobalPoolLayer(InputLayer((None, 2, 5, 6)), T.max), 2)
    with pytest.raises(ValueError, match="use grad_cam"):
        cam(maximum, by_hand.x)
    with pytest.raises(ValueError, match="no layer with rows and columns"):
        grad_cam(DenseLayer(InputLayer((None, 2, 5, 6)), 2), by_hand.x)
    with pytest.raises(ValueError, match="at='out' selects"):
        grad_cam(by_hand.net, by_hand.x, at="out")


def test_an_input_expression_and_parameters_that_are_expressions():
    x = T.tensor4("x")
    free = symc.shared(np.ones((2, 5)).astype("float32"))
    net = DenseLayer(InputLayer((None, 1, 1, 2), x * 3), 5, W=T.exp(free), nonlinearity=softmax, b=init.Constant(0))
    np.testing.assert_allclose(saliency(net, np.ones((1, 1, 1, 2)), 0), np.full((1, 1, 2), np.e), rtol=1e-5)
