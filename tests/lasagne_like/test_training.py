"""The trainer: results, saved state, stopping, and the error for a loss that is not finite."""

import numpy as np
import pytest

import lasagne_like
import symc
import symc.tensor as T
from lasagne_like.layers import (
    DenseLayer,
    DropoutLayer,
    InputLayer,
    NonlinearityLayer,
    batch_norm,
    get_all_param_values,
    get_all_params,
)
from lasagne_like.nonlinearities import linear, softmax
from lasagne_like.objectives import squared_error
from lasagne_like.plot import plot_errors, plot_filters, plot_history
from lasagne_like.training import Metric, NonFiniteLossError, Trainer, cosine, step_decay
from lasagne_like.transfer import freeze
from lasagne_like.updates import momentum, sgd


def classifier(dropout=0.0, seed=0):
    lasagne_like.random.set_rng(np.random.RandomState(seed))
    layer = DenseLayer(InputLayer((None, 5), name="input"), 16, name="hidden")
    if dropout:
        layer = DropoutLayer(layer, p=dropout)
    return DenseLayer(layer, 3, nonlinearity=softmax, name="out")


def linear_model():
    return DenseLayer(InputLayer((None, 5), name="input"), 1, nonlinearity=linear, name="line")


def regression(model, **kwargs):
    settings = {"loss": squared_error, "metrics": None, "target_var": T.matrix("y"), "verbose": False}
    return Trainer(model, **(settings | kwargs))


def blobs(count=90, seed=0):
    rng = np.random.RandomState(seed)
    y = rng.randint(0, 3, count).astype(np.int32)
    centres = np.array([[2, 0, 0, 1, 0], [0, 2, 0, 0, 1], [0, 0, 2, 1, 1]], np.float32)
    return centres[y] + 0.7 * rng.randn(count, 5).astype(np.float32), y


def line(count=10, seed=0):
    rng = np.random.RandomState(seed)
    return rng.randn(count, 5).astype(np.float32), rng.randn(count, 1).astype(np.float32)


def values(net):
    return [value.copy() for value in get_all_param_values(net)]


def same(first, second):
    return all(np.array_equal(one, other) for one, other in zip(first, second))


def test_learns_and_reports():
    X, y = blobs()
    trainer = Trainer(classifier(), batch_size=16, learning_rate=0.02, verbose=False)
    history = trainer.fit(X[:70], y[:70], 12, validation=(X[70:], y[70:]))
    assert history["epoch"] == list(range(1, 13)) and history is trainer.history
    assert {len(column) for column in history.values()} == {12}
    assert history["train_loss"][-1] < 0.3 * history["train_loss"][0]
    assert trainer.evaluate(X[70:], y[70:])[1] < 0.15


def test_one_epoch_of_sgd_is_the_textbook_formula():
    X, y = line(10)
    model = linear_model()
    W, b = (value.astype(np.float64) for value in values(model))
    trainer = regression(model, update=sgd, learning_rate=0.1, batch_size=4, seed=3)
    history = trainer.fit(X, y, 1)
    order, total = np.random.default_rng([3, 0]).permutation(10), 0.0
    for start in (0, 4, 8):  # the last batch holds two items
        rows = order[start : start + 4]
        residual = X[rows] @ W + b - y[rows]
        total += (residual**2).sum()
        W -= 0.1 * 2 * X[rows].T @ residual / len(rows)
        b -= 0.1 * 2 * residual.mean(axis=0)
    np.testing.assert_allclose(model.W.get_value(), W, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.b.get_value(), b, rtol=1e-4, atol=1e-6)
    # The mean over items, not over batches of different sizes.
    np.testing.assert_allclose(history["train_loss"][0], total / 10, rtol=1e-4)


def test_evaluate_and_predict_are_means_over_items():
    X, y = blobs(23)
    net = classifier(dropout=0.5)
    trainer = Trainer(net, batch_size=8, verbose=False)
    prediction = trainer.predict(X)
    assert prediction.shape == (23, 3)
    loss, error = trainer.evaluate(X, y)
    np.testing.assert_allclose(loss, -np.log(prediction[np.arange(23), y]).mean(), rtol=1e-4)
    np.testing.assert_allclose(error, (prediction.argmax(axis=1) != y).mean(), atol=1e-6)
    # Dropout is off: a second look sees the same.
    np.testing.assert_array_equal(prediction, trainer.predict(X))


