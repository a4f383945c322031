"""Depthwise convolutions of narrow images, whose lanes are groups, and of wide ones, whose lanes are pixels."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T

pytestmark = pytest.mark.skipif(symc.config.device != "c", reason="names algorithms of the C back end")


def right(x: np.ndarray, w: np.ndarray, stride: int, pad: int) -> np.ndarray:
    """The sums in float64, tap by tap."""
    padded = np.pad(x.astype("float64"), [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    filters = w.shape[0] // x.shape[1]
    padded, (high, wide) = padded.repeat(filters, 1), (n + 2 * pad - k + 1 for n, k in zip(x.shape[2:], w.shape[2:]))
    return sum(
        padded[:, :, r : r + high : stride, s : s + wide : stride] * w[:, 0, r, s].astype("float64")[:, None, None]
        for r, s in np.ndindex(*w.shape[2:])
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("filters", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("width", [1, 3, 6, 7, 8, 9, 15, 40])
def test_rows_of_any_length(width, stride, filters, dtype):
    """Rows shorter than a block of sums, as long as one, and longer; an epilogue, and the gradient by the images."""
    rng = np.random.default_rng(width)
    groups, taps, pad = 50, 5, 2
    a, b = (
        rng.standard_normal((2, groups, 6, width)).astype(dtype),
        rng.standard_normal((groups * filters, 1, taps, taps)).astype(dtype),
    )
    x, w = T.tensor4("x", dtype), T.tensor4("w", dtype)
    y = T.nnet.conv2d(x, w, border_mode=pad, subsample=(stride, stride), num_groups=groups, filter_flip=False)
    g = T.tensor4("g", dtype)
    found, dx = symc.function([x, w, g], [T.nnet.relu(y + 1), symc.grad(None, x, known_grads={y: g})])(
        a, b, right(a, b, stride, pad).astype(dtype)
    )
    expected, limit = right(a, b, stride, pad), 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(found, np.maximum(expected + 1, 0), rtol=0, atol=limit * np.abs(expected).max())
    bump = rng.standard_normal(a.shape)  # the gradient is the adjoint
    scale = (expected * expected).sum()
    assert abs((dx * bump).sum() - (right(bump, b, stride, pad) * expected).sum()) < limit * scale


@pytest.mark.parametrize(("side", "taps", "named"), [(7, 7, "groups in lanes"), (56, 3, "planes")])
def test_choice(side, taps, named):
    a, b = np.ones((2, 64, side, side), "float32"), np.ones((64, 1, taps, taps), "float32")
    x, w = T.tensor4("x"), T.tensor4("w")
    f = symc.function([x, w], T.nnet.conv2d(x, w, border_mode="half", num_groups=64), profile=True)
    assert f(a, b)[1, 3, side // 2, side // 2] == taps * taps
    assert f"by {named}" in f.profile.summary()
