"""What leaves a loop, and what it no longer computes: every rewrite of repetitions fires, and values stay right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.compiler.bodies import applications_inside
from symc.compiler.fusion import FusionGroup, fuse, source_of
from symc.graph import Apply, toposort
from symc.graph.op import LibraryCall
from symc.loops.ir import Loop, Step, walk
from symc.printing.stages import state_after

F64 = "float64"


@pytest.fixture(autouse=True)
def _wide() -> Any:
    with symc.config.change(floatX=F64):
        yield


def loops(f: Any) -> list[Apply]:
    """The repetitions that are left."""
    return [node for node in toposort(state_after(f, "drop_unused").graph) if node.op.record.repeats is not None]


def calls(loop: Apply) -> int:
    """The number of library calls in one step."""
    return sum(isinstance(node.op.record.lower, LibraryCall) for node in applications_inside(loop.op))


def parts(loop: Apply) -> Any:
    """The loop as the passes see it."""
    assert loop.op.record.repeats is not None
    return loop.op.record.repeats.read(loop)


def slopes(f: Callable[..., Any], arrays: Sequence[np.ndarray], h: float = 1e-6) -> list[np.ndarray]:
    """Central differences of a NumPy function."""
    found = []
    for k, a in enumerate(arrays):
        g = np.zeros_like(a)
        for at in np.ndindex(*a.shape):
            moved = [x.copy() for x in arrays]
            moved[k][at] += h
            up = f(*moved)
            moved[k][at] -= 2 * h
            g[at] = (up - f(*moved)) / (2 * h)
        found.append(g)
    return found


def close(got: Any, want: Any, rtol: float = 1e-10) -> None:
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# --- products before, and behind ------------------------------------------------------------------------------------


def lstm(backwards: bool) -> tuple[list[Any], Any, Callable[..., Any]]:
    """An LSTM as users write it: symbols, its cost, and the cost in NumPy."""
    x = T.tensor3("x")
    w, u = T.matrices("w", "u")
    b = T.vector("b")

    def step(x_t: Any, h: Any, c: Any) -> Any:
        z = T.dot(x_t, w) + T.dot(h, u) + b
        n = u.shape[0]
        i, f, o = (T.nnet.sigmoid(z[:, k * n : (k + 1) * n]) for k in range(3))
        c = f * c + i * T.tanh(z[:, 3 * n :])
        return [o * T.tanh(c), c]

    zeros = T.zeros((x.shape[1], u.shape[0]))
    (h, c), _ = symc.scan(step, x, [zeros, zeros], go_backwards=backwards)
    cost = (h * h).sum() + (c[-1] ** 3).sum()

    def oracle(x: np.ndarray, w: np.ndarray, u: np.ndarray, b: np.ndarray) -> Any:
        n = u.shape[0]
        h = c = np.zeros((x.shape[1], n))
        total = 0.0
        for x_t in x[::-1] if backwards else x:
            z = x_t @ w + h @ u + b
            i, f, o = (sigmoid(z[:, k * n : (k + 1) * n]) for k in range(3))
            c = f * c + i * np.tanh(z[:, 3 * n :])
            h = o * np.tanh(c)
            total += (h * h).sum()
        return total + (c**3).sum()

    return [x, w, u, b], cost, oracle


@pytest.mark.parametrize("backwards", [False, True])
def test_training_of_an_lstm_multiplies_once_per_step(backwards, rng):
    given, cost, oracle = lstm(backwards)
    f = symc.function(given, [cost, *T.grad(cost, given)])
    forward, backward = loops(f)
    assert [calls(forward), calls(backward)] == [1, 1]  # h u, and the adjoint through u
    assert len(parts(backward).states) == 2  # no sums of gradients of weights
    arrays = [rng.standard_normal(s) * 0.5 for s in ((6, 2, 3), (3, 8), (2, 8), (8,))]
    got = f(*arrays)
    close(got[0], oracle(*arrays))
    for one, want in zip(got[1:], slopes(oracle, arrays)):
        close(one, want, 1e-7)


def test_second_derivatives_of_an_lstm(rng):
    given, cost, _ = lstm(False)
    first = T.grad(cost, given)
    squares = sum((g * g).sum() for g in first)
    f = symc.function(given, T.grad(squares, given))
    plain = symc.function(given, squares, mode="no_rewrite")
    arrays = [rng.standard_normal(s) * 0.5 for s in ((5, 2, 2), (2, 4), (1, 4), (4,))]
    for one, want in zip(f(*arrays), slopes(lambda *a: float(plain(*a)), arrays)):
        close(one, want, 1e-5)


def test_a_result_that_is_not_fed_back_is_computed_behind_the_loop(rng):
    x, v = T.matrices("x", "v")
    h0 = T.vector("h0")
    (h, y), _ = symc.scan(lambda x_t, h: [T.tanh(h * 0.5 + x_t), T.exp(T.dot(h, v))], x, [h0, None])
    f = symc.function([x, h0, v], [h, y])
    (loop,) = loops(f)
    assert calls(loop) == 0
    a, s, m = rng.standard_normal((7, 3)), rng.standard_normal(3), rng.standard_normal((3, 2))
    got = f(a, s, m)
    want_h, want_y = [], []
    for row in a:
        want_y.append(np.exp(s @ m))
        s = np.tanh(s * 0.5 + row)
        want_h.append(s)
    close(got[0], want_h)
    close(got[1], want_y)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_loop_without_states_is_no_loop(backwards, rng):
    x, w = T.tensor3("x"), T.matrix("w")
    out, _ = symc.scan(lambda m: T.exp(T.dot(m, w)).sum(axis=1)[::-1], x, go_backwards=backwards)
    f = symc.function([x, w], [out, *T.grad((out**2).sum(), [x, w])])
    assert not loops(f)
    a, b = rng.standard_normal((5, 3, 2)), rng.standard_normal((2, 4)) * 0.3

    def oracle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.stack([np.exp(m @ b).sum(1)[::-1] for m in (a[::-1] if backwards else a)])

    got = f(a, b)
    close(got[0], oracle(a, b))
    for one, want in zip(got[1:], slopes(lambda *v: (oracle(*v) ** 2).sum(), [a, b])):
        close(one, want, 1e-6)


# --- sums over the steps --------------------------------------------------------------------------------------------


def test_a_sum_of_products_is_one_product(rng):
    a, b = T.tensor3("a"), T.tensor3("b")
    s = T.matrix("s")
    for turned in (False, True):
        out, _ = symc.scan(
            lambda p, q, s, turned=turned: s + 2 * T.dot(p.T if turned else p, q),
            [a, b],
            T.zeros_like(s) + s,
        )
        f = symc.function([a, b, s], out[-1])
        assert not loops(f)
        p, q, start = (rng.standard_normal(n) for n in ((6, 3, 3), (6, 3, 4), (3, 4)))
        close(f(p, q, start), start + 2 * sum((m.T if turned else m) @ n for m, n in zip(p, q)))


def test_a_sum_that_the_step_reads_stays(rng):
    x = T.vector("x")
    out, _ = symc.scan(lambda x_t, s: s + x_t * T.tanh(s), x, T.constant(np.float64(1)))
    twice, _ = symc.scan(lambda x_t, s: (s + x_t) + s, x, T.constant(np.float64(1)))
    f = symc.function([x], [out[-1], twice[-1]])
    (loop,) = loops(f)  # the two are one
    assert len(parts(loop).states) == 2
    a = rng.standard_normal(5)
    s = t = 1.0
    for v in a:
        s, t = s + v * np.tanh(s), 2 * t + v
    close(f(a), [s, t])


# --- what is the same in every step -----------------------------------------------------------------------------------


def test_what_does_not_change_is_computed_once(rng):
    x, w = T.matrix("x"), T.matrix("w")
    out, _ = symc.scan(lambda x_t, h: T.tanh(T.dot(h, T.dot(w, w.T) / 9) + x_t), x, T.zeros_like(x[0]))
    f = symc.function([x, w], out)
    (loop,) = loops(f)
    assert calls(loop) == 1
    a, m = rng.standard_normal((5, 3)), rng.standard_normal((3, 3))
    h, want = np.zeros(3), []
    for row in a:
        h = np.tanh(h @ (m @ m.T / 9) + row)
        want.append(h)
    close(f(a, m), want)


@pytest.mark.parametrize("known", [False, True])
def test_numbers_in_a_step_stay_numbers(known, rng):
    """The exponent of a square, and a rate given as a scalar, are no arrays with the shape of the state."""
    shape = (3, 4) if known else (None, None)
    x, rate = T.tensor(F64, shape=shape), T.dscalar()
    states, _ = symc.scan(lambda s, r: s - r * (0.5 * s**2 - 1), outputs_info=x, non_sequences=rate, n_steps=20)
    f = symc.function([x, rate], [states[-1], symc.grad(states[-1].sum(), x)])
    for loop in loops(f):
        assert not any(node.op.name == "pow" for node in applications_inside(loop.op))
        assert not any(v.ndim for v in parts(loop).constants)
    a = rng.standard_normal((3, 4))
    slope = np.ones((3, 4))
    now = a
    for _ in range(20):
        slope, now = slope * (1 - 0.1 * now), now - 0.1 * (0.5 * now**2 - 1)
    for got, want in zip(f(a, 0.1), (now, slope)):
        np.testing.assert_allclose(got, want, rtol=1e-10)


def test_no_error_leaves_a_loop_of_no_steps(rng):
    """An index that is out of range raises where the loop runs, and only there."""
    x, v = T.lvector("x"), T.vector("v")
    out, _ = symc.scan(lambda x_t, s: s * 2 + v[x_t], x, T.constant(np.float64(0)))
    f = symc.function([x, v], out)
    close(f(np.zeros(0, "int64"), [1, 2]), np.zeros(0))
    close(f([1, 0], [1, 3]), [3, 7])
    with pytest.raises(IndexError):
        f([0, 2], [1, 2])


# --- last values, few steps, unused and equal loops -------------------------------------------------------------------


@pytest.mark.parametrize("known", [False, True])
def test_only_the_last_state_is_kept(known, rng):
    h, n = T.vector("h"), T.lscalar("n")
    out, _ = symc.scan(lambda h: T.sin(h) + 0.5, outputs_info=h, n_steps=9 if known else n)
    f = symc.function([h, n], out[-1], on_unused_input="ignore")
    (loop,) = loops(f)
    assert parts(loop).keep == (False,)
    a = rng.standard_normal(3)
    want = a
    for _ in range(9):
        want = np.sin(want) + 0.5
    close(f(a, 9), want)
    if not known:
        close(f(a, 1), np.sin(a) + 0.5)
        with pytest.raises(IndexError):
            f(a, 0)
    both = symc.function([h, n], [out[-1], out[0]], on_unused_input="ignore")
    assert parts(loops(both)[0]).keep == (False,)  # the values after the steps are stacked, without the first one
    assert len(parts(loops(both)[0]).body.outputs) == 2
    close(both(a, 9)[1], np.sin(a) + 0.5)


@pytest.mark.parametrize("steps", [1, 3, 4, 5])
@pytest.mark.parametrize("backwards", [False, True])
def test_few_steps_are_written_out(steps, backwards, rng):
    x = T.tensor(F64, shape=(steps, 2), name="x")
    h0 = T.vector("h0")
    (h, y), _ = symc.scan(lambda x_t, h: [T.tanh(h + x_t), h * x_t], x, [h0, None], go_backwards=backwards)
    f = symc.function([x, h0], [h, y, *T.grad((h * h).sum() + (y**3).sum(), [x, h0])])
    assert bool(loops(f)) == (steps > 4)

    def run(a: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hs, ys = [], []
        for row in a[::-1] if backwards else a:
            ys.append(s * row)
            s = np.tanh(s + row)
            hs.append(s)
        return np.stack(hs), np.stack(ys)

    a, s = rng.standard_normal((steps, 2)), rng.standard_normal(2)
    got, want = f(a, s), run(a, s)
    close(got[0], want[0])
    close(got[1], want[1])
    for one, slope in zip(got[2:], slopes(lambda *v: (run(*v)[0] ** 2).sum() + (run(*v)[1] ** 3).sum(), [a, s])):
        close(one, slope, 1e-6)


def test_unused_states_are_dropped_and_equal_loops_merged(rng):
    x = T.matrix("x")
    zeros = T.zeros_like(x[0])

    def step(x_t: Any, h: Any, c: Any, d: Any) -> Any:
        return [T.tanh(h + x_t), c + h * d, d * 0.5 + c]

    (h, c, d), _ = symc.scan(step, x, [zeros, zeros, zeros + 1])
    (again, _, _), _ = symc.scan(step, x, [zeros, zeros, zeros + 1])
    f = symc.function([x], [h, again])
    (loop,) = loops(f)
    assert len(parts(loop).states) == 1
    a = rng.standard_normal((6, 2))
    want, s = [], np.zeros(2)
    for row in a:
        s = np.tanh(s + row)
        want.append(s)
    close(f(a), [want, want])
    assert len(parts(loops(symc.function([x], d))[0]).states) == 3


def test_gradients_of_a_loop_in_a_loop(rng):
    x, w = T.tensor3("x"), T.matrix("w")

    def row(m: Any, total: Any) -> Any:
        inner, _ = symc.scan(lambda r, h: T.tanh(T.dot(h, w) + r), m, total)
        return inner[-1]

    out, _ = symc.scan(row, x, T.zeros_like(x[0, 0]))
    cost = (out**2).sum()
    f = symc.function([x, w], [cost, *T.grad(cost, [x, w])])

    def oracle(a: np.ndarray, m: np.ndarray) -> float:
        h, total = np.zeros(2), 0.0
        for matrix in a:
            for r in matrix:
                h = np.tanh(h @ m + r)
            total += (h**2).sum()
        return total

    arrays = [rng.standard_normal((3, 5, 2)), rng.standard_normal((2, 2))]
    got = f(*arrays)
    close(got[0], oracle(*arrays))
    for one, want in zip(got[1:], slopes(oracle, arrays)):
        close(one, want, 1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_random_steps(seed):
    """A step composed at random of products, sums and elementwise functions, with its gradients."""
    rng = np.random.default_rng(seed)
    n = 3
    x, y = T.matrix("x"), T.matrix("y")
    w, u = T.matrix("w"), T.matrix("u")
    choices = [int(k) for k in rng.integers(0, 7, 8)]
    pairs = [(int(a), int(b)) for a, b in rng.integers(0, 100, (8, 2))]

    def body(dot: Any, tanh: Any, rows: list[Any], mats: list[Any]) -> list[Any]:
        pool = list(rows)
        for kind, (a, b) in zip(choices, pairs):
            p, q = pool[a % len(pool)], pool[b % len(pool)]
            pool.append([
                lambda p, q: dot(p, mats[0]), lambda p, q: dot(p, mats[1].T), lambda p, q: p * q, lambda p, q: p + q,
                lambda p, q: tanh(p), lambda p, q: q * (p * p).sum(), lambda p, q: dot(q, mats[0]) + p,
            ][kind](p, q))  # fmt: skip
        return [tanh(pool[-1]), 0.5 * tanh(pool[-2] + pool[3]), pool[-3] * pool[4]]

    backwards = bool(seed % 2)
    zeros = T.zeros_like(x[0])
    (h, s, z), _ = symc.scan(
        lambda x_t, y_t, h, s: body(T.dot, T.tanh, [x_t, y_t, h, s], [w, u]),
        [x, y], [zeros + 0.1, zeros + 0.2, None], go_backwards=backwards,
    )  # fmt: skip
    cost = (h[-1] ** 2).sum() + (s**3).sum() + T.tanh(z).sum()
    given = [x, y, w, u]
    f = symc.function(given, [cost, *T.grad(cost, given, disconnected_inputs="ignore")])

    def oracle(x: np.ndarray, y: np.ndarray, w: np.ndarray, u: np.ndarray) -> Any:
        h, s, total = np.zeros(n) + 0.1, np.zeros(n) + 0.2, 0.0
        order = range(len(x))[::-1] if backwards else range(len(x))
        for t in order:
            h, s, z = body(np.dot, np.tanh, [x[t], y[t], h, s], [w, u])
            total += (s**3).sum() + np.tanh(z).sum()
        return total + (h**2).sum()

    arrays = [rng.standard_normal(k) * 0.5 for k in ((6, n), (6, n), (n, n), (n, n))]
    got = f(*arrays)
    close(got[0], oracle(*arrays), 1e-9)
    for one, want in zip(got[1:], slopes(oracle, arrays)):
        close(one, want, 1e-5)


# --- states in registers ----------------------------------------------------------------------------------------------


def steps_of(f: Any) -> list[Any]:
    return [n for n in walk(f.specialisation.program.body) if isinstance(n, Loop)]


@pytest.mark.parametrize("device", ["c", "interp"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elementwise_states_stay_in_registers(device, dtype, rng):
    """Two states, one of them kept, a sequence, a constant and a stacked result; all lengths of remainders."""
    x, h0, c0, k = T.matrix("x", dtype), T.vector("h0", dtype), T.vector("c0", dtype), T.vector("k", dtype)

    def step(x_t: Any, h: Any, c: Any, k: Any) -> Any:
        c = c * 0.5 + x_t * k
        return [T.tanh(h - c), c, (h - c) * x_t]

    for backwards in (False, True):
        (h, c, y), _ = symc.scan(step, x, [h0, c0, None], [k], go_backwards=backwards)
        f = symc.function([x, h0, c0, k], [h, c[-1], y], device=device)
        for n in (1, 4, 16, 17, 33, 70, 200):
            arrays = [rng.standard_normal(s).astype(dtype) for s in ((6, n), n, n, n)]
            got = f(*arrays)
            assert not steps_of(f)
            xs, a, b, w = arrays
            hs, ys = [], []
            for row in xs[::-1] if backwards else xs:
                b = b * np.asarray(0.5, dtype) + row * w
                ys.append((a - b) * row)
                a = np.tanh(a - b)
                hs.append(a)
            tolerance = 1e-5 if dtype == "float32" else 1e-12
            for one, want in zip(got, (hs, b, ys)):
                close(one, want, tolerance)
        with pytest.raises(IndexError):  # there is no last state
            f(np.zeros((0, 3)), np.ones(3), np.ones(3), np.ones(3))
    whole = symc.function([x, h0, c0, k], [h, y], device=device)
    assert [v.shape for v in whole(np.zeros((0, 3)), np.ones(3), np.ones(3), np.ones(3))] == [(0, 3), (0, 3)]


def test_integer_scalar_and_half_states(rng):
    n = T.lscalar("n")
    count, _ = symc.scan(lambda a, b: [b, a + b], outputs_info=[T.constant(0, dtype="int64")] * 2, n_steps=n)
    fib, _ = symc.scan(lambda a: a * 3 + 1, outputs_info=T.constant(1, dtype="int64"), n_steps=n)
    f = symc.function([n], [fib, count[0]])
    assert f(6)[0].tolist() == [4, 13, 40, 121, 364, 1093] and f(0)[0].shape == (0,)
    h = T.tensor("float16", shape=(None,), name="h")
    out, _ = symc.scan(lambda h: h * np.float16(0.5) + np.float16(1), outputs_info=h, n_steps=5)
    g = symc.function([h], out[-1])
    close(g(np.arange(20, dtype="float16")), 2 + (np.arange(20) - 2) / 32, 2e-3)
    yes, _ = symc.scan(lambda x, b: T.or_(b, T.gt(x, 1)), T.arange(4), T.constant(False))
    assert symc.function([], yes)().tolist() == [False, False, True, True]


def test_a_state_that_reads_its_neighbours_stays_in_a_loop(rng):
    h = T.vector("h")
    out, _ = symc.scan(lambda h: h[::-1] * 0.5 + h, outputs_info=h, n_steps=7)
    f = symc.function([h], out[-1])
    a = rng.standard_normal(5)
    want = a
    for _ in range(7):
        want = want[::-1] * 0.5 + want
    close(f(a), want)
    assert steps_of(f)


def test_slices_of_sums_and_joined_results(rng):
    """A gated step: slices of a sum are read without the sum, and parts of an adjoint are written into one tensor."""
    x, u = T.tensor3("x"), T.matrix("u")

    def step(x_t: Any, h: Any) -> Any:
        z = x_t + T.dot(h, u)
        n = u.shape[0]
        return T.nnet.sigmoid(z[:, :n]) * h + T.tanh(z[:, n:])

    out, _ = symc.scan(step, x, T.zeros((x.shape[1], u.shape[0])))
    shared = symc.shared(rng.standard_normal((3, 6)) * 0.4, "u")
    cost = (out**2).sum()
    f = symc.function([x], [cost, T.grad(cost, u)], givens={u: shared})

    def oracle(x: np.ndarray, u: np.ndarray) -> Any:
        h, total = np.zeros((x.shape[1], 3)), 0.0
        for x_t in x:
            z = x_t + h @ u
            h = sigmoid(z[:, :3]) * h + np.tanh(z[:, 3:])
            total += (h**2).sum()
        return total

    for batch in (1, 2, 5):
        a = rng.standard_normal((4, batch, 6))
        got = f(a)
        close(got[0], oracle(a, shared.get_value()))
        close(got[1], slopes(oracle, [a, shared.get_value()])[1], 1e-6)
    names = [n.kernel.name for n in walk(f.specialisation.program.body) if isinstance(n, Step)]
    assert "join" not in names


# --- groups of a body -------------------------------------------------------------------------------------------------


def circular() -> tuple[list[Any], list[Any]]:
    """Merging ``s`` with ``t`` makes a circle only after ``a`` was merged with the reader of a running sum of ``s``.

    The units on the way from ``s`` to ``t`` are then older than ``s``: ``b`` reads ``a``, which shares a loop with
    ``last``, which reads ``c``, which reads ``s``.
    """
    x, y, z = (T.tensor(F64, shape=(3, 4), name=name) for name in "xyz")
    a = T.exp(z)
    b = T.cumsum(a, 0)
    s = x + y
    t = b + s
    s2 = s * 2
    c = T.cumsum(s2, 0)
    return [x, y, z], [t, c + a, s2]


def test_merging_of_groups_in_several_rounds_makes_no_circle(rng):
    given, wanted = circular()
    units, stored = fuse(wanted, inside=True)
    done: set[Any] = set()
    for unit in units:
        members = unit.members if isinstance(unit, FusionGroup) else [unit]
        made = {v for node in members for v in node.outputs}
        reads = {source_of(v, stored) for node in members for v in node.inputs}
        assert {v for v in reads if v.owner is not None} <= done | made
        done |= made
    h = T.matrix("h")
    inner = symc.OpFromGraph(given, wanted)
    out, _ = symc.scan(lambda h: T.tanh(sum(inner(h, h * 0.5, h - 1))), outputs_info=h, n_steps=6)
    start = rng.standard_normal((3, 4))
    want = start
    for _ in range(6):
        x, y, z = want, want * 0.5, want - 1
        want = np.tanh(np.cumsum(np.exp(z), 0) + x + y + np.cumsum(2 * (x + y), 0) + np.exp(z) + 2 * (x + y))
    close(symc.function([h], out[-1])(start), want)


def test_numbers_of_a_step_are_written_into_it():
    """A number that was computed before the loop, such as the power of two of a shift, stayed a constant in memory."""
    x = T.TensorType("uint32", (None,))("x")

    def step(s: Any) -> Any:
        s = s ^ (s << np.uint32(13))
        s = s ^ (s >> np.uint32(17))
        return s ^ (s << np.uint32(5))

    s, _ = symc.scan(step, outputs_info=x, n_steps=20)
    f = symc.function([x], s)
    (loop,) = loops(f)
    assert not parts(loop).constants
    values = np.array([1, 2**32 - 1, 123456789], "uint32")
    for got in f(values):
        values = values ^ (values << np.uint32(13))
        values = values ^ (values >> np.uint32(17))
        values = values ^ (values << np.uint32(5))
        np.testing.assert_array_equal(got, values)
