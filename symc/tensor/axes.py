"""Axes permuted and cut anew: ``dimshuffle``, ``reshape``, and dims declared with ``specify_shape``."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Constant, Variable, dims
from symc.graph.dtypes import is_float
from symc.graph.gradient_flow import Reach
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Axes, Case, Op, View, record
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor, constant, normalize_axis
from symc.tensor.requirements import require_lengths
from symc.tensor.symbolic_dims import as_dim, shape_i

__all__ = [
    "declare_dims",
    "dimshuffle",
    "pad_left",
    "reshape",
    "reshape_like",
    "reshape_to",
    "scalar_behind",
    "shape_entries",
    "specify_shape",
]


def _dimshuffle_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    (x,) = inputs
    order = op["order"]
    for axis, dim in enumerate(x.type.shape):
        if axis not in order:
            require_equal(
                dim,
                1,
                f"dimshuffle{order}: axis {axis} is dropped, which needs a dim of 1",
                [x],
                "keep the axis, or declare it broadcastable",
            )
    return TensorType(x.dtype, [1 if a == "x" else x.type.shape[a] for a in order])


def _dimshuffle_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Variable]:
    order, (x,), (g,) = op["order"], inputs, gs
    kept = [order.index(a) if a in order else "x" for a in range(x.ndim)]
    return [dimshuffle(g, kept)]


def _dimshuffle_reach(op: Op, inputs: Sequence[Variable], outputs: Any, counts: Variable) -> list[Variable]:
    return _dimshuffle_grad(op, inputs, outputs, [counts])


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
    reach=Reach(_dimshuffle_reach, one_to_one=True),
    linear="jointly",
    layout_only=True,
    moves=lambda op: slice(0, 1),
    nonnegative="all",
    lower=Axes(
        lambda op, node: tuple(op["order"].index(a) if a in op["order"] else None for a in range(node.inputs[0].ndim))
    ),
    cases=lambda: [
        Case(lambda x: dimshuffle(x, (1, 0)), (Arg((2, 3)),), lambda x: x.T),
        Case(lambda x: dimshuffle(x, (2, "x", 0, 1)), (Arg((2, 3, 4)),), lambda x: x.transpose(2, 0, 1)[:, None]),
        Case(lambda x: dimshuffle(x, ("x", 0)), (Arg((0,)),), lambda x: x[None], grad=False),
        Case(lambda x: dimshuffle(x, ()), (Arg((1, 1)),), lambda x: x[0, 0]),
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


def pad_left(x: Variable, ndim: int) -> Variable:
    """``x`` with axes of 1 put in front until it has ``ndim``."""
    missing = ndim - x.ndim
    return dimshuffle(x, ["x"] * missing + list(range(x.ndim))) if missing > 0 else x


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
    require_equal(dims.product(wanted), total, lambda: _reshape_refusal(x, total, wanted))
    return wanted


def _reshape_refusal(x: Variable, total: dims.Dim, wanted: Sequence[dims.Dim]) -> str:
    have, want = dims.show_shape(x.type.shape), dims.show_shape(wanted)
    text = f"reshape: {have} holds {dims.show(total)} elements, {want} {dims.show(dims.product(wanted))}"
    return located(text, [x], "the product of the new shape must be the same")


def _numbered(given: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs (position among the scalar inputs, entry); entries below -1 stand for a scalar input."""
    pairs, at = [], 0
    for entry in given:
        pairs.append((at, entry))
        at += entry < -1
    return pairs


def _reshape_reach(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], counts: Variable) -> list[Any]:
    from symc.tensor.broadcasting import broadcast_like

    x = inputs[0]
    if all(counts.type.broadcastable):
        return [dimshuffle(counts, ["x"] * x.ndim)]
    return [reshape_like(broadcast_like(counts, outputs[0]), x)]


_reshape = record(
    "reshape",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, _reshape_dims(op, inputs)),
    numpy=lambda op, x, *scalars: x.reshape([int(scalars[k]) if g < -1 else g for k, g in _numbered(op["given"])]),
    grad=lambda op, inputs, outputs, gs: [reshape_like(gs[0], inputs[0]), *[None] * (len(inputs) - 1)],
    reach=Reach(_reshape_reach, one_to_one=True),
    linear="jointly",
    moves=lambda op: slice(0, 1),
    nonnegative="all",
    specialise=lambda op, inputs, types: reshape_to(inputs[0], types[0].shape),
    cases=lambda: [
        Case(lambda x: reshape(x, (3, -1)), (Arg((2, 3, 2)),), lambda x: x.reshape(3, 4)),
        Case(lambda x: reshape(x, (shape_i(x, 1), shape_i(x, 0))), (Arg((2, 3)),), lambda x: x.reshape(3, 2)),
        Case(lambda x: reshape(x, (-1,)), (Arg((2, 0)),), np.ravel, grad=False),
        Case(lambda x: reshape(x, ()), (Arg((1, 1)),), lambda x: x[0, 0]),
    ],
)


