"""``map``, ``reduce``, ``foldl`` and ``foldr`` against Python's loops, with gradients."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest

import symc
import symc.tensor as T

ROWS = np.random.default_rng(0).standard_normal((5, 3))
START = np.array([0.5, -1.0, 2.0])


def step(row, state, scale):
    return scale * state + row * state


@pytest.mark.parametrize("length", [1, 5])
def test_folds(length: int) -> None:
    x, h = T.dmatrix("x"), T.dvector("h")
    left, updates = symc.foldl(step, x, h, 0.5)
    right, _ = symc.foldr(step, x, h, 0.5)
    both, _ = symc.reduce(lambda row, a, b: [a + row, b * row], x, [h, T.ones_like(h)])
    assert updates == {}
    slope = T.grad(left.sum(), h)
    found = symc.function([x, h], [left, right, *both, slope])(ROWS[:length], START)
    rows = list(ROWS[:length])
    np.testing.assert_allclose(found[0], reduce(lambda s, r: step(r, s, 0.5), rows, START))
    np.testing.assert_allclose(found[1], reduce(lambda s, r: step(r, s, 0.5), rows[::-1], START))
    np.testing.assert_allclose(found[2], START + sum(rows))
    np.testing.assert_allclose(found[3], np.prod(rows, axis=0))
    np.testing.assert_allclose(found[4], np.prod([0.5 + r for r in rows], axis=0))


def test_the_order_of_entries_counts() -> None:
    v = T.dvector("v")
    digits = np.array([1.0, 2.0, 3.0])
    left, right = (
        fold(lambda d, n: 10 * n + d, v, T.constant(0.0, dtype="float64"))[0] for fold in (symc.foldl, symc.foldr)
    )
    assert [float(f) for f in symc.function([v], [left, right])(digits)] == [123, 321]


def test_map() -> None:
    x, y = T.dmatrix("x"), T.dvector("y")
    one, _ = symc.map(lambda row, s: (row * s).sum(), [x, y])
    two, _ = symc.map(lambda row: [row.max(), row * 2], x, go_backwards=True)
    found = symc.function([x, y], [one, *two])(ROWS, ROWS[:, 0])
    np.testing.assert_allclose(found[0], (ROWS * ROWS[:, :1]).sum(1))
    np.testing.assert_allclose(found[1], ROWS.max(1)[::-1])
    np.testing.assert_allclose(found[2], ROWS[::-1] * 2)


def test_a_fold_needs_a_beginning() -> None:
    with pytest.raises(ValueError, match="outputs_info must give the initial states"):
        symc.reduce(lambda row: row, T.dmatrix(), None)
