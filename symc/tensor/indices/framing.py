"""A tensor with others inside: writes of parts that walk the memory of the result once, row by row.

Several values that are added, such as the gradients of shifted slices, meet in registers where all of them have a
part of the row. Before and behind that part, and in rows that a value does not reach, each is added to what is stored.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symc.graph import Apply, Variable, dims
from symc.graph.body import Body
from symc.graph.evaluate import evaluate_body
from symc.graph.op import Loops, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, call, index, logical_and, maximum, minimum, select, var
from symc.loops.ir import Accumulate, For, Let, Statement, Store
from symc.tensor.indices.scatter_of import Elements

__all__ = ["FRAMED", "padded_axis"]

COPIED = 4096
"""About how many elements a thread writes before it takes another block of rows."""

SHORT = 16
"""The largest number of elements of a row outside of a value that are added one by one."""


def padded_axis(inner: Sequence[dims.Dim], outer: Sequence[dims.Dim]) -> int:
    """The last axis whose length is not known to be the same: from there on, rows are contiguous in both."""
    return max((k for k, (a, b) in enumerate(zip(inner, outer)) if dims.equal(a, b) is not True), default=0)


def _terms(op: Op) -> tuple[Variable, list[tuple[Variable, Sequence[Variable]]]]:
    """The tensor around, and every value with its first place on each axis."""
    around, *rest = op["made"].outputs
    rank = len(op["shape"])
    count = len(rest) // (rank + 1)
    return around, [(rest[k], rest[count + k * rank : count + (k + 1) * rank]) for k in range(count)]


def _numpy(op: Op, *operands: Any) -> Any:
    body: Body = op["made"]
    known = dict(zip(body.outputs, evaluate_body(body, operands)))
    around, terms = _terms(op)
    out = np.array(np.broadcast_to(known[around], op["shape"]))
    for k, (v, starts) in enumerate(terms):
        value = known[v]
        part = tuple(slice(int(known[s]), int(known[s]) + n) for s, n in zip(starts, value.shape))
        out[part] = value if op["replace"] and k == 0 else out[part] + value
    return out


@dataclass(frozen=True)
class _Term:
    """A value in a row: its part from ``offset`` to ``end``, and the position in it of the row, but for the last axis.

    Nothing of the value is in a row where ``inside`` fails.
    """

    value: Variable
    offset: Expr
    end: Expr
    source: Sequence[Expr] = ()
    inside: Expr | None = None


class _Rows:
    """Loops over the parts of a row: ``around`` the values, or ``inside`` of all of them.

    The indices ``at`` are those of the axes before the one whose parts are taken; the axes behind are contiguous, and
    ``i`` counts their elements.
    """

    def __init__(self, node: Apply, ctx: Any) -> None:
        self.node, self.ctx = node, ctx
        self.base, terms = _terms(node.op)
        self.elements = Elements(node.op["made"], ctx, 0)
        self.values = [v for v, _ in terms]
        shape = node.op["shape"]
        self.axis = max(padded_axis(v.type.shape, shape) for v in self.values)
        pads = [
            dims.sub(dims.product(shape[self.axis :]), dims.product(v.type.shape[self.axis :])) for v in self.values
        ]
        self.narrow = all(type(pad) is int and pad <= SHORT for pad in pads)
        self.first = [[self.elements.element(v, (), self.elements.ahead) for v in starts] for _, starts in terms]

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

    def inside(self, begin: Expr, at: Sequence[Expr], i: Expr, terms: Sequence[_Term]) -> list[Statement]:
        found = self._loop()
        parts = [self._element(t.value, t.source, i - t.offset, found) for t in terms]
        if not self.node.op["replace"]:
            parts.insert(0, self._element(self.base, at, i, found))
        return [*found, Store(self.ctx.output(), begin + i, functools.reduce(operator.add, parts))]

    def part(self, begin: Expr, term: _Term, i: Expr, replace: bool) -> list[Statement]:
        """What one value adds to a place where the others may have nothing."""
        found = self._loop()
        element = self._element(term.value, term.source, i - term.offset, found)
        place, out = begin + i, self.ctx.output()
        return [*found, Store(out, place, element) if replace else Accumulate(out, place, element, "add")]

    def row(self, begin: Expr, at: Sequence[Expr], row: Expr, terms: Sequence[_Term], loop: _Loop) -> list[Statement]:
        """The loops that write a row: before, in and behind the part that all values have, then what one value adds."""
        named: list[Statement] = []

        def name(e: Expr) -> Expr:
            if e.op == "const":
                return e
            made = self.ctx.fresh("t")
            named.append(Let(made, e))
            return var(made, e.dtype)

        first, last = self._shared(terms)
        low, high = first, last
        inside = logical_and(*(t.inside for t in terms if t.inside is not None))
        if inside is not None:
            if len(terms) > 1:
                inside = name(inside)
            low = name(select(inside, first, row))
            high = low + name(select(inside, last - first, index(0)))
        found = [
            loop(low, lambda i: self.around(begin, at, i), "simd"),
            loop(high - low, lambda i: self.inside(begin, at, first + i, terms), "simd"),
            loop(row - high, lambda i: self.around(begin, at, high + i), "simd"),
        ]
        for k, t in enumerate(terms if len(terms) > 1 else ()):
            for start, count, kind in self._edges(t, first, last, inside):
                if not (count.op == "const" and count.value == 0):
                    found.append(loop(count, self._added(begin, t, start, k), kind))
        return [*named, *found]

    def _shared(self, terms: Sequence[_Term]) -> tuple[Expr, Expr]:
        """Where the part of a row begins and ends that all values have, if they have the row."""
        low, high = terms[0].offset, terms[0].end
        if len(terms) > 1:
            low = self.named(functools.reduce(maximum, [t.offset for t in terms]))
            high = self.named(maximum(low, functools.reduce(minimum, [t.end for t in terms])))
        return low, high

    def named(self, e: Expr) -> Expr:
        """A number that is computed before all loops."""
        if e.op == "const":
            return e
        name = self.ctx.fresh("t")
        self.elements.ahead.append(Let(name, e))
        return var(name, e.dtype)

    def _edges(self, t: _Term, first: Expr, last: Expr, inside: Expr | None) -> list[tuple[Expr, Expr, str]]:
        """The start, the length and the kind of the loops that add what others lack: at both ends, or the whole part.

        Loops over few elements are serial: these are loaded while the last store of them is on its way, which costs
        much more where vectors are loaded.
        """
        none, behind = index(0), self.named(maximum(last, t.offset))
        before = self.named(maximum(minimum(first, t.end) - t.offset, none))
        after = self.named(maximum(t.end - behind, none))
        kind = "serial" if self.narrow else "simd"
        if inside is None:
            return [(t.offset, before, kind), (behind, after, kind)]
        ends = [(at, select(inside, n, none), kind) for at, n in ((t.offset, before), (behind, after))]
        whole = select(inside, none, t.end - t.offset)
        return [*ends, (t.offset, whole if t.inside is None else select(t.inside, whole, none), "simd")]

    def _added(self, begin: Expr, term: _Term, start: Expr, k: int) -> Callable[[Expr], list[Statement]]:
        return lambda i: self.part(begin, term, start + i, self.node.op["replace"] and k == 0)


_Loop = Callable[[Expr, Callable[[Expr], list[Statement]], str], Statement]


def _build(node: Apply, ctx: Any) -> list[Statement]:
    shape, rows = node.op["shape"], _Rows(node, ctx)
    axis = rows.axis
    rest = ctx.size(dims.product(shape[axis + 1 :]))
    row = ctx.size(shape[axis]) * rest
    offsets = [first[axis] * rest for first in rows.first]
    ends = [offset + ctx.size(v.type.shape[axis]) * rest for v, offset in zip(rows.values, offsets)]
    if axis == 0:
        terms = [_Term(*t) for t in zip(rows.values, offsets, ends)]
        loops = rows.row(index(0), (), row, terms, lambda extent, make, kind: ctx.blocks(extent, make))
        return [*rows.elements.ahead, *loops]
    # Blocks of rows of one plane, so that positions are divided once per block.
    counter, r, plane, block, begin = (ctx.fresh(prefix) for prefix in "orttt")
    of_plane = ctx.size(shape[axis - 1])

    def loop(extent: Expr, make: Callable[[Expr], list[Statement]], kind: str) -> Statement:
        i = ctx.fresh("i")
        return For(i, extent, tuple(make(var(i))), kind)

    together = rows.named(call("floordiv", index(COPIED), maximum(row, index(1))) + 1)
    blocks = rows.named(call("floordiv", of_plane + together - 1, together))
    lets, planes = ctx.spread(shape[: axis - 1], var(plane))
    p = var(block) * together + var(r)
    place = [*planes, p]
    terms = [
        _Term(v, offset, end, *_source(v, first, place, shape, ctx))
        for v, first, offset, end in zip(rows.values, rows.first, offsets, ends)
    ]
    statements = (
        Let(begin, (var(plane) * of_plane + p) * row),
        *rows.row(var(begin), place, row, terms, loop),
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


def _source(
    v: Variable, first: Sequence[Expr], place: Sequence[Expr], shape: Sequence[dims.Dim], ctx: Any
) -> tuple[list[Expr], Expr | None]:
    """The position of a row in a value, and whether the value has it."""
    source = [at - s for at, s in zip(place, first)]
    inside = logical_and(
        *((at >= 0) & (at < ctx.size(n))
          for at, n, whole in zip(source, v.type.shape, shape) if dims.equal(n, whole) is not True)
    )  # fmt: skip
    return source, inside


FRAMED: Record = record(
    "framed",
    infer=lambda op, inputs: TensorType(op["made"].outputs[1].dtype, op["shape"]),
    numpy=_numpy,
    lower=Loops(_build),
)
"""The values of the body ``made`` are the tensor around, those inside, and the first places of each on every axis.

All are added, but the first replaces what is around it if the attribute ``replace`` is set.
"""
