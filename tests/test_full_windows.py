"""Convolutions whose filters cover whole images, and their adjoints: products of matrices, with the same values."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.compiler.rewrite.engine import recorded
from symc.tensor.nnet.conv_ops import BACKWARD_DATA, BACKWARD_WEIGHTS, CONV2D

SHAPES = [  # images, channels, filters, rows, columns
    (1, 1, 1, 4, 4), (3, 17, 50, 2, 3), (5, 3, 17, 1, 7), (2, 50, 1, 5, 1), (0, 3, 4, 2, 2), (9, 8, 0, 3, 3),
]  # fmt: skip


def _convolved(x: np.ndarray, w: np.ndarray, flip: bool) -> np.ndarray:
    return np.einsum("ncij,kcij->nk", x, w[:, :, ::-1, ::-1] if flip else w)[:, :, None, None]


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize(("n", "c", "k", "h", "w"), SHAPES)
def test_values_and_gradients_are_those_of_the_convolution(n: int, c: int, k: int, h: int, w: int, flip: bool) -> None:
    rng = np.random.default_rng(0)
    images, filters, slopes = (rng.standard_normal(s).astype("float32") for s in ((n, c, h, w), (k, c, h, w), (n, k)))
    x = T.tensor("float32", shape=(None, c, h, w))
    kept = symc.shared(filters)
    v, offset, g = T.tensor4("v"), T.vector("offset"), T.matrix("g")
    offsets = rng.standard_normal(k).astype("float32")
    exact = [a.astype("float64") for a in (images, filters, slopes)]
    turned = exact[1][:, :, ::-1, ::-1] if flip else exact[1]
    for weights in (kept, T.specify_shape(v, (k, c, h, w))):
        maps = T.nnet.conv2d(x, weights, filter_flip=flip, subsample=(2, 3))
        results = [
            T.nnet.relu(maps + offset.dimshuffle("x", 0, "x", "x")),
            *symc.grad((maps * g.dimshuffle(0, 1, "x", "x")).sum(), [x, weights]),
        ]
        given = [x, offset, g] if weights is kept else [x, offset, g, v]
        with recorded() as applied:
            f = symc.function(given, results)
        replaced = {before.owner.op.record for name, before, _ in applied if name == "full_windows"}
        assert replaced == {CONV2D, BACKWARD_DATA, BACKWARD_WEIGHTS}
        found = f(*[images, offsets, slopes, filters][: len(given)])
        wanted = [
            np.maximum(_convolved(*exact[:2], flip) + offsets[:, None, None], 0),
            np.einsum("nk,kcij->ncij", exact[2], turned),
            np.einsum("nk,ncij->kcij", exact[2], exact[0][:, :, ::-1, ::-1] if flip else exact[0]),
        ]
        for have, want in zip(found, wanted):
            np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5 * (1 + np.abs(want).max(initial=0)))


def test_special_values_stay_in_their_image() -> None:
    x = T.tensor("float32", shape=(None, 3, 4, 4))
    weights = symc.shared(np.ones((5, 3, 4, 4), "float32"))
    images = np.ones((3, 3, 4, 4), "float32")
    images[1, 0, 0, 0], images[2, 2, 3, 3] = np.nan, np.inf
    found = symc.function([x], T.nnet.conv2d(x, weights))(images)[:, :, 0, 0]
    np.testing.assert_array_equal(found, np.array([[48], [np.nan], [np.inf]]).repeat(5, 1))


@pytest.mark.parametrize(
    "options", [{"border_mode": (0, 1)}, {"border_mode": "half"}, {"filter_dilation": (2, 1)}, {"num_groups": 2}]
)
def test_others_stay_convolutions(options: dict[str, object]) -> None:
    rows = 3 if "filter_dilation" in options else 2
    x = T.tensor("float32", shape=(None, 4, rows, 3))
    filters = np.ones((4, 2 if "num_groups" in options else 4, 2, 3), "float32")
    with recorded() as applied:
        f = symc.function([x], T.nnet.conv2d(x, symc.shared(filters), **options))
    assert "full_windows" not in [name for name, *_ in applied]
    images = np.random.default_rng(0).standard_normal((2, 4, rows, 3)).astype("float32")
    want = symc.function([x], T.nnet.conv2d(x, symc.shared(filters), **options), mode="no_rewrite")(images)
    np.testing.assert_allclose(f(images), want, rtol=1e-5, atol=1e-5)
