"""Programs that are trees, on the emulated GPU: loops, branches, dims bound to values, Python in between.

Programs made by hand from nodes of the loop IR run in the interpreter as well, against the same NumPy.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from cuda_emulator import emulator

import symc
import symc.tensor as T
from symc.errors import GuardError
from symc.graph import dims
from symc.loops.check import check
from symc.loops.expr import ZERO, call, const, index, var
from symc.loops.ir import (
    Bind,
    Branch,
    Buffer,
    Call,
    Check,
    For,
    Host,
    If,
    Kernel,
    Load,
    Loop,
    Program,
    Ref,
    Step,
    Store,
)

pytestmark = pytest.mark.usefixtures("emulated_device")

F, L, B = "float32", "int64", "bool"


# --- kernels and programs by hand -------------------------------------------------------------------------------------


def kernel(name, dtypes, writes, count, body):
    return Kernel(name, dtypes, frozenset(writes), count, tuple(body), index(0), index(0))


def over(body):
    """A loop over ``n0`` elements."""
    return [For("i", var("n0"), tuple(body), "simd")]


def affine(a, b):
    """``b1 = a * b0 + b``"""
    x = var("x", F)
    y = call("add", call("mul", x, const(a, F)), const(b, F))
    return kernel("affine", (F, F), [1], 1, over([Load("x", "b0", var("i"), F), Store("b1", var("i"), y)]))


def blend(a):
    """``b2 = a * b0 + b1``"""
    y = call("add", call("mul", var("x", F), const(a, F)), var("y", F))
    loads = [Load("x", "b0", var("i"), F), Load("y", "b1", var("i"), F)]
    return kernel("blend", (F, F, F), [2], 1, over([*loads, Store("b2", var("i"), y)]))


def above(limit):
    """Is the element greater than ``limit``?"""
    test = call("gt", var("x", F), const(limit, F))
    return kernel("above", (F, B), [1], 0, [Load("x", "b0", ZERO, F), Store("b1", ZERO, test)])


def whole():
    """A whole number from a float."""
    from symc.loops.expr import cast

    return kernel("whole", (F, L), [1], 0, [Load("x", "b0", ZERO, F), Store("b1", ZERO, cast(var("x", F), L))])


def pick(code):
    """``b1 = b0[b2]``, with status ``code`` where that is out of range."""
    at = var("at", L)
    outside = call("or", call("lt", at, index(0)), call("ge", at, var("n0")))
    inside = call("and", call("ge", at, index(0)), call("lt", at, var("n0")))
    body = [
        Load("at", "b2", ZERO, L),
        If(outside, (Store("b3", ZERO, index(code)),)),
        If(inside, (Load("x", "b0", at, F), Store("b1", ZERO, var("x", F)))),
    ]
    return kernel("pick", (F, F, L, L), [1, 3], 1, body)


def dim(name):
    return dims.new_symbol(name)


@dataclass
class Made:
    """A program and what is needed to call it."""

    program: Program
    device: str
    timed: bool = False
    provided: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self):
        from symc.runtime.backend import load_backend

        check(self.program)
        _, backend = load_backend(self.device)
        self.space = backend.space() if self.device == "cuda" else symc.runtime.storage.HOST
        text = backend.emit(self.program)
        self.executable = backend.run(backend.build(text), self.program, self.timed)

    def __call__(self, given, *values):
        """Status, values of all symbols, and the results by number; arrays among ``given`` are overwritten in place."""
        from symc_backends.cuda.arrays import upload

        arrays = [None] * len(self.program.buffers)
        there = {}
        for k, array in given.items():
            arrays[k] = array
            if self.program.buffers[k].role == "shared" and self.device == "cuda":
                with self.space.device as d:
                    arrays[k] = there[k] = upload(d, array)
        self.provided = {}

        def provide(k, shape):
            self.provided[k] = self.space.empty(shape, self.program.buffers[k].dtype)
            return self.provided[k]

        try:
            status, found = self.executable(arrays, list(values), provide)
        finally:
            for k, array in there.items():
                given[k][...] = array.download()
        return status, list(found), {k: np.asarray(a) for k, a in self.provided.items()}


def made(device, buffers, symbols, body, given=None, timed=False, updated=(), messages=9):
    count = len(symbols) if given is None else given
    texts = [f"message {k}" for k in range(1, messages + 1)]
    return Made(Program("made", buffers, tuple(symbols), tuple(body), texts, {}, count, updated), device, timed)


@pytest.fixture(params=["interp", "cuda"])
def device(request):
    return request.param


def temp(name, shape, first=0, last=99, dtype=F, **more):
    return Buffer(name, dtype, shape, "temp", first=first, last=last, **more)


STATUS = Buffer("status", L, (1,), "status")


def trajectory(device, timed=False):
    """``y[0] = s``, ``y[t + 1] = y[t] / 2 + x[t]``: sequences and state are read and written where they lie."""
    n, m, t = dim("n"), dim("m"), dim("t")
    buffers = [
        Buffer("x", F, (n, m), "input"),
        Buffer("s", F, (m,), "input", slot=1),
        Buffer("y", F, (dims.add(n, 1), m), "output"),
    ]
    row = dims.mul(t, m)
    refs = (Ref(2, row), Ref(0, row), Ref(2, dims.add(row, m)))
    body = [
        Step(affine(1, 0), (Ref(1), Ref(2)), (m,)),
        Loop(t, n, (Step(blend(0.5), refs, (m,)),)),
    ]
    return made(device, buffers, [n, m, t], body, given=2, timed=timed)


def unrolled(x, s):
    rows = [s]
    for row in x:
        rows.append(rows[-1] / 2 + row)
    return np.stack(rows)


@pytest.mark.parametrize("shape", [(5, 3), (4, 8), (1, 1), (0, 4), (7, 129)])
def test_a_loop_carries_state_from_row_to_row(device, shape, rng):
    """Rows of 3 elements begin where no pack of 16 bytes is aligned."""
    f = trajectory(device)
    x, s = rng.random(shape, dtype=F), rng.random(shape[1], dtype=F)
    for _ in range(4):
        status, values, results = f({0: x, 1: s}, *shape)
        assert status == 0 and values[:2] == list(shape)
        np.testing.assert_allclose(results[2], unrolled(x, s), rtol=1e-6)


def test_a_loop_is_recorded_whole(rng):
    f, driver = trajectory("cuda"), emulator.device()
    x, s = rng.random((6, 5), dtype=F), rng.random(5, dtype=F)
    from symc_backends.cuda.arrays import upload

    with f.space.device as d:
        given = {0: upload(d, x), 1: upload(d, s)}
    for k in range(5):
        launches, replays = driver.emulator_launches(), driver.emulator_replays()
        f.provided.clear()
        *_, results = f(given, 6, 5)
        np.testing.assert_allclose(results[2], unrolled(x, s), rtol=1e-6)
        if k > 2:
            assert driver.emulator_replays() - replays == 1
        assert driver.emulator_launches() - launches == 7


def test_dims_that_depend_on_the_iteration(device):
    """Row ``t`` gets its first ``t + 1`` elements; there are more rows than combinations of dims are kept for."""
    n, t = dim("n"), dim("t")
    buffers = [Buffer("x", F, (n,), "input"), Buffer("y", F, (n, n), "output")]
    body = [
        Step(kernel("zeros", (F,), [0], 1, over([Store("b0", var("i"), const(0, F))])), (Ref(1),), (dims.mul(n, n),)),
        Loop(t, n, (Step(affine(2, 1), (Ref(0), Ref(1, dims.mul(t, n))), (dims.add(t, 1),)),)),
    ]
    f = made(device, buffers, [n, t], body, given=1)
    for size in (3, 140):
        x = np.arange(size, dtype=F)
        for _ in range(2):
            status, _, results = f({0: x}, size)
            assert status == 0
            np.testing.assert_array_equal(results[1], np.tril(np.tile(2 * x + 1, (size, 1))))


def test_loops_inside_loops_and_their_counts(device):
    """The inner loop runs as often as the outer index says; ``done`` is there behind each loop."""
    n, t, u, done, total = (dim(name) for name in ("n", "t", "u", "done", "total"))
    add = kernel("count", (F, F), [1], 0, [
        Load("x", "b0", ZERO, F), Load("y", "b1", ZERO, F),
        Store("b1", ZERO, call("add", var("x", F), var("y", F))),
    ])  # fmt: skip
    buffers = [Buffer("x", F, (1,), "input"), Buffer("y", F, (dims.add(n, 1),), "output")]
    zero = kernel("zeros", (F,), [0], 1, over([Store("b0", var("i"), const(0, F))]))
    inner = Loop(u, t, (Step(add, (Ref(0), Ref(1)), ()),), done=done)
    body = [
        Step(zero, (Ref(1),), (dims.add(n, 1),)),
        Loop(t, n, (inner, Step(add, (Ref(0), Ref(1, dims.add(done, 1))), ())), done=total),
        Step(add, (Ref(0), Ref(1, total)), ()),
    ]
    f = made(device, buffers, [n, t, u, done, total], body, given=1)
    for _ in range(4):
        status, values, results = f({0: np.ones(1, F)}, 5)
        assert status == 0 and values[3:] == [4, 5]
        np.testing.assert_array_equal(results[1], [10, 1, 1, 1, 1, 2])


@pytest.mark.parametrize("start", [1, 3, 40, 1000])
def test_a_loop_runs_until_something_is_true(device, start):
    """Doubling until the value is above 100; the result is as long as the loop was."""
    n, t, done = dim("n"), dim("t"), dim("done")
    buffers = [
        Buffer("x", F, (1,), "input"),
        Buffer("y", F, (done,), "output", room=n),
        temp("last", (1,)),
        temp("over", (1,), dtype=B),
    ]
    loop = Loop(
        t,
        n,
        (
            Step(affine(2, 0), (Ref(2), Ref(2)), (1,)),
            Step(affine(1, 0), (Ref(2), Ref(1, t)), (1,)),
            Step(above(100), (Ref(2), Ref(3)), ()),
        ),
        until=Ref(3),
        done=done,
    )
    body = [
        Step(affine(1, 0), (Ref(0), Ref(2)), (1,)),
        loop,
        Step(affine(1, 0.5), (Ref(1), Ref(1)), (done,)),
    ]
    f = made(device, buffers, [n, t, done], body, given=1)
    want, value = [], start
    while len(want) < 10 and value <= 100 or not want:
        value *= 2
        want.append(value + 0.5)
    for _ in range(3):
        status, values, results = f({0: np.full(1, start, F)}, 10)
        assert status == 0 and values[2] == len(want)
        np.testing.assert_array_equal(results[1][: len(want)], want)
        if device == "cuda":
            part = f.space.part(f.provided[1], (len(want),))
            assert part.shape == (len(want),) and part.pointer != f.provided[1].pointer
            np.testing.assert_array_equal(part, want)


def test_a_branch_both_ways_inside_a_loop(device):
    n, t = dim("n"), dim("t")
    buffers = [Buffer("x", F, (n,), "input"), Buffer("y", F, (n,), "output"), temp("big", (1,), dtype=B)]
    choice = Branch(
        Ref(2),
        (Step(affine(10, 0), (Ref(0, t), Ref(1, t)), (1,)),),
        (Step(affine(-1, 0), (Ref(0, t), Ref(1, t)), (1,)),),
    )
    f = made(device, buffers, [n, t], [Loop(t, n, (Step(above(2), (Ref(0, t), Ref(2)), ()), choice))], given=1)
    x = np.array([1, 5, 2, 3, 0], F)
    for _ in range(3):
        status, _, results = f({0: x}, 5)
        assert status == 0
        np.testing.assert_array_equal(results[1], np.where(x > 2, 10 * x, -x))


def segmented(device):
    """``k`` is read from what a kernel computed; a temporary and the result get their sizes in mid-program."""
    n, k = dim("n"), dim("k")
    buffers = [
        Buffer("x", F, (n,), "input"),
        Buffer("y", F, (k,), "output", segment=1),
        temp("twice", (n,)),
        temp("number", (1,), dtype=L),
        temp("more", (k,), segment=1),
    ]
    body = [
        Step(affine(2, 0), (Ref(0), Ref(2)), (n,)),
        Step(whole(), (Ref(2), Ref(3)), ()),
        Bind(k, Ref(3), L),
        Step(affine(1, 1), (Ref(2, 1), Ref(4)), (k,)),
        Step(affine(1, 1), (Ref(4), Ref(1)), (k,)),
    ]
    return made(device, buffers, [n, k], body, given=1)


def test_memory_is_laid_out_once_a_value_is_known(device):
    f = segmented(device)
    for k in (2, 5, 2, 0, 7, 2, 2):
        x = np.arange(10, dtype=F)
        x[0] = k / 2
        status, values, results = f({0: x}, 10)
        assert status == 0 and values == [10, k]
        np.testing.assert_array_equal(results[1], 2 * x[1 : k + 1] + 2)


def test_a_negative_size_ends_the_call(device):
    f = segmented(device)
    status, values, results = f({0: np.full(10, -1, F)}, 10)
    assert status == -4 - 1 and values == [10, -2] and not results


def test_estimates_count_every_segment():
    from symc_backends.cuda.footprint import footprint

    f = segmented("cuda")
    found = footprint(f.executable, [1000, 300])
    assert list(found.blocks) == [4032 + 64, 1216] and found.arena == sum(found.blocks) and not found.scratch


def hosted(device, callback, timed=False):
    """Kernel, Python, kernel."""
    n = dim("n")
    buffers = [
        Buffer("x", F, (n,), "input"),
        Buffer("y", F, (n,), "output"),
        temp("twice", (n,)),
        temp("sorted", (dims.add(n, 1),)),
    ]
    refs = (Ref(3, 1), Ref(2), Ref(0, 1))
    shapes = ((n,), (n,), (dims.sub(n, 1),))
    body = [
        Step(affine(2, 0), (Ref(0), Ref(2)), (n,)),
        Host("sort", callback, refs, 1, shapes, (F, F, F)),
        Step(affine(1, 1), (Ref(3, 1), Ref(1)), (n,)),
    ]
    return made(device, buffers, [n], body, timed=timed)


def test_python_in_the_middle(device):
    seen = []

    def callback(outputs, inputs):
        assert not inputs[0].flags.writeable and not inputs[1].flags.writeable
        seen.append([a.shape for a in (*outputs, *inputs)])
        outputs[0][...] = np.sort(inputs[0])
        outputs[0][-1] += inputs[1].sum()

    f = hosted(device, callback)
    x = np.array([3, 1, 2, 5], F)
    for _ in range(3):
        status, _, results = f({0: x}, 4)
        assert status == 0
        np.testing.assert_array_equal(results[1], [3, 5, 7, 11 + 8])
    assert seen == [[(4,), (4,), (3,)]] * 3


def test_what_python_raises_reaches_the_caller(device):
    def callback(outputs, inputs):
        raise KeyError("not today")

    f = hosted(device, callback)
    for _ in range(2):
        with pytest.raises(KeyError, match="not today"):
            f({0: np.ones(4, F)}, 4)


def test_python_may_use_the_gpu_itself():
    """The function called in the middle, and one called by another thread, use the memory that functions share."""
    x = T.vector("x")
    g = symc.function(
        [x], (T.dot(T.tanh(x * 2).reshape((1, -1)), T.exp(x).reshape((-1, 1))) * 3 + x).sum(), device="cuda"
    )
    alone = g(np.ones(2000))
    found = []

    def callback(outputs, inputs):
        found.append(g(np.ones(2000)))
        other = threading.Thread(target=lambda: found.append(g(np.ones(2000))))
        other.start()
        other.join(60)
        assert not other.is_alive()
        outputs[0][...] = inputs[0]

    f = hosted("cuda", callback)
    *_, results = f({0: np.arange(9, dtype=F)}, 9)
    np.testing.assert_array_equal(results[1], 2 * np.arange(9) + 1)
    assert found == [alone, alone]


def test_steps_inside_loops_are_timed():
    f = trajectory("cuda", timed=True)
    assert len(f.executable.times) == 2
    f({0: np.ones((600, 3), F), 1: np.ones(3, F)}, 600, 3)
    assert (f.executable.times > 0).all()
    g = hosted("cuda", lambda outputs, inputs: outputs[0].fill(1), timed=True)
    g({0: np.ones(3, F)}, 3)
    assert (g.executable.times > 0).all() and len(g.executable.times) == 3


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_the_first_trouble_is_told(device):
    """What a failing step should have computed is the index of the next one, and is bound to a symbol."""
    n, k = dim("n"), dim("k")
    buffers = [
        Buffer("x", F, (n,), "input"),
        Buffer("at", L, (1,), "input", slot=1),
        Buffer("y", F, (1,), "output"),
        temp("found", (1,)),
        temp("number", (1,), dtype=L),
        STATUS,
    ]
    body = [
        Step(pick(3), (Ref(0), Ref(3), Ref(1), Ref(5)), (n,)),
        Step(whole(), (Ref(3), Ref(4)), ()),
        Step(pick(4), (Ref(0), Ref(2), Ref(4), Ref(5)), (n,)),
        Bind(k, Ref(4), L, dims.mul(n, 1000)),
        Check(k, n, 5, least=True),
    ]
    f = made(device, buffers, [n, k], body, given=1)
    x = np.array([2, 50, 7, 1], F)
    for at, want in [(9, 3), (1, 4), (-1, 3), (0, 5), (9, 3)]:
        status, _, _ = f({0: x, 1: np.array([at])}, 4)
        assert status == want


def test_a_library_does_not_write_after_an_index_error(device, rng):
    """The product goes over the shared matrix, in a loop whose body may fail, too."""
    n, t = dim("n"), dim("t")
    gemm = kernel("gemm", (F, F, F), [0], 1, [
        Call("gemm_f32", ("b0", "b1", "b2"), (ZERO, ZERO, *[var("n0")] * 6, index(1))),
    ])  # fmt: skip
    buffers = [
        Buffer("a", F, (n, n), "input"),
        Buffer("at", L, (1,), "input", slot=1),
        Buffer("w", F, (n, n), "shared"),
        Buffer("y", F, (1,), "output"),
        Buffer("new", F, (n, n), "update", slot=1, alias=2),
        STATUS,
    ]
    picked = Step(pick(7), (Ref(0), Ref(3), Ref(1), Ref(5)), (dims.mul(n, n),))
    product = Step(gemm, (Ref(4), Ref(0), Ref(0)), (n,))
    a = rng.random((5, 5), dtype=F)
    for body in ([picked, product], [Loop(t, 3, (picked,)), product], [picked, Loop(t, 1, (product,))]):
        f = made(device, buffers, [n, t], body, given=1, updated=(2,))
        for at in (3, 25, 24, 99):
            w = np.ones((5, 5), F)
            status, _, results = f({0: a, 1: np.array([at]), 2: w}, 5)
            assert status == (0 if at < 25 else 7)
            np.testing.assert_allclose(w, 1 + a @ a if at < 25 else np.ones((5, 5)), rtol=1e-5)
            if at < 25:
                assert results[3][0] == a.reshape(-1)[at]


# --- through the public API -------------------------------------------------------------------------------------------


def on_gpu(inputs, outputs=None, **options):
    return symc.function(inputs, outputs, device="cuda", **options)


def test_lengths_that_are_values(rng):
    x, v, n = T.matrix("x"), T.scalar("v"), T.lscalar("n")
    f = on_gpu([x, v, n], [x[:n] * 2, T.alloc(v, n, 2), x[n:].sum(0), T.arange(n) + 1])
    a = rng.random((7, 3), dtype=F)
    for k in (0, 3, 7, 3):
        front, filled, rest, count = f(a, 1.5, k)
        np.testing.assert_array_equal(front, a[:k] * 2)
        np.testing.assert_array_equal(filled, np.full((k, 2), 1.5))
        np.testing.assert_allclose(rest, a[k:].sum(0), rtol=1e-6)
        np.testing.assert_array_equal(count, np.arange(k) + 1)
    with pytest.raises(GuardError, match="cannot be negative"):
        f(a, 1.5, -2)


def test_minibatches_of_shared_data(rng):
    """Batches of 5 rows of 3: they begin anywhere, also where 16 bytes do not."""
    data, target = rng.random((23, 3), dtype=F), rng.random((23, 2), dtype=F)
    x, y = symc.shared(data, "x"), symc.shared(target, "y")
    i, n = T.lscalar("i"), 5
    w = symc.shared(np.zeros((3, 2), F), "w")
    batch = slice(i * n, (i + 1) * n)
    cost = ((T.dot(x[batch], w) - y[batch]) ** 2).mean()
    train = on_gpu([i], cost, updates={w: w - 0.1 * T.grad(cost, w)})
    weights = np.zeros((3, 2))
    for k in [0, 1, 2, 3, 4] * 3:
        rows, want = data[k * n : (k + 1) * n], target[k * n : (k + 1) * n]
        error = rows @ weights - want
        np.testing.assert_allclose(train(k), (error**2).mean(), rtol=1e-4)
        weights -= 0.1 * 2 * rows.T @ error / error.size
    np.testing.assert_allclose(w.get_value(), weights, rtol=1e-4)


def test_arguments_are_read_on_the_host(monkeypatch, rng):
    """A call that slices by an argument waits for nothing until its result is read."""
    from symc_backends.cuda.device import Device

    x, i = symc.shared(rng.random((20, 3), dtype=F)), T.lscalar("i")
    f = on_gpu([i], symc.Out((x[i * 4 : (i + 1) * 4] * 2).sum(0), borrow=True))
    f(0)
    waits = []
    monkeypatch.setattr(Device, "fetch_all", lambda self, wanted: waits.append(wanted))
    kept = f(2)
    assert not waits
    monkeypatch.undo()
    np.testing.assert_allclose(kept, 2 * x.get_value()[8:12].sum(0), rtol=1e-6)


def test_convolutions_of_parts_of_shared_data(rng):
    """An image of 49 elements begins where cuDNN's alignment is not kept: our own kernels do those."""
    data, filters = rng.random((9, 1, 7, 7), dtype=F), rng.random((2, 1, 3, 3), dtype=F)
    x, w, i = symc.shared(data), symc.shared(filters), T.lscalar("i")
    out = T.nnet.conv2d(x[i : i + 2], w)
    f, g = (symc.function([i], out, device=d) for d in ("cuda", "c"))
    for k in (0, 1, 2, 4, 3, 7):
        np.testing.assert_allclose(f(k), g(k), rtol=1e-5)
    straight = [s for group in f.specialisation.executable.straights for s in group]
    by = {task.bound.by for s in straight for p in s._prepared.values() for task in p.tasks if hasattr(task, "bound")}
    assert by == {"cudnn", "own"}


