"""Conversion of shape arguments, and dims declared with ``specify_shape``."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import GuardError, ShapeError, located
from symc.graph import Constant, Variable
from symc.graph.composite import Composite
from symc.graph.dtypes import is_float
from symc.graph.gradient_flow import Reach
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Op, record
from symc.graph.types import TensorType
from symc.tensor.axes import DIMSHUFFLE
from symc.tensor.basic import as_tensor, constant
from symc.tensor.conversion import cast
from symc.tensor.joining import JOIN
from symc.tensor.requirements import require_lengths
from symc.tensor.symbolic_dims import shape_i

__all__ = ["declare_dims", "scalars_behind", "shape_entries", "specify_shape"]


def shape_entries(value: Any, what: str, ndim: int | None = None) -> list[int | Variable]:
    """Convert a shape argument to a list of integers and integer scalars.

    Parameters
    ----------
    value : int, sequence of int or integer scalars, or integer vector
    what : str
        The name of the function, for messages.
    ndim : int, optional
        The required number of entries; needed if ``value`` is a vector of unknown length.
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
        return cast(value, "int64")  # sums and products of narrow entries overflow, those of uint64 are floats
    try:
        return operator.index(value[()] if isinstance(value, np.ndarray) else value)
    except TypeError:
        text = f"{what}: an entry of a shape must be an integer or an integer scalar, got {value!r}"
        raise TypeError(located(text)) from None


def _entries_of_vector(value: Variable, what: str, ndim: int | None) -> list[int | Variable]:
    if isinstance(value, Constant):
        return [_shape_entry(v, what) for v in value.data]
    scalars = scalars_behind(value)
    if scalars is not None:
        return [_shape_entry(v, what) for v in scalars]
    length = value.type.shape[0]
    if type(length) is not int:
        if ndim is None:
            raise ShapeError(located(f"{what}: the length of the shape vector must be known", [value], "pass ndim="))
        text = f"{what}: the shape must have as many entries as ndim says: {ndim}"
        value, length = require_lengths(value, [(shape_i(value, 0), ndim, text)]), ndim
    return [_shape_entry(value[k], what) for k in range(length)]


def scalars_behind(v: Variable) -> list[Variable] | None:
    """The scalars that the vector ``v`` was put together from; None if it was not. Their dims stay known."""
    pieces = v.owner.inputs if v.owner is not None and v.owner.op.record is JOIN else [v]
    scalars = [s for p in pieces if (s := _scalar_behind(p)) is not None]
    return scalars if len(scalars) == len(pieces) else None


def _scalar_behind(v: Variable) -> Variable | None:
    if v.owner is not None and v.owner.op.record is DIMSHUFFLE and v.owner.inputs[0].ndim == 0:
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


SPECIFY = record(
    "specify_shape",
    dim=lambda node, dims: dims[0],
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
    """Declare known lengths for the axes of ``x`` for which ``wanted`` has one.

    ``text`` is the message for an axis of another length, with the placeholders ``{what}``, ``{axis}`` and
    ``{wanted}``.
    """
    if all(w is None or type(d) is int and d == w for d, w in zip(x.type.shape, wanted)):
        return x
    return Op(SPECIFY, shape=tuple(wanted), text=text, repair=repair, what=what)(x)


def specify_shape(x: Any, shape: Any, what: str = "specify_shape") -> Variable:
    """Declare dims of ``x``.

    Parameters
    ----------
    x : tensor_like
    shape : sequence, or integer vector
        One entry per axis: an integer or an integer scalar, or None to leave a dim unchanged.
    what : str
        The beginning of error messages.

    Raises
    ------
    ShapeError
        If the declaration is known to be wrong; otherwise it is checked at call time.
    """
    composite = isinstance(x, Composite) and hasattr(x, "specified")
    x = x if composite else as_tensor(x)
    repair = "pass an array of the declared shape, or declare another"
    if isinstance(shape, (list, tuple)):
        entries: list[Any] = [None if s is None else _shape_entry(s, what) for s in shape]
    else:
        entries = list(shape_entries(shape, what, x.ndim))
    if composite and len(entries) == x.ndim:
        return x.specified(entries, what)  # type: ignore[no-any-return]
    if len(entries) != x.ndim:
        raise GuardError(located(f"{what}: expected {len(entries)} axes, got {x.ndim}", [x]))
    if any(isinstance(e, int) and e < 0 for e in entries):
        raise ValueError(located(f"{what}: a dim cannot be negative, got {tuple(entries)}", [x]))
    x = declare_dims(x, [e if isinstance(e, int) else None for e in entries], repair=repair, what=what)
    text = what + ": axis {} is declared to be another length"
    symbolic = [(shape_i(x, k), e, text.format(k)) for k, e in enumerate(entries) if isinstance(e, Variable)]
    return require_lengths(x, symbolic, repair) if symbolic else x
