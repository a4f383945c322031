"""Short rows of which a few neighbours share lanes with the next ones, such as the neighbours of points."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint


@pytest.mark.parametrize(
    "coordinates, dtype", [*((n, t) for n in (1, 2, 3, 4, 5) for t in ("float32", "float64")), (3, "int32")]
)
def test_distances_to_neighbours(isa, dtype, coordinates, rng):
    for count, neighbours in ((50, 4), (33, 5), (300, 8), (7, 16), (20, 23), (9, 25), (1, 6), (0, 4)):
        p = (rng.standard_normal((60 + count, coordinates)) * 9).astype(dtype)
        e = rng.integers(0, len(p), (count, neighbours))
        for declared in (True, False):
            x, i = (T.tensor(str(v.dtype), shape=v.shape if declared else (None, None)) for v in (p, e))
            apart = x[i] - x[: i.shape[0], None]
            with symc.config.change(isa=isa):
                f = symc.function([x, i], [T.sqr(apart).sum(2), abs(apart).max(2)])
            difference = p[e] - p[:count, None]
            for got, want in zip(f(p, e), ((difference**2).sum(2), np.abs(difference).max(2, initial=0))):
                np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("neighbours", [4, 7, 12])
def test_operands_along_both_or_one_of_the_axes(isa, neighbours, rng):
    """Of three axes before the row, with an operand that comes round, and one that follows the rows alone."""
    shape = (3, 50, neighbours, 3)
    a, b, c, d = (
        rng.standard_normal(s).astype("float32")
        for s in (shape, shape[:1] + shape[1:2] + (1, 3), shape[2:3], shape[:3])
    )
    x, y, z, w = (T.tensor("float32", shape=v.shape) for v in (a, b, c, d))
    with symc.config.change(isa=isa):
        f = symc.function([x, y, z, w], [((x - y) ** 2).sum(3) * z + w, (x * y).max(3) - z])
    np.testing.assert_allclose(f(a, b, c, d)[0], ((a - b) ** 2).sum(3) * c + d, rtol=1e-5)
    np.testing.assert_allclose(f(a, b, c, d)[1], (a * b).max(3) - c, rtol=1e-5, atol=1e-6)


def test_few_neighbours_share_lanes():
    x, i = T.tensor("float32", shape=(100, 3)), T.tensor("int64", shape=(100, 4))
    text = debugprint(symc.function([x, i], T.sqr(x[i] - x[:, None]).sum(2)), stage="c", file="str")
    assert "vrepeat3_f32" in text
