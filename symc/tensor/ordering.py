"""Distinct elements, places in sorted vectors, inverse permutations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.graph import Apply, Variable, dims
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import is_float, is_integer
from symc.graph.gradient_flow import ZERO
from symc.graph.op import Arg, Case, HostCall, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.routines import RoutineCall
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, normalize_axis, unify_dtypes
from symc.tensor.broadcasting import any
from symc.tensor.creation import arange, zeros_like
from symc.tensor.cumulative import cumsum
from symc.tensor.indices.indexing import subtensor
from symc.tensor.indices.positions import iota
from symc.tensor.indices.selection import flatnonzero
from symc.tensor.indices.subtensor_writing import set_subtensor
from symc.tensor.joining import concatenate
from symc.tensor.options import choice
from symc.tensor.recurrence import shifted
from symc.tensor.reshaping import reshape
from symc.tensor.shaping import flatten, moveaxis
from symc.tensor.sorting import argsort, sort
from symc.tensor.symbolic_dims import length

__all__ = ["Unique", "digitize", "inverse_permutation", "searchsorted", "unique"]


# --- distinct elements ----------------------------------------------------------------------------------------------


_row_order: Record = record(
    "row_order",
    infer=lambda op, inputs: TensorType("int64", inputs[0].type.shape[:1]),
    numpy=lambda op, x: np.lexsort(x.T[::-1]) if x.shape[1] else np.arange(len(x)),
    grad=lambda op, inputs, outputs, gs: [ZERO],
    lower=HostCall(),
    cases=lambda: [
        Case(
            lambda x: subtensor(x, Op(_row_order)(x)),
            (Arg((6, 2), "int32", values=[3, 1, 1, 2, 3, 0, 1, 2, 0, 9, 1, 1]),),
            lambda x: np.array(sorted(map(tuple, x))),
            grad=False,
        ),
        Case(lambda x: Op(_row_order)(x), (Arg((0, 3)),), lambda x: np.zeros(0, "int64"), grad=False),
    ],
)


def _begins(s: Variable) -> Variable:
    """Whether each entry of axis 0 of ``s``, which is sorted, differs from the one before; NaNs are equal."""
    if s.ndim == 1:
        before = shifted(s, backward=False)
    else:
        before = subtensor(s, ew.maximum(arange(length(s, 0)) - 1, 0))
    differs = ew.neq(s, before)
    if is_float(s.dtype):
        differs = ew.and_(differs, ew.invert(ew.and_(ew.isnan(s), ew.isnan(before))))
    if s.ndim > 1:
        differs = any(differs, axis=tuple(range(1, s.ndim)))
    return ew.or_(differs, ew.eq(iota(differs, 0), 0))


def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
) -> Any:
    """The distinct elements of ``ar``, in ascending order.

    Parameters
    ----------
    ar : tensor_like
    return_index, return_inverse, return_counts : bool
        Also return where each first occurs, which of them each element is, and how often each occurs.
    axis : int, optional
        Return the distinct parts along this axis, in lexicographic order; None flattens ``ar``.

    Returns
    -------
    Variable or list of Variable
        A vector, whose length is known only at call time, or ``ar`` with fewer entries along ``axis``; followed by what
        was asked for, all int64: vectors, but the inverse has the shape of ``ar`` where that is flattened.

    Notes
    -----
    All NaNs are equal. The gradient of an element goes back to its first occurrence.

    Examples
    --------
    >>> import symc.tensor as T
    >>> values, counts = T.unique([3, 1, 3, 3], return_counts=True)
    >>> values.eval(), counts.eval()
    (array([1, 3]), array([1, 3]))
    """
    ar = as_tensor(ar)
    if axis is None:
        x = flatten(ar) if ar.ndim != 1 else ar
        order = argsort(x) if return_index or return_inverse else None
        ordered = sort(x) if order is None else subtensor(x, order)
    else:
        place = normalize_axis(axis, ar.ndim, "unique", ar)
        x = moveaxis(ar, place, 0)
        rows = 1
        for k in range(1, x.ndim):
            rows = rows * length(x, k)
        order = Op(_row_order)(reshape(x, [length(x, 0), rows]))
        ordered = subtensor(x, order)
    begins = _begins(ordered)
    starts = flatnonzero(begins)
    values = subtensor(ordered, starts)
    found = [values if axis is None else moveaxis(values, 0, place)]
    if return_index:
        found.append(subtensor(order, starts))
    if return_inverse:
        numbers = cumsum(ew.cast(begins, "int64")) - 1
        inverse = set_subtensor(subtensor(zeros_like(numbers), order), numbers)
        found.append(inverse if axis is not None else reshape(inverse, [length(ar, k) for k in range(ar.ndim)]))
    if return_counts:
        end = dimshuffle(ew.cast(as_tensor(length(begins, 0)), "int64"), ("x",))
        found.append(subtensor(concatenate([starts, end]), slice(1, None)) - starts)
    return found[0] if len(found) == 1 else found


@dataclass(frozen=True)
class Unique:
    """Theano's op: ``Unique(return_index, return_inverse, return_counts, axis)(x)`` is ``unique(x, ...)``.

    The inverse is a vector.
    """

    return_index: bool = False
    return_inverse: bool = False
    return_counts: bool = False
    axis: int | None = None

    def __call__(self, x: Any, return_list: bool = False) -> Any:
        """Apply the op."""
        x = as_tensor(x)
        if self.axis is None and x.ndim != 1:
            x = flatten(x)
        found = unique(x, self.return_index, self.return_inverse, self.return_counts, self.axis)
        return [found] if return_list and not isinstance(found, list) else found


# --- places in sorted vectors ---------------------------------------------------------------------------------------


def _of_one_dtype(what: str, v: Any, x: Any) -> tuple[Variable, Variable]:
    v, x = as_tensor(v), as_tensor(x)
    if v.ndim != 1:
        raise ShapeError(located(f"{what}: expected a sorted vector, got {v.ndim} axes", [v]))
    dtype = unify_dtypes([v, x])
    return ew.cast(v, dtype), ew.cast(x, dtype)


def _sought(node: Apply, after: bool) -> list[dims.Dim]:
    """The lengths of the vector and of what is sought in it, and whether that belongs behind equal elements."""
    v, x = node.inputs
    return [v.type.shape[0], dims.product(x.type.shape), int(after)]


_searchsorted = record(
    "searchsorted",
    infer=lambda op, inputs: TensorType("int64", inputs[1].type.shape),
    numpy=lambda op, a, v: np.asarray(np.searchsorted(a, v, op["side"]), "int64"),
    grad=lambda op, inputs, outputs, gs: [ZERO, ZERO],
    lower=HostCall(native=RoutineCall("searchsorted", lambda node: _sought(node, node.op["side"] == "right"))),
    cases=lambda: [
        Case(
            lambda a, v, side=side: searchsorted(a, v, side),
            (Arg((5,), values=[-1, 0, 0, 2, np.nan]), Arg((2, 3), values=[0, -5, np.nan, 9, 2, 1])),
            lambda a, v, at=at: np.array(at).reshape(2, 3),
            grad=False,
        )
        for side, at in (("left", [1, 0, 4, 4, 3, 3]), ("right", [3, 0, 5, 4, 4, 3]))
    ],
)


def searchsorted(x: Any, v: Any, side: str = "left", sorter: Any = None) -> Variable:
    """Where the elements of ``v`` must be inserted into the sorted vector ``x`` to keep it sorted.

    Parameters
    ----------
    x : tensor_like
        A vector in ascending order; with ``sorter``, ``x[sorter]`` is in ascending order.
    v : tensor_like
    side : {'left', 'right'}
        Before or after equal elements.
    sorter : tensor_like, optional
        An integer vector, such as ``argsort(x)``.

    Returns
    -------
    Variable
        int64, the shape of ``v``. The derivative is zero.
    """
    choice("searchsorted", "side", side, ("left", "right"))
    x = as_tensor(x)
    if sorter is not None:
        sorter = as_tensor(sorter)
        if sorter.ndim != 1:
            raise ShapeError(located(f"searchsorted: sorter must be a vector, got {sorter.ndim} axes", [x, sorter]))
        if not is_integer(sorter.dtype):
            raise DTypeError(located("searchsorted: sorter must hold integers", [x, sorter]))
        x = subtensor(x, sorter)
    return Op(_searchsorted, side=side)(*_of_one_dtype("searchsorted", x, v))


_digitize = record(
    "digitize",
    infer=lambda op, inputs: TensorType("int64", inputs[1].type.shape),
    numpy=lambda op, bins, x: np.asarray(np.digitize(x, bins, op["right"]), "int64"),
    grad=lambda op, inputs, outputs, gs: [ZERO, ZERO],
    lower=HostCall(native=RoutineCall("digitize", lambda node: _sought(node, not node.op["right"]))),
    fallible=True,
    cases=lambda: [
        Case(
            lambda x, bins, right=right: digitize(x, bins, right),
            (Arg((4,), values=[0.5, 1, 3.5, -2]), Arg((3,), values=bins)),
            lambda x, bins, at=at: np.array(at),
            grad=False,
        )
        for right, bins, at in (
            (False, [0, 1, 3], [1, 2, 3, 0]), (True, [0, 1, 3], [1, 1, 3, 0]), (False, [3, 1, 0], [2, 1, 0, 3]),
        )
    ],
)  # fmt: skip


def digitize(x: Any, bins: Any, right: bool = False) -> Variable:
    """The number of the bin that each element of ``x`` is in.

    Parameters
    ----------
    x : tensor_like
    bins : tensor_like
        A vector of limits, ascending or descending; others raise a ValueError at call time.
    right : bool
        Whether bins include their right limit instead of their left one.

    Returns
    -------
    Variable
        int64, the shape of ``x``: bin k is from limit k - 1 to limit k.
    """
    return Op(_digitize, right=bool(right))(*_of_one_dtype("digitize", bins, x))


def inverse_permutation(perm: Any) -> Variable:
    """The inverse of permutations: element ``perm[k]`` of the result is k, along the last axis.

    Every row must hold each of the first integers once. The result has the dtype of ``perm``.
    """
    perm = as_tensor(perm)
    if not is_integer(perm.dtype) or not perm.ndim:
        raise DTypeError(located("inverse_permutation: expected integers with at least one axis", [perm]))
    return ew.cast(argsort(perm, -1), perm.dtype)


explain_faults(globals())
