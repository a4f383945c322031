"""Loops over independent rows: threads run them on rows of their own, if and only if the rows are independent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy

import symc
import symc.tensor as T
from symc.compiler.lowering.row_forms import Access, row_form
from symc.compiler.lowering.row_loops import by_rows, is_inside, offset_in
from symc.graph import dims
from symc.loops.expr import const, index, minimum, var
from symc.loops.ir import Accumulate, Alloc, Buffer, Call, For, Kernel, Let, Load, Loop, Program, Ref, Step, Store, walk
from symc.printing.stages import state_after
from symc_backends.c.build import runtime

HIDDEN = 8


@pytest.fixture(autouse=True)
def _wide() -> Any:
    with symc.config.change(floatX="float64"):
        yield


def program_of(f: Any) -> Program:
    found = state_after(f, "lower_loops").program
    assert found is not None
    return found


def loops(f: Any, program: Program | None = None) -> list[Loop]:
    return [node for node in walk((program or program_of(f)).body) if isinstance(node, Loop)]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


class Net:
    """A GRU with a mask, in symc and as a NumPy loop with its gradient."""

    def __init__(self, dtype: str, batch: int | None = None) -> None:
        rng = np.random.default_rng(3)
        self.u, self.v, self.b = (
            rng.normal(0, 0.4, s).astype(dtype) for s in ((HIDDEN, 2 * HIDDEN), (HIDDEN, HIDDEN), (3 * HIDDEN,))
        )
        self.x = T.TensorType(dtype, (None, batch, 3 * HIDDEN))("x")
        self.mask = T.TensorType(dtype, (None, batch))("mask")
        weights = [symc.shared(w) for w in (self.u, self.v, self.b)]
        u, v, b = weights

        def step(x: Any, m: Any, h: Any) -> Any:
            z = x + b
            gates = T.nnet.sigmoid(z[:, : 2 * HIDDEN] + T.dot(h, u))
            r, k = gates[:, :HIDDEN], gates[:, HIDDEN:]
            new = T.tanh(z[:, 2 * HIDDEN :] + r * T.dot(h, v))
            return m.dimshuffle(0, "x") * ((1 - k) * new + k * h) + (1 - m.dimshuffle(0, "x")) * h

        start = T.zeros((self.x.shape[1], HIDDEN), dtype=dtype)
        self.h, _ = symc.scan(step, [self.x, self.mask], start)
        self.grads = symc.grad((self.h**2).sum(), [*weights, self.x])

    def numpy(self, x: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
        u, v, b = (w.astype("float64") for w in (self.u, self.v, self.b))
        x, mask = x.astype("float64") + b, mask.astype("float64")[:, :, None]
        h, kept = np.zeros((x.shape[1], HIDDEN)), []
        for t in range(len(x)):
            gates = sigmoid(x[t, :, : 2 * HIDDEN] + h @ u)
            r, k, hv = gates[:, :HIDDEN], gates[:, HIDDEN:], h @ v
            new = np.tanh(x[t, :, 2 * HIDDEN :] + r * hv)
            kept.append((h, r, k, hv, new))
            h = mask[t] * ((1 - k) * new + k * h) + (1 - mask[t]) * h
        hs = np.array([*(s[0] for s in kept[1:]), h]) if len(x) else np.zeros((0, x.shape[1], HIDDEN))
        gu, gv, gx, g = np.zeros_like(u), np.zeros_like(v), np.zeros_like(x), np.zeros_like(h)
        for t in range(len(x) - 1, -1, -1):
            before, r, k, hv, new = kept[t]
            g = g + 2 * hs[t]
            inner = mask[t] * g
            slope = inner * (1 - k) * (1 - new**2)
            gates = np.concatenate([slope * hv * r * (1 - r), inner * (before - new) * k * (1 - k)], axis=1)
            gx[t] = np.concatenate([gates, slope], axis=1)
            gu += before.T @ gates
            gv += before.T @ (slope * r)
            g = inner * k + (1 - mask[t]) * g + gates @ u.T + (slope * r) @ v.T
        return [hs, gu, gv, gx.sum((0, 1)), gx]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", ["interp", "c"])
def test_values_and_gradients_of_a_masked_network(device, dtype):
    net = Net(dtype)
    with symc.config.change(device=device):
        f = symc.function([net.x, net.mask], [net.h, *net.grads])
    found = loops(f)
    assert found and all(loop.rows is not None for loop in found)
    sizes = [(3, 5)] if device == "interp" else [(60, 16), (60, 9), (60, 7), (60, 1), (1, 16), (0, 4), (3, 2)]
    rng = np.random.default_rng(4)
    for steps, batch in sizes:
        x = rng.normal(0, 1, (steps, batch, 3 * HIDDEN)).astype(dtype)
        mask = (rng.random((steps, batch)) < 0.7).astype(dtype)
        with threads(3):
            got = f(x, mask)
        tolerance = 2e-4 if dtype == "float32" else 1e-9
        for a, b in zip(got, net.numpy(x, mask)):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, abs(b).max(initial=0)))


class threads:
    """A number of threads for the run-time library."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __enter__(self) -> None:
        self.before = runtime().symc_num_threads()
        runtime().symc_set_num_threads(self.number)

    def __exit__(self, *problem: Any) -> None:
        runtime().symc_set_num_threads(self.before)


