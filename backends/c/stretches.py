"""Simd loops in stretches, within which all loads are at equal distances.

The index of a cyclic shift, of a row that continues elsewhere, or of a border that mirrors or repeats what is inside,
jumps or turns at a few positions of the loop, each of which is known where the stretch before it begins. Between two
of them its elements are as regular as those of any other operand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from symc.graph.dtypes import BITS
from symc.loops.expr import ONE, ZERO, Expr, call, coefficient, index, names_in, select, substituted, var
from symc.loops.ir import For, Let, Load, Statement, moved
from symc.loops.names import names_read
from symc_backends.c.pieces import steps

__all__ = ["emit_stretches"]

MOST = 12
"""The largest number of jumps and turns of a loop."""
SHORTEST = 24
"""The length from which on a loop is divided: each stretch ends with a vector that is not full."""
WRITTEN = 4
"""The largest number of stretches that are written one by one, if all that begin and end them is known."""
FEW = 16
"""The length below which elements that no vector form reverses, those of a mirrored border, are read one by one."""
FAR = 1 << 62
"""More lanes than any loop has."""


Scalar = Callable[[Expr], str]
Form = Callable[[For], list[str]]


class _Line(NamedTuple):
    """An index on one stretch: its value at the first lane, what it grows by per lane, and all that this may be."""

    value: Expr
    slope: Expr
    slopes: frozenset[int]


def emit_stretches(loop: For, scalar: Scalar, vectors: Form, elements: Form) -> list[str] | None:
    """C lines that run a simd loop stretch by stretch; None if no load jumps.

    ``scalar`` writes an expression. ``vectors`` writes the loop over one stretch, and ``elements`` one in which loads
    have other distances than in most stretches.
    """
    if loop.extent.op == "const" and loop.extent.value < SHORTEST:
        return None
    loads = _irregular(loop)
    if not loads:
        return None
    return _written(loop, loads, scalar, vectors, elements) or _repeated(loop, loads, scalar, vectors, elements)


def _written(loop: For, loads: dict[Load, Expr], scalar: Scalar, vectors: Form, elements: Form) -> list[str] | None:
    """The stretches one after the other; None if they are many, or become known in a call."""
    if loop.extent.op != "const":
        return None
    lines: list[str] = []
    first = 0
    for _ in range(WRITTEN):
        here = _Lines(loop.index, index(first), scalar)
        found = {load: line for load, at in loads.items() if (line := here.line(at)) is not None}
        if not found or not here.jumps or here.ends or any(line.slope.op != "const" for line in found.values()):
            return None
        stop = min(loop.extent.value, first + here.known)
        part = _part(loop, index(first), index(stop), found, {load: line.slope for load, line in found.items()})
        backwards = any(x.slope.value not in (0, 1) and BITS.get(load.dtype) != 32 for load, x in found.items())
        form = elements if backwards and stop - first < FEW else vectors
        lines += ["{", *here.before, *here.text, *form(part), "}"]
        first = stop
        if first == loop.extent.value:
            return lines
    return None


def _repeated(loop: For, loads: dict[Load, Expr], scalar: Scalar, vectors: Form, elements: Form) -> list[str] | None:
    """A loop over the stretches; None if there are too many ends to look for."""
    first, last, stop = (f"{loop.index}_{name}" for name in ("first", "last", "stop"))
    here = _Lines(loop.index, var(first), scalar)
    found = {load: line for load, at in loads.items() if (line := here.line(at)) is not None}
    if not found or not 0 < here.jumps <= MOST:
        return None
    usual = {load: _usual(line.slopes) for load, line in found.items()}
    lines = [f"{{ const int64_t {last} = {scalar(loop.extent)}; int64_t {first} = 0;", *here.before]
    periodic = here.periods and all(steps(at, loop.index) for at in loads.values())
    if periodic:  # there is a form for short periods
        lines.append(f"if ({' && '.join(f'{period} >= {SHORTEST}' for period in here.periods)}) {{")
    lines += [f"while ({first} < {last}) {{ int64_t {stop} = {last};", *here.text]
    if here.known < FAR:
        lines.append(f"{stop} = sx_sooner({stop}, {first}, {here.known});")
    lines += [f"{stop} = sx_sooner({stop}, {first}, {lanes});" for lanes in here.ends]
    unusual = {f"{scalar(line.slope)} != {usual[load]}" for load, line in found.items() if line.slope.op != "const"}
    strides: dict[Load, Expr] = {load: index(stride) for load, stride in usual.items()}
    whole = vectors(_part(loop, var(first), var(stop), found, strides))
    if unusual:
        others = elements(_part(loop, var(first), var(stop), found, {load: x.slope for load, x in found.items()}))
        whole = [f"if ({' || '.join(sorted(unusual))}) {{", *others, "} else {", *whole, "}"]
    lines += [*whole, f"{first} = {stop};", "}"]
    return [*lines, "} else {", *vectors(loop), "}", "}"] if periodic else [*lines, "}"]


def _part(loop: For, first: Expr, stop: Expr, found: dict[Load, _Line], strides: dict[Load, Expr]) -> For:
    """The loop from lane ``first`` on, in which elements have these distances."""
    inner = f"{loop.index}_k"
    there = {loop.index: first + var(inner)}
    body: list[Statement] = []
    for s in loop.body:
        if isinstance(s, Load) and s in found:
            body.append(replace(s, index=found[s].value + var(inner) * strides[s]))
        else:
            body.append(moved(s, there))
    return replace(loop, index=inner, extent=stop - first, body=_read(body))


def _irregular(loop: For) -> dict[Load, Expr]:
    """The loads whose index follows from the lane alone, but is not linear in it."""
    definitions = {s.name: s.value for s in loop.body if isinstance(s, Let) and s.value.dtype in ("int64", "bool")}
    inside = {s.name for s in loop.body if isinstance(s, (Let, Load))}
    found = {}
    for s in loop.body:
        if isinstance(s, Load):
            plain = substituted(s.index, definitions)
            if coefficient(plain, loop.index) is None and inside.isdisjoint(names_in(plain)):
                found[s] = plain
    return found


def _usual(slopes: frozenset[int]) -> int:
    """The distance of elements for which there are vectors."""
    return next((k for k in (1, -1) if k in slopes), max(slopes, key=abs))


def _read(body: Sequence[Statement]) -> tuple[Statement, ...]:
    """The statements without values that nothing reads any more."""
    kept: list[Statement] = []
    read: set[str] = set()
    for s in reversed(body):
        if not isinstance(s, Let) or s.name in read:
            kept.append(s)
            read.update(names_read(s))
    return tuple(reversed(kept))


class _Lines:
    """Indices as lines on the stretch that begins at lane ``first``.

    ``text`` are the C lines that compute them, ``before`` those of what is the same in all stretches. The stretch ends
    after ``known`` lanes, or sooner: ``ends`` are numbers of lanes in C. ``jumps`` is the number of all of these.
    ``periods`` are the divisors of remainders, in C, which are not known.
    """

    def __init__(self, lane: str, first: Expr, scalar: Scalar) -> None:
        self.lane = lane
        self.first = first
        self.scalar = scalar
        self.before: list[str] = []
        self.text: list[str] = []
        self.known = FAR
        self.ends: dict[str, None] = {}
        self.jumps = 0
        self.periods: dict[str, None] = {}
        self.names: dict[str, str] = {}
        self.moving = set(names_in(first))

    def line(self, e: Expr) -> _Line | None:
        """The line of an index; None if it consists of anything but lines, remainders and choices between them."""
        slope = coefficient(e, self.lane)
        if slope is not None:
            if slope.op != "const":
                return None
            value = self._named(substituted(e, {self.lane: self.first}))
            return _Line(value, slope, frozenset([slope.value]))
        if e.op in ("select", "min", "max"):
            return self._choice(e)
        if e.op not in ("add", "sub", "neg", "abs", "mul", "floordiv", "mod"):
            return None
        lines = [self.line(a) for a in e.args]
        if any(x is None for x in lines):
            return None
        known = [x for x in lines if x is not None]
        if e.op in ("floordiv", "mod"):
            return self._remainder(e, *known)
        if e.op == "abs":
            (x,) = known
            minus = _Line(call("sub", ZERO, x.value), call("sub", ZERO, x.slope), frozenset(-k for k in x.slopes))
            return self._either(self._compared("lt", x, _Line(ZERO, ZERO, frozenset([0]))), minus, x)
        return self._sum(e, known)

    def _sum(self, e: Expr, lines: Sequence[_Line]) -> _Line | None:
        if e.op == "neg":
            return self._sum(call("sub", ZERO, e.args[0]), [_Line(ZERO, ZERO, frozenset([0])), *lines])
        a, b = lines
        if e.op != "mul":
            slopes = frozenset(x + y if e.op == "add" else x - y for x in a.slopes for y in b.slopes)
            return _Line(self._named(call(e.op, a.value, b.value)), call(e.op, a.slope, b.slope), slopes)
        if self.lane in names_in(e.args[1]):
            a, b = b, a
        by = b.value
        if by.op != "const" or self.lane in names_in(e.args[1]) and self.lane in names_in(e.args[0]):
            return None
        slopes = frozenset(k * by.value for k in a.slopes)
        return _Line(self._named(a.value * by), self._named(a.slope * by), slopes)

    def _choice(self, e: Expr) -> _Line | None:
        lines = [self.line(a) for a in e.args[-2:]]
        if None in lines:
            return None
        a, b = lines  # type: ignore[misc]
        assert a is not None and b is not None
        if e.op != "select":  # of equal numbers, the one that grows: it is part of the longer stretch
            fixed = self.lane not in names_in(e.args[0])
            op = {"min": ("le", "lt"), "max": ("ge", "gt")}[e.op][fixed]
            return self._either(self._compared(op, a, b), a, b)
        condition = e.args[0]
        if self.lane not in names_in(condition):
            return self._either(self._named(condition), a, b)
        if condition.op not in ("lt", "le", "gt", "ge") or condition.args[0].dtype != "int64":
            return None
        sides = [self.line(x) for x in condition.args]
        if None in sides:
            return None
        return self._either(self._compared(condition.op, *sides), a, b)  # type: ignore[arg-type]

    def _either(self, condition: Expr, a: _Line, b: _Line) -> _Line:
        value, slope = (self._named(select(condition, x, y)) for x, y in zip(a[:2], b[:2]))
        return _Line(value, slope, a.slopes | b.slopes)

    def _compared(self, op: str, a: _Line, b: _Line) -> Expr:
        """Whether a comparison of two lines holds on this stretch, which ends before it changes."""
        if op in ("gt", "ge"):
            op, a, b = {"gt": "lt", "ge": "le"}[op], b, a
        apart = call("sub", a.value, b.value)
        apart = self._named(apart if op == "lt" else apart - ONE)  # the comparison: apart < 0
        self._crossing(apart, call("sub", a.slope, b.slope))
        return self._named(call("lt", apart, ZERO))

    def _remainder(self, e: Expr, a: _Line, b: _Line) -> _Line | None:
        if self.lane in names_in(e.args[1]) or b.value.op == "const" and b.value.value < SHORTEST:
            return None
        rest = call("mod", a.value, b.value)
        if rest.op == b.value.op == a.slope.op == "const":
            self._crossing(rest if a.slope.value < 0 else rest - b.value, a.slope)
        else:
            if b.value.op != "const":
                self.periods[self.scalar(b.value)] = None
            near = f"sx_near_mod({self.scalar(a.value)}, {self.scalar(b.value)})"
            rest = self._variable(near, "int64", names_in(rest))
            self._end(f"sx_wrapping({self.scalar(rest)}, {self.scalar(b.value)}, {self.scalar(a.slope)})")
        if e.op == "mod":
            return _Line(rest, a.slope, a.slopes)
        return _Line(self._named(call("floordiv", a.value, b.value)), ZERO, frozenset([0]))

    def _crossing(self, apart: Expr, slope: Expr) -> None:
        """Let the stretch end where a number that is ``apart`` from zero changes its sign."""
        if apart.op != "const" or slope.op != "const":
            self._end(f"sx_crossing({self.scalar(apart)}, {self.scalar(slope)})")
            return
        self.jumps += 1
        if apart.value < 0 < slope.value:
            self.known = min(self.known, -(apart.value // slope.value))
        elif slope.value < 0 <= apart.value:
            self.known = min(self.known, apart.value // -slope.value + 1)

    def _end(self, lanes: str) -> None:
        """Let the stretch end after so many lanes."""
        if lanes not in self.ends:
            self.ends[lanes] = None
            self.jumps += 1

    def _named(self, e: Expr) -> Expr:
        """A C variable with the value of an expression that is the same for all lanes."""
        return e if e.op in ("const", "var") else self._variable(self.scalar(e), e.dtype, names_in(e))

    def _variable(self, text: str, dtype: str, names: Iterable[str]) -> Expr:
        if text not in self.names:
            name = self.names[text] = f"{self.lane}_{'is' if dtype == 'bool' else 'at'}{len(self.names)}"
            lines = self.before if self.moving.isdisjoint(names) else self.text
            if lines is self.text:
                self.moving.add(name)
            lines.append(f"const int64_t {name} = {text};")
        return var(self.names[text], dtype)
