"""Corners of programs with structure that random programs found; each on the interpreter and in C."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T

f64 = "float64"


@pytest.fixture(params=["interp", "c"])
def device(request):
    return request.param


@pytest.fixture(autouse=True)
def _wide():
    with symc.config.change(floatX=f64):
        yield


def close(got, want, rtol=1e-12):
    assert np.shape(got) == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("mode", ["fast_run", "no_rewrite"])
def test_reductions_over_no_axes(device, mode):
    n, x = T.lscalar("n"), T.matrix("x")
    outputs = [n.sum(), T.max(x, axis=()), n.prod() + 1, T.mean(x, axis=()), T.all(n > 0)]
    got = symc.function([n, x], outputs, device=device, mode=mode)(3, [[1.0, 2]])
    for result, want in zip(got, (3, [[1, 2]], 4, [[1, 2]], True)):
        close(result, want)


@pytest.mark.parametrize("mode", ["fast_run", "no_rewrite"])
def test_a_value_that_is_a_dim_is_known_before_it_is_read_as_a_number(device, mode):
    v, n = T.vector("v"), T.lscalar("n")
    picked = v[v > 0]
    f = symc.function([v, n], picked[n : n + 1], device=device, mode=mode)
    close(f([-1.0, 2, -3, 4], 1), [4])
    close(f([-1.0, 2, -3, 4], -2), [2])
    close(f([-1.0, -2], 0), [])


def test_a_branch_whose_length_only_its_own_side_knows(device):
    n, x = T.lscalar("n"), T.tensor(dtype=f64, shape=(2,), name="x")
    v = T.vector("v")
    f = symc.function([n, x, v], T.ifelse(n > 1, v[n:], x), device=device)
    close(f(2, [1.0, 2], [1.0, 2, 3, 4]), [3, 4])
    close(f(0, [1.0, 2], [1.0, 2, 3, 4]), [1, 2])
    close(f(3, [1.0, 2], [1.0, 2, 3, 4]), [4])


def test_values_of_an_ifelse_may_differ_in_length(device):
    """The result has the lengths of the selected value; the other one has a gradient of zero, of its own lengths."""
    c, x, y = T.scalar("c"), T.dmatrix("x"), T.dmatrix("y")
    z = symc.ifelse(c > 0, T.sin(x), 2 * y.T)
    slopes = T.grad(T.sqr(z).sum(), [x, y])
    f = symc.function([c, x, y], [z.sum(axis=0), z.shape, *slopes, T.grad(T.sqr(slopes[0]).sum(), x)], device=device)
    for rows in (3, 0):
        u, v = np.linspace(0.2, 1, 4 * rows).reshape(rows, 4), np.linspace(-1, 2, 10).reshape(5, 2)
        for got, value, of_x, of_y in (
            (f(1, u, v), np.sin(u), np.sin(2 * u), 0 * v),
            (f(-1, u, v), 2 * v.T, 0 * u, 8 * v),
        ):
            np.testing.assert_allclose(got[0], value.sum(0), rtol=1e-12)
            assert tuple(got[1]) == value.shape
            np.testing.assert_allclose(got[2], of_x, rtol=1e-12)
            np.testing.assert_allclose(got[3], of_y, rtol=1e-12)
            np.testing.assert_allclose(got[4], 2 * np.sin(4 * u) * (of_x != 0), rtol=1e-12)


def test_the_length_of_an_outer_tensor_inside_a_scan(device):
    x, y = T.matrix("x"), T.vector("y")

    def step(row):
        inner, _ = T.scan(lambda e: e + row.sum(), [y], None)
        return inner

    out, _ = T.scan(step, [x], None)
    f = symc.function([x, y], [out, out.min()], device=device)
    a, b = np.arange(6.0).reshape(2, 3), np.arange(4.0)
    got = f(a, b)
    close(got[0], a.sum(1)[:, None] + b)
    close(got[1], 3)


def test_nothing_has_no_largest_element(device):
    v, w = T.vector("v"), symc.shared(np.ones((2, 5)))
    f = symc.function([v], (v - w).min(axis=(0, 1)), device=device)
    close(f(np.zeros(5)), -1)
    w.set_value(np.ones((0, 5)))
    with pytest.raises(ValueError, match="no elements"):
        f(np.zeros(5))
    g = symc.function([], [T.nnet.softmax(w), T.log(T.nnet.softmax(w))], device=device)
    for result in g():
        assert result.shape == (0, 5)
    w.set_value(np.ones((4, 0)))
    for result in g():
        assert result.shape == (4, 0)


def test_two_computed_lengths_that_must_agree_are_found_in_their_order(device):
    """The second is counted in what the first one selects, so the first cannot wait for it."""
    v, c = T.vector("v"), T.scalar("c")
    once = v[v > 0]
    twice = once[once > 1]
    f = symc.function([v, c], [T.ifelse(c > 0, once, twice), twice + once], device=device)
    for got in f([-3.0, 2, 4], 1):
        assert got.shape == (2,)
    with pytest.raises(ValueError):
        f([-3.0, 2, 0.5], 1)


def test_a_result_as_large_as_two_values_say(device):
    """One of them has a bound, the other one may be anything."""
    v, n = T.vector("v"), T.lscalar("n")
    picked = v[v > 0]
    out, _ = T.scan(lambda h: h * picked, None, [picked], n_steps=n)
    f = symc.function([v, n], [T.sqrt(out), T.zeros((n, picked.shape[0]), f64) + picked], device=device)
    got = f([4.0, -1, 9], 2)
    close(got[0], [[4, 9], [8, 27]])
    close(got[1], [[4, 9], [4, 9]])
    assert f([-1.0], 3)[0].shape == (3, 0)


def test_a_value_of_length_one_fits_any_part(device):
    x, y = T.matrix("x"), T.vector("y")
    f = symc.function([x, y], T.set_subtensor(x[-1, :-3], y), device=device)
    close(f(np.zeros((2, 5)), [7.0]), [[0] * 5, [7, 7, 0, 0, 0]])
    with pytest.raises(ValueError):
        f(np.zeros((2, 5)), [7.0, 8, 9])


def test_computed_lengths_inside_an_op_from_a_graph(device):
    """Each application has lengths of its own; loops inside have theirs."""
    x, v, w = T.vector("x"), T.vector("v"), T.vector("w")
    positive = symc.OpFromGraph([x], [x[x > 0]])
    a, b = np.array([1.0, -2, 3, 4]), np.array([-1.0, 5])
    f = symc.function([v, w], [positive(v), positive(w) * 2, positive(v * 2)], device=device)
    for got, want in zip(f(a, b), ([1, 3, 4], [10], [2, 6, 8])):
        close(got, want)
    total = symc.OpFromGraph([x], [T.scan(lambda e: positive(x * e).sum(), [x], None)[0]])
    g = symc.function([v, w], [total(v), total(w), T.grad(positive(v).prod(), v)], device=device)
    for got, want in zip(g(a, b), ([8, 4, 24, 32], [1, 25], [12, 0, 4, 3])):
        close(got, want)


def test_an_op_from_a_graph_keeps_what_its_inputs_declare(device):
    x, y = T.tensor(dtype=f64, shape=(1,), name="x"), T.vector("y")
    op = symc.OpFromGraph([x, y], [x + y], name="spread")
    v, w = T.vector("v"), T.vector("w")
    f = symc.function([v, w], op(v, w), device=device)
    close(f([1.0], [1.0, 2]), [2, 3])
    with pytest.raises(ValueError, match="spread: input 0 does not fit on axis 0"):
        f([1.0, 2], [1.0, 2])
    with pytest.raises(ValueError, match="spread: input 0 does not fit on axis 0"):
        op(T.constant(np.ones(2)), w)


@pytest.mark.parametrize("mode", ["fast_run", "no_rewrite"])
def test_an_index_out_of_range_in_what_is_empty(device, mode):
    k, w = T.lscalar("k"), symc.shared(np.ones((1, 0)))
    for value in (T.dot(w, w[k]), T.concatenate([w * 1, w[k].reshape((1, 0))], 1), w[k].sum()):
        f = symc.function([k], value, device=device, mode=mode)
        assert f(0).sum() == 0
        with pytest.raises(IndexError):
            f(1)


@pytest.mark.parametrize("mode", ["fast_run", "no_rewrite"])
def test_no_rewrite_drops_what_fails(device, mode):
    k, v, m = T.lscalar("k"), T.vector("v"), T.matrix("m")
    x = v[k]
    forms = [
        x / x,
        x**0,
        T.set_subtensor(m[k][:], v[0]),
        T.zeros((3,))[k],
        T.zeros((3, 2))[k],
        T.ones((3,))[T.stack([0, k])],
    ]
    forms += [T.switch(True, 1.0, x), T.cholesky(m) ** 0]
    good = np.ones(3), np.eye(3)
    for e in forms:
        f = symc.function([k, v, m], e, device=device, mode=mode, on_unused_input="ignore")
        f(2, *good)
        with pytest.raises((IndexError, np.linalg.LinAlgError)):
            f(3, good[0], -good[1])


def test_sums_over_two_empty_axes(device):
    w, v = symc.shared(np.ones((2, 2, 3))), T.vector("v")
    f = symc.function([v], [(v - w).sum(axis=(0, 1)), (v - w).sum(), T.grad((T.sin(v - w)).sum(), v)], device=device)
    for shape in ((0, 0, 3), (2, 0, 3), (0, 0, 0)):
        w.set_value(np.ones(shape))
        total, all_of_it, slope = f(np.ones(shape[-1]))
        close(total, np.zeros(shape[-1]))
        close(all_of_it, 0)
        close(slope, np.zeros(shape[-1]))


def test_a_number_that_must_be_a_length_in_one_branch_and_decides_in_the_other(device):
    n, c, v = T.lscalar("n"), T.scalar("c"), T.vector("v")
    inner = T.ifelse(n > 1, v * 2, v * 3)
    f = symc.function([n, c, v], T.ifelse(c > 0, inner, T.zeros((n,), f64) + v), device=device)
    close(f(2, -1.0, [5.0, 6]), [5, 6])
    close(f(2, 1.0, [5.0, 6]), [10, 12])
    with pytest.raises(ValueError):
        f(3, -1.0, [5.0, 6])


@pytest.mark.parametrize("mode", ["fast_run", "no_rewrite"])
@pytest.mark.parametrize("device", ["interp", "c"])
def test_the_gradient_of_a_value_of_another_length_that_is_not_selected(device, mode):
    """The gradient of the value that is not selected has that value's length, not the length of the result."""
    x, n, c = T.dmatrix("x"), T.lscalar("n"), T.dscalar("c")
    rest = T.split(x, [n, x.shape[0] - n], 2, axis=0)[1]
    for change in (lambda v: v, lambda v: -v, lambda v: v.T, lambda v: T.cumsum(v, axis=0)):
        y = symc.ifelse(c > 0, change(x), change(rest))
        f = symc.function([x, n, c], symc.grad(T.sum(T.sin(y)), x), device=device, mode=mode)
        value = np.linspace(0.1, 2, 18).reshape(6, 3)
        expected = f(value, 0, 1.0)
        np.testing.assert_allclose(f(value, 0, -1.0), expected, rtol=1e-12)
        np.testing.assert_allclose(f(value, 4, 1.0), expected, rtol=1e-12)
        assert not f(value, 4, -1.0)[:4].any() and f(value, 4, -1.0)[4:].all()
