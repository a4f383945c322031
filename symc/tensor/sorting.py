"""Sorting along an axis, its permutation, and the largest or smallest elements.

On the CPU, routines of the run-time library do the work; on a GPU, NumPy is called in mid-program. Sorts are stable.
NaN counts as larger than any number, and -0.0 as equal to 0.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import is_integer
from symc.graph.gradient_flow import ZERO
from symc.graph.op import Arg, Case, HostCall, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.routines import RoutineCall
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.broadcasting import broadcast_together
from symc.tensor.checked import checked_below
from symc.tensor.creation import zeros_like
from symc.tensor.ifelse import ifelse
from symc.tensor.indices.indexing import subtensor
from symc.tensor.indices.positions import iota
from symc.tensor.indices.subtensor_writing import inc_subtensor, set_subtensor
from symc.tensor.keywords import also_named
from symc.tensor.options import choice
from symc.tensor.shaping import flatten
from symc.tensor.symbolic_dims import as_dim

__all__ = ["argsort", "argtopk", "permute_row_elements", "sort", "topk", "topk_and_argtopk"]

_KINDS = ("quicksort", "mergesort", "heapsort", "stable")


def _grid(places: Variable, axis: int) -> tuple[Variable, ...]:
    """The index arrays that select, along ``axis``, the elements at ``places``."""
    return tuple(places if k == axis else iota(places, k) for k in range(places.ndim))


def _line(x: Any, axis: Any, what: str) -> tuple[Variable, int]:
    """``x`` and the axis, which None flattens."""
    x = as_tensor(x)
    if axis is None:
        return flatten(x), 0
    return x, normalize_axis(axis, x.ndim, what, x)


def _lines(node: Apply) -> list[dims.Dim]:
    """The shape of the operand as ``(outer, n, inner)``, with the axis in the middle."""
    shape, axis = node.inputs[0].type.shape, node.op["axis"]
    return [dims.product(shape[:axis]), shape[axis], dims.product(shape[axis + 1 :])]


def _check(what: str, kind: str, order: Any) -> None:
    choice(what, "kind", kind, tuple(_KINDS))
    if order is not None:
        raise ValueError(f"{what}: order= names fields of structured arrays, which symc does not have; leave it out")


# --- whole axes -----------------------------------------------------------------------------------------------------


def _sort_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    places = Op(ARGSORT, **op.attrs)(inputs[0])
    return [inc_subtensor(subtensor(zeros_like(inputs[0], gs[0].dtype), _grid(places, op["axis"])), gs[0])]


def _along(record: Record, x: Any, axis: Any, what: str) -> Variable:
    """An op along an axis; if that is a symbolic scalar, it is chosen when the function is called."""
    if not isinstance(axis, Variable) or isinstance(axis, Constant):
        x, axis = _line(x, axis, what)
        return Op(record, axis=axis)(x)
    x = as_tensor(x)
    if axis.ndim or not is_integer(axis.dtype):
        raise DTypeError(located(f"{what}: a symbolic axis must be an integer scalar", [x, axis]))
    if not x.ndim:
        normalize_axis(0, 0, what, x)  # an error: a scalar has no axis
    axis = checked_below(axis, x.ndim, f"{what}: there is no such axis", f"it has {x.ndim} axes", wrap=True)
    found = Op(record, axis=x.ndim - 1)(x)
    for k in range(x.ndim - 1):
        found = ifelse(ew.eq(axis, k), Op(record, axis=k)(x), found)
    return found


@also_named(a="x")
def sort(x: Any, axis: Any = -1, kind: str = "quicksort", order: None = None) -> Variable:
    """The elements of ``x`` in ascending order along ``axis``.

    Parameters
    ----------
    x : tensor_like
    axis : int or integer scalar, optional
        None sorts the flattened ``x``.
    kind : {"quicksort", "mergesort", "heapsort", "stable"}
        Names of NumPy's algorithms; every sort is stable here.

    Returns
    -------
    Variable
        The shape and dtype of ``x``. The gradient goes back to where the elements came from.
    """
    _check("sort", kind, order)
    return _along(SORT, x, axis, "sort")


SORT = record(
    "sort",
    infer=lambda op, inputs: inputs[0].type,
    numpy=lambda op, x: np.sort(x, op["axis"], "stable"),
    grad=_sort_grad,
    lower=HostCall(native=RoutineCall("sort", _lines)),
    cases=lambda: [
        Case(lambda x: sort(x), (Arg((3, 4), distinct=True),), expect=lambda x: np.sort(x)),
        Case(lambda x: sort(x, 0), (Arg((3, 4), distinct=True),), expect=lambda x: np.sort(x, 0)),
        Case(lambda x: sort(x, axis=1), (Arg((2, 4, 3), distinct=True),), expect=lambda x: np.sort(x, 1)),
        Case(lambda x: sort(x, axis=None), (Arg((2, 3), distinct=True),), expect=lambda x: np.sort(x, None)),
        Case(lambda x: sort(x), (Arg((0, 2)),), expect=np.copy, grad=False),
        Case(lambda x: sort(x), (Arg((5,), "int8", -9, 9),), expect=np.sort, grad=False),
        Case(lambda x: sort(x), (Arg((4,), values=[np.nan, 1, -np.inf, 0]),), expect=np.sort, grad=False),
    ],
)


@also_named(a="x")
def argsort(x: Any, axis: Any = -1, kind: str = "quicksort", order: None = None) -> Variable:
    """The int64 indices along ``axis`` that sort ``x``; parameters as for ``sort``.

    Equal elements keep their order, whatever ``kind`` says.
    """
    _check("argsort", kind, order)
    return _along(ARGSORT, x, axis, "argsort")


ARGSORT = record(
    "argsort",
    infer=lambda op, inputs: TensorType("int64", inputs[0].type.shape),
    numpy=lambda op, x: np.argsort(x, op["axis"], "stable"),
    grad=lambda op, inputs, outputs, gs: [ZERO],
    lower=HostCall(native=RoutineCall("argsort", _lines)),
    cases=lambda: [
        Case(lambda x: argsort(x), (Arg((3, 4), distinct=True),), expect=lambda x: np.argsort(x), grad=False),
        Case(
            lambda x, axis: argsort(x, axis), (Arg((3, 4), distinct=True), Arg((), "int64", values=-2)),
            expect=lambda x, axis: np.argsort(x, 0), grad=False,
        ),
        Case(lambda x: argsort(x, 0), (Arg((3, 4), distinct=True),), expect=lambda x: np.argsort(x, 0), grad=False),
        Case(
            lambda x: argsort(x, kind="stable"), (Arg((6,), "int32", values=[2, 1, 2, 1, 1, 2]),),
            expect=lambda x: np.array([1, 3, 4, 0, 2, 5]), grad=False,
        ),
    ],
)  # fmt: skip


# --- the largest elements -------------------------------------------------------------------------------------------


def _topk_infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    x, count = inputs
    shape = list(x.type.shape)
    number, known = as_dim(count), shape[op["axis"]]
    if isinstance(number, int) and isinstance(known, int) and number > known:
        text = f"topk: kth={number} is more than the {known} elements along axis {op['axis']}"
        raise ShapeError(located(text, [x], "choose a smaller kth"))
    shape[op["axis"]] = number
    return [TensorType(x.dtype, shape), TensorType("int64", shape)]


def _topk_numpy(op: Op, x: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The extreme elements, the most extreme first; of equal ones those at lower indices."""
    n, axis, length = int(count), op["axis"], x.shape[op["axis"]]
    if not 0 <= n <= length:
        raise ValueError(f"kth={n} is not within the {length} elements along axis {axis}")
    line = np.moveaxis(x, axis, -1)
    if _is_end(op):
        found = np.argsort(line, -1, "stable")[..., length - n :]
    else:
        found = _extreme_places(line, n, op["largest"])
    values = np.take_along_axis(line, found, -1)
    return np.ascontiguousarray(np.moveaxis(values, -1, axis)), np.ascontiguousarray(np.moveaxis(found, -1, axis))


