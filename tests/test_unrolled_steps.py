"""Loops over steps on small matrices, which are written out as scalars in one kernel."""

from __future__ import annotations

import numpy as np
import pytest
from test_recurrence_kernels import WIDTHS, loops_of, with_width

import symc
import symc.tensor as T
from symc.loops.ir import Loop

rng = np.random.default_rng(0)


def is_written_out(f):
    return "t_step" in loops_of(f) and "for t <" not in loops_of(f)


def filtered(f, h, q, r, z):
    """A Kalman filter with NumPy in float64."""
    x, p, found = np.zeros(len(f)), np.eye(len(f)), []
    for z_t in z:
        x, p = f @ x, f @ p @ f.T + q
        gain = p @ h.T / (h @ p @ h.T + r)
        x = x + gain @ (z_t - h @ x)
        p = p - gain @ h @ p
        found.append(x)
    return np.reshape(found, (-1, len(f))), p


def kalman(dtype, n):
    f, h, q, r = (T.TensorType(dtype, s)() for s in ((n, n), (1, n), (n, n), (1, 1)))
    z = T.TensorType(dtype, (None, 1))()

    def step(z_t, x, p):
        x, p = T.dot(f, x), T.dot(T.dot(f, p), f.T) + q
        gain = T.dot(p, h.T) / (T.dot(T.dot(h, p), h.T) + r)
        x = x + T.dot(gain, z_t - T.dot(h, x))
        return x, p - T.dot(T.dot(gain, h), p)

    start = [T.zeros((n,), dtype), T.eye(n, dtype=dtype)]
    (xs, ps), _ = symc.scan(step, [z], start)
    return [f, h, q, r, z], xs, ps


