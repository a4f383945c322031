"""Lengths that a step computes: those of the first step hold for all steps, which is checked in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symc.graph import Variable, clone_with, dims, toposort
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Op, record
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, constant
from symc.tensor.broadcasting import sum
from symc.tensor.ifelse import ifelse
from symc.tensor.indices.slices import part
from symc.tensor.scans.arguments import State
from symc.tensor.symbolic_dims import as_dim, shape_i

__all__ = ["first_entry", "with_fixed_lengths"]

_TEXT = "scan: an output of the step has another length in a later step, on axis {}"
_REPAIR = "cut or pad it to one length in all steps"


def first_entry(sequence: Variable, backwards: bool) -> Variable:
    """What the first step reads of a sequence; zeros if the sequence is empty."""
    return ew.cast(sum(sequence[-1:] if backwards else sequence[:1], axis=0), sequence.dtype)


def with_fixed_lengths(
    results: Sequence[Variable], infos: Sequence[State | None], first: Mapping[Variable, Any], count: Variable
) -> list[Variable]:
    """Give results of a step whose lengths depend on the step those of the first step, or of their initial values.

    Parameters
    ----------
    results : sequence of Variable
    infos : sequence of State or None
        One per result.
    first : mapping
        Functions without arguments that give the values of the arguments of the step in the first step.
    count : Variable
        The number of steps.
    """
    own = _own_symbols(results, frozenset(first))
    found = []
    for result, info in zip(results, infos):
        axes = [k for k, d in enumerate(result.type.shape) if not own.isdisjoint(dims.symbols_of(d))]
        if axes and info is None:
            values = {v: value() for v, value in first.items()}
            lengths = _if_any(count, clone_with([shape_i(result, k) for k in axes], values))
            result = declare_lengths(result, axes, lengths, _TEXT, _REPAIR)
        elif axes and info is not None:
            result = declare_lengths(result, axes, [shape_i(info.start, k) for k in axes], _TEXT, _REPAIR)
        found.append(result)
    return found


def _if_any(count: Variable, lengths: Sequence[Variable]) -> Sequence[Variable]:
    """The lengths if there are steps, and else 0: what a step computes may have no value without its arguments."""
    if dims.equal(dims.maximum(as_dim(count), 1), as_dim(count)):
        return lengths
    none = [constant(0, dtype=v.dtype) for v in lengths]
    return ifelse(ew.gt(count, 0), list(lengths), none)  # type: ignore[no-any-return]


def _own_symbols(results: Sequence[Variable], arguments: frozenset[Variable]) -> set[Any]:
    """The symbols of dims that stand for integers computed from the arguments."""
    depends = set(arguments)
    for node in toposort(results, arguments):
        if any(v in depends for v in node.inputs):
            depends.update(node.outputs)
    return {s for v in depends if (s := v.__dict__.get("_dim")) is not None and type(s) is not int}


def _declared_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    x, *lengths = inputs
    shape = list(x.type.shape)
    for axis, n in zip(op["axes"], lengths):
        require_equal(shape[axis], as_dim(n), op["text"].format(axis), [x], op["repair"])
        shape[axis] = as_dim(n)
    return TensorType(x.dtype, shape)


def _declared_numpy(op: Op, x: np.ndarray, *lengths: np.ndarray) -> np.ndarray:
    for axis, n in zip(op["axes"], lengths):
        if x.shape[axis] != int(n):
            raise ValueError(op["text"].format(axis))
    return x


def _declared_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Any]:
    x, *lengths = inputs
    own = [shape_i(x, axis) for axis in op["axes"]]
    return [declare_lengths(gs[0], op["axes"], own, op["text"], op["repair"]), *[None] * len(lengths)]


DECLARED = record(
    "declare_lengths",
    partwise=True,
    infer=_declared_infer,
    numpy=_declared_numpy,
    grad=_declared_grad,
    specialise=lambda op, inputs, types: part(inputs[0], types[0].shape, 0),
    cases=lambda: [
        Case(
            lambda x, y: declare_lengths(x, [0], [shape_i(y, 0)], "axis {} differs", None) * y,
            (Arg((2,)), Arg((2,))),
            lambda x, y: x * y,
        )
    ],
)


def declare_lengths(
    x: Variable, axes: Sequence[int], lengths: Sequence[Any], text: str, repair: str | None
) -> Variable:
    """Declare that axes of ``x`` have given lengths, under which they are known from then on; calls check it.

    ``text`` is the message for an axis of another length, with a placeholder for its number.
    """
    return Op(DECLARED, axes=tuple(axes), text=text, repair=repair)(x, *map(as_tensor, lengths))
