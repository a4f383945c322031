"""What a lazy branch requires of shapes is required only of calls that take it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import GuardError

WAYS = [("c", "fast_run"), ("interp", "fast_run"), ("interp", "no_rewrite"), ("interp", "fast_compile")]
ways = pytest.mark.parametrize(("device", "mode"), WAYS)


@ways
def test_a_branch_that_empty_arrays_do_not_take(device, mode):
    x = T.dvector("x")
    f = symc.function([x], symc.ifelse(T.gt(x.shape[0], 0), x.max(), -1.0), device=device, mode=mode)
    assert [float(f(v)) for v in ([2, 5], [], [7], [])] == [5, -1, 7, -1]


@ways
def test_branches_for_different_lengths(device, mode):
    x = T.dvector("x")
    square = symc.ifelse(T.eq(x.shape[0], 4), x.reshape((2, 2)).max(0).sum(), x.reshape((3, 3)).max(0).sum())
    f = symc.function([x], square, device=device, mode=mode)
    assert f(np.arange(4.0)) == 5 and f(np.arange(9.0)) == 21 and f(np.arange(4.0)) == 5
    with pytest.raises(GuardError, match="reshape"):
        f(np.arange(5.0))


@ways
def test_branches_in_branches(device, mode):
    x, y = T.dvectors("x", "y")
    inner = symc.ifelse(T.gt(x.shape[0], 0), (x * y).sum(), T.constant(-1.0))
    f = symc.function([x, y], symc.ifelse(T.gt(x.shape[0], 2), x[2] + x[:3].sum(), inner), device=device, mode=mode)
    assert f([1, 2, 3], [1]) == 9 and f([1, 2], [3, 4]) == 11 and f([], [1]) == -1
    for _ in range(2):
        with pytest.raises(GuardError, match="mul: shapes do not go together"):
            f([1, 2], [3])
    assert f([1, 2, 3], [1]) == 9


@ways
def test_what_is_also_computed_outside_is_always_required(device, mode):
    x, y, c = T.dvector("x"), T.dvector("y"), T.iscalar("c")
    lazy = symc.ifelse(c, T.exp(x + y).sum(), x.sum())
    f = symc.function([x, y, c], [lazy, x + y], device=device, mode=mode)  # equal, but another variable
    g = symc.function([x, y, c], [lazy, symc.ifelse(c, x.sum(), (x + y).max())], device=device, mode=mode)
    for h in (f, g):
        np.testing.assert_allclose(h([1, 2], [1, 2], 0)[0], 3)
        for choice in (0, 1) if h is g else (0,):
            with pytest.raises(GuardError, match="add: shapes do not go together"):
                h([1, 2], [1, 2, 3], choice)


@ways
def test_nothing_is_read_before_it_is_checked(device, mode):
    x, m, c = T.dvector("x"), T.dmatrix("m"), T.iscalar("c")
    state = symc.shared(np.zeros(3))
    taken = T.tanh(x + T.dot(m, x) + state)
    f = symc.function(
        [x, m, c], symc.ifelse(c, taken.sum(), x.sum()), updates={state: symc.ifelse(c, state + 1, state)},
        device=device, mode=mode,
    )  # fmt: skip
    assert f([1.0] * 5, np.zeros((2, 9)), 0) == 5 and f([1.0] * 3, np.zeros((3, 3)), 1) > 0
    for shape in ((2, 9), (5, 5), (5, 4)):
        with pytest.raises(GuardError):
            f([1.0] * 5, np.zeros(shape), 1)
    np.testing.assert_array_equal(state.get_value(), [1, 1, 1])


@ways
def test_a_branch_in_a_step(device, mode):
    x, ks = T.dvector("x"), T.lvector("ks")
    out, _ = symc.scan(lambda k, x: symc.ifelse(k > 0, x[:k].reshape((2, 2)).max(), x.sum()), ks, non_sequences=x)
    f = symc.function([x, ks], out, device=device, mode=mode)
    np.testing.assert_array_equal(f([1, 2, 3], [0, 0]), [6, 6])
    np.testing.assert_array_equal(f([1, 2, 3, 4], [0, 4, 0]), [10, 4, 10])
    with pytest.raises(GuardError):
        f([1, 2, 3], [0, 4])


def test_gradients_and_other_modes():
    x, y, c = T.dvector("x"), T.dvector("y"), T.iscalar("c")
    cost = symc.ifelse(c, T.sqr(x * y).sum(), x.sum())
    for mode in ("fast_run", "DebugMode"):
        f = symc.function([x, y, c], symc.grad(cost, [x, y]), mode=mode)
        slopes = f([1, 2], [3, 4], 1)
        np.testing.assert_allclose(slopes, [[18, 64], [6, 32]])


@ways
def test_gradients_require_what_the_branch_taken_requires(device, mode):
    """Their lengths are those of the gradient in one branch or of zeros in the other."""
    x, y, c = T.dvector("x"), T.dvector("y"), T.iscalar("c")
    for taken in ((x * y).sum(), (T.exp(x) * y).sum()):
        cost = symc.ifelse(c, taken, x.sum())
        f = symc.function([x, y, c], [cost, *symc.grad(cost, [x, y])], device=device, mode=mode)
        for found, want in zip(f([1, 2], [3, 4, 5], 0), (3, [1, 1], [0, 0, 0]), strict=True):
            np.testing.assert_array_equal(found, want)
        with pytest.raises(GuardError, match="mul: shapes do not go together"):
            f([1, 2], [3, 4, 5], 1)
    np.testing.assert_allclose(f([0, 1], [3, 4], 1)[2], [1, np.e])


GRADIENTS = {
    "one path": lambda x: x.max(),
    "two paths": lambda x: T.sqr(x.min()) * x.sum(),
    "order": lambda x: T.sort(x)[-2] * x[1],
    "ties": lambda x: T.maximum(x, x[0]).sum(),
    "product": lambda x: x.prod() / x[0],
    "rows": lambda x: x.reshape((3, -1)).max(axis=1).sum(),
}


@ways
@pytest.mark.parametrize("taken", GRADIENTS.values(), ids=GRADIENTS)
def test_gradients_of_first_and_second_order_of_empty_arrays(device, mode, taken):
    """The conditions under which a derivative counts, such as where the maximum is, belong to the branch."""
    x = T.dvector("x")
    cost = symc.ifelse(T.gt(x.shape[0], 2), taken(x), x.sum()) + T.sqr(x).sum()
    slope = symc.grad(cost, x)
    f = symc.function([x], [cost, slope, symc.grad(T.sqr(slope).sum(), x)], device=device, mode=mode)
    assert [v.shape for v in f([])] == [(), (0,), (0,)]
    at, step = np.array([1.0, 3, 2]), 1e-5 * np.eye(3)
    for k in range(3):
        above, below = f(at + step[k]), f(at - step[k])
        np.testing.assert_allclose((above[0] - below[0]) / 2e-5, f(at)[1][k], rtol=1e-6, atol=1e-8)
        squares = (np.square(above[1]).sum() - np.square(below[1]).sum()) / 2e-5
        np.testing.assert_allclose(squares, f(at)[2][k], rtol=1e-6, atol=1e-6)


def test_plans_and_pickles_keep_it():
    x, y, c = T.dvector("x"), T.dvector("y"), T.iscalar("c")
    long = x * y
    for _ in range(120):  # enough for a plan that is kept
        long = T.sin(long) + y
    expression = symc.ifelse(c, long.sum(), x.sum())
    for f in (symc.function([x, y, c], expression), symc.function([x, y, c], expression)):
        for g in (f, pickle.loads(pickle.dumps(f))):
            assert g([1, 2], [0, 0], 1) == 0 and g([1, 2], [1, 2, 3], 0) == 3
            with pytest.raises(GuardError, match="mul: shapes"):
                g([1, 2], [1, 2, 3], 1)
