"""Rows at computed positions, such as those of an embedding: while some are read, the next ones are fetched.

A processor foresees rows that follow each other. It waits for rows anywhere in a table that is larger than its cache,
unless they have been asked for before. Short rows are left alone: many of them are under way together. A cache line is
fetched for each vector that is read: more at once would wait for each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from symc.loops.expr import ONE, Expr, call, coefficient, index, maximum, names_in, substituted, var
from symc.loops.ir import For, Let, Load, Statement
from symc_backends.c.dialect import CTYPE, LANES

__all__ = ["fetched_rows", "with_later_rows"]

LEAST = 256
"""The bytes of a row from which on it is fetched."""
CACHED = 1 << 20
"""The bytes of a table that a cache may hold."""
LINE = 64
"""The bytes of a cache line."""
DISTANCE = 2048
"""The elements between what is read of a row and what is fetched, in whole rows: 4 to 16 KB are equally fast."""
BEYOND = "/* beyond */"
"""What happens to a row whose position is beyond its buffer."""

Scalar = Callable[[Expr], str]


class Fetched(NamedTuple):
    """Rows to be fetched while others are read.

    Attributes
    ----------
    condition : str
        When it is worth it, in C; "" if always.
    ahead : list of str
        C that finds their addresses.
    lines : list of (str, int)
        C that fetches from each of them, up to the element on which it is formatted, and the bytes of an element.
    """

    condition: str
    ahead: list[str]
    lines: list[tuple[str, int]]

    def beside(self, reading: Sequence[str], lane: str) -> list[str]:
        """The C text ``reading``, whose loops over ``lane`` fetch as many elements as they read."""
        found = [*self.ahead]
        for line in reading:
            found.append(line)
            whole = re.match(rf"(?:/\*.*\*/ )?for \(; {lane} \+ (?:(\d) \* )?{LANES} <= ", line)
            if whole or line.startswith(f"if ({lane} < end) {{ const int64_t left"):
                for copy in range(int(whole.group(1) or 1) if whole else 1):
                    found += self._each(f"{lane} + {copy} * {LANES}" if copy else lane)
        return [f"if ({self.condition}) {{", *found, "} else {", *reading, "}"] if self.condition else found

    def _each(self, at: str) -> list[str]:
        """Fetch what a vector from ``at`` on will read: of 64-bit elements, a long one is two cache lines."""
        found = [line.format(at) for line, _ in self.lines]
        wide = [(line, LINE // size) for line, size in self.lines if size > 4]
        return found + [f"if ({LANES} > {step}) {line.format(f'{at} + {step}')}" for line, step in wide]


def fetched_rows(
    loop: For, ahead: Expr, rows: int, sizes: Mapping[str, Expr], scalar: Scalar, end: str = ""
) -> Fetched | None:
    """The rows of iterations ``ahead``, which depend on ``k_`` < ``rows``; None if there are none to be fetched.

    The loop loads positions, then elements from there on along an inner loop. ``sizes`` are those of buffers: positions
    may be those of the next run of the loop, but not beyond their buffer; with an ``end``, they are those before it.
    """
    *before, inner = loop.body
    if not isinstance(inner, For):
        return None
    names = {loop.index: var("ahead_")}
    found = _positions(before, names, None if end else sizes, scalar)
    if found is None:
        return None
    positions, lines = found
    tables = {}
    for s in inner.body:
        if isinstance(s, Load) and s.buffer in sizes and _starts_at(s, inner.index, positions):
            conditions = _worth(s, inner.extent, sizes[s.buffer])
            if all(c.op != "const" or c.value for c in conditions):
                tables[s] = "" if all(c.op == "const" for c in conditions) else scalar(call("and", *conditions))
    if not tables:
        return None
    starts = {scalar(substituted(s.index, names | {inner.index: index(0)})): s for s in tables}
    declared, found_at, fetches = [], [], []
    for number, (start, s) in enumerate(starts.items()):
        declared.append(f"const {CTYPE[s.dtype]} *row{number}_[{rows}];")
        found_at.append(f"row{number}_[k_] = {s.buffer} + {start};")
        fetches += [(f"__builtin_prefetch(row{number}_[{k}] + {{}});", np.dtype(s.dtype).itemsize) for k in range(rows)]
    none = " ".join(f"row{number}_[k_] = {s.buffer};" for number, s in enumerate(starts.values()))
    lines = [f"if (ahead_ >= {end}) {BEYOND}", *lines] if end else lines
    lines = [line.replace(BEYOND, f"{{ {none} continue; }}") for line in lines]
    head = f"for (int64_t k_ = 0; k_ < {rows}; k_++) {{ const int64_t ahead_ = {scalar(ahead)};"
    condition = "" if "" in tables.values() else " || ".join(dict.fromkeys(tables.values()))
    return Fetched(condition, [*declared, head, *lines, *found_at, "}"], fetches)


def with_later_rows(loop: For, end: str, reading: list[str], sizes: Mapping[str, Expr], scalar: Scalar) -> list[str]:
    """C for the body of a loop, which fetches the rows of later iterations, before ``end``.

    ``reading`` is the body without that, whose last statement is a loop over whole rows if there are such rows.
    """
    *before, lanes = loop.body
    if not isinstance(lanes, For) or lanes.kind != "simd":
        return reading
    if not names_in(lanes.extent).isdisjoint({loop.index, *(s.name for s in before if isinstance(s, (Let, Load)))}):
        return reading
    distance = maximum(call("floordiv", index(DISTANCE), maximum(lanes.extent, ONE)), ONE)
    found = fetched_rows(loop, var(loop.index) + distance, 1, sizes, scalar, end)
    return reading if found is None else found.beside(reading, lanes.index)


def _positions(
    before: Sequence[Statement], names: dict[str, Expr], sizes: Mapping[str, Expr] | None, scalar: Scalar
) -> tuple[set[str], list[str]] | None:
    """The names of positions that are loaded for each row, and C that defines them for the row ``ahead_``.

    ``names`` gets the names that they have there. None if a load might be beyond its buffer; without ``sizes``, all are
    before the end of theirs.
    """
    positions: set[str] = set()
    differing = set(names)
    lines = []
    for s in before:
        if not isinstance(s, (Let, Load)):
            return None
        e = s.index if isinstance(s, Load) else s.value
        text = scalar(substituted(e, names))
        differs = not differing.isdisjoint(names_in(e))
        if isinstance(s, Load):
            if differs and not positions.isdisjoint(names_in(e)):
                return None
            if differs and sizes is not None:
                if s.buffer not in sizes:
                    return None
                lines.append(f"if ((uint64_t)({text}) >= (uint64_t)({scalar(sizes[s.buffer])})) {BEYOND}")
            text = f"{s.buffer}[{text}]"
        if differs:
            differing.add(s.name)
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
