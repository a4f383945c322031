"""Activation functions: softmax, and variants of the rectifier and the sigmoid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import floating
from symc.graph.gradient_flow import Reach
from symc.graph.op import Arg, Case, Op, Record, record
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.elementwise import sigmoid, softplus
from symc.tensor.keywords import also_named

__all__ = [
    "elu",
    "hard_sigmoid",
    "leaky_relu",
    "logsoftmax",
    "logsumexp",
    "relu",
    "selu",
    "sigmoid",
    "softmax",
    "softplus",
    "softsign",
    "ultra_fast_sigmoid",
]


# --- softmax ----------------------------------------------------------------------------------------------------------


def _centred(x: Variable, axis: int) -> Variable:
    return x - reduce.largest(x, axis)


def _softmax_decompose(op: Op, inputs: Sequence[Variable]) -> list[Variable]:
    powers = ew.exp(_centred(inputs[0], op["axis"]))
    # The largest power is 1, so the sum is at least 1 and multiplying by its reciprocal is as accurate as dividing.
    return [powers * ew.inv(reduce.sum(powers, axis=op["axis"], keepdims=True))]


def _logsoftmax_decompose(op: Op, inputs: Sequence[Variable]) -> list[Variable]:
    centred = _centred(inputs[0], op["axis"])
    return [centred - ew.log(reduce.sum(ew.exp(centred), axis=op["axis"], keepdims=True))]


def _wide(function: Callable[[np.ndarray, int], np.ndarray]) -> Callable[..., np.ndarray]:
    def oracle(op: Op, x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return function(x.astype("float64"), op["axis"]).astype(x.dtype)

    return oracle


def _softmax_numpy(x: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def _logsoftmax_numpy(x: np.ndarray, axis: int) -> np.ndarray:
    found = x
    for k in axis if isinstance(axis, tuple) else (axis,):
        found = np.logaddexp.reduce(found, axis=k, keepdims=True)
    return x - found


def _softmax_grad(
    op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]
) -> list[Variable]:
    (p,), (g,) = outputs, gs
    return [p * (g - reduce.sum(g * p, axis=op["axis"], keepdims=True))]


def _logsoftmax_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Variable]:
    (x,), (g,) = inputs, gs
    return [g - Op(SOFTMAX, axis=op["axis"])(x) * reduce.sum(g, axis=op["axis"], keepdims=True)]


def _row_reach(op: Op, inputs: Sequence[Variable], outputs: Any, counts: Variable) -> list[Variable]:
    return [reduce.any(counts, axis=op["axis"], keepdims=True)]


def _softmax_cases(
    function: Callable[..., Variable], oracle: str, over_two: Callable[[Variable], Variable]
) -> Callable[[], list[Case]]:
    """Build cases; ``oracle`` is the name of SciPy's function, which only tests import."""

    def wanted(x: np.ndarray, axis: Any = -1) -> np.ndarray:
        from scipy import special

        return getattr(special, oracle)(x.astype("float64"), axis)

    return lambda: [
        Case(lambda x: function(x), (Arg((3, 4)),), wanted),
        Case(lambda x: function(x), (Arg((5,)),), wanted),
        Case(lambda x: function(x, axis=0), (Arg((3, 4)),), lambda x: wanted(x, 0)),
        Case(lambda x: function(x, axis=-2), (Arg((2, 3, 4)),), lambda x: wanted(x, 1)),
        Case(over_two, (Arg((2, 3, 4)),), lambda x: wanted(x, (0, 2)), label="two axes"),
        Case(lambda x: function(x), (Arg((0, 3)),), lambda x: x, grad=False),
        Case(lambda x: function(x), (Arg((9, 37), low=-500, high=500),), wanted, grad=False, label="wide"),
        Case(
            lambda x: function(x),
            (Arg((2, 3), values=[1000.0, 0.0, -1000.0, -np.inf, 0.0, 1.0]),),
            wanted,
            grad=False,
            label="extreme",
        ),
    ]


def _same_type(op: Op, inputs: Sequence[Variable]) -> TensorType:
    return TensorType(inputs[0].dtype, inputs[0].type.shape)


@also_named(c="x")
def softmax(x: Any, axis: int = -1) -> Variable:
    r"""Softmax: positive values that add up to one along an axis, :math:`p_j = e^{x_j} / \sum_k e^{x_k}`.

    Parameters
    ----------
    x : tensor_like
        Any shape with at least one axis. A vector stays a vector.
    axis : int
        The axis along which the values add up to one; default the last.

    Returns
    -------
    Variable
        The shape of ``x``, in a float dtype. The largest element is subtracted first, so no finite ``x`` overflows.
    """
    return _along(SOFTMAX, x, axis)


