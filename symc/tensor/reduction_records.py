"""Construction of reductions: typing rule, oracle, reach and cases, and helpers of the public functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.graph import Variable, dtypes
from symc.graph.dtypes import as_dtype, is_float
from symc.graph.op import Arg, Case, Op, Record
from symc.graph.types import TensorType
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.conversion import cast

__all__ = [
    "Axis", "accumulated", "checked_accumulator", "logic_cases", "normalize_axes", "oracle_of", "reduce_over",
    "reduced_type", "reduction_cases", "reduction_reach", "with_axes_kept",
]  # fmt: skip


Axis = Any


def normalize_axes(axis: Axis, x: Variable, what: str) -> tuple[int, ...]:
    """Convert ``axis`` (None, an integer or a sequence of integers) to a sorted tuple of non-negative axis numbers.

    A scalar has no axis; as in NumPy, it may be reduced over axis 0 or -1 nevertheless.
    """
    if axis is None or (x.ndim == 0 and isinstance(axis, (int, np.integer)) and axis in (0, -1)):
        return tuple(range(x.ndim))
    entries = axis if isinstance(axis, (tuple, list, range)) else [axis]
    found = sorted(normalize_axis(a, x.ndim, what, x) for a in entries)
    if len(set(found)) != len(found):
        raise ShapeError(located(f"{what}: an axis is given twice in {tuple(entries)}", [x]))
    return tuple(found)


def reduced_type(op: Op, inputs: Sequence[Variable]) -> TensorType:
    """The type without the reduced axes, in the dtype in which the elements are combined."""
    (x,) = inputs
    return TensorType(op.attrs.get("dtype") or x.dtype, [d for k, d in enumerate(x.type.shape) if k not in op["axes"]])


def reduction_reach(op: Op, inputs: Sequence[Variable], outputs: Any, counts: Variable) -> list[Variable]:
    """All elements that are reduced to one element count if that element does."""
    return [with_axes_kept(counts, inputs[0], op["axes"])]


def oracle_of(function: Callable[..., Any], wide: bool) -> Callable[..., np.ndarray]:
    """The NumPy implementation of a reduction by ``function``; ``wide`` combines floats in float64."""

    def oracle(op: Op, x: np.ndarray) -> np.ndarray:
        dtype = op.attrs.get("dtype") or x.dtype.name
        with np.errstate(all="ignore"):
            if wide and is_float(dtype):
                return np.asarray(function(x.astype("float64"), axis=op["axes"])).astype(dtype)
            return np.asarray(function(x.astype(dtype), axis=op["axes"])).astype(dtype)

    return oracle


def reduction_cases(
    function: Callable[..., Variable], oracle: Callable[..., Any], low: float = -2, distinct: bool = False
) -> Callable[[], list[Case]]:
    """Cases of the public ``function`` over various axes.

    Values are at least ``low``, and ``distinct`` where ties matter.
    """

    def wide(x: np.ndarray, **options: Any) -> Any:
        return oracle(x.astype("float64") if x.dtype.kind == "f" else x, **options)

    def cases() -> list[Case]:
        shapes = [
            ((3, 4), 1),
            ((3, 4), 0),
            ((2, 3, 5), (0, 2)),
            ((2, 3, 5), 1),
            ((2, 3, 4), None),
            ((40, 33), 0),
            ((3, 70), 1),
            ((5,), 0),
        ]
        made = [
            Case(
                lambda x, axis=axis: function(x, axis=axis),
                (Arg(shape, low=low, distinct=distinct),),
                lambda x, axis=axis: wide(x, axis=axis),
                grad=bool(np.prod(shape) < 50),
            )
            for shape, axis in shapes
        ]
        made.append(
            Case(
                lambda x: function(x, axis=1, keepdims=True),
                (Arg((3, 4), low=low, distinct=distinct),),
                lambda x: wide(x, axis=1, keepdims=True),
            )
        )
        special = Arg((2, 3), values=[1, np.nan, np.inf, 2, 3, -np.inf])
        made += [
            Case(lambda x: function(x, axis=0), (arg,), lambda x: wide(x, axis=0), grad=False)
            for arg in (Arg((3, 4), "int32", -5, 5), special)
        ]
        return made

    return cases


def logic_cases(function: Callable[..., Variable], oracle: Callable[..., Any]) -> Callable[[], list[Case]]:
    """Cases of a reduction of bools, for the public ``function``."""
    return lambda: [
        Case(lambda x: function(x, axis=1), (Arg((4, 3), "bool"),), lambda x: oracle(x, axis=1), grad=False),
        Case(lambda x: function(x), (Arg((40,), "bool"),), oracle, grad=False),
    ]


def reduce_over(kind: Record, x: Any, axis: Axis, keepdims: bool, dtype: str | None) -> Variable:
    """Reduce ``x`` over ``axis`` with the record ``kind``, combining elements in ``dtype`` (None: that of ``x``)."""
    x = as_tensor(x)
    axes = normalize_axes(axis, x, kind.name)
    x = cast(x, dtype) if dtype else x
    if not axes:
        return x
    out = Op(kind, axes=axes, dtype=dtype)(x)
    return with_axes_kept(out, x, axes) if keepdims else out


def with_axes_kept(out: Variable, x: Variable, axes: Sequence[int]) -> Variable:
    """Restore the reduced ``axes`` of a reduction of ``x`` as axes of 1."""
    remaining = iter(range(out.ndim))
    return dimshuffle(out, ["x" if k in axes else next(remaining) for k in range(x.ndim)])


def _accumulator(x: Variable, dtype: str | None) -> str | None:
    if dtype is not None:
        return as_dtype(dtype)
    if x.dtype == "bool" or x.dtype.startswith("int"):
        return "int64" if x.dtype != "int64" else None
    return "uint64" if x.dtype.startswith("uint") and x.dtype != "uint64" else None


def accumulated(kind: Record, x: Any, axis: Axis, dtype: str | None, keepdims: bool, acc_dtype: str | None) -> Variable:
    """A sum or product in ``dtype``, accumulated in ``acc_dtype`` if given."""
    x = as_tensor(x)
    wanted = _accumulator(x, dtype)
    if acc_dtype is None:
        return reduce_over(kind, x, axis, keepdims, wanted)
    accumulator = checked_accumulator(kind.name, x, acc_dtype)
    return cast(reduce_over(kind, x, axis, keepdims, accumulator), wanted or x.dtype)


def checked_accumulator(what: str, x: Variable, acc_dtype: Any) -> str:
    """The name of the dtype in which elements of ``x`` are accumulated.

    Raises
    ------
    DTypeError
        If it cannot represent all elements; floats are allowed for integers.
    """
    accumulator = as_dtype(acc_dtype)
    if dtypes.kind(accumulator) > 1 >= dtypes.kind(x.dtype):
        return accumulator
    common = dtypes.promote((x.dtype, accumulator))
    if common != accumulator:
        text = f"{what}: acc_dtype={accumulator!r} is less precise than the elements, of dtype {x.dtype}"
        repair = f"omit it, pass {common!r}, or cast the elements first; dtype= converts the result alone"
        raise DTypeError(located(text, [x], repair))
    return accumulator
