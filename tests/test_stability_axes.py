"""Logarithms of sums of exponentials and of softmaxes along any axes, and what is cut out of them, to second order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T

LOGITS = np.array([[800.0, 799.5, -40.0], [-800.0, 3.0, 2.0], [0.0, 1.0, -1000.0], [88.5, -88.5, 0.0]])
G = np.array([[1.0, -2.0, 0.5], [0.25, 1.0, 3.0], [-1.0, 2.0, 1.5], [0.75, 1.0, -0.5]])
V = np.array([[0.5, 1.0, -1.0], [2.0, 0.25, 1.0], [-0.5, 1.5, 1.0], [1.0, -1.0, 0.125]])
TOLERANCE = {"float32": 4e-6, "float64": 1e-12}


def weights(x: np.ndarray, axis: Any) -> np.ndarray:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def logsumexp(x: np.ndarray, axis: Any) -> np.ndarray:
    top = x.max(axis, keepdims=True)
    return np.log(np.exp(x - top).sum(axis, keepdims=True)) + top


def check(build: Callable, want: Callable, dtype: str, mode: str = "fast_run") -> None:
    """``build(x)`` against ``want(x)``: the tensor, its product with the Jacobian, and with the second derivative."""
    x, v = T.tensor(dtype=dtype, shape=(None, 3)), T.constant(V.astype(dtype))
    y = build(x)
    cost = (y * T.constant(G.astype(dtype))).sum() if y.ndim == 2 and not y.broadcastable[1] else y.sum()
    slope = T.grad(cost, x)
    bend = T.grad((slope * v).sum(), x)
    got = symc.function([x], [y, slope, bend], device="interp", mode=mode)(LOGITS.astype(dtype))
    for found, exact in zip(got, want(LOGITS)):
        np.testing.assert_allclose(found, exact, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def of_logsumexp(axis: Any, shift: float = 0) -> Callable:
    def want(x: np.ndarray) -> tuple[np.ndarray, ...]:
        p = weights(x, axis)
        return np.squeeze(logsumexp(x, axis), axis) + shift, p, p * (V - (p * V).sum(axis, keepdims=True))

    return want


SUMS: dict[str, Callable] = {
    "by hand": lambda x, axis: T.log(T.sum(T.exp(x), axis=axis)),
    "with the axes kept": lambda x, axis: T.log(T.exp(x).sum(axis=axis, keepdims=True)).sum(axis=axis),
    "after a transpose": lambda x, axis: T.log(T.exp(x).T.sum(axis=_mirrored(axis))),
    "logsumexp": lambda x, axis: T.nnet.logsumexp(x, axis=axis),
    "of two sums": lambda x, axis: T.log(0.5 * T.exp(x).sum(axis=axis) + 0.5 * T.exp(x).sum(axis=axis)),
    "centred by hand": lambda x, axis: (
        T.log(T.exp(x - T.max(x, axis=axis, keepdims=True)).sum(axis=axis)) + T.max(x, axis=axis)
    ),
}


def _mirrored(axis: Any) -> Any:
    return None if axis is None else tuple(1 - a for a in axis) if isinstance(axis, tuple) else 1 - axis


# the gradient of the largest of several equal ones is another matter
ALONG = [(f, a) for f in SUMS for a in (0, 1, (0, 1), None) if f != "centred by hand" or a == 1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("form", "axis"), ALONG)
def test_log_of_a_sum_of_exponentials(form: str, axis: Any, dtype: str) -> None:
    check(lambda x: SUMS[form](x, axis), of_logsumexp(axis if axis is not None else (0, 1)), dtype)


@pytest.mark.parametrize("axis", [0, 1])
def test_log_of_a_mean(axis: int) -> None:
    check(lambda x: T.log(T.exp(x).mean(axis=axis)), of_logsumexp(axis, -np.log(LOGITS.shape[axis])), "float64")


def of_logsoftmax(axis: Any) -> Callable:
    def want(x: np.ndarray) -> tuple[np.ndarray, ...]:
        p = weights(x, axis)
        bent = p * (V - (p * V).sum(axis, keepdims=True))
        return x - logsumexp(x, axis), G - p * G.sum(axis, keepdims=True), -bent * G.sum(axis, keepdims=True)

    return want


SOFTMAXES: dict[str, Callable] = {
    "log of softmax": lambda x, axis: T.log(T.nnet.softmax(x, axis=axis)),
    "by hand": lambda x, axis: T.log(T.exp(x) / T.exp(x).sum(axis=axis, keepdims=True)),
    "as a difference": lambda x, axis: x - T.log(T.exp(x).sum(axis=axis, keepdims=True)),
    "logsoftmax": lambda x, axis: T.nnet.logsoftmax(x, axis=axis),
    "after reshapes": lambda x, axis: T.log(T.nnet.softmax(x, axis=axis).reshape((-1, 1, 3))).reshape((-1, 3)),
    "after transposes": lambda x, axis: T.log(T.nnet.softmax(x, axis=axis).T).T,
    "after a join": lambda x, axis: T.log(
        T.concatenate([T.nnet.softmax(x, axis=axis)[:2], T.nnet.softmax(x, axis=axis)[2:]])
    ),
    "after slices": lambda x, axis: T.log(T.nnet.softmax(x, axis=axis)[::-1, ::-1])[::-1, ::-1],
    "after a repeat": lambda x, axis: T.log(T.repeat(T.nnet.softmax(x, axis=axis), 2, axis=0))[::2],
    "after tiling": lambda x, axis: T.log(T.tile(T.nnet.softmax(x, axis=axis), (1, 2)))[:, :3],
    "scaled": lambda x, axis: T.log(0.5 * T.nnet.softmax(x, axis=axis)) + np.log(2),
    "power": lambda x, axis: T.log(T.nnet.softmax(x, axis=axis) ** 3) / 3,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("form", SOFTMAXES)
def test_log_of_a_softmax(form: str, axis: int, dtype: str) -> None:
    check(lambda x: SOFTMAXES[form](x, axis), of_logsoftmax(axis), dtype)


LABELS = np.array([2, 0, 2, 1])
ENTROPIES: dict[str, Callable] = {
    "crossentropy": lambda x, y: T.nnet.categorical_crossentropy(T.nnet.softmax(x), y),
    "crossentropy by hand": lambda x, y: T.nnet.categorical_crossentropy(
        T.exp(x) / T.exp(x).sum(axis=1, keepdims=True), y
    ),
    "crossentropy after reshape": lambda x, y: T.nnet.categorical_crossentropy(
        T.nnet.softmax(x).reshape((2, 2, 3)).reshape((4, 3)), y
    ),
    "rows and labels": lambda x, y: -T.log(T.nnet.softmax(x)[T.arange(y.shape[0]), y]),
    "log before": lambda x, y: -T.log(T.nnet.softmax(x))[T.arange(y.shape[0]), y],
    "distributions": lambda x, y: T.nnet.categorical_crossentropy(T.nnet.softmax(x), T.to_one_hot(y, 3)),
    "one-hot inside": lambda x, y: -T.log((T.nnet.softmax(x) * T.to_one_hot(y, 3)).sum(axis=1)),
    "switch inside": lambda x, y: -T.log(
        T.switch(T.eq(T.arange(3), y.dimshuffle(0, "x")), T.nnet.softmax(x), 0).sum(axis=1)
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", ENTROPIES)
def test_crossentropies(form: str, dtype: str) -> None:
    def want(x: np.ndarray) -> tuple[np.ndarray, ...]:
        p = weights(x, 1)
        chosen = np.eye(3)[LABELS]
        value = (logsumexp(x, 1) - x)[np.arange(4), LABELS]
        return value, p - chosen, p * (V - (p * V).sum(1, keepdims=True))

    check(lambda x: ENTROPIES[form](x, T.constant(LABELS)), want, dtype)


def test_gradients_by_the_probabilities_too() -> None:
    """What is differentiated by is not looked behind, and all gradients are right."""
    x = T.dmatrix("x")
    p = T.nnet.softmax(x)
    cost = -(T.log(p) * T.constant(G)).sum()
    by_p, by_x = T.grad(cost, [p, x])
    near = np.array([[1.0, 2.0, 0.5]] * 4) + V
    got = symc.function([x], [by_p, by_x], device="interp")(near)
    soft = weights(near, 1)
    np.testing.assert_allclose(got[0], -G / soft, rtol=1e-10)
    np.testing.assert_allclose(got[1], soft * G.sum(1, keepdims=True) - G, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("wrong", ["p", "s"])
def test_gradients_in_stages_stay_finite(wrong: str) -> None:
    x = T.dvector("x")
    p = T.nnet.sigmoid(x) if wrong == "p" else T.exp(x) / (1 + T.exp(x))
    target = np.array([1.0, 0.0, 1.0, 0.0])
    cost = -(target * T.log(p) + (1 - target) * T.log(1 - p)).sum()
    by_p = T.grad(cost, p)
    by_x = T.grad(None, x, known_grads={p: by_p})
    values = np.array([-800.0, 800.0, 3.0, -1.0])
    got = symc.function([x], by_x, device="interp")(values)
    np.testing.assert_allclose(got, 1 / (1 + np.exp(-np.clip(values, -700, 700))) - target, rtol=1e-9, atol=1e-12)


def test_weights_that_are_zero_keep_their_gradients() -> None:
    x, w = T.dvector("x"), T.dvector("w")
    cost = T.log((w * T.exp(x)).sum())
    by_w, by_x = T.grad(cost, [w, x])
    points, amounts = np.array([800.0, 799.0, 801.0]), np.array([0.0, 2.0, 1.0])
    value, got_w, got_x = symc.function([x, w], [cost, by_w, by_x], device="interp")(points, amounts)
    powers = np.exp(points - 801)
    total = (amounts * powers).sum()
    np.testing.assert_allclose(value, np.log(total) + 801, rtol=1e-14)
    np.testing.assert_allclose(got_w, powers / total, rtol=1e-12)
    np.testing.assert_allclose(got_x, amounts * powers / total, rtol=1e-12)


def test_a_sum_over_nothing() -> None:
    x = T.tensor(dtype="float64", shape=(2, 0))
    y = T.dmatrix("y")
    f = symc.function([x, y], [T.log(T.exp(v).sum(axis=1)) for v in (x, y)], device="interp")
    for got in f(np.zeros((2, 0)), np.zeros((2, 0))):
        np.testing.assert_array_equal(got, [-np.inf, -np.inf])
