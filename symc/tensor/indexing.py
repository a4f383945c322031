"""Indexing: slices, whole-number arrays, and writing into a part of a tensor.

Three primitives carry it. ``checked_index`` makes indices non-negative and refuses those out of range. ``slice`` reads a
regular part (a start, a length and a step for each axis), ``gather`` reads at index arrays; each has a partner that writes
(``write_slice``, ``scatter``), which is also its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc import dims
from symc.dtypes import is_integer
from symc.errors import ShapeError, located
from symc.graph import Apply, Constant, Variable
from symc.guards import require_equal
from symc.loops.expr import Expr, call, index, select
from symc.loops.ir import Accumulate, If, Statement, Store
from symc.op import Arg, Case, Indexed, Loops, Op, record
from symc.tensor import elementwise as ew
from symc.tensor.basic import (
    as_dim, as_tensor, broadcast_like, broadcast_together, constant, dimshuffle, normalize_axis, scalar_behind, shape_i,
)  # fmt: skip
from symc.tensor.joining import stack
from symc.types import TensorType

__all__ = ["advanced_inc_subtensor1", "advanced_subtensor1", "inc_subtensor", "set_subtensor", "subtensor", "take", "to_one_hot"]

# --- checked indices ----------------------------------------------------------------------------------------------


def _check_numpy(op: Op, i: np.ndarray, n: np.ndarray) -> np.ndarray:
    if np.any(i < -n) or np.any(i >= n):
        raise IndexError(f"index out of range for an axis of {n}")
    return np.where(i < 0, i + n, i).astype("int64")


def _check_build(node: Apply, ctx: Any) -> list[Statement]:
    code = ctx.code(located(
        f"indexing: an index is out of range for axis {node.op['axis']}", node.inputs[:1],
        "check the index against the shape it goes into", node.outputs[0].trace))  # fmt: skip

    def body(at: list[Expr], inside: list[Statement]) -> None:
        i, n = ctx.load(inside, 0, at), ctx.load(inside, 1, ())
        inside.append(If(call("or", i < call("neg", n), i >= n), (Store(ctx.status(), index(0), code),)))
        fixed = select(i < 0, i + n, i)
        inside.append(Store(ctx.output(), ctx.flat(node.outputs[0], at), call("max", index(0), call("min", fixed, n - 1))))

    return [ctx.nest(node.outputs[0].type.shape, body, parallel=False)]


_checked = record(
    "checked_index",
    infer=lambda op, inputs: TensorType("int64", inputs[0].type.shape),
    numpy=_check_numpy,
    grad=lambda op, inputs, outputs, gs: [None, None],
    lower=Loops(_check_build),
)


def _valid_index(i: Any, x: Variable, axis: int) -> Variable:
    """``i`` as int64 indices from the front into ``axis`` of ``x``, checked now if possible, else when called."""
    i = as_tensor(i)
    if not is_integer(i.dtype):
        raise TypeError(located(f"indexing: an index must be a whole number, got {i.dtype}", [x, i], "cast it to int64"))
    dim = x.type.shape[axis]
    if isinstance(i, Constant) and type(dim) is int:
        if np.any(i.data < -dim) or np.any(i.data >= dim):
            raise IndexError(located(f"indexing: index {i.data if i.data.size < 5 else ''} is out of range for axis {axis} of {dim}", [x]))
        return constant(np.where(i.data < 0, i.data + dim, i.data).astype("int64"), dtype="int64")
    return Op(_checked, axis=axis)(ew.cast(i, "int64"), shape_i(x, axis))


# --- regular parts ------------------------------------------------------------------------------------------------


def _slice_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    x, *bounds = inputs
    return TensorType(x.dtype, [as_dim(length) for length in bounds[1::2]])


def _slices(op: Op, bounds: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    return np.ix_(*[int(s) + np.arange(int(n)) * step for s, n, step in zip(bounds[::2], bounds[1::2], op["steps"])])


def _slice_element(node: Apply, at: tuple[Expr, ...], read: Callable[..., Expr], size: Callable[[Any], Expr]) -> Expr:
    return read(0, [read(1 + k, ()) + i * step for k, (i, step) in enumerate(zip(at, node.op["steps"]))])


def _with_lengths(starts: Sequence[np.ndarray], shape: Sequence[int]) -> list[Any]:
    return [b for pair in zip(starts, shape) for b in pair]


_slice_at = record(
    "slice_at",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=lambda op, x, *starts: x[_slices(op, _with_lengths(starts, op["shape"]))],
    lower=Indexed(_slice_element),
)


_slice = record(
    "slice",
    infer=_slice_infer,
    numpy=lambda op, x, *bounds: x[_slices(op, bounds)],
    grad=lambda op, inputs, outputs, gs: [
        _write(broadcast_like(Constant(np.zeros((), inputs[0].dtype), weak=True), inputs[0]), gs[0], inputs[1:], op["steps"], False),
        *[None] * (len(inputs) - 1),
    ],
    settle=lambda op, inputs, types: Op(_slice_at, steps=op["steps"], shape=types[0].shape)(inputs[0], *inputs[1::2]),
    cases=lambda: [
        Case(lambda x: x[1:], (Arg((4, 3)),), expect=lambda x: x[1:]),
        Case(lambda x: x[:, -1], (Arg((4, 3)),), expect=lambda x: x[:, -1]),
        Case(lambda x: x[::-1, ::2], (Arg((4, 5)),), expect=lambda x: x[::-1, ::2]),
        Case(lambda x: x[-3:-1], (Arg((5,)),), expect=lambda x: x[-3:-1]),
        Case(lambda x: x[2:100, None, ..., 0], (Arg((4, 2, 3)),), expect=lambda x: x[2:100, None, ..., 0]),
        Case(lambda x: x[5:2], (Arg((6,)),), expect=lambda x: x[5:2], grad=False),
        Case(lambda x: x[4:1:-2], (Arg((6,)),), expect=lambda x: x[4:1:-2]),
        Case(lambda x, i: x[i], (Arg((4, 3)), Arg((), "int32", values=-2)), expect=lambda x, i: x[i]),
        Case(lambda x, i: x[i * 2 : (i + 1) * 2], (Arg((5, 3)), Arg((), "int64", values=2)), expect=lambda x, i: x[4:6]),
        Case(lambda x, i: x[:i], (Arg((5,)), Arg((), "int64", values=-2)), expect=lambda x, i: x[:-2]),
    ],
)


def _write_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    x, y, *bounds = inputs
    for axis, (have, length) in enumerate(zip(y.type.shape, bounds[1::2])):
        require_equal(have, as_dim(length), lambda axis=axis: located(  # type: ignore[misc]
            f"writing into a part of a tensor: the value does not fit on axis {axis}", [x, y], "the value must broadcast to the part"))  # fmt: skip
    return TensorType(x.dtype, x.type.shape)


def _write_numpy(op: Op, x: np.ndarray, y: np.ndarray, *bounds: np.ndarray) -> np.ndarray:
    out = x.copy()
    if op["replace"]:
        out[_slices(op, bounds)] = y
    else:
        out[_slices(op, bounds)] += y
    return out


def _write_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Any]:
    x, y, *bounds = inputs
    (g,) = gs
    to_x = _write(g, broadcast_like(Constant(np.zeros((), g.dtype), weak=True), y), bounds, op["steps"], True) if op["replace"] else g
    return [to_x, Op(_slice, steps=op["steps"])(g, *bounds), *[None] * len(bounds)]


def _write_build(node: Apply, ctx: Any) -> list[Statement]:
    x, y = node.inputs[:2]
    statements = ctx.copy(0)

    def body(at: list[Expr], inside: list[Statement]) -> None:
        value = ctx.load(inside, 1, at)
        target = [ctx.load(inside, 2 + k, ()) + i * step for k, (i, step) in enumerate(zip(at, node.op["steps"]))]
        place = ctx.flat(x, target)
        inside.append(Store(ctx.output(), place, value) if node.op["replace"] else Accumulate(ctx.output(), place, value, "add"))

    statements.append(ctx.nest(y.type.shape, body, simd=node.op["replace"]))
    return statements


_write_at = record(
    "write_at",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    numpy=lambda op, x, y, *starts: _write_numpy(op, x, y, *_with_lengths(starts, y.shape)),
    lower=Loops(_write_build, in_place=0),
)

_write_slice = record(
    "write_slice",
    infer=_write_infer,
    numpy=_write_numpy,
    grad=_write_grad,
    settle=lambda op, inputs, types: Op(_write_at, **op.attrs)(inputs[0], inputs[1], *inputs[2::2]),
    cases=lambda: [
        Case(lambda x, y: set_subtensor(x[1:3], y), (Arg((4, 3)), Arg((2, 3)))),
        Case(lambda x, y: inc_subtensor(x[:, ::2], y), (Arg((3, 5)), Arg((3, 3)))),
        Case(lambda x, y: inc_subtensor(x[-1], y), (Arg((3, 2)), Arg(()))),
        Case(lambda x, y: set_subtensor(x[::-1], y), (Arg((3, 2)), Arg((3, 2)))),
        Case(lambda x: set_subtensor(x[0:0], 1.0), (Arg((3,)),)),
    ],
)


def _write(x: Variable, y: Variable, bounds: Sequence[Variable], steps: tuple[int, ...], replace: bool) -> Variable:
    return Op(_write_slice, steps=steps, replace=replace)(x, y, *bounds)


# --- parts at index arrays ----------------------------------------------------------------------------------------


def _gather_shape(op: Op, inputs: Sequence[Variable]) -> list[dims.Dim]:
    x, first = inputs[0], inputs[1]
    rest = [d for k, d in enumerate(x.type.shape) if k not in op["axes"]]
    return [*rest[: op["place"]], *first.type.shape, *rest[op["place"] :]]


def _gather_position(node: Apply, at: Sequence[Expr], load: Callable[[int, Sequence[Expr]], Expr], first: int) -> list[Expr]:
    """Where in ``x`` the element at ``at`` of the result lies; index arrays start at input ``first``."""
    place, axes = node.op["place"], node.op["axes"]
    count = node.inputs[first].ndim
    inside = at[place : place + count]
    rest = iter([*at[:place], *at[place + count :]])
    return [load(first + axes.index(k), inside) if k in axes else next(rest) for k in range(node.inputs[0].ndim)]


def _gather_numpy(op: Op, x: np.ndarray, *indices: np.ndarray) -> np.ndarray:
    moved = np.moveaxis(x, op["axes"], range(len(op["axes"])))[tuple(indices)]
    count = indices[0].ndim
    return np.moveaxis(moved, range(count), range(op["place"], op["place"] + count))


_gather = record(
    "gather",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, _gather_shape(op, inputs)),
    numpy=_gather_numpy,
    grad=lambda op, inputs, outputs, gs: [
        Op(_scatter, axes=op["axes"], place=op["place"], replace=False)(
            broadcast_like(Constant(np.zeros((), inputs[0].dtype), weak=True), inputs[0]), gs[0], *inputs[1:]
        ),
        *[None] * (len(inputs) - 1),
    ],
    lower=Indexed(lambda node, at, read, size: read(0, _gather_position(node, at, read, 1))),
    cases=lambda: [
        Case(lambda x, i: x[i], (Arg((4, 3)), Arg((2, 5), "int32", -4, 4)), expect=lambda x, i: x[i]),
        Case(lambda x, i, j: x[i, j], (Arg((4, 3)), Arg((5,), "int64", 0, 4), Arg((5,), "int64", -3, 3)), expect=lambda x, i, j: x[i, j]),
        Case(lambda x, i: x[:, i], (Arg((4, 3)), Arg((2,), "int64", 0, 3)), expect=lambda x, i: x[:, i]),
        Case(lambda x, i: x[1:, i, ::2], (Arg((4, 3, 5)), Arg((2,), "int64", 0, 3)), expect=lambda x, i: x[1:, i, ::2]),
        Case(lambda x, i: x[i, :, i], (Arg((4, 3, 4)), Arg((2,), "int64", 0, 4)), expect=lambda x, i: x[i, :, i]),
        Case(lambda x, i: take(x, i), (Arg((4, 3)), Arg((2, 2), "int64", 0, 12)), expect=lambda x, i: x.ravel()[i]),
        Case(lambda x, i: x[i], (Arg((4,)), Arg((0,), "int64", 0, 4)), expect=lambda x, i: x[i], grad=False),
        Case(lambda x: x[np.array([0, 2])], (Arg((4, 3)),), expect=lambda x: x[[0, 2]]),
    ],
)


def _scatter_numpy(op: Op, x: np.ndarray, y: np.ndarray, *indices: np.ndarray) -> np.ndarray:
    out = x.copy()
    moved = np.moveaxis(out, op["axes"], range(len(op["axes"])))
    count = indices[0].ndim
    values = np.moveaxis(y, range(op["place"], op["place"] + count), range(count))
    if op["replace"]:
        moved[tuple(indices)] = values
    else:
        np.add.at(moved, tuple(indices), values)
    return out


def _scatter_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    x, y, *indices = inputs
    wanted = _gather_shape(op, [x, *indices])
    for axis, (have, want) in enumerate(zip(y.type.shape, wanted)):
        require_equal(have, want, lambda axis=axis: located(  # type: ignore[misc]
            f"writing at index arrays: the value does not fit on axis {axis}", [x, y], "the value must broadcast to the part"))  # fmt: skip
    return TensorType(x.dtype, x.type.shape)


def _scatter_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Any]:
    x, y, *indices = inputs
    (g,) = gs
    read = Op(_gather, axes=op["axes"], place=op["place"])(g, *indices)
    if not op["replace"]:
        return [g, read, *[None] * len(indices)]
    zeros = broadcast_like(Constant(np.zeros((), g.dtype), weak=True), y)
    return [Op(op.record, **op.attrs)(g, zeros, *indices), read, *[None] * len(indices)]


def _scatter_build(node: Apply, ctx: Any) -> list[Statement]:
    x, y = node.inputs[:2]
    statements = ctx.copy(0)

    def body(at: list[Expr], inside: list[Statement]) -> None:
        value = ctx.load(inside, 1, at)
        place = ctx.flat(x, _gather_position(node, at, lambda k, i: ctx.load(inside, k, i), 2))
        inside.append(Store(ctx.output(), place, value) if node.op["replace"] else Accumulate(ctx.output(), place, value, "add"))

    statements.append(ctx.nest(y.type.shape, body, parallel=False))  # equal indices meet: in order
    return statements


_scatter = record(
    "scatter",
    infer=_scatter_infer,
    numpy=_scatter_numpy,
    grad=_scatter_grad,
    lower=Loops(_scatter_build, in_place=0),
    cases=lambda: [
        Case(lambda x, y, i: inc_subtensor(x[i], y), (Arg((4, 3)), Arg((5, 3)), Arg((5,), "int64", 0, 4))),
        Case(lambda x, y, i: inc_subtensor(x[:, i], y), (Arg((4, 3)), Arg((4, 5)), Arg((5,), "int64", 0, 3))),
        Case(lambda x, y: set_subtensor(x[np.array([2, 0])], y), (Arg((4, 3)), Arg((2, 3)))),
        Case(lambda x, y: set_subtensor(x[np.array([2, 0]), np.array([1, 2])], y), (Arg((4, 3)), Arg((2,)))),
    ],
)

# --- what users write ---------------------------------------------------------------------------------------------


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
    """``x.shape[i]`` and ``x.shape[i:j]`` take the scalars that the shape was put together from, so that their dims stay known."""
    if isinstance(item, tuple) and len(item) == 1:
        (item,) = item
    if x.owner is None or x.owner.op.name != "join" or x.ndim != 1 or not isinstance(item, (int, np.integer, slice)):
        return None
    parts = [scalar_behind(v) for v in x.owner.inputs]
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
                arrays[axis] = _valid_index(found, x, axis)
                start, length, step = constant(0, dtype="int64"), shape_i(x, axis), 1
                layout.append("array")
            else:
                start, length, step = _valid_index(found, x, axis), constant(1, dtype="int64"), 1
                layout.append("drop")
        bounds += [start, length]
        steps.append(step)
        axis += 1
    whole = all(layout_is_whole(x, k, bounds, steps) for k in range(x.ndim))

    def plain(v: Variable) -> Variable:
        return v if whole else Op(_slice, steps=tuple(steps))(v, *bounds)

    plain.bounds, plain.steps, plain.layout = bounds, tuple(steps), layout  # type: ignore[attr-defined]
    return plain, arrays, _rearrangement(layout, arrays)


def layout_is_whole(x: Variable, k: int, bounds: Sequence[Variable], steps: Sequence[int]) -> bool:
    """Does the slicing take all of axis ``k``?"""
    start, length = bounds[2 * k], bounds[2 * k + 1]
    return steps[k] == 1 and isinstance(start, Constant) and int(start.data) == 0 and bool(dims.equal(as_dim(length), x.type.shape[k]))


def _as_index(x: Variable, entry: Any) -> Variable:
    found = as_tensor(entry)
    if found.dtype == "bool":
        if isinstance(found, Constant):
            if found.ndim != 1:
                raise IndexError(located("indexing: a mask known now must have one axis", [x], "use nonzero() of it"))
            return constant(np.flatnonzero(found.data), dtype="int64")
        raise TypeError(located("indexing: a symbolic mask has no known number of results", [x, found], "use switch(mask, x, other), or sum(x * mask)"))
    return found


def _rearrangement(layout: Sequence[str], arrays: dict[int, Variable]) -> Any:
    """The dimshuffle that drops indexed axes and puts new ones in, as a function of the result's number of axes."""
    if "drop" not in layout and "new" not in layout:
        return None
    count = next(iter(arrays.values())).ndim if arrays else 0
    if arrays:
        count = max(v.ndim for v in arrays.values())
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
    return Op(_gather, axes=axes, place=axes[0] if _adjacent(arrays) else 0)(x, *indices)