def test_guards_on_values(rng):
    x, y, n = T.vector("x"), T.vector("y"), T.lscalar("n")
    w = symc.shared(np.zeros(3, F))
    f = on_gpu([x, y, n], x + y[:n], updates={w: w + 1})
    a = rng.random(3, dtype=F)
    np.testing.assert_allclose(f(a, np.ones(5), 3), a + 1)
    with pytest.raises(GuardError, match="test_cuda_trees.py"):
        f(a, np.ones(5), 4)
    np.testing.assert_array_equal(w.get_value(), [1, 1, 1])
    np.testing.assert_allclose(f(a, np.ones(5), 3), a + 1)


def test_failing_indices_leave_updates_as_they_were(rng):
    """The update is a library's product; the first of two wrong indices is the one that is named."""
    x, i = T.matrix("x"), T.lvector("i")
    w = symc.shared(np.eye(4, dtype=F), "w")
    order = T.lvector("order")
    first = order[i]
    f = on_gpu([x, i, order], x[first], updates={w: T.dot(w, w) + 1})
    a = rng.random((6, 4), dtype=F)
    state = np.eye(4)
    for k in range(4):
        np.testing.assert_array_equal(f(a, [0, 2], [5, 0, 1]), a[[5, 1]])
        state = state @ state + 1
        np.testing.assert_allclose(w.get_value(), state, rtol=1e-5)
        with pytest.raises(IndexError, match=r"first = order\[i\]"):
            f(a, [0, 3 + k], [5, 0, 1])
        with pytest.raises(IndexError, match=r"x\[first\]"):
            f(a, [0, 2], [5, 0, 6 + k])
        np.testing.assert_allclose(w.get_value(), state, rtol=1e-5)


