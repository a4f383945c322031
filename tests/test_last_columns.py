"""The last columns of products, which are fewer than a vector; with what is computed of the result. Against float64."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 5, 13, 50, 150])
def test_any_number_of_columns(dtype: str, rows: int) -> None:
    rng = np.random.default_rng(rows)
    x, bias, rest = T.matrix("x", dtype), T.col("bias", dtype), T.matrix("rest", dtype)
    for terms in (7, 8, 61, 400):  # of more than one block of terms, too
        a = rng.standard_normal((rows, terms)).astype(dtype)
        f = symc.function([x, bias, rest], T.clip(T.dot(symc.shared(a), x) + bias + rest, -2, 6))
        for columns in (*range(1, 38), 49, 196, 513):
            b, c, d = (rng.standard_normal(s).astype(dtype) for s in ((terms, columns), (rows, 1), (rows, columns)))
            expected = np.clip(a.astype(np.float64) @ b + c + d, -2, 6)
            np.testing.assert_allclose(f(b, c, d), expected, rtol=0, atol=np.finfo(dtype).eps * 30 * terms**0.5)


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (14, 14), (3, 11), (12, 17)])
@pytest.mark.parametrize("channels", [(1, 17), (17, 3), (50, 50), (64, 33)])
def test_pointwise_convolutions(size: tuple[int, int], channels: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x, bias = T.ftensor4("x"), T.fvector("bias")
    w = rng.standard_normal((channels[1], channels[0], 1, 1)).astype(np.float32)
    f = symc.function([x, bias], T.nnet.relu(T.nnet.conv2d(x, symc.shared(w)) + bias.dimshuffle("x", 0, "x", "x")))
    images = rng.standard_normal((2, channels[0], *size)).astype(np.float32)
    offset = rng.standard_normal(channels[1]).astype(np.float32)
    expected = np.einsum("nchw,fc->nfhw", images.astype(np.float64), w[:, :, 0, 0]) + offset[:, None, None]
    np.testing.assert_allclose(f(images, offset), np.maximum(expected, 0), rtol=0, atol=5e-5)
