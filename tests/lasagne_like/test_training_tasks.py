"""What a network is trained for: losses, metrics and targets that follow from the output layer, and the errors."""

import numpy as np
import pytest

import symc.tensor as T
from lasagne_like.layers import (
    BatchNormLayer,
    DenseLayer,
    DropoutLayer,
    FlattenLayer,
    InputLayer,
    NonlinearityLayer,
    batch_norm,
)
from lasagne_like.nonlinearities import LeakyRectify, linear, rectify, sigmoid, softmax, tanh
from lasagne_like.training import Metric, Trainer
from lasagne_like.training.ranking import auc, f1, precision, r2, recall
from lasagne_like.training.tasks import activation_of


def net(units, nonlinearity, features=4):
    return DenseLayer(InputLayer((None, features), name="input"), units, nonlinearity=nonlinearity, name="out")


def data(count=60, features=4, seed=0):
    return np.random.RandomState(seed).randn(count, features).astype("float32")


def trainer(units, nonlinearity, **kwargs):
    return Trainer(net(units, nonlinearity), **({"verbose": False, "learning_rate": 0.0} | kwargs))


def with_weights(made, W):
    made.output_layer.W.set_value(np.asarray(W, "float32"))
    return made


# The activation, and the loss that follows.


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: net(3, softmax), "softmax"),
        (lambda: net(3, T.nnet.softmax), "softmax"),
        (lambda: net(3, lambda x: T.exp(x) / T.exp(x).sum(axis=1, keepdims=True)), "softmax"),
        (lambda: net(1, lambda x: 1 / (1 + T.exp(-x))), "sigmoid"),
        (lambda: net(1, sigmoid), "sigmoid"),
        (lambda: FlattenLayer(net(1, sigmoid)), "sigmoid"),
        (lambda: DropoutLayer(net(3, softmax)), "softmax"),
        (lambda: net(3, None), "linear"),
        (lambda: net(3, lambda x: x * 1), "linear"),
        (lambda: net(3, LeakyRectify(0.1)), "LeakyRectify"),
        (lambda: batch_norm(net(3, softmax)), "softmax"),
        (lambda: BatchNormLayer(net(3, softmax)), ""),
        (lambda: NonlinearityLayer(net(3, None), softmax), "softmax"),
    ],
)
def test_the_activation_of_an_output(build, expected):
    assert activation_of(build()) == expected


def test_a_sigmoid_classifier_is_judged_by_its_threshold():
    """An argmax over one column would call every item class 0."""
    X = data()
    y = X[:, 0] > 0
    right = with_weights(trainer(1, sigmoid), [[50], [0], [0], [0]])
    assert right.evaluate(X, y)["error"] == 0
    assert right.evaluate(X, ~y)["error"] == 1
    for form in (y, y.astype(int), y[:, None], y.astype(float)):
        assert right.evaluate(X, form)["error"] == 0
    kind = right.objective.outputs[0]
    assert kind.kind == "binary" and kind.loss.__name__ == "binary_crossentropy"


def test_one_hot_targets_are_classes():
    X = data()
    y = X[:, :3].argmax(axis=1)
    made = with_weights(trainer(3, softmax), np.eye(4)[:, :3] * 50)
    labels, one_hot = made.evaluate(X, y), made.evaluate(X, np.eye(3)[y])
    assert labels["error"] == one_hot["error"] == 0
    np.testing.assert_allclose(labels, one_hot, atol=1e-6)
    assert made.evaluate(X, np.eye(3)[(y + 1) % 3])["error"] == 1
    np.testing.assert_allclose(made.evaluate(X, y[:, None]), labels)


def test_regression_reports_no_error():
    X = data()
    y = X @ [1, -2, 3, 0.5]
    made = with_weights(trainer(1, linear), [[1], [-2], [3], [0.5]])
    scores = made.evaluate(X, y + 2)
    assert list(scores.keys()) == ["loss", "rmse"]
    np.testing.assert_allclose(scores, [4, 2], rtol=1e-4)
    history = made.fit(X, y, 1, validation=(X, y))
    assert set(history) == {"epoch", "train_loss", "learning_rate", "valid_loss", "valid_rmse", "seconds"}


def test_multi_label():
    X = data()
    y = X[:, :3] > 0
    made = with_weights(trainer(3, sigmoid), np.eye(4)[:, :3] * 50)
    assert made.objective.outputs[0].kind == "multi-label"
    assert made.evaluate(X, y)["error"] == 0
    one_wrong = y.copy()
    one_wrong[:, 1] ^= True
    np.testing.assert_allclose(made.evaluate(X, one_wrong)["error"], 1 / 3, rtol=1e-5)


