import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like.layers import (
    BatchNormLayer,
    BiasLayer,
    Conv2DLayer,
    DenseLayer,
    InputLayer,
    LocalResponseNormalization2DLayer,
    NonlinearityLayer,
    ScaleLayer,
    StandardizationLayer,
    batch_norm,
    get_all_layers,
    get_all_params,
    get_output,
    instance_norm,
    layer_norm,
)
from lasagne_like.nonlinearities import identity, rectify, tanh
from lasagne_like.updates import sgd


def run(layer, x, **kwargs):
    variable = T.tensor(x.dtype.name, shape=(None,) * x.ndim)
    return symc.function([variable], get_output(layer, variable, **kwargs))(x)


@pytest.fixture
def x(rng):
    return 3 + 2 * rng.randn(6, 3, 4, 5)


SHAPE = (None, 3, 4, 5)


@pytest.mark.parametrize("n", [1, 3, 5])
def test_local_response_normalization(n, rng, float64):
    x = rng.randn(2, 7, 3, 4)
    expected = np.empty_like(x)
    for i in range(7):
        around = x[:, max(0, i - n // 2) : i + n // 2 + 1]
        expected[:, i] = x[:, i] / (1.5 + 0.2 * (around**2).sum(axis=1)) ** 0.6
    layer = LocalResponseNormalization2DLayer(InputLayer((None, 7, 3, 4)), alpha=0.2, k=1.5, beta=0.6, n=n)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-10)
    with pytest.raises(ValueError, match="odd n"):
        LocalResponseNormalization2DLayer(SHAPE, n=4)


AXES = [("auto", (0, 2, 3), (3,)), ((0, 1), (0, 1), (4, 5)), (0, (0,), (3, 4, 5)), ((0, -1), (0, 3), (3, 4))]


@pytest.mark.parametrize("spec, axes, shape", AXES)
class TestBatchNorm:
    def make(self, spec, shape, rng, **options):
        layer = BatchNormLayer(InputLayer(SHAPE), axes=spec, alpha=0.25, epsilon=1e-3, **options)
        assert layer.mean.get_value().shape == shape
        for param in layer.get_params():
            param.set_value(rng.uniform(0.5, 2, shape))
        return layer

    def statistics(self, x, axes):
        return x.mean(axis=axes), 1 / np.sqrt(x.var(axis=axes) + 1e-3)

    def normalized(self, layer, x, axes, mean, inv_std):
        grow = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        beta, gamma, mean, inv_std = (
            p.reshape(grow) for p in (layer.beta.get_value(), layer.gamma.get_value(), mean, inv_std)
        )
        return (x - mean) * inv_std * gamma + beta

    def test_training(self, spec, axes, shape, x, rng, float64):
        layer = self.make(spec, shape, rng)
        before = layer.mean.get_value(), layer.inv_std.get_value()
        now = self.statistics(x, axes)
        np.testing.assert_allclose(run(layer, x), self.normalized(layer, x, axes, *now), rtol=1e-8)
        after = layer.mean.get_value(), layer.inv_std.get_value()
        for old, of_batch, new in zip(before, now, after, strict=True):
            np.testing.assert_allclose(new, 0.75 * old + 0.25 * of_batch, rtol=1e-10)

    def test_testing(self, spec, axes, shape, x, rng, float64):
        layer = self.make(spec, shape, rng)
        before = layer.mean.get_value(), layer.inv_std.get_value()
        result = run(layer, x, deterministic=True)
        np.testing.assert_allclose(result, self.normalized(layer, x, axes, *before), rtol=1e-8)
        assert np.array_equal(layer.mean.get_value(), before[0])
        assert np.array_equal(layer.inv_std.get_value(), before[1])

    @pytest.mark.parametrize("use", [None, False, True])
    @pytest.mark.parametrize("update", [None, False, True])
    @pytest.mark.parametrize("deterministic", [False, True])
    def test_keywords(self, spec, axes, shape, use, update, deterministic, x, rng, float64):
        layer = self.make(spec, shape, rng)
        before = layer.mean.get_value(), layer.inv_std.get_value()
        now = self.statistics(x, axes)
        result = run(
            layer, x, deterministic=deterministic, batch_norm_use_averages=use, batch_norm_update_averages=update
        )
        used = before if (deterministic if use is None else use) else now
        np.testing.assert_allclose(result, self.normalized(layer, x, axes, *used), rtol=1e-8)
        changed = not np.array_equal(layer.mean.get_value(), before[0])
        assert changed == (not deterministic if update is None else update)
        assert changed == (not np.array_equal(layer.inv_std.get_value(), before[1]))


def trained_once(x, loss_of, **options):
    """Run one training step of a normalised network; return the running mean and the batch's mean."""
    layer = BatchNormLayer(InputLayer((None, 3)), alpha=0.25)
    top = DenseLayer(layer, 2, nonlinearity=None)
    variable = T.matrix()
    output = get_output(top, variable)
    loss = loss_of(output)
    params = get_all_params(top, trainable=True)
    symc.function([variable], updates=sgd(loss, params, 0.01), **options)(x)
    return layer.mean.get_value(), 0.25 * x.mean(axis=0)


@pytest.mark.parametrize("loss_of", [lambda y: (y**2).mean(), lambda y: y.sum()], ids=["squares", "linear"])
def test_gradients_alone_update_the_averages_once(loss_of, rng, float64):
    np.testing.assert_allclose(*trained_once(rng.randn(7, 3) + 5, loss_of), rtol=1e-10)


def test_averages_follow_many_batches(rng, float64):
    layer = BatchNormLayer(InputLayer((None, 3)))
    variable = T.matrix()
    step = symc.function([variable], get_output(layer, variable).sum())
    mean, inv_std = np.zeros(3), np.ones(3)
    for size in (5, 8, 5, 2):
        x = rng.randn(size, 3)
        step(x)
        mean = 0.9 * mean + 0.1 * x.mean(axis=0)
        inv_std = 0.9 * inv_std + 0.1 / np.sqrt(x.var(axis=0) + 1e-4)
    np.testing.assert_allclose(layer.mean.get_value(), mean)
    np.testing.assert_allclose(layer.inv_std.get_value(), inv_std)


def test_two_functions_from_one_layer_do_not_disturb_each_other(rng, float64):
    layer = BatchNormLayer(InputLayer((None, 3)))
    variable = T.matrix()
    train = symc.function([variable], get_output(layer, variable))
    test = symc.function([variable], get_output(layer, variable, deterministic=True))
    x = rng.randn(5, 3)
    assert np.array_equal(test(x), test(x))
    train(x)
    np.testing.assert_allclose(test(x), (x - layer.mean.get_value()) * layer.inv_std.get_value())


def test_frozen_statistics(rng, float64):
    layer = BatchNormLayer(InputLayer((None, 3)))
    layer.use_averages, layer.update_averages = True, False
    x = rng.randn(5, 3)
    np.testing.assert_allclose(run(layer, x), x)
    assert np.array_equal(layer.mean.get_value(), np.zeros(3))


def test_parameters_and_their_tags():
    layer = BatchNormLayer(SHAPE, name="bn")
    assert [p.name for p in layer.get_params()] == ["bn.beta", "bn.gamma", "bn.mean", "bn.inv_std"]
    assert layer.get_params(trainable=True) == [layer.beta, layer.gamma]
    assert layer.get_params(regularizable=True) == [layer.gamma]
    assert len(BatchNormLayer(SHAPE, beta=None, gamma=None).get_params()) == 2


def test_without_scale_and_shift(x, float64):
    result = run(BatchNormLayer(InputLayer(SHAPE), beta=None, gamma=None, epsilon=0), x)
    np.testing.assert_allclose(result.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(result.std(axis=(0, 2, 3)), 1)


def test_batch_norm_needs_sizes():
    with pytest.raises(ValueError, match="BatchNormLayer needs specified input sizes"):
        BatchNormLayer((3, None, 4, 5))


def test_batch_norm_is_put_before_the_nonlinearity():
    dense = DenseLayer(InputLayer((None, 3)), 4, nonlinearity=tanh, name="fc")
    top = batch_norm(dense, alpha=0.5)
    _, first, norm, last = get_all_layers(top)
    assert first is dense and isinstance(norm, BatchNormLayer) and isinstance(last, NonlinearityLayer)
    assert dense.b is None and [p.name for p in dense.get_params()] == ["fc.W"]
    assert dense.nonlinearity is identity and last.nonlinearity is tanh
    assert (norm.name, last.name) == ("fc_bn", "fc_bn_nonlin")
    assert norm.alpha == 0.5


def test_batch_norm_of_a_layer_without_nonlinearity():
    l_in = InputLayer((None, 3))
    assert isinstance(batch_norm(l_in, name="n"), BatchNormLayer)
    top = batch_norm(DenseLayer(l_in, 4, b=None), name="n")
    assert (top.input_layer.name, top.name) == ("n", "n_nonlin")


@pytest.mark.parametrize(
    "spec, shape, axes",
    [
        ("auto", (6, 5), (1,)),
        ("auto", (6, 3, 4, 5), (2, 3)),
        ("spatial", (6, 3, 4, 5), (2, 3)),
        ("features", (6, 3, 4, 5), (1, 2, 3)),
        ((0, 1), (6, 3, 4), (0, 1)),
        (-1, (6, 3, 4), (2,)),
    ],
)
def test_standardization(spec, shape, axes, rng, float64):
    x = 5 + 3 * rng.randn(*shape)
    layer = StandardizationLayer(InputLayer((None, *shape[1:])), axes=spec, epsilon=1e-3)
    expected = (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + 1e-3)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-8, atol=1e-12)


def test_standardization_needs_axes():
    with pytest.raises(ValueError, match="no axes to normalise over"):
        StandardizationLayer((None, 3), axes="spatial")


@pytest.mark.parametrize("norm, suffix, axes", [(instance_norm, "_in", (2, 3)), (layer_norm, "_ln", (1, 2, 3))])
def test_norms_put_before_the_nonlinearity(norm, suffix, axes):
    conv = Conv2DLayer(InputLayer(SHAPE), 6, 3, nonlinearity=rectify, name="c")
    layers = get_all_layers(norm(conv))[1:]
    kinds = [Conv2DLayer, StandardizationLayer, ScaleLayer, BiasLayer, NonlinearityLayer]
    assert [type(layer) for layer in layers] == kinds
    assert [layer.name for layer in layers[1:]] == [f"c{suffix}{e}" for e in ("", "_scale", "_bias", "_nonlin")]
    assert layers[1].axes == axes
    assert conv.b is None and conv.nonlinearity is identity and layers[-1].nonlinearity is rectify


def test_instance_norm_without_parameters():
    conv = Conv2DLayer(InputLayer(SHAPE), 6, 3, nonlinearity=None)
    assert len(get_all_params(instance_norm(conv, learn_scale=False, learn_bias=False))) == 1


@pytest.mark.parametrize("shape", [(5,), (5, 1, 1), (5, 3, 1), (5, None, None)])
def test_a_batch_with_one_value_per_statistic_does_not_change_the_averages(shape, rng, float64):
    layer = BatchNormLayer(InputLayer((None, *shape)), epsilon=1e-4, alpha=0.1)
    before = [layer.mean.get_value(), layer.inv_std.get_value()]
    for positions in ((1, 1), (2, 3)) if None in shape else (shape[1:],):
        x = rng.randn(1, 5, *positions)
        layer.mean.set_value(before[0]), layer.inv_std.set_value(before[1])
        run(layer, x)
        axes = tuple(axis for axis in range(x.ndim) if axis != 1)
        expected = before
        if x.size > 5:
            statistics = x.mean(axis=axes), 1 / np.sqrt(x.var(axis=axes) + 1e-4)
            expected = [0.9 * old + 0.1 * new for old, new in zip(before, statistics)]
        np.testing.assert_allclose(layer.mean.get_value(), expected[0], rtol=1e-12)
        np.testing.assert_allclose(layer.inv_std.get_value(), expected[1], rtol=1e-12)


def test_axes_other_than_the_batch_count_as_values(rng, float64):
    """One item, but normalised over its features, too."""
    layer = BatchNormLayer(InputLayer((None, 3, 4)), axes=(0, 2))
    x = rng.randn(1, 3, 4)
    run(layer, x)
    np.testing.assert_allclose(layer.mean.get_value(), 0.1 * x.mean(axis=(0, 2)), rtol=1e-12)
