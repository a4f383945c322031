"""Loops over steps in one kernel: several taps, operands that a step waits for, slices that inner loops read."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.compiler.lowering.late_operands import late_operands_last
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
