"""Pooling: against loops written out, the ragged edge, ties, other numbers of axes, errors."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import ShapeError

pool_2d = T.signal.pool.pool_2d


def by_hand(x, ws, stride, pad, ignore_border, mode):
    """One output at a time, with Theano's rules."""
    h, w = x.shape[-2:]
    ends = [n + 2 * p for n, p in zip((h, w), pad)]
    starts = []
    for n, window, step in zip(ends, ws, stride):
        found = [s for s in range(0, n, step) if s + window <= n]
        if not ignore_border:
            reached = found[-1] + window if found else 0
            if reached < n and (not found or found[-1] + step < n):
                found.append(found[-1] + step if found else 0)
        starts.append(found)
    out = np.zeros((*x.shape[:-2], *map(len, starts)))
    for i, top in enumerate(starts[0]):
        for j, left in enumerate(starts[1]):
            bottom, right = min(top + ws[0], ends[0]), min(left + ws[1], ends[1])
            rows = slice(max(top - pad[0], 0), min(bottom - pad[0], h))
            columns = slice(max(left - pad[1], 0), min(right - pad[1], w))
            part = x[..., rows, columns]
            total = part.sum((-2, -1))
            out[..., i, j] = {
                "max": part.max((-2, -1)),
                "sum": total,
                "average_exc_pad": total / (part.shape[-1] * part.shape[-2]),
                "average_inc_pad": total / ((bottom - top) * (right - left)),
            }[mode]
    return out


GEOMETRIES = [
    ((2, 3, 8, 9), (2, 3), (2, 3), (0, 0), True),
    ((2, 1, 9, 7), (3, 3), (2, 2), (1, 2), True),
    ((1, 2, 7, 8), (3, 2), (1, 3), (2, 1), True),
    ((1, 2, 7, 8), (2, 3), (2, 3), (0, 0), False),
    ((3, 9, 10), (3, 4), (2, 3), (0, 0), False),
    ((5, 6), (4, 4), (3, 3), (0, 0), False),
    ((3, 7), (5, 2), (1, 3), (0, 0), False),
    ((2, 2, 1, 5, 5), (2, 2), (1, 1), (0, 0), True),
]