def test_compiles_each_function_once(monkeypatch):
    compiled = []
    original = symc.function
    monkeypatch.setattr(symc, "function", lambda *a, **k: compiled.append(k.get("name")) or original(*a, **k))
    X, y = blobs(30)
    trainer = Trainer(classifier(), batch_size=8, verbose=False)
    trainer.fit(X, y, 2, validation=(X, y))
    trainer.fit(X[:13], y[:13], 2, validation=(X, y))
    trainer.evaluate(X[:3], y[:3])
    assert sorted(compiled) == ["evaluate", "train"]


def test_the_same_seed_gives_the_same_bits():
    X, y = blobs()

    def run(seed):
        net = classifier(dropout=0.3, seed=seed)
        Trainer(net, batch_size=16, seed=seed, verbose=False).fit(X, y, 2)
        return values(net)

    first = run(1)
    assert same(first, run(1))
    assert not same(first, run(2))


def test_best_weights_are_restored():
    X, y = blobs()
    net = classifier()
    seen = []

    def rate(epoch):
        seen.append(values(net))
        return 0.05 if epoch < 3 else 20.0

    trainer = Trainer(net, update=sgd, learning_rate=rate, batch_size=16, verbose=False)
    seen.clear()  # the rate of epoch 0 is asked for at the start
    history = trainer.fit(X[:60], y[:60], 6, validation=(X[60:], y[60:]))
    scores = list(zip(history["valid_error"], history["valid_loss"]))
    best = scores.index(min(scores))
    assert trainer.best_epoch == best + 1 < 6
    assert same(values(net), seen[best + 1])
    assert trainer.evaluate(X[60:], y[60:])[0] == pytest.approx(history["valid_loss"][best], rel=1e-5)


def test_without_validation_the_last_weights_stay():
    X, y = line()
    model = linear_model()
    start = values(model)
    trainer = regression(model)
    assert set(trainer.fit(X, y, 1)) == {"epoch", "train_loss", "learning_rate", "seconds"}
    assert not same(start, values(model)) and trainer.best_epoch is None


def test_patience_stops():
    X, y = blobs()
    trainer = Trainer(classifier(), learning_rate=lambda epoch: 0.0, patience=3, verbose=False)
    assert trainer.fit(X, y, 50, validation=(X, y))["epoch"] == [1, 2, 3, 4]


def test_learning_rate_schedules():
    X, y = line()
    trainer = regression(linear_model(), learning_rate=step_decay(0.1, every=2, factor=0.5), update=sgd)
    assert trainer.fit(X, y, 5)["learning_rate"] == [0.1, 0.1, 0.05, 0.05, 0.025]
    assert trainer.learning_rate == 0.025
    falling = [cosine(1.0, 4, end=0.2)(epoch) for epoch in range(6)]
    np.testing.assert_allclose(
        falling, [1, 0.2 + 0.4 * (1 + np.sqrt(0.5)), 0.6, 0.2 + 0.4 * (1 - np.sqrt(0.5)), 0.2, 0.2]
    )
    # The rate reaches the update: with rate 0 nothing moves.
    model = linear_model()
    start = values(model)
    regression(model, learning_rate=0.0, update=sgd).fit(X, y, 1)
    assert same(start, values(model))


def test_fit_goes_on_where_it_stopped():
    X, y = line()
    trainer = regression(linear_model())
    trainer.fit(X, y, 2)
    assert trainer.fit(X, y, 1)["epoch"] == [1, 2, 3]


def test_reset_gives_the_same_run_again():
    X, y = line()
    model = linear_model()
    start = values(model)
    trainer = regression(model, update=lambda *a, **k: momentum(*a, **k), learning_rate=0.05, batch_size=4, seed=7)
    first = dict(trainer.fit(X, y, 3))
    ended = values(model)
    lasagne_like.layers.set_all_param_values(model, start)
    trainer.reset(7)
    assert trainer.history == {}
    again = trainer.fit(X, y, 3)
    assert same(ended, values(model)) and again["train_loss"] == first["train_loss"]


