"""Activation functions: softmax and the family around the rectifier and the sigmoid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Constant, Variable
from symc.graph.dtypes import floating
from symc.graph.gradient_flow import Reach
from symc.graph.op import Arg, Case, Op, record
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.broadcasting import before_repetition
from symc.tensor.elementwise import sigmoid, softplus

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
    return x - reduce.max(x, axis=axis, keepdims=True)


def _softmax_decompose(op: Op, inputs: Sequence[Variable]) -> list[Variable]:
    powers = ew.exp(_centred(inputs[0], op["axis"]))
    # The largest power is 1, so the sum is at least 1 and its reciprocal is as good as dividing every element.
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
    return x - np.logaddexp.reduce(x, axis=axis, keepdims=True)


_SEARCHED = 2000
"""How many ops of a gradient are searched for a quotient, so that the search takes no time to speak of."""


def _times(g: Variable, p: Variable) -> Variable | None:
    """``g * p`` without the division by ``p`` that ``g`` is known to hold; None if it holds none.

    A gradient that comes through ``log(p)`` is a quotient by ``p``. Where ``p`` has underflowed to zero, multiplying
    by it again gives NaN; leaving both out is right, and is how the gradient of a cross-entropy of a softmax stays
    finite.
    """
    known: dict[Variable, Variable | None] = {}
    stack = [g]
    while stack:
        v = stack[-1]
        factors = () if v in known or len(known) > _SEARCHED else _may_hold_quotient(v)
        pending = [f for f in factors if f not in known]
        if pending:
            stack.extend(pending)
            continue
        stack.pop()
        if v not in known:
            known[v] = _without_quotient(v, p, known)
    return known[g]


def _may_hold_quotient(v: Variable) -> Sequence[Variable]:
    """The operands of ``v`` of which ``v`` has as many quotients as they have."""
    if v.owner is None or v.owner.op.record not in _CARRY_QUOTIENTS:
        return ()
    return v.owner.inputs[1:] if v.owner.op.record is ew.switch.op.record else v.owner.inputs


def _without_quotient(v: Variable, p: Variable, known: dict[Variable, Variable | None]) -> Variable | None:
    if v.owner is None:
        return None
    record_, inputs = v.owner.op.record, v.owner.inputs
    if record_ is ew.true_div.op.record:
        return inputs[0] if inputs[1] is p else None
    if record_ not in _CARRY_QUOTIENTS:
        return None
    parts = [known.get(f) for f in _may_hold_quotient(v)]
    if all(part is None for part in parts):
        return None
    if record_ is ew.mul.op.record:
        first, second = parts
        return first * inputs[1] if first is not None else inputs[0] * second
    made = [part if part is not None else _plain(f, p) for f, part in zip(_may_hold_quotient(v), parts)]
    if record_ is ew.switch.op.record:
        return ew.switch(inputs[0], *made)
    return _CARRY_QUOTIENTS[record_](*made)


def _plain(v: Variable, p: Variable) -> Variable:
    """``v * p``; what was not selected stays zero, whatever ``p`` is there."""
    source = before_repetition(v)
    return v if isinstance(source, Constant) and not source.data.any() else v * p


_CARRY_QUOTIENTS: dict[Any, Any] = {f.op.record: f for f in (ew.neg, ew.switch, ew.mul, ew.add, ew.sub)}


def _softmax_grad(
    op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]
) -> list[Variable]:
    (p,), (g,) = outputs, gs
    product = _times(g, p)
    if product is not None:
        return [product - p * reduce.sum(product, axis=op["axis"], keepdims=True)]
    return [p * (g - reduce.sum(g * p, axis=op["axis"], keepdims=True))]


def _logsoftmax_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Variable]:
    (x,), (g,) = inputs, gs
    return [g - Op(_softmax, axis=op["axis"])(x) * reduce.sum(g, axis=op["axis"], keepdims=True)]


def _row_reach(op: Op, inputs: Sequence[Variable], outputs: Any, counts: Variable) -> list[Variable]:
    return [reduce.any(counts, axis=op["axis"], keepdims=True)]


def _softmax_cases(function: Callable[..., Variable], oracle: str) -> Callable[[], list[Case]]:
    """``oracle`` is the name of SciPy's function, which only the tests need."""

    def wanted(x: np.ndarray, axis: int = -1) -> np.ndarray:
        from scipy import special

        return getattr(special, oracle)(x.astype("float64"), axis)

    return lambda: [
        Case(lambda x: function(x), (Arg((3, 4)),), wanted),
        Case(lambda x: function(x), (Arg((5,)),), wanted),
        Case(lambda x: function(x, axis=0), (Arg((3, 4)),), lambda x: wanted(x, 0)),
        Case(lambda x: function(x, axis=-2), (Arg((2, 3, 4)),), lambda x: wanted(x, 1)),
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


_softmax = record(
    "softmax",
    infer=_same_type,
    numpy=_wide(_softmax_numpy),
    grad=_softmax_grad,
    reach=Reach(_row_reach),
    bounded_slope=True,
    decompose=_softmax_decompose,
    cases=_softmax_cases(lambda x, **k: softmax(x, **k), "softmax"),
)

_logsoftmax = record(
    "logsoftmax",
    infer=_same_type,
    numpy=_wide(_logsoftmax_numpy),
    grad=_logsoftmax_grad,
    reach=Reach(_row_reach),
    bounded_slope=True,
    decompose=_logsoftmax_decompose,
    cases=_softmax_cases(lambda x, **k: logsoftmax(x, **k), "log_softmax"),
)


def _along(kind: Any, x: Any, axis: int) -> Variable:
    x = as_tensor(x)
    if x.ndim == 0:
        raise ShapeError(located(f"{kind.name}: expected at least one axis, got a scalar", [x]))
    return Op(kind, axis=normalize_axis(axis, x.ndim, kind.name, x))(ew.cast(x, floating(x.dtype)))


def softmax(x: Any, axis: int = -1) -> Variable:
    r"""Positive values that add up to one along an axis: :math:`p_j = e^{x_j} / \sum_k e^{x_k}`.

    Parameters
    ----------
    x : tensor_like
        Any shape with at least one axis. A vector stays a vector.
    axis : int
        The axis along which the values add up to one; default the last.

    Returns
    -------
    Variable
        The shape of ``x``, float. The largest element is subtracted first, so no finite ``x`` overflows.
    """
    return _along(_softmax, x, axis)


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
        The shape of ``x``, float.
    """
    return _along(_logsoftmax, x, axis)


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
        ``x`` without the axes in ``axis``; ``-inf`` where all its elements are.
    """
    x = as_tensor(x)
    x = ew.cast(x, floating(x.dtype))
    top = reduce.max(x, axis=axis, keepdims=True)
    # Infinities cannot be subtracted from themselves; 0 leaves them as they are.
    top = ew.switch(ew.isinf(top), 0, top)
    summed = ew.log(reduce.sum(ew.exp(x - top), axis=axis, keepdims=True)) + top
    return summed if keepdims else reduce.sum(summed, axis=axis)


# --- elementwise ------------------------------------------------------------------------------------------------------


def relu(x: Any, alpha: Any = 0) -> Variable:
    """``x`` where it is positive, else ``alpha * x``.

    Parameters
    ----------
    x : tensor_like
    alpha : float or tensor_like
        Slope of the negative part, broadcast with ``x``; 0 gives the rectifier.

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
    """A scaled ``elu`` whose constants keep mean 0 and variance 1 from layer to layer.

    References
    ----------
    .. [1] Günter Klambauer, Thomas Unterthiner, Andreas Mayr and Sepp Hochreiter (2017): Self-normalizing neural
    networks.
           arXiv:1706.02515.
    """
    return 1.0507009873554804934193349852946 * elu(x, 1.6732632423543772848170429916717)


def hard_sigmoid(x: Any) -> Variable:
    """A sigmoid of three straight pieces: ``clip(0.2 * x + 0.5, 0, 1)``."""
    return ew.clip(as_tensor(x) * 0.2 + 0.5, 0.0, 1.0)


def ultra_fast_sigmoid(x: Any) -> Variable:
    """A sigmoid without exponential, with Theano's three pieces for each sign: off by up to 0.028."""
    half = ew.abs_(as_tensor(x)) * 0.5
    far = ew.switch(ew.lt(half, 3), 0.935409070603099 + 0.0458812946797165 * (half - 1.7), 0.99505475368673)
    size = ew.switch(ew.lt(half, 1.7), 1.5 * half / (1 + half), far)
    return 0.5 * (ew.switch(ew.lt(x, 0), -size, size) + 1)


def softsign(x: Any) -> Variable:
    """``x / (1 + |x|)``."""
    x = as_tensor(x)
    return x / (1.0 + ew.abs_(x))
