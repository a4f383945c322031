"""Joining, splitting and repeating tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Loops, Op, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, var
from symc.loops.ir import Load, Statement, Store
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle, reshape
from symc.tensor.basic import as_tensor, constant, normalize_axis, unify_dtypes
from symc.tensor.symbolic_dims import length, shape_i

__all__ = [
    "concatenate",
    "horizontal_stack",
    "join",
    "repeat",
    "split",
    "stack",
    "stack_nested",
    "stacklists",
    "tile",
    "vertical_stack",
]


def _join_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    axis, first = op["axis"], inputs[0]
    shape = list(first.type.shape)
    for v in inputs[1:]:
        if v.dtype != first.dtype:
            raise DTypeError(located("join: operands must have one dtype", inputs))
        if v.ndim != first.ndim:
            raise ShapeError(
                located("join: operands must have as many axes", inputs, "add or drop axes with dimshuffle or reshape")
            )
        for k, dim in enumerate(v.type.shape):
            if k == axis:
                shape[k] = dims.add(shape[k], dim)
            else:
                shape[k] = require_equal(
                    shape[k],
                    dim,
                    f"join along axis {axis}: operands differ on axis {k}",
                    inputs,
                    "only the joined axis may differ",
                )
    return TensorType(first.dtype, shape)


def _join_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Variable]:
    return split_like(gs[0], inputs, op["axis"])


def split_like(g: Variable, templates: Sequence[Variable], axis: int) -> list[Variable]:
    """``g`` cut along ``axis`` into pieces as long as ``templates``."""
    pieces: list[Variable] = []
    start: Variable = constant(0, dtype="int64")
    for v in templates:
        stop = start + shape_i(v, axis)
        pieces.append(g[(slice(None),) * axis + (slice(start, stop),)])
        start = stop
    return pieces


def _join_build(node: Apply, ctx: Any) -> list[Statement]:
    """Seen from the joined axis, every operand is rows of memory, to be laid side by side."""
    (out,), axis = node.outputs, node.op["axis"]
    rows, width = (dims.product(d) for d in (out.type.shape[:axis], out.type.shape[axis:]))
    statements: list[Statement] = []
    offset: dims.Dim = 0
    for k, v in enumerate(node.inputs):
        length = dims.product(v.type.shape[axis:])

        def body(at: list[Expr], inside: list[Statement], k: int = k, part: tuple = (offset, length)) -> None:
            (row, i), (start, length) = at, part
            name = ctx.fresh("x")
            inside.append(Load(name, ctx.input(k), row * ctx.size(length) + i, out.dtype))
            to = row * ctx.size(width) + (ctx.size(start) + i)
            inside.append(Store(ctx.output(), to, var(name, out.dtype)))

        statements.append(ctx.nest((rows, length), body, simd=True))
        offset = dims.add(offset, length)
    return statements


_join = record(
    "join",
    infer=_join_infer,
    numpy=lambda op, *arrays: np.concatenate(arrays, axis=op["axis"]),
    grad=_join_grad,
    lower=Loops(_join_build),
    cases=lambda: [
        Case(lambda x, y: join(0, x, y), (Arg((2, 3)), Arg((4, 3))), lambda x, y: np.vstack([x, y])),
        Case(lambda x, y, z: join(1, x, y, z), (Arg((2, 3)), Arg((2, 1)), Arg((2, 4))), lambda *a: np.hstack(a)),
        Case(lambda x, y: join(-1, x, y), (Arg((3,)), Arg((0,))), lambda x, y: x),
        Case(lambda x, y: stack([x, y], axis=1), (Arg((2, 3)), Arg((2, 3))), lambda *a: np.stack(a, 1)),
        Case(
            lambda x, y: join(0, x, y),
            (Arg((2,), "int8", -9, 9), Arg((3,), "int32", -9, 9)),
            lambda x, y: np.hstack([x, y]),
            grad=False,
        ),
        Case(lambda x: repeat(x, 3, axis=1), (Arg((2, 3)),), expect=lambda x: np.repeat(x, 3, 1)),
        Case(lambda x: tile(x, (2, 3)), (Arg((2, 3)),), expect=lambda x: np.tile(x, (2, 3))),
    ],
)


def join(axis: Any, *tensors: Any) -> Variable:
    """The operands one after another along ``axis``; they agree on all others."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    variables = [as_tensor(t) for t in tensors]
    if not variables:
        raise ValueError("join: nothing to join")
    if variables[0].ndim == 0:
        raise ShapeError(located("join: scalars have no axis to join along", variables, "use stack"))
    place = normalize_axis(axis, variables[0].ndim, "join", variables[0])
    dtype = unify_dtypes(variables)
    variables = [ew.cast(v, dtype) for v in variables]
    return variables[0] if len(variables) == 1 else Op(_join, axis=place)(*variables)