def test_penalty_is_added_to_the_training_loss():
    X, y = line()
    model = linear_model()
    plain = regression(model, learning_rate=0.0, update=sgd).fit(X, y, 1)["train_loss"][0]
    penalty = T.sum(model.W**2)
    punished = regression(model, learning_rate=0.0, update=sgd, penalty=penalty)
    wanted = plain + (model.W.get_value() ** 2).sum()
    np.testing.assert_allclose(punished.fit(X, y, 1)["train_loss"][0], wanted, rtol=1e-4)


def test_output_in_a_pipe(capsys):
    X, y = blobs(20)
    Trainer(classifier(), verbose=True).fit(X, y, 3, validation=(X, y))
    out, err = capsys.readouterr()
    first, *epochs, last = out.splitlines()
    assert [text.split()[:2] for text in epochs] == [["epoch", "1"], ["epoch", "2"], ["epoch", "3"]]
    assert first.startswith("classification into 3 classes: loss categorical_crossentropy, int32 labels, metric error")
    assert last.startswith("weights: of epoch") and "the best by valid_error" in last
    assert all("valid error" in text for text in epochs) and err == ""
    Trainer(classifier(), verbose=False).fit(X, y, 1)
    assert capsys.readouterr() == ("", "")


def test_clear_errors():
    X, y = blobs(20)
    trainer = Trainer(classifier(), verbose=False)
    with pytest.raises(ValueError, match="X has 20 items and y has 19"):
        trainer.fit(X, y[:19], 1)
    with pytest.raises(ValueError, match="X holds no item"):
        trainer.evaluate(X[:0], y[:0])
    with pytest.raises(ValueError, match=r"X has shape \(20, 4\), but the network's input is \(None, 5\)"):
        trainer.fit(X[:, :4], y, 1)
    with pytest.raises(ValueError, match="y holds the classes 0 to 3, but the network has 3 outputs"):
        trainer.fit(X, np.arange(20) % 4, 1)
    trainer.evaluate(X, y.astype(np.int64))
    with pytest.raises(ValueError, match="batch_size=0"):
        Trainer(classifier(), batch_size=0)
    with pytest.raises(ValueError, match=r"\(8, 5\), with a fixed batch size: give None"):
        Trainer(DenseLayer(InputLayer((8, 5)), 3))
    two = lasagne_like.layers.ConcatLayer([InputLayer((None, 5), name="a"), InputLayer((None, 5), name="b")])
    with pytest.raises(ValueError, match=r"2 input layers \(a, b\): give a tuple of 2 arrays"):
        Trainer(two, verbose=False).fit(X, X, 1)
    net = classifier()
    freeze("*", net)
    with pytest.raises(ValueError, match="no trainable parameter"):
        Trainer(net, verbose=False).fit(X, y, 1)


# Losses that are not finite.


def caught(trainer, X, y):
    before = values(trainer.output_layer)
    with pytest.raises(NonFiniteLossError) as info:
        trainer.fit(X, y, 1)
    assert same(before, values(trainer.output_layer)), "a step with a loss that is not finite was taken"
    return info.value


def test_bad_input():
    X, y = blobs(20)
    X[7, 2] = np.nan
    error = caught(Trainer(classifier(), batch_size=20, verbose=False), X, y)
    assert error.origin == "input" and error.where == "epoch 1, batch 1"
    assert "1 NaN of 100 values, shape (20, 5)" in str(error)


def test_bad_target():
    X, y = line()
    y[3] = np.inf
    assert caught(regression(linear_model(), batch_size=10), X, y).origin == "target"


def test_bad_parameter():
    X, y = blobs(20)
    net = classifier()
    b = net.b.get_value()
    b[1] = np.nan
    net.b.set_value(b)
    with pytest.raises(NonFiniteLossError, match="parameter out.b .1 NaN of 3 values") as info:
        Trainer(net, batch_size=20, verbose=False).fit(X, y, 1)
    assert "lower the learning rate" in str(info.value)