SOFTMAX = record(
    "softmax",
    infer=_same_type,
    numpy=_wide(_softmax_numpy),
    grad=_softmax_grad,
    reach=Reach(_row_reach),
    bounded_slope=True,
    decompose=_softmax_decompose,
    nonnegative="always",
    bounded=True,
    log=lambda op, inputs: Op(LOGSOFTMAX, **op.attrs)(*inputs),
    cases=_softmax_cases(lambda x, **k: softmax(x, **k), "softmax", lambda x: softmax_over(x, (0, 2))),
)


@also_named(c="x")
def logsoftmax(x: Any, axis: int = -1) -> Variable:
    r"""The logarithm of :func:`softmax`, :math:`x_j - \log \sum_k e^{x_k}`, finite where the softmax underflows.

    Parameters
    ----------
    x : tensor_like
        Any shape with at least one axis.
    axis : int
        As in :func:`softmax`.

    Returns
    -------
    Variable
        The shape of ``x``, in a float dtype.
    """
    return _along(LOGSOFTMAX, x, axis)


LOGSOFTMAX: Record = record(
    "logsoftmax",
    infer=_same_type,
    numpy=_wide(_logsoftmax_numpy),
    grad=_logsoftmax_grad,
    reach=Reach(_row_reach),
    bounded_slope=True,
    decompose=_logsoftmax_decompose,
    cases=_softmax_cases(lambda x, **k: logsoftmax(x, **k), "log_softmax", lambda x: logsoftmax_over(x, (0, 2))),
)


# --- logarithm of a sum of exponentials -------------------------------------------------------------------------------


def _restored(ndim: int, axes: Sequence[int]) -> list[Any]:
    """The dimshuffle order that restores the reduced ``axes`` of a reduction's result with length 1."""
    kept = iter(range(ndim))
    return ["x" if k in axes else next(kept) for k in range(ndim)]


def _logsumexp_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    (x,) = inputs
    return TensorType(x.dtype, [d for k, d in enumerate(x.type.shape) if k not in op["axes"]])


def _logsumexp_decompose(op: Op, inputs: Sequence[Variable]) -> list[Variable]:
    (x,), axes = inputs, op["axes"]
    if any(type(d) is int and d == 0 for d in (x.type.shape[k] for k in axes)):  # an empty axis has no largest element
        return [ew.log(reduce.sum(x, axis=axes))]
    top = reduce.max(x, axis=axes)
    # The difference of equal infinities is NaN; subtracting 0 keeps infinities.
    top = ew.switch(ew.isinf(top), 0, top)
    return [ew.log(reduce.sum(ew.exp(x - reduce.restore(top, x, axes)), axis=axes)) + top]


def _logsumexp_numpy(op: Op, x: np.ndarray) -> np.ndarray:
    found = x.astype("float64")
    for axis in sorted(op["axes"], reverse=True):
        found = np.logaddexp.reduce(found, axis=axis)
    return np.asarray(found).astype(x.dtype)


def _logsumexp_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Variable]:
    (x,), axes = inputs, op["axes"]
    return [reduce.restore(gs[0], x, axes) * softmax_over(x, axes)]


def softmax_over(x: Variable, axes: Sequence[int]) -> Variable:
    """``exp(x) / sum(exp(x), axes)``; ``axes`` are counted from the front."""
    return Op(SOFTMAX, axis=axes[0] if len(axes) == 1 else tuple(axes))(x)


def logsoftmax_over(x: Variable, axes: Sequence[int]) -> Variable:
    """The logarithm of ``softmax_over``."""
    return Op(LOGSOFTMAX, axis=axes[0] if len(axes) == 1 else tuple(axes))(x)


LOGSUMEXP = record(
    "logsumexp",
    infer=_logsumexp_infer,
    numpy=_logsumexp_numpy,
    grad=_logsumexp_grad,
    reach=Reach(reduce.reduction_reach),
    bounded_slope=True,
    decompose=_logsumexp_decompose,
    cases=lambda: [
        Case(lambda x: logsumexp(x), (Arg((3, 4)),), lambda x: np.log(np.exp(x.astype("float64")).sum())),
        Case(lambda x: logsumexp(x, axis=0), (Arg((3, 4)),), lambda x: np.log(np.exp(x.astype("float64")).sum(0))),
        Case(
            lambda x: logsumexp(x, axis=(0, 2), keepdims=True),
            (Arg((2, 3, 4)),),
            lambda x: np.log(np.exp(x.astype("float64")).sum((0, 2), keepdims=True)),
        ),
        Case(
            lambda x: logsumexp(x, axis=1),
            (Arg((3, 2), values=[1000.0, 999.0, -np.inf, -np.inf, -1000.0, np.inf]),),
            expect=lambda x: np.logaddexp.reduce(x, axis=1),
            grad=False,
            label="extreme",
        ),
    ],
)


