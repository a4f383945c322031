"""Large programs: many steps, many kernels, deep graphs. They compile rightly, in time near-linear in their size."""

import gc
import sys
import time

import numpy as np
import pytest

import symc
import symc.tensor as T

pytest.importorskip("cffi")


def test_kernels_that_differ_in_constants_share_a_function():
    x = T.vector("x")
    y = T.vector("y", dtype="float64")
    factors = [0.0, -0.0, 1.5, -2.25, 1e-30, 3e38, 1 / 3, 1e-45]
    outputs = [T.tanh(x * c) * 2 + c for c in factors] + [T.tanh(y * np.float64(c)) - c for c in factors]
    f = symc.function([x, y], outputs)
    assert f.fitting().text.count("KERNEL void k") < len(outputs)
    a = np.linspace(-3, 3, 37)
    for got, c in zip(f(a.astype("float32"), a), [*map(np.float32, factors), *factors]):
        with np.errstate(over="ignore"):
            want = np.tanh(a.astype(got.dtype) * c) * 2 + c if got.dtype == np.float32 else np.tanh(a * c) - c
        np.testing.assert_allclose(got, want, rtol=1e-6 if got.dtype == np.float32 else 1e-13)


def test_kernels_that_differ_in_offsets_share_a_function():
    x = T.vector("x")
    w = T.matrix("w")
    outputs = [x[k] * (k + 1.0) + w[k, -k - 1] for k in range(40)]
    f = symc.function([x, w], outputs)
    assert f.fitting().text.count("KERNEL void k") < 20
    a, b = np.arange(50, dtype="float32"), np.arange(2500, dtype="float32").reshape(50, 50)
    for k, got in enumerate(f(a, b)):
        assert got == a[k] * (k + 1) + b[k, -k - 1]
    with pytest.raises(IndexError, match="20"):
        f(a[:20], b)


def test_a_vector_function_called_many_times():
    x, z = T.vector("x"), T.dvector("z")
    y, v = x, z
    for _ in range(20):
        y, v = T.tanh(y * 1.5 + 0.1), T.arctan2(v, v * v + 0.5)
    f = symc.function([x, z], [y, v])
    text = f.fitting().text
    assert "vo_tanh_f32" in text and "vo_arctan2_f64" in text
    assert "vo_arctan2_f64_pieces(vp_f64 " in text, "a value of two registers is passed as a whole"
    a = np.linspace(-2, 2, 101)
    want, other = a, a
    for _ in range(20):
        want, other = np.tanh(want * 1.5 + 0.1), np.arctan2(other, other * other + 0.5)
    got, second = f(a.astype("float32"), a)
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(second, other, rtol=1e-12)


def test_a_program_of_several_units(monkeypatch):
    """More steps than are written out one by one, and more kernels than one run of the C compiler takes."""
    units = pytest.importorskip("symc_backends.c.units")
    monkeypatch.setattr(units, "LARGE", 20_000)
    x = T.matrix("x")
    y, want = x, np.linspace(-1, 1, 12).reshape(3, 4).astype("float32")
    value = want
    for k in range(420):
        y = T.tanh(y - y.mean(axis=k % 2, keepdims=True)) + 0.01 * (k % 5)
        want = np.tanh(want - want.mean(axis=k % 2, keepdims=True)) + np.float32(0.01 * (k % 5))
    many = [T.exp(x / (2 + k)) if k % 2 else T.sqrt(abs(x)) * sum([x] * (k % 50)) for k in range(120)]
    f = symc.function([x], [y, *many], profile=True)
    text = f.fitting().text
    assert "next unit" in text
    assert "run_steps" in text
    got, *others = f(value)
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=1e-5)
    for k, other in enumerate(others):
        right = np.exp(value / (2 + k)) if k % 2 else np.sqrt(abs(value)) * (value * (k % 50))
        np.testing.assert_allclose(other, right, rtol=2e-5, atol=1e-6)
    assert "tanh" in f.profile.summary()


