"""Vector code for ``simd`` loops around serial loops: states of the serial loops stay in vector registers.

A step often waits for the one before. Several vectors therefore take part in one serial loop, each with its own
registers, where there are as many elements, and registers for them. A state of a 64-bit type is two registers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from symc.graph.dtypes import BITS
from symc.loops.expr import Expr
from symc.loops.ir import Alloc, For, Let, Load, Statement, Store
from symc_backends.c.dialect import LANES, TAG
from symc_backends.c.vector import VectorBody

__all__ = ["can_carry", "emit_recurrence", "goes_through_steps"]

COPIES = (4, 2, 1)
"""The numbers of vectors that take part in one serial loop, """
MORE_COPIES = 8
"""and one more where there is only one such loop, so that the text stays short."""
STATES = 12
"""The number of registers for states up to which they do, of 16 on many processors; two vectors always may."""


def can_carry(loop: For) -> bool:
    """Whether the loop consists of registers, serial loops, and statements with vector forms around and in these."""
    statements = list(_statements(loop.body))
    loops = [s for s in statements if isinstance(s, For)]
    registers = [s for s in statements if isinstance(s, Alloc)]
    plain = all(isinstance(s, (Let, Load, Store, Alloc, For)) for s in statements)
    serial = all(s.kind == "serial" for s in loops)
    return plain and serial and bool(loops and registers) and all(s.dtype != "bool" for s in registers)


def goes_through_steps(loop: For) -> bool:
    """Whether each element of a loop has one serial loop, as of the steps of a recurrence, and no other."""
    return sum(isinstance(s, For) for s in _statements(loop.body)) == 1


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
    states = _states(loop)
    numbers = (MORE_COPIES, *COPIES) if goes_through_steps(loop) else COPIES
    for copies in (c for c in numbers if c <= 2 or c * states <= STATES):
        step = f"{copies} * {LANES}" if copies > 1 else LANES
        lines.append(f"for (; {i} + {step} <= end; {i} += {step}) {{")
        lines += [*_group(loop, scalar, pointer, copies, False), "}"]
    lines.append(f"if ({i} < end) {{ const int64_t left = end - {i};")
    return [*lines, *_group(loop, scalar, pointer, 1, True), "}", "}"]


def _states(loop: For) -> int:
    """The number of registers of one vector that an innermost serial loop needs at least for its states."""
    wide = {s.name: BITS[s.dtype] // 32 for s in _statements(loop.body) if isinstance(s, Alloc) and BITS[s.dtype] > 32}
    most = 0
    for inner in [s for s in _statements(loop.body) if isinstance(s, For)]:
        if not any(isinstance(s, For) for s in inner.body):
            used = {s.buffer for s in inner.body if isinstance(s, Store)}
            used &= {s.name for s in _statements(loop.body) if isinstance(s, Alloc)}
            most = max(most, sum(wide.get(name, 1) for name in used))
    return most


class _Copy:
    """One of the vectors: its part of the code, whose names end with its number."""

    def __init__(
        self, loop: For, scalar: Callable[[Expr], str], pointer: Callable[[str], str], number: int, partial: bool
    ) -> None:
        self.body = VectorBody(loop, scalar, partial, f"at_{number}" if number else loop.index)
        self.pointer = pointer
        self.number = number
        self.registers = {s.name: s.dtype for s in _statements(loop.body) if isinstance(s, Alloc)}
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
                register = f"{s.buffer}_{self.number}"
                b.bind(s.name, s.dtype, f"VM_JOINED({TAG[s.dtype]}, {register})" if _is_pair(s.dtype) else register)
            elif isinstance(s, Load):
                b.load(s, self.pointer(s.buffer))
            elif isinstance(s, Store) and s.buffer in self.registers:
                register, value = f"{s.buffer}_{self.number}", b.vector_of(s.value)
                pair = _is_pair(self.registers[s.buffer])
                b.add(f"VM_DIVIDE({TAG[s.value.dtype]}, {register}, {value});" if pair else f"{register} = {value};")
            elif isinstance(s, Store):
                b.store(s, self.pointer(s.buffer))
        if self.names is None:
            return b.lines
        return [self.names.sub(rf"\1_{self.number}", line) for line in b.lines]


def _is_pair(dtype: str) -> bool:
    """Whether a vector of the type is two registers."""
    return BITS[dtype] == 64


def _group(
    loop: For, scalar: Callable[[Expr], str], pointer: Callable[[str], str], copies: int, partial: bool
) -> list[str]:
    """The code for ``copies`` vectors side by side, or for the first lanes of one."""
    registers = {s.name: s.dtype for s in _statements(loop.body) if isinstance(s, Alloc)}
    lines = []
    for name, dtype in registers.items():
        parts = [f"{name}_{c}" for c in range(copies)]
        if _is_pair(dtype):
            lines += [f"vp_{TAG[dtype]} {part}_0, {part}_1;" for part in parts]
        else:
            lines += [f"v_{TAG[dtype]} {part};" for part in parts]
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