def concatenate(tensor_list: Sequence[Any], axis: int = 0) -> Variable:
    """The tensors one after another along ``axis``, as ``numpy.concatenate``."""
    if isinstance(tensor_list, Variable):
        raise TypeError("concatenate: expected a list of tensors, got one; write concatenate([a, b])")
    return join(axis, *tensor_list)


def stack(tensors: Any, axis: int = 0, *more: Any) -> Variable:
    """The tensors, all of one shape, along a new axis."""
    if isinstance(tensors, Variable):
        tensors = [tensors, *([axis] if isinstance(axis, Variable) else []), *more]
        axis = 0
    variables = [as_tensor(t) for t in tensors]
    if not variables:
        raise ValueError("stack: nothing to stack")
    ndim = variables[0].ndim
    place = normalize_axis(axis, ndim + 1, "stack", variables[0])
    order: list[Any] = list(range(ndim))
    order.insert(place, "x")
    return join(place, *[dimshuffle(v, order) for v in variables])


def stack_nested(nested: Any) -> Variable:
    """Nested lists of scalars or tensors as one tensor."""
    if isinstance(nested, (list, tuple)):
        return stack([stack_nested(v) for v in nested])
    return as_tensor(nested)


stacklists = stack_nested


def horizontal_stack(*args: Any) -> Variable:
    """Matrices side by side."""
    return join(1, *args)


def vertical_stack(*args: Any) -> Variable:
    """Matrices below one another."""
    return join(0, *args)


def split(x: Any, splits_size: Sequence[Any], n_splits: int | None = None, axis: int = 0) -> list[Variable]:
    """``x`` cut along ``axis`` into pieces of the lengths in ``splits_size``."""
    x = as_tensor(x)
    place = normalize_axis(axis, x.ndim, "split", x)
    if isinstance(splits_size, Variable):
        splits_size = [splits_size[k] for k in range(n_splits or 0)]
    sizes = list(splits_size)
    if n_splits is not None and len(sizes) != n_splits:
        raise ValueError(located(f"split: {n_splits} pieces wanted, {len(sizes)} lengths given", [x]))
    if all(isinstance(s, (int, np.integer)) for s in sizes):
        text = f"split: lengths {sizes} do not add up to axis {place}"
        require_equal(int(sum(sizes)), x.type.shape[place], text, [x])
    pieces: list[Variable] = []
    start: Any = constant(0, dtype="int64")
    for s in sizes:
        known = isinstance(start, Constant) and not isinstance(s, Variable)
        stop = constant(int(start.data) + int(s), dtype="int64") if known else start + s
        pieces.append(x[(slice(None),) * place + (slice(start, stop),)])
        start = stop
    return pieces


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Variable:
    """Every element (along ``axis``; flattened when None) ``repeats`` times in a row."""
    x = as_tensor(x)
    if axis is None:
        x, axis = x.flatten(), 0
    place = normalize_axis(axis, x.ndim, "repeat", x)
    count = as_tensor(repeats)
    if count.ndim:
        from symc.tensor.indexing import take

        if not hasattr(count, "data"):
            raise ShapeError(
                located(
                    "repeat: one count for each element must be known numbers",
                    [count],
                    "pass a NumPy array, or a scalar",
                )
            )
        return take(x, np.repeat(np.arange(len(count.data)), count.data), axis=place)
    from symc.tensor.creation import alloc

    order: list[Any] = [*range(place + 1), "x", *range(place + 1, x.ndim)]
    lengths = [length(x, k) for k in range(x.ndim)]
    spread = alloc(dimshuffle(x, order), [*lengths[: place + 1], repeats, *lengths[place + 1 :]])
    return reshape(spread, [n * repeats if k == place else n for k, n in enumerate(lengths)])


def tile(x: Any, reps: Any, ndim: int | None = None) -> Variable:
    """``x`` repeated as a whole ``reps[k]`` times along each axis, as ``numpy.tile``."""
    from symc.tensor.creation import alloc

    x = as_tensor(x)
    counts = list(reps) if isinstance(reps, (list, tuple)) else [reps]
    counts = [1] * (x.ndim - len(counts)) + counts
    if x.ndim < len(counts):
        x = dimshuffle(x, ["x"] * (len(counts) - x.ndim) + list(range(x.ndim)))
    order = [e for k in range(x.ndim) for e in ("x", k)]
    lengths = [length(x, k) for k in range(x.ndim)]
    spread = alloc(dimshuffle(x, order), [e for c, n in zip(counts, lengths) for e in (c, n)])
    return reshape(spread, [n * c for c, n in zip(counts, lengths)])
