"""Programs with structure: references, branches, loops, dims known in mid-program, Python in mid-program.

Every test runs on the interpreter, in C and on the emulated GPU.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.loops.ir import Bind, Branch, Host, Loop, Step, walk
from symc.printing import debugprint

f64 = "float64"


@pytest.fixture(params=["interp", "c", "cuda"])
def device(request):
    if request.param == "cuda":
        request.getfixturevalue("emulated_device")
    return request.param


@pytest.fixture(autouse=True)
def _wide():
    with symc.config.change(floatX=f64):
        yield


def nodes(f, kind):
    return [n for n in walk(f.specialisation.program.body) if isinstance(n, kind)]


def close(got, want, rtol=1e-12):
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


def differences(f, arrays, k, step=1e-6):
    """Central differences of the scalar function ``f`` by its argument ``k``."""
    found = np.zeros_like(arrays[k])
    for at in np.ndindex(arrays[k].shape):
        values = []
        for sign in (1, -1):
            moved = [a.copy() for a in arrays]
            moved[k][at] += sign * step
            values.append(f(*moved))
        found[at] = (values[0] - values[1]) / (2 * step)
    return found


# --- references -------------------------------------------------------------------------------------------------------


def test_an_entry_of_a_tensor_is_a_reference(device, rng):
    x, w, k = T.tensor3("x"), T.matrix("w"), T.lscalar("k")
    f = symc.function([x, w, k], T.dot(x[k], w), device=device)
    a, b = rng.random((4, 3, 2)), rng.random((2, 5))
    for j in (0, 3, -1, -4):
        close(f(a, b, j), a[j] @ b)
    for j in (4, -5):
        with pytest.raises(IndexError, match="out of range for axis 0"):
            f(a, b, j)
    (product,) = [s for s in nodes(f, Step) if s.name == "dot"]
    assert any(r.offset != 0 for r in product.refs), "the entry was copied"


def test_a_contiguous_slice_is_a_reference(device, rng):
    x, w = T.matrix("x"), T.matrix("w")
    f = symc.function([x, w], [T.dot(x[1:3], w), T.dot(x[-2:], w), T.dot(x[:, 1:], w[1:])], device=device)
    a, b = rng.random((5, 3)), rng.random((3, 2))
    for got, want in zip(f(a, b), (a[1:3] @ b, a[-2:] @ b, a[:, 1:] @ b[1:])):
        close(got, want)
    slope = symc.function([x, w], T.grad(T.dot(x[1:3], w).sum(), x), device=device)(a, b)
    want = np.zeros_like(a)
    want[1:3] = b.sum(1)
    close(slope, want)


# --- values as dims ---------------------------------------------------------------------------------------------------

V, W, M, N = T.dvector("v"), T.dvector("w"), T.dmatrix("m"), T.iscalar("n")
PAIRS = [
    ("alloc", [V, N], lambda: T.alloc(V, N), lambda v, n: v),
    ("zeros + v", [V, N], lambda: T.zeros((N,), "float64") + V, lambda v, n: v),
    ("v + zeros", [V, N], lambda: V + T.zeros((N,), "float64"), lambda v, n: v),
    ("arange * v", [V, N], lambda: T.arange(N) * V, lambda v, n: np.arange(n) * v),
    ("ones * 2 * v", [V, N], lambda: (T.ones((N,), "float64") * 2) * V, lambda v, n: 2 * v),
    ("v[:n] + w", [V, W, N], lambda: V[:N] + W, lambda v, w, n: v[:n] + w),
    ("w + v[:n]", [V, W, N], lambda: W + V[:N], lambda v, w, n: v[:n] + w),
    ("reshape", [V, M, N], lambda: V.reshape((N, 2)) + M, lambda v, m, n: v.reshape(n, 2) + m),
    ("dot", [M, V, N], lambda: T.dot(M[:, :N], V), lambda m, v, n: m[:, :n] @ v),
    ("minibatch", [M, N], lambda: M[N * 2 : (N + 1) * 2].sum(0), lambda m, n: m[n * 2 : (n + 1) * 2].sum(0)),
]


@pytest.mark.parametrize("name, inputs, build, oracle", PAIRS, ids=[p[0] for p in PAIRS])
def test_a_value_meets_an_axis(device, name, inputs, build, oracle, rng):
    """Compiling ends, the sum is right, and a value that does not fit is refused."""
    f = symc.function(inputs, build(), device=device)
    lengths = {V: 3, W: 3, M: (3, 2)}
    if name == "reshape":
        lengths[V] = 6
    if name == "dot":
        lengths[M], lengths[V] = (2, 4), 3
    if name == "v[:n] + w" or name == "w + v[:n]":
        lengths[V] = 5
    arrays = [rng.random(lengths[v]) for v in inputs[:-1]]
    for n in (1, 0, 2) if name == "minibatch" else (3,):
        close(f(*arrays, n), oracle(*arrays, n))
        close(f(*arrays, n), oracle(*arrays, n))
    if name != "minibatch":
        with pytest.raises(ValueError):
            f(*arrays, 2)
        if "[" not in name and name != "dot":  # where a negative number counts from the end
            with pytest.raises(ValueError):
                f(*arrays, -2)
        close(f(*arrays, 3), oracle(*arrays, 3))


def test_random_numbers_of_a_length_that_a_value_gives(device):
    stream = T.shared_randomstreams.RandomStreams(3)
    f = symc.function([V, N], stream.uniform((N,)) * 0 + V, device=device)
    close(f([1.0, 2, 3], 3), [1, 2, 3])
    with pytest.raises(ValueError):
        f([1.0, 2, 3], 4)


def test_minibatches_by_index_keep_the_fast_path(rng):
    data = symc.shared(rng.random((50, 4)))
    index, x = T.lscalar("index"), T.matrix("x")
    f = symc.function([index], x.sum(), givens={x: data[index * 20 : (index + 1) * 20]})
    values = data.get_value()
    for k in (0, 1, 0, 1, 2, 1):
        close(f(k), values[k * 20 : (k + 1) * 20].sum())
    calls = f.specialisation.fast.call.fast_calls
    for k in (0, 1, 0, 1):
        f(k)
    assert f.specialisation.fast.call.fast_calls >= calls + 3


def test_negative_and_absurd_lengths(device):
    f = symc.function([N], T.zeros((N, 2)), device=device)
    assert f(3).shape == (3, 2) and f(0).shape == (0, 2)
    with pytest.raises(ValueError, match="-2"):
        f(-2)
    assert f(1).shape == (1, 2)


def test_lengths_that_depend_on_lengths(device):
    """The sum of a vector whose length is a value is the length of another one."""
    first = T.arange(N)
    f = symc.function([N, V], T.ones((first.sum(),), f64) + V.sum(), device=device)
    assert f(4, [1.0]).shape == (6,) and f(3, [1.0, 2]).shape == (3,)
    close(f(3, [1.0, 2]), [4, 4, 4])


def test_a_length_that_is_a_value_as_a_number(device):
    """The number is recomputed where it is read, which must not happen before the value is known."""
    a, b, step = T.scalars("a", "b", "step")
    numbers = T.arange(a, b, step)
    f = symc.function([a, b, step], [T.grad(numbers.sum(), a), numbers.shape[0] * 2], device=device)
    for count in (4, 2):
        got = f(0.0, 1.0, 1 / count)
        close(got[0], count)
        close(got[1], 2 * count)


# --- branches ---------------------------------------------------------------------------------------------------------


def test_only_the_branch_that_is_wanted_runs(device):
    ran = []

    @symc.as_op(itypes=[T.dvector], otypes=[T.dvector], infer_shape=lambda node, shapes: shapes)
    def watched(x):
        ran.append(len(x))
        return x * 2

    c, x = T.scalar("c"), T.vector("x")
    f = symc.function([c, x], T.ifelse(c > 0, watched(x).sum(), x.sum()), device=device)
    close(f(-1, [1.0, 2]), 3)
    assert ran == []
    close(f(1, [1.0, 2]), 6)
    assert ran == [2]
    assert len(nodes(f, Branch)) == 1


def test_branches_in_branches_and_what_they_share(device, rng):
    c, d, x = T.scalar("c"), T.scalar("d"), T.vector("x")
    shared = T.exp(x)
    inner = T.ifelse(d > 0, shared.sum(), (x * 3).sum())
    f = symc.function([c, d, x], [T.ifelse(c > 0, inner, T.dot(x, x)), shared.sum()], device=device)
    a = rng.random(4)
    for cv in (-1, 1):
        for dv in (-1, 1):
            want = (np.exp(a).sum() if dv > 0 else 3 * a.sum()) if cv > 0 else a @ a
            got = f(cv, dv, a)
            close(got[0], want)
            close(got[1], np.exp(a).sum())


def test_gradient_of_a_branch(device, rng):
    c, x = T.scalar("c"), T.vector("x")
    cost = T.ifelse(c > 0, T.exp(x).sum(), (x**3).sum())
    slope = T.grad(cost, x)
    second = T.grad((slope * slope).sum(), x)
    f = symc.function([c, x], [cost, slope, second], device=device)
    a = rng.random(3) + 0.5
    for cv, (v, s, ss) in (
        (1, (np.exp(a).sum(), np.exp(a), 2 * np.exp(2 * a))),
        (-1, ((a**3).sum(), 3 * a * a, 36 * a**3)),
    ):
        for got, want in zip(f(cv, a), (v, s, ss)):
            close(got, want)


def test_the_branch_not_taken_makes_no_nan(device):
    c, x = T.scalar("c"), T.vector("x")
    f = symc.function([c, x], T.grad(T.ifelse(c > 0, T.sqrt(x).sum(), x.sum()), x), device=device)
    close(f(-1, [-4.0, 0.0]), [1, 1])


def test_lists_and_mistakes_of_ifelse(device):
    x = T.vector("x")
    f = symc.function([x], T.ifelse(x.sum() > 0, [x * 2, x.sum()], [x, x.max()]), device=device)
    a, b = f([1.0, 2])
    close(a, [2, 4]), close(b, 3)
    a, b = f([-1.0, -2])
    close(a, [-1, -2]), close(b, -1)
    with pytest.raises(ValueError, match="scalar"):
        T.ifelse(x, x, x)
    with pytest.raises(ValueError, match="2 values in one branch"):
        T.ifelse(x.sum(), [x, x], [x])
    with pytest.raises(ValueError, match="axes"):
        T.ifelse(x.sum(), x, x.sum())
    y = T.vector("y")  # values of different lengths
    chosen = T.ifelse(x.sum() > 0, x, y)
    g = symc.function([x, y], [chosen, *T.grad((chosen**2).sum(), [x, y])], device=device)
    for sign in (1, -1):
        given = np.array([1.0, 2], "float32") * sign, np.array([1.0, 2, 3], "float32")
        for got, want in zip(g(*given), (given[sign < 0], 2 * given[0] * (sign > 0), 2 * given[1] * (sign < 0))):
            close(got, want)


# --- loops ------------------------------------------------------------------------------------------------------------


def rnn(x, h, w):
    found = []
    for row in x:
        h = np.tanh(h @ w + row)
        found.append(h)
    return np.array(found).reshape(len(x), *h.shape)


def symbolic_rnn():
    x, h, w = T.matrix("x"), T.vector("h"), T.matrix("w")
    out, updates = T.scan(lambda x, h, w: T.tanh(T.dot(h, w) + x), [x], [h], [w])
    assert updates == {}
    return x, h, w, out


def test_scan(device, rng):
    x, h, w, out = symbolic_rnn()
    f = symc.function([x, h, w], [out, out[-1]], device=device)
    assert len(nodes(f, Loop)) == 1
    start, weights = rng.standard_normal(3), rng.standard_normal((3, 3))
    for steps in (5, 1, 7):
        a = rng.standard_normal((steps, 3))
        want = rnn(a, start, weights)
        got = f(a, start, weights)
        close(got[0], want)
        close(got[1], want[-1])
    assert symc.function([x, h, w], out, device=device)(np.zeros((0, 3)), start, weights).shape == (0, 3)
    with pytest.raises(ValueError):
        f(rng.random((4, 2)), start, weights)


def test_gradients_of_scan(device, rng):
    x, h, w, out = symbolic_rnn()
    cost = (out * out).sum() + (out[-1] ** 3).sum()
    first = T.grad(cost, [x, h, w])
    second = T.grad(sum((g * g).sum() for g in first), [x, h, w])
    f = symc.function([x, h, w], cost, device="c")
    g = symc.function([x, h, w], first, device=device)
    squares = symc.function([x, h, w], sum((g * g).sum() for g in first), device="c")
    gg = symc.function([x, h, w], second, device=device)
    arrays = [rng.standard_normal((4, 2)), rng.standard_normal(2), rng.standard_normal((2, 2))]
    want = rnn(*arrays)
    close(f(*arrays), (want * want).sum() + (want[-1] ** 3).sum())
    for k, (one, two) in enumerate(zip(g(*arrays), gg(*arrays))):
        close(one, differences(f, arrays, k), 1e-7)
        close(two, differences(squares, arrays, k), 1e-5)


def test_scan_without_sequences_and_with_a_number_of_steps(device):
    h, n = T.vector("h"), T.iscalar("n")
    out, _ = T.scan(lambda h: h * 2, outputs_info=[h], n_steps=n)
    f = symc.function([h, n], [out, out[-1]], device=device)
    for steps in (1, 4):
        got = f([1.0, 3.0], steps)
        close(got[0], [[2.0**k, 3 * 2.0**k] for k in range(1, steps + 1)])
        close(got[1], got[0][-1])
    total, _ = T.scan(lambda x: x * x, [T.arange(5)], None)
    close(symc.function([], total.sum(), device=device)(), 30)


def test_scan_backwards_and_outputs_that_are_no_states(device, rng):
    x, h = T.matrix("x"), T.vector("h")
    (states, sums), _ = T.scan(lambda x, h: [h * x, h + x], [x], [h, None], go_backwards=True)
    cost = (states**2).sum() + (sums * T.arange(sums.shape[0]).dimshuffle(0, "x")).sum()
    f = symc.function([x, h], [states, sums, cost], device=device)
    g = symc.function([x, h], T.grad(cost, [x, h]), device=device)
    only = symc.function([x, h], cost, device="c")
    a, s = rng.random((4, 2)) + 0.5, rng.random(2)
    wanted_states, wanted_sums, now = [], [], s
    for row in a[::-1]:
        wanted_sums.append(now + row)
        now = now * row
        wanted_states.append(now)
    got = f(a, s)
    close(got[0], wanted_states)
    close(got[1], wanted_sums)
    for k, slope in enumerate(g(a, s)):
        close(slope, differences(only, [a, s], k), 1e-7)


def test_scan_in_scan(device, rng):
    x = T.matrix("x")

    def row_sum(row):
        out, _ = T.scan(lambda e, s: s * 0.5 + e, [row], [T.constant(0.0, dtype=f64)])
        return out[-1]

    out, _ = T.scan(row_sum, [x], None)
    f = symc.function([x], [out, T.grad(out.sum(), x)], device=device)
    a = rng.random((3, 4))
    weights = 0.5 ** np.arange(3, -1, -1)
    close(f(a)[0], a @ weights)
    close(f(a)[1], np.tile(weights, (3, 1)))
    assert len(nodes(f, Loop)) >= (4 if device == "cuda" else 2)  # on the CPU, the inner loops are parts of kernels


def test_scan_sees_what_lies_outside(device, rng):
    """Variables and shared variables that the step refers to, and a dim of them."""
    w = symc.shared(rng.random(3), "w")
    x, y = T.matrix("x"), T.vector("y")
    out, _ = T.scan(lambda r, s: s + (r * w * y).sum() / y.shape[0], [x], [T.constant(0.0, dtype=f64)])
    f = symc.function([x, y], out, updates={w: w + out[-1]}, device=device)
    a, b, before = rng.random((4, 3)), rng.random(3), w.get_value()
    want = np.cumsum((a * before * b).sum(1) / 3)
    close(f(a, b), want)
    close(w.get_value(), before + want[-1])


def test_a_length_in_a_step_that_an_integer_outside_gives(device, rng):
    """The outputs of the scan have that length as well, whether the step is handed the integer or refers to it."""
    x, n, m = T.vector("x"), T.lscalar("n"), symc.shared(2, "m")
    handed, _ = T.scan(lambda e, k: T.ones((k,), f64) * e, [x], None, [n])
    seen, _ = T.scan(lambda e: T.arange(m) * e, [x], None)
    f = symc.function([x, n], [handed, seen.sum(), handed.shape], device=device)
    a = rng.random(3)
    for count in (2, 4):
        m.set_value(count + 1)
        got = f(a, count)
        close(got[0], np.repeat(a[:, None], count, 1))
        close(got[1], a.sum() * count * (count + 1) / 2)
        assert got[2].tolist() == [3, count]


def test_a_negative_number_of_steps_runs_backwards_or_is_refused_at_the_call():
    x, n = T.dvector("x"), T.lscalar("n")
    h = T.constant(np.float64(0))
    back, _ = T.scan(lambda e, h: 2 * h + e, [x], [h], n_steps=-2)
    close(symc.function([x], back)([5.0, 1, 2, 3]), [3, 8])
    some, _ = T.scan(lambda h: h + 1, outputs_info=[h], n_steps=n)
    f = symc.function([n], some)
    close(f(2), [1, 2])
    assert f(0).shape == (0,)
    with pytest.raises(IndexError, match="n_steps must not be negative"):
        f(-1)


def test_a_length_that_the_step_computes_is_the_same_in_all_steps():
    n = T.lscalar("n")
    (_, rows), _ = T.scan(lambda k: [k * 1, T.ones((k,), f64)], None, [n, None], n_steps=3)
    assert symc.function([n], rows)(2).shape == (3, 2)
    (_, rows), _ = T.scan(lambda k: [k + 1, T.ones((k,), f64)], None, [n, None], n_steps=3)
    with pytest.raises(ValueError, match="an output of the step has another length in a later step"):
        symc.function([n], rows)(2)


def test_what_nobody_reads_of_a_scan_is_not_computed(device, rng):
    x, h = T.matrix("x"), T.vector("h")
    (states, sums), _ = T.scan(lambda x, h: [h * x, T.exp(h) + x], [x], [h, None])
    f = symc.function([x, h], states, device=device)
    assert not any("exp" in s.name for s in nodes(f, Step))
    a, s = rng.random((3, 2)), rng.random(2)
    close(f(a, s), np.cumprod(a, 0) * s)
    only = symc.function([x, h], sums, device=device)
    close(only(a, s), np.exp(np.vstack([s, np.cumprod(a, 0)[:-1] * s])) + a)
    assert any(b.shape == (2, 2) or len(b.shape) == 2 and b.shape[0] == 2 for b in only.specialisation.program.buffers)


def test_mistakes_of_scan():
    x, h = T.matrix("x"), T.vector("h")
    with pytest.raises(ValueError, match="number of steps"):
        T.scan(lambda h: h, None, [h])
    with pytest.raises(ValueError, match="state 0"):
        T.scan(lambda r, h: h.sum(), [x], [h])
    with pytest.raises(TypeError, match="state 0 begins as"):
        T.scan(lambda r, h: h * 1.5, [x], [T.ivector("i")])
    with pytest.raises(ValueError, match="outputs_info has 1"):
        T.scan(lambda r, h: [h, r], [x], [h])
    with pytest.raises(ValueError, match="scalar"):
        T.scan(lambda r: r, [T.scalar("s")], None)
    y = T.matrix("y")
    out, _ = T.scan(lambda a, b: a + b, [x, y], None, n_steps=3)
    f = symc.function([x, y], out)
    with pytest.raises(ValueError):
        f(np.ones((2, 3)), np.ones((3, 3)))


# --- lengths that the values decide -----------------------------------------------------------------------------------

MASKS = [np.array([1.0, 0, 2, 0, -3]), np.zeros(4), np.ones(3), np.zeros(0)]


def test_places_that_are_not_zero(device):
    x = T.vector("x")
    f = symc.function([x], [*T.nonzero(x), T.nonzero_values(x) * 2, T.flatnonzero(x > 0).shape[0]], device=device)
    for mask in MASKS:
        places, values, count = f(mask)
        np.testing.assert_array_equal(places, np.flatnonzero(mask))
        close(values, 2 * mask[mask != 0])
        assert count == (mask > 0).sum()
    assert all(b.bound is not None for b in nodes(f, Bind)), "memory can be laid out beforehand"


def test_what_is_selected_meets_other_tensors(device):
    x, y = T.vector("x"), T.vector("y")
    picked = T.nonzero_values(x)
    total = symc.shared(np.zeros(3))
    f = symc.function([x, y], (picked * y).sum(), updates={total: total + picked}, device=device)
    close(f([1, 0, 2, 3.0], [1, 1, 2.0]), 9)
    close(total.get_value(), [1, 2, 3])
    for wrong in ([1, 0, 2, 0.0], [1, 1, 1, 1.0]):
        with pytest.raises(ValueError):
            f(wrong, [1, 1, 2.0])
    close(total.get_value(), [1, 2, 3])
    slope = symc.function([x], T.grad((T.nonzero_values(x) ** 2).sum(), x), device=device)
    close(slope([1, 0, 2.0]), [2, 0, 4])


# --- several outputs, errors that name the matrix --------------------------------------------------------------------


def test_cholesky_in_mid_program(device, rng):
    a = T.matrix("covariance")
    l = T.cholesky(a * 2)
    log_det = 2 * T.log(l.diagonal() if hasattr(l, "diagonal") else T.diag(l)).sum()
    w = symc.shared(np.zeros(()))
    f = symc.function([a], [l, log_det, T.grad(log_det, a)], updates={w: w + log_det}, device=device)
    m = rng.random((3, 3))
    m = m @ m.T + np.eye(3)
    got = f(m)
    close(got[0], np.linalg.cholesky(2 * m), 1e-10)
    close(got[1], np.linalg.slogdet(2 * m)[1], 1e-10)
    inverse = np.linalg.inv(m)  # whose upper triangle counts for the lower one, which alone is read
    close(got[2], np.tril(inverse) + np.tril(inverse, -1), 1e-9)
    before = w.get_value()
    with pytest.raises(np.linalg.LinAlgError, match=r"cholesky.*\n.*mul.*\n.*test_structure"):
        f(-m)
    with pytest.raises(ValueError):
        f(np.ones((2, 3)))
    close(w.get_value(), before)
    assert len(nodes(f, Host)) >= 1


def test_singular_values(device, rng):
    a = T.matrix("a")
    u, s, vt = T.svd(a, full_matrices=False)
    f = symc.function([a], [u, s, vt, T.grad((s * s).sum(), a), T.grad(s[0], a)], device=device)
    for shape in ((4, 3), (2, 4)):
        m = rng.random(shape)
        gu, gs, gvt, g2, g1 = f(m)
        close((gu * gs) @ gvt, m, 1e-10)
        close(gs, np.linalg.svd(m)[1], 1e-10)
        close(g2, 2 * m, 1e-9)
        close(np.abs(g1), np.abs(np.outer(gu[:, 0], gvt[0])), 1e-9)


# --- a user's op ------------------------------------------------------------------------------------------------------


class Clipped(symc.PythonOp):
    """The elements of a vector between two bounds, with what is outside left out."""

    __props__ = ("low", "high")

    def __init__(self, low, high):
        self.low, self.high = low, high

    def make_node(self, x):
        x = T.as_tensor(x)
        return symc.Apply(self, [x], [x.type()])

    def perform(self, node, inputs, output_storage):
        (x,) = inputs
        output_storage[0][0] = x[(x >= self.low) & (x <= self.high)]

    def grad(self, inputs, output_gradients):
        (x,) = inputs
        return [T.switch((x >= self.low) & (x <= self.high), output_gradients[0].sum(), 0)]


def test_a_users_op_in_mid_program(device):
    x = T.vector("x")
    f = symc.function([x], Clipped(0, 1)(x * 2) + 1, device=device)
    close(f([0.1, 3.0, 0.5]), [1.2, 2])
    close(f([0.1]), [1.2])
    assert f([7.0]).shape == (0,)
    assert Clipped(0, 1) == Clipped(0, 1) != Clipped(0, 2)
    slope = symc.function([x], T.grad(Clipped(0, 1)(x).sum(), x), device=device)
    close(slope([0.1, 3.0, 0.5]), [2, 0, 2])


def test_what_a_users_op_raises_reaches_the_caller(device):
    @symc.as_op(itypes=[T.dvector], otypes=[T.dvector], infer_shape=lambda node, shapes: shapes)
    def picky(x):
        if x[0] < 0:
            raise KeyError("negative")
        return x if x[0] < 10 else x[:1]

    x, w = T.vector("x"), symc.shared(np.zeros(2))
    f = symc.function([x], picky(x + 1), updates={w: w + x}, device=device)
    close(f([1.0, 2]), [2, 3])
    with pytest.raises(KeyError, match="picky|python_step"):
        f([-5.0, 2])
    with pytest.raises(ValueError, match="shape"):
        f([50.0, 2])
    close(w.get_value(), [1, 2])


def test_python_inside_a_loop(device):
    @symc.as_op(itypes=[T.dvector], otypes=[T.dvector], infer_shape=lambda node, shapes: shapes)
    def halved(x):
        return x / 2

    x, h = T.matrix("x"), T.vector("h")
    out, _ = T.scan(lambda r, h: halved(h) + r, [x], [h])
    close(symc.function([x, h], out[-1], device=device)(np.ones((3, 2)), [8.0, 0]), [2.75, 1.75])


# --- running sums, ops from graphs ------------------------------------------------------------------------------------


def test_running_sums(device, rng):
    x = T.tensor3("x")
    a = rng.random((2, 3, 4))
    weights = T.arange(24).reshape((2, 3, 4))
    for axis in (0, 1, -1, None):
        total = T.cumsum(x, axis)
        slope = T.grad((total * weights.reshape(total.shape)).sum(), x)
        got = symc.function([x], [total, slope], device=device)(a)
        close(got[0], np.cumsum(a, axis))
        back = np.arange(24.0).reshape(got[0].shape)
        where = 0 if axis is None else axis
        close(got[1], np.flip(np.cumsum(np.flip(back, where), where), where).reshape(a.shape))


def test_an_op_from_a_graph(device):
    x, y = T.scalar("x"), T.scalar("y")
    op = symc.OpFromGraph([x, y], [x * y + T.exp(x)], name="energy")
    a, b = T.scalar("a"), T.scalar("b")
    made = op(a, b) + op(b, a)
    f = symc.function([a, b], [made, *T.grad(made, [a, b])], device=device)
    close(f(1.0, 2.0), [4 + np.exp(1) + np.exp(2), 4 + np.exp(1), 2 + np.exp(2)])
    loud = symc.OpFromGraph([x], [x * x], grad_overrides=lambda inputs, gs: [gs[0] * 100])
    close(symc.function([a], T.grad(loud(a), a) + a, device=device)(3.0), 103)
    with pytest.raises(ValueError, match="not among the inputs"):
        symc.OpFromGraph([x], [x * y])
    with pytest.raises(TypeError, match="takes 2 inputs"):
        op(a)


# --- failing calls, many threads --------------------------------------------------------------------------------------


def test_a_call_that_fails_changes_nothing(device):
    w, u = symc.shared(np.zeros(3), "w"), symc.shared(np.zeros(()), "u")
    x, i = T.vector("x"), T.lscalar("i")
    f = symc.function([x, i], x * 2, updates=[(w, w + x), (u, u + x[i])], device=device)
    for k in (0, 2, 0):
        f([1.0, 2, 3], k)
    before = w.get_value(), u.get_value()
    for _ in range(3):
        with pytest.raises(IndexError):
            f([1.0, 2, 3], 3)
    close(w.get_value(), before[0])
    close(u.get_value(), before[1])


def test_a_loop_that_may_fail_runs_before_values_are_overwritten():
    """Although the new value was written first: then it is computed in place."""
    x, w = T.vector("x"), symc.shared(np.zeros(3))
    places = T.lvector("places")
    new = w + 1
    sums, _ = symc.scan(lambda k, s: s + x[k], [places], [T.constant(np.float64(0))])
    f = symc.function([x, places], sums[-1], updates={w: new})
    program = f.specialisation.program
    assert [program.buffers[b.alias].role for b in program.buffers if b.role == "update"] == ["shared"]
    assert f(np.arange(4.0), [1, 3]) == 4
    with pytest.raises(IndexError):
        f(np.arange(4.0), [1, 4])
    close(w.get_value(), np.ones(3))


@pytest.mark.parametrize("size", [3, 300_000])
def test_threads_lose_no_updates(size):
    """Small updates are written back, large ones swapped; readers see whole values."""
    total = symc.shared(np.zeros(size), "total")
    before = symc.shared(np.zeros(size), "before")
    x = T.scalar("x")
    add = symc.function([x], total.sum() * 0, updates=[(total, total + x), (before, total)])
    read = symc.function([], [total.max(), total.min()])
    torn, rounds = [], 40

    def work():
        for _ in range(rounds):
            add(1.0)
            high, low = read()
            if high != low:
                torn.append((high, low))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    close(total.get_value(), np.full(size, 8.0 * rounds))
    close(before.get_value(), np.full(size, 8.0 * rounds - 1))
    assert not torn


# --- what is told of such programs -----------------------------------------------------------------------------------


def test_the_tree_is_printed(capsys):
    x, h, w, out = symbolic_rnn()
    c = T.scalar("c")
    f = symc.function([c, x, h, w], T.ifelse(c > 0, out.sum(), T.nonzero_values(x).sum()))
    debugprint(f, stage="loops")
    text = capsys.readouterr().out
    assert "for t < x0" in text and "if B" in text and "else" in text and "at most" in text
    assert text.index("if B") < text.index("for t <")


def test_memory_and_profile_of_a_loop(rng):
    x, h, w, out = symbolic_rnn()
    f = symc.function([x, h, w], out, profile=True)
    estimate = symc.memory_estimate(f, [(100, 3), (3,), (3, 3)])
    assert estimate.parts["temporaries"] >= 101 * 3 * 8
    f(rng.random((100, 3)), rng.random(3), rng.random((3, 3)))
    rows = {row.kernel: row for row in f.profile.rows}
    assert rows["dot"].flops == 100 * 2 * 9
    n = T.iscalar("n")
    g = symc.function([n], T.zeros((n, 10), f64) + 1)
    assert symc.memory_estimate(g, [7]).parts["results"] == 7 * 10 * 8


@pytest.mark.parametrize("device", ["interp", "c"])
def test_what_two_lazy_values_need_is_not_computed_where_neither_is_selected(device):
    """Such as the values in a branch, which its gradient reads as well."""
    a, c, i, x = T.dmatrix("a"), T.lscalar("c"), T.lscalar("i"), T.dscalar("x")
    element = T.ifelse(c > 1, x, a[i, i] ** 2)
    factor = T.ifelse(c > 1, x * x, T.log(T.cholesky(a)).trace())
    outputs = [element, factor, *symc.grad(element * factor, [a, x])]
    f = symc.function([a, c, i, x], outputs, device=device)
    skipped = f(-np.eye(2), 2, 5, 3.0)
    for got, want in zip(skipped, [3, 9, np.zeros((2, 2)), 27], strict=True):
        close(got, np.asarray(want, float))
    m = np.array([[4.0, 0], [0, 9]])
    taken = f(m, 0, 1, 3.0)
    close(taken[0], np.asarray(81.0))
    assert np.isfinite(taken[1]) and taken[2][1, 1] != 0 and taken[3] == 0
    with pytest.raises(IndexError):
        f(m, 0, 2, 3.0)
    with pytest.raises(np.linalg.LinAlgError):
        f(-m, 0, 1, 3.0)


def test_what_both_branches_need_is_computed_once():
    calls = []

    @symc.as_op(itypes=[T.dvector], otypes=[T.dvector])
    def counted(v):
        calls.append(1)
        return v + 1

    c, v = T.lscalar("c"), T.dvector("v")
    w = counted(v)
    f = symc.function([c, v], [T.ifelse(c > 0, w * 2, w * 3), T.ifelse(c > 5, w, v)])
    for value, want, more in ((1, 2, [0.0, 1]), (0, 3, [0.0, 1]), (6, 2, [1.0, 2])):
        calls.clear()
        got = f(value, [0.0, 1.0])
        assert len(calls) == 1
        close(got[0], np.array([1.0, 2]) * want)
        close(got[1], np.array(more))
