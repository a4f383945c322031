"""Constants, constructors of input variables, and the shape-moving primitives every other module stands on."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc import dims
from symc.config import config
from symc.dtypes import is_integer, promote
from symc.errors import DTypeError, ShapeError, located
from symc.graph import Constant, Variable
from symc.guards import require_equal
from symc.loops.expr import Expr, cast, index
from symc.op import Arg, Axes, Case, Indexed, Op, View, record
from symc.types import TensorType

__all__ = [
    "as_dim", "as_tensor", "as_tensor_variable", "broadcast_like", "broadcast_together", "constant", "dim_value", "dimshuffle", "expand",
    "reshape", "reshape_to", "shape", "shape_i", "specify_shape", "unify_dtypes",
]  # fmt: skip


def constant(value: Any, name: str | None = None, ndim: int | None = None, dtype: str | None = None) -> Constant:
    """A value known now; a Python number without ``dtype`` stays weak (it never widens the arrays it meets)."""
    weak = dtype is None and (isinstance(value, (bool, int, float)) and not isinstance(value, np.generic) or np.ndim(value) == 0)
    if weak and isinstance(np.asarray(value)[()], (float, np.floating)):
        dtype = config.floatX
    elif dtype is None and isinstance(value, (list, tuple)) and np.asarray(value).dtype == np.float64:
        dtype = config.floatX
    made = Constant(value, dtype, name, weak)
    if ndim is not None and made.ndim != ndim:
        raise ShapeError(f"constant: expected {ndim} axes, got a value of shape {made.data.shape}")
    return made


def as_tensor(x: Any, name: str | None = None, ndim: int | None = None, dtype: str | None = None) -> Variable:
    """``x`` as a variable: variables pass through, numbers and arrays become constants, lists of variables are stacked.

    Raises
    ------
    TypeError
        For values that are no numbers.
    """
    if isinstance(x, Variable):
        return x
    if isinstance(x, (list, tuple)) and any(isinstance(v, Variable) for v in _leaves(x)):
        from symc.tensor.joining import stack_nested

        return stack_nested(x)
    try:
        return constant(x, name, ndim, dtype)
    except (TypeError, ValueError):
        shown = repr(x) if len(repr(x)) < 80 else repr(x)[:77] + "..."
        raise TypeError(located(f"expected a symbolic variable or numbers, got {type(x).__name__}: {shown}")) from None


as_tensor_variable = as_tensor


def _leaves(x: Any) -> list[Any]:
    return [leaf for v in x for leaf in (_leaves(v) if isinstance(v, (list, tuple)) else [v])]


def unify_dtypes(variables: Sequence[Variable]) -> str:
    """The dtype in which ``variables`` meet, weak constants adapting to the others."""
    strong, weak = [], []
    for v in variables:
        (weak if isinstance(v, Constant) and v.weak else strong).append(v.type.dtype)
    return promote(strong, weak)


# --- dims as values, values as dims ------------------------------------------------------------------------------


def as_dim(x: Any) -> dims.Dim:
    """The dim that a whole number or an integer scalar expression stands for.

    Expressions over shapes, constants, ``+ - * // minimum maximum`` become the same expression of dims; any other scalar
    gets a symbol of its own, bound to its value at each call.
    """
    if isinstance(x, (int, np.integer)):
        return int(x)
    if not isinstance(x, Variable):
        raise TypeError(f"expected a whole number or an integer scalar as a dim, got {x!r}")
    known: dict[Variable, dims.Dim] = {}
    stack = [x]
    while stack:
        v = stack[-1]
        if v in known:
            stack.pop()
            continue
        rule = _DIM_RULES.get(v.owner.op.name) if v.owner is not None else None
        if rule is None or v.ndim != 0 or not all(is_integer(i.dtype) for i in v.owner.inputs if rule is not _shape_rule):
            known[v] = _leaf_dim(v)
            stack.pop()
            continue
        pending = [i for i in v.owner.inputs if i not in known and rule is not _shape_rule]
        if pending:
            stack.extend(pending)
            continue
        known[v] = rule(v, *(known.get(i, 0) for i in v.owner.inputs))
        stack.pop()
    return known[x]


def _leaf_dim(v: Variable) -> dims.Dim:
    if v.ndim != 0 or not (is_integer(v.dtype) or v.dtype == "bool"):
        raise DTypeError(located("a dim must be an integer scalar", [v], "cast it, or take one element"))
    if isinstance(v, Constant):
        return int(v.data)
    symbol = v.__dict__.get("_dim")
    if symbol is None:
        symbol = v.__dict__["_dim"] = dims.new_symbol(v.name or "value", nonnegative=False)
    return symbol


def _shape_rule(v: Variable, *_: dims.Dim) -> dims.Dim:
    assert v.owner is not None
    return v.owner.inputs[0].type.shape[v.owner.op["axis"]]


_DIM_RULES: dict[str, Callable[..., dims.Dim]] = {
    "shape_i": _shape_rule,
    "dim_value": lambda v: v.owner.op["dim"],
    "add": lambda v, a, b: dims.add(a, b),
    "sub": lambda v, a, b: dims.sub(a, b),
    "mul": lambda v, a, b: dims.mul(a, b),
    "floor_div": lambda v, a, b: dims.floordiv(a, b),
    "minimum": lambda v, a, b: dims.minimum(a, b),
    "maximum": lambda v, a, b: dims.maximum(a, b),
    "cast": lambda v, a: a,
    "specify_shape": lambda v, a: a,
}


def value_symbols(variables: Sequence[Variable]) -> dict[Any, Variable]:
    """The symbols that ``as_dim`` bound to values of these scalars or of scalars they are computed from."""
    found: dict[Any, Variable] = {}
    stack = list(variables)
    seen: set[int] = set()
    while stack:
        v = stack.pop()
        if id(v) in seen:
            continue
        seen.add(id(v))
        symbol = v.__dict__.get("_dim")
        if symbol is not None:
            found[symbol] = v
        elif v.owner is not None and v.owner.op.name in _DIM_RULES and v.owner.op.name != "shape_i":
            stack.extend(v.owner.inputs)
    return found


_dim_value = record(
    "dim_value",
    infer=lambda op, inputs: TensorType("int64", ()),
    numpy=lambda op: np.asarray(op["dim"], "int64"),
    grad=lambda op, inputs, outputs, gs: (),
    lower=Indexed(lambda node, idx, read, size: size(node.op["dim"]), recompute=True),
)


def dim_value(dim: dims.Dim) -> Variable:
    """A dim as an int64 scalar."""
    return constant(dim, dtype="int64") if type(dim) is int else Op(_dim_value, dim=dim)()


_shape_i = record(
    "shape_i",
    infer=lambda op, inputs: TensorType("int64", ()),
    numpy=lambda op, x: np.asarray(x.shape[op["axis"]], "int64"),
    grad=lambda op, inputs, outputs, gs: (None,),
    settle=lambda op, inputs, types: dim_value(inputs[0].type.shape[op["axis"]]),
    cases=lambda: [Case(lambda x: shape_i(x, 1), (Arg((2, 3)),), grad=False)],
)


def shape_i(x: Any, axis: int) -> Variable:
    """Length of axis ``axis`` of ``x``, an int64 scalar; a constant where it is known."""
    x = as_tensor(x)
    axis = normalize_axis(axis, x.ndim, "shape", x)
    dim = x.type.shape[axis]
    return constant(dim, dtype="int64") if type(dim) is int else Op(_shape_i, axis=axis)(x)


def shape(x: Any) -> Variable:
    """The shape of ``x`` as an int64 vector; ``shape(x)[i]`` and iteration give its entries without building it."""
    from symc.tensor.joining import stack

    x = as_tensor(x)
    if x.ndim == 0:
        return constant(np.zeros(0, "int64"))
    if all(type(d) is int for d in x.type.shape):
        return constant(np.array(x.type.shape, "int64"))
    return stack([shape_i(x, k) for k in range(x.ndim)])


def normalize_axis(axis: Any, ndim: int, what: str, x: Variable | None = None) -> int:
    """``axis`` counted from the front.

    Raises
    ------
    ShapeError
        When there is no such axis.
    """
    if isinstance(axis, Constant) and axis.ndim == 0:
        axis = axis.data
    try:
        found = operator.index(axis)
    except TypeError:
        raise TypeError(located(f"{what}: expected a whole number as axis, got {axis!r}", [x] if x is not None else [])) from None
    if not -ndim <= found < ndim:
        raise ShapeError(located(f"{what}: axis {found} is out of range for {ndim} axes", [x] if x is not None else []))
    return found % ndim


# --- permuting, extending, cutting axes --------------------------------------------------------------------------


def _dimshuffle_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    (x,) = inputs
    order = op["order"]
    for axis, dim in enumerate(x.type.shape):
        if axis not in order:
            require_equal(dim, 1, lambda axis=axis: located(  # type: ignore[misc]
                f"dimshuffle{order}: axis {axis} is dropped, which needs a dim of 1", [x],
                "keep the axis, or declare it broadcastable"))  # fmt: skip
    return TensorType(x.dtype, [1 if a == "x" else x.type.shape[a] for a in order])


def _dimshuffle_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Variable]:
    order, (x,), (g,) = op["order"], inputs, gs
    kept = [order.index(a) if a in order else "x" for a in range(x.ndim)]
    return [dimshuffle(g, kept)]


def _dimshuffle_numpy(op: Op, x: np.ndarray) -> np.ndarray:
    order = op["order"]
    kept = [a for a in order if a != "x"]
    dropped = tuple(a for a in range(x.ndim) if a not in kept)
    moved = np.squeeze(x, dropped).transpose(np.argsort(np.argsort(kept)) if kept else [])
    return np.expand_dims(moved, tuple(k for k, a in enumerate(order) if a == "x"))


_dimshuffle = record(
    "dimshuffle",
    infer=_dimshuffle_infer,
    numpy=_dimshuffle_numpy,
    grad=_dimshuffle_grad,
    lower=Axes(
        lambda op, node: tuple(op["order"].index(a) if a in op["order"] else None for a in range(node.inputs[0].ndim))
    ),
    cases=lambda: [
        Case(lambda x: dimshuffle(x, (1, 0)), (Arg((2, 3)),)),
        Case(lambda x: dimshuffle(x, (2, "x", 0, 1)), (Arg((2, 3, 4)),)),
        Case(lambda x: dimshuffle(x, ("x", 0)), (Arg((0,)),), grad=False),
        Case(lambda x: dimshuffle(x, ()), (Arg((1, 1)),)),
    ],
)


def dimshuffle(x: Any, *pattern: Any) -> Variable:
    """Permute, add and drop axes: ``pattern`` lists, for each output axis, an input axis or ``"x"`` for a new one of 1.

    An input axis that ``pattern`` leaves out must have dim 1.
    """
    x = as_tensor(x)
    if len(pattern) == 1 and isinstance(pattern[0], (tuple, list)):
        pattern = tuple(pattern[0])
    order: list[Any] = []
    for entry in pattern:
        if isinstance(entry, str):
            if entry != "x":
                raise ValueError(f"dimshuffle: expected axes and 'x', got {entry!r}")
            order.append("x")
        else:
            axis = normalize_axis(entry, x.ndim, "dimshuffle", x)
            if axis in order:
                raise ValueError(f"dimshuffle: axis {axis} is used twice in {pattern}")
            order.append(axis)
    if order == list(range(x.ndim)):
        return x
    return Op(_dimshuffle, order=tuple(order))(x)


# --- broadcasting -------------------------------------------------------------------------------------------------


def _expanded_axes(x: TensorType, target: Sequence[dims.Dim]) -> tuple[int, ...]:
    if not x.shape:
        return tuple(range(len(target)))
    return tuple(k for k, (a, b) in enumerate(zip(x.shape, target)) if a == 1 and not b == 1)


def _expand_source(op: Op, node: Any) -> tuple[int | None, ...]:
    grown = _expanded_axes(node.inputs[0].type, node.outputs[0].type.shape)
    return tuple(None if k in grown else k for k in range(node.inputs[0].ndim))


def _expand_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    from symc.tensor.reduce import sum

    grown = _expanded_axes(inputs[0].type, outputs[0].type.shape)
    g = sum(gs[0], axis=grown, keepdims=inputs[0].ndim > 0) if grown else gs[0]
    return [g, *[None] * (len(inputs) - 1)]


_expand = record(
    "expand",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=lambda op, x: np.broadcast_to(x, op["shape"]),
    grad=_expand_grad,
    lower=Axes(_expand_source),
)


def expand(x: Variable, shape: Sequence[dims.Dim]) -> Variable:
    """``x`` with axes of 1 repeated to ``shape`` (same number of axes), or a scalar repeated to any shape."""
    return Op(_expand, shape=tuple(shape))(x) if tuple(x.type.shape) != tuple(shape) else x


def _broadcast_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    x, *others = inputs
    axes = op["axes"]
    return TensorType(
        x.dtype,
        [x.type.shape[k] if who < 0 else others[who].type.shape[axes[k]] for k, who in enumerate(op["who"])],
    )


_broadcast = record(
    "broadcast",
    infer=_broadcast_infer,
    numpy=lambda op, x, *others: np.broadcast_to(
        x, [x.shape[k] if who < 0 else others[who].shape[op["axes"][k]] for k, who in enumerate(op["who"])]
    ),
    grad=_expand_grad,
    settle=lambda op, inputs, types: expand(inputs[0], types[0].shape),
    cases=lambda: [
        Case(lambda x, y: broadcast_like(x, y), (Arg((1, 3)), Arg((2, 3)))),
        Case(lambda x, y: broadcast_like(x, y), (Arg(()), Arg((2, 3)))),
        Case(lambda x, y: broadcast_like(x, y), (Arg((1,)), Arg((0,))), grad=False),
    ],
)


def broadcast_like(x: Any, template: Any) -> Variable:
    """``x`` repeated to the shape of ``template``, whose values are not read."""
    x, template = as_tensor(x), as_tensor(template)
    if x.ndim == 0:
        return _broadcast_to(x, dict.fromkeys(range(template.ndim), template)) if template.ndim else x
    x = pad_left(x, template.ndim)
    grown = [k for k in range(x.ndim) if x.type.broadcastable[k] and not template.type.broadcastable[k]]
    return _broadcast_to(x, dict.fromkeys(grown, template)) if grown else x


def _broadcast_to(x: Variable, source: dict[int, Variable]) -> Variable:
    """``x`` with each axis in ``source`` repeated to that axis of the variable given."""
    ndim = x.ndim or len(source)
    kept = [d for k, d in enumerate(x.type.shape) if k not in source]
    # A symbol must not become an attribute: it could not follow when dims that must be equal are made one.
    if all(type(d) is int for d in [*kept, *(v.type.shape[k] for k, v in source.items())]):
        return expand(x, [source[k].type.shape[k] if k in source else x.type.shape[k] for k in range(ndim)])
    others: list[Variable] = []
    who = []
    for k in range(ndim):
        if k in source:
            if source[k] not in others:
                others.append(source[k])
            who.append(others.index(source[k]))
        else:
            who.append(-1)
    return Op(_broadcast, who=tuple(who), axes=tuple(range(ndim)))(x, *others)


def pad_left(x: Variable, ndim: int) -> Variable:
    """``x`` with axes of 1 put in front until it has ``ndim``."""
    missing = ndim - x.ndim
    return dimshuffle(x, ["x"] * missing + list(range(x.ndim))) if missing > 0 else x


def broadcast_together(what: str, variables: Sequence[Variable]) -> list[Variable]:
    """The variables brought to one shape by NumPy's rule, where only dims known to be 1 are repeated.

    Raises
    ------
    ShapeError
        When two dims are known to differ and neither is 1; the message names the operands and the axis.
    """
    ndim = max(v.ndim for v in variables)
    padded = [pad_left(v, ndim) if v.ndim else v for v in variables]
    source: dict[int, Variable] = {}
    for axis in range(ndim):
        leader: Variable | None = None
        for v in padded:
            if v.ndim == 0:
                continue
            dim = v.type.shape[axis]
            if leader is None or leader.type.broadcastable[axis]:
                leader = v
            elif type(dim) is int and dim == 1:
                continue
            elif dims.equal(leader.type.shape[axis], dim) is False:
                raise ShapeError(located(
                    f"{what}: shapes do not go together: axis {axis - ndim} is {dims.show(leader.type.shape[axis])} in one operand "
                    f"and {dims.show(dim)} in another",
                    variables, "only dims known to be 1 are repeated; transpose, reshape or index one operand"))  # fmt: skip
            elif type(dim) is int:
                leader = v
        if leader is not None:
            source[axis] = leader
    return [_broadcast_to(v, needed) if (needed := _growth(v, source)) else v for v in padded]


def _growth(v: Variable, source: dict[int, Variable]) -> dict[int, Variable]:
    if v.ndim == 0:
        return source
    return {k: s for k, s in source.items() if v.type.broadcastable[k] and not s.type.broadcastable[k]}


# --- reshaping ----------------------------------------------------------------------------------------------------


def _reshape_dims(op: Op, inputs: Sequence[Variable]) -> list[dims.Dim]:
    x, *scalars = inputs
    wanted = [as_dim(scalars[k]) if given < -1 else given for k, given in _numbered(op["given"])]
    total = dims.product(x.type.shape)
    free = [k for k, d in enumerate(wanted) if type(d) is int and d == -1]
    if len(free) > 1:
        raise ShapeError(located(f"reshape: at most one entry may be -1, got {op['given']}", [x]))
    if free:
        rest = dims.product(d for k, d in enumerate(wanted) if k not in free)
        wanted[free[0]] = dims.floordiv(total, rest) if rest != 0 else 0
    require_equal(dims.product(wanted), total, lambda: located(
        f"reshape: {dims.show_shape(x.type.shape)} holds {dims.show(total)} elements, "
        f"{dims.show_shape(wanted)} {dims.show(dims.product(wanted))}", [x], "the product of the new shape must be the same"))  # fmt: skip
    return wanted


def _numbered(given: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs (position among the scalar inputs, entry); entries below -1 stand for a scalar input."""
    pairs, at = [], 0
    for entry in given:
        pairs.append((at, entry))
        at += entry < -1
    return pairs


