"""Statistics of layers against NumPy, and the watch for dead units."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

import symc.tensor as T
from lasagne_like import init
from lasagne_like.data import Preprocess
from lasagne_like.layers import (
    BatchNormLayer,
    Conv2DLayer,
    DenseLayer,
    DropoutLayer,
    EmbeddingLayer,
    InputLayer,
    NonlinearityLayer,
    get_output,
)
from lasagne_like.models import Model
from lasagne_like.nonlinearities import linear, rectify, sigmoid, softmax, tanh
from lasagne_like.training import Trainer
from lasagne_like.watch import Watch, layer_statistics

RNG = np.random.default_rng(0)


def network(squash=softmax, units=3):
    net = InputLayer((None, 5), name="input")
    net = DenseLayer(net, 6, W=RNG.standard_normal((5, 6)), b=RNG.standard_normal(6), nonlinearity=rectify, name="relu")
    net = DenseLayer(net, 4, W=RNG.standard_normal((6, 4)), b=init.Constant(0.1), nonlinearity=tanh, name="tanh")
    return DenseLayer(net, units, W=RNG.standard_normal((4, units)), nonlinearity=squash, name="out")


def outputs(net, X):
    """The outputs of the three layers, in NumPy."""
    out, second = net, net.input_layer
    first = second.input_layer
    a = np.maximum(X @ first.W.get_value() + first.b.get_value(), 0)
    b = np.tanh(a @ second.W.get_value() + second.b.get_value())
    c = b @ out.W.get_value() + out.b.get_value()
    e = np.exp(c - c.max(1, keepdims=True))
    return a, b, e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("size", [4, 16, 128])
def test_statistics_over_batches(size):
    net = network()
    X, y = RNG.standard_normal((23, 5)), RNG.integers(0, 3, 23)
    found = layer_statistics(net, X, y, batch_size=size)
    assert [row.name for row in found.rows] == ["relu", "tanh", "out"] and found.count == 23
    a, b, c = outputs(net, X)
    gc = -np.eye(3)[y] / c  # of the cross-entropy by the probabilities
    gb = (c - np.eye(3)[y]) @ net.W.get_value().T
    ga = gb * (1 - b**2) @ net.input_layer.W.get_value().T
    for row, values, slope in zip(found.rows, (a, b, c), (ga, gb, gc)):
        for name, expected in (
            ("mean", values.mean()),
            ("std", values.std()),
            ("low", values.min()),
            ("high", values.max()),
            ("zeros", (values == 0).mean()),
            ("gradient_mean", slope.mean()),
            ("gradient_std", slope.std()),
        ):
            np.testing.assert_allclose(getattr(row, name), expected, rtol=2e-4, atol=2e-5, err_msg=name)
        assert (row.units, row.dead) == (values.shape[1], (values == 0).all(0).sum())
    np.testing.assert_allclose(found["tanh"].saturated, (np.abs(b) >= 0.98).mean(), atol=1e-6)
    assert np.isnan(found["relu"].saturated)
    assert "gradient std" in str(found) and "23 examples" in str(found)
    assert "gradient" not in str(layer_statistics(net, X))
    with pytest.raises(KeyError, match="those of relu, tanh, out"):
        found["conv"]


def test_a_mean_far_from_zero_does_not_cancel():
    net = NonlinearityLayer(InputLayer((None, 3)), linear, name="same")
    X = (1e4 + RNG.standard_normal((500, 3))).astype("float32")
    found = layer_statistics(net, X, batch_size=77)["same"]
    np.testing.assert_allclose((found.mean, found.std), (X.astype(float).mean(), X.astype(float).std()), rtol=1e-3)


@pytest.mark.parametrize(("squash", "units"), [(sigmoid, 1), (linear, 2), (linear, 1)])
def test_gradients_of_other_losses(squash, units):
    net = network(squash, units)
    X = RNG.standard_normal((9, 5))
    y = RNG.integers(0, 2, 9) if squash is sigmoid else RNG.standard_normal((9, units))
    value = outputs(net, X)[1] @ net.W.get_value() + net.b.get_value()
    slope = (
        2 * (value - y) / units if squash is linear else ((p := 1 / (1 + np.exp(-value))) - y[:, None]) / (p * (1 - p))
    )
    found = layer_statistics(net, X, y, layers="out")["out"]
    np.testing.assert_allclose(found.gradient_std, slope.std(), rtol=1e-3)


def test_initialisations():
    """Rectifiers keep the size of signals with He's weights, and lose half of the power with Glorot's."""

    def stds(W):
        net = InputLayer((None, 200))
        for k in range(6):
            net = DenseLayer(net, 200, W=W, nonlinearity=rectify, name=f"h{k}")
        return [row.std for row in layer_statistics(net, RNG.standard_normal((300, 200))).rows]

    he, glorot = stds(init.HeNormal("relu")), stds(init.GlorotNormal())
    assert 0.5 < he[-1] / he[0] < 2 and glorot[-1] / glorot[0] < 0.3


def test_training_mode_changes_nothing():
    net = InputLayer((None, 4))
    net = BatchNormLayer(net, name="bn")
    drop = DropoutLayer(net, name="drop")
    net = DenseLayer(drop, 2, name="out")
    X = 5 + 3 * RNG.standard_normal((64, 4))
    drawn = len(drop._srng.state_updates)
    found = layer_statistics(net, X)
    assert abs(found["bn"].mean) < 1e-3 and abs(found["bn"].std - 1) < 1e-2  # the statistics of the batch
    assert 0.3 < found["drop"].zeros < 0.7
    np.testing.assert_array_equal(drop.input_layer.mean.get_value(), np.zeros(4))
    assert len(drop._srng.state_updates) == drawn
    final = layer_statistics(net, X, deterministic=True)
    np.testing.assert_allclose(final["bn"].mean, X.mean(), rtol=1e-4)
    assert final["drop"].zeros == 0


def test_maps_integers_and_several_inputs():
    W = np.zeros((3, 1, 3, 3))
    W[0] = 1
    W[1] = -1
    net = Conv2DLayer(InputLayer((None, 1, 5, 5)), 3, 3, W=W, b=init.Constant(0), name="conv")
    found = layer_statistics(net, np.ones((2, 1, 5, 5), "uint8"))["conv"]
    assert (found.units, found.dead, found.constant) == (3, 2, 3)
    words = EmbeddingLayer(InputLayer((None, 2), T.imatrix(), name="words"), 5, 3, name="embedding")
    assert layer_statistics(words, np.array([[0, 1], [2, 3]]))["embedding"].units == 2


def test_pictures_of_a_model():
    net = NonlinearityLayer(InputLayer((None, 1, 5, 6)), linear, name="same")
    model = Model(net, preprocess=Preprocess(channels="grey", scale=1 / 255, mean=0.5))
    X = RNG.integers(0, 256, (6, 1, 5, 6)).astype("uint8")
    np.testing.assert_allclose(layer_statistics(model, X)["same"].mean, X.mean() / 255 - 0.5, atol=1e-5)


def test_findings():
    net = network()
    first = net.input_layer.input_layer
    X = RNG.standard_normal((20, 5))
    assert layer_statistics(net, X).findings(dead=0.9, saturated=0.99) == []
    first.b.set_value(np.full(6, -100.0, "float32"))
    dead, constant = layer_statistics(net, X).findings()
    assert dead.startswith("relu: 6 of 6 units are 0 for all 20 examples (dead)")
    assert constant.startswith("out: the output is the same for all 20 examples")
    first.b.set_value(np.full(6, 100.0, "float32"))
    assert any(text.startswith("tanh: ") and "saturated" in text for text in layer_statistics(net, X).findings())
    first.b.set_value(np.full(6, np.nan, "float32"))
    assert layer_statistics(net, X).findings()[0].startswith("relu: outputs are NaN")


def test_errors():
    net = network()
    with pytest.raises(ValueError, match=r"layers=\['conv\*'\] matches no layer; the network has input, relu"):
        layer_statistics(net, np.zeros((2, 5)), layers="conv*")
    with pytest.raises(ValueError, match="equal numbers of examples"):
        layer_statistics(net, np.zeros((2, 5)), np.zeros(3, int))
    with pytest.raises(ValueError, match=r"shape \(2, 4\), expected \(None, 5\)"):
        layer_statistics(net, np.zeros((2, 4)))
    with pytest.raises(ValueError, match="every=0"):
        Watch(np.zeros((2, 5)), every=0)


def test_watch_reports_once_and_records():
    net = network()
    X = RNG.standard_normal((20, 5)).astype("float32")
    texts = []
    watch = Watch(X, every=2, saturated=1.1, report=texts.append)
    trainer = SimpleNamespace(network=net)
    bias = net.input_layer.input_layer.b
    alive = bias.get_value()
    records = [{"epoch": k} for k in range(1, 13)]
    for record in records:
        bias.set_value(np.full(6, -100.0, "float32") if 4 <= record["epoch"] <= 8 or record["epoch"] == 12 else alive)
        watch.on_epoch_end(trainer, record)
    assert len(watch.history) == 6
    dead = [record.get("dead_units") for record in records]
    assert dead[0] is None and dead[3] == dead[7] == 6 and dead[9] < 6
    assert [epoch for epoch, text in watch.findings if text.startswith("relu")] == [4, 12]
    assert texts[0].startswith("epoch 4: relu: 6 of 6 units")
    twin = pickle.loads(pickle.dumps(watch := Watch(X)))
    twin.on_epoch_end(trainer, {"epoch": 1})
    assert len(twin.history) == 1 and not watch.history


def test_watch_of_a_trainer():
    net = network()
    X, y = RNG.standard_normal((40, 5)).astype("float32"), RNG.integers(0, 3, 40).astype("int32")
    trainer = Trainer(net, verbose=False)
    trainer.fit(X, y, 1)
    watch = Watch(X)
    record = {"epoch": 1}
    watch.on_epoch_end(trainer, record)
    a = get_output(net.input_layer.input_layer, X, deterministic=True).eval()
    assert record["dead_units"] == (a == 0).all(0).sum()
