"""Creation of tensors: ``zeros``, ``ones``, ``alloc``, ``eye``, ``arange``, ``tri`` and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.config import config
from symc.errors import ShapeError, located
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import as_dtype, is_float, promote
from symc.graph.gradient_flow import Reach
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Indexed, Op, record
from symc.graph.types import TensorType
from symc.loops.expr import cast as cast_expr
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle, pad_left
from symc.tensor.basic import as_tensor, constant
from symc.tensor.broadcasting import any as any_of
from symc.tensor.broadcasting import broadcast_like, expand, sum
from symc.tensor.checked import checked_below
from symc.tensor.indices.positions import iota
from symc.tensor.keywords import also_named
from symc.tensor.requirements import require_lengths
from symc.tensor.shape_arguments import shape_entries
from symc.tensor.symbolic_dims import as_dim, shape_i

__all__ = [
    "alloc",
    "arange",
    "eye",
    "fill",
    "full",
    "full_like",
    "identity_like",
    "ones",
    "ones_like",
    "tri",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]


def _dims_given(op: Op, scalars: Sequence[Variable]) -> list[dims.Dim]:
    left = iter(scalars)
    return [as_dim(next(left)) if g < 0 else g for g in op["given"]]


def _split_shape(shape: Any, what: str) -> tuple[tuple[int, ...], list[Variable]]:
    """Split a shape argument into (known entries, -1 per scalar) and the scalars."""
    entries = shape_entries(shape, what)
    for e in entries:
        if isinstance(e, int) and e < 0:
            raise ValueError(f"{what}: a dim cannot be negative, got {e}")
    return tuple(e if isinstance(e, int) else -1 for e in entries), [e for e in entries if not isinstance(e, int)]


def _alloc_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    value, *scalars = inputs
    wanted = _dims_given(op, scalars)
    for axis, (have, want) in enumerate(zip(value.type.shape, wanted[len(wanted) - value.ndim :])):
        if not (op["repeats"][axis] and type(have) is int and have == 1):
            require_equal(
                have,
                want,
                f"alloc: the value does not fit the shape on its axis {axis}",
                inputs,
                "the value must broadcast to the shape",
            )
    return TensorType(value.dtype, wanted)


def _alloc_numpy(op: Op, value: np.ndarray, *scalars: np.ndarray) -> np.ndarray:
    left = iter(scalars)
    return np.broadcast_to(value, [int(next(left)) if g < 0 else g for g in op["given"]])


def _alloc_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Any]:
    value, (g,) = inputs[0], gs
    lead = g.ndim - value.ndim
    if lead:
        g = sum(g, axis=tuple(range(lead)))
    grown = tuple(
        k for k, d in enumerate(value.type.shape) if type(d) is int and d == 1 and not g.type.broadcastable[k]
    )
    return [sum(g, axis=grown, keepdims=True) if grown else g, *[None] * (len(inputs) - 1)]


def _alloc_reach(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], counts: Variable) -> list[Any]:
    value, out = inputs[0], outputs[0]
    lead = out.ndim - value.ndim
    if lead:
        counts = any_of(counts, axis=tuple(range(lead)))
    grown = tuple(k for k, one in enumerate(value.type.broadcastable) if one and not out.type.broadcastable[lead + k])
    return [any_of(counts, axis=grown, keepdims=True) if grown else counts, *[None] * (len(inputs) - 1)]


ALLOC = record(
    "alloc",
    infer=_alloc_infer,
    numpy=_alloc_numpy,
    grad=_alloc_grad,
    reach=Reach(_alloc_reach, gathers=True),
    linear="jointly",
    specialise=lambda op, inputs, types: expand(
        inputs[0] if inputs[0].ndim == 0 else pad_left(inputs[0], types[0].ndim), types[0].shape
    ),
    cases=lambda: [
        Case(lambda x, y: alloc(x, y.shape[0], 4), (Arg(()), Arg((3, 2))), lambda x, y: np.full((3, 4), x)),
        Case(lambda x: alloc(x, 2, 3, 4), (Arg((1, 4)),), lambda x: np.tile(x, (2, 3, 1))),
        Case(
            lambda n: alloc(2.5, n, 3), (Arg((), "int32", values=4),), expect=lambda n: np.full((n, 3), 2.5), grad=False
        ),
    ],
    moves=lambda op: slice(0, 1),
)


def alloc(value: Any, *shape: Any) -> Variable:
    """Broadcast ``value`` to ``shape``, whose entries are integers or integer scalars.

    Only dims of ``value`` that are known to be 1 now are repeated, whatever becomes known later.

    Raises
    ------
    ShapeError
        If ``value`` does not broadcast to ``shape``; lengths known only at call time are checked there.
    """
    value = as_tensor(value)
    given, scalars = _split_shape(shape[0] if len(shape) == 1 else shape, "alloc")
    if len(given) < value.ndim:
        raise ValueError(located(f"alloc: a shape of {len(given)} axes cannot hold the value", [value]))
    return Op(ALLOC, given=given, repeats=value.type.broadcastable)(value, *scalars)


def _filled(number: float, shape: Any, dtype: str | None) -> Variable:
    return alloc(Constant(number, as_dtype(dtype or config.floatX)), shape)


def zeros(shape: Any, dtype: str | None = None) -> Variable:
    """A tensor of zeros; ``dtype`` defaults to floatX."""
    return _filled(0, shape, dtype)


def ones(shape: Any, dtype: str | None = None) -> Variable:
    """A tensor of ones; ``dtype`` defaults to floatX."""
    return _filled(1, shape, dtype)


def full(shape: Any, value: Any, dtype: str | None = None) -> Variable:
    """A tensor of ``shape`` filled with ``value``."""
    value = as_tensor(value)
    return alloc(ew.cast(value, dtype) if dtype else value, shape)


def fill(x: Any, value: Any) -> Variable:
    """Broadcast ``value`` to the shape of ``x``, in the dtype of ``value``; the values of ``x`` are not read.

    Raises
    ------
    ShapeError
        If ``value`` does not broadcast to the shape of ``x``; lengths known only at call time are checked there.
    """
    return _spread("fill", x, as_tensor(value))


def full_like(x: Any, value: Any, dtype: str | None = None) -> Variable:
    """Broadcast ``value`` to the shape of ``x``, in ``dtype`` (default: that of ``x``)."""
    x = as_tensor(x)
    return _spread("full_like", x, ew.cast(value, dtype or x.dtype))


def _spread(what: str, x: Any, value: Variable) -> Variable:
    """Broadcast ``value``, of which only dims known to be 1 are broadcast, to the shape of ``x``."""
    x = as_tensor(x)
    if value.ndim > x.ndim:
        raise ShapeError(located(f"{what}: the value has more axes than what it fills", [x, value]))
    value = broadcast_like(value, x)
    text = f"{what}: the value does not fit on axis"
    pairs = [(shape_i(value, k), shape_i(x, k), f"{text} {k}") for k in range(value.ndim)]
    return require_lengths(value, pairs, "only dims known to be 1 are repeated")


@also_named(model="x")
def zeros_like(x: Any, dtype: str | None = None, opt: bool = False) -> Variable:
    """A tensor of zeros with the shape of ``x``."""
    return full_like(x, 0, dtype)


@also_named(model="x")
def ones_like(x: Any, dtype: str | None = None, opt: bool = False) -> Variable:
    """A tensor of ones with the shape of ``x``."""
    return full_like(x, 1, dtype)


# --- counters -----------------------------------------------------------------------------------------------------


def _arange_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """Element k is ``start + k * step``. The number of elements is piecewise constant in ``stop``."""
    (g,) = gs
    position = ew.cast(iota(g, 0), g.dtype)
    return [sum(g), sum(g * position), None][: len(inputs)]


ARANGE_OF = record(
    "arange_of",
    infer=lambda op, inputs: TensorType(op["dtype"], op["shape"]),
    numpy=lambda op, start, step: (start + np.arange(op["shape"][0]) * step).astype(op["dtype"]),
    grad=_arange_grad,
    lower=Indexed(
        lambda node, idx, read, size: read(0, ()) + cast_expr(idx[0], node.op["dtype"]) * read(1, ()), recompute=True
    ),
)


def _arange_length(start: Variable, stop: Variable, step: Variable) -> Variable:
    """The number of elements from ``start`` to ``stop``, as an int64 scalar."""
    if isinstance(start, Constant) and isinstance(stop, Constant) and isinstance(step, Constant):
        first, last, by = (v.data.item() for v in (start, stop, step))
        return constant(max(0, int(np.ceil((last - first) / by))), dtype="int64")
    if isinstance(step, Constant) and not any(is_float(v.dtype) for v in (start, stop, step)):
        by = int(step.data)
        start, stop = ew.cast(start, "int64"), ew.cast(stop, "int64")
        span = stop - start if by > 0 else start - stop
        return ew.maximum(span if abs(by) == 1 else (span + (abs(by) - 1)) // abs(by), 0)
    whole = ew.ceil(ew.true_div(ew.cast(stop, "float64") - ew.cast(start, "float64"), ew.cast(step, "float64")))
    return ew.maximum(ew.cast(whole, "int64"), 0)


def _counts_up(node: Apply) -> bool:
    start, step = node.inputs[:2]
    return isinstance(start, Constant) and isinstance(step, Constant) and bool(start.data >= 0 and step.data > 0)


_arange = record(
    "arange",
    infer=lambda op, inputs: TensorType(op["dtype"], [as_dim(inputs[2])]),
    numpy=lambda op, start, step, length: (start + np.arange(int(length)) * step).astype(op["dtype"]),
    grad=_arange_grad,
    distinct=_counts_up,
    specialise=lambda op, inputs, types: Op(ARANGE_OF, dtype=op["dtype"], shape=types[0].shape)(*inputs[:2]),
    cases=lambda: [
        Case(lambda x: arange(x.shape[0]), (Arg((5,)),), expect=lambda x: np.arange(5), grad=False),
        Case(lambda n: arange(n), (Arg((), "int64", values=6),), expect=lambda n: np.arange(6), grad=False),
        Case(
            lambda n: arange(2, n, 3), (Arg((), "int64", values=12),), expect=lambda n: np.arange(2, 12, 3), grad=False
        ),
        Case(
            lambda n: arange(9, n, -2), (Arg((), "int64", values=1),), expect=lambda n: np.arange(9, 1, -2), grad=False
        ),
        Case(
            lambda n: arange(0.5, n, 0.25),
            (Arg((), "float64", values=2.1),),
            expect=lambda n: np.arange(0.5, 2.1, 0.25),
            grad=False,
        ),
    ],
)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: str | None = None) -> Variable:
    """Evenly spaced numbers from ``start`` (default 0) up to, but excluding, ``stop``.

    Parameters
    ----------
    start, stop, step : number or scalar
        A single argument is ``stop``. ``step`` may be negative, but not 0.
    dtype : str, optional
        Default int64, or the arguments' float dtype if one of them is a float.

    Returns
    -------
    Variable
        A vector.
    """
    if stop is None:
        start, stop = 0, start
    first, last, by = as_tensor(start), as_tensor(stop), as_tensor(step)
    for v in (first, last, by):
        if v.ndim:
            raise ShapeError(located("arange: start, stop and step must be scalars", [first, last, by]))
    if dtype is None:
        kinds = [v.dtype for v in (first, last, by)]
        dtype = promote(k for k in kinds if is_float(k)) if any(is_float(k) for k in kinds) else "int64"
    dtype = as_dtype(dtype)
    if isinstance(by, Constant) and float(by.data) == 0:
        raise ValueError(located("arange: the step cannot be 0", [first, last, by]))
    if any(isinstance(v, Constant) and not np.isfinite(v.data) for v in (first, last, by)):
        raise ValueError(located("arange: start, stop and step must be finite", [first, last, by]))
    if not isinstance(by, Constant):
        text = "arange: the step is 0"
        zero = ew.cast(ew.eq(by, 0), "int64")
        by = by + ew.cast(checked_below(zero, 1, text, "give a step other than 0"), by.dtype)
    length = ew.cast(_arange_length(first, last, by), "int64")
    return Op(_arange, dtype=dtype)(ew.cast(first, dtype), ew.cast(by, dtype), length)


def _rows_and_columns(what: str, n: Any, m: Any) -> tuple[Variable, Variable]:
    """Index tensors of the rows and the columns of an ``(n, m)`` matrix."""
    given, scalars = _split_shape([n, n if m is None else m], what)
    left = iter(scalars)
    rows, cols = (arange(next(left) if g < 0 else g) for g in given)
    return rows, cols


def eye(n: Any, m: Any = None, k: int = 0, dtype: str | None = None) -> Variable:
    """An ``(n, m)`` matrix with ones on the diagonal ``k`` and zeros elsewhere; ``m`` defaults to ``n``."""
    rows, cols = _rows_and_columns("eye", n, m)
    return ew.cast(ew.eq(dimshuffle(rows, (0, "x")) + k, dimshuffle(cols, ("x", 0))), dtype or config.floatX)


def identity_like(x: Any) -> Variable:
    """``eye`` with the shape and dtype of the matrix ``x``."""
    x = as_tensor(x)
    if x.ndim != 2:
        raise ShapeError(located("identity_like: expected a matrix", [x]))
    return eye(x.shape[0], x.shape[1], dtype=x.dtype)


@also_named(N="n", M="m")
def tri(n: Any, m: Any = None, k: int = 0, dtype: str | None = None) -> Variable:
    """An ``(n, m)`` matrix with ones on and below the diagonal ``k`` and zeros above; ``m`` defaults to ``n``."""
    rows, cols = _rows_and_columns("tri", n, m)
    return ew.cast(ew.le(dimshuffle(cols, ("x", 0)), dimshuffle(rows, (0, "x")) + k), dtype or config.floatX)


@also_named(m="x")
def tril(x: Any, k: int = 0) -> Variable:
    """``x`` with the elements above the diagonal ``k`` of its last two axes set to zero."""
    x = _with_two_axes("tril", x)
    return ew.switch(tri(x.shape[x.ndim - 2], x.shape[x.ndim - 1], k, "bool"), x, ew.cast(0, x.dtype))


@also_named(m="x")
def triu(x: Any, k: int = 0) -> Variable:
    """``x`` with the elements below the diagonal ``k`` of its last two axes set to zero."""
    x = _with_two_axes("triu", x)
    return ew.switch(tri(x.shape[x.ndim - 2], x.shape[x.ndim - 1], k - 1, "bool"), ew.cast(0, x.dtype), x)


def _with_two_axes(what: str, x: Any) -> Variable:
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(located(f"{what}: expected at least two axes", [x]))
    return x


explain_faults(globals())