_reshape = record(
    "reshape",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, _reshape_dims(op, inputs)),
    numpy=lambda op, x, *scalars: x.reshape([int(scalars[k]) if g < -1 else g for k, g in _numbered(op["given"])]),
    grad=lambda op, inputs, outputs, gs: [reshape_like(gs[0], inputs[0]), *[None] * (len(inputs) - 1)],
    settle=lambda op, inputs, types: reshape_to(inputs[0], types[0].shape),
    cases=lambda: [
        Case(lambda x: reshape(x, (3, -1)), (Arg((2, 3, 2)),)),
        Case(lambda x: reshape(x, (shape_i(x, 1), shape_i(x, 0))), (Arg((2, 3)),)),
        Case(lambda x: reshape(x, (-1,)), (Arg((2, 0)),), grad=False),
        Case(lambda x: reshape(x, ()), (Arg((1, 1)),)),
    ],
)

_reshape_to = record(
    "reshape_to",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=lambda op, x: x.reshape(op["shape"]),
    grad=lambda op, inputs, outputs, gs: [reshape_like(gs[0], inputs[0])],
    lower=View(),
)


def reshape_to(x: Variable, shape: Sequence[dims.Dim]) -> Variable:
    """``x`` under another shape of as many elements, given as dims."""
    return Op(_reshape_to, shape=tuple(shape))(x) if tuple(shape) != x.type.shape else x


