"""Accuracy of sums: along every axis, fused with other ops, on every back end.

The oracle is NumPy in float64 (or closed forms): a float32 sum that adds its terms one by one is off by far more than
what is allowed here.
"""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T

LONG = 1_000_003
TENTH = float(np.float32(0.1))


def off(found, wanted):
    """The largest relative error."""
    found = np.asarray(found, "float64")
    return float(np.max(np.abs(found - wanted) / np.abs(wanted)))


@pytest.fixture(scope="module")
def means():
    """A function of a 3-d array that gives its means over every choice of axes."""
    x = T.tensor3("x")
    axes = [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)]
    return axes, symc.function([x], [x.mean(axis=a) for a in axes])


@pytest.mark.parametrize(
    "shape",
    [(LONG, 3, 1), (3, LONG, 1), (3, 1, LONG), (1, 1, LONG), (LONG, 1, 2), (2, LONG, 2), (5, 1001, 201)],
    ids=str,
)
def test_means_of_a_constant(means, shape):
    axes, f = means
    for axis, found in zip(axes, f(np.full(shape, 0.1, "float32"))):
        assert off(found, TENTH) < 1e-6, axis


def test_the_mean_of_five_million_rows():
    x = T.matrix("x")
    f = symc.function([x], [x.mean(axis=0), x.mean(), x.T.mean(axis=1), (2 * x).sum(axis=0)])
    rows = 5_000_000
    first, whole, turned, doubled = f(np.full((rows, 3), 0.1, "float32"))
    assert off(first, TENTH) < 1e-6 and off(whole, TENTH) < 1e-6 and off(turned, TENTH) < 1e-6
    assert off(doubled, 2 * rows * TENTH) < 1e-6


def test_known_shapes():
    """Shapes that are known when the code is made, so that blocks of terms have known lengths."""
    x = T.TensorType("float32", (70_001, 2, 3))("x")
    y = T.TensorType("float32", (2, 70_001, 33))("y")
    f = symc.function([x, y], [x.mean(axis=0), x.mean(axis=(0, 2)), y.mean(axis=(1, 2)), y.mean(axis=1), y.mean()])
    for found in f(np.full((70_001, 2, 3), 0.3, "float32"), np.full((2, 70_001, 33), 0.3, "float32")):
        assert off(found, float(np.float32(0.3))) < 1e-6


def test_random_values_with_an_offset(rng):
    a = (rng.random((200_001, 5)) + 1000).astype("float32")
    x = T.matrix("x")
    f = symc.function([x], [x.sum(axis=0), x.sum(axis=1).mean(), T.mean(x), x.norm(2, axis=0), x.norm(1, axis=0)])
    exact = a.astype("float64")
    wanted = [
        exact.sum(0), exact.sum(1).mean(), exact.mean(), np.linalg.norm(exact, axis=0), np.linalg.norm(exact, 1, axis=0)
    ]  # fmt: skip
    for found, want in zip(f(a), wanted):
        assert off(found, want) < 1e-6


@pytest.mark.parametrize("axis", [0, 1, None])
def test_variances(rng, axis):
    a = rng.normal(size=(300_001, 3)).astype("float32")
    a = a if axis != 1 else np.ascontiguousarray(a.T)
    x = T.matrix("x")
    f = symc.function([x], [x.var(axis=axis), x.std(axis=axis)])
    exact = a.astype("float64")
    for found, want in zip(f(a), [exact.var(axis=axis), exact.std(axis=axis)]):
        assert off(found, want) < 2e-6


def test_sums_of_a_softmax():
    """A row of a million equal scores: every probability is 1e-6, and the loss is log(1e6)."""
    x = T.matrix("x")
    p = T.nnet.softmax(x)
    f = symc.function([x], [p, p.sum(axis=1), T.log(T.exp(x).sum(axis=1)), T.log(T.exp(x).sum(axis=0))])
    a = np.zeros((2, 1_000_000), "float32") + 0.5
    p, total, wide, _ = f(a)
    assert off(p, 1e-6) < 1e-6 and off(total, 1) < 1e-6 and off(wide, 0.5 + np.log(1e6)) < 1e-6
    assert off(f(np.ascontiguousarray(a.T))[3], 0.5 + np.log(1e6)) < 1e-6


