import numpy as np
import pytest

import lasagne_like.random
import symc
import symc.tensor as T
from lasagne_like.layers import (
    DropoutLayer,
    GaussianNoiseLayer,
    InputLayer,
    RandomizedRectifierLayer,
    dropout_channels,
    dropout_locations,
    get_output,
)


def compiled(layer, **kwargs):
    x = T.tensor(symc.config.floatX, shape=(None,) * len(layer.input_shape))
    return symc.function([x], get_output(layer, x, **kwargs))


ONES = np.ones((100, 200), "float32")


def test_dropout():
    run = compiled(DropoutLayer(InputLayer((None, 200)), p=0.25))
    first, second = run(ONES), run(ONES)
    np.testing.assert_allclose(np.unique(first), [0, 1 / 0.75], rtol=1e-6)
    assert abs((first == 0).mean() - 0.25) < 0.02
    assert abs((first == second).mean() - (0.25**2 + 0.75**2)) < 0.03


def test_dropout_without_rescaling():
    layer = DropoutLayer(InputLayer((None, 200)), rescale=False)
    assert np.array_equal(np.unique(compiled(layer)(ONES)), [0, 1])


def test_dropout_is_off_when_deterministic():
    assert np.array_equal(compiled(DropoutLayer(InputLayer((None, 200))), deterministic=True)(ONES), ONES)


@pytest.mark.parametrize("p, kept", [(0, 1), (1, 0)])
def test_dropout_at_the_ends(p, kept):
    assert np.array_equal(compiled(DropoutLayer(InputLayer((None, 200)), p=p))(ONES), kept * ONES)


def test_dropout_with_a_symbolic_probability():
    p = symc.shared(np.float32(0.9))
    run = compiled(DropoutLayer(InputLayer((None, 200)), p=p))
    assert abs((run(ONES) == 0).mean() - 0.9) < 0.02
    p.set_value(np.float32(0.1))
    assert abs((run(ONES) == 0).mean() - 0.1) < 0.02


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_dropout_probability_is_checked(p):
    with pytest.raises(ValueError, match="p must be a probability"):
        DropoutLayer((None, 3), p=p)


@pytest.mark.parametrize(
    "make, axes",
    [
        (lambda l: DropoutLayer(l, shared_axes=(0,)), (0,)),
        (lambda l: DropoutLayer(l, shared_axes=(-1, 1)), (1, 3)),
        (dropout_channels, (2, 3)),
        (dropout_locations, (1,)),
    ],
)
def test_dropout_with_shared_axes(make, axes):
    images = np.ones((6, 5, 4, 3), "float32")
    result = compiled(make(InputLayer((None, 5, 4, 3))))(images)
    first = result[tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(4))]
    assert np.array_equal(result, np.broadcast_to(first, result.shape))
    assert len(np.unique(first)) == 2


def test_the_gradient_has_the_mask_of_the_output():
    x = T.matrix()
    output = get_output(DropoutLayer(InputLayer((None, 200))), x)
    value, gradient = symc.function([x], [output, symc.grad(output.sum(), x)])(ONES)
    assert np.array_equal(value, gradient)
    assert (value == 0).any()


def test_seeds_come_from_the_library_generator():
    def draw(seed):
        lasagne_like.random.set_rng(np.random.RandomState(seed))
        return compiled(DropoutLayer(InputLayer((None, 200))))(ONES)

    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


def test_asking_for_a_shape_draws_nothing():
    def draw(ask):
        lasagne_like.random.set_rng(np.random.RandomState(1))
        layer = DropoutLayer(InputLayer((None, 200)))
        for _ in range(ask):
            layer.output_shape  # noqa: B018
        return compiled(layer)(ONES)

    assert np.array_equal(draw(0), draw(3))


def test_gaussian_noise():
    run = compiled(GaussianNoiseLayer(InputLayer((None, 200)), sigma=0.5))
    noise = run(ONES) - ONES
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 0.5) < 0.02
    assert not np.array_equal(run(ONES), run(ONES))
    layer = GaussianNoiseLayer(InputLayer((None, 200)))
    assert np.array_equal(compiled(layer, deterministic=True)(ONES), ONES)
    assert np.array_equal(compiled(GaussianNoiseLayer(InputLayer((None, 200)), sigma=0))(ONES), ONES)


class TestRandomizedRectifier:
    def test_slopes(self):
        layer = RandomizedRectifierLayer(InputLayer((None, 200)), lower=0.2, upper=0.6, shared_axes=())
        slopes = -compiled(layer)(-ONES)
        assert 0.2 <= slopes.min() < 0.21
        assert 0.59 < slopes.max() <= 0.6
        assert np.array_equal(compiled(layer)(ONES), ONES)

    def test_shared(self):
        result = compiled(RandomizedRectifierLayer(InputLayer((None, 200))))(-ONES)
        assert np.array_equal(result, np.broadcast_to(result[:1], result.shape))
        assert len(np.unique(result)) > 100

    def test_deterministic(self):
        layer = RandomizedRectifierLayer(InputLayer((None, 200)), lower=0.2, upper=0.6)
        np.testing.assert_allclose(compiled(layer, deterministic=True)(-ONES), -0.4 * ONES, rtol=1e-6)

    def test_bounds_are_checked(self):
        with pytest.raises(ValueError, match="lower=0.8, upper=0.3"):
            RandomizedRectifierLayer((None, 3), lower=0.8, upper=0.3)
