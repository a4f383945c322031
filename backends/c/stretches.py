"""Simd loops in stretches, within which all loads are at equal distances.

The index of a cyclic shift, or of a row that continues elsewhere, jumps at one position of the loop, which is known
before the loop begins. Between two such positions its elements are as regular as those of any other operand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from symc.loops.expr import Expr, call, coefficient, index, names_in, substituted, var
from symc.loops.ir import For, Let, Load, moved
from symc_backends.c.pieces import jumps, stride_of_pieces

__all__ = ["emit_stretches"]

MOST = 8
"""The largest number of jumps of a loop."""
SHORTEST = 48
"""The length from which on a loop is divided: each stretch ends with a vector that is not full."""


def emit_stretches(loop: For, scalar: Callable[[Expr], str], emit: Callable[[For], list[str]]) -> list[str] | None:
    """C lines that run a simd loop stretch by stretch; None if no load jumps.

    ``scalar`` writes an expression, and ``emit`` the loop over one stretch.
    """
    if loop.extent.op == "const" and loop.extent.value < SHORTEST:
        return None
    lane = loop.index
    found = _jumping(loop)
    conditions = _distinct([c for e, _ in found.values() for c in jumps(e, lane) or ()])
    if not conditions or len(conditions) > MOST:
        return None
    ends = [_end(c, lane) for c in conditions]
    if any(e is None for e in ends):
        return None
    first, last, stop, inner = (f"{lane}_{name}" for name in ("first", "last", "stop", "k"))
    lines = [f"{{ const int64_t {last} = {scalar(loop.extent)}; int64_t {first} = 0;"]
    names = [f"{lane}_end{k}" for k in range(len(ends))]
    lines += [f"const int64_t {name} = {scalar(e)};" for name, e in zip(names, ends) if e is not None]
    lines += [f"while ({first} < {last}) {{ int64_t {stop} = {last};"]
    lines += [f"if ({name} > {first} && {name} < {stop}) {stop} = {name};" for name in names]
    here = {lane: var(first)}
    starts: dict[Load, Expr] = {}
    for k, (load, (e, stride)) in enumerate(found.items()):
        lines.append(f"const int64_t {lane}_at{k} = {scalar(substituted(e, here))};")
        starts[load] = var(f"{lane}_at{k}") + var(inner) * stride
    there = {lane: var(first) + var(inner)}
    body = tuple(replace(s, index=starts[s]) if s in starts else moved(s, there) for s in loop.body)
    lines += emit(replace(loop, index=inner, extent=var(stop) - var(first), body=body))
    return [*lines, f"{first} = {stop};", "}", "}"]


def _jumping(loop: For) -> dict[Load, tuple[Expr, int]]:
    """The loads whose index jumps, with the index as an expression of the lane, and the distance of the elements."""
    definitions = {s.name: s.value for s in loop.body if isinstance(s, Let) and s.value.dtype == "int64"}
    inside = {s.name for s in loop.body if isinstance(s, (Let, Load))}
    found = {}
    for s in loop.body:
        if not isinstance(s, Load):
            continue
        plain = substituted(s.index, definitions)
        if coefficient(plain, loop.index) is not None or not inside.isdisjoint(names_in(plain)):
            continue
        stride = stride_of_pieces(plain, loop.index)
        if stride is not None and jumps(plain, loop.index):
            found[s] = plain, stride
    return found


def _distinct(conditions: Sequence[Expr]) -> list[Expr]:
    found: list[Expr] = []
    for c in conditions:
        if not any(c.same(other) for other in found):
            found.append(c)
    return found


def _end(condition: Expr, lane: str) -> Expr | None:
    """The first lane at which a comparison has another value than before; None if the sides differ by other steps."""
    a, b = condition.args if condition.op in ("lt", "le") else condition.args[::-1]
    by = call("sub", *(coefficient(x, lane) or index(0) for x in (a, b)))
    if by.op != "const" or by.value not in (-1, 1):
        return None
    at_first = call(
        "sub", *(substituted(x, {lane: index(0)}) for x in (a, b))
    )  # the comparison: at_first + by * lane < 0
    strict = condition.op in ("lt", "gt")
    if by.value == 1:
        return index(0 if strict else 1) - at_first
    return at_first + index(1 if strict else 0)
