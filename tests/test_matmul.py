"""``matmul`` over leading axes that broadcast, against NumPy, with gradients."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import ShapeError

SHAPES = [
    ((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (4,)),
    ((2, 3, 4), (2, 4, 5)), ((1, 3, 4), (2, 4, 5)), ((2, 3, 4), (1, 4, 5)), ((3, 4), (2, 4, 5)), ((4,), (2, 4, 5)),
    ((2, 6, 3, 4), (2, 6, 4, 5)), ((2, 1, 3, 4), (6, 4, 5)), ((6, 3, 4), (2, 1, 4, 5)), ((4,), (2, 6, 4, 5)),
    ((3, 4), (2, 6, 4, 5)), ((2, 6, 3, 4), (4,)), ((0, 3, 4), (0, 4, 5)), ((2, 0, 3, 4), (2, 0, 4, 5)),
]  # fmt: skip


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_against_numpy(shapes: tuple[tuple[int, ...], tuple[int, ...]], known: bool) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s) for s in shapes)
    x, y = (T.tensor("float64", shape=s if known else tuple(1 if d == 1 else None for d in s)) for s in shapes)
    z, want = x @ y, a @ b
    if known:
        assert z.type.shape == want.shape
    got, by_x, by_y = symc.function([x, y], [z, *T.grad((z**2).sum(), [x, y])], device="interp")(a, b)
    np.testing.assert_allclose(got, want, atol=1e-12)
    assert got.shape == want.shape
    da, db = rng.standard_normal(a.shape), rng.standard_normal(b.shape)
    slope = 2 * (want * (da @ b + a @ db)).sum()
    np.testing.assert_allclose((by_x * da).sum() + (by_y * db).sum(), slope, rtol=1e-9, atol=1e-9)


def test_leading_axes_that_do_not_go_together() -> None:
    x, y = T.dtensor4("x"), T.dtensor4("y")
    f = symc.function([x, y], x @ y)
    np.testing.assert_array_equal(f(np.ones((2, 3, 1, 1)), np.ones((2, 3, 1, 1))), np.ones((2, 3, 1, 1)))
    with pytest.raises(ShapeError, match="matmul: operands differ in length on the leading axis"):
        f(np.ones((2, 3, 1, 1)), np.ones((3, 2, 1, 1)))
    with pytest.raises(ShapeError, match="scalars"):
        x @ T.dscalar()
