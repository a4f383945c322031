"""Gathers whose positions are computed from counters where they are read, in place of reading stored indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from symc.graph import Apply, dims
from symc.graph.body import Body
from symc.graph.evaluate import evaluate_body
from symc.graph.op import Indexed, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr
from symc.loops.ir import Statement
from symc.tensor.indices.gathers import GATHER
from symc.tensor.indices.scatter_of import Elements

__all__ = ["GATHER_COUNTED"]


class _Context(NamedTuple):
    """What ``Elements`` needs: ``load(inside, k, at)`` and ``size(dim)``."""

    load: Callable[[list[Statement], int, Sequence[Expr]], Expr]
    size: Callable[[dims.Dim], Expr]


class _Positions(Elements):
    """Elements as expressions of their positions alone."""

    def named(self, made: Expr, inside: list[Statement]) -> Expr:
        return made


def _element(node: Apply, at: Sequence[Expr], read: Any, size: Any) -> Expr:
    place, axes, indices = node.op["place"], node.op["axes"], node.op["made"].outputs
    count = indices[0].ndim
    positions = _Positions(node.op["made"], _Context(lambda inside, k, i: read(k, i), size), 1)
    inside = at[place : place + count]
    found = [positions.element(i, inside, []) for i in indices]
    rest = iter([*at[:place], *at[place + count :]])
    return read(0, [found[axes.index(k)] if k in axes else next(rest) for k in range(node.inputs[0].ndim)])


def _numpy(op: Op, x: Any, *numbers: Any) -> Any:
    body: Body = op["made"]
    return GATHER.numpy(op, x, *evaluate_body(body, numbers))


GATHER_COUNTED: Record = record(
    "gather_counted",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=_numpy,
    lower=Indexed(_element),
)
"""``GATHER`` at the indices that the attribute ``made`` computes from counters and from all inputs but the first."""
