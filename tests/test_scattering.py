"""Scatters that compute their operands, and checks of index vectors apart from what reads the indices."""

import re

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint


def program(device):
    x, i, y = T.fmatrix("x"), T.ivector("i"), T.fmatrix("y")
    part = x[i]
    outputs = [T.inc_subtensor(part, y * 2), T.set_subtensor(part, y), T.grad(T.sqr(part).sum(), x), T.bincount(abs(i))]
    return symc.function([x, i, y], outputs, device=device)


@pytest.mark.parametrize("device", ["interp", "cpu"])
def test_scatters_agree_with_numpy(device):
    f, rng = program(device), np.random.default_rng(0)
    for count in (0, 1, 9, 5000):
        x, y = rng.normal(size=(6, 3)).astype("float32"), rng.normal(size=(count, 3)).astype("float32")
        i = rng.integers(-6, 6, count).astype("int32")
        added, slope, written = x.copy(), np.zeros_like(x), x.copy()
        np.add.at(added, i, y * 2)
        np.add.at(slope, i, 2 * x[i])
        written[i] = y
        for got, want in zip(f(x, i, y), (added, written, slope, np.bincount(abs(i))), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("wrong", [5, -6, 2**31 - 1, -(2**31)])
def test_an_index_out_of_range_leaves_a_shared_variable_as_it_was(wrong):
    table = symc.shared(np.arange(5.0))
    i = T.ivector("i")
    f = symc.function([i], [], updates=[(table, T.inc_subtensor(table[i], 1))])
    index = np.zeros(3000, "int32")
    for place in (0, 1500, 2999):
        index[:] = 2
        index[place] = wrong
        with pytest.raises(IndexError, match="out of range for axis 0"):
            f(index)
    assert table.get_value().tolist() == [0, 1, 2, 3, 4]
    f(np.array([-5, 4], "int32"))
    assert table.get_value().tolist() == [1, 1, 2, 3, 5]


def test_a_part_of_what_changes_is_stored_before():
    table = symc.shared(np.arange(4.0))
    i = T.lvector("i")
    f = symc.function([i], [], updates=[(table, T.set_subtensor(table[i], table[::-1]))])
    f(np.arange(4))
    assert table.get_value().tolist() == [3, 2, 1, 0]


def test_neither_indices_nor_repeated_values_are_stored():
    i = T.ivector("i")
    text = debugprint(symc.function([i], T.bincount(i)), stage="loops", file="str")
    assert "checked_index" not in text and "int64(i0,)" not in text


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "float16", "bfloat16"])
def test_rows_of_few_columns(dtype):
    """Rows of few columns are added element by element, in the order of the rows; others by vectors."""
    i, v = T.lvector(), T.TensorType(dtype, (False, False))()
    given = "float32" if dtype == "bfloat16" else dtype
    exact = dtype if dtype in ("float32", "float64") else "int64"
    rng = np.random.default_rng(0)
    for columns in (0, 1, 2, 6, 7, 17):
        part = T.zeros((5, columns), dtype=dtype)[i]
        f = symc.function([i, v], [T.inc_subtensor(part, v), T.inc_subtensor(part, v * 2)])
        for shape in ((0, columns), (1, columns), (300, columns), (7, min(columns, 1))):
            at = rng.integers(-5, 5, shape[0] if shape[1] == columns else 7)
            value = rng.normal(size=shape) if exact == dtype else rng.integers(-3, 4, shape)
            terms = np.broadcast_to(value.astype(exact), (len(at), columns))
            want = np.zeros((5, columns), exact)
            np.add.at(want, at, terms)
            for factor, found in enumerate(f(at, value.astype(given)), 1):
                np.testing.assert_array_equal(found.astype(exact), factor * want)


def test_writes_of_columns_have_lanes_along_them(rng):
    x, y = T.fmatrix("x"), T.fmatrix("y")
    f = symc.function([x, y], [T.inc_subtensor(x[:, 1], y[:, 0]), T.set_subtensor(x[:, -1:], y[:, 1:2])])
    assert re.search(r"simd for \w+ < 1:", debugprint(f, stage="loops", file="str")) is None
    for rows in (1, 7, 40, 5000):
        a, b = (rng.normal(size=(rows, 3)).astype("float32") for _ in range(2))
        added, written = a.copy(), a.copy()
        added[:, 1] += b[:, 0]
        written[:, -1:] = b[:, 1:2]
        for got, want in zip(f(a, b), (added, written)):
            np.testing.assert_array_equal(got, want)
