"""Elementwise ops after a convolution or product are its epilogue, with the values of separate loops."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.graph import Variable
from symc.printing import debugprint

NUMBERS = np.random.default_rng(3)


def normal(*shape: int) -> np.ndarray:
    return NUMBERS.standard_normal(shape).astype("float32")


def channels(v: Variable) -> Variable:
    return v.dimshuffle("x", 0, "x", "x")


IMAGES, FILTERS, BIAS = normal(2, 17, 6, 9), normal(33, 17, 3, 3), normal(33)
RESIDUAL, COLUMNS = normal(2, 33, 6, 9), normal(9)
IMAGES[0, 3, 2, 5], RESIDUAL[0, 0, 0], BIAS[2] = np.nan, -0.0, np.inf

Parts = tuple[Variable, Variable, Variable, Variable]
FUSED: dict[str, Callable[[Parts], Any]] = {
    "bias, relu": lambda p: T.nnet.relu(p[0] + channels(p[1])),
    "residual first": lambda p: T.clip(p[2] - p[0] * channels(p[1]), 0, 6),
    "two results": lambda p: [T.tanh(p[0] - 1), T.cast(T.tanh(p[0] - 1) > 0, "int8")],
    "joined": lambda p: T.concatenate([p[2], T.nnet.relu(p[0])], axis=1),
}
APART: dict[str, Callable[[Parts], Any]] = {
    "read twice": lambda p: [p[0], T.nnet.relu(p[0])],
    "a row of a map": lambda p: p[0] + p[3].dimshuffle("x", "x", "x", 0),
    "turned": lambda p: p[0] + T.tanh(p[0])[:, :, ::-1],
}
FORMS = {**FUSED, **APART}


def listed(result: Any) -> list[Variable]:
    return result if isinstance(result, list) else [result]


@pytest.mark.parametrize("device", ["c", "interp"])
def test_values_are_those_of_separate_loops(device: str) -> None:
    x, w, b, r, c = *map(T.tensor4, "xw"), T.vector("b"), T.tensor4("r"), T.vector("c")
    maps = T.tensor4("maps")
    options: dict[str, Any] = {"device": device, "on_unused_input": "ignore"}
    separate = [v for form in FORMS.values() for v in listed(form((maps, b, r, c)))]
    convolved = symc.function([x, w], T.nnet.conv2d(x, w, border_mode=1), device=device)(IMAGES, FILTERS)
    expected = iter(symc.function([maps, b, r, c], separate, **options)(convolved, BIAS, RESIDUAL, COLUMNS))
    for name, form in FORMS.items():
        given = T.tensor("float32", shape=(None, *IMAGES.shape[1:])), T.tensor("float32", shape=FILTERS.shape)
        results = listed(form((T.nnet.conv2d(*given, border_mode=1), b, r, c)))
        f = symc.function([*given, b, r, c], results, **options)
        for value in f(IMAGES, FILTERS, BIAS, RESIDUAL, COLUMNS):
            known = next(expected)
            np.testing.assert_array_equal(value, known, err_msg=name)
            signs = [np.signbit(a) & ~np.isnan(a) for a in (value, known)]  # compilers choose that of NaN
            np.testing.assert_array_equal(*signs, err_msg=name)
        text = io.StringIO()
        debugprint(f, stage="loops", file=text)
        assert ("epilogue for" in text.getvalue()) == (name in FUSED), name


@pytest.mark.skipif(symc.config.device != "c", reason="algorithms of the C back end")
def test_every_algorithm_finishes_each_element_once() -> None:
    """The epilogue is not idempotent, so that elements processed twice or never have other values."""
    x, w, b = T.tensor4("x"), T.tensor4("w"), T.vector("b")
    for groups in (1, 4):
        y = T.nnet.conv2d(x, w, border_mode=(1, 0), subsample=(1, 1), num_groups=groups)
        f = symc.function([x, w, b], 2 * y + channels(b))
        plain = symc.function([x, w], y)
        for shape, filters in (((3, 20, 11, 7), (36, 3, 3)), ((1, 64, 12, 12), (96, 1, 1)), ((2, 4, 9, 40), (4, 5, 3))):
            images, weights = normal(*shape), normal(filters[0], shape[1] // groups, *filters[1:])
            bias = normal(filters[0])
            for algorithm in ("auto", "winograd", "blocks", "panels"):
                with symc.config.change(conv_algorithm=algorithm):
                    expected = 2 * plain(images, weights) + bias[:, None, None]
                    np.testing.assert_array_equal(f(images, weights, bias), expected, err_msg=f"{shape} {algorithm}")


@pytest.mark.parametrize(
    "shape", [(40, 30, 20), (1, 30, 20), (40, 30, 1), (300, 64, 70), (40, 0, 20), (2, 600, 1000), (613, 5, 331)]
)
def test_products(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    a, b, bias = T.matrix("a"), T.matrix("b"), T.vector("bias")
    f = symc.function([a, b, bias], T.nnet.relu(T.dot(a, b) - bias))
    x, y, z = normal(m, k), normal(k, n), normal(n)
    expected = np.maximum(symc.function([a, b], T.dot(a, b))(x, y) - z, 0)
    np.testing.assert_array_equal(f(x, y, z), expected)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", [(67, 32, 5003), (64, 31, 4100), (41, 5, 9001), (33, 1, 4097), (2, 1, 70001)])
def test_few_terms_and_many_columns(shape: tuple[int, int, int], threads: int) -> None:
    """What follows reads the columns in parts, each with its own elements of rows, columns, and maps."""
    m, k, n = shape
    a, b, map_, row, column = T.matrix("a"), T.matrix("b"), T.matrix("map"), T.vector("row"), T.col("column")
    given = [normal(m, k), normal(k, n), normal(m, n), normal(n), normal(m, 1)]
    given[2][-1, -1], given[1][0, n // 2] = np.inf, np.nan
    f = symc.function([a, b, map_, row, column], 3 - 2 * T.maximum(T.dot(a, b) * column - row, map_), profile=True)
    with symc.config.change(threads=threads):
        found = f(*given)
    x, y, z, r, c = (v.astype("float64") for v in given)
    np.testing.assert_allclose(found, 3 - 2 * np.maximum(x @ y * c - r, z), rtol=1e-4, atol=1e-4)
    assert any(row.kernel.startswith("dot+") for row in f.profile.rows)


def test_updates_in_epilogues_are_in_place() -> None:
    """The product has memory of its own, and parameters and moments are overwritten where they are."""
    start, x, y = normal(160, 120), normal(50, 160), normal(50, 120)
    w, m = symc.shared(start, "w"), symc.shared(np.zeros_like(start), "m")
    gradient = symc.grad(((T.dot(x, w) - y) ** 2).sum() / 2, w)
    moment = 0.9 * m + gradient
    f = symc.function([], [], updates=[(m, moment), (w, w - 0.001 * moment)], profile=True)
    before = [v.get_value(borrow=True).ctypes.data for v in (w, m)]
    wanted, moved = start.astype("float64"), np.zeros(start.shape)
    for _ in range(3):
        f()
        moved = 0.9 * moved + x.T.astype("float64") @ (x @ wanted - y)
        wanted = wanted - 0.001 * moved
    assert any(row.kernel.startswith("dot+") for row in f.profile.rows)
    assert [v.get_value(borrow=True).ctypes.data for v in (w, m)] == before
    np.testing.assert_allclose(m.get_value(), moved, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(w.get_value(), wanted, rtol=1e-4, atol=1e-4)


def test_lengths_are_operands() -> None:
    """A length as a number is known to every kernel: a product divided by one ends with the division."""
    a, b = T.matrix("a"), T.matrix("b")
    f = symc.function([a, b], T.dot(a, b) / a.shape[1] + b.shape[1], profile=True)
    x, y = normal(40, 30), normal(30, 20)
    np.testing.assert_allclose(f(x, y), x @ y / 30 + 20, rtol=1e-5)
    assert [row.kernel for row in f.profile.rows if row.kernel.startswith("dot+")]
    assert len(f.profile.rows) == 1, f.profile.rows
