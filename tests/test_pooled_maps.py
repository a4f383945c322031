"""Convolutions that store the maxima of windows of their maps, against pooling of all maps in float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.graph.op import Op
from symc.printing import debugprint
from symc.tensor.nnet.pooled_convolution import CONV2D_POOLED
from symc.tensor.signal.pool import pool_2d

on_the_cpu = pytest.mark.skipif(symc.config.device != "c", reason="a pass for the C back end")


class Layer(NamedTuple):
    images: int
    channels: int  # of all groups, like filters
    filters: int
    size: tuple[int, int]
    taps: int = 3
    pad: int = 1
    window: tuple[int, int] = (2, 2)
    groups: int = 1


LAYERS = [
    Layer(2, 32, 40, (28, 30)),
    Layer(1, 64, 64, (14, 13)),  # with tiles of two results
    Layer(3, 17, 33, (15, 17), pad=0),
    Layer(2, 20, 50, (12, 12), taps=5, pad=0),
    Layer(1, 16, 16, (20, 23), window=(4, 4)),
    Layer(2, 48, 16, (9, 11), window=(1, 2)),
    Layer(2, 16, 18, (9, 6), window=(2, 1)),
    Layer(5, 34, 64, (8, 10), groups=2),
    Layer(1, 16, 17, (3, 3), pad=0),  # without windows
    Layer(0, 16, 16, (8, 8)),
]


def drawn(p: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    shape = p.filters, p.channels // p.groups, p.taps, p.taps
    weights = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    images = rng.standard_normal((p.images, p.channels, *p.size))
    return images.astype("float32"), weights.astype("float32"), rng.standard_normal(p.filters).astype("float32")


def maps(p: Layer, x: T.Variable, w: T.Variable, b: T.Variable) -> T.Variable:
    return T.nnet.conv2d(x, w, border_mode=p.pad, num_groups=p.groups) + b.dimshuffle("x", 0, "x", "x")


def network(p: Layer, x: T.Variable, w: T.Variable, b: T.Variable) -> T.Variable:
    return pool_2d(T.nnet.relu(maps(p, x, w, b)), p.window, ignore_border=True)


def expected(p: Layer, *arrays: np.ndarray) -> np.ndarray:
    x, w, b = T.dtensor4("x"), T.dtensor4("w"), T.dvector("b")
    with symc.config.change(mode="no_rewrite"):
        return symc.function([x, w, b], network(p, x, w, b), device="interp")(*(a.astype("float64") for a in arrays))


def program(f: symc.Function) -> str:
    return debugprint(f, stage="pool_maps", file="str")


@on_the_cpu
@pytest.mark.parametrize("algorithm", ["auto", "winograd", "panels"])
@pytest.mark.parametrize("p", LAYERS)
def test_stored_and_given_filters(p, algorithm):
    images, weights, bias = drawn(p)
    x, w, b = T.ftensor4("x"), T.TensorType("float32", weights.shape)("w"), T.fvector("b")
    stored = symc.shared(weights)
    with symc.config.change(conv_algorithm=algorithm, cpu_precision="ieee"):
        functions = [
            (symc.function([x, w, b], network(p, x, w, b)), (images, weights, bias)),
            (symc.function([x], network(p, x, stored, symc.shared(bias))), (images,)),
        ]
        for f, given in functions:
            assert "conv2d_pooled" in program(f)
            for _ in range(2):
                np.testing.assert_allclose(f(*given), expected(p, images, weights, bias), atol=2e-5)
        stored.set_value(weights * 2)
        np.testing.assert_allclose(f(images), expected(p, images, weights * 2, bias), atol=4e-5)


@on_the_cpu
@pytest.mark.parametrize("threads", [1, 3])
def test_other_widths_and_threads(isa, threads):
    p = LAYERS[1]
    given = drawn(p)
    x, w, b = T.ftensor4("x"), T.TensorType("float32", given[1].shape)("w"), T.fvector("b")
    with symc.config.change(conv_algorithm="winograd", cpu_precision="ieee", threads=threads):
        f = symc.function([x, w, b], network(p, x, w, b))
        np.testing.assert_allclose(f(*given), expected(p, *given), atol=2e-5)


@on_the_cpu
@pytest.mark.parametrize("p", LAYERS[:4])
def test_epilogues_that_are_not_plain(p):
    """Of a residual and an exponential, the maps of the epilogue are those of windows."""
    images, weights, bias = drawn(p)
    x, w = T.ftensor4("x"), symc.shared(weights)
    added = np.random.default_rng(12).standard_normal(expected(p, images, weights, bias).shape).astype("float32")
    r = T.ftensor4("r")
    with symc.config.change(conv_algorithm="winograd", cpu_precision="ieee"):
        f = symc.function([x, r], T.exp(-network(p, x, w, symc.shared(bias))) + r)
        assert "conv2d_pooled" in program(f)
        np.testing.assert_allclose(
            f(images, added), np.exp(-expected(p, images, weights, bias)) + added, atol=3e-5, rtol=2e-5
        )


@on_the_cpu
@pytest.mark.parametrize(
    "change",
    [
        lambda p, x, w, b: (network(p, x, w, b), maps(p, x, w, b).sum()),  # another reader
        lambda p, x, w, b: pool_2d(-maps(p, x, w, b), p.window, ignore_border=True),
        lambda p, x, w, b: pool_2d(maps(p, x, w, b), p.window, ignore_border=True, mode="sum"),
        lambda p, x, w, b: pool_2d(maps(p, x, w, b), (3, 3), stride=(2, 2), ignore_border=True),
        lambda p, x, w, b: pool_2d(maps(p, x, w, b), p.window, ignore_border=False),
        lambda p, x, w, b: pool_2d(maps(p, x, w, b) + maps(p, x, w, b).mean((0, 1)), p.window, ignore_border=True),
        lambda p, x, w, b: symc.grad(network(p, x, w, b).sum(), b),  # not by w: near ties choose another pixel
        lambda p, x, w, b: pool_2d(T.nnet.conv2d(x, w, subsample=(2, 2)), p.window, ignore_border=True),
    ],
)
def test_maps_that_must_be_whole(change):
    p = LAYERS[0]
    given = drawn(p)
    x, w, b = T.ftensor4("x"), T.TensorType("float32", given[1].shape)("w"), T.fvector("b")
    out = change(p, x, w, b)
    outs = list(out) if isinstance(out, tuple) else [out]
    f = symc.function([x, w, b], outs, on_unused_input="ignore")
    assert "conv2d_pooled" not in program(f)
    reference = symc.function([x, w, b], outs, device="interp", on_unused_input="ignore")
    for found, wanted in zip(f(*given), reference(*given)):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


@on_the_cpu
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_special_values(bad):
    """Direct sums follow the definition; minimal filtering spoils no more than the tiles that read the pixel."""
    p = LAYERS[0]
    images, weights, bias = drawn(p)
    spoilt = images.copy()
    spoilt[1, 3, 10, 11] = bad
    x, w = T.ftensor4("x"), symc.shared(weights)
    for algorithm in ("panels", "winograd"):
        with symc.config.change(conv_algorithm=algorithm, cpu_precision="ieee"):
            f = symc.function([x], network(p, x, w, symc.shared(bias)))
            found, wanted = f(spoilt), expected(p, spoilt, weights, bias)
            if algorithm == "winograd":
                assert not np.isfinite(found[1, :, 5, 5]).any()
                found[1, :, 3:9, 3:9] = wanted[1, :, 3:9, 3:9]
            np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_op(dtype):
    """By itself, for strides, dilation and windows that the pass leaves alone, in both dtypes and on both devices."""
    given = {"pad": ((1, 1), (2, 2)), "stride": (1, 2), "dilation": (2, 1), "groups": 2, "flip": True, "pool": (3, 2)}
    op = Op(CONV2D_POOLED, **given)
    rng = np.random.default_rng(13)
    images, weights = rng.normal(size=(2, 6, 17, 20)).astype(dtype), rng.normal(size=(8, 3, 3, 2)).astype(dtype)
    x, w = (T.TensorType(dtype, (None,) * 4)(name) for name in "xw")
    convolved = T.nnet.conv2d(x, w, border_mode=(1, 2), subsample=(1, 2), filter_dilation=(2, 1), num_groups=2)
    whole = symc.function([x, w], convolved, device="interp")(images, weights)
    n, k, rows, columns = whole.shape
    wanted = whole[:, :, : rows // 3 * 3, : columns // 2 * 2].reshape(n, k, rows // 3, 3, columns // 2, 2).max((3, 5))
    found = [op.evaluate([images, weights])[0]]
    found += [symc.function([x, w], op(x, w), device=d)(images, weights) for d in ("interp", symc.config.device)]
    for values in found:
        assert values.dtype == dtype
        np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-5)
