"""Vector code for ``simd`` loops in which elements some vectors apart share the costly part of their values.

Random numbers are such values (``symc.tensor.random_numbers.bits``): with ``p`` the flat position of an element, the
block of random words depends on ``p >> s`` and ``p & 15``, and the word on ``(p >> 4) & m``. Where a loop begins at a
multiple of the period ``1 << s``, elements ``LANES`` apart have the same block, and each its own word, whose number is
then a constant. Blocks are computed once per period; elements before the first multiple, or after the last one, compute
their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from symc.loops.expr import Expr, call, coefficient, index, names_in, parts, substituted
from symc.loops.ir import Accumulate, For, Let, Load, Statement, Store
from symc_backends.c.dialect import LANES
from symc_backends.c.lanes import is_affine
from symc_backends.c.streaming import row_flags
from symc_backends.c.vector import VectorBody, can_vectorise

__all__ = ["Periodic", "emit_periodic", "periodic"]

SPREAD = 4
"""The logarithm of the number of neighbouring elements whose blocks differ."""
LONGEST = SPREAD + 2
"""The logarithm of the longest period."""


class Periodic(NamedTuple):
    """A loop whose elements share values, as statements per period.

    Attributes
    ----------
    start : Expr
        The flat position of the loop's first element.
    period : int
        The number of elements after which other values follow; a power of two.
    common : list of Statement
        The statements whose values are shared.
    copies : list of list of Statement
        The other statements, for each of the elements ``1 << SPREAD`` apart.
    """

    start: Expr
    period: int
    common: list[Statement]
    copies: list[list[Statement]]


def periodic(loop: For) -> Periodic | None:
    """The statements of a simd loop by period; None if its elements share nothing."""
    definitions = {s.name: s.value for s in loop.body if isinstance(s, Let) and s.value.dtype == "int64"}
    found = [p for s in loop.body if isinstance(s, Let) for p in _shifted(s.value, definitions, loop.index)]
    if not found or not can_vectorise(loop):
        return None
    if any(isinstance(s, Accumulate) and loop.index not in names_in(s.index) for s in loop.body):
        return None
    shift, position = max(found, key=lambda pair: pair[0])
    rule = _Rule(loop, definitions, position, shift)
    rests = []
    for copy in range(1 << (shift - SPREAD)):
        common, rest = rule.split(copy)
        rests.append(rest)
    start = substituted(position, {loop.index: index(0)})
    return Periodic(start, 1 << shift, common, rests)


def _shifted(e: Expr, definitions: Mapping[str, Expr], lane: str) -> Iterator[tuple[int, Expr]]:
    """The shifts by which ``e`` divides positions that follow the lanes into periods, and these positions."""
    for x in parts(e):
        if x.op == "shr" and x.dtype == "int64" and x.args[1].op == "const" and SPREAD < x.args[1].value <= LONGEST:
            position = substituted(x.args[0], definitions)
            by = coefficient(position, lane)
            if by is not None and by.op == "const" and by.value == 1:
                yield x.args[1].value, position


class _Rule:
    """Which values of a loop are shared, and what is known of the others."""

    def __init__(self, loop: For, definitions: Mapping[str, Expr], position: Expr, shift: int) -> None:
        self.loop = loop
        self.definitions = definitions
        self.position = position
        self.shift = shift
        self.written = {s.buffer for s in loop.body if isinstance(s, (Store, Accumulate))}

    def split(self, copy: int) -> tuple[list[Statement], list[Statement]]:
        """The shared statements, and the others for copy number ``copy``."""
        shared: set[str] = set()
        own: set[str] = {self.loop.index}
        linear: set[str] = {self.loop.index}
        common: list[Statement] = []
        rest: list[Statement] = []
        known: dict[str, Expr] = {}
        for s in self.loop.body:
            if isinstance(s, Let) and self._is_shared(s.value, own):
                shared.add(s.name)
                common.append(s)
            elif isinstance(s, Load) and s.buffer not in self.written and own.isdisjoint(names_in(s.index)):
                shared.add(s.name)
                common.append(s)
            elif isinstance(s, Let):
                own.add(s.name)
                if s.value.dtype == "int64" and is_affine(s.value) and (names_in(s.value) & own) <= linear:
                    linear.add(s.name)
                    common.append(s)
                value = self._for_copy(s.value, copy, known)
                if value.op == "const":
                    known[s.name] = value
                rest.append(Let(s.name, value))
            else:
                if isinstance(s, Load):
                    own.add(s.name)
                    rest.append(s)
                elif isinstance(s, Store):
                    rest.append(Store(s.buffer, s.index, self._for_copy(s.value, copy, known)))
                elif isinstance(s, Accumulate):
                    rest.append(Accumulate(s.buffer, s.index, self._for_copy(s.value, copy, known), s.op))
        return common, rest

    def _is_position(self, e: Expr) -> bool:
        return e.dtype == "int64" and substituted(e, self.definitions).same(self.position)

    def _repeats(self, e: Expr) -> bool:
        """Whether ``e`` is equal for all elements of a period, or for those ``1 << SPREAD`` apart."""
        if e.op not in ("shr", "and") or e.dtype != "int64" or e.args[1].op != "const":
            return False
        number = e.args[1].value
        fits = number == self.shift if e.op == "shr" else number == (1 << SPREAD) - 1
        return fits and self._is_position(e.args[0])

    def _is_shared(self, e: Expr, own: set[str]) -> bool:
        """Whether no part of ``e`` reads a value of a single element, except in forms that repeat."""
        stack = [e]
        seen: set[int] = set()
        while stack:
            x = stack.pop()
            if id(x) in seen or self._repeats(x):
                continue
            seen.add(id(x))
            if x.op == "var" and x.value in own:
                return False
            stack.extend(x.args)
        return True

    def _number(self, e: Expr, copy: int) -> Expr | None:
        """The number of the copy, where ``e`` computes it from the position."""
        if e.op != "and" or e.dtype != "int64" or e.args[1].op != "const":
            return None
        inner = e.args[0]
        if inner.op != "shr" or inner.args[1].op != "const" or inner.args[1].value != SPREAD:
            return None
        return index(copy & e.args[1].value) if self._is_position(inner.args[0]) else None

    def _for_copy(self, e: Expr, copy: int, known: Mapping[str, Expr]) -> Expr:
        """``e`` where the number of the copy is known."""
        made: dict[int, Expr] = {}
        for x in parts(e):
            number = self._number(x, copy)
            if number is not None:
                made[id(x)] = number
            elif x.op == "var":
                made[id(x)] = known.get(x.value, x)
            elif x.args:
                args = tuple(made[id(a)] for a in x.args)
                if x.op == "select" and args[0].op == "const":
                    made[id(x)] = args[1] if args[0].value else args[2]
                elif all(a is b for a, b in zip(args, x.args)):
                    made[id(x)] = x
                else:
                    made[id(x)] = Expr("cast", args, x.dtype) if x.op == "cast" else call(x.op, *args)
            else:
                made[id(x)] = x
        return made[id(e)]


def emit_periodic(
    loop: For,
    shared: Periodic,
    scalar: Callable[[Expr], str],
    pointer: Callable[[str], str],
    streamed: Collection[str] = (),
) -> list[str]:
    """Generate C lines for such a loop; the arguments are those of ``emit_simd``."""
    i, period = loop.index, shared.period
    spread = 1 << SPREAD
    lines = [
        f"{{ const int64_t end = {scalar(loop.extent)}, start = {scalar(shared.start)}; int64_t {i} = 0;",
        *row_flags(loop, streamed),
        f"while ({i} < end) {{ const int64_t next = {i} + {period} - (start + {i} & {period - 1});",
        f"if (next == {i} + {period}) for (; {i} + {period} <= end; {i} += {period})",
        f"for (int64_t {i}_ = {i}; {i}_ < {i} + {spread}; {i}_ += {LANES}) {{",
    ]
    common = VectorBody(loop, scalar, False, f"{i}_")
    _add(common, shared.common, pointer)
    lines += common.lines
    for copy, statements in enumerate(shared.copies):
        position = f"{i}_{copy}"
        one = VectorBody(loop, scalar, False, position, streamed)
        one.values, one.varying_names = dict(common.values), set(common.varying_names)
        _add(one, statements, pointer)
        lines += [f"{{ const int64_t {position} = {i}_ + {copy * spread};", *one.lines, "}"]
    rest = VectorBody(loop, scalar, True, i)
    _add(rest, loop.body, pointer)
    lines += [
        "}",
        f"for (const int64_t stop = next < end ? next : end; {i} < stop; {i} += {LANES}) {{",
        f"const int64_t left = stop - {i} < {LANES} ? stop - {i} : {LANES};",
        *rest.lines,
        f"if (left < {LANES}) {{ {i} = stop; break; }}",
        "}", "} }",
    ]  # fmt: skip
    return lines


def _add(body: VectorBody, statements: Sequence[Statement], pointer: Callable[[str], str]) -> None:
    """Add statements that have a vector form."""
    for s in statements:
        if isinstance(s, Let):
            body.let(s)
        elif isinstance(s, Load):
            body.load(s, pointer(s.buffer))
        elif isinstance(s, Store):
            body.store(s, pointer(s.buffer))
        else:
            assert isinstance(s, Accumulate)
            body.accumulate_memory(s, pointer(s.buffer))
