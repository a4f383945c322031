"""Minimal filtering of any taps, strides and dilations, against sums in float64: forward and both gradients."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

import symc
import symc.tensor as T

pytestmark = pytest.mark.skipif(symc.config.device != "c", reason="an algorithm of the C back end")


class Problem(NamedTuple):
    images: int
    channels: int  # of all groups, like filters
    filters: int
    size: tuple[int, int]
    taps: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    groups: int = 1
    flip: bool = False


PROBLEMS = [
    Problem(2, 17, 33, (9, 14), (1, 3), pad=(0, 1)),
    Problem(1, 50, 16, (23, 6), (5, 1), pad=(2, 0), flip=True),
    Problem(3, 32, 17, (7, 17), (1, 7), pad=(0, 3)),
    Problem(1, 16, 50, (40, 3), (11, 1), pad=(7, 2), flip=True),
    Problem(2, 34, 64, (13, 11), (7, 6), pad=(3, 2), groups=2),
    Problem(1, 16, 16, (1, 1), (3, 3), pad=(1, 1)),
    Problem(2, 16, 20, (19, 8), (2, 2)),
    Problem(2, 32, 48, (21, 17), (3, 3), dilation=(2, 2), pad=(2, 2)),
    Problem(1, 19, 17, (10, 31), (3, 5), dilation=(5, 3), pad=(4, 6), flip=True),
    Problem(1, 33, 16, (30, 30), (3, 3), dilation=(12, 12), pad=(12, 12)),
    Problem(1, 32, 32, (5, 60), (1, 2), dilation=(1, 16), pad=(0, 16)),
    Problem(2, 48, 35, (17, 23), (3, 3), stride=(2, 2), pad=(1, 1)),
    Problem(2, 32, 32, (16, 14), (4, 4), stride=(2, 2), pad=(1, 1), flip=True),
    Problem(1, 16, 31, (29, 20), (7, 5), stride=(3, 2), pad=(2, 1)),
    Problem(2, 32, 64, (12, 33), (5, 5), stride=(2, 1), dilation=(1, 2), pad=(0, 4), groups=2),
    Problem(1, 18, 18, (7, 40), (1, 3), stride=(1, 2), pad=(0, 1)),
    # The last tiles along an axis have two results instead of four where that is enough.
    Problem(9, 50, 33, (14, 13), (3, 3), pad=(1, 1)),
    Problem(3, 17, 64, (30, 11), (3, 3), pad=(0, 2), flip=True),
    Problem(2, 34, 48, (8, 6), (3, 3), pad=(1, 1), groups=2),
    Problem(70, 64, 64, (5, 9), (3, 3), pad=(1, 1)),
    Problem(2, 20, 17, (22, 5), (3, 1), pad=(1, 0)),
    Problem(2, 17, 20, (4, 41), (1, 3), pad=(0, 1)),
    # Few channels and strides: the pixels of all remainders are lanes.
    Problem(2, 3, 33, (31, 30), (11, 11), stride=(4, 4)),
    Problem(3, 1, 17, (20, 21), (7, 7), stride=(2, 2), pad=(3, 3), flip=True),
    Problem(1, 5, 16, (40, 37), (9, 9), stride=(3, 3), pad=(4, 4)),
    Problem(2, 4, 48, (40, 44), (8, 8), stride=(4, 4)),
    Problem(1, 3, 16, (9, 9), (11, 11), stride=(4, 4), pad=(12, 13)),
    Problem(2, 3, 18, (26, 60), (3, 11), stride=(1, 4), pad=(1, 0)),
    Problem(1, 20, 16, (11, 30), (4, 8), stride=(1, 2), pad=(2, 3)),
]
FOLDED = PROBLEMS[-7:]


def outputs(p: Problem) -> tuple[int, int]:
    axes = zip(p.size, p.taps, p.stride, p.dilation, p.pad)
    return tuple((n + 2 * q - (k - 1) * d - 1) // s + 1 for n, k, s, d, q in axes)  # type: ignore[return-value]


def right(p: Problem, x: np.ndarray, w: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
    """The results, dX and dW tap by tap."""
    high, wide = outputs(p)
    padded = np.pad(x.astype("float64"), [(0, 0), (0, 0), (p.pad[0],) * 2, (p.pad[1],) * 2])
    images = padded.reshape(p.images, p.groups, -1, *padded.shape[2:])
    filters = (w[:, :, ::-1, ::-1] if p.flip else w).reshape(p.groups, -1, *w.shape[1:]).astype("float64")
    cotangent = g.reshape(p.images, p.groups, -1, high, wide).astype("float64")
    y, dx, dw = np.zeros(cotangent.shape), np.zeros(images.shape), np.zeros(filters.shape)
    for r, s in np.ndindex(*p.taps):
        rows = slice(r * p.dilation[0], r * p.dilation[0] + (high - 1) * p.stride[0] + 1, p.stride[0])
        cols = slice(s * p.dilation[1], s * p.dilation[1] + (wide - 1) * p.stride[1] + 1, p.stride[1])
        y += np.einsum("ngcyx,gkc->ngkyx", images[..., rows, cols], filters[..., r, s])
        dx[..., rows, cols] += np.einsum("ngkyx,gkc->ngcyx", cotangent, filters[..., r, s])
        dw[..., r, s] = np.einsum("ngcyx,ngkyx->gkc", images[..., rows, cols], cotangent)
    dx = dx.reshape(padded.shape)[:, :, p.pad[0] : p.pad[0] + p.size[0], p.pad[1] : p.pad[1] + p.size[1]]
    dw = dw.reshape(w.shape)
    return [y.reshape(g.shape), dx, dw[:, :, ::-1, ::-1] if p.flip else dw]


def operands(p: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    shapes = (
        (p.images, p.channels, *p.size),
        (p.filters, p.channels // p.groups, *p.taps),
        (p.images, p.filters, *outputs(p)),
    )
    return tuple(rng.standard_normal(s).astype("float32") for s in shapes)  # type: ignore[return-value]


def convolution(p: Problem, x: T.Variable, w: T.Variable) -> T.Variable:
    return T.nnet.conv2d(
        x, w, border_mode=p.pad, subsample=p.stride, filter_dilation=p.dilation, num_groups=p.groups, filter_flip=p.flip
    )


def named(function: symc.Function) -> str:
    return " ".join(row.kernel for row in function.profile.rows)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("p", PROBLEMS)
def test_all_passes(p, threads):
    x, w, g = T.tensor4s("x", "w", "g")
    y = convolution(p, x, w)
    with symc.config.change(conv_algorithm="winograd", cpu_precision="ieee", threads=threads):
        f = symc.function([x, w, g], [y, *symc.grad(None, [x, w], known_grads={y: g})], profile=True)
        given = operands(p)
        found = f(*given)
        assert "by Winograd" in named(f)
    for actual, expected in zip(found, right(p, *given)):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1.5e-5 * np.sqrt(np.mean(expected**2)))


@pytest.mark.parametrize("p", [PROBLEMS[2], PROBLEMS[7], PROBLEMS[8], PROBLEMS[11], *FOLDED])
def test_epilogues_and_stored_filters(p):
    """Rows of an epilogue may be apart, as those of dilated tiles are; stored filters stay transformed."""
    x, (a, b, g) = T.tensor4("x"), operands(p)
    w, bias = symc.shared(b), np.linspace(-1, 1, p.filters, dtype="float32").reshape(1, -1, 1, 1)
    with symc.config.change(conv_algorithm="winograd", cpu_precision="ieee"):
        f = symc.function([x], T.nnet.relu(convolution(p, x, w) + bias))
        for factor in (1, 1, 2):
            w.set_value(b * np.float32(factor))
            expected = np.maximum(right(p, a, b, g)[0] * factor + bias, 0)
            np.testing.assert_allclose(f(a), expected, rtol=0, atol=3e-5 * np.sqrt(np.mean(expected**2)))


@pytest.mark.parametrize("large", range(3))
def test_large_values_do_not_overflow(large):
    """The limits that ``conv_accuracy`` states hold for filters of two taps too, by which strides divide filters."""
    p = Problem(2, 16, 16, (22, 24), (4, 4), stride=(2, 2), pad=(1, 1))
    x, w, g = T.tensor4s("x", "w", "g")
    y = convolution(p, x, w)
    rng, terms = np.random.default_rng(40), 16 * 121 * 2
    given = [rng.choice(np.float32([-1, 1]), a.shape) for a in operands(p)]
    with symc.config.change(conv_algorithm="winograd", cpu_precision="ieee"):
        f = symc.function([x, w, g], [y, *symc.grad(None, [x, w], known_grads={y: g})])
        for size in (2.4e35 / terms, 9e35):
            factors = np.full(3, min(1, 2.4e35 / terms / size), "float32")
            factors[large] = size
            assert all(np.isfinite(a).all() for a in f(*(v * k for v, k in zip(given, factors))))


@pytest.mark.parametrize(
    "p",
    [
        Problem(8, 64, 64, (28, 28), (3, 3), dilation=(2, 2), pad=(2, 2)),
        Problem(8, 128, 128, (1, 400), (1, 3), pad=(0, 1)),
        Problem(4, 32, 32, (28, 28), (7, 7), pad=(3, 3)),
        Problem(16, 64, 128, (20, 20), (4, 4), stride=(2, 2), pad=(1, 1)),
    ],
)
def test_cost_model_finds_it(p):
    """Dilated filters, filters of one row, large ones and strided ones with enough taps are computed so by default."""
    x, w, g = T.tensor4s("x", "w", "g")
    y = convolution(p, x, w)
    given = operands(p)
    with symc.config.change(cpu_precision="ieee"):
        for inputs, output in (([x, w], y), *(([x, w, g], symc.grad(None, v, known_grads={y: g})) for v in (x, w))):
            f = symc.function(inputs, output, profile=True, on_unused_input="ignore")
            f(*given[: len(inputs)])
            assert "by Winograd" in named(f)
