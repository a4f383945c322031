"""Sorting and the largest elements: ties, NaN, lengths known only at call time, refusals, gradients."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import ShapeError
from symc.printing import debugprint


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint16", "int64"])
@pytest.mark.parametrize("shape", [(40,), (3, 50), (2, 3, 17), (4, 1)])
def test_largest_and_smallest(dtype: str, shape: tuple[int, ...]) -> None:
    """Of equal elements those at lower indices are taken, whether the axis is sorted whole or only in part."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, shape).astype(dtype)
    x = T.tensor(dtype=dtype, shape=(None,) * len(shape), name="x")
    for k in {1, 2, shape[-1] // 5, shape[-1]} - {0}:
        if k > shape[-1]:
            continue
        f = symc.function([x], [*T.topk_and_argtopk(x, k), *T.topk_and_argtopk(x, -k)])
        most, at_most, least, at_least = f(values)
        down = np.argsort(-values.astype("int64"), -1, kind="stable")[..., :k]
        up = np.argsort(values, -1, kind="stable")[..., :k]
        np.testing.assert_array_equal(at_most, down)
        np.testing.assert_array_equal(at_least, up)
        np.testing.assert_array_equal(most, np.take_along_axis(values, down, -1))
        np.testing.assert_array_equal(least, np.take_along_axis(values, up, -1))


def test_nan_is_the_largest() -> None:
    values = np.tile([1.0, np.nan, -np.inf, 3.0, np.nan, np.inf, 2.0, 0.0], 3)[None]
    x = T.dmatrix("x")
    f = symc.function([x], [T.sort(x), *(T.topk(x, k) for k in (2, 7, 9, -3, -5, -20))])
    ascending = np.sort(values)
    found = f(values)
    np.testing.assert_array_equal(found[0], ascending)
    for k, got in zip((2, 7, 9, -3, -5, -20), found[1:]):
        np.testing.assert_array_equal(got, ascending[:, ::-1][:, :k] if k > 0 else ascending[:, :-k])


def test_a_number_known_only_at_call_time() -> None:
    x, n = T.fvector("x"), T.iscalar("n")
    f = symc.function([x, n], [T.topk(x, n), T.grad((T.topk(x, n) ** 2).sum(), x)])
    values = np.array([3, 1, 4, 1, 5, 9, 2, 6], "f4")
    for k in (1, 3, 8):
        most, slope = f(values, k)
        np.testing.assert_array_equal(most, np.sort(values)[::-1][:k])
        np.testing.assert_array_equal(
            slope, np.where(np.isin(values, most[:k]) & (values != 1) | (k == 8), 2 * values, 0)
        )
    with pytest.raises((ValueError, ShapeError), match="topk"):
        f(values, 9)


def test_the_gradient_goes_back_to_where_elements_came_from() -> None:
    rng = np.random.default_rng(1)
    values, weights = rng.permuted(np.arange(24.0)).reshape(2, 3, 4), rng.standard_normal((2, 3, 4))
    x, w = T.dtensor3("x"), T.dtensor3("w")
    for axis in (0, 1, 2):
        cost = (T.sort(x, axis) ** 2 * w).sum()
        first = T.grad(cost, x)
        second = T.grad((first * w).sum(), x)
        got, bent = symc.function([x, w], [first, second])(values, weights)
        places = np.argsort(values, axis)
        want, wanted = np.empty_like(values), np.empty_like(values)
        sorted_values = np.take_along_axis(values, places, axis)
        np.put_along_axis(want, places, 2 * sorted_values * weights, axis)
        np.put_along_axis(wanted, places, 2 * weights * np.take_along_axis(weights, places, axis), axis)
        np.testing.assert_allclose(got, want)
        np.testing.assert_allclose(bent, wanted)


def test_products_with_several_zeros() -> None:
    """The gradient of running products needs no division: first and second order against a direct sum."""
    values = np.array([[2.0, 0.0, -1.5, 0.0, 3.0], [1.0, 2.0, 3.0, 0.5, -1.0]])
    x = T.dmatrix("x")
    weights = np.array([1.0, -2.0, 0.5, 3.0, 1.5])
    cost = (T.cumprod(x, 1) * weights).sum()
    slope = T.grad(cost, x)
    got, bent = symc.function([x], [slope, T.grad(slope.sum(), x)])(values)

    def without(row: np.ndarray, *left_out: int) -> float:
        """The sum of weighted running products of ``row`` that contain, but skip, the elements left out."""
        kept = [k for k in range(5) if k not in left_out]
        return sum(weights[j] * np.prod([row[k] for k in kept if k <= j]) for j in range(max(left_out), 5))

    want = [[without(row, k) for k in range(5)] for row in values]
    np.testing.assert_allclose(got, want, rtol=1e-12)
    wanted = [[sum(without(row, k, l) for l in range(5) if l != k) for k in range(5)] for row in values]
    np.testing.assert_allclose(bent, wanted, rtol=1e-12)


def test_refusals() -> None:
    x = T.tensor("float32", shape=(4, 3), name="x")
    with pytest.raises(ShapeError, match="kth=4 is more than the 3 elements"):
        T.topk(x, 4)
    with pytest.raises(ValueError, match="kth cannot be 0"):
        T.topk(x, 0)
    with pytest.raises(ValueError, match="sort: kind must be .*, got 'bubble'"):
        T.sort(x, kind="bubble")
    v = T.vector("v")
    with pytest.raises(ValueError, match="^topk: kth=5 is not within the 3 elements"):
        symc.function([v], T.topk(v, 5))(np.zeros(3))
    with pytest.raises(ValueError, match="order= names fields"):
        T.argsort(x, order="a")
    with pytest.raises(ValueError, match="axis"):
        T.sort(x, axis=2)
    with pytest.raises(TypeError, match="integers"):
        T.permute_row_elements(x, x)
    with pytest.raises(TypeError, match="kth must be an integer"):
        T.topk(x, 1.5)


def _line(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Elements with many ties, zeros of both signs, infinities and NaNs of both signs."""
    if dtype.startswith("float"):
        x = rng.normal(size=shape).astype(dtype)
        special = np.array([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1.0], dtype)
        x.ravel()[rng.integers(0, x.size, x.size // 4)] = rng.choice(special, x.size // 4)
        return x
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    x.ravel()[::2] %= 5
    return x


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint16", "int32", "uint64"])
def test_every_bit_of_a_stable_sort(dtype: str) -> None:
    """Lengths on both sides of every change of method, lines whose elements are apart, one line for all threads."""
    rng = np.random.default_rng(1)
    v, n = T.tensor(dtype, shape=(None, None, None)), T.lscalar()
    f = symc.function([v, n], [T.sort(v, 1), T.argsort(v, 1), *T.topk_and_argtopk(v, n, axis=1)])
    for shape in [
        (1, 9, 1),
        (2, 100, 3),
        (1, 700, 1),
        (2, 5000, 1),
        (3, 4, 40),
        (5, 301, 7),
        (1, 70001, 1),
        (1, 66000, 2),
    ]:
        x = _line(rng, shape, dtype)
        order = np.argsort(x, 1, "stable")
        down = shape[1] - 1 - np.argsort(x[:, ::-1], 1, "stable")[:, ::-1]
        for k in {1, shape[1] // 7 + 1, shape[1]}:
            ascending, places, most, at = f(x, k)
            assert ascending.tobytes() == np.take_along_axis(x, order, 1).tobytes()
            np.testing.assert_array_equal(places, order)
            np.testing.assert_array_equal(at, down[:, :k])
            assert most.tobytes() == np.take_along_axis(x, down[:, :k], 1).tobytes()


def test_leading_digits_that_tell_little_apart() -> None:
    """The largest of elements that share their first bits, and of equal ones."""
    x = T.dvector("x")
    f = symc.function([x], T.topk_and_argtopk(x, 50))
    for values in (1 + np.random.default_rng(0).permutation(200_000) * 2.0**-40, np.ones(200_000)):
        found, at = f(values)
        want = np.argsort(-values, kind="stable")[:50]
        np.testing.assert_array_equal(at, want)
        np.testing.assert_array_equal(found, values[want])


def test_the_memory_of_sorting_is_known_before() -> None:
    x = T.fvector("x")
    f = symc.function([x], T.argsort(x))
    estimate = symc.memory_estimate(f, [(1_000_000,)])
    assert estimate.peak >= 4_000_000 + 8_000_000 + 2 * 8_000_000  # argument, result, and keys with indices, twice


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint64"])
def test_short_lines(dtype: str) -> None:
    """Lines that are sorted side by side, along the last axis and another one: ties, zeros of both signs, NaN."""
    rng = np.random.default_rng(1)
    x = T.tensor(dtype=dtype, shape=(None, None), name="x")
    f = symc.function([x], [T.sort(x, 0), T.sort(x, 1), T.argsort(x, 0), T.argsort(x, 1)])
    for shape in ((4, 1), (7, 5), (17, 33), (64, 21), (33, 64), (65, 3), (65, 17), (18, 511), (512, 19), (513, 16)):
        values = rng.integers(0, 9, shape).astype(dtype)
        if values.dtype.kind == "f":
            values[rng.random(shape) < 0.2] = -0.0
            values[rng.random(shape) < 0.2] = np.nan
        for axis, (ordered, places) in enumerate(zip(f(values)[:2], f(values)[2:])):
            expected = np.argsort(values, axis, kind="stable")
            np.testing.assert_array_equal(places, expected)
            np.testing.assert_array_equal(ordered, np.take_along_axis(values, expected, axis))
            if values.dtype.kind == "f":
                number = ~np.isnan(ordered)
                signs = np.signbit(np.take_along_axis(values, expected, axis))
                np.testing.assert_array_equal(np.signbit(ordered)[number], signs[number])


def test_native_code_that_fails_in_fast_calls() -> None:
    """Calls through the launcher raise what Python raises, and the next call is unaffected."""
    x = T.dmatrix("x")
    f = symc.function([x], T.nlinalg.matrix_inverse(x))
    regular = np.eye(3) * 2
    for _ in range(3):
        np.testing.assert_allclose(f(regular), np.eye(3) / 2)
        with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
            f(np.zeros((3, 3)))


def test_the_end_of_a_sort_is_selected_with_the_same_elements():
    x = T.fmatrix("x")
    rng = np.random.default_rng(1)
    ordered, places = T.sort(x, axis=1), T.argsort(x, axis=1)
    ends = [ordered[:, -3:], ordered[:, ::-1][:, :2], places[:, -3:], places[:, :3]]
    f = symc.function([x], ends[:1]), symc.function([x], ends[1:2]), symc.function([x], ends[2:])
    assert all("topk" in debugprint(g, stage="select_ends", file="str") for g in f)
    for n in (1, 2, 7, 8, 65, 200):
        a = np.round(rng.normal(size=(20, n))).astype("float32")
        a[rng.random(a.shape) < 0.1] = np.nan
        a[(a == 0) & (rng.random(a.shape) < 0.5)] = -0.0
        stable = np.argsort(a, 1, "stable")
        s = np.take_along_axis(a, stable, 1)
        for got, want in zip(
            [g for h in f for g in h(a)], (s[:, -3:], s[:, ::-1][:, :2], stable[:, -3:], stable[:, :3])
        ):
            np.testing.assert_array_equal(got, want)
            if got.dtype == want.dtype == "float32":
                np.testing.assert_array_equal(np.signbit(got), np.signbit(want))
    assert "topk" not in debugprint(
        symc.function([x], [ordered[:, -3:], ordered.sum()]), stage="select_ends", file="str"
    )


ORDERED = ("bool", "int8", "uint8", "int16", "int32", "int64", "uint64", "float32", "float64")


@pytest.mark.parametrize("dtype", ORDERED)
@pytest.mark.parametrize("side", ["left", "right"])
def test_places_in_sorted_vectors_are_numpys(dtype: str, side: str) -> None:
    rng = np.random.default_rng(7)
    a, x = T.TensorType(dtype, (False,))("a"), T.TensorType(dtype, (False, False))("x")
    found = symc.function([a, x], [T.searchsorted(a, x, side), T.digitize(x, a, right=side == "left")])
    for n in (0, 1, 2, 3, 16, 17, 63, 1000):
        for shape in ((0, 3), (1, 1), (7, 13), (90, 101)):
            v, w = ((rng.standard_normal(s) * 9).astype(dtype) for s in (n, shape))
            for line in (np.sort(v), np.sort(v)[::-1].copy()):
                places, bins = found(line, w)
                if (line[1:] >= line[:-1]).all():
                    np.testing.assert_array_equal(places, np.searchsorted(line, w, side))
                np.testing.assert_array_equal(bins, np.digitize(w, line, right=side == "left"))
            if dtype[0] == "f" and n > 3 and w.size > 10:  # NaN is the largest, infinities are beside it
                v[[0, 2]], w.flat[[0, 5]], w.flat[7], v[1] = np.nan, np.nan, np.inf, -np.inf
                places, _ = found(np.sort(v[:-1]), w)
                np.testing.assert_array_equal(places, np.searchsorted(np.sort(v[:-1]), w, side))


def test_bins_in_no_order_are_refused() -> None:
    x, bins = T.fvector("x"), T.fvector("bins")
    with pytest.raises(ValueError, match="monotonic"):
        symc.function([x, bins], T.digitize(x, bins))(np.ones(3, "f"), np.array([1, 3, 2], "f"))
