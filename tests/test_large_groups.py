"""Loop nests of hundreds of members: a stencil of many terms is one kernel, and long chains are divided."""

import numpy as np
import pytest

import symc
import symc.tensor as T

pytest.importorskip("cffi")


def kernels(f):
    return f.fitting().text.count("KERNEL void k")


def weighted(x, radius, sharpness, module):
    """The mean of the neighbours of each pixel, weighted by distance and difference, as bilateral filters have it."""
    h, w = x.shape[0] - 2 * radius, x.shape[1] - 2 * radius
    middle = x[radius : radius + h, radius : radius + w]
    total = weights = 0
    for a in range(2 * radius + 1):
        for b in range(2 * radius + 1):
            v = x[a : a + h, b : b + w]
            g = module.exp(-((a - radius) ** 2 + (b - radius) ** 2) / 8 - module.square(v - middle) * sharpness)
            total, weights = total + g * v, weights + g
    return total / weights


@pytest.mark.parametrize("radius", [1, 3])
@pytest.mark.parametrize("sharpness", [8.0, 3e4])
def test_a_mean_of_many_weighted_terms_is_one_kernel(radius, sharpness):
    for shape in ((2 * radius + 1,) * 2, (40, 53)):
        x = T.tensor("float32", shape=shape)
        f = symc.function([x], weighted(x, radius, sharpness, T))
        assert kernels(f) == 1
        a = np.random.default_rng(0).random(shape).astype("float32")
        np.testing.assert_allclose(f(a), weighted(a.astype("float64"), radius, sharpness, np), rtol=1e-5)


def test_a_weighted_mean_whose_weights_all_underflow():
    """The largest exponent of all terms cancels, however many they are."""
    x = [T.vector() for _ in range(50)]
    powers = [T.exp(-v) for v in x]
    f = symc.function(x, sum(p * v for p, v in zip(powers, x)) / sum(powers))
    a = np.random.default_rng(1).uniform(1000, 1010, (50, 33)).astype("float32")
    b = a.astype("float64")
    want = np.average(b, axis=0, weights=np.exp(b.min(0) - b))
    np.testing.assert_allclose(f(*a), want, rtol=1e-6)


def test_a_chain_is_divided_where_nothing_is_beside_it():
    """Each operation waits for the one before, so the processor overlaps elements of a short loop alone."""
    x, y = T.matrix("x"), T.vector("y")
    z, n = x, 300
    for k in range(n):
        z = T.tanh(z) * (1 + k % 7 * 0.01) + (y if k % 3 else x)
    f = symc.function([x, y], z)
    assert 10 <= kernels(f) <= 20
    a, b = np.random.default_rng(2).standard_normal((5, 19)).astype("float32"), np.linspace(-1, 1, 19, dtype="float32")
    want, row = a.astype("float64"), b.astype("float64")
    for k in range(n):
        want = np.tanh(want) * (1 + k % 7 * 0.01) + (row if k % 3 else a)
    np.testing.assert_allclose(f(a, b), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(7, 300), (40, 5), (1, 1)])
def test_reductions_of_rows_beside_long_chains(shape):
    """Values along the rows depend on a maximum and a sum of what a long chain computes."""
    x = T.tensor("float64", shape=shape)
    z = x
    for k in range(150):
        z = z * 0.75 + T.abs(x - k * 0.01)
    f = symc.function([x], [T.nnet.softmax(z), z.sum(axis=1)])
    a = np.random.default_rng(3).standard_normal(shape)
    want = a
    for k in range(150):
        want = want * 0.75 + np.abs(a - k * 0.01)
    powers = np.exp(want - want.max(1, keepdims=True))
    got = f(a)
    np.testing.assert_allclose(got[0], powers / powers.sum(1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(got[1], want.sum(1), rtol=1e-12)