def test_gradients_of_what_was_broadcast():
    """The gradient of a broadcast operand is a sum over the axes it was repeated along."""
    x, b, c, s = T.matrix("x"), T.vector("b"), T.col("c"), T.scalar("s")
    cost = (x * b).sum() + (x * c).sum() + (x * s).sum()
    f = symc.function([x, b, c, s], symc.grad(cost, [b, c, s]))
    rows = 1_000_000
    a = np.full((rows, 3), 0.1, "float32")
    gb, gc, gs = f(a, np.ones(3, "float32"), np.ones((rows, 1), "float32"), 1)
    assert off(gb, rows * TENTH) < 1e-6 and off(gc, 3 * TENTH) < 1e-6 and off(gs, 3 * rows * TENTH) < 1e-6


def test_batch_normalisation_statistics(rng):
    a = (rng.normal(size=(400, 3, 40, 30)) + 7).astype("float32")
    x = T.tensor4("x")
    f = symc.function([x], [x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3)), x.sum(axis=(0, 1)), x.sum(axis=(1, 3))])
    exact = a.astype("float64")
    wanted = [exact.mean((0, 2, 3)), exact.var((0, 2, 3)), exact.sum((0, 1)), exact.sum((1, 3))]
    for found, want in zip(f(a), wanted):
        assert off(found, want) < 2e-6


def test_double_precision():
    x = T.dmatrix("x")
    f = symc.function([x], [x.mean(axis=0), x.mean(), x.T.mean(axis=1)])
    for found in f(np.full((2_000_000, 2), 0.1)):
        assert off(found, 0.1) < 2e-13


@pytest.mark.parametrize("mode", ["fast_run", "no_rewrite"])
def test_sums_that_cannot_be_exact_stay_what_they_are(mode):
    """Infinities, NaN, signs, empty sums."""
    x = T.matrix("x")
    f = symc.function([x], [x.sum(axis=0), x.sum(axis=1), x.sum()], mode=mode)
    a = np.ones((1000, 2), "float32")
    a[500, 0] = np.inf
    columns, rows, whole = f(a)
    assert columns.tolist() == [np.inf, 1000] and rows[500] == np.inf and rows[0] == 2 and whole == np.inf
    a[700, 0] = -np.inf
    assert np.isnan(f(a)[0][0]) and np.isnan(f(a)[2])
    assert f(np.zeros((0, 4), "float32"))[0].tolist() == [0] * 4 and f(np.zeros((0, 4), "float32"))[2] == 0
    assert f(np.zeros((4, 0), "float32"))[1].tolist() == [0] * 4


@pytest.fixture(scope="module")
def both_ways():
    x, y = T.matrices("x", "y")
    return symc.function([x, y], [x.sum(axis=0), y.sum(axis=1)])


@pytest.mark.parametrize("length", [1, 31, 32, 33, 63, 64, 65, 127, 511, 512, 513, 1000, 2047, 2048, 2049, 4127])
def test_lengths_around_the_blocks(both_ways, length, rng):
    """Every term counts once, whatever the length of blocks and vectors."""
    a = rng.integers(-8, 9, (length, 3)).astype("float32")  # sums of small integers are exact
    columns, rows = both_ways(a, np.ascontiguousarray(a.T))
    assert columns.tolist() == a.sum(0).tolist() and rows.tolist() == a.sum(0).tolist()


@pytest.mark.parametrize("mode", [None, "interp"])
def test_few_results_of_unknown_length_are_split_by_the_length_of_a_call(mode, rng):
    """A minibatch of 20 rows is one part, not as many as a long matrix needs."""
    x = T.TensorType("float32", (None, 8))("x")
    f = symc.function([x], [T.tanh(x).sum(axis=0), x.max()], device=mode)
    for rows in (1, 20, 127, 128, 129, 300) if mode else (1, 20, 127, 128, 129, 300, 8_191, 8_192, 70_001):
        a = rng.normal(size=(rows, 8)).astype("float32")
        found, largest = f(a)
        wanted = np.tanh(a.astype("float64")).sum(axis=0)
        assert np.allclose(found, wanted, rtol=1e-5, atol=1e-7 * rows) and largest == a.max(), rows

    def parts(rows):
        estimate = symc.memory_estimate(f, [(rows, 8)])
        return [t.bytes for t in estimate.tensors if t.name == "partial results"]

    assert max(parts(20)) == 8 * 8 and max(parts(1_000_000)) == 8 * 8 * 8  # 64 jobs: 8 parts of 8 results


