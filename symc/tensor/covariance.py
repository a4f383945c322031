"""Covariance matrices."""

from __future__ import annotations

import functools
import operator
from typing import Any

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import floating
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.joining import concatenate
from symc.tensor.linalg import dot
from symc.tensor.options import integer

__all__ = ["cov"]


def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
) -> Variable:
    """The covariance matrix of the rows of ``m``, or of its columns with ``rowvar=False``, as ``numpy.cov``.

    Parameters
    ----------
    m, y : tensor_like
        ``(variables, observations)`` or ``(observations,)``; the variables of ``y`` follow those of ``m``.
    bias : bool
        Divide by the number of observations, not by one less.
    ddof : int, optional
        Divide by the number of observations minus ``ddof``; it overrides ``bias``.
    fweights : tensor_like, optional
        ``(observations,)``, how often each observation occurred.
    aweights : tensor_like, optional
        ``(observations,)``, how much each observation counts.
    """
    m = _variables_in_rows(m, rowvar)
    if y is not None:
        m = concatenate([m, _variables_in_rows(y, rowvar)], axis=0)
    rest = (0 if bias else 1) if ddof is None else integer("cov", "ddof", ddof, [m])
    if fweights is None and aweights is None:
        centred = m - reduce.mean(m, axis=1, keepdims=True)
        return dot(centred, centred.T.conj()) / ew.cast(m.shape[1] - rest, centred.dtype)
    weights, total, norm = _weights_of_observations(m, rest, fweights, aweights)
    centred = m - reduce.sum(m * weights, axis=1, keepdims=True) / total
    return dot(centred * weights, centred.T.conj()) / norm


def _weights_of_observations(m: Variable, ddof: int, fweights: Any, aweights: Any) -> tuple[Variable, ...]:
    """The weights, their sum, and what the weighted sum of squares is divided by."""
    given = [None if w is None else ew.cast(as_tensor(w), floating(m.dtype)) for w in (fweights, aweights)]
    for w in given:
        if w is not None and w.ndim != 1:
            raise ShapeError(located("cov: weights must be a vector with one entry per observation", [m, w]))
    weights: Any = functools.reduce(operator.mul, [w for w in given if w is not None])
    total = reduce.sum(weights)
    if not ddof:
        return weights, total, total
    if given[1] is None:
        return weights, total, total - ddof
    return weights, total, total - ddof * reduce.sum(weights * given[1]) / total


def _variables_in_rows(m: Any, rowvar: bool) -> Variable:
    m = as_tensor(m)
    if m.ndim not in (1, 2):
        raise ShapeError(located("cov: expected a vector or a matrix", [m]))
    m = m if m.ndim == 2 else dimshuffle(m, ("x", 0))
    return m if rowvar or m.type.broadcastable[0] else m.T


explain_faults(globals())
