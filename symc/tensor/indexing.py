"""Indexing: slices, whole-number arrays, and writing into a part of a tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.config import config
from symc.errors import ShapeError, located
from symc.graph import Constant, Variable, dims
from symc.graph.dtypes import is_integer
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle, scalar_behind
from symc.tensor.basic import as_tensor, constant, normalize_axis
from symc.tensor.broadcasting import broadcast_like, broadcast_together
from symc.tensor.joining import stack
from symc.tensor.subtensor import gather, scatter, slice_part, valid_index, write_slice
from symc.tensor.symbolic_dims import as_dim, shape_i

__all__ = [
    "advanced_inc_subtensor1",
    "advanced_subtensor1",
    "inc_subtensor",
    "set_subtensor",
    "subtensor",
    "take",
    "to_one_hot",
]


def subtensor(x: Any, item: Any) -> Variable:
    """``x[item]``: slices, whole numbers, None, Ellipsis and whole-number arrays, with NumPy's meaning."""
    x = as_tensor(x)
    known = _entries_of_shape(x, item)
    if known is not None:
        return known
    plain, arrays, kept = _plan(x, item)
    part = plain(x)
    if arrays:
        part = _gathered(part, arrays)
    return dimshuffle(part, kept(part.ndim)) if kept else part


def _entries_of_shape(x: Variable, item: Any) -> Variable | None:
    """``x.shape[i]`` and ``x.shape[i:j]`` take the scalars that the shape was put together from: dims stay known."""
    if isinstance(item, tuple) and len(item) == 1:
        (item,) = item
    if x.ndim != 1 or not is_integer(x.dtype) or not isinstance(item, (int, np.integer, slice)):
        return None
    pieces = x.owner.inputs if x.owner is not None and x.owner.op.name == "join" else [x]
    parts = [scalar_behind(v) for v in pieces]
    scalars = [p for p in parts if p is not None]
    if len(scalars) != len(parts):
        return None
    if isinstance(item, slice):
        if any(isinstance(b, Variable) for b in (item.start, item.stop, item.step)):
            return None
        chosen = scalars[item]
        return stack(chosen) if chosen else constant(np.zeros(0, x.dtype))
    if not -len(scalars) <= item < len(scalars):
        raise IndexError(located(f"indexing: index {item} is out of range for {len(scalars)} entries", [x]))
    return scalars[item]


def _expanded_items(x: Variable, item: Any) -> list[Any]:
    items = list(item) if isinstance(item, tuple) else [item]
    if isinstance(item, list):
        items = [np.asarray(item)]
    real = sum(1 for e in items if e is not None and e is not Ellipsis)
    if real > x.ndim:
        raise IndexError(located(f"indexing: {real} indices for {x.ndim} axes", [x]))
    if sum(1 for e in items if e is Ellipsis) > 1:
        raise IndexError("indexing: only one Ellipsis is allowed")
    fill = [slice(None)] * (x.ndim - real)
    if not any(e is Ellipsis for e in items):
        items.append(Ellipsis)
    at = next(k for k, e in enumerate(items) if e is Ellipsis)
    return items[:at] + fill + items[at + 1 :]


def _plan(x: Variable, item: Any) -> tuple[Callable[[Variable], Variable], dict[int, Variable], Any]:
    """How ``x[item]`` is read: a slicing, index arrays by axis, and a final rearrangement of axes."""
    items = _expanded_items(x, item)
    bounds: list[Variable] = []
    steps: list[int] = []
    arrays: dict[int, Variable] = {}
    layout: list[str] = []  # "keep", "drop", "array" for each axis of x; "new" for None
    axis = 0
    for entry in items:
        if entry is None:
            layout.append("new")
            continue
        if isinstance(entry, slice):
            start, length, step = _bounds(x, axis, entry)
            layout.append("keep")
        else:
            found = _as_index(x, entry)
            if found.ndim:
                arrays[axis] = valid_index(found, x, axis)
                start, length, step = constant(0, dtype="int64"), shape_i(x, axis), 1
                layout.append("array")
            else:
                start, length, step = valid_index(found, x, axis), constant(1, dtype="int64"), 1
                layout.append("drop")
        bounds += [start, length]
        steps.append(step)
        axis += 1
    whole = all(_is_whole_axis(x, k, bounds, steps) for k in range(x.ndim))

    def plain(v: Variable) -> Variable:
        # even the whole is a part, so that set_subtensor(x[:], ...) and set_subtensor(x[1:][i], ...) know their target
        plainly_gathered = whole and arrays and (v.owner is None or v.owner.op.name != "slice")
        return v if plainly_gathered else Op(slice_part, steps=tuple(steps))(v, *bounds)

    return plain, arrays, _rearrangement(layout, arrays)


def _is_whole_axis(x: Variable, k: int, bounds: Sequence[Variable], steps: Sequence[int]) -> bool:
    """Does the slicing take all of axis ``k``?"""
    start, length = bounds[2 * k], bounds[2 * k + 1]
    return (
        steps[k] == 1
        and isinstance(start, Constant)
        and int(start.data) == 0
        and bool(dims.equal(as_dim(length), x.type.shape[k]))
    )