@pytest.mark.parametrize("columns", [False, True])
def test_a_vector_and_a_column_never_broadcast(columns):
    X = data()
    y = X @ [1, -2, 3, 0.5]
    W = np.array([[0.5], [0.5], [0], [0]], "float32")
    expected = np.mean((X @ W[:, 0] - y) ** 2)
    targets = y[:, None] if columns else y
    for loss in (None, lambda p, t: (p - t) ** 2, lambda p, t: T.mean((p - t) ** 2, axis=1)):
        made = with_weights(trainer(1, linear, loss=loss), W)
        np.testing.assert_allclose(made.evaluate(X, targets)["loss"], expected, rtol=1e-4)
    flat = Trainer(FlattenLayer(net(1, linear), outdim=1), learning_rate=0.0, verbose=False)
    flat.objective.layers[1].W.set_value(W)
    np.testing.assert_allclose(flat.evaluate(X, targets)["loss"], expected, rtol=1e-4)


def test_a_loss_that_crosses_items_is_refused():
    X = data()
    made = trainer(1, linear, loss=lambda p, t: (p - t.dimshuffle("x", 0)) ** 2)
    with pytest.raises(
        ValueError, match=r"broadcasts the prediction of shape \(None, 1\) against targets .*align_targets"
    ):
        made.fit(X, X[:, 0], 1)
    column = trainer(1, linear, loss=lambda p, t: (p[:, 0] - t) ** 2)
    np.testing.assert_allclose(
        column.evaluate(X, X[:, 0])["loss"], np.mean((column.predict(X)[:, 0] - X[:, 0]) ** 2), rtol=1e-4
    )
    with pytest.raises(ValueError, match="broadcasts the prediction"):
        column.evaluate(X, X[:, :1])


# Refusals, with the advice.


@pytest.mark.parametrize(
    ("units", "nonlinearity", "targets", "message"),
    [
        (3, softmax, lambda X: X[:, 0], "fractions such as .* nonlinearity=linear"),
        (3, softmax, lambda X: np.arange(60) % 4, "y holds the classes 0 to 3, but the network has 3 outputs"),
        (3, softmax, lambda X: np.eye(4)[np.arange(60) % 4], "must have 4 units for one-hot rows of 4 classes"),
        (3, softmax, lambda X: np.ones((60, 3)), "rows of the targets sum to 3.*nonlinearity=sigmoid"),
        (3, softmax, lambda X: np.array(["cat", "dog"] * 30), "numpy.unique"),
        (1, sigmoid, lambda X: np.where(X[:, 0] > 0, 1, -1), r"from -1 to 1.*\(y \+ 1\) / 2"),
        (1, sigmoid, lambda X: np.where(X[:, 0] > 0, 2, 1), "from 1 to 2.*y == 2"),
        (1, sigmoid, lambda X: np.arange(60) % 3, "one unit per class with nonlinearity=softmax"),
        (1, sigmoid, lambda X: np.eye(2)[np.arange(60) % 2], r"give y\[:, 1\], or use two units"),
        (3, sigmoid, lambda X: np.arange(60) % 3, "for one class per item use nonlinearity=softmax"),
        (3, linear, lambda X: np.arange(60) % 3, "for classes give it nonlinearity=softmax"),
        (3, linear, lambda X: X, r"targets have shape \(60, 4\), but the output layer out predicts \(None, 3\)"),
        (1, linear, lambda X: X, r"shape \(60, 4\), but the output layer out predicts \(None, 1\)"),
    ],
)
def test_targets_that_do_not_fit(units, nonlinearity, targets, message):
    X = data()
    made = trainer(units, nonlinearity)
    before = made.param_values()
    for source in ((X, targets(X), 1), ([(X, targets(X))], None, 1)):
        with pytest.raises(ValueError, match=message) as info:
            made.fit(*source)
        assert "astype" not in str(info.value)
    assert all(np.array_equal(before[name], value) for name, value in made.param_values().items())


@pytest.mark.parametrize(
    ("shape", "given", "advice"),
    [
        ((None, 3, 8, 6), (5, 8, 6, 3), r"channels-last.*X.transpose\(0, 3, 1, 2\)"),
        ((None, 3, 8, 8), (5, 1, 8, 8), "the pictures have 1 channels"),
        ((None, 1, 8, 6), (5, 8, 6), r"X\[:, None\]"),
        ((None, 3, 8, 6), (3, 8, 6), r"a single item.*X\[None\]"),
        ((None, 1, 8, 6), (5, 48), r"X.reshape\(-1, 1, 8, 6\)"),
        ((None, 48), (5, 1, 8, 6), r"X.reshape\(len\(X\), -1\)"),
        ((None, 3, 8, 6), (5, 3, 9, 9), "resize the pictures"),
        ((None, 4), (5, 3), r"expected \(4,\) per item, got \(3,\)"),
    ],
)
def test_inputs_that_do_not_fit(shape, given, advice):
    made = Trainer(DenseLayer(InputLayer(shape), 2, nonlinearity=softmax), verbose=False)
    with pytest.raises(ValueError, match=advice) as info:
        made.predict(np.zeros(given))
    transposes = "transpose" in str(info.value)
    assert not transposes or "X.reshape" not in str(info.value)


