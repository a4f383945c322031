"""Reductions of rows at computed positions, of which the next ones are fetched while some are read."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("count", [1, 7, 8, 15, 16, 20, 33, 130])
def test_rows_of_a_large_table(count, declared, rng, isa):
    """Positions end with their buffer, rows with the table; the next positions may be those of the next bag."""
    table = rng.standard_normal((5000, 70)).astype("float32")
    at = rng.integers(-5000, 5000, (9, count)).astype("int32" if count % 2 else "int64")
    weights = rng.standard_normal(at.shape).astype("float32")
    values = [table, at, weights]
    t, i, w = (T.tensor(str(v.dtype), shape=v.shape if declared else (None, None)) for v in values)
    with symc.config.change(isa=isa):
        f = symc.function([t, i, w], [t[i].sum(1), t[i].max(1), T.argmax(t[i], 1), (t[i] * w[:, :, None]).mean(1)])
    picked = table[at].astype("float64")
    total, largest, where, mean = f(*values)
    np.testing.assert_allclose(total, picked.sum(1), rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(largest, picked.max(1))
    np.testing.assert_array_equal(where, picked.argmax(1))
    np.testing.assert_allclose(mean, (picked * weights[:, :, None]).mean(1), rtol=1e-5, atol=1e-4)


def test_only_long_rows_of_large_tables_are_fetched():
    def text(table, at):
        t, i = T.tensor("float32", shape=table), T.tensor("int64", shape=at)
        return debugprint(symc.function([t, i], t[i].sum(1)), stage="c", file="str")

    if symc.config.isa == "scalar":
        pytest.skip("rows are read one by one")
    assert "__builtin_prefetch" in text((5000, 64), (9, 20))
    assert "__builtin_prefetch" in text((None, None), (None, None))
    assert "__builtin_prefetch" not in text((4000, 64), (9, 20)) and "__builtin_prefetch" not in text(
        (50000, 60), (9, 20)
    )


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_two_tables_in_costly_sums(dtype, declared, rng, isa):
    tables = [rng.standard_normal((5000, 131)).astype(dtype) for _ in range(2)]
    places = [rng.integers(0, 5000, (6, 37)) for _ in range(2)]
    kinds = [T.TensorType(str(v.dtype), v.shape if declared else (None, None)) for v in (*tables, *places)]
    a, b, i, j = (kind(name) for kind, name in zip(kinds, "abij"))
    with symc.config.change(isa=isa):
        f = symc.function([a, b, i, j], [(a[i] * b[j]).sum(1), T.exp(T.tanh(a[i]) + T.sin(b[j])).sum(1)])
    x, y = (t[k].astype("float64") for t, k in zip(tables, places))
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    product, costly = f(*tables, *places)
    np.testing.assert_allclose(product, (x * y).sum(1), rtol=tolerance, atol=20 * tolerance)
    np.testing.assert_allclose(costly, np.exp(np.tanh(x) + np.sin(y)).sum(1), rtol=tolerance)


def test_each_vector_fetches_what_it_reads():
    t, i = T.tensor("float32", shape=(5000, 300)), T.tensor("int64", shape=(9, 100))
    lines = debugprint(symc.function([t, i], t[i].sum(1)), stage="c", file="str").splitlines()
    if symc.config.isa == "scalar":
        pytest.skip("rows are read one by one")
    loops = [k for k, line in enumerate(lines) if "__builtin_prefetch" in line and "VM_LANES <=" in lines[k - 1]]
    assert loops and not any("near_ = total_" in line for line in lines)  # eight rows at once follow each other


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    "shape, count", [((5000, 70), 1), ((5000, 64), 333), ((900, 1201), 50), ((200, 9000), 7), ((3, 5), 0)]
)
def test_rows_that_are_gathered(shape, count, declared, rng, isa):
    """Rows of later iterations are fetched, up to the last of each thread's; positions may count from the end."""
    table = rng.standard_normal(shape).astype("float32")
    at = rng.integers(-shape[0], shape[0], count).astype("int32" if count % 2 else "int64")
    kinds = [T.TensorType(str(v.dtype), v.shape if declared else (None,) * v.ndim) for v in (table, at)]
    t, i = (kind(name) for kind, name in zip(kinds, "ti"))
    with symc.config.change(isa=isa):
        f = symc.function([t, i], [t[i], T.tanh(t[i] * 2) + t[abs(i) // 2], t[i + 0].astype("float64")])
    plain, costly, wide = f(table, at)
    np.testing.assert_array_equal(plain, table[at])
    np.testing.assert_allclose(costly, np.tanh(2 * table[at]) + table[abs(at) // 2], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(wide, table[at].astype("float64"))
    if count:
        with pytest.raises(IndexError):
            f(table, np.full_like(at, shape[0]))


def test_gathered_rows_are_fetched_while_others_are_stored():
    t, i = T.matrix("t"), T.lvector("i")
    text = debugprint(symc.function([t, i], t[i]), stage="c", file="str")
    if symc.config.isa == "scalar":
        pytest.skip("rows are read one by one")
    assert "__builtin_prefetch" in text and "if (ahead_ >= end_)" in text
