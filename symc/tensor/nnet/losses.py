"""Cross-entropies.

``symc.tensor.nnet.rules`` keeps them finite if the probabilities come from a softmax or a sigmoid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.graph import Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import floating, is_integer
from symc.graph.gradient_flow import Choice, Reach, Selected
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, call, cast, const, select
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, unify_dtypes
from symc.tensor.creation import arange
from symc.tensor.elementwise import elementwise
from symc.tensor.indices.gathers import GATHER, valid_index
from symc.tensor.indices.indexing import to_one_hot
from symc.tensor.indices.positions import iota
from symc.tensor.linalg import dot
from symc.tensor.nnet.activations import softmax

__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "confusion_matrix",
    "crossentropy_categorical_1hot",
    "crossentropy_softmax_1hot",
    "sigmoid_binary_crossentropy",
]

# --- classes given by number ------------------------------------------------------------------------------------------


def _1hot_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    p, y = inputs
    if p.ndim != y.ndim + 1:
        raise ShapeError(
            located(
                f"{op.name}: labels must have one axis less than the distributions, got {y.ndim} and {p.ndim}",
                inputs,
                "distributions are (batch, classes), labels (batch,)",
            )
        )
    if not is_integer(y.dtype):
        raise DTypeError(
            located(f"{op.name}: labels must be integers, got {y.dtype}", inputs, "cast them, or give distributions")
        )
    shape = [
        require_equal(a, b, f"{op.name}: labels and distributions differ on axis {k}", inputs)
        for k, (a, b) in enumerate(zip(p.type.shape, y.type.shape))
    ]
    return TensorType(p.dtype, shape)


def _labels(y: Variable, p: Variable) -> Variable:
    """Check the labels ``y`` as indices into the last axis of ``p``."""
    return valid_index(y, p, p.ndim - 1)


def _is_label(y: Variable, p: Variable) -> Variable:
    """A bool tensor of the shape of ``p``, true at the class of the row's label."""
    return ew.eq(iota(p, -1), _column(_labels(y, p)))


def _column(v: Variable) -> Variable:
    return dimshuffle(v, (*range(v.ndim), "x"))


