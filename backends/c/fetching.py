"""Rows at computed positions, such as those of an embedding: while some are read, the next ones are fetched.

A processor foresees rows that follow each other. It waits for rows anywhere in a table that is larger than its cache,
unless they have been asked for before. Short rows are left alone: many of them are under way together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from symc.loops.expr import Expr, call, coefficient, index, names_in, substituted, var
from symc.loops.ir import For, Let, Load, Statement
from symc_backends.c.dialect import CTYPE

__all__ = ["fetched_rows"]

LEAST = 256
"""The bytes of a row from which on it is fetched."""
CACHED = 1 << 20
"""The bytes of a table that a cache may hold."""
LINE = 64
"""The bytes of a cache line."""

Scalar = Callable[[Expr], str]


def fetched_rows(loop: For, ahead: Expr, rows: int, sizes: Mapping[str, Expr], scalar: Scalar) -> list[str]:
    """C that fetches the rows of iterations ``ahead``, which depend on ``k_`` < ``rows``; empty if there are none.

    The loop loads positions, then elements from there on along an inner loop. ``sizes`` are those of buffers: positions
    may be those of the next run of the loop, but not beyond their buffer.
    """
    *before, inner = loop.body
    if not isinstance(inner, For):
        return []
    names = {loop.index: var("ahead_")}
    found = _positions(before, names, sizes, scalar)
    if found is None:
        return []
    positions, lines = found
    tables = {}
    for s in inner.body:
        if isinstance(s, Load) and s.buffer in sizes and _starts_at(s, inner.index, positions):
            conditions = _worth(s, inner.extent, sizes[s.buffer])
            if all(c.op != "const" or c.value for c in conditions):
                tables[s] = scalar(call("and", *conditions))
    if not tables:
        return []
    fetched = []
    for s in tables:
        start = scalar(substituted(s.index, names | {inner.index: index(0)}))
        step = f"c_ += {LINE // np.dtype(s.dtype).itemsize}"
        fetched.append(
            f"for (int64_t c_ = 0; c_ < {scalar(inner.extent)}; {step}) __builtin_prefetch({s.buffer} + {start} + c_);"
        )
    head = f"for (int64_t k_ = 0; k_ < {rows}; k_++) {{ const int64_t ahead_ = {scalar(ahead)};"
    return [f"if ({' || '.join(dict.fromkeys(tables.values()))})", head, *lines, *dict.fromkeys(fetched), "}"]


def _positions(
    before: Sequence[Statement], names: dict[str, Expr], sizes: Mapping[str, Expr], scalar: Scalar
) -> tuple[set[str], list[str]] | None:
    """The names of positions that are loaded for each row, and C that defines them for the row ``ahead_``.

    ``names`` gets the names that they have there. None if a load might be beyond its buffer.
    """
    positions: set[str] = set()
    lines = []
    for s in before:
        if not isinstance(s, (Let, Load)):
            return None
        e = s.index if isinstance(s, Load) else s.value
        if names.keys().isdisjoint(names_in(e)):
            continue
        text = scalar(substituted(e, names))
        if isinstance(s, Load):
            if s.buffer not in sizes or not positions.isdisjoint(names_in(e)):
                return None
            lines.append(f"if ((uint64_t)({text}) >= (uint64_t)({scalar(sizes[s.buffer])})) break;")
            text = f"{s.buffer}[{text}]"
        if isinstance(s, Load) or not positions.isdisjoint(names_in(e)):
            positions.add(s.name)
        dtype = s.dtype if isinstance(s, Load) else e.dtype
        lines.append(f"const {CTYPE[dtype]} {s.name}_ahead = {text};")
        names[s.name] = var(f"{s.name}_ahead", dtype)
    return positions, lines


def _starts_at(s: Load, lane: str, positions: set[str]) -> bool:
    """Whether a load reads one element after another, from a position of the row on."""
    step = coefficient(s.index, lane)
    return step is not None and step.op == "const" and step.value == 1 and not positions.isdisjoint(names_in(s.index))


def _worth(s: Load, extent: Expr, size: Expr) -> tuple[Expr, Expr]:
    """The conditions under which rows are fetched: they are long, and the table is large."""
    each = np.dtype(s.dtype).itemsize
    return extent >= LEAST // each, index(CACHED // each) < size
