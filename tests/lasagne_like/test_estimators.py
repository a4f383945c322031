"""Estimators: scikit-learn's own checks, and their work in pipelines, searches, cross-validation and pickles."""

import doctest
import pickle
import threading

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone
from sklearn.datasets import load_iris, make_moons
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import lasagne_like.estimators
from lasagne_like import layers, nonlinearities
from lasagne_like.estimators import NeuralNetClassifier, NeuralNetRegressor


@parametrize_with_checks([NeuralNetClassifier(), NeuralNetRegressor()])
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


MOONS = make_moons(200, noise=0.1, random_state=0)


def test_docstrings():
    found = doctest.testmod(lasagne_like.estimators)
    assert found.attempted >= 9 and not found.failed


def test_what_a_line_cannot_separate():
    X, y = MOONS
    model = NeuralNetClassifier((32,), epochs=100, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.97 > 0.9 > LogisticRegression().fit(X, y).score(X, y)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(X))
    assert model.n_iter_ == 100 and model.history_["train_loss"][-1] < model.history_["train_loss"][0]


def test_without_hidden_layers_it_is_the_linear_model():
    X = np.random.default_rng(0).normal(size=(300, 3))
    y = X @ [[1, 5], [-2, 0], [0, 3]] + [100, -4]
    model = NeuralNetRegressor((), l2=0, random_state=0, epochs=300).fit(X, y)
    np.testing.assert_allclose(model.predict(X), LinearRegression().fit(X, y).predict(X), atol=0.1)


def test_pipeline_search_and_cross_validation():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = make_pipeline(StandardScaler(), NeuralNetClassifier((8,), epochs=100, random_state=0))
    assert cross_val_score(model, X, names, cv=3).mean() > 0.9
    grid = {"neuralnetclassifier__network": [(4,), (8, 8)], "neuralnetclassifier__l2": [0, 1.0]}
    search = GridSearchCV(model, grid, cv=3).fit(X, names)
    assert search.best_score_ > 0.9 and set(search.predict(X)) == set(names)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores.round(6))) > 1  # the parameters arrive
    folds = KFold(3, shuffle=True, random_state=0)
    regression = cross_val_score(NeuralNetRegressor((16,), random_state=0, epochs=60), X[:, :3], X[:, 3], cv=folds)
    assert regression.mean() > 0.8


def test_pickled_estimators_predict_the_same():
    X, y = MOONS
    for model in (
        NeuralNetClassifier((8,), epochs=5),
        NeuralNetRegressor(8, epochs=5),
        NeuralNetClassifier(dropout=0.5, epochs=2),
    ):
        model.fit(X, y)
        data = pickle.dumps(model)
        assert len(data) < 20_000  # arrays, not compiled functions
        np.testing.assert_array_equal(pickle.loads(data).predict(X), model.predict(X))


def test_random_state():
    X, y = MOONS
    for options in ({}, {"dropout": 0.3}, {"validation_fraction": 0.2}):
        one, same, other = (
            NeuralNetClassifier((8,), epochs=5, random_state=seed, **options).fit(X, y).predict_proba(X)
            for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(one, same)
        assert np.abs(one - other).max() > 1e-3


def test_machines_are_shared_but_weights_are_not():
    X, y = MOONS
    models = [NeuralNetClassifier((6,), epochs=3, random_state=k).fit(X, y) for k in range(3)]
    first = [model.predict_proba(X) for model in models]
    NeuralNetClassifier((6,), epochs=3, learning_rate=0.1).fit(X, 1 - y)
    for model, probabilities in zip(models, first):
        np.testing.assert_array_equal(model.predict_proba(X), probabilities)
    assert len({p.tobytes() for p in first}) == 3


def test_threads():
    X, y = MOONS
    expected = [NeuralNetClassifier((5,), epochs=4, random_state=k).fit(X, y).predict_proba(X) for k in range(4)]
    found = {}

    def work(k):
        found[k] = NeuralNetClassifier((5,), epochs=4, random_state=k).fit(X, y).predict_proba(X)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        np.testing.assert_array_equal(found[k], expected[k])


def convnet(shape, outputs):
    layer = layers.InputLayer(shape)
    layer = layers.Conv2DLayer(layer, 4, 3)
    layer = layers.GlobalPoolLayer(layer)
    return layers.DenseLayer(layer, outputs, nonlinearity=nonlinearities.softmax)


def test_a_network_of_ones_own_for_pictures():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 1, 6, 7)).astype("float32")
    y = np.where(rng.random(120) < 0.5, "stripes", "noise")
    X[y == "stripes", :, ::2] += 2
    model = NeuralNetClassifier(convnet, epochs=30, learning_rate=0.02, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.9
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert clone(model).network is convnet
    network = model.network_
    assert isinstance(network, layers.DenseLayer)
    np.testing.assert_array_equal(layers.get_all_param_values(network)[0], model.weights_[0])
    with pytest.raises(ValueError, match=r"items of shape \(1, 7, 6\), but the network was fitted to \(1, 6, 7\)"):
        model.predict(X.transpose(0, 1, 3, 2))


def test_early_stopping_keeps_the_best_epoch():
    X, y = MOONS
    noisy = np.where(np.random.default_rng(0).random(200) < 0.3, 1 - y, y)
    model = NeuralNetClassifier((64,), l2=0, learning_rate=0.05, validation_fraction=0.3, patience=5, random_state=0)
    model.fit(X, noisy)
    assert model.n_iter_ < 200 and len(model.history_["valid_loss"]) == model.n_iter_
    best = int(np.argmin(model.history_["valid_loss"]))
    assert model.n_iter_ - 1 - best == 5


@pytest.mark.parametrize("options, message", [
    ({"network": (0,)}, r"network=\(0,\): expected the sizes"),
    ({"nonlinearity": "rectifiers"}, "nonlinearity='rectifiers'.*rectify"),
    ({"update": "adamw2"}, "update='adamw2'"),
    ({"epochs": 0}, "epochs=0"),
    ({"patience": 3}, "set validation_fraction"),
    ({"network": lambda shape, outputs: layers.DenseLayer(shape, outputs + 1)}, r"has shape \(None, 3\), expected"),
])  # fmt: skip
def test_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        NeuralNetClassifier(**options).fit(*MOONS)