def _along(kind: Any, x: Any, axis: int) -> Variable:
    x = as_tensor(x)
    if x.ndim == 0:
        raise ShapeError(located(f"{kind.name}: expected at least one axis, got a scalar", [x]))
    return Op(kind, axis=normalize_axis(axis, x.ndim, kind.name, x))(ew.cast(x, floating(x.dtype)))


def softmax_graph(c: Any) -> Variable:
    """:func:`softmax` along the last axis. In Theano, the same as a graph of simpler ops, as softmax always is here."""
    return softmax(c)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    r""":math:`\log \sum_k e^{x_k}` over ``axis`` (None: all), without overflow.

    Parameters
    ----------
    x : tensor_like
    axis : int, sequence of int or None
    keepdims : bool
        Keep the reduced axes, with length 1.

    Returns
    -------
    Variable
        ``x`` without the axes in ``axis``; ``-inf`` where all reduced elements are.
    """
    x = as_tensor(x)
    x = ew.cast(x, floating(x.dtype))
    axes = reduce.normalize_axes(axis, x, "logsumexp")
    found = Op(LOGSUMEXP, axes=axes)(x) if axes else x
    return dimshuffle(found, _restored(x.ndim, axes)) if keepdims else found


# --- elementwise ------------------------------------------------------------------------------------------------------


def relu(x: Any, alpha: Any = 0) -> Variable:
    """``x`` where it is positive, else ``alpha * x``.

    Parameters
    ----------
    x : tensor_like
    alpha : float or tensor_like
        Slope of the negative part, broadcast with ``x``; 0 is the rectifier.

    Returns
    -------
    Variable
        The slope at 0 is that of the negative part.

    References
    ----------
    .. [1] Xavier Glorot, Antoine Bordes and Yoshua Bengio (2011): Deep sparse rectifier neural networks. AISTATS.
    """
    if not isinstance(alpha, Variable) and np.ndim(alpha) == 0 and alpha == 0:
        return ew.relu(x)
    x = as_tensor(x)
    return ew.switch(ew.gt(x, 0), x, x * alpha)


def leaky_relu(x: Any, alpha: float = 0.01) -> Variable:
    """``relu`` with a small slope for the negative part, ``alpha``."""
    return relu(x, alpha)


def elu(x: Any, alpha: Any = 1) -> Variable:
    """``x`` where it is positive, else ``alpha * (exp(x) - 1)``.

    References
    ----------
    .. [1] Djork-Arné Clevert, Thomas Unterthiner and Sepp Hochreiter (2015): Fast and accurate deep network learning by
           exponential linear units. arXiv:1511.07289.
    """
    x = as_tensor(x)
    return ew.switch(ew.gt(x, 0), x, alpha * ew.expm1(x))


def selu(x: Any) -> Variable:
    """A scaled ``elu`` whose constants preserve mean 0 and variance 1 across layers.

    References
    ----------
    .. [1] Günter Klambauer, Thomas Unterthiner, Andreas Mayr and Sepp Hochreiter (2017): Self-normalizing neural
    networks.
           arXiv:1706.02515.
    """
    return 1.0507009873554804934193349852946 * elu(x, 1.6732632423543772848170429916717)


def hard_sigmoid(x: Any) -> Variable:
    """A piecewise linear sigmoid: ``clip(0.2 * x + 0.5, 0, 1)``."""
    return ew.clip(as_tensor(x) * 0.2 + 0.5, 0.0, 1.0)


def ultra_fast_sigmoid(x: Any) -> Variable:
    """An approximation of the sigmoid without an exponential: three pieces per sign, with errors up to 0.028."""
    half = ew.abs_(as_tensor(x)) * 0.5
    far = ew.switch(ew.lt(half, 3), 0.935409070603099 + 0.0458812946797165 * (half - 1.7), 0.99505475368673)
    size = ew.switch(ew.lt(half, 1.7), 1.5 * half / (1 + half), far)
    return 0.5 * (ew.switch(ew.lt(x, 0), -size, size) + 1)


def softsign(x: Any) -> Variable:
    """``x / (1 + |x|)``."""
    x = as_tensor(x)
    return x / (1.0 + ew.abs_(x))


explain_faults(globals())
