"""Several results or operands whose elements take turns in memory, as those of a stack along the last axis.

Each of them alone would be moved one element of a vector after the other. Together they fill whole vectors: elements
are brought into turn in registers, by rounds of 2, 3, 5 or 7 results each. Where they are neighbours in memory, as
those of a sliding window, each window is copied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count as count_up
from typing import NamedTuple, TypeVar

from symc.graph.dtypes import BITS
from symc.loops.expr import Expr, coefficient, names_in, substituted
from symc.loops.ir import Accumulate, For, Let, Load, Store
from symc_backends.c.dialect import CTYPE, LANES
from symc_backends.c.lanes import is_affine

__all__ = ["Turns", "Taken", "copied_windows", "interleaved", "taken_in_turns", "unzipped_loads", "zipped_stores"]

MOST = 32
"""The largest number of results."""
MOST_TAKEN = 8
"""The largest number of operands that are read together."""
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


class Taken(NamedTuple):
    """Loads that together read whole memory, in the order of their elements; lanes may go backwards."""

    loads: Sequence[Load]
    backwards: bool


def interleaved(loop: For) -> dict[int, Turns]:
    """The groups of stores of a simd loop that together fill memory, by the position of the last store of each."""
    read = {s.buffer for s in loop.body if isinstance(s, (Load, Accumulate))}
    stores = [s for s in loop.body if isinstance(s, Store) and s.buffer not in read]
    groups = {}
    for stride, group in _complete(loop, stores, MOST):
        if stride > 0 and len({s.value.dtype for s in group}) == 1:
            last = max(k for k, s in enumerate(loop.body) if any(s is one for one in group))
            groups[last] = Turns(group, _window(loop, group))
    return groups


def taken_in_turns(loop: For) -> dict[int, Taken]:
    """The groups of loads of a simd loop that together read whole memory, by the position of the first load of each."""
    written = {s.buffer for s in loop.body if isinstance(s, (Store, Accumulate))}
    first_write = next((k for k, s in enumerate(loop.body) if isinstance(s, (Store, Accumulate))), len(loop.body))
    loads = [
        s for s in loop.body[:first_write] if isinstance(s, Load) and s.buffer not in written and s.dtype != "bool"
    ]
    groups = {}
    for stride, group in _complete(loop, loads, MOST_TAKEN):
        first = min(k for k, s in enumerate(loop.body) if any(s is one for one in group))
        groups[first] = Taken(group, stride < 0)
    return groups


Access = TypeVar("Access", Load, Store)


def _complete(loop: For, accesses: Sequence[Access], most: int) -> Iterator[tuple[int, list[Access]]]:
    """Accesses that together touch all elements between those of neighbouring lanes, in order, and their stride."""
    often = Counter(s.buffer for s in accesses)
    accesses = [s for s in accesses if often[s.buffer] > 1]
    if not accesses:
        return
    definitions = {s.name: s.value for s in loop.body if isinstance(s, Let) and is_affine(s.value)}
    inside = {s.name for s in loop.body if isinstance(s, (Let, Load))}
    found: list[tuple[str, Expr, int, dict[int, Access]]] = []
    for s in accesses:
        first, offset = _apart(substituted(s.index, definitions))
        stride = coefficient(first, loop.index)
        if stride is None or stride.op != "const" or not 1 < abs(stride.value) <= most:
            continue
        if not _is_product(abs(stride.value)) or not inside.isdisjoint(names_in(first)):
            continue
        for buffer, start, _, group in found:
            if buffer == s.buffer and start.same(first) and offset not in group:
                group[offset] = s
                break
        else:
            found.append((s.buffer, first, int(stride.value), {offset: s}))
    for _, _, step, group in found:
        least = min(group)
        if sorted(group) == list(range(least, least + abs(step))):
            yield step, [group[offset] for offset in sorted(group)]


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
    names = (f"z{k}" for k in count_up())
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


def unzipped_loads(dtype: str, tag: str, first: str, names: Sequence[str], backwards: bool) -> str:
    """A line of C that defines ``names`` as vectors of elements from address ``first`` on, in turns.

    The lanes follow each other in memory, or precede each other if they go ``backwards``.
    """
    bits = BITS.get(dtype, 8)
    integers, count = f"i{bits}", 2 if bits == 64 else 1
    start = f"{first} - {len(names)} * ({LANES} - 1)" if backwards else first
    lines = [f"const vu_{tag} u{k} = {{vload_{tag}({start} + {k} * {LANES})}};" for k in range(len(names))]
    fresh = (f"z{k}" for k in count_up())
    registers = []
    for k in range(len(names) * count):
        registers.append(name := next(fresh))
        lines.append(f"const vp_{integers} {name} = (vp_{integers})u{k // count}.p[{k % count}];")
    pieces = [
        _unzipped(registers[k : k + len(names)], integers, fresh, lines) for k in range(0, len(registers), len(names))
    ]
    for name, parts in zip(names, zip(*pieces)):
        ordered = [f"vback_{integers}({part})" for part in reversed(parts)] if backwards else parts
        lines.append(f"{name} = ((vu_{tag}){{.p = {{{', '.join(f'(vp_{tag}){part}' for part in ordered)}}}}}).v;")
    return f"v_{tag} {', '.join(names)}; {{ {' '.join(lines)} }}"


def _unzipped(registers: Sequence[str], tag: str, names: Iterator[str], lines: list[str]) -> list[str]:
    """The registers whose elements take turns in some; ``lines`` get the C that makes them."""
    if len(registers) == 1:
        return list(registers)
    by = next(k for k in ROUNDS if len(registers) % k == 0)
    parts: list[list[str]] = [[] for _ in range(by)]
    for t in range(0, len(registers), by):
        for number, part in enumerate(parts):
            part.append(name := next(names))
            lines.append(f"const vp_{tag} {name} = vunzip{by}_{number}_{tag}({', '.join(registers[t : t + by])});")
    found = [_unzipped(part, tag, names, lines) for part in parts]
    return [register for same in zip(*found) for register in same]


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
