"""A tensor with another inside: a write of a part that walks the memory of the result once, row by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Variable, dims
from symc.graph.body import Body
from symc.graph.evaluate import evaluate_body
from symc.graph.op import Loops, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, call, index, logical_and, maximum, minimum, select, var
from symc.loops.ir import For, Let, Statement, Store
from symc.tensor.indices.scatter_of import Elements

__all__ = ["FRAMED", "padded_axis"]

COPIED = 4096
"""About how many elements a thread writes before it takes another block of rows."""


def padded_axis(inner: Sequence[dims.Dim], outer: Sequence[dims.Dim]) -> int:
    """The last axis whose length is not known to be the same: from there on, rows are contiguous in both."""
    return max((k for k, (a, b) in enumerate(zip(inner, outer)) if dims.equal(a, b) is not True), default=0)


def _numpy(op: Op, *operands: Any) -> Any:
    body: Body = op["made"]
    around, value, *starts = evaluate_body(body, operands)
    out = np.array(np.broadcast_to(around, op["shape"]))
    part = tuple(slice(int(s), int(s) + n) for s, n in zip(starts, value.shape))
    out[part] = value if op["replace"] else out[part] + value
    return out


class _Rows:
    """Loops over the parts of a row: ``around`` the value, or ``inside`` of it.

    The indices ``at`` are those of the axes before the one whose parts are taken; the axes behind are contiguous, and
    ``i`` counts their elements.
    """

    def __init__(self, node: Apply, ctx: Any) -> None:
        self.node, self.ctx = node, ctx
        self.base, self.value, *self.starts = node.op["made"].outputs
        self.elements = Elements(node.op["made"], ctx, 0)
        self.first = [self.elements.element(v, (), self.elements.ahead) for v in self.starts]

    def _loop(self) -> list[Statement]:
        """The statements of another loop."""
        self.elements.forget()
        return []

    def _element(self, v: Variable, at: Sequence[Expr], i: Expr, found: list[Statement]) -> Expr:
        if not v.ndim:  # a number, repeated
            return self.elements.element(v, (), self.elements.ahead)
        behind = (index(0),) * (v.ndim - len(at) - 1)
        return self.elements.element(v, [*at, *behind, i], found)

    def around(self, begin: Expr, at: Sequence[Expr], i: Expr) -> list[Statement]:
        found = self._loop()
        element = self._element(self.base, at, i, found)
        return [*found, Store(self.ctx.output(), begin + i, element)]

    def inside(self, begin: Expr, at: Sequence[Expr], i: Expr, source: Sequence[Expr], j: Expr) -> list[Statement]:
        found = self._loop()
        stored = self._element(self.value, source, j, found)
        if not self.node.op["replace"]:
            stored = self._element(self.base, at, i, found) + stored
        return [*found, Store(self.ctx.output(), begin + i, stored)]


def _build(node: Apply, ctx: Any) -> list[Statement]:
    shape, rows = node.op["shape"], _Rows(node, ctx)
    inner = rows.value.type.shape
    axis = padded_axis(inner, shape)
    rest = ctx.size(dims.product(shape[axis + 1 :]))
    row, taken, offset = ctx.size(shape[axis]) * rest, ctx.size(inner[axis]) * rest, rows.first[axis] * rest
    after = offset + taken

    def loop(extent: Expr, make: Callable[[Expr], list[Statement]]) -> Statement:
        i = ctx.fresh("i")
        return For(i, extent, tuple(make(var(i))), "simd")

    if axis == 0:
        zero = index(0)
        parts = (
            (offset, lambda i: rows.around(zero, (), i)),
            (taken, lambda i: rows.inside(zero, (), offset + i, (), i)),
            (row - after, lambda i: rows.around(zero, (), after + i)),
        )
        loops = [ctx.blocks(extent, make) for extent, make in parts]
        return [*rows.elements.ahead, *loops]
    # Blocks of rows of one plane, so that positions are divided once per block.
    counter, r, plane, block, begin = (ctx.fresh(prefix) for prefix in "orttt")
    of_plane = ctx.size(shape[axis - 1])

    def named(e: Expr) -> Expr:
        name = ctx.fresh("t")
        rows.elements.ahead.append(Let(name, e))
        return var(name)

    together = named(call("floordiv", index(COPIED), maximum(row, index(1))) + 1)
    blocks = named(call("floordiv", of_plane + together - 1, together))
    lets, planes = ctx.spread(shape[: axis - 1], var(plane))
    p, first = var(block) * together + var(r), rows.first[:axis]
    place = [*planes, p]
    source = [at - s for at, s in zip(place, first)]
    inside = logical_and(
        *((at >= 0) & (at < ctx.size(n))
          for at, n, whole in zip(source, inner, shape) if dims.equal(n, whole) is not True)
    )  # fmt: skip
    before: list[Statement] = [Let(begin, (var(plane) * of_plane + p) * row)]
    left, copied = offset, taken
    if inside is not None:
        names = ctx.fresh("t"), ctx.fresh("t")
        before += [Let(n, select(inside, size, none)) for n, size, none in zip(names, (offset, taken), (row, index(0)))]
        left, copied = (var(n) for n in names)
    statements = (
        *before,
        loop(left, lambda i: rows.around(var(begin), place, i)),
        loop(copied, lambda i: rows.inside(var(begin), place, offset + i, source, i)),
        loop(row - left - copied, lambda i: rows.around(var(begin), place, left + copied + i)),
    )
    of_block = (
        Let(plane, call("floordiv", var(counter), blocks)),
        Let(block, call("mod", var(counter), blocks)),
        *lets,
        For(r, minimum(together, of_plane - var(block) * together), statements, "serial"),
    )
    count = ctx.size(dims.product(shape[: axis - 1])) * blocks
    work = together * row * ctx.work(node.op["made"].outputs)
    return [*rows.elements.ahead, For(counter, count, of_block, "parallel", work)]


FRAMED: Record = record(
    "framed",
    infer=lambda op, inputs: TensorType(op["made"].outputs[1].dtype, op["shape"]),
    numpy=_numpy,
    lower=Loops(_build),
)
