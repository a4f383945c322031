"""Stores of several results whose elements take turns in memory, as those of a stack along the last axis.

Each of them alone would store one element of a vector after the other. Together they fill whole vectors: their elements
are brought into turn in registers, by rounds of 2, 3, 5 or 7 results each. Where they are neighbours in memory, as
those of a sliding window, each window is copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from symc.graph.dtypes import BITS
from symc.loops.expr import Expr, coefficient, names_in, substituted
from symc.loops.ir import Accumulate, For, Let, Load, Store
from symc_backends.c.dialect import CTYPE, LANES
from symc_backends.c.lanes import is_affine

__all__ = ["Turns", "copied_windows", "interleaved", "zipped_stores"]

MOST = 32
"""The largest number of results."""
ROUNDS = (2, 3, 5, 7)
"""The numbers of results that one round of shuffles can bring into turn."""
WINDOW = 12
"""The smallest number of neighbours that are copied."""


class Turns(NamedTuple):
    """Stores that together fill memory, in the order of their elements.

    ``window`` is the load of the first value, if the values are many neighbours.
    """

    stores: Sequence[Store]
    window: Load | None


def interleaved(loop: For) -> dict[int, Turns]:
    """The groups of stores of a simd loop that together fill memory, by the position of the last store of each."""
    definitions = {s.name: s.value for s in loop.body if isinstance(s, Let) and is_affine(s.value)}
    inside = {s.name for s in loop.body if isinstance(s, (Let, Load))}
    read = {s.buffer for s in loop.body if isinstance(s, (Load, Accumulate))}
    found: list[tuple[Store, Expr, dict[int, tuple[int, Store]]]] = []
    for k, s in enumerate(loop.body):
        if not isinstance(s, Store) or s.buffer in read:
            continue
        first, offset = _apart(substituted(s.index, definitions))
        stride = coefficient(first, loop.index)
        if stride is None or stride.op != "const" or not 1 < stride.value <= MOST or not _is_product(stride.value):
            continue
        if not inside.isdisjoint(names_in(first)):
            continue
        for one, start, stores in found:
            if one.buffer == s.buffer and start.same(first) and one.value.dtype == s.value.dtype:
                stores[offset] = k, s
                break
        else:
            found.append((s, first, {offset: (k, s)}))
    groups = {}
    for _, first, stores in found:
        stride = coefficient(first, loop.index)
        least = min(stores)
        if stride is not None and sorted(stores) == list(range(least, least + stride.value)):
            group = [stores[offset][1] for offset in sorted(stores)]
            groups[max(k for k, _ in stores.values())] = Turns(group, _window(loop, group))
    return groups


def _window(loop: For, stores: Sequence[Store]) -> Load | None:
    """The load of the first value, if the values are neighbours."""
    loads = {s.name: s for s in loop.body if isinstance(s, Load)}
    found = [loads[s.value.value] for s in stores if s.value.op == "var" and s.value.value in loads]
    if len(stores) < WINDOW or len(found) < len(stores):
        return None
    first, offset = _apart(found[0].index)
    stride = coefficient(first, loop.index)
    if stride is None or stride.op != "const" or stride.value != 1:
        return None
    for k, load in enumerate(found):
        start, at = _apart(load.index)
        if load.buffer != found[0].buffer or load.dtype == "bool" or not start.same(first) or at != offset + k:
            return None
    return found[0]


def _apart(at: Expr) -> tuple[Expr, int]:
    """An index without its constant term, and that term."""
    if at.op == "add":
        for one, other in (at.args, at.args[::-1]):
            if one.op == "const":
                return other, int(one.value)
    return at, 0


def _is_product(number: int) -> bool:
    """Whether a number of results can be brought into turn."""
    for by in ROUNDS:
        while number % by == 0:
            number //= by
    return number == 1


def zipped_stores(dtype: str, tag: str, first: str, vectors: Sequence[str], far: str) -> str:
    """A line of C that stores the elements of ``vectors`` from address ``first`` on, in turns.

    ``far`` is a C condition for stores past the caches; "" for stores as usual.
    """
    bits = BITS.get(dtype, 8)
    count = 2 if bits == 64 else 1
    lines = [f"const vu_{tag} u{k} = {{{text}}};" for k, text in enumerate(vectors)]
    names = (f"z{k}" for k in range(1 << 30))
    results = []
    for piece in range(count):
        registers = []
        for k in range(len(vectors)):
            registers.append(name := next(names))
            lines.append(f"const vp_i{bits} {name} = (vp_i{bits})u{k}.p[{piece}];")
        results += _zipped(registers, f"i{bits}", names, lines)
    for k in range(len(vectors)):
        pieces = ", ".join(f"(vp_{tag}){name}" for name in results[count * k : count * (k + 1)])
        whole = f"((vu_{tag}){{.p = {{{pieces}}}}}).v"
        to = f"{first} + {k} * {LANES}"
        lines.append(f"vput_{tag}({to}, {whole}, {far});" if far else f"vstore_{tag}({to}, {whole});")
    return f"{{ {' '.join(lines)} }}"


def copied_windows(dtype: str, source: str, target: str, count: int) -> str:
    """A line of C that stores for each lane the ``count`` elements from its own on."""
    size = f"{count} * sizeof({CTYPE[dtype]})"
    return f"for (int l = 0; l < {LANES}; l++) __builtin_memcpy({target} + l * {count}, {source} + l, {size});"


def _zipped(registers: Sequence[str], tag: str, names: Iterator[str], lines: list[str]) -> list[str]:
    """The registers of the elements of some, in turns; ``lines`` get the C that makes them."""
    if len(registers) == 1:
        return list(registers)
    by = next(k for k in ROUNDS if len(registers) % k == 0)
    parts = [_zipped(registers[k::by], tag, names, lines) for k in range(by)]
    found = []
    for same in zip(*parts):
        for number in range(by):
            found.append(name := next(names))
            lines.append(f"const vp_{tag} {name} = vzip{by}_{number}_{tag}({', '.join(same)});")
    return found