def _extreme_places(line: np.ndarray, n: int, largest: bool) -> np.ndarray:
    """Places of the ``n`` most extreme elements along the last axis."""
    length = line.shape[-1]
    if 0 < 4 * n < length:
        border = length - n if largest else n - 1
        limit = np.take(np.partition(line, border, -1), [border], -1)
        inside, equal = (line > limit, line == limit) if largest else (line < limit, line == limit)
        if line.dtype.kind == "f":
            nan, beyond = np.isnan(line), np.isnan(limit)
            inside |= (nan & ~beyond) if largest else (beyond & ~nan)
            equal |= nan & beyond
        missing = n - inside.sum(-1, keepdims=True)
        chosen = inside | (equal & ~inside & (np.cumsum(equal & ~inside, -1) <= missing))
        places = np.nonzero(chosen)[-1].reshape(*line.shape[:-1], n)
        order = _order(np.take_along_axis(line, places, -1), largest)
        return np.take_along_axis(places, order, -1)
    return _order(line, largest)[..., :n].astype("int64")


def _order(line: np.ndarray, largest: bool) -> np.ndarray:
    """Sort stably, in descending order if ``largest``."""
    if not largest:
        return np.argsort(line, -1, "stable")
    return line.shape[-1] - 1 - np.argsort(line[..., ::-1], -1, "stable")[..., ::-1]


def _topk_params(node: Apply) -> list[dims.Dim]:
    largest = 2 if _is_end(node.op) else int(node.op["largest"])
    return [*_lines(node), node.outputs[0].type.shape[node.op["axis"]], largest]