def test_on_the_interpreter():
    x = T.matrix("x")
    f = symc.function([x], [x.mean(axis=0), x.mean(axis=1)], device="interp")
    assert off(f(np.full((4_001, 2), 0.1, "float32"))[0], TENTH) < 1e-6
    assert off(f(np.full((2, 200_001), 0.1, "float32"))[1], TENTH) < 1e-6


def test_on_the_gpu(emulated_device):
    x = T.tensor3("x")
    axes = [(0,), (1,), (2,), (0, 1), (0, 1, 2)]
    f = symc.function([x], [x.mean(axis=a) for a in axes], device="cuda")
    for shape in [(100_001, 2, 1), (2, 1, 100_001), (700, 40, 5)]:
        for axis, found in zip(axes, f(np.full(shape, 0.1, "float32"))):
            assert off(found, TENTH) < 1e-6, (shape, axis)


@pytest.mark.parametrize("threads", [1, 2])
def test_products_with_vectors(threads, monkeypatch):
    """Sums written as products: over rows, over columns, and of two vectors."""
    monkeypatch.setattr(symc.config, "threads", threads)
    m, v = T.matrix("m"), T.vector("v")
    f = symc.function([m, v], [T.dot(v, m), T.dot(m.T, v), T.dot(v, v), T.dot(m.T, T.ones_like(v))])
    rows = np.full((LONG, 3), 0.1, "float32")
    for found, wanted in zip(f(rows, rows[:, 0]), (TENTH**2, TENTH**2, TENTH**2, TENTH)):
        assert off(found, LONG * wanted) < 1e-5
    g = symc.function([m, v], T.dot(m, v))
    assert off(g(rows.T.copy(), rows[:, 0]), LONG * TENTH**2) < 1e-5


def test_a_vector_times_a_matrix_of_several_blocks(rng, monkeypatch):
    """Blocks of rows and of columns, and incomplete ones; the sums do not depend on the number of threads."""
    m, v, b = T.matrix("m"), T.vector("v"), T.vector("b")
    f = symc.function([m, v, b], [T.dot(v, m), b - T.dot(v, m)])
    for rows, columns in [(1025, 4101), (513, 17), (3000, 100)]:
        a, x = (rng.standard_normal(s, dtype="float32") for s in ((rows, columns), rows))
        wide = x.astype("float64") @ a
        found = []
        for threads in (1, 2, 5):
            monkeypatch.setattr(symc.config, "threads", threads)
            found.append(f(a, x, a[0]))
        for plain, added in found:
            assert np.array_equal(plain, found[0][0]) and np.array_equal(added, found[0][1])
        assert np.abs(found[0][0] - wide).max() < 1e-6 * (np.abs(x).astype("float64") @ np.abs(a)).max()
        assert np.abs(found[0][1] - (a[0] - wide)).max() < 1e-6 * (np.abs(x).astype("float64") @ np.abs(a)).max()


def test_running_sums(rng):
    """Along both axes, and of the gradient, which sums from the other end."""
    x, w = T.matrices("x", "w")
    f = symc.function([x, w], [T.cumsum(x, 0), T.grad((T.cumsum(x, 0) * w).sum(), x), T.cumsum(x.T, 1), T.cumsum(x)])
    a = (0.1 + 0.01 * rng.random((LONG, 2))).astype("float32")
    wide = a.astype("float64")
    down = np.cumsum(wide, 0)
    for found, wanted in zip(f(a, a), (down, np.cumsum(wide[::-1], 0)[::-1], down.T, np.cumsum(wide))):
        assert off(found, wanted) < 1e-6
