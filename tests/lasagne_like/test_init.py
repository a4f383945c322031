import numpy as np
import pytest

import symc
from lasagne_like import init

SHAPES = [(30, 50), (40, 30, 3, 5)]


@pytest.mark.parametrize(
    "initializer",
    [
        init.Normal(),
        init.Uniform(),
        init.GlorotNormal(),
        init.GlorotUniform(),
        init.HeNormal(),
        init.HeUniform(),
        init.Constant(3),
        init.Orthogonal(),
    ],
    ids=lambda i: type(i).__name__,
)
@pytest.mark.parametrize("floatX", ["float32", "float64"])
def test_shape_and_dtype(initializer, floatX):
    with symc.config.change(floatX=floatX):
        for shape in SHAPES:
            value = initializer(shape)
            assert value.shape == shape
            assert value.dtype == floatX


def test_normal():
    value = init.Normal(std=0.5, mean=2.0).sample((300, 200))
    assert abs(value.mean() - 2.0) < 0.01
    assert abs(value.std() - 0.5) < 0.01


@pytest.mark.parametrize(
    "initializer, low, high",
    [
        (init.Uniform(0.5), -0.5, 0.5),
        (init.Uniform((1.0, 3.0)), 1.0, 3.0),
        (init.Uniform(std=1.0, mean=2.0), 2 - np.sqrt(3), 2 + np.sqrt(3)),
    ],
)
def test_uniform(initializer, low, high):
    value = initializer.sample((300, 200))
    assert low <= value.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < value.max() <= high


@pytest.mark.parametrize(
    "shape, fan_in, fan_out",
    [((150, 200), 150, 200), ((60, 40, 3, 5), 40 * 15, 60 * 15), ((60, 40, 9), 40 * 9, 60 * 9)],
)
@pytest.mark.parametrize("gain, factor", [(1.0, 1.0), (3.0, 3.0), ("relu", np.sqrt(2))])
def test_scaled(shape, fan_in, fan_out, gain, factor):
    glorot = factor * np.sqrt(2 / (fan_in + fan_out))
    he = factor * np.sqrt(1 / fan_in)
    expected = {init.GlorotNormal: glorot, init.GlorotUniform: glorot, init.HeNormal: he, init.HeUniform: he}
    for initializer, std in expected.items():
        assert initializer(gain=gain).sample(shape).std() == pytest.approx(std, rel=0.03)


def test_scaled_c01b():
    shape = (20, 5, 3, 60)
    assert init.GlorotNormal(c01b=True).sample(shape).std() == pytest.approx(np.sqrt(2 / (80 * 15)), rel=0.03)
    assert init.HeNormal(c01b=True).sample(shape).std() == pytest.approx(np.sqrt(1 / 300), rel=0.03)
    with pytest.raises(RuntimeError, match="length 4"):
        init.GlorotNormal(c01b=True).sample((20, 30))


@pytest.mark.parametrize("initializer", [init.GlorotNormal(), init.HeUniform(), init.Orthogonal(), init.Sparse()])
def test_vectors_are_refused(initializer):
    with pytest.raises(RuntimeError, match="length"):
        initializer.sample((100,))


def test_gain_must_be_known():
    with pytest.raises(ValueError, match="relu"):
        init.HeNormal(gain="tanh")


def test_constant():
    assert np.array_equal(init.Constant(2.5).sample((2, 3)), np.full((2, 3), 2.5))


def test_sparse():
    value = init.Sparse(sparsity=0.25, std=2.0).sample((80, 60))
    assert np.array_equal((value != 0).sum(axis=0), np.full(60, 20))
    assert value[value != 0].std() == pytest.approx(2.0, rel=0.05)
    assert len({tuple(np.flatnonzero(column)) for column in value.T}) > 50


@pytest.mark.parametrize("shape", [(20, 20), (30, 10), (10, 30), (10, 3, 4, 4)])
def test_orthogonal(shape, float64):
    matrix = init.Orthogonal(gain=2.0).sample(shape).reshape(shape[0], -1)
    small = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-10)


def test_a_new_initializer_must_define_sample():
    with pytest.raises(TypeError, match="sample"):
        init.Initializer()((3, 4))
