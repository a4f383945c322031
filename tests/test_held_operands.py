"""Operands that a loop does not change: the run-time library makes their packed form once per loop."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc_backends.c.stored import held_buffers

pytestmark = pytest.mark.skipif(symc.config.device != "c", reason="the library of the C back end")

STEPS, ROWS, UNITS = 20, 48, 96


def _normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def _recurrent(h, u, steps=STEPS):
    for _ in range(steps):
        h = np.tanh(h.astype("float64") @ u * 0.1)
    return h


def _close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


def _held(f) -> int:
    return sum(map(len, held_buffers(f.specialisation.program).values()))


@pytest.fixture(scope="module")
def recurrent():
    h, u = T.fmatrices("hu")
    out, _ = symc.scan(lambda h, u: T.tanh(T.dot(h, u) * 0.1), outputs_info=[h], non_sequences=[u], n_steps=STEPS)
    return symc.function([h, u], out[-1])


def test_the_form_follows_the_value(recurrent):
    assert _held(recurrent) == 1
    h, u = _normal(0, ROWS, UNITS), _normal(1, UNITS, UNITS)
    for scale in (1, 0.5, -1):  # in the same memory
        u *= np.float32(scale)
        _close(recurrent(h, u), _recurrent(h, u))
    for rows in (17, 130, ROWS):
        h = _normal(rows, rows, UNITS)
        _close(recurrent(h, u), _recurrent(h, u))


def test_concurrent_calls(recurrent):
    cases = [(_normal(k, ROWS, UNITS), _normal(k + 50, UNITS, UNITS)) for k in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for (h, u), got in zip(cases, pool.map(lambda c: recurrent(*c), cases)):
                _close(got, _recurrent(h, u))


def test_a_matrix_that_the_loop_changes_is_not_held():
    h, u = T.fmatrices("hu")

    def step(h, u):
        return T.tanh(T.dot(h, u) * 0.1), u * 0.9

    (out, _), _ = symc.scan(step, outputs_info=[h, u], n_steps=STEPS)
    f = symc.function([h, u], out[-1])
    assert _held(f) == 0
    a, b = _normal(0, ROWS, UNITS), _normal(1, UNITS, UNITS)
    expected = a
    for k in range(STEPS):
        expected = _recurrent(expected, b.astype("float64") * 0.9**k, 1)
    _close(f(a, b), expected)


def test_nested_loops():
    """The matrix of the inner loop changes in the outer one; a second one is the same in both."""
    h, v = T.fmatrices("hv")
    us = T.ftensor3("us")

    def inner(h, u, v):
        return T.tanh(T.dot(T.tanh(T.dot(h, u) * 0.1), v) * 0.1)

    def outer(u, h, v):
        found, _ = symc.scan(inner, outputs_info=[h], non_sequences=[u, v], n_steps=12)
        return found[-1]

    out, _ = symc.scan(outer, sequences=[us], outputs_info=[h], non_sequences=[v])
    f = symc.function([us, h, v], out[-1])
    assert _held(f) == 1
    a, b, c = _normal(0, STEPS, UNITS, UNITS), _normal(1, ROWS, UNITS), _normal(2, UNITS, UNITS)
    for _ in range(2):
        expected = b.astype("float64")
        for u in a:
            for _ in range(12):
                expected = _recurrent(_recurrent(expected, u, 1), c, 1)
        _close(f(a, b, c), expected)
        a, c = -a, c * np.float32(0.7)


def test_a_shared_variable_that_the_function_updates():
    h = T.fmatrix("h")
    u = symc.shared(_normal(1, UNITS, UNITS))
    out, _ = symc.scan(lambda h, u: T.tanh(T.dot(h, u) * 0.1), outputs_info=[h], non_sequences=[u], n_steps=STEPS)
    cost = (out[-1] ** 2).sum()
    f = symc.function([h], [out[-1], T.grad(cost, u)], updates=[(u, u * 0.8)])
    value = u.get_value()
    a = _normal(0, ROWS, UNITS)
    for _ in range(3):
        got, gradient = f(a)
        _close(got, _recurrent(a, value))
        with symc.config.change(cpu_precision="ieee"):
            u.set_value(value)
            _, plain = f(a)
        np.testing.assert_allclose(gradient, plain, rtol=0, atol=1e-4 * np.abs(plain).max())
        value = value * np.float32(0.8)
