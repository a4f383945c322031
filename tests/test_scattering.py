"""Scatters that compute their operands, and checks of index vectors apart from what reads the indices."""

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