def _bounds(x: Variable, axis: int, s: slice) -> tuple[Variable, Variable, int]:
    """A slice as (start, length, step), with Python's rules for negative and missing entries."""
    step = 1 if s.step is None else s.step
    if isinstance(step, Constant):
        step = int(step.data)
    if not isinstance(step, (int, np.integer)):
        raise TypeError(located("indexing: the step of a slice must be a known whole number", [x]))
    if step == 0:
        raise ValueError(located("indexing: the step of a slice cannot be 0", [x]))
    dim = x.type.shape[axis]
    start, stop = (_plain_bound(b) for b in (s.start, s.stop))
    if type(dim) is int and not isinstance(start, Variable) and not isinstance(stop, Variable):
        first, last, by = slice(start, stop, int(step)).indices(dim)
        return constant(first, dtype="int64"), constant(len(range(first, last, by)), dtype="int64"), int(step)
    n = shape_i(x, axis)
    low, high = (0, n) if step > 0 else (-1, n - 1)
    first = (low if step > 0 else high) if start is None else _clamped(start, n, low, high)
    last = (high if step > 0 else low) if stop is None else _clamped(stop, n, low, high)
    first, last = as_tensor(first), as_tensor(last)
    span = last - first if step > 0 else first - last
    length = ew.maximum(span if abs(step) == 1 else (span + (abs(step) - 1)) // abs(step), 0)
    if step == 1 and start is None and stop is None:
        length = n
    return ew.cast(first, "int64"), ew.cast(length, "int64"), int(step)


def _plain_bound(b: Any) -> Any:
    if isinstance(b, Constant):
        b = b.data
    if b is None:
        return None
    if isinstance(b, Variable):
        dim = as_dim(b) if _is_shape_like(b) else None
        return dim if type(dim) is int else ew.cast(b, "int64")
    return int(b)


def _is_shape_like(b: Variable) -> bool:
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
        if steps[-1].op.name == "slice" or steps[-1].op.name == "gather" and (v.owner is None or v.owner.op.name != "slice"):
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
        record_ = _write_slice if node.op.name == "slice" else _scatter
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


def inc_subtensor(x: Variable, y: Any, inplace: bool = False, set_instead_of_inc: bool = False, tolerate_inplace_aliasing: bool = False) -> Variable:
    """The tensor of which ``x`` is an indexing, with ``y`` added to that part; where an index occurs twice, both count."""
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
    """One row for each entry of the whole-number vector ``y``: 1 at the column it names, else 0; shape ``(len(y), nb_class)``."""
    from symc.config import config
    from symc.tensor.creation import arange

    y = as_tensor(y)
    columns = dimshuffle(arange(nb_class), (*["x"] * y.ndim, 0))
    return ew.cast(ew.eq(dimshuffle(y, (*range(y.ndim), "x")), columns), dtype or config.floatX)
