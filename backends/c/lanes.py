"""Loops over narrow elements alone, which have two or four times as many lanes as others.

A vector has as many lanes as a register holds floats, whatever their type. Elements of 8 bits then take a quarter of a
register. Where a loop loads, computes and stores nothing wider than 8 or 16 bits, from neighbouring elements, it runs
over whole registers of them first, and over the elements that are left as other loops do. Sums of such elements are
of 32 bits: four neighbours are added to one lane.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symc.graph.dtypes import BITS
from symc.loops.expr import Expr, coefficient, names_in, substituted
from symc.loops.ir import Accumulate, For, Let, Load, Statement, Store
from symc_backends.c.accumulators import NARROW
from symc_backends.c.dialect import MASK, TAG

__all__ = ["is_affine", "is_read", "is_sum", "wide_tags", "width_of"]

SHORT = 16
"""The length up to which a loop has as many lanes as others."""
PLAIN = frozenset("add sub mul neg abs min max and or xor not lt le gt ge eq ne select cast".split())
"""Functions that have forms with more lanes."""


def wide_tags(width: int) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The vector types, by dtype, and those of masks, of ``width`` times as many lanes as a register holds floats."""
    if width == 1:
        return TAG, MASK
    tags, masks = ({d: f"{names[d]}x{width}" for d in NARROW} for names in (TAG, MASK))
    return tags, masks


def is_affine(e: Expr) -> bool:
    """Whether an index consists of sums and products of names and numbers."""
    return e.op in ("const", "var") or e.op in ("add", "sub", "mul", "neg") and all(is_affine(a) for a in e.args)


def is_sum(s: Accumulate) -> bool:
    """Whether these are terms of few bits for an accumulator of more."""
    e = s.value
    return s.op == "add" and e.op == "cast" and e.dtype == "int32" and e.args[0].dtype in NARROW


def width_of(loop: For, registers: Mapping[int, Accumulate]) -> int:
    """How many times as many lanes as others the loop has: 1, 2 or 4.

    ``registers`` are the accumulations in registers, by the positions of their statements.
    """
    if loop.extent.op == "const" and loop.extent.value <= SHORT:
        return 1
    body = [registers.get(k, s) for k, s in enumerate(loop.body)]
    elements = _Elements(loop.index, body)
    if not all(elements.takes(s) for s in body) or not elements.bits:
        return 1
    return 32 // max(elements.bits)


def is_read(s: Statement, width: int) -> bool:
    """Whether a statement is part of a loop of this width: what sums convert to more bits they convert themselves."""
    return width == 1 or not isinstance(s, Let) or s.value.dtype in NARROW or is_affine(s.value)


class _Elements:
    """What a loop reads, computes and stores, of which ``bits`` are the sizes."""

    def __init__(self, lane: str, body: Sequence[Statement]) -> None:
        self.lane = lane
        self.bits: set[int] = set()
        self.positions: dict[str, Expr] = {}
        self.varying = {lane}
        values = [s.value for s in body if isinstance(s, (Let, Store, Accumulate))]
        self.read = {name for value in values for name in names_in(value)}

    def takes(self, s: Statement) -> bool:
        """Whether more lanes have a form of the statement."""
        if isinstance(s, Let):
            return self._takes_let(s)
        if isinstance(s, Load):
            stride = self._stride(s.index)
            if stride != 0:
                self.varying.add(s.name)
            return stride in (0, 1) and self._has(s.dtype)
        if isinstance(s, Store):
            return self._stride(s.index) == 1 and self._is_narrow(s.value)
        if not isinstance(s, Accumulate):
            return False
        if self.lane in names_in(s.index):
            return self._stride(s.index) == 1 and s.op in PLAIN and self._is_narrow(s.value)
        if is_sum(s):
            return self._is_narrow(s.value.args[0])
        return (s.op in ("min", "max") or s.value.dtype == "bool") and self._is_narrow(s.value)

    def _takes_let(self, s: Let) -> bool:
        if s.value.dtype == "int64" and is_affine(s.value):
            self.positions[s.name] = s.value
        elif not self._varies(s.value):
            return True
        elif s.value.dtype not in NARROW:
            return s.name not in self.read
        elif not self._is_narrow(s.value):
            return False
        if self._varies(s.value):
            self.varying.add(s.name)
        return True

    def _stride(self, at: Expr) -> int | None:
        """The distance of neighbouring lanes, if it is a number."""
        plain = substituted(at, self.positions)
        stride = coefficient(plain, self.lane)
        known = stride is not None and stride.op == "const" and (self.varying - {self.lane}).isdisjoint(names_in(plain))
        return int(stride.value) if stride is not None and known else None

    def _varies(self, e: Expr) -> bool:
        return not self.varying.isdisjoint(names_in(e))

    def _has(self, dtype: str) -> bool:
        if dtype not in NARROW:
            return False
        self.bits.add(max(BITS.get(dtype, 8), 8))
        return True

    def _is_narrow(self, e: Expr) -> bool:
        """Whether a value and all of which it is computed are narrow, by functions that have such forms."""
        if not self._has(e.dtype):
            return False
        if e.op == "var" or not self._varies(e):
            return True
        shift = e.op in ("shl", "shr") and BITS[e.dtype] == 16 and e.args[1].op == "const"
        return (e.op in PLAIN or shift) and all(self._is_narrow(a) for a in e.args)
