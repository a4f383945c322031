"""Loads at computed positions, many in a row: a simd loop with such loads becomes several, block by block.

The first loop computes the positions of a block of elements and stores them, then all of these are loaded one after
another, and the next loop goes on with what was loaded. So a processor has many loads under way; those of the lanes of
one vector would wait for its positions, and the vector for the last of them. Positions that depend on loaded values
take more rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from symc.loops.expr import ZERO, Expr, call, cast, coefficient, names_in, substituted, var
from symc.loops.ir import Accumulate, For, Let, Load, Statement, Store, moved
from symc.loops.names import names_read, varying
from symc_backends.c.dialect import CTYPE, TAG
from symc_backends.c.lanes import is_affine
from symc_backends.c.narrow import LARGEST, NarrowLoads, block_names
from symc_backends.c.pieces import is_piecewise, steps
from symc_backends.c.scalar_loops import totalled, with_parts

__all__ = ["BLOCK", "SHORT", "emit_bursts", "is_reduction", "scattered_loads"]

BLOCK = 256
"""The largest number of elements of a block."""
SMALLEST = 64
"""The smallest one: what was just stored one by one is slow to load as a vector."""
SHORT = 48
"""The number of elements below which a loop with one such load, or with sums over its elements, has no blocks."""
MOST = 24
"""The largest number of arrays of the largest block, so that all of them stay in the fastest cache."""


def scattered_loads(loop: For, sizes: Mapping[str, Expr]) -> list[Load]:
    """The loads of a simd loop at computed positions, from buffers of known ``sizes``."""
    definitions = {s.name: s.value for s in loop.body if isinstance(s, Let) and s.value.dtype == "int64"}
    affine = _affine(loop)
    differing = varying(loop.index, loop.body)
    loaded = differing - affine.keys() - {loop.index}
    found = []
    for s in loop.body:
        if not isinstance(s, Load) or s.buffer not in sizes or differing.isdisjoint(names_in(s.index)):
            continue
        if coefficient(plain := substituted(s.index, affine), loop.index) is not None:
            if loaded.isdisjoint(names_in(plain)):
                continue
        whole = substituted(s.index, definitions)
        inside = {s.name for s in loop.body if isinstance(s, Load)}
        if inside.isdisjoint(names_in(whole)) and (is_piecewise(whole, loop.index) or steps(whole, loop.index)):
            continue
        found.append(s)
    return found


def _affine(loop: For) -> dict[str, Expr]:
    """The affine integers that a loop names."""
    lets = (s for s in loop.body if isinstance(s, Let))
    return {s.name: s.value for s in lets if s.value.dtype == "int64" and is_affine(s.value)}


class _Place(NamedTuple):
    """A load at the positions in an ``array``, from element ``fixed`` of its buffer on."""

    load: Load
    fixed: Expr
    array: str


class _Round(NamedTuple):
    """The statements of a loop, and the loads at positions that it stores."""

    body: list[Statement]
    places: list[_Place]


def emit_bursts(
    loop: For,
    loads: Sequence[Load],
    scalar: Callable[[Expr], str],
    element: Callable[[str, Expr], str],
    dtype_of: Callable[[str], str],
    block: Callable[[Sequence[Statement], dict[str, str], dict[str, str]], list[str]],
    narrow: NarrowLoads,
) -> list[str] | None:
    """C lines for a simd loop in blocks; None if it is short, or has too many values.

    ``element(buffer, index)`` writes an element of a buffer, ``dtype_of(buffer)`` is its dtype; ``block(body, arrays,
    variables)`` writes statements that use C arrays and variables with these dtypes. ``narrow`` gets the conditions
    under which positions, less what is the same in all iterations, have 32 bits. Sums of floats have float64 totals.
    """
    if loop.extent.op == "const" and loop.extent.value < SHORT and (len(loads) == 1 or is_reduction(loop)):
        return None
    body, sums = with_parts(loop, dtype_of)
    rounds, arrays = _Rounds(replace(loop, body=tuple(body)), loads, narrow).split()
    width = BLOCK
    while width >= SMALLEST and len(arrays) * width > MOST * BLOCK:
        width //= 2
    if width < SMALLEST:
        return None
    first, many, k = block_names(loop)
    last = f"{loop.index}_last"
    variables = {name: dtype_of(s.buffer) for name, s in sums.items()}
    lines = [f"{{ const int64_t {last} = {scalar(loop.extent)};"]
    lines += [f"double total_{name} = 0;" for name in sums]
    lines += [f"{CTYPE[d]} {name}[{width}] __attribute__((aligned(64)));" for name, d in arrays.items()]
    lines.append(f"for (int64_t {first} = 0; {first} < {last}; {first} += {width}) {{")
    lines.append(f"const int64_t {many} = {last} - {first} < {width} ? {last} - {first} : {width};")
    lines += [f"{CTYPE[dtype]} {name} = 0;" for name, dtype in variables.items()]
    for part in rounds:
        lines += block([For(k, var(many), tuple(part.body), "simd")], arrays, variables)
        for p in part.places:
            source = f"{p.load.buffer} + {scalar(p.fixed)}"
            if p.fixed.op != "const":
                narrow.require(f"(uint64_t)({scalar(p.fixed)}) <= {LARGEST}")
            lines.append(f"vburst_{TAG[p.load.dtype]}({p.load.name}_got, {source}, {p.array}, {many});")
    lines += [*(f"total_{name} += {name};" for name in sums), "}"]
    return [*lines, *totalled(sums, element, dtype_of), "}"]


def is_reduction(loop: For) -> bool:
    """Whether all iterations of a loop share an accumulator."""
    return any(isinstance(s, Accumulate) and loop.index not in names_in(s.index) for s in loop.body)


class _Rounds:
    """The division of a loop: a statement is in the round after the last of the ``loads`` on which it depends."""

    def __init__(self, loop: For, loads: Sequence[Load], narrow: NarrowLoads) -> None:
        self.loop = loop
        self.narrow = narrow
        self.affine = _affine(loop)
        self.loads = {s.name: s for s in loads}
        first, _, k = block_names(loop)
        self.k = var(k)
        self.moved = {loop.index: var(first) + self.k}
        self.defined = {s.name: s for s in loop.body if isinstance(s, (Let, Load))}
        self.varying = varying(loop.index, loop.body)
        self.round: dict[str, int] = {}
        self.arrays: dict[str, str] = {}
        self.got: dict[str, str] = {}  # by load, the array of its elements: equal loads share one
        self.last = 0  # the round of all stores, so that no load follows them

    def split(self) -> tuple[list[_Round], dict[str, str]]:
        """The rounds, and the arrays of a block with their dtypes."""
        for name, s in self.defined.items():  # operands come first
            self.round[name] = self._latest(s) + (name in self.loads)
        self.last = max(self.round.values())
        rounds = [self._round(number) for number in range(self.last + 1)]
        return rounds, self.arrays

    def _latest(self, s: Statement) -> int:
        return max((self.round[name] for name in names_read(s) if name in self.round), default=0)

    def _round(self, number: int) -> _Round:
        """The loop of a round: the positions that it computes, what later rounds read, and its stores."""
        body: list[Statement] = []
        known: set[str] = set()
        places: list[_Place] = []
        stored: list[tuple[Expr, str]] = []  # positions, and the arrays that hold them
        for load in (s for name, s in self.loads.items() if self.round[name] == number + 1):
            fixed, position = self._apart(substituted(load.index, self.affine))
            array = next((name for e, name in stored if e.same(position)), "")
            if not array:
                array = f"{load.name}_at"
                stored.append((position, array))
                self.arrays[array] = "int32"
                self._need(names_in(position), number, body, known)
                body.append(Store(array, self.k, cast(substituted(position, self.moved), "int32")))
            same = (p for p in places if p.array == array and p.load.buffer == load.buffer and p.fixed.same(fixed))
            place = next(same, None)
            if place is None:
                place = _Place(load, fixed, array)
                places.append(place)
                self.arrays[f"{load.name}_got"] = load.dtype
            self.got[load.name] = f"{place.load.name}_got"
        for name, s in self.defined.items():
            if self.round[name] == number and self._is_kept(name):
                self._need([name], number, body, known)
                self.arrays[f"{name}_kept"] = dtype = _dtype(s)
                body.append(Store(f"{name}_kept", self.k, var(name, dtype)))
        if number == self.last:
            writes = [one for one in self.loop.body if isinstance(one, (Store, Accumulate))]
            for one in writes:  # all operands come first: a result may have the memory of one
                self._need(names_read(one), number, body, known)
            body += [moved(one, self.moved) for one in writes]
        return _Round(body, places)

    def _apart(self, e: Expr) -> tuple[Expr, Expr]:
        """The terms of a position that are known before the loop begins, and the others."""
        if self.narrow.is_outside(e):
            return e, ZERO
        if e.op in ("add", "sub"):
            (a, x), (b, y) = map(self._apart, e.args)
            return call(e.op, a, b), call(e.op, x, y)
        if e.op == "mul" and any(map(self.narrow.is_outside, e.args)):
            a, b = e.args if self.narrow.is_outside(e.args[1]) else e.args[::-1]
            fixed, other = self._apart(a)
            return fixed * b, other * b
        return ZERO, e

    def _is_kept(self, name: str) -> bool:
        """Whether later rounds load a value from memory, in place of computing it again."""
        s = self.defined[name]
        if name in self.loads or isinstance(s, Load) or s.value.dtype in ("bool", "int64"):
            return False
        if name not in self.varying:
            return False
        return any(
            self._round_of_use(other) > self.round[name] and name in names_read(other) for other in self.loop.body
        )

    def _round_of_use(self, s: Statement) -> int:
        """The round in which a statement reads its operands."""
        if isinstance(s, (Let, Load)):
            return self.round[s.name] - (s.name in self.loads)
        return self.last

    def _need(self, names: Iterable[str], number: int, body: list[Statement], known: set[str]) -> None:
        """Add what defines these names in a round, in order."""
        pending, wanted = list(names), set()
        while pending:
            name = pending.pop()
            if name not in self.defined or name in known or name in wanted:
                continue
            wanted.add(name)
            if not (self.round[name] < number and self._is_kept(name)) and name not in self.loads:
                pending += names_read(self.defined[name])
        for name, s in self.defined.items():
            if name in wanted:
                known.add(name)
                if name in self.loads:
                    body.append(Load(name, self.got[name], self.k, _dtype(s)))
                elif self.round[name] < number and self._is_kept(name):
                    body.append(Load(name, f"{name}_kept", self.k, _dtype(s)))
                else:
                    body.append(moved(s, self.moved))


def _dtype(s: Statement) -> str:
    assert isinstance(s, (Let, Load))
    return s.dtype if isinstance(s, Load) else s.value.dtype
