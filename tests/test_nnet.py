"""Activations, cross-entropies and normalisation, especially where intermediate results are not finite."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import ShapeError

nnet = T.nnet
GRID = np.array([-1e4, -90.0, -20.0, -3.0, -1.0, -0.3, 0.3, 1.0, 3.0, 20.0, 90.0, 1e4], "float32")


def value_and_slope(function, x=GRID):
    v = T.vector("v")
    return symc.function([v], [function(v), T.grad(T.sum(function(v)), v)])(x)


# --- activations ------------------------------------------------------------------------------------------------------

WIDE = GRID.astype("float64")
SELU = (1.0507009873554805, 1.6732632423543773)


@pytest.mark.parametrize(
    "function, value, slope",
    [
        (nnet.relu, np.maximum(WIDE, 0), WIDE > 0),
        (lambda x: nnet.relu(x, 0.1), np.where(WIDE > 0, WIDE, 0.1 * WIDE), np.where(WIDE > 0, 1, 0.1)),
        (lambda x: nnet.relu(x, -1.0), np.abs(WIDE), np.sign(WIDE)),
        (nnet.leaky_relu, np.where(WIDE > 0, WIDE, 0.01 * WIDE), np.where(WIDE > 0, 1, 0.01)),
        (nnet.elu, np.where(WIDE > 0, WIDE, np.expm1(np.minimum(WIDE, 0))), np.exp(np.minimum(WIDE, 0))),
        (
            nnet.selu,
            np.where(WIDE > 0, SELU[0] * WIDE, SELU[0] * SELU[1] * np.expm1(np.minimum(WIDE, 0))),
            np.where(WIDE > 0, SELU[0], SELU[0] * SELU[1] * np.exp(np.minimum(WIDE, 0))),
        ),
        (nnet.softsign, WIDE / (1 + np.abs(WIDE)), 1 / (1 + np.abs(WIDE)) ** 2),
        (nnet.hard_sigmoid, np.clip(0.2 * WIDE + 0.5, 0, 1), np.where(np.abs(WIDE) < 2.5, 0.2, 0)),
        (nnet.softplus, np.logaddexp(0, WIDE), 0.5 * (1 + np.tanh(WIDE / 2))),
        (nnet.sigmoid, 0.5 * (1 + np.tanh(WIDE / 2)), 0.25 / np.cosh(np.clip(WIDE, -300, 300) / 2) ** 2),
    ],
)
def test_activation(function, value, slope) -> None:
    found, gradient = value_and_slope(function)
    np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)


def test_ultra_fast_sigmoid_is_near_the_sigmoid() -> None:
    x = np.linspace(-10, 10, 401).astype("float32")
    fast, slope = value_and_slope(nnet.ultra_fast_sigmoid, x)
    np.testing.assert_allclose(fast, 1 / (1 + np.exp(-x.astype("float64"))), atol=0.028)
    np.testing.assert_allclose(fast + fast[::-1], 1, atol=1e-6)
    assert (slope >= 0).all()


# --- softmax ----------------------------------------------------------------------------------------------------------


def test_softmax_keeps_the_number_of_axes_and_casts_whole_numbers() -> None:
    assert nnet.softmax(T.vector()).ndim == 1
    assert nnet.softmax(T.imatrix()).dtype == "float32"
    with pytest.raises(ShapeError, match="at least one axis"):
        nnet.softmax(T.scalar())
    with pytest.raises(ShapeError, match="axis 2"):
        nnet.softmax(T.matrix(), axis=2)


def test_softmax_of_rows_is_one_kernel() -> None:
    x = T.matrix("x")
    f = symc.function([x], nnet.softmax(x))
    assert len(f.specialisation.program.steps) == 1
    out = f(np.array([[1000.0, 0.0], [-1000.0, -1000.0]], "f4"))
    np.testing.assert_array_equal(out, [[1, 0], [0.5, 0.5]])


def test_logsumexp() -> None:
    x = T.matrix("x")
    f = symc.function([x], [nnet.logsumexp(x, axis=1), nnet.logsumexp(x), nnet.logsumexp(x, axis=0, keepdims=True)])
    a = np.array([[1000.0, 1000.0], [-np.inf, -np.inf], [0.0, 1.0]], "f4")
    rows, whole, columns = f(a)
    np.testing.assert_allclose(rows, [1000 + np.log(2), -np.inf, np.logaddexp(0, 1)], rtol=1e-6)
    np.testing.assert_allclose(whole, 1000 + np.log(2), rtol=1e-6)
    assert columns.shape == (1, 2)


# --- cross-entropies --------------------------------------------------------------------------------------------------

LOGITS = np.array([[0.0, 200.0, -300.0], [1e4, 0.0, 0.0], [1.0, 2.0, 3.0]], "float32")
LABELS = np.array([2, 1, 0])


def expected_loss():
    wide = LOGITS.astype("float64")
    log_p = wide - np.logaddexp.reduce(wide, axis=1, keepdims=True)
    p = np.exp(log_p)
    return -log_p[np.arange(3), LABELS], p - np.eye(3)[LABELS]


FORMS = {
    "labels": lambda x, y: nnet.categorical_crossentropy(nnet.softmax(x), y),
    "named": lambda x, y: nnet.crossentropy_softmax_1hot(x, y)[0],
    "logsoftmax": lambda x, y: -nnet.logsoftmax(x)[T.arange(x.shape[0]), y],
    "log of softmax": lambda x, y: -T.log(nnet.softmax(x))[T.arange(x.shape[0]), y],
    "distributions": lambda x, y: nnet.categorical_crossentropy(nnet.softmax(x), T.to_one_hot(y, 3)),
}


@pytest.mark.parametrize("mode", ["fast_run", "no_rewrite"])
@pytest.mark.parametrize("form", FORMS)
def test_cross_entropy_of_a_saturated_softmax(form: str, mode: str) -> None:
    """The probabilities of these labels are zero in float32; loss and gradient are finite and right all the same."""
    x, y = T.matrix("x"), T.lvector("y")
    loss = FORMS[form](x, y)
    f = symc.function([x, y], [loss, T.grad(loss.sum(), x)], mode=mode)
    found, gradient = f(LOGITS, LABELS)
    want_loss, want_gradient = expected_loss()
    np.testing.assert_allclose(found, want_loss, rtol=1e-6)
    np.testing.assert_allclose(gradient, want_gradient, rtol=1e-5, atol=1e-7)


def test_gradient_stays_finite_beside_other_uses_of_the_softmax() -> None:
    x, y = T.matrix("x"), T.lvector("y")
    p = nnet.softmax(x)
    cost = nnet.categorical_crossentropy(p, y).mean() * 3.0 + T.sum(p * p)
    gradient = symc.function([x, y], T.grad(cost, x))(LOGITS, LABELS)
    wide = expected_loss()[1]
    probabilities = wide + np.eye(3)[LABELS]
    own = 2 * probabilities * (probabilities - (probabilities**2).sum(1, keepdims=True))
    np.testing.assert_allclose(gradient, wide + own, rtol=1e-4, atol=1e-6)


def test_the_softmax_itself_stays_differentiable() -> None:
    x, y = T.matrix("x"), T.lvector("y")
    p = nnet.softmax(x)
    by_p = symc.function([x, y], T.grad(nnet.categorical_crossentropy(p, y).sum(), p))(LOGITS[2:], LABELS[2:])
    np.testing.assert_allclose(by_p, [[-1 / 0.09003057, 0, 0]], rtol=1e-5)


def test_softmax_cross_entropy_gathers_nothing() -> None:
    """The loss from logits is rows of comparisons: no gather or scatter in the program, forward or backward."""
    x, y = T.matrix("x"), T.lvector("y")
    loss = nnet.categorical_crossentropy(nnet.softmax(x), y).mean()
    f = symc.function([x, y], [loss, T.grad(loss, x)])
    names = " ".join(s.kernel.name for s in f.specialisation.program.steps)
    assert "gather" not in names and "scatter" not in names


@pytest.mark.parametrize("device", ["interp", "c"])
@pytest.mark.parametrize("form", ["labels", "named"])
def test_labels_out_of_range(form: str, device: str) -> None:
    x, y = T.matrix("x"), T.lvector("y")
    f = symc.function([x, y], FORMS[form](x, y), device=device)
    np.testing.assert_allclose(f(LOGITS[2:], [-1]), f(LOGITS[2:], [2]))
    for bad in (3, -4):
        with pytest.raises(IndexError):
            f(LOGITS[2:], [bad])


def test_cross_entropy_needs_fitting_operands() -> None:
    with pytest.raises(ShapeError, match="true_dist"):
        nnet.categorical_crossentropy(T.matrix(), T.tensor3())
    with pytest.raises(TypeError, match="integers"):
        nnet.categorical_crossentropy(T.matrix(), T.vector())
    with pytest.raises(ShapeError, match="differ on axis 0"):
        nnet.categorical_crossentropy(T.matrix(shape=(3, 4)), T.lvector(shape=(2,)))


def test_binary_cross_entropy_of_exact_probabilities() -> None:
    o, t = T.vector("o"), T.vector("t")
    f = symc.function([o, t], nnet.binary_crossentropy(o, t))
    np.testing.assert_allclose(
        f([0, 1, 0.25, 1], [0, 1, 0.5, 0]), [0, 0, -0.5 * np.log(0.25 * 0.75), np.inf], rtol=1e-6
    )


@pytest.mark.parametrize("mode", ["fast_run", "no_rewrite"])
@pytest.mark.parametrize("logits_given", [False, True])
def test_binary_cross_entropy_of_a_saturated_sigmoid(logits_given: bool, mode: str) -> None:
    x, t = T.vector("x"), T.vector("t")
    loss = nnet.sigmoid_binary_crossentropy(x, t) if logits_given else nnet.binary_crossentropy(nnet.sigmoid(x), t)
    f = symc.function([x, t], [loss, T.grad(loss.sum(), x)], mode=mode)
    for target in (0.0, 1.0, 0.3):
        found, gradient = f(GRID, np.full(len(GRID), target, "f4"))
        np.testing.assert_allclose(found, np.logaddexp(0, WIDE) - target * WIDE, rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(gradient, 0.5 * (1 + np.tanh(WIDE / 2)) - target, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("classes", [None, 4])
def test_confusion_matrix(classes) -> None:
    a, p = T.lvector("a"), T.lvector("p")
    counts, order = symc.function([a, p], nnet.confusion_matrix(a, p, classes))([2, 0, 2, 2, 0, 1], [0, 0, 2, 2, 0, 2])
    want = np.array([[2, 0, 0], [0, 0, 1], [1, 0, 2]])
    np.testing.assert_array_equal(counts[:3, :3], want)
    np.testing.assert_array_equal(order, np.arange(classes or 3))
    assert counts.sum() == 6


# --- batch normalisation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("axes, over", [("per-activation", (0,)), ("spatial", (0, 2, 3)), ((0, 3), (0, 3))])
def test_batch_normalization(rng, axes, over, full: bool) -> None:
    value = rng.normal(2, 3, size=(5, 4, 3, 2))
    shape = tuple(1 if k in over else n for k, n in enumerate(value.shape) if full or k not in over)
    given = [rng.uniform(0.5, 2, shape) for _ in range(4)]
    x = T.tensor("float64", shape=[None] * 4)
    params = [T.tensor("float64", shape=[None] * len(shape)) for _ in range(4)]
    train = nnet.batch_normalization_train(x, *params[:2], axes, 1e-3, 0.25, *params[2:])
    test = nnet.batch_normalization_test(x, *params, axes, 1e-3)
    out, mean, invstd, new_mean, new_var, fixed = symc.function([x, *params], [*train, test])(value, *given)
    m, v = value.mean(over, keepdims=True), value.var(over, keepdims=True)
    gamma, beta, run_mean, run_var = (g.reshape(m.shape) for g in given)
    n = value.size / m.size
    np.testing.assert_allclose(out, gamma * (value - m) / np.sqrt(v + 1e-3) + beta, rtol=1e-9)
    np.testing.assert_allclose(mean, m.reshape(shape), rtol=1e-9)
    np.testing.assert_allclose(invstd, (1 / np.sqrt(v + 1e-3)).reshape(shape), rtol=1e-9)
    np.testing.assert_allclose(new_mean, (0.75 * run_mean + 0.25 * m).reshape(shape), rtol=1e-9)
    np.testing.assert_allclose(new_var, (0.75 * run_var + 0.25 * v * n / (n - 1)).reshape(shape), rtol=1e-9)
    np.testing.assert_allclose(fixed, gamma * (value - run_mean) / np.sqrt(run_var + 1e-3) + beta, rtol=1e-9)


def test_batch_normalization_errors() -> None:
    with pytest.raises(ValueError, match="spatial"):
        nnet.batch_normalization_train(T.matrix(), T.vector(), T.vector(), axes="all")
    with pytest.raises(ShapeError, match="gamma must have 1 axes"):
        nnet.batch_normalization_train(T.tensor4(), T.matrix(), T.matrix(), axes="spatial")
    with pytest.raises(ValueError, match="mode"):
        nnet.batch_normalization(T.matrix(), 1, 0, 0, 1, mode="fast")
