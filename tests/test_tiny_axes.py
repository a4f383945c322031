"""Maps whose last axis has a few elements, and the axis before it are one axis of lanes."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint


def drawn(dtype, shape, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape).astype(dtype) if dtype[0] == "f" else rng.integers(-50, 50, shape).astype(dtype)


def maps(x, row, column, whole, cube):
    """Operands that follow both axes, each of the two, all of three, or none."""
    return [
        x - column,
        x * row.dimshuffle(0, "x") + column,
        row.dimshuffle(0, "x") * column * whole,
        T.switch(T.gt(x, column), x, row.dimshuffle(0, "x")),
        cube + column,
        cube * row.dimshuffle("x", 0, "x") - x.dimshuffle("x", 0, 1),
    ]


def expected(x, row, column, whole, cube):
    with np.errstate(over="ignore"):
        return [
            x - column,
            x * row[:, None] + column,
            row[:, None] * column * whole,
            np.where(x > column, x, row[:, None]),
            cube + column,
            cube * row[None, :, None] - x[None],
        ]


@pytest.fixture(scope="module")
def functions(isa):
    """Functions of operands whose last axis has an unknown length, by dtype."""
    found = {}
    for dtype in ("float32", "float64", "int32", "uint8"):
        given = [T.TensorType(dtype, (False,) * n)() for n in (2, 1, 1, 0, 3)]
        with symc.config.change(isa=isa):
            found[dtype] = symc.function(given, maps(*given))
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8"])
@pytest.mark.parametrize("few", [0, 1, 2, 3, 5, 8, 12, 13, 17])
@pytest.mark.parametrize("rows", [0, 1, 4099])
def test_maps_over_tiny_last_axes(functions, dtype, few, rows):
    shapes = ((rows, few), (rows,), (few,), (), (2, rows, few))
    given = [drawn(dtype, shape, k) for k, shape in enumerate(shapes)]
    for found, wanted in zip(functions[dtype](*given), expected(*given), strict=True):
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-6 if dtype[0] == "f" else 0, atol=1e-6)


@pytest.mark.parametrize("few", [2, 3, 7, 12])
def test_known_tiny_axes(few):
    x, row, column = T.fmatrix("x"), T.fvector("row"), symc.shared(drawn("float32", few, 1))
    function = symc.function([x, row], [x * row.dimshuffle(0, "x") + column, T.repeat(x, few, axis=1)])
    given = drawn("float32", (1001, few), 2), drawn("float32", 1001, 3)
    first, second = function(*given)
    np.testing.assert_allclose(first, given[0] * given[1][:, None] + column.get_value(), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(second, np.repeat(given[0], few, axis=1))


def test_elements_are_distributed_in_registers():
    x, row, column = T.fmatrix("x"), T.fvector("row"), T.fvector("column")
    text = debugprint(symc.function([x, row, column], x * row.dimshuffle(0, "x") + column), stage="c", file="str")
    assert "vrepeat_f32(" in text
    assert "vcycle_f32(" in text


def test_repeated_rows_and_columns():
    x = T.ftensor4("x")
    function = symc.function([x], T.repeat(T.repeat(x, 2, axis=2), 3, axis=3))
    given = drawn("float32", (2, 3, 5, 7), 4)
    np.testing.assert_array_equal(function(given), given.repeat(2, axis=2).repeat(3, axis=3))


@pytest.mark.parametrize("few", [1, 2, 3, 4, 5, 8, 9])
def test_axes_that_become_the_last_or_leave_it(isa, few):
    """Colours behind the pixels or before them: tiny axes of operands that are contiguous along another."""
    rng = np.random.default_rng(few)
    for dtype in ("float32", "int32", "float64", "int8"):
        before = (rng.standard_normal((3, few, 5, 47)) * 9).astype(dtype)
        behind = (rng.standard_normal((3, 5, 47, few)) * 9).astype(dtype)
        x, y = T.TensorType(dtype, before.shape)("x"), T.TensorType(dtype, behind.shape)("y")
        made = [
            x.dimshuffle(0, 2, 3, 1) + y, x + y.dimshuffle(0, 3, 1, 2), x.dimshuffle(0, 2, 3, 1),
            y.dimshuffle(0, 3, 1, 2) * 2, x[:, :, 1:, 3:20].dimshuffle(0, 2, 3, 1) - y[:, 1:, 3:20],
        ]  # fmt: skip
        with symc.config.change(isa=isa):
            found = symc.function([x, y], made)(before, behind)
        turned, back = before.transpose(0, 2, 3, 1), behind.transpose(0, 3, 1, 2)
        wanted = [turned + behind, before + back, turned, back * 2, turned[:, 1:, 3:20] - behind[:, 1:, 3:20]]
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other.astype(dtype))


@pytest.mark.parametrize("r", [2, 3])
def test_pixels_become_channels_and_back(isa, r):
    x = T.TensorType("float32", (2, 3 * r * r, 7, 37))("x")
    y = T.TensorType("float32", (2, 3, 7 * r, 37 * r))("y")
    shuffled = x.reshape((2, 3, r, r, 7, 37)).dimshuffle(0, 1, 4, 2, 5, 3).reshape((2, 3, 7 * r, 37 * r))
    back = y.reshape((2, 3, 7, r, 37, r)).dimshuffle(0, 1, 3, 5, 2, 4).reshape((2, 3 * r * r, 7, 37))
    with symc.config.change(isa=isa):
        function = symc.function([x, y], [shuffled, back])
    pixels = drawn("float32", (2, 3 * r * r, 7, 37), r)
    image = pixels.reshape(2, 3, r, r, 7, 37).transpose(0, 1, 4, 2, 5, 3).reshape(2, 3, 7 * r, 37 * r)
    first, second = function(pixels, image)
    np.testing.assert_array_equal(first, image)
    np.testing.assert_array_equal(second, pixels)


def test_rows_are_crossed_in_registers():
    x = T.TensorType("float32", (8, 3, 32, 32))("x")
    assert "vcross_f32" in debugprint(symc.function([x], x.dimshuffle(0, 2, 3, 1) + 1), stage="c", file="str")
    assert "vevery3_n_f32" in debugprint(
        symc.function([x], x.reshape((8, 32, 32, 3)).dimshuffle(0, 3, 1, 2) + 1), stage="c", file="str"
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elements_of_short_rows_are_computed_once(dtype, isa):
    """A softmax reads each of its elements once, and computes its exponential once, also with two axes in a row."""
    rng = np.random.default_rng(5)
    for shape, axes in (((100, 5), (1,)), ((60, 10), (1,)), ((70, 2, 3), (1, 2))):
        x = T.tensor(dtype, shape=shape)
        shifted = x - x.max(axes, keepdims=True)
        y = T.exp(shifted) / T.exp(shifted).sum(axes, keepdims=True)
        with symc.config.change(isa=isa):
            f = symc.function([x], [y, y.sum(axes), T.sqr(y).sum(axes)])
        assert debugprint(f, stage="loops", file="str").count("exp(") == np.prod(shape[1:])
        value = rng.normal(size=shape).astype(dtype)
        e = np.exp(value.astype("float64"))
        want = e / e.sum(axes, keepdims=True)
        for got, other in zip(f(value), (want, want.sum(axes), np.square(want).sum(axes))):
            np.testing.assert_allclose(got, other, rtol=1e-5 if dtype == "float32" else 1e-12)
