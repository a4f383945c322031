"""Products that read their operands in place: a narrow operand or result, or medium size; against NumPy in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import symc
import symc.tensor as T

SIZES = [  # rows, columns, terms: about where one way gives place to another
    (16, 2, 4096), (515, 3, 129), (520, 8, 257), (530, 4, 4100), (301, 9, 385), (128, 10, 800), (65, 16, 1025),
    (70, 17, 393), (260, 64, 400), (256, 33, 1500), (263, 65, 390), (2, 2, 40001), (3, 3, 90000), (16, 64, 3001),
    (17, 5, 5003), (8, 8, 20000), (9, 9, 20000), (40, 31, 2400), (90, 80, 3001), (7, 700, 1201), (33, 1, 900),
    (2048, 1, 50), (37, 1, 700), (1, 1024, 529), (1, 21, 90), (784, 10, 128), (131, 2, 300), (200, 24, 513),
    (128, 11, 3), (17, 17, 2048), (33, 40, 1500), (64, 64, 800), (63, 9, 5000),
    (64, 64, 64), (100, 101, 102), (250, 70, 130), (129, 250, 128), (20, 200, 300), (181, 181, 181),
]  # fmt: skip


THREADS = [1, 2, 3]


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    before = symc.config.threads
    yield
    symc.config.threads = before


def compiled(dtype: str, left: bool, right: bool, what: str) -> symc.Function:
    x, y, z = (T.matrix(name, dtype) for name in "xyz")
    product = T.dot(x.T if left else x, y.T if right else y)
    result = {"plain": product, "sum": z + product, "rectified": T.maximum(product * z, 0)}[what]
    return symc.function([x, y, z], result, on_unused_input="ignore")


def view(rng: np.random.Generator, shape: tuple[int, int], dtype: str, padding: int) -> np.ndarray:
    return rng.standard_normal((shape[0], shape[1] + padding)).astype(dtype)[:, : shape[1]]


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize(
    "dtype, what", [("float32", "plain"), ("float32", "sum"), ("float32", "rectified"), ("float64", "plain")]
)
def test_against_numpy(dtype: str, what: str, left: bool, right: bool) -> None:
    rng = np.random.default_rng(0)
    f = compiled(dtype, left, right, what)
    for rows, cols, terms in SIZES:
        a = view(rng, (terms, rows) if left else (rows, terms), dtype, rows % 3)
        b = view(rng, (cols, terms) if right else (terms, cols), dtype, cols % 2)
        c = rng.standard_normal((rows, cols)).astype(dtype)
        left_of, right_of = (np.ascontiguousarray(v, "float64") for v in (a.T if left else a, b.T if right else b))
        product, size = left_of @ right_of, np.abs(left_of) @ np.abs(right_of)
        want = {"plain": product, "sum": c + product, "rectified": np.maximum(product * c, 0)}[what]
        for symc.config.threads in THREADS:
            error = np.abs(f(a, b, c) - want) / (size * (1 + np.abs(c)))
            assert error.max() < (1e-6 if dtype == "float32" else 1e-14), (rows, cols, terms)


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_special_values_stay_in_their_rows_and_columns(left: bool, right: bool) -> None:
    f = compiled("float32", left, right, "plain")
    for rows, cols, terms in SIZES:
        a, b = np.ones((rows, terms), "float32"), np.ones((terms, cols), "float32")
        a[rows - 1, terms - 1], a[0, 0], b[terms // 2, cols - 1] = np.nan, np.inf, -np.inf
        want = np.full((rows, cols), float(terms))
        want[0], want[:, cols - 1], want[rows - 1] = np.inf, -np.inf, np.nan
        want[0, cols - 1] = np.nan
        x, y = np.ascontiguousarray(a.T) if left else a, np.ascontiguousarray(b.T) if right else b
        for symc.config.threads in THREADS:
            np.testing.assert_array_equal(f(x, y, np.float32(want)), want, str((rows, cols, terms)))


def test_sums_divided_among_threads_are_added_to_what_is_there() -> None:
    rng = np.random.default_rng(1)
    x, total = T.dmatrix("x"), symc.shared(np.zeros((3, 3)))
    f = symc.function([x], updates=[(total, total + T.dot(x.T, x))])
    parts = [rng.standard_normal((n, 3)) for n in (200001, 1, 0, 100000)]
    for symc.config.threads in THREADS:
        total.set_value(np.zeros((3, 3)))
        for part in parts:
            f(part)
        np.testing.assert_allclose(total.get_value(), sum(p.T @ p for p in parts), rtol=1e-11)
