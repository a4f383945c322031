"""Conversion between dims and values: ``x.shape``, and its use as the dim of another tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import DTypeError, located
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.dtypes import is_float, is_integer
from symc.graph.op import Arg, Case, Indexed, Op, record
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor, constant, normalize_axis

__all__ = [
    "as_dim",
    "dim_value",
    "following_from_shapes",
    "known_value",
    "length",
    "shape_i",
    "typed_by",
    "value_symbols",
]


def as_dim(x: Any) -> dims.Dim:
    """Convert an integer or an integer scalar expression to a dim.

    Expressions over shapes, constants, ``+ - * // minimum maximum`` become the same expression of dims; any other
    scalar gets its own symbol, bound to its value at each call.
    """
    if isinstance(x, (int, np.integer)):
        return int(x)
    if not isinstance(x, Variable):
        raise TypeError(f"expected an integer or an integer scalar as a dim, got {x!r}")
    known: dict[Variable, dims.Dim] = {}
    stack = [x]
    while stack:
        v = stack[-1]
        if v in known:
            stack.pop()
            continue
        rule = None if v.owner is None else v.owner.op.record.dim
        inputs = () if v.owner is None else v.owner.inputs[: v.owner.op.record.dim_reads]
        if rule is None or v.ndim != 0 or not all(is_integer(i.dtype) for i in inputs):
            known[v] = _leaf_dim(v)
            stack.pop()
            continue
        pending = [i for i in inputs if i not in known]
        if pending:
            stack.extend(pending)
            continue
        assert v.owner is not None
        known[v] = rule(v.owner, [known[i] for i in inputs])
        stack.pop()
    return known[x]


def known_value(v: Variable) -> np.ndarray | None:
    """Return the value of a constant, or of an expression of known shapes such as ``x.shape``; else None."""
    if isinstance(v, Constant):
        return v.data
    if v.owner is None or any(type(d) is not int for d in v.type.shape):
        return None
    node, record = v.owner, v.owner.op.record
    if record.dim is not None and record.dim_reads == 0:
        dim = record.dim(node, [])
        return np.asarray(dim, "int64") if type(dim) is int else None
    if record is TYPED_BY:
        return known_value(node.inputs[0])
    if not record.foldable:
        return None
    known: list[np.ndarray] = []
    for i in node.inputs:
        found = known_value(i)
        if found is None:
            return None
        known.append(found)
    return node.op.evaluate(known)[0]


def same_length(inner: Variable, outer: Variable) -> None:
    """Declare that ``inner``, an input of a body, is always the integer ``outer``: as a dim, both are one symbol."""
    if outer.ndim == 0 and is_integer(outer.dtype) and not isinstance(outer, Constant):
        inner.__dict__["_dim"] = as_dim(outer)


def _leaf_dim(v: Variable) -> dims.Dim:
    if v.ndim != 0 or not (is_integer(v.dtype) or v.dtype == "bool"):
        raise DTypeError(located("a dim must be an integer scalar", [v], "cast it, or take one element"))
    known = known_value(v)
    if known is not None:
        return int(known)
    symbol = v.__dict__.get("_dim")
    if symbol is None:
        symbol = v.__dict__["_dim"] = dims.new_symbol(
            v.name or "value", nonnegative=v.owner is not None and v.owner.op.record.upper is not None
        )
    return symbol


def value_symbols(variables: Sequence[Variable]) -> dict[Any, Variable]:
    """The symbols that ``as_dim`` has bound to these scalars or to scalars they are computed from."""
    found: dict[Any, Variable] = {}
    seen: set[Variable] = set()
    stack = [v for v in variables if v.ndim == 0]
    while stack:
        v = stack.pop()
        if v in seen or is_float(v.dtype):
            continue
        seen.add(v)
        symbol = v.__dict__.get("_dim")
        if symbol is not None:
            found[symbol] = v
        elif v.owner is not None and v.owner.op.record.dim is not None:
            stack.extend(u for u in v.owner.inputs[: v.owner.op.record.dim_reads] if u.ndim == 0)
    return found


def following_from_shapes(nodes: Sequence[Apply]) -> set[Variable]:
    """The integers among the results of ``nodes``, in topological order, that depend only on shapes."""
    found: set[Variable] = set()
    for node in nodes:
        v, record = node.outputs[0], node.op.record
        if record.dim is None or v.ndim or not is_integer(v.dtype):
            continue
        if all(isinstance(i, Constant) or i in found for i in node.inputs[: record.dim_reads]):
            found.add(v)
    return found


DIM_VALUE = record(
    "dim_value",
    dim=lambda node, dims: node.op["dim"],
    infer=lambda op, inputs: TensorType("int64", ()),
    numpy=lambda op: np.asarray(op["dim"], "int64"),
    grad=lambda op, inputs, outputs, gs: (),
    lower=Indexed(lambda node, idx, read, size: size(node.op["dim"]), recompute=True),
)


def dim_value(dim: dims.Dim) -> Variable:
    """Convert a dim to an int64 scalar."""
    return constant(dim, dtype="int64") if type(dim) is int else Op(DIM_VALUE, dim=dim)()


SHAPE_I = record(
    "shape_i",
    dim=lambda node, dims: node.inputs[0].type.shape[node.op["axis"]],
    dim_reads=0,
    infer=lambda op, inputs: TensorType("int64", ()),
    numpy=lambda op, x: np.asarray(x.shape[op["axis"]], "int64"),
    grad=lambda op, inputs, outputs, gs: (None,),
    specialise=lambda op, inputs, types: dim_value(inputs[0].type.shape[op["axis"]]),
    cases=lambda: [Case(lambda x: shape_i(x, 1), (Arg((2, 3)),), lambda x: np.int64(3), grad=False)],
)


def shape_i(x: Any, axis: int) -> Variable:
    """The length of axis ``axis`` of ``x``, an int64 scalar. It depends on ``x`` even if the length is known."""
    x = as_tensor(x)
    return Op(SHAPE_I, axis=normalize_axis(axis, x.ndim, "shape", x))(x)


TYPED_BY = record(
    "typed_by",
    partwise=True,
    dim=lambda node, dims: dims[0],
    dim_reads=1,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    numpy=lambda op, value, *templates: value,
    grad=lambda op, inputs, outputs, gs: [gs[0], *[None] * (len(inputs) - 1)],
    specialise=lambda op, inputs, types: inputs[0],
    cases=lambda: [Case(lambda x, y: typed_by(x, y) * 2, (Arg((2, 3)), Arg(())), lambda x, y: 2 * x)],
)


def typed_by(value: Any, *templates: Any) -> Variable:
    """Add a dependency of ``value`` on ``templates``, from whose types it was derived. Their elements are not read."""
    return Op(TYPED_BY)(as_tensor(value), *map(as_tensor, templates))


def length(x: Variable, axis: int) -> Any:
    """The length of axis ``axis`` of ``x``, as an int if it is known, else as a scalar."""
    dim = x.type.shape[axis]
    return dim if type(dim) is int else shape_i(x, axis)