def test_losses_and_outputs_that_contradict_each_other():
    with pytest.raises(ValueError, match="softmax over one unit, which is always 1: use nonlinearity=sigmoid"):
        trainer(1, softmax)
    with pytest.raises(ValueError, match="needs probabilities, but the output layer out has the nonlinearity linear"):
        trainer(3, linear, loss="categorical_crossentropy")
    with pytest.raises(ValueError, match="nonlinearity rectify: give it nonlinearity=sigmoid"):
        trainer(1, rectify, loss="binary_crossentropy")
    with pytest.raises(ValueError, match="binary_crossentropy does not fit the softmax"):
        trainer(3, softmax, loss="binary_crossentropy")
    with pytest.raises(ValueError, match="metric 'auc' is not for regression.* use r2, rmse, mse, mae"):
        trainer(1, linear, metrics=["auc"])
    with pytest.raises(ValueError, match="metric 'r2' is not for classification"):
        trainer(3, softmax, metrics=["r2"])
    with pytest.raises(ValueError, match="metric 'top5' is always 1: the output out has 3 classes"):
        trainer(3, softmax, metrics=["top5"])


def test_a_variable_of_ones_own_for_the_targets():
    X = data()
    made = trainer(3, softmax, loss="categorical_crossentropy", target_var=T.lvector("y"))
    made.fit(X, np.arange(60) % 3, 1)
    with pytest.raises(ValueError, match="y holds the classes 0 to 3"):
        made.fit(X, np.arange(60) % 4, 1)
    with pytest.raises(TypeError, match="target_var y has dtype int64: give integers"):
        made.fit(X, np.arange(60) / 2, 1)
    with pytest.raises(ValueError, match=r"targets have shape \(60, 1\), but target_var y has 1 axes"):
        made.fit(X, np.zeros((60, 1), int), 1)


# Names.


def test_losses_and_optimisers_by_name():
    assert trainer(1, linear, loss="mse").objective.outputs[0].loss.__name__ == "squared_error"
    assert trainer(1, tanh, loss="huber_loss").objective.outputs[0].kind == "regression"
    assert trainer(1, linear, update="nesterov").update.__name__ == "nesterov_momentum"
    with pytest.raises(ValueError, match="loss='sqared_error' is unknown; perhaps you meant 'squared_error'"):
        trainer(1, linear, loss="sqared_error")
    assert trainer(1, linear, update="AdamW").update.__name__ == "adamw"
    with pytest.raises(ValueError, match="update='nadam' is unknown; here it is adam, or"):
        trainer(1, linear, update="nadam")
    with pytest.raises(TypeError, match="update must be a name .* got float"):
        trainer(1, linear, update=0.1)
    with pytest.raises(TypeError, match="learning_rate='cosine': expected a number.*Cosine"):
        trainer(1, linear, learning_rate="cosine")
    with pytest.raises(ValueError, match="learning_rate=-1: expected a finite number"):
        trainer(1, linear, learning_rate=-1)
    with pytest.raises(ValueError, match="metric 'acuracy' is unknown .perhaps you meant accuracy"):
        trainer(3, softmax, metrics=["acuracy"])
    with pytest.raises(TypeError, match="expected a Layer, a list of output layers or a dict"):
        Trainer("vgg16")
    for name, value in (("batch_size", "32"), ("seed", None), ("patience", 1.5), ("batch_size", True)):
        with pytest.raises(TypeError, match=f"{name}={value!r}: expected an integer"):
            trainer(1, linear, **{name: value})
    assert trainer(1, sigmoid, loss=T.nnet.binary_crossentropy).objective.outputs[0].kind == "binary"


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("optimizer", "update="),
        ("lr", "learning_rate"),
        ("criterion", "loss"),
        ("callbacks", "fit"),
        ("epochs", "fit"),
        ("btch_size", "perhaps you meant batch_size"),
    ],
)
def test_arguments_of_the_trainer_under_other_names(name, here):
    with pytest.raises(TypeError, match=f"Trainer has no argument '{name}'.*{here}"):
        trainer(1, linear, **{name: 1})


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("validation_data", "validation="),
        ("validation_split", "validation=0.2"),
        ("batch_size", "Trainer"),
        ("metrics", r"Trainer\(..., metrics"),
        ("sample_weight", "sample_weights"),
        ("class_weight", "class_weights"),
        ("resme", "perhaps you meant resume"),
    ],
)
def test_arguments_of_fit_under_other_names(name, here):
    with pytest.raises(TypeError, match=f"fit has no argument '{name}'.*{here}"):
        trainer(1, linear).fit(data(), data()[:, 0], 1, **{name: 1})