@pytest.mark.parametrize("isa", WIDTHS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_a_filter_of_small_matrices_is_one_kernel(n, dtype, isa):
    """Every product was a library call and every sum beside it a kernel: four states took 12 times as long."""
    with with_width(isa):
        inputs, xs, ps = kalman(dtype, n)
        f = symc.function(inputs, [xs, ps[-1]])
        if n in (2, 3, 4):
            assert is_written_out(f)
        for steps in (1, 2, 7):
            arrays = [np.eye(n) + 0.1 * np.eye(n, k=1), np.ones((1, n)), 0.1 * np.eye(n), np.full((1, 1), 0.2)]
            arrays = [a.astype(dtype) for a in (*arrays, rng.standard_normal((steps, 1)))]
            for found, expected in zip(f(*arrays), filtered(*(a.astype("float64") for a in arrays))):
                np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("isa", WIDTHS)
def test_gradients_of_a_filter(isa):
    with with_width(isa):
        inputs, xs, _ = kalman("float64", 3)
        f, h, q, r, z = inputs
        loss = (xs**2).sum()
        g = symc.function(inputs, T.grad(loss, [f, h, z]))
        arrays = [np.eye(3) + 0.1 * np.eye(3, k=1), np.ones((1, 3)), 0.1 * np.eye(3), np.full((1, 1), 0.2)]
        arrays.append(rng.standard_normal((5, 1)))
        found = g(*arrays)
        for k, gradient in zip((0, 1, 4), found):
            direction = rng.standard_normal(arrays[k].shape)
            ends = []
            for sign in (1, -1):
                changed = list(arrays)
                changed[k] = arrays[k] + sign * 1e-6 * direction
                ends.append((filtered(*changed)[0] ** 2).sum())
            np.testing.assert_allclose((gradient * direction).sum(), (ends[0] - ends[1]) / 2e-6, rtol=1e-5)


def forward(a, b, start):
    found = []
    for b_t in b:
        start = (start @ a) * b_t
        start = start / start.sum()
        found.append(start)
    return np.reshape(found, b.shape)


@pytest.mark.parametrize("isa", WIDTHS)
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 12, 17, 33, 40])
def test_probabilities_of_states(n, isa):
    with with_width(isa):
        a, b = T.TensorType("float32", (n, n))(), T.TensorType("float32", (None, n))()

        def step(b_t, s):
            new = T.dot(s, a) * b_t
            return new / new.sum()

        s, _ = symc.scan(step, [b], [T.ones((n,)) / n])
        f = symc.function([a, b], [s, s[-1]])
        backwards = symc.function([a, b], T.grad(T.log(s[-1] + 1).sum(), [a, b]))
        if 1 < n <= 12:
            assert is_written_out(f)
        arrays = rng.random((n, n)).astype("float32") + 0.1, rng.random((9, n)).astype("float32") + 0.1
        expected = forward(*arrays, np.ones(n) / n)
        for found in f(*arrays)[0], f(*arrays)[1]:
            np.testing.assert_allclose(found, expected if found.ndim == 2 else expected[-1], rtol=2e-5)
        for k, gradient in enumerate(backwards(*arrays)):
            direction = rng.standard_normal(gradient.shape)
            ends = []
            for sign in (1, -1):
                changed = [x.astype("float64") for x in arrays]
                changed[k] += sign * 1e-5 * direction
                ends.append(np.log(forward(*changed, np.ones(n) / n)[-1] + 1).sum())
            expected_slope = (ends[0] - ends[1]) / 2e-5
            np.testing.assert_allclose((gradient * direction).sum(), expected_slope, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("isa", WIDTHS)
@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_positions_of_the_best_state_before(n, isa):
    with with_width(isa):
        a, b = T.TensorType("float32", (n, n))(), T.TensorType("float32", (None, n))()

        def step(b_t, s):
            through = s.dimshuffle(0, "x") + a
            return through.max(0) + b_t, through.argmax(0)

        (s, back), _ = symc.scan(step, [b], [T.zeros((n,)), None])
        f = symc.function([a, b], [s, back])
        x, y = rng.integers(0, 3, (n, n)).astype("float32"), rng.standard_normal((20, n)).astype("float32")
        y[12, 0], y[15, n - 1] = np.inf, np.nan
        found, state = f(x, y), np.zeros(n, "float32")
        for t in range(20):
            through = state[:, None] + x
            np.testing.assert_array_equal(found[1][t], through.argmax(0))
            state = through.max(0) + y[t]
            np.testing.assert_array_equal(found[0][t], state)


def test_a_state_and_the_one_before_it():
    a = T.TensorType("float64", (3, 3))()
    start = T.TensorType("float64", (2, 3))()
    s, _ = symc.scan(
        lambda two, one: T.dot(one, a) - T.dot(two, a.T), [], [{"initial": start, "taps": [-2, -1]}], n_steps=6
    )
    f = symc.function([a, start], [s, s[-1]])
    x, states = rng.standard_normal((3, 3)), list(rng.standard_normal((2, 3)))
    found = f(x, np.array(states))
    for _ in range(6):
        states.append(states[-1] @ x - states[-2] @ x.T)
    np.testing.assert_allclose(found[0], states[2:], rtol=1e-10)
    np.testing.assert_allclose(found[1], states[-1], rtol=1e-10)


def test_no_steps_leave_states_as_they_were():
    a, b = T.TensorType("float32", (3, 3))(), T.TensorType("float32", (None, 3))()
    s, _ = symc.scan(lambda b_t, s: T.dot(s, a) + b_t, [b], [T.ones((3,))], return_list=False)
    f = symc.function([a, b], s)
    assert f(np.eye(3, dtype="float32"), np.zeros((0, 3), "float32")).shape == (0, 3)
    n = T.lscalar()
    last = symc.foldl(lambda k, s: T.dot(s, a) + T.cast(k, "float32"), [T.arange(n)], [T.ones((3,))])[0]
    g = symc.function([a, n], last)
    np.testing.assert_array_equal(g(np.eye(3, dtype="float32"), 3), np.full(3, 4, "float32"))


def test_steps_backwards_and_loops_in_loops():
    a, b = T.TensorType("float64", (3, 3))(), T.TensorType("float64", (None, 3))()

    def step(b_t, s):
        inner, _ = symc.scan(lambda v: T.tanh(T.dot(v, a)), [], [s], n_steps=7)
        return inner[-1] + b_t

    s, _ = symc.scan(step, [b], [T.ones((3,), "float64")], go_backwards=True)
    f = symc.function([a, b], s)
    x, y = rng.standard_normal((3, 3)), rng.standard_normal((5, 3))
    state, expected = np.ones(3), []
    for row in y[::-1]:
        for _ in range(7):
            state = np.tanh(state @ x)
        state = state + row
        expected.append(state)
    np.testing.assert_allclose(f(x, y), expected, rtol=1e-10)


def test_tables_are_read_at_positions_that_a_step_computes():
    table = T.TensorType("int64", (None, 2))()
    s, _ = symc.scan(
        lambda s: (table[s[0] % table.shape[0]] + s) % 1000, [], [T.constant(np.array([3, 4]))], n_steps=50
    )
    f = symc.function([table], s)
    x = rng.integers(0, 100, (9, 2))
    state = np.array([3, 4])
    for found in f(x):
        state = (x[state[0] % 9] + state) % 1000
        np.testing.assert_array_equal(found, state)


def test_shared_states_and_sums_of_all_steps():
    """What a loop adds up in place is read and written in every step."""
    w = symc.shared(np.eye(3) * 0.5, "w")
    x = T.TensorType("float64", (None, 3))()
    s, _ = symc.scan(lambda x_t, s: T.tanh(T.dot(s, w) + x_t), [x], [T.zeros((3,), "float64")])
    loss = (s**2).sum()
    f = symc.function([x], loss, updates=[(w, w - 0.1 * T.grad(loss, w))])
    y = rng.standard_normal((6, 3))

    def value(v):
        state, total = np.zeros(3), 0.0
        for row in y:
            state = np.tanh(state @ v + row)
            total += (state**2).sum()
        return total

    before = w.get_value()
    np.testing.assert_allclose(f(y), value(before), rtol=1e-12)
    slope = (before - w.get_value()) / 0.1
    for i in range(3):
        for j in range(3):
            moved = np.zeros((3, 3))
            moved[i, j] = 1e-6
            np.testing.assert_allclose(slope[i, j], (value(before + moved) - value(before - moved)) / 2e-6, rtol=1e-5)


def test_unknown_lengths_are_written_out_once_they_are_known():
    a, b = T.matrix(), T.matrix()
    s, _ = symc.scan(lambda b_t, s: T.dot(s, a) * b_t, [b], [T.ones((a.shape[0],))])
    f = symc.function([a, b], s)
    few, many = np.full((20, 4), 0.25, "float32"), np.full((4000, 4), 0.25, "float32")
    matrix = np.full((4, 4), 1.0, "float32")
    np.testing.assert_allclose(f(matrix, few), np.ones((20, 4)))
    assert not f.specialisation.short.codes
    np.testing.assert_allclose(f(matrix, many), np.full((4000, 4), 1), rtol=1e-3)
    (code,) = f.specialisation.short.codes
    assert not any(isinstance(node, Loop) for node in code.program.body)
    assert any(isinstance(node, Loop) for node in f.specialisation.program.body)
