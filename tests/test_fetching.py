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