def _picked(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    if np.any(y < -p.shape[-1]) or np.any(y >= p.shape[-1]):
        raise IndexError(f"a label is out of range for {p.shape[-1]} classes")
    return np.take_along_axis(p, y[..., None] % p.shape[-1], -1)[..., 0]


def _1hot_numpy(op: Op, p: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return -np.log(_picked(p, y))


def picked_classes(p: Variable, y: Variable) -> Variable:
    """The entry of each row of ``p`` that the row's label in ``y`` names; labels are checked when called."""
    at = [iota(y, k) for k in range(y.ndim)]
    return Op(GATHER, axes=tuple(range(p.ndim)), place=0)(p, *at, _labels(y, p))


def _1hot_decompose(op: Op, inputs: Sequence[Variable]) -> list[Variable]:
    return [-ew.log(picked_classes(*inputs))]


def _1hot_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Any]:
    p, y = inputs
    return [Selected(_is_label(y, p), -_column(gs[0]) / p, choice=Choice.POSITION), None]


def _1hot_reach(op: Op, inputs: Sequence[Variable], outputs: Any, counts: Variable) -> list[Any]:
    return [_column(counts), None]


def _softmax_1hot_numpy(op: Op, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        wide = x.astype("float64")
        return (np.logaddexp.reduce(wide, axis=-1) - _picked(wide, y)).astype(x.dtype)


def _softmax_1hot_decompose(op: Op, inputs: Sequence[Variable]) -> list[Variable]:
    x, y = inputs
    # Subtracting the largest element first makes the difference of the two terms exact even for large x.
    centred = x - reduce.largest(x, -1)
    own = reduce.sum(ew.switch(_is_label(y, x), centred, 0), axis=-1)
    return [ew.log(reduce.sum(ew.exp(centred), axis=-1)) - own]


def _softmax_1hot_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Any]:
    x, y = inputs
    p = softmax(x)
    return [ew.switch(_is_label(y, x), p - 1, p) * _column(gs[0]), None]


def _by_hand(scores: np.ndarray, y: np.ndarray, logits: bool) -> np.ndarray:
    """Compute the loss per row, of logits or probabilities; for the tests."""
    rows, labels = scores.astype("float64").reshape(-1, scores.shape[-1]), np.ravel(y).astype(int)
    found = []
    for row, label in zip(rows, labels):
        top = row.max() if logits else 0
        total = np.log(np.exp(row - top).sum()) + top if logits else 0
        found.append(total - (row[label] if logits else np.log(row[label])))
    return np.reshape(found, y.shape)


def _1hot_cases(kind: Record, low: float, high: float) -> list[Case]:
    def wanted(p: np.ndarray, y: np.ndarray) -> np.ndarray:
        return _by_hand(p, y, kind is CROSSENTROPY_SOFTMAX_1HOT)

    def build(p: Variable, y: Variable) -> Variable:
        return Op(kind)(p, y)

    return [
        Case(build, (Arg((4, 3), low=low, high=high), Arg((4,), "int64", 0, 3)), wanted),
        Case(build, (Arg((3, 5), low=low, high=high), Arg((3,), "int32", -5, 0)), wanted, label="labels from the end"),
        Case(build, (Arg((2, 3, 4), low=low, high=high), Arg((2, 3), "uint8", 0, 4)), wanted),
        Case(build, (Arg((7,), low=low, high=high), Arg((), "int64", 0, 7)), wanted),
        Case(build, (Arg((0, 3), low=low, high=high), Arg((0,), "int64", 0, 3)), wanted, grad=False),
        Case(build, (Arg((40, 33), low=low, high=high), Arg((40,), "int64", 0, 33)), wanted, grad=False),
    ]


CATEGORICAL_CROSSENTROPY_1HOT: Record = record(
    "categorical_crossentropy_1hot",
    infer=_1hot_infer,
    numpy=_1hot_numpy,
    grad=_1hot_grad,
    reach=Reach(_1hot_reach),
    decompose=_1hot_decompose,
    cases=lambda: _1hot_cases(CATEGORICAL_CROSSENTROPY_1HOT, 0.1, 1.0),
)

CROSSENTROPY_SOFTMAX_1HOT: Record = record(
    "crossentropy_softmax_1hot",
    infer=_1hot_infer,
    numpy=_softmax_1hot_numpy,
    grad=_softmax_1hot_grad,
    reach=Reach(_1hot_reach),
    bounded_slope=True,
    decompose=_softmax_1hot_decompose,
    cases=lambda: [
        *_1hot_cases(CROSSENTROPY_SOFTMAX_1HOT, -3.0, 3.0),
        Case(
            lambda x, y: Op(CROSSENTROPY_SOFTMAX_1HOT)(x, y),
            (Arg((2, 3), values=[1e4, 0, -1e4, 88, 90, 89]), Arg((2,), "int64", values=[1, 0])),
            lambda x, y: _by_hand(x, y, True),
            grad=False,
            label="extreme",
        ),
    ],
)


def categorical_crossentropy(coding_dist: Any, true_dist: Any) -> Variable:
    r"""Cross-entropy between predicted and true distributions, :math:`-\sum_j t_j \log p_j` per row.

    Parameters
    ----------
    coding_dist : tensor_like
        ``(..., classes)`` predicted probabilities, such as a softmax.
    true_dist : tensor_like
        Either ``(...)`` integers, the number of the true class of each row (negative numbers count from the end), or
        ``(..., classes)`` true probabilities.

    Returns
    -------
    Variable
        ``(...)``, the cross-entropy of every row.

    Raises
    ------
    ShapeError
        If the operands have neither the same number of axes nor the labels one less.
    IndexError
        At call time, if a label is not the number of a class.

    Notes
    -----
    Values and gradients stay finite if ``coding_dist`` is a softmax that underflows: a rule then computes from the
    logits. If probabilities are exactly zero, the cross-entropy is infinite.
    """
    p, t = as_tensor(coding_dist), as_tensor(true_dist)
    p = ew.cast(p, floating(p.dtype))
    if t.ndim == p.ndim - 1:
        return Op(CATEGORICAL_CROSSENTROPY_1HOT)(p, t)
    if t.ndim != p.ndim:
        raise ShapeError(
            located(
                f"categorical_crossentropy: true_dist must have as many axes as coding_dist "
                f"({p.ndim}), or one less, got {t.ndim}",
                [p, t],
                "give labels as (batch,) integers, or distributions as (batch, classes)",
            )
        )
    return -reduce.sum(t * ew.log(p), axis=-1)


def crossentropy_categorical_1hot(coding_dist: Any, true_one_of_n: Any) -> Variable:
    """``categorical_crossentropy`` for integer labels, under Theano's other name."""
    return categorical_crossentropy(coding_dist, true_one_of_n)


def crossentropy_softmax_1hot(x: Any, y_idx: Any) -> tuple[Variable, Variable]:
    """The cross-entropy of the softmax of logits, and the softmax.

    Parameters
    ----------
    x : tensor_like
        ``(..., classes)`` logits.
    y_idx : tensor_like
        ``(...)`` integers, the true classes.

    Returns
    -------
    pair of Variable
        ``(...)`` the cross-entropy, and ``(..., classes)`` the softmax.
    """
    x = as_tensor(x)
    x = ew.cast(x, floating(x.dtype))
    return Op(CROSSENTROPY_SOFTMAX_1HOT)(x, as_tensor(y_idx)), softmax(x)


# --- of two classes ---------------------------------------------------------------------------------------------------


def _unless_zero(factor: Expr, value: Expr) -> Expr:
    """Compute ``factor * value``, and 0 where ``factor`` is 0, for any ``value``."""
    zero = const(0, factor.dtype)
    return select(call("eq", factor, zero), zero, factor * value)


def _binary_body(o: Expr, t: Expr) -> Expr:
    return -(_unless_zero(t, call("log", o)) + _unless_zero(1.0 - t, call("log1p", -o)))


def _binary_numpy(o: np.ndarray, t: np.ndarray) -> np.ndarray:
    o, t = o.astype("float64"), t.astype("float64")
    return -(np.where(t == 0, 0, t * np.log(o)) + np.where(t == 1, 0, (1 - t) * np.log1p(-o)))


def _slope_body(g: Expr, o: Expr, t: Expr) -> Expr:
    zero = const(0, o.dtype)
    return select(call("eq", o, t), zero, g * (o - t) / (o * (1.0 - o)))


def _slope_numpy(g: np.ndarray, o: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.where(o == t, 0, g * (o - t) / (o * (1 - o)))


def _slope_grad(gs: Variable, y: Variable, g: Variable, o: Variable, t: Variable) -> Sequence[Variable]:
    spread = o * (1 - o)
    bend = (ew.sqr(o - t) + t * (1 - t)) / ew.sqr(spread)  # a sum of non-negative terms does not cancel
    return binary_slope(gs, o, t), gs * g * bend, -(gs * g) / spread


binary_slope = elementwise(
    "binary_crossentropy_slope", _slope_body, _slope_numpy, _slope_grad, domain=((-2, 2), (0.3, 0.7), (0.05, 0.25))
)
binary_of = elementwise(
    "binary_crossentropy",
    _binary_body,
    _binary_numpy,
    lambda g, y, o, t: (binary_slope(g, o, t), g * (ew.log1p(-o) - ew.log(o))),
    domain=((0.1, 0.9), (0.1, 0.9)),
)


# of the logarithms of both probabilities
binary_of_logs = elementwise(
    "binary_crossentropy_of_logs",
    lambda p, q, t: -(_unless_zero(t, p) + _unless_zero(1.0 - t, q)),
    lambda p, q, t: -(np.where(t == 0, 0, t * p) + np.where(t == 1, 0, (1 - t) * q)),
    lambda g, y, p, q, t: (-(g * t), g * (t - 1), g * (q - p)),
    domain=((-3, -0.1), (-3, -0.1), (0.1, 0.9)),
)


def _logits_body(x: Expr, t: Expr) -> Expr:
    # For t of 0 or 1 the last term is 0 or -|x|: nothing cancels.
    return call("softplus", -abs(x)) + _unless_zero(cast(x > 0, x.dtype) - t, x)


def _logits_numpy(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    x, factor = x.astype("float64"), (x > 0) - t.astype("float64")
    return np.logaddexp(0, -np.abs(x)) + np.where(factor == 0, 0, x * factor)


def _logits_slope_body(x: Expr, t: Expr) -> Expr:
    # sigmoid(x) - t from the smaller of the two probabilities, which is exact where the larger rounds to 1
    small = call("sigmoid", -abs(x))
    return select(x > 0, (1.0 - t) - small, small - t)


sigmoid_binary_slope = elementwise(
    "sigmoid_binary_crossentropy_slope",
    _logits_slope_body,
    lambda x, t: 0.5 * (1 + np.tanh(0.5 * x.astype("float64"))) - t,
    lambda g, y, x, t: (g * ew.sigmoid_slope(x), -g),
    bounded_slope=True,
    domain=((-3, 3), (0.1, 0.9)),
)
_sigmoid_binary = elementwise(
    "sigmoid_binary_crossentropy",
    _logits_body,
    _logits_numpy,
    lambda g, y, x, t: (g * sigmoid_binary_slope(x, t), -(g * x)),
    domain=((-3, 3), (0.1, 0.9)),
)


def binary_crossentropy(output: Any, target: Any) -> Variable:
    r"""Cross-entropy of a yes-or-no prediction, :math:`-t \log p - (1 - t) \log(1 - p)`.

    Parameters
    ----------
    output : tensor_like
        Probabilities in (0, 1), such as a sigmoid.
    target : tensor_like
        Values in [0, 1], broadcast with ``output``.

    Returns
    -------
    Variable
        The cross-entropy per element. A correct prediction of exactly 0 or 1 costs 0.

    Notes
    -----
    Values and gradients stay finite if ``output`` is a sigmoid that saturates: a rule then computes from its argument.
    """
    return binary_of(output, target)


def sigmoid_binary_crossentropy(output: Any, target: Any) -> Variable:
    """``binary_crossentropy`` of the sigmoid of ``output``, which is the argument of the sigmoid (a logit)."""
    return _sigmoid_binary(output, target)


# --- counting ---------------------------------------------------------------------------------------------------------


def confusion_matrix(actual: Any, pred: Any, n_classes: Any = None) -> list[Variable]:
    """Count how often each class was predicted as each other.

    Parameters
    ----------
    actual, pred : tensor_like
        ``(n,)`` non-negative integers, the true and the predicted classes.
    n_classes : int or integer scalar, optional
        Default: the largest number plus one.

    Returns
    -------
    list of two Variables
        ``(n_classes, n_classes)`` int64 counts, one row per true class and one column per predicted class; and the
        classes in order, ``arange(n_classes)``. Unlike Theano's, the matrix also has rows for classes that do not
        occur.
    """
    actual, pred = as_tensor(actual), as_tensor(pred)
    for v in (actual, pred):
        if v.ndim != 1 or not is_integer(v.dtype):
            raise ShapeError(located("confusion_matrix: expected vectors of integers", [actual, pred]))
    if n_classes is None:
        dtype = unify_dtypes([actual, pred])
        top = ew.maximum(reduce.max(ew.cast(actual, dtype)), reduce.max(ew.cast(pred, dtype)))
        n_classes = ew.cast(top, "int64") + 1
    rows, columns = (to_one_hot(v, n_classes, "int64") for v in (actual, pred))
    return [dot(dimshuffle(rows, (1, 0)), columns), arange(n_classes)]


explain_faults(globals())