def test_equal_groups_share_their_kernels():
    x = T.matrix("x")
    weights = [symc.shared(np.eye(6, dtype="float32") * (1 + k / 40)) for k in range(40)]
    h = x
    for w in weights:
        h = T.nnet.softmax(T.dot(h, w) * 0.5)
    gradients = symc.grad(h[:, 0].sum(), weights)
    f = symc.function([x], [h, *gradients])
    fused = [s.kernel for s in f.fitting().program.steps if "exp" in s.kernel.name]
    assert len(fused) >= 40 and len({id(k) for k in fused}) <= 6
    a = np.random.default_rng(0).standard_normal((5, 6)).astype("float32")
    want = a.astype("float64")
    inputs = []
    for w in weights:
        inputs.append(want)
        z = want @ w.get_value().astype("float64") * 0.5
        want = np.exp(z - z.max(1, keepdims=True))
        want /= want.sum(1, keepdims=True)
    got, *grads = f(a)
    np.testing.assert_allclose(got, want, rtol=1e-4)
    step = 1e-3
    w = weights[-1].get_value()
    for i, j in ((0, 0), (3, 2)):
        moved = []
        for sign in (1, -1):
            v = w.astype("float64")
            v[i, j] += sign * step
            z = inputs[-1] @ v * 0.5
            p = np.exp(z - z.max(1, keepdims=True))
            moved.append((p / p.sum(1, keepdims=True))[:, 0].sum())
        np.testing.assert_allclose(grads[-1][i, j], (moved[0] - moved[1]) / (2 * step), rtol=1e-3, atol=1e-6)


def seconds(build, size):
    """The processor's seconds for building, differentiating and compiling a graph without a C compiler.

    Without the garbage collector, which would go through what earlier tests left behind at an unknown moment.
    """
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        inputs, cost, wrt = build(size)
        outputs = [cost] if wrt is None else [cost, *symc.grad(cost, wrt)]
        symc.function(inputs, outputs, device="interp")
        return time.process_time() - start
    finally:
        gc.enable()


def chain(size):
    x = T.vector("x")
    y = x
    for k in range(size // 3):
        y = T.tanh(y * (1.0 + k % 7) + x)
    return [x], y.sum(), [x]


def reductions(size):
    x = T.matrix("x")
    y = x
    for k in range(size // 4):
        y = y - y.mean(axis=k % 2, keepdims=True)
    return [x], y.sum(), [x]


def joins(size):
    x = T.vector("x")
    y = x
    for _ in range(size // 8):
        y = T.concatenate([y[1:], y[:1] * 0.5])
    return [x], y.sum(), [x]


def reshapes(size):
    x = T.tensor3("x")
    y = x
    for _ in range(size // 5):
        y = y.reshape((y.shape[0] * y.shape[1], y.shape[2])).T
        y = y.reshape((x.shape[2], x.shape[0], x.shape[1])).dimshuffle(1, 2, 0)
    return [x], (y * y).sum(), [x]


def parameters(size):
    weights = [symc.shared(np.ones((4, 4), "float32")) for _ in range(size // 8)]
    x = T.matrix("x")
    h = x
    for w in weights:
        h = T.tanh(T.dot(h, w))
    return [x], h.sum(), weights


def one_value_read_often(size):
    x = T.vector("x")
    h = T.exp(x)
    return [x], sum([(h * (k + 1.5)).sum() for k in range(size // 6)], h.sum()), [x]


def inputs(size):
    xs = [T.vector() for _ in range(size // 4)]
    y = xs[0]
    for v in xs[1:]:
        y = y * 0.5 + v
    return xs, y.sum(), xs


@pytest.mark.parametrize(
    "build", [chain, reductions, joins, reshapes, parameters, one_value_read_often, inputs], ids=lambda f: f.__name__
)
def test_compiling_is_near_linear(build):
    seconds(build, 60)
    small, large = min(seconds(build, 300) for _ in range(2)), seconds(build, 1500)
    assert large < 14 * small + 0.1  # five times the size; quadratic growth would be 25


def test_deep_graphs_are_printed_without_recursion():
    x = T.vector("x")
    y = x
    for _ in range(3 * sys.getrecursionlimit()):
        y = T.tanh(y) + x
    text = symc.printing.debugprint(y, file="str")
    assert text.count("tanh") >= 3 * sys.getrecursionlimit()
    assert len(symc.pp(y)) > 3 * sys.getrecursionlimit()