def reshape(x: Any, newshape: Any, ndim: int | None = None) -> Variable:
    """The elements of ``x`` in the same order under ``newshape``.

    Parameters
    ----------
    newshape : sequence of int or integer scalars, or an integer vector
        One entry may be -1: it takes what is left.
    ndim : int, optional
        Needed only when ``newshape`` is a symbolic vector of unknown length.
    """
    x = as_tensor(x)
    entries = shape_entries(newshape, "reshape", ndim)
    given: list[int] = []
    scalars: list[Variable] = []
    for entry in entries:
        if isinstance(entry, int):
            if entry < -1:
                raise ShapeError(located(f"reshape: a dim cannot be {entry}", [x]))
            given.append(entry)
        else:
            given.append(-2)
            scalars.append(entry)
    return Op(_reshape, given=tuple(given))(x, *scalars)


def reshape_like(x: Variable, template: Variable) -> Variable:
    """``x`` under the shape of ``template``."""
    return reshape(x, [shape_i(template, k) for k in range(template.ndim)]) if template.ndim else reshape(x, ())


def shape_entries(value: Any, what: str, ndim: int | None = None) -> list[int | Variable]:
    """A shape argument as a list of whole numbers and integer scalars."""
    if isinstance(value, (int, np.integer)):
        return [int(value)]
    if isinstance(value, Variable):
        if value.ndim == 0:
            return [int(value.data)] if isinstance(value, Constant) else [value]
        if isinstance(value, Constant):
            return [int(v) for v in value.data]
        length = value.type.shape[0] if value.ndim == 1 else None
        if value.owner is not None and value.owner.op.name == "join" and value.owner.op["axis"] == 0:
            # a shape put together from scalars: take them back, so that their dims are known
            parts = [scalar_behind(v) for v in value.owner.inputs]
            if all(p is not None for p in parts):
                return [e for p in parts for e in shape_entries(p, what)]
        if type(length) is not int:
            if ndim is None:
                raise ShapeError(located(f"{what}: the length of the shape vector must be known", [value], "pass ndim="))
            length = ndim
        return [value[k] for k in range(length)]
    return [e for v in value for e in shape_entries(v, what)]


