"""Volumes, neighbourhoods, enlarged images: refusals, checks at call time, ties, sizes that are symbolic."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import GuardError, ShapeError

nnet, pool = T.nnet, T.signal.pool


def volumes(*shape: int | None) -> Any:
    return T.tensor("float32", shape=shape, name="v")


REFUSED = [
    (lambda: nnet.conv3d(volumes(1, 3, 4, 4, 4), volumes(2, 2, 2, 2, 2)), ShapeError, "3 channels.*expect 2"),
    (lambda: nnet.conv3d(volumes(1, 2, 2, 4, 4), volumes(2, 2, 3, 2, 2)), ShapeError, "covers 3 slices.*only 2"),
    (lambda: nnet.conv3d(volumes(1, 2, 4, 4), volumes(2, 2, 3, 2, 2)), ShapeError, "conv3d.*5 axes, got 4"),
    (lambda: nnet.conv3d(volumes(*[4] * 5), volumes(*[4] * 5), border_mode="same"), ValueError, "conv3d.*'same'"),
    (lambda: nnet.conv3d(volumes(*[4] * 5), volumes(*[4] * 5), subsample=(1, 0, 1)), ValueError, "subsample.*from 1"),
    (lambda: nnet.conv3d(volumes(*[4] * 5), volumes(*[4] * 5), border_mode=(1, 2)), ValueError, "depth, rows"),
    (lambda: nnet.conv3d(volumes(1, 3, 4, 4, 4), volumes(2, 3, 1, 1, 1), num_groups=2), ShapeError, "channels"),
    (lambda: nnet.conv3d_grad_wrt_inputs(volumes(*[1] * 5), volumes(*[1] * 5), (1, 1, None, 1, 1)), ValueError,
     "depth"),
    (
        lambda: nnet.conv3d_grad_wrt_weights(volumes(1, 1, 5, 5, 5), volumes(1, 1, 4, 3, 3), (1, 1, 3, 3, 3)),
        ShapeError, "4 slices.*make 3",
    ),
    (lambda: pool.pool_3d(volumes(2, 4, 4), (2, 2), True), ValueError, "pool_3d.*three"),
    (lambda: pool.pool_3d(volumes(4, 4), 2, True), ShapeError, "pool_3d.*3 axes"),
    (lambda: pool.pool_3d(volumes(2, 4, 4), 2, False, pad=(1, 0, 0)), ValueError, "ignore_border=True"),
    (lambda: pool.pool_3d(volumes(2, 4, 4), 2, True, mode="min"), ValueError, "pool_3d.*mode"),
    (lambda: nnet.neighbours.images2neibs(volumes(1, 1, 3, 4), (2, 2)), ShapeError, "cover the rows"),
    (lambda: nnet.neighbours.images2neibs(volumes(1, 1, 3, 4), (3, 2), mode="wrap_centered"), ShapeError, "odd"),
    (lambda: nnet.neighbours.images2neibs(volumes(1, 1, 3, 4), (3, 2), mode="same"), ValueError, "mode"),
    (lambda: nnet.neighbours.images2neibs(volumes(1, 1, 3), (3, 2)), ShapeError, "got 3 axes"),
    (lambda: nnet.neighbours.neibs2images(volumes(4, 4), (2, 2), (1, 1, 5, 4)), ShapeError, "no multiple"),
    (lambda: nnet.neighbours.neibs2images(volumes(4, 4), (2, 2), (1, 1, 4, 4), "half"), ValueError, "mode"),
    (lambda: nnet.bilinear_upsampling(volumes(1, 1, 2, 2)), ValueError, "either ratio or frac_ratio"),
    (lambda: nnet.bilinear_upsampling(volumes(1, 1, 2, 2), 2, (2, 1)), ValueError, "either ratio or frac_ratio"),
    (lambda: nnet.bilinear_upsampling(volumes(1, 1, 2, 2), 0), ValueError, "from 1"),
    (lambda: nnet.bilinear_upsampling(volumes(1, 1, 2, 2), frac_ratio=(3, 0)), ValueError, "pair"),
    (lambda: nnet.local_response_normalization(volumes(1, 4), n=4), ValueError, "odd"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_refusals(number: int) -> None:
    build, kind, words = REFUSED[number]
    with pytest.raises(kind, match=f"(?s){words}"):
        build()


def test_shapes_known_only_at_call_time() -> None:
    x, w, i = T.tensor5("x"), T.tensor5("w"), T.tensor4("i")
    f = symc.function([x, w], nnet.conv3d(x, w))
    with pytest.raises(GuardError, match="conv3d: the volumes must have as many channels"):
        f(np.ones((1, 3, 4, 4, 4)), np.ones((2, 2, 2, 2, 2)))
    with pytest.raises(GuardError, match="conv3d: a filter covers"):
        f(np.ones((1, 2, 2, 4, 4)), np.ones((2, 2, 3, 2, 2)))
    assert f(np.ones((0, 2, 3, 4, 4)), np.ones((2, 2, 3, 2, 2))).shape == (0, 2, 1, 3, 3)
    g = symc.function([i], nnet.neighbours.images2neibs(i, (2, 2)))
    with pytest.raises(IndexError, match="images2neibs.*rows"):
        g(np.ones((1, 1, 3, 4)))
    assert g(np.ones((1, 1, 2, 4))).shape == (2, 4)


def test_symbolic_sizes_of_neighbourhoods() -> None:
    x, size = T.dtensor4("x"), T.lvector("size")
    n = T.stack([size[0], size[1]])
    found = nnet.neighbours.images2neibs(x, n, mode="ignore_borders")
    back = nnet.neighbours.neibs2images(found, n, x.shape, mode="ignore_borders")
    f = symc.function([x, size], [found, back])
    values = np.random.default_rng(0).normal(size=(1, 2, 5, 7))
    rows, same = f(values, [2, 3])
    assert rows.shape == (8, 6)
    np.testing.assert_array_equal(rows[1], values[0, 0, :2, 3:6].ravel())
    np.testing.assert_array_equal(same[:, :, :4, :6], values[:, :, :4, :6])
    assert not same[:, :, 4:].any() and not same[..., 6:].any()


def test_every_maximum_of_a_volume_receives_the_gradient() -> None:
    x = T.dtensor3("x")
    f = symc.function([x], symc.grad(pool.pool_3d(x, 2, True).sum(), x))
    values = np.zeros((2, 2, 4))
    values[0, 1, 0] = values[1, 0, 1] = 3
    want = np.ones((2, 2, 4))
    want[:, :, :2] = values[:, :, :2] == 3
    np.testing.assert_array_equal(f(values), want)


def test_pool_3d_of_integers_and_old_names() -> None:
    values = np.arange(16).reshape(2, 2, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pool.pool_3d(
            values, ds=(2, 2, 2), ignore_border=True, st=(1, 1, 1), padding=(0, 0, 0), mode="sum"
        ).eval()
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, [[[int(values[:, :, k : k + 2].sum()) for k in range(3)]]])
    with pytest.warns(UserWarning, match="pool_3d: ignore_border"):
        pool.pool_3d(values, 2)
