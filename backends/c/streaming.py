"""Large results that are stored past the caches.

A store to memory that is in no cache reads the line first, and a result that is larger than the caches drives out what
else they hold. Streaming stores do neither. They need whole lines: a loop that stores so begins with the elements in
front of the first line. A line that is stored in part past the caches, in part as usual, is moved several times; so a
loop has whole vectors alone, or so many that the lines at both its ends do not matter.

Whether a result is large is known at call time. Results that any step of the program reads are stored as usual, and so
are those that share the memory of an operand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

from symc.loops.expr import Expr
from symc.loops.ir import Accumulate, Call, For, Host, If, Kernel, Load, Program, Statement, Step, Store, roots
from symc_backends.c.blocks import has_copies
from symc_backends.c.dialect import CTYPE

__all__ = ["LEAST_BYTES", "finished", "flags", "row_flags", "streamed_buffers", "unread_results"]

LEAST_BYTES = 16 << 20
"""The size from which on results are stored past the caches."""
LEAST_MOVED = 48 << 20
"""The bytes that a kernel must read and write for that: what the last cache holds of fewer, the next call finds there.

Tiles are stored so whenever they are large: their rows are short and far apart, and each would wait for its lines.
"""

LEAST_ROW_BYTES = 32768
"""The bytes that a loop stores one after another from which on it stores any number of them so."""
WHOLE_BYTES = 32
"""Fewer are stored so in multiples of this size."""

_SIZES = {"float32": 4, "int32": 4, "uint32": 4, "float64": 8, "int64": 8, "uint64": 8}


def unread_results(program: Program) -> dict[int, frozenset[int]]:
    """For each step, by its ``id``, those numbers of its buffers whose memory no other step uses."""
    steps = [node for node in program.steps if isinstance(node, (Step, Host))]
    memory = roots(program.buffers)
    users = Counter(root for step in steps for root in {memory.get(b, b) for b in step.buffers})
    found = {}
    for step in steps:
        if isinstance(step, Step) and step.kernel.elements:
            places = {k: step.refs[k].buffer for k in step.kernel.elements}
            found[id(step)] = frozenset(k for k, b in places.items() if users[memory.get(b, b)] == 1)
    return found


def streamed_buffers(kernel: Kernel, unread: frozenset[int]) -> dict[str, Expr]:
    """The buffers of a kernel that it stores past the caches if they are large, with their numbers of elements."""
    if not unread:
        return {}
    read = set(_read(kernel.body))
    found = {}
    for k in sorted(unread):
        count = kernel.elements[k]
        size = _SIZES.get(kernel.buffers[k], 0)
        large = bool(size) and (count.op != "const" or count.value * size >= LEAST_BYTES)
        if large and f"b{k}" not in read:
            found[f"b{k}"] = count
    return found


def _read(body: Sequence[Statement]) -> Iterator[str]:
    """The buffers from which statements read."""
    stack = list(body)
    while stack:
        s = stack.pop()
        if isinstance(s, (For, If)):
            stack.extend(s.body)
        elif isinstance(s, (Load, Accumulate)):
            yield s.buffer
        elif isinstance(s, Call):
            yield from s.buffers
            stack.extend(s.epilogue.body if s.epilogue is not None else ())


def flags(kernel: Kernel, streamed: dict[str, Expr], scalar: Callable[[Expr], str]) -> list[str]:
    """C lines that define, for each of these buffers, a variable which tells whether to stream to it."""
    lines = []
    much = [] if has_copies(kernel.body) else [f"{scalar(kernel.bytes)} >= {LEAST_MOVED}"]
    for name, count in streamed.items():
        others = [f"(const void *){name} != b{k}" for k in range(len(kernel.buffers)) if k not in kernel.writes]
        ctype = CTYPE[kernel.buffers[int(name[1:])]]
        large = f"{scalar(count)} >= {LEAST_BYTES} / (int64_t)sizeof({ctype})"
        lines.append(f"const int past_{name} = {' && '.join([large, *much, *others])}; (void)past_{name};")
    return lines


def row_flags(loop: For, streamed: Collection[str]) -> list[str]:
    """C lines that define, for each of these buffers a loop of ``end`` elements stores to, whether to stream to it."""
    stores = {s.buffer: s.value.dtype for s in loop.body if isinstance(s, Store) and s.buffer in streamed}
    lines = []
    for name, dtype in stores.items():
        size = f"end * (int64_t)sizeof({CTYPE[dtype]})"
        large = f"({size} >= {LEAST_ROW_BYTES} || {size} % {WHOLE_BYTES} == 0)"
        lines.append(f"const int far_{name} = past_{name} && {large}; (void)far_{name};")
    return lines


def finished(streamed: dict[str, Expr], lines: Sequence[str]) -> list[str]:
    """C lines that end a function: what its ``lines`` stored so must be visible to other threads."""
    used = [f"past_{name}" for name in streamed if any("vput_" in line and f"far_{name})" in line for line in lines)]
    return [f"if ({' | '.join(used)}) vstream_fence();"] if used else []
