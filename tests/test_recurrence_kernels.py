"""Loops over steps in one kernel: several taps, operands that a step waits for, slices that inner loops read."""

import zlib

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.compiler.lowering.late_operands import late_operands_last
from symc.graph import dims
from symc.loops.expr import call, const, var
from symc.loops.ir import Let, Load, Loop, Step, Store, walk
from symc.printing import debugprint

rng = np.random.default_rng(0)
WIDTHS = ["", "avx2", "sse", "scalar"]


def loops_of(f):
    return debugprint(f, stage="loops", file="str")


def with_width(isa):
    return symc.config.change(isa=isa) if isa else symc.config.change()


@pytest.mark.parametrize("shape", [(), (7,), (5, 40)])
@pytest.mark.parametrize("taps", [[-1, -2], [-1, -2, -3], [-1, -3], [-2, -4]])
def test_steps_that_read_several_taps_are_one_kernel(taps, shape):
    kind = T.TensorType("float64", (None,) * (1 + len(shape)))
    x, first, n = kind("x"), kind("first"), -min(taps)
    factors = [0.3 / (k + 1) for k in range(len(taps))]

    def step(x_t, *before):
        return x_t + sum(c * T.tanh(y) for c, y in zip(factors, before))

    out, _ = symc.scan(step, x, [dict(initial=first, taps=taps)])
    whole, last = symc.function([x, first], out), symc.function([x, first], out[-1])
    slope = symc.function([x, first], symc.grad((out**2).sum(), first))
    assert all("for t <" not in loops_of(f) and "t_step" in loops_of(f) for f in (whole, last))
    for steps in (1, 2, 9, 100):
        xs, start = rng.standard_normal((steps, *shape)), rng.standard_normal((n, *shape))

        def run(start, xs=xs, steps=steps):
            h = list(start)
            for t in range(steps):
                h.append(xs[t] + sum(c * np.tanh(h[n + t + tap]) for c, tap in zip(factors, taps)))
            return np.array(h[n:])

        np.testing.assert_allclose(whole(xs, start), run(start), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(last(xs, start), run(start)[-1], rtol=1e-12, atol=1e-14)
        d = rng.standard_normal(start.shape)
        change = ((run(start + 1e-6 * d) ** 2).sum() - (run(start - 1e-6 * d) ** 2).sum()) / 2e-6
        np.testing.assert_allclose((slope(xs, start) * d).sum(), change, rtol=1e-6, atol=1e-7)


def test_states_that_change_places():
    """Neither of two states that become each other is computed in the step."""
    x, a, b = T.vector("x", "float64"), T.dscalar("a"), T.dscalar("b")
    (s, p, q), _ = symc.scan(lambda x_t, s, p, q: [s + x_t * p, q, p], x, [a * 0, a, b])
    f = symc.function([x, a, b], [s, p[-1], q[-1]])
    for n in (1, 4, 7):
        xs = rng.standard_normal(n)
        got = f(xs, 2.0, 3.0)
        np.testing.assert_allclose(got[0], np.cumsum(xs * [2.0 if t % 2 == 0 else 3.0 for t in range(n)]))
        assert got[1:] == ([3.0, 2.0] if n % 2 else [2.0, 3.0])


def warped(a, b, cost):
    """Dynamic time warping by two loops."""
    big = np.float32(1e30)
    table = np.full((len(a) + 1, len(b) + 1), big, "float32")
    table[0, 0] = 0
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            least = np.minimum(table[i, j], np.minimum(table[i, j + 1], table[i + 1, j]))
            table[i + 1, j + 1] = cost(x, y) + least
    return table[-1]


@pytest.mark.parametrize("isa", WIDTHS)
def test_dynamic_programming_in_two_loops(isa):
    big = np.float32(1e30)
    a, b = T.fvectors("a", "b")

    def row(a_t, before):
        def cell(b_t, d, u, left):
            return T.sqr(a_t - b_t) + T.minimum(d, T.minimum(u, left))

        cells, _ = symc.scan(cell, [b, before[:-1], before[1:]], T.constant(big))
        return T.concatenate([T.stack([T.constant(big)]), cells])

    first = T.concatenate([T.zeros((1,)), T.zeros((b.shape[0],)) + big])
    with with_width(isa):
        f = symc.function([a, b], symc.scan(row, a, first)[0])
        assert "slice_at" not in loops_of(f)  # parts of the row before are read where they are
        for n, m in [(1, 1), (3, 5), (20, 17), (8, 50)]:
            x, y = (rng.standard_normal(k).astype("float32") for k in (n, m))
            np.testing.assert_allclose(f(x, y)[-1], warped(x, y, lambda p, q: (p - q) ** 2), rtol=1e-5)
        y[3] = np.nan
        np.testing.assert_array_equal(np.isnan(f(x, y)[-1]), np.isnan(warped(x, y, lambda p, q: (p - q) ** 2)))


@pytest.mark.parametrize("isa", WIDTHS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_chains_of_extremes(dtype, isa):
    x = T.matrix("x", dtype)

    def step(x_t, least, most):
        return [T.minimum(x_t[0], T.minimum(least, x_t[1])), T.maximum(T.maximum(most, x_t[2]), x_t[0])]

    with with_width(isa):
        (least, most), _ = symc.scan(step, x, [x[0, 0], x[0, 0]])
        f = symc.function([x], [least, most])
        values = (rng.standard_normal((50, 3)) * 9).astype(dtype)
        for special in (None, 7) if "float" in dtype else (None,):
            if special:
                values[special] = [np.inf, np.nan, -np.inf]
            with np.errstate(invalid="ignore"):
                want = np.minimum.accumulate(np.minimum(values[:, 0], values[:, 1]))
                want = np.minimum(want, values[0, 0])
                high = np.maximum.accumulate(np.maximum(values[:, 2], values[:, 0]))
            got = f(values)
            np.testing.assert_array_equal(got[0], want)
            np.testing.assert_array_equal(got[1], np.maximum(high, values[0, 0]))


def test_late_operands_come_first_and_values_with_other_uses_stay():
    x, y, state = (var(n, "float32") for n in ("x", "y", "s"))
    head = [Load("s", "state0", const(0, "int64"), "float32"), Load("x", "b0", var("t", "int64"), "float32")]
    head += [Load("y", "b1", var("t", "int64"), "float32"), Let("a", call("min", x, state))]
    end = Store("state0", const(0, "int64"), var("b", "float32"))
    *_, a, b, _ = late_operands_last([*head, Let("b", call("min", y, var("a", "float32"))), end], ["state0"])
    assert a.value.same(call("min", x, y)) and b.value.same(call("min", state, var("a", "float32")))
    keeps = [
        *head,
        Let("b", call("min", y, var("a", "float32"))),
        Store("b2", var("t", "int64"), var("a", "float32")),
        end,
    ]
    made = late_operands_last(keeps, ["state0"])
    assert made[3].value.same(call("min", state, x))
    other = late_operands_last([*head, Let("b", call("max", y, var("a", "float32"))), end], ["state0"])
    assert other[4].value.same(call("max", var("a", "float32"), y))


def test_early_products_come_behind_late_ones_that_meet_them():
    """C compilers unite the first of two products with their sum, for which the other one would have to wait."""
    x, state, late, early = (var(n, "float32") for n in ("x", "s", "late", "early"))
    head = [Load("s", "state0", const(0, "int64"), "float32"), Load("x", "b0", var("t", "int64"), "float32")]
    products = [Let("early", call("mul", x, x)), Let("late", call("mul", x, state))]
    end = [Let("b", call("sub", early, late)), Store("state0", const(0, "int64"), var("b", "float32"))]
    made = late_operands_last([*head, *products, *end], ["state0"])
    assert made == [*head, products[1], products[0], *end]
    kept = [*head, *products, Store("b1", var("t", "int64"), early), *end]
    assert late_operands_last(kept, ["state0"]) == kept


def test_steps_read_slices_of_their_state_where_they_use_them():
    """Slices of one row are read with and without their axis of length 1: a step was four kernels."""
    u = T.matrix("u")

    def slope(u):
        return T.stack([10 * (u[1] - u[0]), u[0] * (28 - u[2]) - u[1], u[0] * u[1] - u[2]])

    states, _ = symc.scan(lambda u: u + T.tanh(slope(u + slope(u))) * np.float32(0.1), outputs_info=u, n_steps=7)
    f = symc.function([u], states)
    (loop,) = [n for n in walk(f.specialisation.program.body) if isinstance(n, Loop)]
    assert len([n for n in walk(loop.body) if isinstance(n, Step)]) == 1
    for width in (1, 2, 33):
        v = np.random.default_rng(width).standard_normal((3, width)).astype("float32")
        for got in f(v):
            w = v + np.stack([10 * (v[1] - v[0]), v[0] * (28 - v[2]) - v[1], v[0] * v[1] - v[2]])
            w = np.stack([10 * (w[1] - w[0]), w[0] * (28 - w[2]) - w[1], w[0] * w[1] - w[2]])
            v = v + np.tanh(w) * np.float32(0.1)
            np.testing.assert_allclose(got, v, rtol=2e-4, atol=2e-4)
            v = got


def filtered(x, c):
    """A filter of second order along the first axis."""
    one, two, found = np.zeros_like(x[0]), np.zeros_like(x[0]), np.zeros_like(x)
    for t, row in enumerate(x):
        found[t] = c[0] * row + one
        one, two = c[1] * row - c[3] * found[t] + two, c[2] * row - c[4] * found[t]
    return found


@pytest.mark.parametrize("isa", WIDTHS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("declared", [False, True])
def test_numbers_of_all_steps_are_read_before_the_loop(declared, dtype, isa):
    """Such loads stood in front of the loop over elements: the loop over steps remained one of a kernel per step."""
    for steps, width in [(1, 1), (7, 3), (40, 129), (5, 300), (9, 0)]:
        x = T.TensorType(dtype, (steps, width) if declared else (None, None))("x")
        c = T.TensorType(dtype, (5,) if declared else (None,))("c")

        def step(x_t, one, two, c=c):
            y = c[0] * x_t + one
            return [c[1] * x_t - c[3] * y + two, c[2] * x_t - c[4] * y, y]

        with with_width(isa):
            (_, _, y), _ = symc.scan(step, x, [T.zeros_like(x[0]), T.zeros_like(x[0]), None])
            f = symc.function([x, c], y)
            assert declared and (steps < 5 or width == 0) or "t_step" in loops_of(f) and "for t <" not in loops_of(f)
            xs = rng.standard_normal((steps, width)).astype(dtype)
            cs = np.array([0.2, 0.3, 0.2, -0.5, 0.2], dtype)
            np.testing.assert_allclose(f(xs, cs), filtered(xs, cs), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("isa", WIDTHS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int8"])
def test_values_after_the_steps_are_stored_without_the_first_one(dtype, isa):
    """A trajectory with the first value was stored, and all of it but that copied to the result."""
    x = T.TensorType(dtype, (None, None))("x")
    with with_width(isa):
        s, _ = symc.scan(lambda x_t, s: T.maximum(s - 1, x_t), x, x[0])
        whole = symc.function([x], s)
        both = symc.function([x], [s, s[-1], (s * s).sum()])
        sizes = [b.shape for b in whole.specialisation.program.buffers if b.role == "temp"]
        assert all(len(shape) < 2 or shape[0] == 2 for shape in sizes), sizes
        for steps, width in [(1, 1), (2, 5), (6, 127), (7, 128), (20, 301), (3, 0)]:
            xs = (rng.standard_normal((steps, width)) * 20).astype(dtype)
            now, want = xs[0], []
            for row in xs:
                now = np.maximum(now - np.array(1, dtype), row)
                want.append(now)
            want = np.array(want)
            np.testing.assert_array_equal(whole(xs), want)
            got = both(xs)
            np.testing.assert_array_equal(got[0], want)
            np.testing.assert_array_equal(got[1], want[-1])
            np.testing.assert_allclose(got[2], (want * want).sum(), rtol=1e-4)


def test_gradients_of_stacked_states():
    x, a = T.dmatrix("x"), T.dvector("a")
    s, _ = symc.scan(lambda x_t, s: s + a[0] * (x_t - s) * T.tanh(s), x, x[0])
    cost = (s * s).sum() + s[-1].sum()
    f = symc.function([x, a], [s, *symc.grad(cost, [x, a])])

    def run(x, a):
        now, found = x[0], []
        for row in x:
            now = now + a[0] * (row - now) * np.tanh(now)
            found.append(now)
        return np.array(found)

    def total(x, a):
        found = run(x, a)
        return (found * found).sum() + found[-1].sum()

    for steps, width in [(1, 2), (9, 3), (6, 140)]:
        xs, start = rng.standard_normal((steps, width)), np.array([0.3])
        got = f(xs, start)
        np.testing.assert_allclose(got[0], run(xs, start), rtol=1e-12, atol=1e-14)
        d = rng.standard_normal(xs.shape)
        change = (total(xs + 1e-6 * d, start) - total(xs - 1e-6 * d, start)) / 2e-6
        np.testing.assert_allclose((got[1] * d).sum(), change, rtol=1e-6, atol=1e-7)
        change = (total(xs, start + 1e-6) - total(xs, start - 1e-6)) / 2e-6
        np.testing.assert_allclose(got[2][0], change, rtol=1e-6, atol=1e-7)


def test_threads_share_the_elements_of_a_loop_over_steps():
    x = T.tensor("float32", shape=(250, 500), name="x")
    s, _ = symc.scan(lambda x_t, s: s + 0.1 * (x_t - s), x, x[0])
    assert "parallel for block" in loops_of(symc.function([x], s))


@pytest.mark.parametrize("isa", WIDTHS)
def test_indices_of_all_steps_are_checked_before_the_loop(isa):
    """A check in the step kept a loop of kernels: cells of an alignment that read a table took twice as long."""
    a, b = T.lvectors("a", "b")
    scores = T.fmatrix("scores")

    def row(a_t, before):
        def cell(b_t, d, u, left):
            return T.maximum(T.maximum(u, left) - 2, d + scores[a_t, b_t])

        cells, _ = symc.scan(cell, [b, before[:-1], before[1:]], before[0] - 2)
        return T.concatenate([before[:1] - 2, cells])

    first = -2 * T.cast(T.arange(b.shape[0] + 1), "float32")
    with with_width(isa):
        f = symc.function([a, b, scores], symc.scan(row, a, first)[0])
        assert "t_step" in loops_of(f)
        table = rng.standard_normal((5, 6)).astype("float32")
        for n, m in [(1, 1), (7, 4), (3, 40)]:
            x, y = rng.integers(-5, 5, n), rng.integers(-6, 6, m)
            want = -2 * np.arange(m + 1, dtype="float32")
            for i, got in zip(x, f(x, y, table)):
                now = [want[0] - 2]
                for j, b_t in enumerate(y):
                    now.append(max(max(want[j + 1], now[-1]) - 2, want[j] + table[i, b_t]))
                want = np.array(now, "float32")
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
        assert f(np.zeros(0, "int64"), [9], table).shape == (0, 2)  # no step reads the index
        for x, y in [([0, 5], [1]), ([0], [0, 6]), ([0], [-7])]:
            with pytest.raises(IndexError):
                f(x, y, table)


def test_masked_numbers_need_no_check_as_indices():
    """A byte of a checksum is a position in a table of 256."""
    data, table = T.TensorType("uint8", (None,))("data"), T.TensorType("uint32", (256,))("table")

    def step(byte, c):
        return table[T.cast((c ^ T.cast(byte, "uint32")) & np.uint32(255), "int64")] ^ (c >> np.uint32(8))

    c, _ = symc.scan(step, data, T.constant(np.uint32(0xFFFFFFFF)))
    f = symc.function([data, table], c[-1] ^ np.uint32(0xFFFFFFFF))
    assert "checked_index" not in next(k for k in loops_of(f).split("kernel K") if "t_step" in k)
    numbers = []
    for v in range(256):
        for _ in range(8):
            v = (v >> 1) ^ (0xEDB88320 if v & 1 else 0)
        numbers.append(v)
    text = b"The quick brown fox jumps over the lazy dog"
    assert int(f(np.frombuffer(text, "uint8"), np.array(numbers, "uint32"))) == zlib.crc32(text)


def test_an_index_that_only_a_branch_reads_is_not_checked_before_the_loop():
    idx, v = T.lvector("idx"), T.fvector("v")
    s, _ = symc.scan(lambda i, s: s + symc.ifelse(i < v.shape[0], v[i], np.float32(0)), idx, T.constant(np.float32(0)))
    f = symc.function([idx, v], s)
    np.testing.assert_allclose(f([0, 7, 1], np.float32([1, 2])), [1, 1, 3])
    with pytest.raises(IndexError):
        f([0, -7], np.float32([1, 2]))


def test_index_vectors_of_all_steps_are_not_stored():
    """Positions that every step computes, such as those of a knapsack, became a matrix and took three times as long."""
    weights, values, best = T.lvector("weights"), T.fvector("values"), T.fvector("best")

    def step(w, v, c):
        i = T.arange(c.shape[0]) - w
        return T.maximum(c, T.switch(i >= 0, c[T.maximum(i, 0)] + v, c))

    c, _ = symc.scan(step, [weights, values], best)
    f = symc.function([weights, values, best], c[-1])
    of_steps = set().union(*(dims.symbols_of(f.specialisation.program.buffers[k].shape[0]) for k in (0, 1)))
    for buffer in f.specialisation.program.buffers:
        assert buffer.role != "temp" or all(dims.symbols_of(d).isdisjoint(of_steps) for d in buffer.shape)
    w, v, want = np.array([3, 1, 4]), np.float32([2, 1, 5]), np.zeros(9, "float32")
    got = f(w, v, want)
    for one, gain in zip(w, v):
        want = np.array([max(b, want[k - one] + gain) if k >= one else b for k, b in enumerate(want)])
    np.testing.assert_allclose(got, want)
