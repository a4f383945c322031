"""Joining tensors along an axis, and stacking along a new axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import DTypeError, ShapeError, TypeMismatchError, located
from symc.graph import Apply, Variable, dims
from symc.graph.gradient_flow import Reach
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Loops, Op, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, call, index, minimum, var
from symc.loops.ir import For, Load, Statement, Store
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, constant, normalize_axis, stack_lists_with, unify_dtypes
from symc.tensor.broadcasting import broadcast_like, expand
from symc.tensor.conversion import cast
from symc.tensor.symbolic_dims import shape_i

__all__ = [
    "concatenate",
    "JOIN",
    "horizontal_stack",
    "join",
    "stack",
    "stack_nested",
    "stacklists",
    "vertical_stack",
]


FEW = 8
"""The largest number of elements of a row that are copied with rows as lanes."""
FEW_SINGLE = 32
"""The same where each operand has one of them, so that they take turns."""
FEWEST_ROWS = 32
"""The smallest number of rows for that, if it is known."""
BLOCK = 2048
"""The number of rows per iteration of their parallel loop."""


def _join_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    axis, first = op["axis"], inputs[0]
    shape = list(first.type.shape)
    for v in inputs[1:]:
        if v.dtype != first.dtype:
            raise DTypeError(located("join: operands must have one dtype", inputs))
        if v.ndim != first.ndim:
            raise TypeMismatchError(
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


def _join_reach(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], counts: Variable) -> list[Variable]:
    return split_like(broadcast_like(counts, outputs[0]), inputs, op["axis"])


def split_like(g: Variable, templates: Sequence[Variable], axis: int) -> list[Variable]:
    """Split ``g`` along ``axis`` into pieces as long as ``templates``."""
    bounds = _bounds_of(templates, axis)
    return [g[(slice(None),) * axis + (slice(start, stop),)] for start, stop in zip(bounds, bounds[1:])]


def _bounds_of(templates: Sequence[Variable], axis: int) -> list[Variable]:
    """The positions at which ``templates`` begin if they are joined along ``axis``, and their end.

    Lengths that are known, or equal to one unknown length, are counted, so that the positions in a join of thousands
    are no sums of thousands.
    """
    lengths = [v.type.shape[axis] for v in templates]
    unknown = [k for k, d in enumerate(lengths) if type(d) is not int]
    positions: list[Variable] = [constant(0, dtype="int64")]
    if len({lengths[k] for k in unknown}) > 1:
        for v in templates:
            positions.append(positions[-1] + shape_i(v, axis))
        return positions
    fixed, times = 0, 0
    for length in lengths:
        fixed, times = (fixed + length, times) if type(length) is int else (fixed, times + 1)
        known = constant(fixed, dtype="int64")
        positions.append(known + times * shape_i(templates[unknown[0]], axis) if times else known)
    return positions


def _join_build(node: Apply, ctx: Any) -> list[Statement]:
    """Copy each operand as rows of contiguous memory, which are placed side by side along the joined axis.

    Operands that are in their places already are left out. Rows of few elements are lanes.
    """
    (out,), axis = node.outputs, node.op["axis"]
    rows, width = (dims.product(d) for d in (out.type.shape[:axis], out.type.shape[axis:]))
    many = not (type(rows) is int and rows < FEWEST_ROWS)
    lengths = [dims.product(v.type.shape[axis:]) for v in node.inputs]
    known = all(type(n) is int for n in (width, *lengths))
    few = FEW_SINGLE if all(type(n) is int and n == 1 for n in lengths) else FEW
    copied = any(k not in ctx.placed and length != 0 for k, length in enumerate(lengths))
    if known and width <= few and many and copied:
        return [_interleaved(node, ctx, lengths, rows)]
    statements: list[Statement] = []
    offset: dims.Dim = 0
    for k, length in enumerate(lengths):
        if k in ctx.placed or length == 0:
            offset = dims.add(offset, length)
            continue

        def body(at: list[Expr], inside: list[Statement], k: int = k, part: tuple = (offset, length)) -> None:
            (row, i), (start, length) = at, part
            name = ctx.fresh("x")
            inside.append(Load(name, ctx.input(k), row * ctx.size(length) + i, out.dtype))
            to = row * ctx.size(width) + (ctx.size(start) + i)
            inside.append(Store(ctx.output(), to, var(name, out.dtype)))

        statements.append(ctx.nest((rows, length), body, simd=True))
        offset = dims.add(offset, length)
    return statements


def _interleaved(node: Apply, ctx: Any, lengths: Sequence[int], rows: dims.Dim) -> Statement:
    """One loop over the rows, in which each element of a row is copied."""
    (out,), o, i = node.outputs, ctx.fresh("o"), ctx.fresh("i")
    width, row = sum(lengths), var(o) * BLOCK + var(i)
    loads: list[Statement] = []
    stores: list[Statement] = []
    at = 0
    for k, length in enumerate(lengths):
        for element in range(0 if k in ctx.placed else length):
            name = ctx.fresh("x")
            loads.append(Load(name, ctx.input(k), row * length + element, out.dtype))
            stores.append(Store(ctx.output(), row * width + (at + element), var(name, out.dtype)))
        at += length
    lanes = For(i, minimum(ctx.size(rows) - var(o) * BLOCK, index(BLOCK)), (*loads, *stores), "simd")
    blocks = call("floordiv", ctx.size(rows) + (BLOCK - 1), index(BLOCK))
    return For(o, blocks, (lanes,), "parallel", index(BLOCK * width))


def _join_batch(op: Op, inputs: Sequence[Variable], stacked: Sequence[bool], count: dims.Dim) -> Variable:
    """Join the entries side by side."""
    repeated = [
        v if s else expand(dimshuffle(v, ["x", *range(v.ndim)]), (count, *v.type.shape))
        for v, s in zip(inputs, stacked)
    ]
    return Op(JOIN, axis=op["axis"] + 1)(*repeated)


JOIN = record(
    "join",
    batch=_join_batch,
    foldable=True,
    infer=_join_infer,
    numpy=lambda op, *arrays: np.concatenate(arrays, axis=op["axis"]),
    grad=_join_grad,
    reach=Reach(_join_reach),
    linear="jointly",
    moves=lambda op: slice(None),
    nonnegative="all",
    lower=Loops(_join_build, side_by_side=lambda node: node.op["axis"]),
    checks_late=True,
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
    ],
)


def join(axis: Any, *tensors: Any) -> Variable:
    """Join tensors along ``axis``; all other axes must agree."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    variables = [as_tensor(t) for t in tensors]
    if not variables:
        raise ValueError("join: nothing to join")
    if variables[0].ndim == 0:
        raise TypeMismatchError(located("join: scalars have no axis to join along", variables, "use stack"))
    place = normalize_axis(axis, variables[0].ndim, "join", variables[0])
    dtype = unify_dtypes(variables)
    variables = [cast(v, dtype) for v in variables]
    return variables[0] if len(variables) == 1 else Op(JOIN, axis=place)(*variables)


