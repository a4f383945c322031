"""Networks on the emulated GPU: the same training on both devices, with the same random numbers."""

from __future__ import annotations

import numpy as np
import pytest

import lasagne_like
import symc
import symc.tensor as T
from lasagne_like import layers, nonlinearities, objectives, updates

pytestmark = pytest.mark.usefixtures("emulated_device")


def lenet(x):
    net = layers.InputLayer((None, 1, 12, 12), input_var=x)
    net = layers.Conv2DLayer(net, 4, 3)
    net = layers.MaxPool2DLayer(net, 2)
    net = layers.Conv2DLayer(net, 6, 3)
    net = layers.DropoutLayer(layers.DenseLayer(net, 16), 0.5)
    return layers.DenseLayer(net, 10, nonlinearity=nonlinearities.softmax)


def small_vgg(x):
    net = layers.InputLayer((None, 1, 12, 12), input_var=x)
    for filters in (4, 6):
        for _ in range(2):
            net = layers.batch_norm(layers.Conv2DLayer(net, filters, 3, pad="same"))
        net = layers.MaxPool2DLayer(net, 2)
        net = layers.dropout(net, 0.2)
    net = layers.batch_norm(layers.DenseLayer(net, 12))
    return layers.DenseLayer(net, 10, nonlinearity=nonlinearities.softmax)


def trained(build, method, device, steps=3):
    """Losses of a few steps, and all parameters after them."""
    lasagne_like.random.set_rng(np.random.RandomState(3))
    x, y = T.tensor4("x"), T.ivector("y")
    net = build(x)
    loss = objectives.categorical_crossentropy(layers.get_output(net), y).mean()
    params = layers.get_all_params(net, trainable=True)
    train = symc.function([x, y], loss, updates=method(loss, params), device=device)
    rng = np.random.default_rng(0)
    images, digits = rng.random((5, 1, 12, 12), dtype="float32"), rng.integers(0, 10, 5).astype("int32")
    losses = [float(train(images, digits)) for _ in range(steps)]
    return losses, layers.get_all_param_values(net), net


@pytest.mark.parametrize("build", [lenet, small_vgg])
@pytest.mark.parametrize(
    "method",
    [
        lambda loss, params: updates.nesterov_momentum(loss, params, 0.01, 0.9),
        lambda loss, params: updates.adam(loss, params, 0.001),
    ],
    ids=["nesterov", "adam"],
)
def test_training_agrees_with_the_cpu(build, method):
    (losses, values, _), (want, wanted, _) = (trained(build, method, device) for device in ("cuda", "c"))
    np.testing.assert_allclose(losses, want, rtol=2e-4)
    assert losses[0] != losses[1] != losses[2]
    for got, expected in zip(values, wanted, strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-5)


def test_a_trainer_on_the_device(monkeypatch):
    """Steps accumulate their losses on the device; the best weights, a failing step and its blame are the CPU's."""
    rng = np.random.default_rng(0)
    images, digits = rng.random((20, 1, 12, 12), dtype="float32"), rng.integers(0, 10, 20)
    results = []
    for device in ("cuda", "c"):
        monkeypatch.setattr(symc.config, "device", device)
        lasagne_like.random.set_rng(np.random.RandomState(3))
        trainer = lasagne_like.Trainer(lenet(T.tensor4("x")), batch_size=8, verbose=False)
        history = trainer.fit(images, digits, 2, validation=(images[:10], digits[:10]))
        bad = images.copy()
        bad[:] = np.inf
        with pytest.raises(lasagne_like.training.NonFiniteLossError, match="epoch 3, batch 1") as info:
            trainer.fit(bad, digits, 1)
        results.append((history["train_loss"] + history["valid_loss"], trainer.param_values(), info.value.origin))
    (losses, values, origin), (want, wanted, expected) = results
    np.testing.assert_allclose(losses, want, rtol=2e-4)
    for name, value in wanted.items():
        np.testing.assert_allclose(values[name], value, rtol=2e-3, atol=2e-5)
    assert origin == expected == "input"