def test_a_batch_of_known_size():
    net = Net("float64", batch=12)
    f = symc.function([net.x, net.mask], [net.h, *net.grads])
    assert all(loop.rows is not None and loop.rows.count == 12 for loop in loops(f))
    rng = np.random.default_rng(5)
    x, mask = rng.normal(0, 1, (70, 12, 3 * HIDDEN)), (rng.random((70, 12)) < 0.7).astype("float64")
    with threads(3):
        got = f(x, mask)
    for a, b in zip(got, net.numpy(x, mask)):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_any_number_of_threads_gives_the_same_result():
    net = Net("float32")
    f = symc.function([net.x, net.mask], net.h)
    x = np.random.default_rng(6).normal(0, 1, (80, 37, 3 * HIDDEN)).astype("float32")
    results = []
    for number in (1, 2, 3, 5, 9, 16):
        with threads(number):
            results.append(f(x, np.ones((80, 37), "float32")))
    for other in results[1:]:
        np.testing.assert_allclose(results[0], other, rtol=1e-5, atol=1e-6)


MIXED = {
    "mean of the batch": (lambda h, m: T.tanh(h - h.mean(0)), lambda h, m: np.tanh(h - h.mean(0))),
    "rows in reverse": (lambda h, m: T.tanh(h[::-1] + 0.1), lambda h, m: np.tanh(h[::-1] + 0.1)),
    "the row before": (lambda h, m: T.tanh(T.roll(h, 1, axis=0) * 0.9), lambda h, m: np.tanh(np.roll(h, 1, 0) * 0.9)),
    "a product from the left": (lambda h, m: T.tanh(T.dot(m, h)), lambda h, m: np.tanh(m @ h)),
    "a product with itself": (lambda h, m: T.tanh(T.dot(T.dot(h, h.T), h)), lambda h, m: np.tanh(h @ h.T @ h)),
    "the number of the row": (
        lambda h, m: T.tanh(h + T.arange(h.shape[0]).dimshuffle(0, "x") * 0.1),
        lambda h, m: np.tanh(h + np.arange(len(h))[:, None] * 0.1),
    ),
    "the first row": (lambda h, m: T.tanh(h + h[0] * 0.5), lambda h, m: np.tanh(h + h[0] * 0.5)),
    "a softmax over rows": (
        lambda h, m: T.nnet.softmax(h.T).T * 3 + T.dot(m, h) * 0.1,
        lambda h, m: np.exp(h) / np.exp(h).sum(0) * 3 + m @ h * 0.1,
    ),
}