def test_places_whose_number_only_values_decide(rng):
    x = T.matrix("x")
    f = on_gpu([x], [*T.nonzero(x), T.flatnonzero(x > 0.5)])
    for k in range(3):
        a = rng.random((5, 7), dtype=F) * (rng.random((5, 7)) < k / 2)
        rows, columns, flat = f(a)
        np.testing.assert_array_equal([rows, columns], np.nonzero(a))
        np.testing.assert_array_equal(flat, np.flatnonzero(a > 0.5))


def test_a_scan_and_its_gradient(rng):
    """Rows of 3 elements; a product in the body; carried state of which only the last value is wanted."""
    x, h, w = T.matrix("x"), T.vector("h"), T.matrix("w")
    states, _ = symc.scan(lambda x, h: T.tanh(T.dot(h, w) + x), [x], [h])
    total = (states[-1] ** 2).sum()
    f = on_gpu([x, h, w], [states, T.grad(total, w), T.grad(total, h)])
    values = [rng.random((6, 3)), rng.random(3), rng.random((3, 3)) - 0.5]

    def run(x, h, w):
        found = []
        for row in x:
            h = np.tanh(h @ w + row)
            found.append(h)
        return np.stack(found)

    for _ in range(3):
        got, by_w, by_h = f(*[v.astype(F) for v in values])
        np.testing.assert_allclose(got, run(*values), rtol=1e-5)
    for which, slope in ((2, by_w), (1, by_h)):
        for place in np.ndindex(values[which].shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [v.copy() for v in values]
                moved[which][place] += step
                ends.append((run(*moved)[-1] ** 2).sum())
            np.testing.assert_allclose(slope[place], (ends[0] - ends[1]) / 2e-5, rtol=1e-3, atol=1e-5)


def test_lengths_that_every_iteration_decides(rng):
    """Memory inside the loop is made when the value is known, and the loop ends with the error of a wrong index."""
    x, lengths = T.vector("x"), T.lvector("lengths")
    sums, _ = symc.scan(lambda k: (T.arange(k) * T.arange(k)).sum() + x[k], [lengths], [None])
    w = symc.shared(np.zeros(2, F))
    f = on_gpu([x, lengths], sums, updates={w: w + 1})
    a = rng.random(9, dtype=F)
    for given in ([2, 0, 8, 3], [8], [1, 5]):
        want = [(np.arange(k) ** 2).sum() + a[k] for k in given]
        np.testing.assert_allclose(f(a, given), want, rtol=1e-6)
    with pytest.raises(IndexError, match="out of range"):
        f(a, [2, 9, 1])
    np.testing.assert_array_equal(w.get_value(), [3, 3])


def test_ifelse_computes_one_side(rng):
    """The other side holds a wrong index."""
    c, x, i = T.iscalar("c"), T.matrix("x"), T.lvector("i")
    f = on_gpu([c, x, i], symc.ifelse(T.neq(c, 0), T.exp(x).sum(0), x[i].sum(0)))
    a = rng.random((4, 3), dtype=F)
    for _ in range(3):
        np.testing.assert_allclose(f(1, a, [9]), np.exp(a).sum(0), rtol=1e-5)
        np.testing.assert_allclose(f(0, a, [3, 3]), 2 * a[3], rtol=1e-6)
    with pytest.raises(IndexError):
        f(0, a, [9])


def test_ops_in_python(rng):
    """Between kernels; once the shape is known beforehand, once it follows from what Python gives."""

    class Unique(symc.PythonOp):
        def make_node(self, x):
            return symc.Apply(self, [x], [x.type()])

        def perform(self, node, inputs, output_storage):
            if inputs[0].size == 7:
                raise LookupError("seven")
            output_storage[0][0] = np.unique(inputs[0])

    class Sort(Unique):
        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = np.sort(inputs[0])

        def infer_shape(self, node, shapes):
            return shapes

    x = T.vector("x")
    w = symc.shared(np.zeros(2, F))
    f = on_gpu([x], [Unique()(T.floor(x * 3)) + 1, Sort()(x * 2) * 3], updates={w: w + 1})
    for size in (5, 20, 0, 20):
        a = rng.random(size, dtype=F)
        different, ordered = f(a)
        np.testing.assert_array_equal(different, np.unique(np.floor(a * 3)) + 1)
        np.testing.assert_allclose(ordered, np.sort(a) * 6, rtol=1e-6)
    with pytest.raises(LookupError, match="seven"):
        f(np.ones(7))
    np.testing.assert_array_equal(w.get_value(), [4, 4])
