"""Loads of elements at equal distances into the lanes of a vector."""

from __future__ import annotations

from symc.graph.dtypes import BITS
from symc.loops.expr import Expr
from symc_backends.c.dialect import LANES, C

__all__ = ["strided_load"]


def strided_load(dtype: str, tag: str, first: str, stride: Expr, partial: bool) -> str:
    """The text of a vector of the elements from address ``first`` on; of ``left`` of them if it is ``partial``."""
    apart = stride.value if stride.op == "const" else None
    some, left = ("_n", ", left") if partial else ("", "")
    if apart == 1:
        return f"vload{some}_{tag}({first}{left})"
    if apart == -1 and not (partial and BITS.get(dtype) != 32):
        return f"vreversed{some}_{tag}({first}{left})"
    if apart in (2, 3, 4) and BITS.get(dtype) == 32:
        return f"vevery{apart}_n_{tag}({first}, {'left' if partial else LANES})"
    return f"vgather{some}_{tag}({first}, {C.scalar(stride)}{left})"
