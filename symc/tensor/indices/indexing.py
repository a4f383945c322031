"""Indexing with slices, integers, index arrays and masks, as in NumPy."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.config import config
from symc.errors import located
from symc.graph import Constant, Variable, dims, guards
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import is_integer
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.assertions import absent_length
from symc.tensor.axes import DIMSHUFFLE, dimshuffle
from symc.tensor.basic import as_tensor, constant, normalize_axis
from symc.tensor.broadcasting import broadcast_together
from symc.tensor.checked import checked_below
from symc.tensor.conversion import CAST
from symc.tensor.creation import arange
from symc.tensor.indices.gathers import GATHER, valid_index
from symc.tensor.indices.index_items import Entry, Flag, Gap, Index, NewAxis, Slice, old_tuple, parse
from symc.tensor.indices.slices import SLICE
from symc.tensor.indices.stretching import stretch_together
from symc.tensor.joining import stack
from symc.tensor.keywords import also_named
from symc.tensor.options import choice
from symc.tensor.reshaping import RESHAPE
from symc.tensor.shape_arguments import scalars_behind
from symc.tensor.symbolic_dims import DIM_VALUE, SHAPE_I, as_dim, shape_i, value_symbols

__all__ = ["PARTS", "advanced_subtensor", "advanced_subtensor1", "subtensor", "take", "to_one_hot"]

PARTS = (DIMSHUFFLE, GATHER, SLICE, RESHAPE)
"""The ops that ``set_subtensor`` traverses to find the indexed tensor."""


def subtensor(x: Any, item: Any) -> Variable:
    """Index ``x[item]``, as in NumPy.

    Parameters
    ----------
    x : tensor_like
    item : index or tuple of indices
        Integers, slices, None, Ellipsis, integer arrays, lists and boolean masks. Integers, arrays, masks and all three
        parts of a slice may be symbolic. Only dims of index arrays known to be 1 are broadcast. A list that holds
        slices, None or an Ellipsis counts as a tuple.

    Raises
    ------
    IndexError
        For an index out of range, too many indices, or a mask of the wrong shape; values known only at call time are
        checked there.
    TypeError
        For an invalid index, such as a float.
    """
    x, item = as_tensor(x), old_tuple(item)
    known = _entries_of_shape(x, item)
    return known if known is not None else read(x, item)


def read(x: Variable, item: Any) -> Variable:
    """Index ``x[item]`` by ops that read a part of ``x``, whatever is known about its elements."""
    return _read(*parse(x, item))


def _entries_of_shape(x: Variable, item: Any) -> Variable | None:
    """Resolve ``x.shape[i]`` and ``x.shape[i:j]`` to the scalars of the shape, so that dims stay known."""
    if isinstance(item, tuple) and len(item) == 1:
        (item,) = item
    if x.ndim != 1 or not is_integer(x.dtype) or not isinstance(item, (int, np.integer, slice)) or item is True:
        return None
    scalars = scalars_behind(x)
    if scalars is None or isinstance(item, bool):
        return None
    if isinstance(item, slice):
        bounds = [_plain_bound(x, b) for b in (item.start, item.stop, item.step)]
        if any(isinstance(b, Variable) for b in bounds):
            return None
        chosen = scalars[slice(*bounds)]
        found = stack(chosen) if chosen else constant(np.zeros(0, x.dtype))
        found.indexed = (x, slice(*bounds))
        return found
    if not -len(scalars) <= item < len(scalars):
        text = f"indexing: index {item} is out of range for {len(scalars)} entries"
        if guards.errors_come_late():
            return absent_length(x, text)
        raise IndexError(located(text, [x]))
    found = scalars[item]
    if found.owner is None or found.owner.op.record is not SHAPE_I:
        return found
    if found.indexed is not None and (found.indexed[0] is not x or found.indexed[1] != item):
        found = found.owner.op(*found.owner.inputs)  # a variable of its own: that one was read by another index
    found.indexed = (x, item)
    return found


def _read(x: Variable, entries: Sequence[Entry]) -> Variable:
    """Apply index entries to ``x``: a slice, then gathers, then NumPy's order of axes.

    Axes are labelled with the number of the entry that created them.
    """
    arrays = {e: entry.at for e, entry in enumerate(entries) if isinstance(entry, Index) and entry.at.ndim}
    flags = [e for e, entry in enumerate(entries) if isinstance(entry, Flag)]
    labels: list[Any] = [e for e, entry in enumerate(entries) if isinstance(entry, (Slice, Index))]
    bounds: list[Variable] = []
    steps: list[int] = []
    strided: dict[int, Variable] = {}  # positions of slices with a symbolic step
    for axis, e in enumerate(labels):
        entry = entries[e]
        if isinstance(entry, Slice):
            start, length, step = _bounds(x, axis, entry.bounds)
            if isinstance(step, Variable):
                strided[e], length = start + arange(length) * step, shape_i(x, axis)
                start, step = constant(0, dtype="int64"), 1
        elif e in arrays:
            arrays[e] = arrays[e] if entry.valid else valid_index(arrays[e], x, axis)
            start, length, step = constant(0, dtype="int64"), shape_i(x, axis), 1
        else:
            start, length, step = valid_index(entry.at, x, axis), constant(1, dtype="int64"), 1  # type: ignore[union-attr]
        bounds += [start, length]
        steps.append(step)
    plainly_gathered = (arrays or strided) and not flags and not _is_part(x)
    if not (plainly_gathered and all(_is_whole_axis(x, k, bounds, steps) for k in range(x.ndim))):
        # even x[:] is a slice, so that set_subtensor(x[:], ...) and set_subtensor(x[1:][i], ...) find their target
        x = Op(SLICE, steps=tuple(steps))(x, *bounds)
    for e, positions in strided.items():
        axis = labels.index(e)
        x = Op(GATHER, axes=(axis,), place=axis)(x, positions)
    if flags:
        order = sorted([*labels, *flags])
        x = dimshuffle(x, ["x" if e in flags else labels.index(e) for e in order])
        labels = order
        arrays |= {e: entries[e].at for e in flags}  # type: ignore[union-attr]
    return _arranged(x, entries, labels, arrays)


def _is_part(x: Variable) -> bool:
    return x.owner is not None and x.owner.op.record in PARTS


def _arranged(x: Variable, entries: Sequence[Entry], labels: list[Any], arrays: dict[int, Variable]) -> Variable:
    """Gather at the index arrays, and order the axes.

    Beside an index array, an integer is also an index array. Their common axes replace the first of them, or come first
    if slices or new axes separate them.
    """
    wanted: list[Any] = []
    group = [e for e, entry in enumerate(entries) if isinstance(entry, (Index, Flag))] if arrays else []
    together = bool(group) and group == list(range(group[0], group[0] + len(group)))
    common: list[Any] = []
    if arrays:
        named = sorted(arrays)
        indices = stretch_together("indexing", broadcast_together("indexing", [arrays[e] for e in named]))
        common = [("common", k) for k in range(indices[0].ndim)]
        rest = [e for e in labels if e not in arrays]
        place = sum(e < group[0] for e in rest) if together else 0
        x = Op(GATHER, axes=tuple(labels.index(e) for e in named), place=place)(x, *indices)
        labels = [*rest[:place], *common, *rest[place:]]
        wanted = [] if together else list(common)
    for e, entry in enumerate(entries):
        if isinstance(entry, NewAxis):
            wanted.append("x")
        elif isinstance(entry, Slice):
            wanted.append(e)
        elif not isinstance(entry, Gap) and together and e == group[0]:
            wanted += common
    return dimshuffle(x, [label if label == "x" else labels.index(label) for label in wanted])


# --- slices -------------------------------------------------------------------------------------------------------


def _is_whole_axis(x: Variable, k: int, bounds: Sequence[Variable], steps: Sequence[int]) -> bool:
    """Whether the slice covers all of axis ``k``."""
    start, length = bounds[2 * k], bounds[2 * k + 1]
    return (
        steps[k] == 1
        and isinstance(start, Constant)
        and int(start.data) == 0
        and bool(dims.equal(as_dim(length), x.type.shape[k]))
    )


def _bounds(x: Variable, axis: int, s: slice) -> tuple[Variable, Variable, Any]:
    """Convert a slice to (start, length, step) by Python's rules. A known step is an int."""
    start, stop, step = (_plain_bound(x, b) for b in (s.start, s.stop, s.step))
    step = 1 if step is None else step
    if isinstance(step, Variable):
        return _symbolic_step(x, axis, start, stop, step)
    if step == 0:
        raise ValueError(located("indexing: the step of a slice cannot be 0", [x]))
    dim = x.type.shape[axis]
    if type(dim) is int and not isinstance(start, Variable) and not isinstance(stop, Variable):
        taken = range(*slice(start, stop, step).indices(dim))
        return constant(taken.start, dtype="int64"), constant(len(taken), dtype="int64"), step
    n: Any = dim if type(dim) is int else shape_i(x, axis)
    low: Any = 0 if step > 0 else -1
    high: Any = n if step > 0 else n - 1
    first = as_tensor((low if step > 0 else high) if start is None else _clamped(start, n, low, high))
    last = as_tensor((high if step > 0 else low) if stop is None else _clamped(stop, n, low, high))
    span: Any = last - first if step > 0 else first - last
    length = ew.maximum(span if abs(step) == 1 else (span + (abs(step) - 1)) // abs(step), 0)
    if step == 1 and start is None and stop is None:
        length = as_tensor(n)
    return ew.cast(first, "int64"), ew.cast(length, "int64"), step


def _symbolic_step(
    x: Variable, axis: int, start: Any, stop: Any, step: Variable
) -> tuple[Variable, Variable, Variable]:
    """As ``_bounds``, for a step whose value and sign are known only at call time."""
    text = "indexing: the step of a slice is 0"
    step = step + checked_below(ew.cast(ew.eq(step, 0), "int64"), 1, text, "give a step other than 0")
    dim = x.type.shape[axis]
    n: Any = dim if type(dim) is int else shape_i(x, axis)
    ahead = ew.gt(step, 0)
    low, high = ew.switch(ahead, 0, -1), ew.switch(ahead, n, n - 1)
    first = ew.switch(ahead, low, high) if start is None else _clamped(start, n, low, high)
    last = ew.switch(ahead, high, low) if stop is None else _clamped(stop, n, low, high)
    span, size = ew.switch(ahead, last - first, first - last), ew.abs_(step)
    count = (span + (size - 1)) // size
    return ew.cast(first, "int64"), ew.cast(ew.switch(ew.gt(count, 0), count, 0), "int64"), step


def _plain_bound(x: Variable, b: Any) -> Any:
    """Convert a part of a slice to None, an int or an int64 scalar."""
    if b is None:
        return None
    if isinstance(b, Variable) and not isinstance(b, Constant):
        if b.ndim or not (is_integer(b.dtype) or b.dtype == "bool"):
            text = "indexing: a bound or step of a slice must be an integer scalar"
            raise TypeError(located(text, [x, b], "cast it to int64, or take one element"))
        dim = as_dim(b) if is_integer(b.dtype) else None
        return dim if type(dim) is int else ew.cast(b, "int64")
    try:
        number = operator.index(b.data[()] if isinstance(b, Constant) else b)
    except TypeError:
        text = f"indexing: a bound or step of a slice must be an integer, got {b!r}"
        raise TypeError(located(text, [x], "convert it with int()")) from None
    return max(-(2**62), min(number, 2**62))  # beyond any length, but still an int64


def _clamped(bound: Any, n: Any, low: Any, high: Any) -> Any:
    """Convert a bound to a non-negative one, clamped to [low, high]."""
    if isinstance(bound, int):
        from_front = n + bound if bound < 0 else constant(bound, dtype="int64")
    elif _is_dim_expression(bound):
        from_front = bound
    elif _follows_from_shapes(bound):  # the same as below, as a dim: n - 3 counts from the front if n is at least 3
        from_front = bound + n * ew.minimum(ew.maximum(0 - bound, 0), 1)
    else:
        from_front = ew.switch(ew.lt(bound, 0), bound + n, bound)
    return ew.minimum(ew.maximum(from_front, low), high)


def _follows_from_shapes(v: Variable) -> bool:
    """Whether the scalar is a dim that no value of an integer enters."""
    return bool(dims.symbols_of(as_dim(v))) and not value_symbols([v])


def _is_dim_expression(v: Variable) -> bool:
    """Whether the scalar consists only of shapes, sums and products of them, hence is not negative."""
    seen: set[Variable] = set()
    pending = [v]
    while pending:  # sums of the lengths of many joined tensors are deep
        v = pending.pop()
        if v in seen:
            continue
        seen.add(v)
        if isinstance(v, Constant):
            if not v.data >= 0:
                return False
        elif v.owner is None:
            return False
        elif v.owner.op.record in (CAST, ew.add.record, ew.mul.record):
            pending.extend(v.owner.inputs)
        elif v.owner.op.record not in (SHAPE_I, DIM_VALUE):
            return False
    return True


# --- functions ----------------------------------------------------------------------------------------------------


@also_named(a="x")
def take(x: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Variable:
    """Take the entries of ``x`` at integer ``indices`` along ``axis`` (None: of ``x`` flattened).

    ``mode`` defines the handling of indices out of range: "raise" raises an error at call time (negative indices count
    from the end), "wrap" takes them modulo the length, "clip" clips them.
    """
    x = as_tensor(x)
    indices = constant(np.zeros(np.shape(indices), "int64")) if _is_empty(indices) else as_tensor(indices)
    if not is_integer(indices.dtype):
        text = f"take: indices must be integers, got {indices.dtype}"
        raise TypeError(located(text, [x, indices], "cast them to int64; x[mask] selects by a mask"))
    if axis is None:
        x, axis = x.flatten(), 0
    place = normalize_axis(axis, x.ndim, "take", x)
    choice("take", "mode", mode, ("raise", "wrap", "clip"), [x, indices])
    if mode == "wrap":
        indices = ew.cast(indices, "int64") % shape_i(x, place)
    elif mode == "clip":
        indices = ew.clip(ew.cast(indices, "int64"), 0, shape_i(x, place) - 1)
    return subtensor(x, (slice(None),) * place + (indices,))


def _is_empty(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and np.size(value) == 0


def advanced_subtensor1(x: Any, indices: Any) -> Variable:
    """``x[indices]`` for a vector of integers."""
    return take(x, _vector_of_indices("advanced_subtensor1", indices), axis=0)


def advanced_subtensor(x: Any, *indices: Any) -> Variable:
    """``x[indices]``."""
    return subtensor(x, indices)


def _vector_of_indices(what: str, indices: Any) -> Variable:
    found = as_tensor(indices)
    if found.ndim != 1:
        raise TypeError(located(f"{what}: expected a vector of indices, got {found.ndim} axes", [found]))
    return found


def to_one_hot(y: Any, nb_class: Any, dtype: str | None = None) -> Variable:
    """One-hot encode ``y``: one row per entry, with 1 in the column of that number, else 0.

    Parameters
    ----------
    y : tensor_like
        Integers from 0 to ``nb_class - 1``, of any shape; negative numbers count from the end. Others raise an error.
    nb_class : int or scalar
        Number of columns.
    dtype : str, optional
        Default ``symc.config.floatX``.

    Returns
    -------
    Variable
        The shape of ``y``, followed by an axis of ``nb_class``.
    """
    y = as_tensor(y)
    if not is_integer(y.dtype):
        raise TypeError(located(f"to_one_hot: expected integers, got {y.dtype}", [y], "cast them to int64"))
    text = "to_one_hot: an entry names no column"
    y = checked_below(y, nb_class, text, "entries must be from 0 to nb_class - 1", wrap=True)
    columns = dimshuffle(arange(nb_class), (*["x"] * y.ndim, 0))
    return ew.cast(ew.eq(dimshuffle(y, (*range(y.ndim), "x")), columns), dtype or config.floatX)


explain_faults(globals())
