"""Locally connected, transposed, pyramid, winner-takes-all and spatial transformer layers against NumPy and SciPy."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

import symc
from lasagne_like import init
from lasagne_like import layers as L
from lasagne_like.nonlinearities import linear


def evaluated(layer, *values):
    inputs = [each for each in L.get_all_layers(layer) if isinstance(each, L.InputLayer)]
    f = symc.function([each.input_var for each in inputs], L.get_output(layer), on_unused_input="ignore")
    return f(*values)


@pytest.mark.parametrize("channelwise", [False, True], ids=["", "channelwise"])
@pytest.mark.parametrize(
    "cls, size, filter_size, stride, pad, flip",
    [
        (L.LocallyConnected1DLayer, (7,), (3,), (2,), "valid", True),
        (L.LocallyConnected2DLayer, (5, 6), (3, 1), (1, 1), "same", True),
        (L.LocallyConnected2DLayer, (5, 6), (2, 3), (2, 1), (1, 2), False),
        (L.LocallyConnected3DLayer, (3, 4, 2), (1, 3, 2), (1, 1, 1), "full", True),
    ],
)
def test_locally_connected(cls, size, filter_size, stride, pad, flip, channelwise, rng, float64):
    filters = 3 if channelwise else 4
    incoming = L.InputLayer((None, 3, *size))
    layer = cls(
        incoming, filters, filter_size, stride, pad, W=init.Normal(1.0), nonlinearity=None, flip_filters=flip,
        channelwise=channelwise,
    )  # fmt: skip
    named = {"valid": [0] * len(size), "same": [s // 2 for s in filter_size], "full": [s - 1 for s in filter_size]}
    zeros = named[pad] if isinstance(pad, str) else pad
    x = rng.normal(size=(2, 3, *size))
    padded = np.pad(x, [(0, 0), (0, 0), *((z, z) for z in zeros)])
    out = [(n + 2 * z - s) // d + 1 for n, z, s, d in zip(size, zeros, filter_size, stride)]
    W = layer.W.get_value()
    expected = np.zeros((2, filters, *out))
    for at in itertools.product(*map(range, out)):
        window = padded[(..., *(slice(a * d, a * d + s) for a, d, s in zip(at, stride, filter_size)))]
        weights = W[(..., *at)]
        if flip:
            weights = np.flip(weights, tuple(range(weights.ndim - len(size), weights.ndim)))
        product = window * weights if channelwise else window[:, None] * weights
        expected[(..., *at)] = product.sum(tuple(range(2, product.ndim)))
    np.testing.assert_allclose(evaluated(layer, x), expected, atol=1e-12)


def test_locally_connected_layers_need_fitting_shapes():
    with pytest.raises(ValueError, match="should match when channelwise"):
        L.LocallyConnected2DLayer((None, 3, 5, 6), 4, 3, channelwise=True)
    with pytest.raises(ValueError, match="requires a fixed input shape"):
        L.LocallyConnected1DLayer((None, 3, None), 4, 3)
    with pytest.raises(ValueError, match="do not fit"):
        L.LocallyConnected1DLayer((None, 3, 2), 4, 3, pad=0)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    "size, filter_size, stride, crop",
    [((4, 5), (3, 2), (1, 1), 0), ((4, 5), (3, 3), (2, 3), "same"), ((3, 4), (4, 2), (2, 1), (1, 0))],
)
def test_transposed_convolution(size, filter_size, stride, crop, flip, rng, float64):
    """Every input adds its filter, scaled, to the output; then the ends are cut off."""
    incoming = L.InputLayer((None, 3, *size))
    layer = L.TransposedConv2DLayer(incoming, 4, filter_size, stride, crop, nonlinearity=None, flip_filters=flip)
    W, x = layer.W.get_value(), rng.normal(size=(2, 3, *size))
    if not flip:  # the adjoint of a convolution, which flips
        W = W[:, :, ::-1, ::-1]
    whole = np.zeros((2, 4, *((n - 1) * d + s for n, d, s in zip(size, stride, filter_size))))
    for i, j in itertools.product(*map(range, size)):
        rows, columns = (slice(k * d, k * d + s) for k, d, s in zip((i, j), stride, filter_size))
        whole[:, :, rows, columns] += np.einsum("nc,cfrs->nfrs", x[:, :, i, j], W)
    cut = [s // 2 for s in filter_size] if crop == "same" else [crop] * 2 if isinstance(crop, int) else crop
    expected = whole[:, :, cut[0] : whole.shape[2] - cut[0], cut[1] : whole.shape[3] - cut[1]]
    np.testing.assert_allclose(evaluated(layer, x), expected, atol=1e-12)


def test_a_transposed_layer_undoes_the_shape_of_a_convolution(rng):
    assert L.Deconv2DLayer is L.TransposedConv2DLayer
    for size, options in (((9, 12), {"output_size": (9, 12)}), ((9, 11), {})):
        incoming = L.InputLayer((None, 2, None, None))
        below = L.Conv2DLayer(incoming, 3, 3, stride=2, pad=1)
        layer = L.TransposedConv2DLayer(below, 2, 3, stride=2, crop=1, **options)
        assert evaluated(layer, rng.normal(size=(2, 2, *size)).astype("float32")).shape == (2, 2, *size)
    symbolic = L.TransposedConv2DLayer(below, 2, 3, 2, crop=1, output_size=incoming.input_var.shape[2:])
    assert evaluated(symbolic, np.ones((2, 2, 8, 6), "float32")).shape == (2, 2, 8, 6)
    with pytest.raises(TypeError, match="use crop="):
        L.TransposedConv2DLayer(below, 2, 3, pad=1)


def test_winner_takes_all(rng):
    x = rng.permutation(2 * 6 * 5).reshape(2, 6, 5).astype("float32")
    x[0, :3, 0] = 7  # equal: the first one stays
    grouped = x.reshape(2, 2, 3, 5)
    keep = np.arange(3)[:, None] == grouped.argmax(2)[:, :, None]
    expected = np.where(keep, grouped, 0).reshape(x.shape)
    np.testing.assert_array_equal(evaluated(L.FeatureWTALayer(L.InputLayer((None, 6, None)), 3), x), expected)
    with pytest.raises(ValueError, match="not a multiple of the region size"):
        L.FeatureWTALayer((None, 6, 5), 4)


@pytest.mark.parametrize("known", [True, False], ids=["known sizes", "unknown sizes"])
@pytest.mark.parametrize("implementation", ["fast", "kaiming"])
@pytest.mark.parametrize("mode, reduce", [("max", np.max), ("average_exc_pad", np.mean), ("sum", np.sum)])
def test_spatial_pyramid(mode, reduce, implementation, known, rng, float64):
    x = rng.normal(size=(2, 3, 7, 9))
    shape = (None, 3, 7, 9) if known else (None, 3, None, None)
    layer = L.SpatialPyramidPoolingLayer(L.InputLayer(shape), [4, 2, 1], mode, implementation)
    expected = []
    for d in (4, 2, 1):
        for i, j in itertools.product(range(d), range(d)):
            if implementation == "fast":
                rows, columns = (slice(k * (n // d), k * (n // d) + -(-n // d)) for k, n in ((i, 7), (j, 9)))
            else:
                rows, columns = (slice(k * n // d, -(-(k + 1) * n // d)) for k, n in ((i, 7), (j, 9)))
            expected.append(reduce(x[:, :, rows, columns], (2, 3)))
    np.testing.assert_allclose(evaluated(layer, x), np.stack(expected, 2), atol=1e-12)


def test_what_a_pyramid_refuses():
    with pytest.raises(ValueError, match="either 'fast' or 'kaiming'"):
        L.SpatialPyramidPoolingLayer((None, 3, 8, 8), implementation="slow")
    with pytest.raises(ValueError, match="Mode must be either"):
        L.SpatialPyramidPoolingLayer((None, 3, 8, 8), mode="median")
    with pytest.raises(ValueError, match="3 pixels cannot be divided into 4 regions"):
        L.SpatialPyramidPoolingLayer((None, 3, 3, 8))


BORDERS = {"nearest": "nearest", "mirror": "mirror", "wrap": "grid-wrap"}


@pytest.mark.parametrize("known", [True, False], ids=["known sizes", "unknown sizes"])
@pytest.mark.parametrize("border", BORDERS)
def test_affine_transformer(border, known, rng, float64):
    images, theta = L.InputLayer((None, 2, 7, 9) if known else (None, 2, None, None)), L.InputLayer((None, 6))
    layer = L.TransformerLayer(images, theta, downsample_factor=(1, 1.5), border_mode=border)
    assert layer.output_shape[2:] == ((7, 6) if known else (None, None))
    x, p = rng.normal(size=(3, 2, 7, 9)), rng.normal(size=(3, 6))
    y, x_ = np.meshgrid(np.linspace(-1, 1, 7), np.linspace(-1, 1, 6), indexing="ij")
    expected = np.empty((3, 2, 7, 6))
    for n in range(3):
        columns = (p[n, 0] * x_ + p[n, 1] * y + p[n, 2] + 1) / 2 * 8
        rows = (p[n, 3] * x_ + p[n, 4] * y + p[n, 5] + 1) / 2 * 6
        for c in range(2):
            expected[n, c] = ndimage.map_coordinates(x[n, c], [rows, columns], order=1, mode=BORDERS[border])
    np.testing.assert_allclose(evaluated(layer, x, p), expected, atol=1e-10)


def test_the_identity_leaves_images_alone(rng):
    images = L.InputLayer((None, 2, 7, 9))
    identity = L.DenseLayer(
        images, 6, W=init.Constant(0.0), b=np.array([1, 0, 0, 0, 1, 0], "float32"), nonlinearity=linear
    )
    x = rng.normal(size=(3, 2, 7, 9)).astype("float32")
    np.testing.assert_allclose(evaluated(L.TransformerLayer(images, identity), x), x, atol=1e-5)
    still = L.DenseLayer(images, 18, W=init.Constant(0.0), nonlinearity=linear)
    np.testing.assert_allclose(evaluated(L.TPSTransformerLayer(images, still, control_points=9), x), x, atol=1e-5)


def test_a_spline_moves_control_points_where_it_should(rng, float64):
    """On a ramp, the sampled values are the positions; at the control points, these are known."""
    size = 7  # the 16 control points are every second pixel
    ramp = np.stack(np.broadcast_arrays(np.linspace(-1, 1, size), np.linspace(-1, 1, size)[:, None]))[None]
    images, moves = L.InputLayer((None, 2, size, size)), L.InputLayer((None, 32))
    for sizes in ((size, size), (None, None)):
        images = L.InputLayer((None, 2, *sizes))
        layer = L.TPSTransformerLayer(images, moves, control_points=16)
        by = rng.uniform(-0.1, 0.1, (1, 2, 4, 4))
        by[:, 0, :, -1] = by[:, 0, :, 0] = by[:, 1, -1] = by[:, 1, 0] = 0  # stay inside the image
        found = evaluated(layer, ramp, by.reshape(1, 32))
        np.testing.assert_allclose(found[:, :, ::2, ::2] - ramp[:, :, ::2, ::2], by, atol=1e-10)
        shifted = evaluated(layer, ramp, np.repeat([[0.1, -0.2]], 16, axis=1).reshape(1, 32) * 0.5)
        np.testing.assert_allclose((shifted - ramp)[0, 0, 2:-2, 2:-2], 0.05, atol=1e-10)
        np.testing.assert_allclose((shifted - ramp)[0, 1, 2:-2, 2:-2], -0.1, atol=1e-10)


def test_what_transformers_refuse():
    images = (None, 2, 7, 9)
    with pytest.raises(ValueError, match=r"must have output shape: \(batch_size, 6\), got \(None, 5\)"):
        L.TransformerLayer(images, (None, 5))
    with pytest.raises(ValueError, match="4-dimensional output shape"):
        L.TransformerLayer((None, 7, 9), (None, 6))
    with pytest.raises(ValueError, match="border_mode must be one of"):
        L.TransformerLayer(images, (None, 6), border_mode="reflect")
    with pytest.raises(ValueError, match="perfect square"):
        L.TPSTransformerLayer(images, (None, 20), control_points=10)
    with pytest.raises(ValueError, match=r"\(batch_size, 32\)"):
        L.TPSTransformerLayer(images, (None, 20))


def test_a_transformer_learns_to_look_at_the_bright_spot(rng):
    """The localization network gets a gradient: what is sampled moves to where the pictures are bright."""
    x = np.zeros((8, 1, 9, 9), "float32")
    x[:, :, 1:4, 5:8] = 1
    x = ndimage.gaussian_filter(x, (0, 0, 1.5, 1.5))
    images = L.InputLayer((None, 1, 9, 9))
    start = np.array([0.3, 0, 0, 0, 0.3, 0], "float32")
    theta = L.DenseLayer(images, 6, W=init.Constant(0.0), b=start, nonlinearity=linear)
    seen = L.get_output(L.TransformerLayer(images, theta, downsample_factor=3)).mean()
    updates = {theta.b: theta.b + 0.5 * symc.grad(seen, theta.b)}
    train = symc.function([images.input_var], seen, updates=updates)
    values = [float(train(x)) for _ in range(40)]
    assert values[-1] > 1.5 * values[0]
    assert theta.b.get_value()[2] > 0.2 and theta.b.get_value()[5] < -0.2


def test_layers_over_volumes(rng, float64):
    size, filter_size, stride = (4, 5, 3), (2, 3, 1), (1, 2, 1)
    x = rng.normal(size=(2, 3, *size))
    incoming = L.InputLayer((None, 3, *size))
    layer = L.Conv3DLayer(incoming, 4, filter_size, stride, pad=(1, 0, 1), nonlinearity=None)
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (0, 0), (1, 1)])
    W = layer.W.get_value()[:, :, ::-1, ::-1, ::-1]
    out = [(n - s) // d + 1 for n, s, d in zip(padded.shape[2:], filter_size, stride)]
    expected, largest = np.zeros((2, 4, *out)), np.zeros((2, 3, *out))
    for at in itertools.product(*map(range, out)):
        window = padded[(..., *(slice(a * d, a * d + s) for a, d, s in zip(at, stride, filter_size)))]
        expected[(..., *at)] = np.einsum("nczyx,fczyx->nf", window, W)
        largest[(..., *at)] = window.max((2, 3, 4))
    np.testing.assert_allclose(evaluated(layer, x), expected, atol=1e-12)
    pool = L.MaxPool3DLayer(L.InputLayer((None, 3, *padded.shape[2:])), filter_size, stride)
    np.testing.assert_array_equal(evaluated(pool, padded), largest)


def test_transposed_convolution_of_volumes(rng, float64):
    assert L.Deconv3DLayer is L.TransposedConv3DLayer
    size, filter_size, stride = (2, 3, 2), (3, 2, 2), (2, 1, 3)
    layer = L.TransposedConv3DLayer(
        L.InputLayer((None, 3, *size)), 2, filter_size, stride, (1, 0, 0), nonlinearity=None
    )
    x, W = rng.normal(size=(2, 3, *size)), layer.W.get_value()[:, :, ::-1, ::-1, ::-1]
    whole = np.zeros((2, 2, *((n - 1) * d + s for n, d, s in zip(size, stride, filter_size))))
    for at in itertools.product(*map(range, size)):
        place = (..., *(slice(k * d, k * d + s) for k, d, s in zip(at, stride, filter_size)))
        whole[place] += np.einsum("nc,cfzyx->nfzyx", x[(..., *at)], W)
    np.testing.assert_allclose(evaluated(layer, x), whole[:, :, 1:-1], atol=1e-12)