def _is_end(op: Op) -> bool:
    """Whether the elements are those at the end of the sorted line, in its order; only the compiler makes such ops."""
    return bool(op.attrs.get("end"))


def _topk_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    x = inputs[0]
    return [set_subtensor(subtensor(zeros_like(x, gs[0].dtype), _grid(outputs[1], op["axis"])), gs[0]), None]


TOPK = record(
    "topk",
    infer=_topk_infer,
    numpy=_topk_numpy,
    grad=_topk_grad,
    lower=HostCall(native=RoutineCall("topk", _topk_params)),
    fallible=True,
    cases=lambda: [
        Case(
            lambda x: topk(x, 3), (Arg((2, 20), distinct=True),), expect=lambda x: -np.sort(-x)[:, :3]
        ),
        Case(
            lambda x: topk(x, -2, axis=0), (Arg((4, 3), distinct=True),), expect=lambda x: np.sort(x, 0)[:2]
        ),
        Case(
            lambda x: argtopk(x, 2), (Arg((3, 5), distinct=True),),
            expect=lambda x: np.argsort(-x)[:, :2], grad=False,
        ),
        Case(
            lambda x, n: topk(x, n, axis=None), (Arg((3, 4), distinct=True), Arg((), "int64", values=5)),
            expect=lambda x, n: -np.sort(-x.ravel())[:5],
        ),
    ],
)  # fmt: skip


def topk_and_argtopk(
    x: Any, kth: Any, axis: int | None = -1, sorted: bool = True, idx_dtype: str = "int64"
) -> list[Variable]:
    """The ``kth`` largest elements of ``x`` along ``axis``, and their indices.

    Parameters
    ----------
    x : tensor_like
    kth : int or integer scalar
        How many elements; a negative known number selects the smallest ones instead.
    axis : int, optional
        None treats ``x`` as flattened.
    sorted : bool
        The most extreme element is first in any case.
    idx_dtype : str
        The dtype of the indices, an integer dtype.

    Returns
    -------
    list of two Variables
        Values and indices: the shape of ``x`` with ``abs(kth)`` elements along ``axis``. Of equal elements those at
        lower indices are taken; NaN counts as the largest.

    Raises
    ------
    ShapeError, ValueError
        If there are fewer elements than ``kth``; at call time where one of the two is known only there.
    """
    x, axis = _line(x, axis, "topk")
    if not is_integer(idx_dtype):
        raise DTypeError(f"topk: idx_dtype must be an integer dtype, got {idx_dtype}")
    count = as_tensor(kth)
    if count.ndim or not is_integer(count.dtype):
        raise DTypeError(located("topk: kth must be an integer scalar", [count]))
    largest = True
    if isinstance(count, Constant):
        number = int(count.data)
        if number == 0:
            raise ValueError(located("topk: kth cannot be 0", [x]))
        largest, count = number > 0, as_tensor(abs(number))
    values, places = Op(TOPK, axis=axis, largest=largest).all(x, ew.cast(count, "int64"))
    return [values, ew.cast(places, idx_dtype)]


def topk(x: Any, kth: Any, axis: int | None = -1, sorted: bool = True, idx_dtype: str = "int64") -> Variable:
    """The ``kth`` largest elements of ``x`` along ``axis``; see ``topk_and_argtopk``."""
    return topk_and_argtopk(x, kth, axis, sorted, idx_dtype)[0]


def argtopk(x: Any, kth: Any, axis: int | None = -1, sorted: bool = True, idx_dtype: str = "int64") -> Variable:
    """The indices of the ``kth`` largest elements of ``x`` along ``axis``; see ``topk_and_argtopk``."""
    return topk_and_argtopk(x, kth, axis, sorted, idx_dtype)[1]


# --- permutations of rows -------------------------------------------------------------------------------------------


def permute_row_elements(x: Any, y: Any, inverse: bool = False) -> Variable:
    """Permute the elements of each row (along the last axis) of ``x`` by the permutation in the same row of ``y``.

    Parameters
    ----------
    x : tensor_like
        ``(..., n)``.
    y : tensor_like
        Integers ``(..., n)``: element k of a row of the result is element ``y[..., k]`` of the row of ``x``. Leading
        axes broadcast.
    inverse : bool
        Apply the inverse permutations.
    """
    x, y = as_tensor(x), as_tensor(y)
    if not is_integer(y.dtype):
        raise DTypeError(located("permute_row_elements: permutations must be integers", [y]))
    if not x.ndim or not y.ndim:
        raise ShapeError(located("permute_row_elements: expected at least one axis", [x, y]))
    x, places = broadcast_together("permute_row_elements", [x, y])
    if inverse:
        places = argsort(places, -1, "stable")
    return subtensor(x, _grid(places, x.ndim - 1))


explain_faults(globals())
