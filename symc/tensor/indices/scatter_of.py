"""A scatter that computes its values and its indices in its own loop, from the operands of the ops that made them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symc.graph import Apply, Constant, Variable
from symc.graph.body import Body
from symc.graph.evaluate import evaluate_body
from symc.graph.op import Axes, Indexed, Loops, Op, Pointwise, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, const, index, var
from symc.loops.ir import Let, Statement
from symc.tensor.indices.elements import loops_of_writes, put
from symc.tensor.indices.gathers import SCATTER
from symc.tensor.symbolic_dims import DIM_VALUE

__all__ = ["SCATTER_OF", "Elements", "scattered"]


def _numpy(op: Op, x: Any, *operands: Any) -> Any:
    body: Body = op["made"]
    values = evaluate_body(body, operands)
    return SCATTER.numpy(op, x, *values)


class Elements:
    """Elements of the values that a body computes, as expressions of the statements added so far.

    The inputs of the body are those of the node from number ``first`` on. ``ahead`` are the statements before all
    loops, which load numbers.
    """

    def __init__(self, body: Body, ctx: Any, first: int) -> None:
        self.numbers = {v: first + k for k, v in enumerate(body.inputs)}
        self.ctx = ctx
        self.ahead: list[Statement] = []
        self.known: dict[tuple[Variable, tuple[int, ...]], tuple[Expr, Sequence[Expr]]] = {}

    def element(self, v: Variable, at: Sequence[Expr], inside: list[Statement]) -> Expr:
        """The element of ``v`` at a position; adds what it takes to the statements ``inside``."""
        key = v, tuple(map(id, at))  # the positions are kept, so that their ids stay theirs
        if key not in self.known:
            self.known[key] = self._made(v, at, inside if v.ndim else self.ahead), at
        return self.known[key][0]

    def forget(self) -> None:
        """Begin another loop: what the statements of the one before have computed is not known there."""
        self.known = {key: found for key, found in self.known.items() if not key[0].ndim}

    def _made(self, v: Variable, at: Sequence[Expr], inside: list[Statement]) -> Expr:
        if v in self.numbers:
            return self.ctx.load(inside, self.numbers[v], at)
        if isinstance(v, Constant):
            assert v.data.size == 1
            return const(v.data.reshape(())[()], v.dtype)
        node = v.owner
        assert node is not None
        if node.op.record is DIM_VALUE:
            return self.ctx.size(node.op["dim"])
        lower = node.op.record.lower
        if isinstance(lower, Axes):
            source = [index(0) if k is None else at[k] for k in lower.source(node.op, node)]
            return self.element(node.inputs[0], source, inside)
        if isinstance(lower, Pointwise):
            made = lower.body(*(self.element(u, at, inside) for u in node.inputs), **node.op.attrs)
        else:
            assert isinstance(lower, Indexed)
            made = lower.element(node, tuple(at), lambda k, i: self.element(node.inputs[k], i, inside), self.ctx.size)
        return self.named(made, inside)

    def named(self, made: Expr, inside: list[Statement]) -> Expr:
        """Give a value a name in the statements ``inside``."""
        name = self.ctx.fresh("t")
        inside.append(Let(name, made))
        return var(name, made.dtype)


def scattered(node: Apply, ctx: Any, elements: Elements) -> list[Statement]:
    """The loops that write the value, the first result of the body of ``elements``, at the indices that follow it."""
    out, op = node.outputs[0], node.op
    value, *indices = op["made"].outputs
    place, axes, count = op["place"], op["axes"], indices[0].ndim
    found: list[Expr] = []

    def positions(at: Sequence[Expr], inside: list[Statement]) -> None:
        found[:] = [elements.element(i, at[place : place + count], inside) for i in indices]

    def write(at: list[Expr], inside: list[Statement]) -> None:
        if not found:
            positions(at, inside)
        rest = iter([*at[:place], *at[place + count :]])
        target = ctx.flat(out, [found[axes.index(k)] if k in axes else next(rest) for k in range(out.ndim)])
        inside.append(put(node, ctx, target, elements.element(value, at, inside)))

    return loops_of_writes(node, ctx, value.type.shape, indices, write, positions)


def _build(node: Apply, ctx: Any) -> list[Statement]:
    elements = Elements(node.op["made"], ctx, 1)
    loops = scattered(node, ctx, elements)
    return [*ctx.copy(0), *elements.ahead, *loops]


SCATTER_OF: Record = record(
    "scatter_of",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    numpy=_numpy,
    lower=Loops(_build, in_place=0),
)
"""``SCATTER`` of the value and the indices that the attribute ``made`` computes from all inputs but the first."""
