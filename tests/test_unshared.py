"""Convolutions with separate filters for every position, against sums written out."""

import itertools

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import ShapeError

RNG = np.random.default_rng(3)

CASES = {
    "plain": ({}, (2, 3, 5, 6), (4, 3, 2, 3)),
    "strides": ({"subsample": (2, 1), "border_mode": ((1, 0), (2, 1))}, (2, 2, 6, 4), (3, 2, 3, 2)),
    "full": ({"border_mode": "full", "filter_flip": False}, (1, 2, 3, 4), (2, 2, 2, 3)),
    "half": ({"border_mode": "half", "filter_dilation": (1, 2)}, (2, 1, 4, 5), (2, 1, 3, 3)),
    "groups": ({"num_groups": 2, "border_mode": 1}, (2, 4, 3, 4), (6, 2, 2, 3)),
}


def padding(mode, extents):
    if mode in ("full", "half"):
        return [(e - 1, e - 1) if mode == "full" else (e // 2, e // 2) for e in extents]
    entries = mode if isinstance(mode, tuple) else (mode, mode)
    return [e if isinstance(e, tuple) else (e, e) for e in entries]


def expected(x, weights, options):
    """Theano's definition, as sums; ``weights(shape of the maps)`` makes the filters."""
    stride, dilation = options.get("subsample", (1, 1)), options.get("filter_dilation", (1, 1))
    groups, (k, c, r, t) = options.get("num_groups", 1), weights.shape_of_one
    pads = padding(options.get("border_mode", 0), [(n - 1) * d + 1 for n, d in zip((r, t), dilation)])
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    counts = [(x.shape[2 + a] - ((r, t)[a] - 1) * dilation[a] - 1) // stride[a] + 1 for a in range(2)]
    w = weights(counts)
    used = w[..., ::-1, ::-1] if options.get("filter_flip", True) else w
    y = np.zeros((x.shape[0], k, *counts))
    for n, f, i, j in itertools.product(*map(range, y.shape)):
        first = f // (k // groups) * c
        rows, columns = i * stride[0] + np.arange(r) * dilation[0], j * stride[1] + np.arange(t) * dilation[1]
        seen = x[n, first : first + c][:, rows][:, :, columns]
        y[n, f, i, j] = (seen * used[f, i, j]).sum()
    return w, y


@pytest.mark.parametrize("case", CASES)
def test_maps_and_gradients(case):
    options, images, (k, c, r, t) = CASES[case]

    def weights(counts):
        return RNG.normal(size=(k, *counts, c, r, t))

    weights.shape_of_one = (k, c, r, t)
    x = RNG.normal(size=images)
    w, y = expected(x, weights, options)
    X, W = T.dtensor4(), T.TensorType("float64", [None] * 6)()
    maps = T.nnet.conv2d(X, W, unshared=True, **options)
    g = RNG.normal(size=y.shape)
    G = T.dtensor4()
    shapes = {"input_shape": images}, {"filter_shape": w.shape}
    by_inputs = T.nnet.conv2d_grad_wrt_inputs(G, W, **shapes[0], unshared=True, **options)
    by_weights = T.nnet.conv2d_grad_wrt_weights(X, G, **shapes[1], unshared=True, **options)
    with symc.config.change(device="interp"):
        f = symc.function([X, W, G], [maps, by_inputs, by_weights, *symc.grad((maps * G).sum(), [X, W])])
        found, dx, dw, own_dx, own_dw = f(x, w, g)
    np.testing.assert_allclose(found, y, atol=1e-12)
    for value, adjoint, own in ((x, dx, own_dx), (w, dw, own_dw)):  # bilinear: <value, adjoint> is <y, g>
        assert adjoint.shape == value.shape
        np.testing.assert_allclose(adjoint, own, atol=1e-12)
        np.testing.assert_allclose((value * adjoint).sum(), (y * g).sum())


def test_errors():
    x, w = T.tensor4(shape=(2, 3, 5, 6)), T.TensorType("float64", (4, 4, 3, 3, 2, 3))()
    with pytest.raises(ShapeError, match="have 4 columns, the unshared filters are for 3"):
        T.nnet.conv2d(x, w, unshared=True)
    with pytest.raises(ShapeError, match="operand 1 must have 6 axes, got 4"):
        T.nnet.conv2d(x, T.tensor4(), unshared=True)
    with pytest.raises(ShapeError, match="4 filters cannot be divided into 3 groups"):
        T.nnet.conv2d(x, w, unshared=True, num_groups=3)
