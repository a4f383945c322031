"""Plain epilogues: a term per row is added to every element, and the sum kept between two bounds.

That is a bias with a linear activation, relu or relu6, which is what most convolutions are followed by. A call of the
run-time library does this itself while it has elements in registers (``base/plain.h``), in place of calling generated
code that loads and stores them once more.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from symc.loops.expr import Expr, index
from symc.loops.ir import Epilogue, For, Let, Load, Store

__all__ = ["Plain", "plain_form"]


class Plain(NamedTuple):
    """``element = min(max(element + terms[row % period], low), high)``, with the name of a buffer for ``terms``."""

    terms: str
    period: Expr
    low: float
    high: float


def plain_form(e: Epilogue, output: str, dtype: str) -> Plain | None:
    """What the epilogue of a call does with its ``output``, if it is plain."""
    *before, loop = e.body
    if not isinstance(loop, For) or loop.kind != "simd" or dtype not in ("float32", "float64"):
        return None
    *inside, last = loop.body
    if not isinstance(last, Store) or last.buffer != output:
        return None
    values: dict[str, Expr] = {}
    loads: dict[str, Load] = {}
    for s in (*before, *inside):
        if isinstance(s, Let):
            values[s.name] = s.value
        elif isinstance(s, Load) and s.dtype == dtype:
            loads[s.name] = s
        else:
            return None

    def known(x: Expr) -> Expr:
        while x.op == "var" and x.value in values:
            x = values[x.value]
        return x

    low, high, value = -math.inf, math.inf, known(last.value)
    if value.op == "min" and known(value.args[1]).op == "const":
        high, value = known(value.args[1]).value, known(value.args[0])
    if value.op == "max" and known(value.args[1]).op == "const":
        low, value = known(value.args[1]).value, known(value.args[0])
    if value.op != "add" or math.isnan(low) or math.isnan(high):
        return None
    for x, other in (value.args, value.args[::-1]):
        element, term = (loads.get(v.value) if v.op == "var" else None for v in map(known, (x, other)))
        if element is None or term is None or element.buffer != output or not element.index.same(last.index):
            continue
        period = _period(known(term.index), e)
        if term.buffer != output and period is not None:
            return Plain(term.buffer, period, low, high)
    return None


def _period(at: Expr, e: Epilogue) -> Expr | None:
    """After how many rows an index repeats that counts rows; None if it does anything else."""
    if at.op == "const" and at.value == 0:
        return index(1)
    if at.op == "var" and at.value == e.row:
        return e.rows
    if at.op == "mod" and at.args[0].op == "var" and at.args[0].value == e.row and e.row not in str(at.args[1]):
        return at.args[1]
    return None