def test_bad_layer():
    X, y = blobs(20)
    hidden = DenseLayer(InputLayer((None, 5)), 4, nonlinearity=linear, name="hidden")
    root = NonlinearityLayer(hidden, lambda x: T.sqrt(x), name="root")
    error = caught(Trainer(DenseLayer(root, 3, nonlinearity=softmax), batch_size=20, verbose=False), X, y)
    assert error.origin == "output of layer root (NonlinearityLayer)"
    assert "nonlinearity's domain" in str(error)


def test_bad_loss_and_penalty():
    X, y = line()
    error = caught(regression(linear_model(), loss=lambda p, t: T.log(-((p - t) ** 2) - 1)), X, y)
    assert error.origin == "loss" and "log(0)" in str(error)
    model = linear_model()
    error = caught(regression(model, penalty=T.log(-T.sum(model.W**2) - 1)), X, y)
    assert error.origin == "penalty"


def test_a_failing_step_and_its_diagnosis_leave_running_averages_alone():
    X, y = blobs(20)
    hidden = batch_norm(DenseLayer(InputLayer((None, 5)), 4, name="hidden"))
    net = DenseLayer(hidden, 3, nonlinearity=lambda x: T.log(-(x**2) - 1), name="out")
    trainer = Trainer(net, loss=lambda p, t: T.sum(p, axis=1) * t, error=None, batch_size=20, verbose=False)
    with pytest.raises(NonFiniteLossError, match="output of layer out"):
        trainer.fit(X, y, 1)
    (mean,) = (param for param in get_all_params(net) if param.name.endswith("mean"))
    np.testing.assert_array_equal(mean.get_value(), np.zeros(4))


def test_a_failure_keeps_the_best_weights():
    X, y = blobs(60)
    net = classifier()
    trainer = Trainer(net, update=sgd, learning_rate=0.05, batch_size=20, verbose=False)
    trainer.fit(X, y, 3, validation=(X, y))
    best = values(net)
    bad = X.copy()
    bad[:] = np.nan
    with pytest.raises(NonFiniteLossError):
        trainer.fit(bad, y, 1, validation=(X, y))
    assert same(best, values(net))


# Pictures.


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    history = {"epoch": [1, 2], "train_loss": [2.0, 1.0], "valid_loss": [2.1, 1.2], "valid_error": [0.5, 0.25]}
    figure = plot_history(history, tmp_path / "curve.png", title="a title")
    left, right = figure.axes
    assert [len(left.lines), len(right.lines)] == [2, 1]
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [50, 25])
    plot_errors(
        [10, 50], {"a": [0.2, 0.1], "b": [0.3, 0.2]}, tmp_path / "errors.svg", spread={"a": [0, 0], "b": [0, 0]}
    )
    for shape in ((6, 1, 5, 5), (6, 3, 5, 5), (6, 2, 5, 5), (49, 6)):
        assert sum(len(axes.images) for axes in plot_filters(np.ones(shape)).axes) == 6
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG" and (tmp_path / "errors.svg").exists()
    with pytest.raises(ValueError, match="holds no epoch"):
        plot_history({})
    with pytest.raises(ValueError, match=r"W has shape \(5,\)"):
        plot_filters(np.zeros(5))


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        plot_history({"epoch": [1], "train_loss": [1.0]})


def test_predictions_check_their_inputs_and_may_be_none():
    trainer = Trainer(classifier(), verbose=False)
    assert trainer.predict(np.zeros((0, 5))).shape == (0, 3)
    with pytest.raises(ValueError, match=r"X has shape \(2, 4\), but the network's input is \(None, 5\)"):
        trainer.predict(np.zeros((2, 4)))


def test_validation_must_be_a_pair():
    with pytest.raises(ValueError, match="validation must be a pair of inputs and targets, got a ndarray"):
        Trainer(classifier(), verbose=False).fit(*blobs(), 1, validation=blobs()[0])


def test_a_validation_loss_of_nan_is_never_the_best():
    net = linear_model()
    X, y = line()
    judged = [float("nan"), 3.0, float("nan")]
    judge = Metric("judged", whole=lambda prediction, target, weights: judged[trainer.epoch])
    trainer = regression(net, learning_rate=0.1, metrics=[judge])
    trainer.fit(X, y, 3, validation=(X, y))
    assert trainer.best_epoch == 2
