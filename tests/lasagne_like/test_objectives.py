import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like import objectives as obj


def run(function, *arrays):
    """Call a function of expressions with arrays."""
    arrays = [np.asarray(a) for a in arrays]
    inputs = [T.tensor(a.dtype.name, shape=(None,) * a.ndim) for a in arrays]
    return symc.function(inputs, function(*inputs))(*arrays)


@pytest.fixture
def probabilities(rng):
    scores = np.exp(rng.randn(6, 4))
    return scores / scores.sum(axis=1, keepdims=True)


CLASSES = np.array([0, 3, 1, 2, 2, 0], "int32")


def test_binary_crossentropy(rng, float64):
    p, t = rng.uniform(0.01, 0.99, (5, 3)), rng.randint(0, 2, (5, 3)).astype("float64")
    expected = -t * np.log(p) - (1 - t) * np.log(1 - p)
    np.testing.assert_allclose(run(obj.binary_crossentropy, p, t), expected)


def test_categorical_crossentropy(probabilities, float64):
    expected = -np.log(probabilities[np.arange(6), CLASSES])
    np.testing.assert_allclose(run(obj.categorical_crossentropy, probabilities, CLASSES), expected)
    np.testing.assert_allclose(run(obj.categorical_crossentropy, probabilities, np.eye(4)[CLASSES]), expected)


def test_squared_error(rng, float64):
    a, b = rng.randn(3, 4), rng.randn(3, 4)
    np.testing.assert_allclose(run(obj.squared_error, a, b), (a - b) ** 2)


@pytest.mark.parametrize("column_first", [True, False])
@pytest.mark.parametrize(
    "loss", [obj.squared_error, obj.binary_crossentropy, obj.huber_loss, obj.binary_hinge_loss, obj.binary_accuracy]
)
def test_a_column_of_predictions_meets_a_vector_of_targets(loss, column_first, float64):
    column, vector = T.tensor("float64", shape=(None, 1)), T.vector()
    values = np.array([0.2, 0.6, 0.9]), np.array([0.0, 1.0, 0.0])
    pair = (column, vector) if column_first else (vector, column)
    given = {pair[0]: values[0], pair[1]: values[1]}
    given[column] = given[column][:, None]
    result = loss(*pair).eval(given)
    assert result.shape == (3, 1)
    np.testing.assert_allclose(result[:, 0], run(loss, *values))


def test_aggregate(rng, float64):
    loss, weights = rng.uniform(0, 1, (5,)), rng.uniform(0, 1, (5,))
    np.testing.assert_allclose(run(obj.aggregate, loss), loss.mean())
    np.testing.assert_allclose(run(obj.aggregate, loss, weights), (loss * weights).mean())
    np.testing.assert_allclose(run(lambda x: obj.aggregate(x, mode="sum"), loss), loss.sum())
    np.testing.assert_allclose(
        run(lambda x, w: obj.aggregate(x, w, "normalized_sum"), loss, weights), (loss * weights).sum() / weights.sum()
    )


def test_aggregate_errors():
    with pytest.raises(ValueError, match="got 'median'"):
        obj.aggregate(T.vector(), mode="median")
    with pytest.raises(ValueError, match="require weights"):
        obj.aggregate(T.vector(), mode="normalized_sum")


def test_binary_hinge_loss(rng, float64):
    p, t = rng.randn(8), rng.randint(0, 2, 8).astype("float64")
    np.testing.assert_allclose(run(obj.binary_hinge_loss, p, t), np.maximum(0, 1 - p * (2 * t - 1)))
    np.testing.assert_allclose(
        run(lambda a, b: obj.binary_hinge_loss(a, b, delta=2, binary=False), p, 2 * t - 1),
        np.maximum(0, 2 - p * (2 * t - 1)),
    )
    sigmoid = 1 / (1 + np.exp(-p))
    np.testing.assert_allclose(
        run(lambda a, b: obj.binary_hinge_loss(a, b, log_odds=False), sigmoid, t),
        np.maximum(0, 1 - p * (2 * t - 1)),
        rtol=1e-9,
    )


def test_multiclass_hinge_loss(rng, float64):
    scores = rng.randn(6, 4)
    expected = []
    for row, target in zip(scores, CLASSES):
        wrong = np.delete(row, target).max()
        expected.append(max(0, wrong - row[target] + 0.7))
    for targets in (CLASSES, np.eye(4)[CLASSES]):
        result = run(lambda p, t: obj.multiclass_hinge_loss(p, t, delta=0.7), scores, targets)
        np.testing.assert_allclose(result, expected)
    with pytest.raises(TypeError, match="rank mismatch"):
        obj.multiclass_hinge_loss(T.matrix(), T.tensor3())


def test_multiclass_hinge_loss_gradient(rng, float64):
    p, t = T.matrix(), T.ivector()
    gradient = symc.grad(obj.multiclass_hinge_loss(p, t).sum(), p)
    scores = np.array([[0.1, 0.5, 0.2], [9.0, 0.0, 1.0]])
    result = symc.function([p, t], gradient)(scores, np.array([0, 0], "int32"))
    np.testing.assert_allclose(result, [[-1, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("delta", [1.0, 0.5])
def test_huber_loss(rng, delta, float64):
    a, b = rng.randn(20), rng.randn(20)
    d = abs(a - b)
    assert (d < delta).any() and (d > delta).any()
    expected = np.where(d <= delta, d**2 / 2, delta * (d - delta / 2))
    np.testing.assert_allclose(run(lambda p, t: obj.huber_loss(p, t, delta), a, b), expected)


def test_binary_accuracy(rng, float64):
    p, t = rng.uniform(0, 1, 20), rng.randint(0, 2, 20).astype("float64")
    assert np.array_equal(run(obj.binary_accuracy, p, t), (p >= 0.5) == t)
    assert np.array_equal(run(lambda a, b: obj.binary_accuracy(a, b, threshold=0.8), p, t), (p >= 0.8) == t)


@pytest.mark.parametrize("top_k", [1, 2, 3, 4])
@pytest.mark.parametrize("as_vectors", [False, True])
def test_categorical_accuracy(probabilities, top_k, as_vectors, float64):
    targets = np.eye(4)[CLASSES] if as_vectors else CLASSES
    best = np.argsort(-probabilities, axis=1)[:, :top_k]
    expected = (best == CLASSES[:, None]).any(axis=1)
    result = run(lambda p, t: obj.categorical_accuracy(p, t, top_k), probabilities, targets)
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("top_k, expected", [(1, [True, False]), (2, [True, True]), (3, [True, True])])
def test_categorical_accuracy_ranks_ties_by_class(top_k, expected, float64):
    tied = np.full((2, 3), 0.3)
    result = run(lambda p, t: obj.categorical_accuracy(p, t, top_k), tied, np.array([0, 1], "int32"))
    assert np.array_equal(result, expected)


def test_categorical_accuracy_of_nan_is_false(float64):
    broken = np.array([[np.nan, 0.1, 0.2]])
    result = run(lambda p, t: obj.categorical_accuracy(p, t, 2), broken, np.array([0], "int32"))
    assert not result.any()


def test_categorical_accuracy_errors():
    with pytest.raises(TypeError, match="rank mismatch"):
        obj.categorical_accuracy(T.matrix(), T.tensor3())