def scalar_behind(v: Variable) -> Variable | None:
    """The scalar of which ``v`` is the one-element vector, if it was made that way."""
    if v.owner is not None and v.owner.op.name == "dimshuffle" and v.owner.inputs[0].ndim == 0:
        return v.owner.inputs[0]
    if isinstance(v, Constant) and v.data.shape == (1,):
        return constant(v.data[0], dtype=v.dtype)
    return None


def _specify_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    (x,) = inputs
    wanted = op["shape"]
    if len(wanted) != x.ndim:
        raise ShapeError(located(f"specify_shape: expected {len(wanted)} axes, got {x.ndim}", [x]))
    found = [
        d if w is None else require_equal(d, w, lambda k=k, w=w: located(  # type: ignore[misc]
            f"specify_shape: axis {k} is declared to be {w}", [x], "pass an array of the declared shape, or declare another"))
        for k, (d, w) in enumerate(zip(x.type.shape, wanted))
    ]  # fmt: skip
    return TensorType(x.dtype, found)


_specify = record(
    "specify_shape",
    infer=_specify_infer,
    numpy=lambda op, x: x,
    grad=lambda op, inputs, outputs, gs: [gs[0]],
    settle=lambda op, inputs, types: inputs[0],
    cases=lambda: [Case(lambda x: specify_shape(x, (None, 3)) * 2, (Arg((2, 3)),))],
)


def specify_shape(x: Any, shape: Any) -> Variable:
    """``x`` with dims declared: ints are fixed, None leaves a dim as it is. A call that breaks the promise is an error."""
    x = as_tensor(x)
    wanted = tuple(None if d is None else int(d) for d in shape)
    if wanted == x.static_shape or all(w is None for w in wanted) and len(wanted) == x.ndim:
        return x
    return Op(_specify, shape=wanted)(x)


def size_of(size: Callable[[Any], Expr], dim: dims.Dim, dtype: str) -> Expr:
    """A dim as an Expr of another dtype."""
    return cast(index(size(dim)), dtype)
