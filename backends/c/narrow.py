"""Positions in 32 bits, for loads at computed positions from memory of fewer than 2^31 elements.

A vector of 64-bit integers takes two registers, and much of its arithmetic several instructions. What selects an
element of such memory fits in 32 bits in the end, whatever it was computed from. Two kinds of numbers of 32 bits stand
for an integer ``v``:

- its last 32 bits. Those of sums, differences and products follow from those of their operands.
- a number with bounds (``Known``) that is ``v``, unless both are at least ``limit`` or both are at most ``-limit``.
  Extrema, selections, and comparisons with smaller numbers follow from such numbers. Within its limit it is ``v``.

What follows from neither is computed in 64 bits and converted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from symc.graph.dtypes import BITS, is_integer
from symc.loops.expr import ZERO, Expr, names_in, substituted
from symc.loops.ir import For, Let, Load
from symc_backends.c.dialect import TAG

__all__ = ["COMPARISONS", "LARGEST", "SUFFIXES", "Narrow", "NarrowLoads", "block_names"]

LARGEST = 2**31 - 1
"""The largest number of elements of memory whose positions have 32 bits."""
FAR = 1 << 30
"""The limit of numbers that are cut to 32 bits, as ``vlimited_`` in ``kernels/narrow.h`` does."""
NEAR = 1 << 29
"""The limit of numbers that are the same in all iterations: the loop checks before it begins that they are smaller."""
NONE = 1 << 62
"""The limit of numbers that are exact."""
MOST = (1 << 31) - 1

SUFFIXES = ("_last", "_near")
"""The ends of the names of both kinds of numbers."""
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
INFIX = {"add": "+", "sub": "-", "mul": "*"}


class Known(NamedTuple):
    """The text of a vector of 32-bit numbers, with their bounds and their limit.

    Small numbers may be added to what ``fits``: converted floats. (Those out of range count as less than all others.)
    Any other integer might begin again at the least one then.
    """

    text: str
    low: int
    high: int
    limit: int = NONE
    fits: bool = True

    @property
    def is_exact(self) -> bool:
        return -self.limit < self.low and self.high < self.limit


def block_names(loop: For) -> tuple[str, str, str]:
    """Where the loop runs in blocks: the names of a block's first element, of its length, and of the index in it."""
    return f"{loop.index}_first", f"{loop.index}_many", f"{loop.index}_k"


class NarrowLoads:
    """The loads of a loop at computed positions; ``guards`` are conditions, in C, under which these have 32 bits.

    ``sizes`` are the numbers of elements of their buffers.
    """

    def __init__(self, loop: For, sizes: Mapping[str, Expr], scalar: Callable[[Expr], str]) -> None:
        self.buffers = frozenset(sizes)
        large = [size for size in sizes.values() if size.op != "const"]
        self.guards: dict[str, None] = {f"{scalar(size)} <= {LARGEST}": None for size in large}
        self._inside = {loop.index, *block_names(loop)} | {s.name for s in loop.body if isinstance(s, (Let, Load))}

    def require(self, condition: str) -> None:
        """Add a condition."""
        self.guards[condition] = None

    def is_outside(self, e: Expr) -> bool:
        """Whether an expression is known before the loop begins."""
        return self._inside.isdisjoint(names_in(e))


class Body(Protocol):
    """What is needed of a copy of a loop's body: ``symc_backends.c.vector.VectorBody``."""

    loop: For
    position: str
    definitions: dict[str, Expr]
    scalar: Callable[[Expr], str]

    def is_varying(self, e: Expr) -> bool: ...
    def value(self, e: Expr) -> Any: ...
    def vector(self, v: Any, dtype: str, mask: str = "") -> str: ...
    def vector_of(self, e: Expr) -> str: ...
    def add(self, line: str) -> None: ...


