"""Sums of rows by the places they go to: gradients of large tables of which rows are read."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint
from symc.tensor.indices import row_sums

TABLE = 2300, 131
"""More than ``row_sums.LEAST_TABLE`` elements, in rows that are no multiple of any vector."""


def sums(shape, i, value):
    want = np.zeros(shape)
    np.add.at(want, i, value.astype("float64"))
    return want


def gradient(dtype, shape, of_indices, index_dtype="int64", declared=False):
    """The gradient of rows of a table, of given or unknown shapes, in direction of an input."""
    table = T.tensor(dtype, shape=shape if declared else (None,) * len(shape))
    i = T.tensor(index_dtype, shape=of_indices if declared else (None,) * len(of_indices))
    rows = (*of_indices, *shape[1:])
    g = T.tensor(dtype, shape=rows if declared else (None,) * len(rows))
    return symc.function([table, i, g], symc.grad(None, table, known_grads={table[i]: g}))


def given(rng, dtype, shape, of_indices, most=None):
    at = rng.integers(-shape[0], shape[0], of_indices)
    if most is not None and at.size:
        at[rng.random(of_indices) < most] = 7
    return np.zeros(shape, dtype), at, rng.normal(size=(*of_indices, *shape[1:])).astype(dtype)


CASES = [
    (TABLE, (1000,), None), (TABLE, (3000,), 0.7), (TABLE, (40, 31), 0.05), (TABLE, (1300,), 0.09), (TABLE, (5,), None),
    (TABLE, (0,), None), ((300, 1030), (77,), 1.0), ((2500, 128), (3000,), None), ((40_000, 7), (9000,), None),
    ((9, 5), (30,), None), ((500, 9, 70), (213,), 0.04), ((3000, 0), (50,), None), ((280_000, 1), (40_000,), None),
]  # fmt: skip
"""Tables that are large or not, few or many terms, one place with most of them, several axes of indices."""


def check(f, rng, dtype, shape, of_indices, most):
    table, at, value = given(rng, dtype, shape, of_indices, most)
    found, want = f(table, at, value), sums(shape, at, value)
    terms = max(np.bincount(at.ravel() % shape[0]).max(initial=1), 1)
    atol = (4e-6 if dtype == "float32" else 1e-14) * np.sqrt(terms)
    np.testing.assert_allclose(found, want, rtol=0, atol=atol, err_msg=f"{shape} {of_indices}")


def test_rows_of_any_table(isa):
    rng, dtype = np.random.default_rng(0), "float64" if isa == "" else "float32"
    with symc.config.change(isa=isa):
        functions = {}
        for shape, of_indices, most in CASES:
            ranks = len(shape), len(of_indices)
            if ranks not in functions:
                functions[ranks] = gradient(dtype, shape, of_indices)
            check(functions[ranks], rng, dtype, shape, of_indices, most)


@pytest.mark.parametrize("case", [2, 7, 10])
def test_declared_shapes(case):
    shape, of_indices, most = CASES[case]
    f = gradient("float32", shape, of_indices, declared=True)
    check(f, np.random.default_rng(1), "float32", shape, of_indices, most)


@pytest.mark.parametrize("of_one", [0.05, 0.5])
def test_terms_are_added_in_order_for_any_number_of_threads(of_one):
    rng = np.random.default_rng(1)
    f = gradient("float32", TABLE, (4000,))
    args = given(rng, "float32", TABLE, (4000,), of_one)
    with symc.config.change(threads=1):
        alone = f(*args)
    with symc.config.change(threads=2):
        np.testing.assert_array_equal(f(*args), alone)


def test_special_values_stay_in_their_rows():
    rng = np.random.default_rng(2)
    f = gradient("float32", TABLE, (1500,), index_dtype="int32")
    table, at, value = given(rng, "float32", TABLE, (1500,), 0.2)
    at = at.astype("int32")
    value[3, 5], value[4, 130], value[10, 0] = np.nan, np.inf, -np.inf
    found, want = f(table, at, value), sums(TABLE, at, value)
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(want))
    np.testing.assert_array_equal(found[~np.isfinite(want)], want[~np.isfinite(want)].astype("float32"))


def test_large_results_are_stored_past_the_caches():
    """Rows without terms are zero as well, in memory that was used before."""
    shape = 50_000, 144
    rng = np.random.default_rng(3)
    f = gradient("float32", shape, (9000,))
    table, at, value = given(rng, "float32", shape, (9000,), 0.05)
    for _ in range(2):
        found = f(table, at, value)
        np.testing.assert_allclose(found, sums(shape, at, value), atol=1e-4)
        found[...] = np.nan  # its memory is that of the next result
        del found


def test_what_is_read_may_be_computed():
    """The value and the indices are expressions; the sums are read by other ops."""
    rng = np.random.default_rng(4)
    table, i, y = T.matrix("table", dtype="float64"), T.lvector("i"), T.matrix("y", dtype="float64")
    cost = T.sqr(table[i % 2000] * T.tanh(y)).sum()
    f = symc.function([table, i, y], table - 0.1 * symc.grad(cost, table))
    a, at, b = rng.normal(size=TABLE), rng.integers(0, 9999, 700), rng.normal(size=(700, TABLE[1]))
    rows = 2 * a[at % 2000] * np.tanh(b) ** 2
    np.testing.assert_allclose(f(a, at, b), a - 0.1 * sums(TABLE, at % 2000, rows), rtol=1e-12)


def test_second_derivatives():
    table, i = T.matrix("table", dtype="float64"), T.lvector("i")
    first = symc.grad((table[i] ** 3).sum(), table)
    f = symc.function([table, i], symc.grad((first * first).sum(), table))
    rng = np.random.default_rng(5)
    a, at = rng.normal(size=TABLE), rng.integers(0, TABLE[0], 1200)
    times = np.bincount(at, minlength=TABLE[0])[:, None]
    np.testing.assert_allclose(f(a, at), 2 * (3 * times * a**2) * 6 * times * a, rtol=1e-11)


def test_indices_out_of_range_are_an_error():
    rng = np.random.default_rng(6)
    table, i, g = T.matrix("table"), T.lvector("i"), T.matrix("g")
    f = symc.function([table, i, g], symc.grad((table[i] * g).sum(), table))
    a, at, b = given(rng, symc.config.floatX, TABLE, (900,))
    at[30] = TABLE[0]
    with pytest.raises(IndexError, match="out of range for axis 0"):
        f(a, at, b)


def test_where_it_is_chosen():
    def is_chosen(shape, count, ranks=1):
        f = gradient("float32", shape, (count,) * ranks, declared=True)
        return "row_sums_f32" in debugprint(f, stage="loops", file="str")

    assert is_chosen(TABLE, 1000) and is_chosen(TABLE, 30, ranks=2)
    assert not is_chosen(TABLE, 500)  # most rows are zero
    assert not is_chosen((100, 131), 1000) and not is_chosen((9_000, 100), 9_000)
    assert row_sums.LEAST_TABLE < TABLE[0] * TABLE[1]
