"""Rewrites of loops that a condition may end, loops that are joined, and the memory that stored values may take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_scan_rewrites import calls, close, loops, parts, slopes, steps_of

import symc
import symc.tensor as T

F64 = "float64"


@pytest.fixture(autouse=True)
def _wide() -> Any:
    with symc.config.change(floatX=F64):
        yield


# --- until ------------------------------------------------------------------------------------------------------------


def relaxation() -> tuple[list[Any], Any, Any]:
    """``h = tanh(h exp(w) + b)`` until it hardly moves, with a result of each step and a state that nobody reads."""
    h0, b, w = T.vector("h0"), T.vector("b"), T.matrix("w")

    def step(h: Any, unused: Any) -> Any:
        after = T.tanh(T.dot(h, T.exp(w)) + b)
        return [after, unused * 2, (after * b).sum()], symc.scan_module.until(abs(after - h).sum() < 1e-4)

    (h, _, y), _ = symc.scan(step, outputs_info=[h0, T.zeros_like(h0), None], n_steps=60)
    return [h0, b, w], h, y


def relaxed(h: np.ndarray, b: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    states, results = [], []
    for _ in range(60):
        after = np.tanh(h @ np.exp(w) + b)
        states.append(after)
        results.append((after * b).sum())
        moved, h = abs(after - h).sum(), after
        if moved < 1e-4:
            break
    return np.array(states), np.array(results)


def small(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.standard_normal(3), rng.standard_normal(3), rng.standard_normal((3, 3)) - 2]


def test_a_loop_that_a_condition_may_end_is_rewritten(rng):
    given, h, y = relaxation()
    f = symc.function(given, [h[-1], y.shape[0]])
    (loop,) = loops(f)
    found = parts(loop)
    assert found.until and len(found.states) == 1 and not any(found.keep)  # last value only, and no unused results
    assert len(loop.outputs) == 2
    names = {v.owner.op.name for v in found.constants if v.owner is not None}
    assert "exp" in names  # it does not change, so it was computed before
    arrays = small(rng)
    want = relaxed(*arrays)[0]
    assert 1 < len(want) < 60
    got = f(*arrays)
    close(got[0], want[-1])
    assert got[1] == len(want)
    whole = symc.function(given, [h, y])
    assert parts(loops(whole)[0]).keep == (True,)
    for one, expected in zip(whole(*arrays), relaxed(*arrays)):
        close(one, expected)


def test_gradients_of_a_loop_that_a_condition_may_end_read_stored_products(rng):
    given, h, y = relaxation()
    cost = (h[-1] ** 2).sum() + (y**2).sum()
    f = symc.function(given, [cost, *T.grad(cost, given)])
    forward, backward = loops(f)
    assert [calls(forward), calls(backward)] == [1, 1]  # the backward loop computes h w no more

    def oracle(*arrays: np.ndarray) -> Any:
        states, results = relaxed(*arrays)
        return (states[-1] ** 2).sum() + (results**2).sum()

    arrays = small(rng)
    got = f(*arrays)
    close(got[0], oracle(*arrays))
    for one, want in zip(got[1:], slopes(oracle, arrays)):
        close(one, want, 1e-6)


def test_the_last_of_some_steps_is_not_that_of_all(rng):
    """``h[:2][-1]`` has the form of a last value, but not of the last one; none of no steps is an error."""
    given, h, _ = relaxation()
    k = T.lscalar("k")
    f = symc.function([*given, k], h[:k][-1])
    arrays = small(rng)
    close(f(*arrays, 2), relaxed(*arrays)[0][1])
    n = T.lscalar("n")
    out, _ = symc.scan(lambda h: (h * 2, symc.scan_module.until(h.sum() > 5)), outputs_info=given[0], n_steps=n)
    g = symc.function([given[0], n], out[-1])
    assert parts(loops(g)[0]).keep == (False,)
    close(g(np.ones(3), 9), [4.0, 4, 4])
    with pytest.raises(IndexError):
        g(np.ones(3), 0)


# --- loops that become one --------------------------------------------------------------------------------------------


def test_elementwise_loops_over_the_same_steps_become_one(rng):
    a, x = T.vector("a"), T.matrix("x")
    n = x.shape[0]
    h, _ = symc.scan(lambda x_t, h: T.tanh(h + x_t), x, T.zeros_like(x[0]))
    c, _ = symc.scan(lambda c, k: T.cos(c) * k, None, T.zeros_like(x[0]) + 1, x[0], n)
    other, _ = symc.scan(lambda c: c * 0.5, None, T.zeros_like(a), n_steps=n)  # perhaps of another length
    f = symc.function([x, a], [h[-1], c, other[-1] + a])
    assert len(loops(f)) == 2 and not steps_of(f)  # states stay in registers
    array, vector = rng.standard_normal((9, 4)), rng.standard_normal(3)
    s, k, cs = np.zeros(4), np.ones(4), []
    for row in array:
        s, k = np.tanh(s + row), np.cos(k) * array[0]
        cs.append(k)
    got = f(array, vector)
    close(got[0], s)
    close(got[1], cs)
    close(got[2], vector)


def test_loops_that_share_sequences_compute_equal_states_once(rng):
    x, w, v = T.matrices("x", "w", "v")
    zeros = T.zeros_like(x[0])

    def step(x_t: Any, h: Any, m: Any) -> Any:
        return T.tanh(T.dot(h, m) + x_t)

    plain, _ = symc.scan(lambda x_t, h: step(x_t, h, w), x, zeros)
    (again, gated), _ = symc.scan(lambda x_t, h, g: [step(x_t, h, w), T.tanh(T.dot(g, v) * h)], x, [zeros, zeros + 1])
    backwards, _ = symc.scan(lambda x_t, h: step(x_t, h, w), x, zeros, go_backwards=True)
    f = symc.function([x, w, v], [plain[-1], again, gated, backwards[-1]])
    first, second = sorted(loops(f), key=lambda loop: -len(parts(loop).states))
    assert [calls(first), calls(second)] == [2, 1]
    arrays = [rng.standard_normal(s) * 0.7 for s in ((6, 3), (3, 3), (3, 3))]
    rows, m, k = arrays
    h, g, hs, gs = np.zeros(3), np.ones(3), [], []
    for row in rows:
        h, g = np.tanh(h @ m + row), np.tanh(g @ k * h)
        hs.append(h)
        gs.append(g)
    back = np.zeros(3)
    for row in rows[::-1]:
        back = np.tanh(back @ m + row)
    for one, want in zip(f(*arrays), (h, hs, gs, back)):
        close(one, want)


def test_a_loop_that_needs_another_one_stays_behind_it(rng):
    x = T.matrix("x")
    zeros = T.zeros_like(x[0])
    h, _ = symc.scan(lambda x_t, h: T.tanh(h + x_t), x, zeros)
    again, _ = symc.scan(lambda x_t, h: T.sin(h + x_t), h, zeros)
    total, _ = symc.scan(lambda x_t, h: T.cos(h - x_t), x, again[-1])
    f = symc.function([x], [h[-1], total[-1]])
    assert len(loops(f)) == 3
    a = rng.standard_normal((5, 2))
    s, u = np.zeros(2), np.zeros(2)
    for row in a:
        s = np.tanh(s + row)
        u = np.sin(u + s)
    first = s
    for row in a:
        u = np.cos(u - row)
    close(f(a), [first, u])


def test_states_are_equal_only_if_they_stay_equal(rng):
    """Three states begin alike; the second one follows the first, the third one moves away."""
    x = T.matrix("x")
    zeros = T.zeros_like(x[0])
    (a, b), _ = symc.scan(lambda x_t, a, b: [T.tanh(b + x_t), T.tanh(a + x_t)], x, [zeros, zeros])
    (c, d), _ = symc.scan(lambda x_t, c, d: [T.tanh(d + x_t), T.tanh(d + 2 * x_t)], x, [zeros, zeros])
    f = symc.function([x], [a, b, c, d])
    (loop,) = loops(f)
    assert len(parts(loop).states) == 3
    rows = rng.standard_normal((5, 2))
    h = d = np.zeros(2)
    want: list[list[np.ndarray]] = [[], [], [], []]
    for row in rows:
        h, c, d = np.tanh(h + row), np.tanh(d + row), np.tanh(d + 2 * row)
        for found, value in zip(want, (h, h, c, d)):
            found.append(value)
    for one, expected in zip(f(rows), want):
        close(one, expected)


# --- the memory of stored values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "products", "states"), [(0, 1, 1), (193_000, 1, 1), (129_000, 2, 2), (65_000, 3, 2)])
def test_stored_values_count_against_the_limit(rng, limit, products, states):
    """The states of 1,000 steps take 64,000 bytes, as many each the products and what the sum behind it reads."""
    x, h, w = T.tensor(F64, (1000, 8), name="x"), T.tensor(F64, (8,), name="h"), T.tensor(F64, (8, 8), name="w")
    with symc.config.change(scan_memory=limit):
        found, _ = symc.scan(lambda e, h: T.sin(T.dot(h, w) + e), x, h)
        f = symc.function([x, h, w], T.grad((found**2).sum(), w))
    _, backward = loops(f)
    assert (calls(backward), len(parts(backward).states)) == (products, states)
    arrays = rng.standard_normal((1000, 8)) * 0.1, rng.standard_normal(8), rng.standard_normal((8, 8)) * 0.2
    reference = symc.function([x, h, w], T.grad((found**2).sum(), w), mode="no_rewrite")
    close(f(*arrays), reference(*arrays), 1e-9)


def test_blocks_store_what_fits_into_their_share(rng):
    """A block's products take no more than its states, so both fit, even if sizes are not known."""
    x, h, w = T.matrix("x"), T.vector("h"), T.matrix("w")
    states, _ = symc.scan(lambda e, h: T.sin(T.dot(h, w) + e), x, h)
    arrays = rng.standard_normal((300, 8)) * 0.1, rng.standard_normal(8), rng.standard_normal((8, 8)) * 0.2
    found, peaks = [], []
    for limit in (0, 64 * 100):
        with symc.config.change(scan_memory=limit):
            f = symc.function([x, h, w], T.grad((states**2).sum(), w))
        found.append(f(*arrays))
        peaks.append(symc.memory_estimate(f, [(3000, 8), (8,), (8, 8)]).peak)
    close(found[1], found[0], 1e-9)
    assert peaks[0] - peaks[1] > 3000 * 64  # all states, and what is stored beside them
