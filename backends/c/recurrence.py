"""Vector code for ``simd`` loops around a serial loop: states of the serial loop stay in vector registers.

A step often waits for the one before. Several vectors therefore take part in one serial loop, each with its own
registers, where there are as many elements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symc.loops.expr import Expr
from symc.loops.ir import Alloc, For, Let, Load, Store
from symc_backends.c.dialect import LANES, TAG
from symc_backends.c.vector import VectorBody

__all__ = ["can_carry", "emit_recurrence"]

COPIES = 4
"""The number of vectors that take part in one serial loop."""


def can_carry(loop: For) -> bool:
    """Whether the loop consists of registers, and statements with vector forms before, in and behind a serial loop."""
    inner = [s for s in loop.body if isinstance(s, For)]
    if len(inner) != 1 or inner[0].kind != "serial":
        return False
    registers = {s.name for s in loop.body if isinstance(s, Alloc)}
    bools = any(s.dtype == "bool" for s in loop.body if isinstance(s, Alloc))
    plain = all(isinstance(s, (Let, Load, Store)) for s in inner[0].body)
    return plain and bool(registers) and not bools


def emit_recurrence(
    loop: For, scalar: Callable[[Expr], str], pointer: Callable[[str], str], dtype_of: Callable[[str], str]
) -> list[str]:
    """Generate C lines for such a loop; the arguments are those of ``emit_simd``."""
    i = loop.index
    lines = [f"{{ const int64_t end = {scalar(loop.extent)}; int64_t {i} = 0;"]
    for copies in (COPIES, 2, 1):
        step = f"{copies} * {LANES}" if copies > 1 else LANES
        lines.append(f"for (; {i} + {step} <= end; {i} += {step}) {{")
        lines += [*_group(loop, scalar, pointer, dtype_of, copies, False), "}"]
    lines.append(f"if ({i} < end) {{ const int64_t left = end - {i};")
    return [*lines, *_group(loop, scalar, pointer, dtype_of, 1, True), "}", "}"]


def _group(
    loop: For,
    scalar: Callable[[Expr], str],
    pointer: Callable[[str], str],
    dtype_of: Callable[[str], str],
    copies: int,
    partial: bool,
) -> list[str]:
    """The code for ``copies`` vectors side by side, or for the first lanes of one."""
    registers = {s.name: s.dtype for s in loop.body if isinstance(s, Alloc)}
    (steps,) = (s for s in loop.body if isinstance(s, For))
    at = loop.body.index(steps)
    lines = [f"v_{TAG[d]} {name}_{c};" for name, d in registers.items() for c in range(copies)]
    for c in range(1, copies):
        lines.append(f"const int64_t at_{c} = {loop.index} + {c} * {LANES};")

    def block(body: Sequence[object]) -> list[str]:
        found: list[str] = []
        for c in range(copies):
            b = VectorBody(loop, scalar, partial, loop.index if c == 0 else f"at_{c}")
            for s in body:
                if isinstance(s, Let):
                    b.let(s)
                elif isinstance(s, Load) and s.buffer in registers:
                    b.bind(s.name, s.dtype, f"{s.buffer}_{c}")
                elif isinstance(s, Load):
                    b.load(s, pointer(s.buffer))
                elif isinstance(s, Store) and s.buffer in registers:
                    b.add(f"{s.buffer}_{c} = {b.vector_of(s.value)};")
                elif isinstance(s, Store):
                    b.store(s, pointer(s.buffer))
            found += ["{", *b.lines, "}"]
        return found

    lines += block(loop.body[:at])
    lines.append(
        f"for (int64_t {steps.index} = 0, {steps.index}_end = {scalar(steps.extent)}; "
        f"{steps.index} < {steps.index}_end; {steps.index}++) {{"
    )
    return [*lines, *block(steps.body), "}", *block(loop.body[at + 1 :])]
