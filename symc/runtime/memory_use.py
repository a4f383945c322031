"""The memory that a call uses, per tensor, and the error for insufficient memory.

All sizes are bytes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from symc.compiler.bodies import symbols_in
from symc.compiler.memory_plan import ALIGN
from symc.errors import OutOfMemoryError, SourceLocation
from symc.graph import dims, toposort
from symc.graph.evaluate import evaluate
from symc.loops.ir import Bind, Buffer, Step, walk
from symc.runtime.code import Code
from symc.runtime.storage import HOST

__all__ = ["Memory", "MemoryEstimate", "TensorMemory", "estimate", "explained", "values_of_symbols"]

SHOWN = 12
"""Number of rows of a printed table."""

PARTS = ("arguments", "shared", "constants", "results", "updates", "temporaries", "scratch", "rounding")


@dataclass(frozen=True)
class Memory:
    """A back end's memory use in a call, besides arguments and results.

    Attributes
    ----------
    arena : int
        Total memory of the temporaries.
    scratch : sequence of (Step, int)
        Scratch memory of steps, which later steps reuse; each entry is the additional memory that a step needs beyond
        that of the steps before it.
    block : callable
        ``block(nbytes)`` is the memory that an array of ``nbytes`` actually occupies.
    apart : bool
        Whether arguments and constants are copied to separate memory of the device.
    blocks : sequence of int, optional
        The allocations of arena and scratch, if there is more than one.
    """

    arena: int
    scratch: Sequence[tuple[Step, int]] = ()
    block: Callable[[int], int] = int
    apart: bool = False
    blocks: Sequence[int] | None = None


class TensorMemory(NamedTuple):
    """One array of a function.

    ``role`` is that of an argument, shared variable, constant, result, update or temporary; ``"scratch"`` is memory
    used by the computation of the tensor. ``location`` is the user's line.
    """

    bytes: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    role: str
    location: SourceLocation | None

    def __str__(self) -> str:
        what = f"{self.name} {self.dtype}{self.shape}" if self.dtype else self.name
        return f"{_human(self.bytes):>10}  {self.role:<9}  {what}{f'  {self.location}' if self.location else ''}"


@dataclass(frozen=True)
class MemoryEstimate:
    """The result of ``memory_estimate``. ``print`` shows it as a table.

    Attributes
    ----------
    name, device : str
        The function's.
    peak : int
        Peak memory of a call: arguments (on a GPU their copies there), shared variables, constants, results, new values
        of shared variables, and working memory.
    call : int
        The part of the peak that a call allocates in addition to existing memory. Shared variables that are not on the
        GPU yet count as additional.
    parts : dict of str to int
        ``peak``, divided into ``"arguments"``, ``"shared"``, ``"constants"``, ``"results"``, ``"updates"`` (those that
        cannot be written in place), ``"temporaries"`` (their whole arena), ``"scratch"`` (of library calls and
        threads) and ``"rounding"`` (of allocations to blocks).
    tensors : tuple of TensorMemory
        The largest first; of temporaries, those alive at the peak.
    """

    name: str
    device: str
    peak: int
    call: int
    parts: dict[str, int]
    tensors: tuple[TensorMemory, ...]

    def table(self, rows: int = SHOWN) -> list[str]:
        """Format the largest ``rows`` tensors, one per line, and the sum of the others."""
        lines = [str(t) for t in self.tensors[:rows]]
        rest = self.peak - sum(t.bytes for t in self.tensors[:rows])
        return [*lines, f"{_human(rest):>10}  all else"] if rest else lines

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {_human(size)}" for name, size in self.parts.items() if size)
        head = f"{self.name} on {self.device}: {_human(self.peak)} at most, of which a call adds {_human(self.call)}"
        return "\n".join([head, f"  {parts or 'nothing'}", *self.table()])


def values_of_symbols(code: Code, known: Mapping[Any, int], arrays: Sequence[Any]) -> dict[Any, int]:
    """The values of all symbols, of which the shapes of the arguments tell the ``known``; loop indices are 0."""
    known = dict(known)
    given = {code.graph.sources[v]: np.asarray(a) for v, a in zip(code.owner.inputs, arrays)}
    given |= {code.graph.sources[s]: s.storage.array for s in code.shared}
    waiting = dict(zip(code.graph.symbols, code.graph.values))
    bounded = {n.symbol: n.bound for n in walk(code.program.body) if isinstance(n, Bind) and n.bound is not None}
    while waiting:
        for symbol, v in list(waiting.items()):
            bound = bounded.get(symbol)
            needs = symbols_in(node.op.attrs.values() for node in toposort([v])) if bound is None else set()
            if bound is not None and dims.symbols_of(bound) <= known.keys():
                known[symbol] = dims.evaluate(bound, known)
            elif bound is None and needs <= known.keys():
                known[symbol] = int(evaluate([v], given, known)[0])
            else:
                continue
            del waiting[symbol]
    return {s: known.get(s, 0) for s in code.program.symbols} | known


def estimate(code: Code, symbols: Mapping[Any, int], plain: bool = False) -> MemoryEstimate:
    """Compute the estimate for values of all symbols. ``plain`` omits the back end's own memory."""
    owner, buffers = code.owner, code.program.buffers
    known = [tuple(int(dims.evaluate(d, symbols)) for d in b.shape) for b in buffers]
    rooms = [math.prod(s) if b.room is None else int(dims.evaluate(b.room, symbols)) for s, b in zip(known, buffers)]
    sizes = [n * np.dtype(b.dtype).itemsize for n, b in zip(rooms, buffers)]
    offered = None if plain else getattr(owner.backend, "footprint", None)
    memory: Memory = (
        _plain(buffers, sizes)
        if offered is None
        else offered(code.executable, [symbols[s] for s in code.program.symbols])
    )
    rows: list[TensorMemory] = []
    added = 0
    for k, b in enumerate(buffers):
        if b.role in ("temp", "status") or b.alias >= 0:
            continue
        role = {"input": "argument", "output": "result"}.get(b.role, b.role)
        rows.append(TensorMemory(sizes[k], b.name, b.dtype, known[k], role, b.location))
        fresh = role in ("result", "update") or memory.apart and role != "shared"
        if role == "shared":
            fresh = memory.apart and code.shared[b.slot].storage.remote is None
        added += memory.block(sizes[k]) if fresh else 0
    arrays = sum(r.bytes for r in rows)
    blocks = sum(memory.block(r.bytes) for r in rows)
    scratch = sum(n for _, n in memory.scratch)
    working = memory.arena + scratch
    if memory.apart:
        working = sum(map(memory.block, [working] if memory.blocks is None else memory.blocks))
    parts = dict.fromkeys(PARTS, 0)
    for row in rows:
        parts[row.role if row.role == "shared" else row.role + "s"] += row.bytes
    parts |= {"temporaries": memory.arena, "scratch": scratch}
    parts["rounding"] = blocks - arrays + working - memory.arena - scratch
    rows += _fullest(buffers, sizes, known, len(code.program.steps))
    rows += [
        TensorMemory(n, step.name, "", (), "scratch", step.locations[0] if step.locations else None)
        for step, n in memory.scratch
    ]
    tensors = tuple(sorted((r for r in rows if r.bytes), key=lambda r: -r.bytes))
    return MemoryEstimate(owner.name, owner.device, blocks + working, added + working, parts, tensors)