@pytest.mark.parametrize("mode", ["max", "sum", "average_inc_pad", "average_exc_pad"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_against_loops(rng, geometry, mode: str) -> None:
    shape, ws, stride, pad, ignore_border = geometry
    value = rng.normal(size=shape)
    want = by_hand(value, ws, stride, pad, ignore_border, mode)
    for known in (shape, [None] * len(shape)):
        x = T.tensor("float64", shape=known)
        y = pool_2d(x, ws, stride=stride, pad=pad, ignore_border=ignore_border, mode=mode)
        if known == shape:
            assert y.static_shape == want.shape
        found = symc.function([x], y)(value)
        np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["sum", "average_inc_pad", "average_exc_pad"])
def test_linear_pooling_is_the_adjoint_of_its_gradient(rng, mode: str) -> None:
    x = T.dtensor3("x")
    y = pool_2d(x, (3, 2), ignore_border=True, stride=(2, 1), pad=(1, 1), mode=mode)
    g = T.dtensor3("g")
    value, dx = symc.function([x, g], [y, T.grad(None, x, known_grads={y: g})])(
        a := rng.normal(size=(2, 6, 5)), b := rng.normal(size=(2, 3, 6))
    )
    np.testing.assert_allclose((value * b).sum(), (a * dx).sum(), rtol=1e-10)


def test_every_largest_element_gets_the_gradient() -> None:
    x = T.matrix("x")
    dx = symc.function([x], T.grad(pool_2d(x, (2, 2), ignore_border=True).sum(), x))
    np.testing.assert_array_equal(dx([[1, 1, 5, 2], [0, 1, 3, 4]]), [[1, 1, 1, 0], [0, 1, 0, 0]])


def test_padding_is_no_maximum() -> None:
    x = T.matrix("x")
    found = symc.function([x], pool_2d(x, (2, 2), ignore_border=True, pad=(1, 1)))(-np.ones((2, 2), "f4"))
    np.testing.assert_array_equal(found, -np.ones((2, 2)))


def test_second_derivative_of_max(rng) -> None:
    x = T.dmatrix("x")
    y = pool_2d(x, (2, 2), ignore_border=True, stride=(1, 1))
    g = T.grad((y**3).sum(), x)
    found = symc.function([x], T.grad((g * g).sum(), x))(a := rng.permutation(20).reshape(4, 5) / 10.0)
    # With k windows won at an element v, the gradient is 3 k v**2 there; its square grows by 36 k**2 v**3.
    wins = np.zeros_like(a)
    for i, j in np.ndindex(3, 4):
        window = a[i : i + 2, j : j + 2]
        wins[i : i + 2, j : j + 2] += window == window.max()
    np.testing.assert_allclose(found, 36 * wins**2 * a**3, rtol=1e-10)


def test_whole_numbers_stay_whole() -> None:
    x = T.lmatrix("x")
    a = np.array([[2**53 - 1, 0], [3, -5]])
    top, mean = symc.function(
        [x], [pool_2d(x, 2, ignore_border=True), pool_2d(x, 2, ignore_border=True, mode="average_exc_pad")]
    )(a)
    assert top.dtype == "int64" and top == 2**53 - 1 and mean.dtype == "float32"


def test_legacy_names_and_default() -> None:
    x = T.tensor4("x", shape=(1, 1, 5, 5))
    assert pool_2d(x, ds=(2, 2), st=(1, 1), padding=(1, 1), ignore_border=True).static_shape == (1, 1, 6, 6)
    with pytest.warns(UserWarning, match="ignore_border"):
        assert pool_2d(x, (2, 2)).static_shape == (1, 1, 3, 3)


def test_max_pool_same_size() -> None:
    x = T.matrix("x")
    found = symc.function([x], T.signal.pool.max_pool_2d_same_size(x, (2, 2)))([[1, 2, 3], [4, 0, -1]])
    np.testing.assert_array_equal(found, [[0, 0, 3], [4, 0, 0]])


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"ws": None}, "ws is missing"),
        ({"mode": "mean"}, "'mean'"),
        ({"ws": (2, 0)}, "ws"),
        ({"stride": (0, 1)}, "stride"),
        ({"pad": (1, 1), "ignore_border": False}, "ignore_border=True"),
        ({"pad": (2, 0)}, "smaller than the window"),
        ({"ds": (2, 2)}, "old name"),
        ({"ws": (2, 2, 2)}, "pair"),
    ],
)
def test_bad_arguments(arguments, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pool_2d(T.tensor4(), **{"ws": (2, 2), "ignore_border": True, **arguments})


@pytest.mark.parametrize("mode", ["max", "sum", "average_inc_pad", "average_exc_pad"])
def test_a_window_larger_than_the_image_gives_an_empty_result(mode: str) -> None:
    assert pool_2d(T.tensor4(shape=(1, 1, 9, 4)), (3, 5), ignore_border=True).static_shape == (1, 1, 3, 0)
    with pytest.raises(ShapeError, match="2 axes"):
        pool_2d(T.vector(), (3, 5), ignore_border=True)
    x = T.tensor3("x")
    y = pool_2d(x, (4, 2), ignore_border=True, stride=(1, 2), mode=mode)
    f = symc.function([x], [y, symc.grad((y**2).sum(), x), symc.grad(symc.grad(y.sum(), x).sum(), x)])
    f(np.random.default_rng(0).random((2, 5, 6)).astype("f4"))  # what memory holds then is not zero
    out, by_x, again = f(np.ones((2, 3, 6), "f4"))
    assert out.shape == (2, 0, 3) and by_x.shape == again.shape == (2, 3, 6)
    assert not by_x.any() and not again.any()


@pytest.mark.parametrize(
    "mode, window, stride, pad, ignore",
    [
        ("max", (3, 2), (2, 1), (1, 1), True),
        ("sum", (2, 3), (2, 3), (0, 0), True),
        ("average_inc_pad", (3, 2), (2, 1), (1, 1), True),
        ("average_exc_pad", (3, 2), (2, 1), (1, 1), True),
        ("max", (3, 3), (2, 2), (0, 0), False),
        ("average_inc_pad", (2, 2), (3, 1), (0, 0), False),
    ],
)
def test_windows_known_only_at_call_time(mode, window, stride, pad, ignore):
    """They give what the same numbers give when they are known; gradients too, of distinct elements."""
    x = T.dtensor4("x")
    w, s, p = T.ivector("w"), T.ivector("s"), T.lscalars("pq")
    symbolic_pad = p if ignore else None
    y = T.signal.pool.pool_2d(x, w, ignore, (s[0], s[1]), symbolic_pad, mode)
    known = T.signal.pool.pool_2d(x, window, ignore, stride, pad, mode)
    inputs = [x, w, s, *(p if ignore else [])]
    both = symc.function(inputs, [y, T.grad((y**2).sum(), x), known, T.grad((known**2).sum(), x)])
    values = np.random.default_rng(0).permutation(2 * 3 * 7 * 8).reshape(2, 3, 7, 8) / 10
    found, slope, wanted, wanted_slope = both(values, window, stride, *(pad if ignore else []))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    np.testing.assert_allclose(slope, wanted_slope, rtol=1e-6)