@pytest.mark.parametrize("name", MIXED)
def test_rows_that_depend_on_other_rows_stay_together(name):
    ours, theirs = MIXED[name]
    m = np.random.default_rng(1).normal(0, 0.2, (40, 40))
    h, w = T.dmatrix("h"), np.random.default_rng(2).normal(0, 0.3, (24, 24))

    def step(now: Any) -> Any:
        return T.dot(ours(now, symc.shared(m)), symc.shared(w))

    out, _ = symc.scan(step, outputs_info=h, n_steps=30)
    f = symc.function([h], out)
    start = np.random.default_rng(3).normal(0, 1, (40, 24))
    with threads(4):
        got = f(start)
    now, want = start, []
    for _ in range(30):
        now = theirs(now, m) @ w
        want.append(now)
    np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-9)


def test_values_of_a_row_alone_are_by_rows():
    """A softmax over columns, a lookup in a table, a sum over columns: each row needs only itself."""
    rng = np.random.default_rng(2)
    w, table = rng.normal(0, 0.5, (6, 6)).astype("float32"), rng.normal(0, 1, (5, 6)).astype("float32")
    x, h = T.imatrix("x"), T.fmatrix("h")

    def step(i: Any, h: Any) -> Any:
        return T.nnet.softmax(T.dot(h, symc.shared(w)) + symc.shared(table)[i] + h.sum(1, keepdims=True))

    out, _ = symc.scan(step, x, h)
    f = symc.function([x, h], out)
    ids, now = rng.integers(0, 5, (200, 11)).astype("int32"), rng.normal(0, 1, (11, 6)).astype("float32")
    with threads(2):
        got = f(ids, now)
    want = []
    for i in ids:
        z = now @ w + table[i] + now.sum(1, keepdims=True)
        e = np.exp(z - z.max(1, keepdims=True))
        now = e / e.sum(1, keepdims=True)
        want.append(now)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_loops_inside_loops():
    """A loop that runs once per step of another, as with the steps of a solver in a network."""
    rng = np.random.default_rng(7)
    w = rng.normal(0, 0.4, (6, 6))
    x, h = T.dtensor3("x"), T.dmatrix("h")

    def outer(x_t: Any, h: Any) -> Any:
        inner, _ = symc.scan(lambda s: T.tanh(T.dot(s, symc.shared(w)) + x_t), outputs_info=h, n_steps=30)
        return inner[-1]

    out, _ = symc.scan(outer, x, h)
    f = symc.function([x, h], [out, symc.grad(out.sum(), h)])
    assert any(loop.rows is not None for loop in loops(f))
    xs, start = rng.normal(0, 1, (4, 17, 6)), rng.normal(0, 1, (17, 6))
    with threads(3):
        got, slope = f(xs, start)
    now, want, history = start, [], []
    for x_t in xs:
        for _ in range(30):
            now = np.tanh(now @ w + x_t)
            history.append(now)
        want.append(now)
    g = np.zeros_like(start)
    for k in range(len(history) - 1, -1, -1):
        g = ((g + (1.0 if (k + 1) % 30 == 0 else 0.0)) * (1 - history[k] ** 2)) @ w.T
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(slope, g, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backwards", [False, True])
def test_sums_over_rows_in_the_gradient_leave_the_loop(backwards):
    """The gradients of peepholes: sums over rows and steps of values that are stored anyway."""
    rng = np.random.default_rng(9)
    u, p, q = rng.normal(0, 0.5, (3, 6)), rng.normal(0, 0.5, 3), rng.normal(0, 0.5, 3)
    weights = [symc.shared(v) for v in (u, p, q)]
    x, h, c = T.dtensor3("x"), T.dmatrix("h"), T.dmatrix("c")

    def step(x: Any, h: Any, c: Any) -> Any:
        z = x + T.dot(h, weights[0])
        c = c * T.nnet.sigmoid(z[:, :3] + c * weights[1]) + 0.5
        return T.tanh(z[:, 3:] + c * weights[2]), c

    (out, _), _ = symc.scan(step, x, [h, c], go_backwards=backwards)
    f = symc.function([x, h, c], [(out**2).sum(), *symc.grad((out**2).sum(), weights)])
    assert len(loops(f)) == 2 and all(loop.rows is not None for loop in loops(f))

    def numpy(u: np.ndarray, p: np.ndarray, q: np.ndarray, xs: np.ndarray, h: np.ndarray, c: np.ndarray) -> float:
        total = 0.0
        for x in xs[::-1] if backwards else xs:
            z = x + h @ u
            c = c * sigmoid(z[:, :3] + c * p) + 0.5
            h = np.tanh(z[:, 3:] + c * q)
            total += (h**2).sum()
        return total

    for steps, batch in ((6, 5), (5, 1), (0, 2)):
        given = rng.normal(0, 1, (steps, batch, 6)), rng.normal(0, 1, (batch, 3)), rng.normal(0, 1, (batch, 3))
        cost, *slopes = f(*given)
        np.testing.assert_allclose(cost, numpy(u, p, q, *given), rtol=1e-12)
        for k, slope in enumerate(slopes):
            for at in np.ndindex(slope.shape):
                values = []
                for sign in (1, -1):
                    moved = [v.copy() for v in (u, p, q)]
                    moved[k][at] += sign * 1e-6
                    values.append(numpy(*moved, *given))
                np.testing.assert_allclose(slope[at], (values[0] - values[1]) / 2e-6, rtol=1e-5, atol=1e-7)


def test_no_two_values_of_a_step_share_memory():
    """While one thread is in one step of the body, another may be in any other."""
    net = Net("float32")
    f = symc.function([net.x, net.mask], net.grads)
    program = program_of(f)
    number = {id(step): k for k, step in enumerate(program.steps)}
    for loop in loops(f, program):
        steps = [number[id(node)] for node in loop.body]
        inside = {k for node in loop.body for k in node.buffers if program.buffers[k].role == "temp"}
        for k in inside:
            b = program.buffers[k]
            if b.alias < 0:
                assert b.first <= steps[0] and b.last >= steps[-1], b.name


def test_ranges():
    """Never less than four rows, and one range where there is little to do or far too much for one thread's cache."""
    with threads(4):
        ranges = runtime().symc_row_ranges
        assert ranges(64, 1000, 1 << 16) == 4
        assert ranges(11, 1000, 1 << 16) == 2
        assert ranges(7, 1000, 1 << 16) == 1
        assert ranges(64, 1, 1000) == 1
        assert ranges(64, 1000, 1 << 40) == 1
        assert ranges(0, 1000, 0) == 1


# --- kernels ----------------------------------------------------------------------------------------------------------

N, O, I = var("n0"), var("o"), var("i")


def kernel(*body: Any, buffers: int = 2, dims: int = 1) -> Kernel:
    return Kernel("test", ("float32",) * buffers, frozenset([buffers - 1]), dims, body, index(0), index(0))


def copied(at: Any, to: Any) -> tuple[Any, Any]:
    return Load("x", "b0", at, "float32"), Store("b1", to, var("x", "float32"))


def test_the_rows_of_a_nest():
    form = row_form(kernel(For("o", N, (For("i", index(5), copied(O * 10 + I + 3, O * 5 + I), "simd"),), "parallel")))
    assert form is not None and form.extent is N
    assert [(a.stride, a.low, a.high) for _, a in sorted(form.access.items())] == [(10, 3, 7), (5, 0, 4)]
    assert form.resized.dims == 2 and form.resized.body[0].extent.value == "n1"


def test_the_rows_of_blocks():
    def blocks(at: Any, extent: Any = None) -> Kernel:
        inner = For("i", minimum(N - O * 8, index(8)) if extent is None else extent, copied(at, at), "simd")
        return kernel(For("o", (N + 7) // 8, (inner,), "parallel"))

    form = row_form(blocks(O * 8 + I))
    assert form is not None and {a.stride for a in form.access.values()} == {1}
    assert row_form(blocks(O * 7 + I)) is None and row_form(blocks(I)) is None
    assert row_form(blocks(O * 8 + I, minimum(N - O * 4, index(8)))) is None


@pytest.mark.parametrize(
    "body",
    [
        copied(O * N, O),  # the distance of two rows is unknown
        copied(O * O, O),
        (Let("v", O + 1), Store("b1", O, const(1, "float32"))),
        (Load("x", "b0", O, "float32"), Load("y", "b0", O * 2, "float32"), Store("b1", O, var("y", "float32"))),
        (For("j", O, copied(var("j"), O)),),
    ],
    ids=["unknown", "square", "let", "two distances", "triangle"],
)
def test_other_nests_have_no_rows(body):
    found = row_form(kernel(For("o", N, body, "parallel")))
    assert found is None or len(body) == 2 and found.access[1].stride == 1  # an unused name is harmless


def test_values_that_depend_on_the_number_of_the_row():
    body = (Let("v", O + 1), Store("b1", O, var("v"))), (Store("b1", O, O),)
    for statements in body:
        assert row_form(Kernel("test", ("int64", "int64"), frozenset([1]), 1, (For("o", N, statements, "parallel"),),
                               index(0), index(0))) is None  # fmt: skip


def test_sums_over_rows_have_no_rows():
    """Neither if every row then reads the sum."""
    total = (Alloc("acc", "float32", index(1)), Store("acc", index(0), const(0, "float32")))
    adding = For(
        "o", N, (Load("x", "b0", O, "float32"), Accumulate("acc", index(0), var("x", "float32"), "add")), "simd"
    )
    after = (Load("y", "acc", index(0), "float32"), Store("b1", index(0), var("y", "float32")))
    assert row_form(kernel(*total, adding, *after)) is None
    every = For("p", N, (after[0], Store("b1", var("p"), var("y", "float32"))), "simd")
    assert row_form(kernel(*total, adding, every)) is None


def test_products_have_rows_unless_the_left_factor_is_transposed():
    def product(transposed: int) -> Kernel:
        sizes = [index(v) for v in (transposed, 0)] + [N] + [index(v) for v in (6, 4, 4, 6, 6, 0)]
        return kernel(Call("gemm_f32", ("b2", "b0", "b1"), tuple(sizes)), buffers=3)

    form = row_form(product(0))
    assert form is not None
    assert [(a.stride, a.high) for _, a in sorted(form.access.items())] == [(4, 3), (0, None), (6, 5)]
    assert row_form(product(1)) is None


def test_what_lies_within_a_row():
    n, t = dims.new_symbol("n"), dims.new_symbol("t")
    step = 6 * n
    for offset, start in (
        (0, 0), (4, 4), (step * t + 4, 4), (step * sympy.floor(t / 2) - step, 0), (n * t, None), (t, None),
    ):  # fmt: skip
        assert offset_in(offset, step) == start, offset
    assert offset_in(25 * 3 + 7, 25) == 7 and offset_in(24 * t + 30, 24) == 6 and offset_in(36 * t, 24) is None
    assert is_inside(Access(1, 0, 3), 3, 6, step * t, n) and is_inside(Access(1, 0, 3), 3, 6, 0, 5)
    assert not is_inside(Access(1, 0, 3), 4, 6, step * t, n)  # its last three are in the next row
    assert not is_inside(Access(1, 0, 3), 3, 6, 1, n) and not is_inside(Access(1, -1, 3), 1, 6, 0, n)
    assert not is_inside(Access(1, None, None), 1, 6, 0, n)


@pytest.mark.parametrize(("read", "independent"), [(5, True), (10, False)])
def test_rows_are_equally_far_apart_in_all_steps(read, independent):
    """Row r of a buffer in rows of ten is what rows 2 r and 2 r + 1 wrote of one in rows of five."""
    n = dims.new_symbol("n")

    def step(source: int, stride: int, to: int) -> Step:
        inner = For("i", index(5), copied(O * stride + I, O * 5 + I), "simd")
        return Step(kernel(For("o", N, (inner,), "parallel")), (Ref(source), Ref(to)), (n,))

    buffers = [Buffer(name, "float32", (n, 10), "temp") for name in "abc"]
    loop = Loop(dims.new_symbol("t"), 7, (step(0, 5, 1), step(1, read, 2)))
    assert (by_rows(loop, buffers) is not None) == independent


def test_steps_of_a_program_are_bound_to_their_rows():
    net = Net("float32")
    f = symc.function([net.x, net.mask], net.h)
    (loop,) = loops(f)
    assert loop.rows is not None
    for step in loop.body:
        assert isinstance(step, Step)
        assert any(loop.rows.first in getattr(r.offset, "free_symbols", ()) for r in step.refs)