def _plain(buffers: Sequence[Buffer], sizes: Sequence[int]) -> Memory:
    """The default for back ends without ``footprint``: separate memory for every temporary."""
    return Memory(sum(n for b, n in zip(buffers, sizes) if b.role in ("temp", "status") and b.alias < 0))


def _fullest(
    buffers: Sequence[Buffer], sizes: Sequence[int], shapes: Sequence[tuple[int, ...]], steps: int
) -> list[TensorMemory]:
    """The temporaries alive at the peak."""
    roots = [k for k, b in enumerate(buffers) if b.role == "temp" and b.alias < 0]
    change = [0] * (steps + 1)
    for k in roots:
        if buffers[k].last >= buffers[k].first:
            size = -(-max(sizes[k], 1) // ALIGN) * ALIGN
            change[buffers[k].first] += size
            change[buffers[k].last + 1] -= size
    moment = int(np.argmax(np.cumsum(change))) if steps else 0
    alive = [k for k in roots if buffers[k].first <= moment <= buffers[k].last]
    return [
        TensorMemory(sizes[k], buffers[k].name, buffers[k].dtype, shapes[k], "temporary", buffers[k].location)
        for k in alive
    ]


def explained(problem: MemoryError, code: Code, known: Mapping[Any, int], arrays: Sequence[Any]) -> MemoryError:
    """Extend the error of a call that ran out of memory by the function's memory use and a repair."""
    text = str(problem) or "there is too little memory"
    symbols = values_of_symbols(code, known, arrays)
    try:
        found = estimate(code, symbols)
    except Exception:  # too little memory is left even for the estimate
        found = estimate(code, symbols, plain=True)
    if code.space is HOST:
        text += f"; {_host_state()}"
    lines = [f"{code.owner.name}(): {text}", f"  the call needs {_human(found.peak)}; most of it goes to"]
    lines += [f"  {line}" for line in found.table()]
    lines += ["  repair: call it with smaller batches" + ("" if code.space is HOST else _REPAIR_DEVICE)]
    message = "\n".join(lines)
    if isinstance(problem, OutOfMemoryError):
        problem.args = (message,)
        return problem
    return OutOfMemoryError(message)


_REPAIR_DEVICE = (
    "; take results that stay on the device (Out(..., borrow=True)) to the host or drop them; "
    "raise symc.config.cuda_memory if it is set"
)


def _host_state() -> str:
    """Describe the memory of this process and of the system, where the system reports it."""
    try:
        with open("/proc/self/statm") as file:
            held = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    except (ImportError, OSError, ValueError, AttributeError):
        return "the system does not tell how much is free"
    limited = "" if limit == resource.RLIM_INFINITY else f", and {limit:,} of address space are allowed"
    return f"this process holds {held:,}, {free:,} are free{limited}"


def _human(n: int) -> str:
    """Format a number of bytes with a suitable unit; 1 kB is 1,000 bytes."""
    if abs(n) < 1000:
        return f"{n} B"
    for unit in ("kB", "MB", "GB"):
        n_unit = n / {"kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
        if abs(n_unit) < 999.5:
            break
    return f"{n_unit:.3g} {unit}" if abs(n_unit) < 999.5 else f"{n_unit:,.0f} {unit}"