def _as_index(x: Variable, entry: Any) -> Variable:
    found = as_tensor(entry)
    if found.dtype == "bool":
        if isinstance(found, Constant):
            if found.ndim != 1:
                raise IndexError(located("indexing: a mask known now must have one axis", [x], "use nonzero() of it"))
            return constant(np.flatnonzero(found.data), dtype="int64")
        text = "indexing: a symbolic mask has no known number of results"
        raise TypeError(located(text, [x, found], "use switch(mask, x, other), or sum(x * mask)"))
    return found


def _rearrangement(layout: Sequence[str], arrays: dict[int, Variable]) -> Any:
    """The dimshuffle that drops indexed axes and puts new ones in, as a function of the result's number of axes."""
    if "drop" not in layout and "new" not in layout:
        return None
    count = max((v.ndim for v in arrays.values()), default=0)
    adjacent = _adjacent(arrays)

    def order(ndim: int) -> list[Any]:
        result: list[Any] = []
        source = 0 if adjacent or not arrays else count
        placed = False
        if arrays and not adjacent:
            result += list(range(count))
        for kind in layout:
            if kind == "new":
                result.append("x")
            elif kind == "array":
                if adjacent and not placed:
                    result += list(range(source, source + count))
                    source += count
                    placed = True
            else:
                if kind == "keep":
                    result.append(source)
                source += 1
        return result

    return order


def _adjacent(arrays: dict[int, Variable]) -> bool:
    axes = sorted(arrays)
    return axes == list(range(axes[0], axes[0] + len(axes))) if axes else True


def _gathered(x: Variable, arrays: dict[int, Variable]) -> Variable:
    axes = tuple(sorted(arrays))
    indices = broadcast_together("indexing", [arrays[a] for a in axes])
    return Op(gather, axes=axes, place=axes[0] if _adjacent(arrays) else 0)(x, *indices)