class Narrow:
    """The 32-bit forms of the integers in one copy of a loop's body."""

    def __init__(self, body: Body, loads: NarrowLoads) -> None:
        self.body = body
        self.loads = loads
        self.lets: dict[str, Expr] = {}  # varying integers and conditions on them
        self._last: dict[str, str] = {}
        self._known: dict[str, Known] = {}

    # --- last bits ------------------------------------------------------------------------------------------------

    def last_bits(self, e: Expr) -> str:
        """The last 32 bits of a varying integer."""
        if e.op == "var":
            return self._last_bits_of_name(e)
        if e.op in INFIX:
            a, b = (self.last_bits(x) if self.body.is_varying(x) else f"(int32_t){self.body.scalar(x)}" for x in e.args)
            return f"({a} {INFIX[e.op]} {b})"
        if e.op == "neg":
            return f"(-{self.last_bits(e.args[0])})"
        if e.op == "cast" and _is_narrow(e.args[0].dtype):
            return self._converted(e.args[0])
        known = self.known(e)
        return known.text if known.is_exact else f"vcast_i64_i32({self.body.vector_of(e)})"

    def _last_bits_of_name(self, e: Expr) -> str:
        name = e.value
        if name == self.body.loop.index:
            return f"(viota_i32() + (int32_t){self.body.position})"
        if name not in self._last:
            known = self._known.get(name)
            if known is not None and known.is_exact:
                return known.text
            wide = name not in self.lets
            text = f"vcast_i64_i32({self.body.vector_of(e)})" if wide else self.last_bits(self.lets[name])
            self._last[name] = self._named(f"{name}_last", text)
        return self._last[name]

    def _named(self, name: str, text: str) -> str:
        if text.isidentifier():
            return text
        self.body.add(f"const v_i32 {name} = {text};")
        return name

    def _converted(self, e: Expr) -> str:
        """An integer of at most 32 bits, as a vector of 32-bit ones."""
        return self.body.vector_of(e if e.dtype == "int32" else Expr("cast", (e,), "int32"))

    # --- numbers with bounds --------------------------------------------------------------------------------------

    def known(self, e: Expr) -> Known:
        """A number with bounds that stands for an integer."""
        found = self._found(e)
        return found._replace(limit=NONE, fits=True) if found.is_exact else found

    def _found(self, e: Expr) -> Known:
        if e.op == "const":
            number = min(max(e.value, -FAR), FAR)
            return Known(f"vset1_i32({number})", number, number, NONE if number == e.value else FAR)
        if not self.body.is_varying(e):
            return self._known_outside(e)
        if e.op == "var":
            return self._known_name(e)
        if e.op == "cast":
            return self._known_cast(e)
        if e.op == "select":
            return self._known_selection(e)
        if e.op in ("min", "max"):
            return self._known_extremum(e)
        if e.op in ("add", "sub"):
            return self._known_sum(e)
        return self._cut(e)

    def _cut(self, e: Expr) -> Known:
        """A number that is computed in 64 bits."""
        return Known(f"vlimited_i64({self.body.vector_of(e)})", -FAR, FAR, FAR, False)

    def _known_outside(self, e: Expr, low: int = 1 - NEAR) -> Known:
        """A number that is the same in all iterations, if the loop can check that it is small, and at least ``low``."""
        e = substituted(e, self.body.definitions)
        if not self.loads.is_outside(e):
            return Known(f"vset1_i32(sx_limited({self.body.scalar(e)}))", -FAR, FAR, FAR, False)
        text = self.body.scalar(e)
        self.loads.require(f"(uint64_t)({text} - ({low})) < {NEAR - low}")
        return Known(f"vset1_i32((int32_t)({text}))", low, NEAR - 1)

    def _known_name(self, e: Expr) -> Known:
        name = e.value
        if name not in self._known:
            found = self.known(self.lets[name]) if name in self.lets else self._cut(e)
            self._known[name] = found._replace(text=self._named(f"{name}_near", found.text))
        return self._known[name]

    def _known_cast(self, e: Expr) -> Known:
        (source,) = e.args
        if source.dtype in ("float32", "float64"):
            return Known(f"vlimited_{TAG[source.dtype]}({self.body.vector_of(source)})", -FAR, FAR, FAR)
        if source.dtype == "uint32":
            return Known(f"vlimited_u32({self.body.vector_of(source)})", 0, FAR, FAR)
        if not _is_narrow(source.dtype):
            return self._cut(e)
        limits = np.iinfo(source.dtype) if source.dtype != "bool" else None
        low, high = (0, 1) if limits is None else (int(limits.min), int(limits.max))
        return Known(self._converted(source), low, high)

    def _known_extremum(self, e: Expr) -> Known:
        a, b = map(self.known, e.args)
        best = min if e.op == "min" else max
        return _either(a, b, f"v{e.op}_i32({a.text}, {b.text})")._replace(
            low=best(a.low, b.low), high=best(a.high, b.high)
        )

    def _known_sum(self, e: Expr) -> Known:
        a, b = map(self.known, e.args)
        if a.limit < NONE and b.limit < NONE or not (a.fits and b.fits):
            return self._cut(e)
        low, high = (a.low + b.low, a.high + b.high) if e.op == "add" else (a.low - b.high, a.high - b.low)
        if not -MOST <= low <= high <= MOST:
            return self._cut(e)
        exact, limit = (a, b.limit) if a.limit == NONE else (b, a.limit)
        limit = NONE if limit == NONE else limit - max(abs(exact.low), abs(exact.high))
        return Known(f"({a.text} {INFIX[e.op]} {b.text})", low, high, limit) if limit > 0 else self._cut(e)

    def _known_selection(self, e: Expr) -> Known:
        condition, x, y = e.args
        a = self._from_beginning(self._resolved(condition), self._resolved(x), y)
        if a is not None:
            return a
        a, b = self.known(x), self.known(y)
        return _either(a, b, f"vselect_i32({self.condition(condition)}, {a.text}, {b.text})")

    def _from_beginning(self, negative: Expr, moved: Expr, i: Expr) -> Known | None:
        """``i + n`` for ``i`` below zero, which counts from the end, else ``i``; None for other selections.

        Then the sum cannot overflow, whatever ``i`` is.
        """
        if negative.op != "lt" or not negative.args[0].same(i) or not negative.args[1].same(ZERO):
            return None
        if moved.op != "add" or not moved.args[0].same(i) or self.body.is_varying(moved.args[1]):
            return None
        known, length = self.known(i), moved.args[1]
        n = self.known(length) if length.op == "const" else self._known_outside(length, 0)
        if n.low < 0 or known.limit <= NEAR:
            return None
        text = f"({known.text} + (({known.text} < 0) & {n.text}))"
        limit = known.limit if known.limit == NONE else known.limit - NEAR
        return Known(text, known.low, max(known.high, n.high), limit, known.fits)

    def _resolved(self, e: Expr) -> Expr:
        """The definition of a name."""
        return self.lets.get(e.value, e) if e.op == "var" else e

    def condition(self, e: Expr) -> str:
        """A condition, as a mask of 32 bits per lane."""
        e = self._resolved(e)
        if self.body.is_varying(e) and e.op in COMPARISONS and e.args[0].dtype == "int64":
            a, b = map(self.known, e.args)
            if _are_comparable(a, b) or _are_comparable(b, a):
                return f"v{e.op}_i32({a.text}, {b.text})"
        return self.body.vector(self.body.value(e), "bool", "i32")


def _is_narrow(dtype: str) -> bool:
    return (dtype == "bool" or is_integer(dtype)) and BITS[dtype] <= 32


def _are_comparable(a: Known, b: Known) -> bool:
    """Whether a number that is exact compares with another one as the numbers that they stand for."""
    return a.is_exact and -b.limit < a.low and a.high < b.limit


def _either(a: Known, b: Known, text: str) -> Known:
    """One of two numbers."""
    return Known(text, min(a.low, b.low), max(a.high, b.high), min(a.limit, b.limit), a.fits and b.fits)