_reshape_to = record(
    "reshape_to",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=lambda op, x: x.reshape(op["shape"]),
    grad=lambda op, inputs, outputs, gs: [reshape_like(gs[0], inputs[0])],
    reach=Reach(_reshape_reach, one_to_one=True),
    linear="jointly",
    lower=View(),
    layout_only=True,
    moves=lambda op: slice(0, 1),
    nonnegative="all",
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
    """A shape argument as a list of whole numbers and integer scalars.

    Parameters
    ----------
    value : int, sequence of int or integer scalars, or integer vector
    what : str
        Whose argument it is, for messages.
    ndim : int, optional
        How many entries there must be; needed where ``value`` is a vector of unknown length.
    """
    if isinstance(value, Variable) and value.ndim == 1:
        entries = _entries_of_vector(value, what, ndim)
    elif isinstance(value, (list, tuple)) or isinstance(value, np.ndarray) and value.ndim == 1:
        entries = [_shape_entry(v, what) for v in value]
    else:
        entries = [_shape_entry(value, what)]
    if ndim is not None and len(entries) != ndim:
        raise ShapeError(located(f"{what}: the shape has {len(entries)} entries, but ndim={ndim}", _variables(entries)))
    return entries


def _variables(entries: Sequence[Any]) -> list[Variable]:
    return [e for e in entries if isinstance(e, Variable)]


def _shape_entry(value: Any, what: str) -> int | Variable:
    if isinstance(value, Constant) and value.ndim == 0:
        value = value.data[()]
    if isinstance(value, Variable):
        if value.ndim or is_float(value.dtype):
            text = f"{what}: an entry of a shape must be an integer scalar"
            raise TypeError(located(text, [value], "cast it to int64, or take one element"))
        return value
    try:
        return operator.index(value[()] if isinstance(value, np.ndarray) else value)
    except TypeError:
        text = f"{what}: an entry of a shape must be a whole number or an integer scalar, got {value!r}"
        raise TypeError(located(text)) from None


def _entries_of_vector(value: Variable, what: str, ndim: int | None) -> list[int | Variable]:
    if isinstance(value, Constant):
        return [_shape_entry(v, what) for v in value.data]
    if value.owner is not None and value.owner.op.name == "join" and value.owner.op["axis"] == 0:
        # a shape put together from scalars: take them back, so that their dims are known
        parts = [scalar_behind(v) for v in value.owner.inputs]
        if all(p is not None for p in parts):
            return [_shape_entry(p, what) for p in parts]
    length = value.type.shape[0]
    if type(length) is not int:
        if ndim is None:
            raise ShapeError(located(f"{what}: the length of the shape vector must be known", [value], "pass ndim="))
        text = f"{what}: the shape must have as many entries as ndim says: {ndim}"
        value, length = require_lengths(value, [(shape_i(value, 0), ndim, text)]), ndim
    return [_shape_entry(value[k], what) for k in range(length)]


def scalar_behind(v: Variable) -> Variable | None:
    """The scalar of which ``v`` is the one-element vector, if it was made that way."""
    if v.owner is not None and v.owner.op.name == "dimshuffle" and v.owner.inputs[0].ndim == 0:
        return v.owner.inputs[0]
    if isinstance(v, Constant) and v.data.shape == (1,):
        return constant(v.data[0], dtype=v.dtype)
    return None


def _specify_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    (x,) = inputs
    if len(op["shape"]) != x.ndim:
        raise ShapeError(located(f"{op['what']}: expected {len(op['shape'])} axes, got {x.ndim}", [x]))
    found = [
        d if w is None else require_equal(d, w, op["text"].format(what=op["what"], axis=k, wanted=w), [x], op["repair"])
        for k, (d, w) in enumerate(zip(x.type.shape, op["shape"]))
    ]
    return TensorType(x.dtype, found)


_specify = record(
    "specify_shape",
    infer=_specify_infer,
    numpy=lambda op, x: x,
    grad=lambda op, inputs, outputs, gs: [gs[0]],
    reach=Reach(lambda op, inputs, outputs, counts: [counts], one_to_one=True),
    linear="jointly",
    moves=lambda op: slice(0, 1),
    nonnegative="all",
    specialise=lambda op, inputs, types: inputs[0],
    cases=lambda: [Case(lambda x: specify_shape(x, (None, 3)) * 2, (Arg((2, 3)),), lambda x: x + x)],
)

DECLARED = "{what}: axis {axis} is declared to be {wanted}"


def declare_dims(
    x: Variable,
    wanted: Sequence[int | None],
    text: str = DECLARED,
    repair: str | None = None,
    what: str = "specify_shape",
) -> Variable:
    """``x`` with known lengths for the axes that ``wanted`` gives one.

    ``text`` says what is wrong where an axis has another, with ``{what}``, ``{axis}`` and ``{wanted}`` in their places.
    """
    if all(w is None or type(d) is int and d == w for d, w in zip(x.type.shape, wanted)):
        return x
    return Op(_specify, shape=tuple(wanted), text=text, repair=repair, what=what)(x)


def specify_shape(x: Any, shape: Any, what: str = "specify_shape") -> Variable:
    """``x`` with dims declared.

    Parameters
    ----------
    x : tensor_like
    shape : sequence, or integer vector
        One entry per axis: a whole number or an integer scalar, or None to leave a dim as it is.
    what : str
        What messages begin with.

    Raises
    ------
    ShapeError
        When the declaration is known to be wrong. A call that breaks it is an error too.
    """
    x = as_tensor(x)
    repair = "pass an array of the declared shape, or declare another"
    if isinstance(shape, (list, tuple)):
        entries: list[Any] = [None if s is None else _shape_entry(s, what) for s in shape]
    else:
        entries = list(shape_entries(shape, what, x.ndim))
    if len(entries) != x.ndim:
        raise ShapeError(located(f"{what}: expected {len(entries)} axes, got {x.ndim}", [x]))
    if any(isinstance(e, int) and e < 0 for e in entries):
        raise ValueError(located(f"{what}: a dim cannot be negative, got {tuple(entries)}", [x]))
    x = declare_dims(x, [e if isinstance(e, int) else None for e in entries], repair=repair, what=what)
    text = what + ": axis {} is declared to be another length"
    symbolic = [(shape_i(x, k), e, text.format(k)) for k, e in enumerate(entries) if isinstance(e, Variable)]
    return require_lengths(x, symbolic, repair) if symbolic else x
