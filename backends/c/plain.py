"""Plain epilogues: a term per row, column or element is added to every element, and the sum kept between two bounds.

That is a bias with a linear activation, relu or relu6, or the addition of another tensor, which is what most
convolutions and products are followed by. A call of the run-time library does this itself while it has elements in
registers (``base/plain.h``), in place of calling generated code that loads and stores them once more.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from symc.loops.expr import Expr, index, var
from symc.loops.ir import Epilogue, For, Let, Load, Statement, Store

__all__ = ["Plain", "plain_form"]

LANES = 32
"""The elements of columns that are vectors."""
OF_COLUMN, OF_ELEMENT = -1, -2
"""The periods of terms that are not those of rows."""


class Plain(NamedTuple):
    """``element = min(max(element + terms[row % period], low), high)``, with names of buffers.

    The period is negative if terms are of columns or of elements: see ``symc_epilogue`` in ``base/symc_rt.h``.

    If columns are vectors, there is a term per row and lane, and ``bfloat16_bits(element) & kept[row % period]`` goes
    to ``bits``; the element of ``added`` is added before the bounds.
    """

    terms: str
    period: Expr
    low: float
    high: float
    bits: str | None = None
    kept: str | None = None
    added: str | None = None


def plain_form(e: Epilogue, output: str, dtype: str) -> Plain | None:
    """What the epilogue of a call does with its ``output``, if it is plain."""
    *before, loop = e.body
    if not isinstance(loop, For) or dtype not in ("float32", "float64"):
        return None
    lane = None
    inner = loop.body[-1] if loop.body else None
    if loop.kind == "serial" and isinstance(inner, For) and inner.extent.op == "const" and inner.extent.value == LANES:
        before, loop, lane = [*before, *loop.body[:-1]], inner, inner.index
    *inside, last = loop.body
    if loop.kind != "simd" or not isinstance(last, Store) or (last.buffer == output) != (lane is None):
        return None
    values = _Values([*before, *inside])
    if values.unknown:
        return None
    value = values.of(last.value)
    kept: Load | None = None
    if lane is not None:
        if value.op == "and":
            a, b = map(values.of, value.args)
            value, kept = (a, values.load(b)) if values.load(a) is None else (b, values.load(a))
            if kept is None:
                return None
        if value.op != "bfloat16_bits":
            return None
        value = values.of(value.args[0])
    low, high = -math.inf, math.inf
    if value.op == "min" and values.of(value.args[1]).op == "const":
        high, value = values.of(value.args[1]).value, values.of(value.args[0])
    if value.op == "max" and values.of(value.args[1]).op == "const":
        low, value = values.of(value.args[1]).value, values.of(value.args[0])
    if value.op != "add" or math.isnan(low) or math.isnan(high):
        return None
    added = None
    for x, other in (value.args, value.args[::-1]):
        wide = values.of(x)
        if lane is not None and wide.op == "bfloat16_value" and added is None:
            added = values.load(wide.args[0])
            if added is None or not added.index.same(last.index):
                return None
            value = values.of(other)
    if value.op != "add":
        return None
    for x, other in (value.args, value.args[::-1]):
        element, term = values.load(x), values.load(other)
        if element is None or term is None or element.buffer != output or term.buffer in (output, last.buffer):
            continue
        period = values.period(term.index, e, lane)
        if period is None and lane is None:
            period = _of_columns(term.index, e, loop.index, last.index)
        if period is None or not element.index.same(last.index) or dtype not in (element.dtype,) or term.dtype != dtype:
            continue
        if lane is None:
            return Plain(term.buffer, period, low, high)
        if kept is not None:
            of_mask = values.period(kept.index, e, lane)
            if of_mask is None or not of_mask.same(period) or kept.buffer == last.buffer:
                return None
        masks, others = (None if load is None else load.buffer for load in (kept, added))
        return Plain(term.buffer, period, low, high, last.buffer, masks, others)
    return None


def _of_columns(at: Expr, e: Epilogue, lane: str, element: Expr) -> Expr | None:
    """The period of terms of columns, or of elements."""
    if at.same(var(e.first) + var(lane)):
        return index(OF_COLUMN)
    return index(OF_ELEMENT) if at.same(element) else None


class _Values:
    """What the names of straight-line statements stand for."""

    def __init__(self, statements: list[Statement]) -> None:
        self._lets = {s.name: s.value for s in statements if isinstance(s, Let)}
        self._loads = {s.name: s for s in statements if isinstance(s, Load)}
        self.unknown = not all(isinstance(s, (Let, Load)) for s in statements)

    def of(self, x: Expr) -> Expr:
        """The expression behind a name."""
        while x.op == "var" and x.value in self._lets:
            x = self._lets[x.value]
        return x

    def load(self, x: Expr) -> Load | None:
        """The element that a name stands for."""
        x = self.of(x)
        return self._loads.get(x.value) if x.op == "var" else None

    def period(self, at: Expr, e: Epilogue, lane: str | None) -> Expr | None:
        """After how many rows an index repeats that counts rows, or lanes of rows; None if it does anything else."""
        at = self.of(at)
        if lane is not None:
            if at.op == "var" and at.value == lane:
                return index(1)
            if at.op != "add" or not (at.args[1].op == "var" and at.args[1].value == lane):
                return None
            row = self.of(at.args[0])
            if row.op != "mul" or row.args[1].op != "const" or row.args[1].value != LANES:
                return None
            at = self.of(row.args[0])
        if at.op == "const" and at.value == 0:
            return index(1)
        if at.op == "var" and at.value == e.row:
            return e.rows
        if at.op == "mod" and at.args[0].op == "var" and at.args[0].value == e.row and e.row not in str(at.args[1]):
            return at.args[1]
        return None