def _bounds(x: Variable, axis: int, s: slice) -> tuple[Variable, Variable, int]:
    """A slice as (start, length, step), with Python's rules for negative and missing entries."""
    given = 1 if s.step is None else int(s.step.data) if isinstance(s.step, Constant) else s.step
    if not isinstance(given, (int, np.integer)):
        raise TypeError(located("indexing: the step of a slice must be a known whole number", [x]))
    step = int(given)
    if step == 0:
        raise ValueError(located("indexing: the step of a slice cannot be 0", [x]))
    dim = x.type.shape[axis]
    start, stop = (_plain_bound(b) for b in (s.start, s.stop))
    if type(dim) is int and not isinstance(start, Variable) and not isinstance(stop, Variable):
        taken = range(*slice(start, stop, step).indices(dim))
        return constant(taken.start, dtype="int64"), constant(len(taken), dtype="int64"), step
    n = shape_i(x, axis)
    low: Any = 0 if step > 0 else -1
    high: Any = n if step > 0 else n - 1
    first = as_tensor((low if step > 0 else high) if start is None else _clamped(start, n, low, high))
    last = as_tensor((high if step > 0 else low) if stop is None else _clamped(stop, n, low, high))
    span: Any = last - first if step > 0 else first - last
    length = ew.maximum(span if abs(step) == 1 else (span + (abs(step) - 1)) // abs(step), 0)
    if step == 1 and start is None and stop is None:
        length = n
    return ew.cast(first, "int64"), ew.cast(length, "int64"), step


def _plain_bound(b: Any) -> Any:
    if isinstance(b, Constant):
        b = b.data
    if b is None:
        return None
    if isinstance(b, Variable):
        dim = as_dim(b) if _is_index_scalar(b) else None
        return dim if type(dim) is int else ew.cast(b, "int64")
    return int(b)


def _is_index_scalar(b: Variable) -> bool:
    return b.ndim == 0 and is_integer(b.dtype)


def _clamped(bound: Any, n: Variable, low: Any, high: Any) -> Any:
    """A bound counted from the front and kept within [low, high]."""
    if isinstance(bound, int):
        from_front = n + bound if bound < 0 else constant(bound, dtype="int64")
    elif _is_dim_expression(bound):
        from_front = bound  # made of shapes: never negative unless the user subtracted, and then clamped below
    else:
        from_front = ew.switch(ew.lt(bound, 0), bound + n, bound)
    return ew.minimum(ew.maximum(from_front, low), high)


def _is_dim_expression(v: Variable) -> bool:
    """Is the scalar made only of shapes and sums of them, hence not negative?"""
    while v.owner is not None and v.owner.op.name == "cast":
        v = v.owner.inputs[0]
    if isinstance(v, Constant):
        return bool(v.data >= 0)
    if v.owner is None:
        return False
    if v.owner.op.name in ("shape_i", "dim_value"):
        return True
    return v.owner.op.name in ("add", "mul") and all(_is_dim_expression(i) for i in v.owner.inputs)


def _part_of(part: Variable) -> tuple[Variable, list[Any]]:
    """For the result of an indexing: the tensor indexed, and the steps from it to ``part``, innermost first."""
    steps: list[Any] = []
    v = part
    while v.owner is not None and v.owner.op.name in ("dimshuffle", "gather", "slice", "reshape"):
        steps.append(v.owner)
        v = v.owner.inputs[0]
        last = steps[-1].op.name
        if last == "slice" or last == "gather" and (v.owner is None or v.owner.op.name != "slice"):
            break
    return v, steps


def _write_back(x: Variable, y: Any, replace: bool, what: str) -> Variable:
    if not isinstance(x, Variable) or x.owner is None:
        raise TypeError(f"{what}: the first argument must be an indexing such as a[1:3], got {x!r}")
    base, steps = _part_of(x)
    if not steps or steps[-1].op.name not in ("slice", "gather"):
        if x.owner.op.name in ("dimshuffle", "reshape") or base is x:
            raise TypeError(located(f"{what}: the first argument must be an indexing such as a[1:3]", [x]))
    y = ew.cast(as_tensor(y), x.dtype)
    if y.ndim > x.ndim:
        raise ShapeError(located(f"{what}: the value has more axes than the part it is written to", [x, y]))
    value = broadcast_like(y, x)
    if value.ndim == x.ndim and x.ndim:
        value = broadcast_together(what, [x, value])[1]
    return _undo(base, steps, value, replace)


def _undo(base: Variable, steps: list[Any], value: Variable, replace: bool) -> Variable:
    """Write ``value`` through the steps, from the last one taken back to the tensor indexed."""
    for position, node in enumerate(steps):
        source = node.inputs[0]
        if node.op.name in ("dimshuffle", "reshape"):
            value = node.op.record.grad(node.op, node.inputs, node.outputs, [value])[0]
            continue
        record_ = write_slice if node.op.name == "slice" else scatter
        inner = Op(record_, **node.op.attrs, replace=replace)(source, value, *node.inputs[1:])
        if position == len(steps) - 1:
            return inner
        value, replace = inner, True
    return value


def set_subtensor(x: Variable, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False) -> Variable:
    """The tensor of which ``x`` is an indexing, with that part replaced by ``y``.

    Parameters
    ----------
    x : Variable
        An indexing such as ``a[1:3]``.
    y : tensor_like
        Must broadcast to the shape of ``x``.

    Returns
    -------
    Variable
        Of the shape and dtype of ``a``.
    """
    return _write_back(x, y, True, "set_subtensor")


def inc_subtensor(
    x: Variable,
    y: Any,
    inplace: bool = False,
    set_instead_of_inc: bool = False,
    tolerate_inplace_aliasing: bool = False,
) -> Variable:
    """The tensor of which ``x`` is an indexing, with ``y`` added to that part.

    Where an index occurs twice, both count. Parameters and result are those of ``set_subtensor``.
    """
    return _write_back(x, y, set_instead_of_inc, "inc_subtensor")


def take(x: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Variable:
    """The entries of ``x`` at whole-number ``indices`` along ``axis`` (of ``x`` flattened when None)."""
    x, indices = as_tensor(x), as_tensor(indices)
    if axis is None:
        x, axis = x.flatten(), 0
    place = normalize_axis(axis, x.ndim, "take", x)
    if mode == "wrap":
        indices = indices % shape_i(x, place)
    elif mode == "clip":
        indices = ew.clip(indices, 0, shape_i(x, place) - 1)
    elif mode != "raise":
        raise ValueError(f"take: mode must be 'raise', 'wrap' or 'clip', got {mode!r}")
    return subtensor(x, (slice(None),) * place + (indices,))


def advanced_subtensor1(x: Any, indices: Any) -> Variable:
    """``x[indices]`` for a vector of whole numbers."""
    return subtensor(x, as_tensor(indices))


def advanced_inc_subtensor1(x: Any, y: Any, indices: Any) -> Variable:
    """``x`` with ``y`` added at ``x[indices]``."""
    return inc_subtensor(subtensor(x, as_tensor(indices)), y)


def to_one_hot(y: Any, nb_class: Any, dtype: str | None = None) -> Variable:
    """One row for each entry of ``y``: 1 at the column that the entry names, else 0.

    Parameters
    ----------
    y : tensor_like
        Whole numbers from 0 to ``nb_class - 1``, of any shape.
    nb_class : int or scalar
        Number of columns.
    dtype : str, optional
        Default ``symc.config.floatX``.

    Returns
    -------
    Variable
        Of the shape of ``y`` with an axis of ``nb_class`` behind.
    """
    from symc.tensor.creation import arange

    y = as_tensor(y)
    columns = dimshuffle(arange(nb_class), (*["x"] * y.ndim, 0))
    return ew.cast(ew.eq(dimshuffle(y, (*range(y.ndim), "x")), columns), dtype or config.floatX)