# Metrics, against definitions.


def test_auc_is_the_probability_of_the_right_order():
    rng = np.random.RandomState(3)
    scores, truth = rng.randint(0, 8, 60) / 8, rng.rand(60) < 0.4
    weights = rng.rand(60)
    pairs = [(i, j) for i in np.flatnonzero(truth) for j in np.flatnonzero(~truth)]
    wins = np.array([(scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]) for i, j in pairs])
    assert auc(scores[:, None], truth) == pytest.approx(wins.mean())
    of_pairs = np.array([weights[i] * weights[j] for i, j in pairs])
    assert auc(scores, truth, weights) == pytest.approx((of_pairs * wins).sum() / of_pairs.sum())
    two = np.stack([1 - scores, scores], axis=1)
    assert auc(two, truth.astype(int)) == pytest.approx(wins.mean())
    assert np.isnan(auc(scores, np.zeros(60)))


def test_f1_precision_and_recall_count():
    scores, truth = np.array([0.9, 0.8, 0.3, 0.6, 0.1, 0.2]), np.array([1, 0, 1, 1, 0, 0])
    assert precision(scores, truth) == pytest.approx(2 / 3) and recall(scores, truth) == pytest.approx(2 / 3)
    assert f1(scores, truth) == pytest.approx(2 / 3)
    classes = np.eye(3)[[0, 0, 1, 2, 2, 2]]
    labels = np.array([0, 1, 1, 2, 2, 0])
    per_class = [2 * 1 / (2 + 2), 2 * 1 / (1 + 2), 2 * 2 / (3 + 2)]
    assert f1(classes, labels) == pytest.approx(np.mean(per_class))
    assert f1(classes, np.eye(3)[labels]) == pytest.approx(np.mean(per_class))


def test_r2():
    rng = np.random.RandomState(0)
    t, p = rng.randn(20), rng.randn(20)
    assert r2(p[:, None], t) == pytest.approx(1 - ((t - p) ** 2).sum() / ((t - t.mean()) ** 2).sum())
    assert r2(t, t) == 1 and r2(np.full(20, t.mean()), t) == pytest.approx(0)
    w = rng.randint(0, 3, 20)
    assert r2(p, t, w) == pytest.approx(r2(np.repeat(p, w), np.repeat(t, w)))


def test_all_metrics_of_a_classifier():
    X = data(50, 6)
    y = np.random.RandomState(1).randint(0, 6, 50)

    def confidence(prediction, target):
        return T.max(prediction, axis=1)

    worst = Metric("worst", "min", whole=lambda p, t, w: float(p[np.arange(len(t)), t].min()))
    made = Trainer(
        net(6, softmax, 6), metrics=["error", "acc", "top2", "auc", confidence, worst], batch_size=16, verbose=False
    )
    scores = made.evaluate(X, y)
    p = made.predict(X)
    ranks = (p > p[np.arange(50), y][:, None]).sum(axis=1)
    assert scores["accuracy"] == pytest.approx((ranks == 0).mean()) and scores["error"] == pytest.approx(
        (ranks > 0).mean()
    )
    assert scores["top2"] == pytest.approx((ranks < 2).mean())
    assert scores["confidence"] == pytest.approx(p.max(axis=1).mean(), rel=1e-5)
    assert scores["worst"] == pytest.approx(p[np.arange(50), y].min())
    one_against_rest = [auc(p[:, k], y == k) for k in range(6)]
    assert scores["auc"] == pytest.approx(np.mean(one_against_rest))


def test_metrics_on_the_training_set_are_those_of_evaluate():
    X = data()
    y = (X[:, 0] > 0).astype(int)
    layer = DropoutLayer(DenseLayer(InputLayer((None, 4)), 8))
    made = Trainer(DenseLayer(layer, 2, nonlinearity=softmax), train_metrics=True, learning_rate=0.1, verbose=False)
    history = made.fit(X, y, 2)
    assert history["train_error"][-1] == pytest.approx(made.evaluate(X, y)["error"])
    source = Trainer(net(2, softmax), train_metrics=True, verbose=False)
    assert len(source.fit([(X, y)], epochs=2)["train_error"]) == 2


def test_scores_have_names_and_positions():
    made = trainer(3, softmax, metrics=["accuracy"])
    scores = made.evaluate(data(), np.arange(60) % 3)
    loss, accuracy = scores
    assert scores["loss"] == scores.loss == loss and scores[1] == scores["accuracy"] == accuracy
    assert dict(scores.as_dict()) == {"loss": loss, "accuracy": accuracy}
    with pytest.raises(KeyError, match="no quantity 'error': there are loss, accuracy"):
        scores["error"]
