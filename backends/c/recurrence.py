"""Vector code for ``simd`` loops around serial loops: states of the serial loops stay in vector registers.

A step often waits for the one before. Several vectors therefore take part in one serial loop, each with its own
registers, where there are as many elements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from symc.loops.expr import Expr
from symc.loops.ir import Alloc, For, Let, Load, Statement, Store
from symc_backends.c.dialect import LANES, TAG
from symc_backends.c.vector import VectorBody

__all__ = ["can_carry", "emit_recurrence"]

COPIES = 4
"""The number of vectors that take part in one serial loop."""


def can_carry(loop: For) -> bool:
    """Whether the loop consists of registers, serial loops, and statements with vector forms around and in these."""
    statements = list(_statements(loop.body))
    loops = [s for s in statements if isinstance(s, For)]
    registers = [s for s in statements if isinstance(s, Alloc)]
    plain = all(isinstance(s, (Let, Load, Store, Alloc, For)) for s in statements)
    serial = all(s.kind == "serial" for s in loops)
    return plain and serial and bool(loops and registers) and all(s.dtype != "bool" for s in registers)


def _statements(body: Sequence[Statement]) -> Iterator[Statement]:
    """All statements of a body, including those of its loops."""
    for s in body:
        yield s
        if isinstance(s, For):
            yield from _statements(s.body)


def emit_recurrence(
    loop: For, scalar: Callable[[Expr], str], pointer: Callable[[str], str], dtype_of: Callable[[str], str]
) -> list[str]:
    """Generate C lines for such a loop; the arguments are those of ``emit_simd``."""
    i = loop.index
    lines = [f"{{ const int64_t end = {scalar(loop.extent)}; int64_t {i} = 0;"]
    for copies in (COPIES, 2, 1):
        step = f"{copies} * {LANES}" if copies > 1 else LANES
        lines.append(f"for (; {i} + {step} <= end; {i} += {step}) {{")
        lines += [*_group(loop, scalar, pointer, copies, False), "}"]
    lines.append(f"if ({i} < end) {{ const int64_t left = end - {i};")
    return [*lines, *_group(loop, scalar, pointer, 1, True), "}", "}"]


class _Copy:
    """One of the vectors: its part of the code, whose names end with its number."""

    def __init__(
        self, loop: For, scalar: Callable[[Expr], str], pointer: Callable[[str], str], number: int, partial: bool
    ) -> None:
        self.body = VectorBody(loop, scalar, partial, f"at_{number}" if number else loop.index)
        self.pointer = pointer
        self.number = number
        self.registers = {s.name for s in _statements(loop.body) if isinstance(s, Alloc)}
        own = "|".join(s.name for s in _statements(loop.body) if isinstance(s, (Let, Load)))
        self.names = re.compile(rf"\b({own})\b") if own and number else None

    def lines(self, statements: Sequence[Statement]) -> list[str]:
        """The code of ``statements``."""
        b = self.body
        b.lines = []
        for s in statements:
            if isinstance(s, Let):
                b.let(s)
            elif isinstance(s, Load) and s.buffer in self.registers:
                b.bind(s.name, s.dtype, f"{s.buffer}_{self.number}")
            elif isinstance(s, Load):
                b.load(s, self.pointer(s.buffer))
            elif isinstance(s, Store) and s.buffer in self.registers:
                b.add(f"{s.buffer}_{self.number} = {b.vector_of(s.value)};")
            elif isinstance(s, Store):
                b.store(s, self.pointer(s.buffer))
        if self.names is None:
            return b.lines
        return [self.names.sub(rf"\1_{self.number}", line) for line in b.lines]


def _group(
    loop: For, scalar: Callable[[Expr], str], pointer: Callable[[str], str], copies: int, partial: bool
) -> list[str]:
    """The code for ``copies`` vectors side by side, or for the first lanes of one."""
    registers = {s.name: s.dtype for s in _statements(loop.body) if isinstance(s, Alloc)}
    lines = [f"v_{TAG[d]} {name}_{c};" for name, d in registers.items() for c in range(copies)]
    lines += [f"const int64_t at_{c} = {loop.index} + {c} * {LANES};" for c in range(1, copies)]
    vectors = [_Copy(loop, scalar, pointer, c, partial) for c in range(copies)]

    def block(body: Sequence[Statement]) -> list[str]:
        found: list[str] = []
        for serial, statements in groupby(body, lambda s: isinstance(s, For)):
            if not serial:
                plain = list(statements)
                found += [line for v in vectors for line in v.lines(plain)]
                continue
            for s in statements:
                assert isinstance(s, For)
                k = s.index
                head = f"for (int64_t {k} = 0, {k}_end = {scalar(s.extent)}; {k} < {k}_end; {k}++) {{"
                found += [head, *block(s.body), "}"]
        return found

    return lines + block(loop.body)