def concatenate(tensor_list: Sequence[Any], axis: int = 0) -> Variable:
    """Join tensors along ``axis``, as ``numpy.concatenate``."""
    if isinstance(tensor_list, Variable):
        text = "concatenate: expected a list of tensors, got one"
        raise TypeError(located(text, [tensor_list], "write concatenate([a, b])"))
    return join(axis, *tensor_list)


def stack(tensors: Any, axis: Any = None, *more: Any) -> Variable:
    """Stack tensors of the same shape along a new axis, by default the first.

    Theano's old form, ``stack(a, b, c)``, stacks them along the first axis; some of them may be numbers.
    """
    if isinstance(tensors, Variable) and tensors.ndim and not isinstance(axis, Variable):
        raise TypeError(located("stack: expected a list of tensors", [tensors], "write stack([a, b], axis)"))
    if isinstance(tensors, (Variable, int, float, np.number)):
        tensors, axis = [tensors, *(() if axis is None else (axis,)), *more], 0
    elif more:
        raise TypeError(f"stack: takes a list of tensors and an axis, got {len(more)} arguments more")
    axis = 0 if axis is None else axis
    variables = [as_tensor(t) for t in tensors]
    if not variables:
        raise ValueError("stack: nothing to stack")
    ndim = variables[0].ndim
    if any(v.ndim != ndim for v in variables):
        raise TypeMismatchError(located("stack: the tensors must have as many axes", variables))
    place = normalize_axis(axis, ndim + 1, "stack", variables[0])
    dtype = unify_dtypes(variables)  # while numbers are numbers, which adapt to the others
    order: list[Any] = list(range(ndim))
    order.insert(place, "x")
    return join(place, *[dimshuffle(cast(v, dtype), order) for v in variables])


def stack_nested(nested: Any) -> Variable:
    """Convert nested lists of scalars or tensors to one tensor."""
    if isinstance(nested, (list, tuple)):
        return stack([stack_nested(v) for v in nested])
    return as_tensor(nested)


stacklists = stack_nested


def horizontal_stack(*args: Any) -> Variable:
    """Join matrices horizontally."""
    return join(1, *_matrices("horizontal_stack", args))


def vertical_stack(*args: Any) -> Variable:
    """Join matrices vertically."""
    return join(0, *_matrices("vertical_stack", args))


def _matrices(what: str, args: Sequence[Any]) -> list[Variable]:
    variables = [as_tensor(a) for a in args]
    if any(v.ndim != 2 for v in variables):
        raise ShapeError(located(f"{what}: expected matrices", variables, "use join or stack"))
    return variables


stack_lists_with(stack_nested)
