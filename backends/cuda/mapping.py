"""Mapping of iterations to threads: from a kernel of the loop IR to launches and library calls.

A kernel's body becomes a list of *actions*. A ``Launch`` starts one CUDA kernel in one of three shapes:

*thread_groups*
    a parallel loop: each iteration is run by a *thread group* of 1 to 512 threads, which share the iterations of the
    simd loops inside and execute everything else redundantly. The number of threads per thread group depends on the
    lengths of the simd loops, at launch; small thread groups share a block. An ``unordered`` loop is run in the same
    way; its iterations accumulate atomically.
*flat*
    a simd loop outside parallel loops: all threads of the grid share its iterations.
*block*
    all other statements outside parallel loops: one thread group runs them.

A ``LibraryLaunch`` passes buffers to a library call of ``symc.loops.calls``. Values computed before a loop and
used in it are recomputed in each launch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from symc.errors import CompileError
from symc.loops.expr import Expr, names_in
from symc.loops.ir import Accumulate, Alloc, Call, For, If, Kernel, Let, Load, Statement, Store
from symc.loops.names import names_read

__all__ = ["Action", "Launch", "LibraryLaunch", "actions_of", "bound", "inner_loops", "walk"]


@dataclass(frozen=True)
class Launch:
    """One launch of a CUDA kernel.

    Attributes
    ----------
    shape : {"thread_groups", "flat", "block"}
    before : tuple of Let and Load
        Statements that every thread executes first.
    loop : For or None
        The loop whose iterations are distributed among thread groups or threads.
    body : tuple of Statement
        The statements of one thread group: the parallel loop's body, or the statements of a block.
    """

    shape: str
    before: tuple[Statement, ...]
    loop: For | None
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class LibraryLaunch:
    """A library call on kernel buffers, with integer parameters in terms of the kernel's dims."""

    call: Call


Action = Launch | LibraryLaunch


def walk(body: Sequence[Statement]) -> Iterator[Statement]:
    """Iterate over statements, including those inside loops and conditions."""
    for s in body:
        yield s
        if isinstance(s, (For, If)):
            yield from walk(s.body)


def inner_loops(body: Sequence[Statement], kind: str = "simd") -> list[For]:
    """The loops of a kind at any depth."""
    return [s for s in walk(body) if isinstance(s, For) and s.kind == kind]


def touched(s: Statement) -> set[str]:
    """The names of the memory that a statement, or one inside it, reads or writes."""
    found: set[str] = set()
    for x in walk([s]):
        if isinstance(x, (Load, Store, Accumulate)):
            found.add(x.buffer)
        elif isinstance(x, Call):
            found.update(x.buffers)
    return found


def actions_of(kernel: Kernel) -> list[Action]:
    """The launches and calls that run a kernel, in order."""
    private = {s.name for s in kernel.body if isinstance(s, Alloc)}
    actions: list[Action] = []
    seen: list[Statement] = []
    block: list[Statement] = []

    def flush() -> None:
        if any(not isinstance(s, (Let, Load, Alloc)) for s in block):
            actions.append(Launch("block", (), None, tuple(block)))
        block.clear()

    for s in kernel.body:
        if isinstance(s, (Let, Load)):
            block.append(s)
            seen.append(s)
        elif isinstance(s, Call):
            flush()
            actions.append(LibraryLaunch(s))
            block.extend(seen)
        elif isinstance(s, For) and s.kind != "serial" and _stands_alone(s, seen, private):
            if any(isinstance(x, Call) for x in walk(s.body)):
                raise CompileError(f"kernel {kernel.name}: a library call inside a loop has no CUDA form")
            flush()
            shape = "flat" if s.kind == "simd" else "thread_groups"
            actions.append(Launch(shape, _needed(seen, s), s, s.body))
            block.extend(seen)
        else:
            block.append(s)
    flush()
    return actions


def _stands_alone(loop: For, seen: Sequence[Statement], private: set[str]) -> bool:
    """Whether a loop uses no private memory of the statements before it."""
    used = touched(loop).union(*[touched(s) for s in _needed(seen, loop)])
    return used.isdisjoint(private)


def _needed(seen: Sequence[Statement], loop: For) -> tuple[Statement, ...]:
    """The values computed before a loop that it uses, directly or indirectly."""
    wanted: set[str] = set(names_in(loop.extent))
    for s in walk([loop]):
        wanted |= names_read(s)
    kept: list[Statement] = []
    for s in reversed(seen):
        assert isinstance(s, (Let, Load))
        if s.name in wanted:
            kept.append(s)
            wanted |= names_read(s)
    return tuple(reversed(kept))


def bound(e: Expr, known: Mapping[str, int], definitions: Mapping[str, Expr]) -> int | None:
    """The value or an upper bound of an index, from the kernel's dims; None if there is none.

    Loop indices and loaded values are treated as unknown but non-negative, so that the minuend bounds a difference.
    """
    if e.op == "const":
        return int(e.value)
    if e.op == "var":
        if e.value in known:
            return known[e.value]
        return bound(definitions[e.value], known, definitions) if e.value in definitions else None
    parts = [bound(a, known, definitions) for a in e.args]
    if e.op == "sub":
        exact = _exact(e.args[1], known)
        return None if parts[0] is None else parts[0] - (exact or 0)
    if e.op == "min":
        return min((p for p in parts if p is not None), default=None)
    if e.op == "mod":
        return None if parts[1] is None else parts[1] - 1
    if any(p is None for p in parts):
        return None
    whole = [p for p in parts if p is not None]
    if e.op == "floordiv":
        exact = _exact(e.args[1], known)
        return whole[0] // exact if exact else whole[0]
    if e.op == "add":
        return sum(whole)
    if e.op == "max":
        return max(whole)
    if e.op == "mul":
        return whole[0] * whole[1]
    return max(whole[1:]) if e.op == "select" else None


def _exact(e: Expr, known: Mapping[str, int]) -> int | None:
    """The value of an index over dims and constants only."""
    if e.op == "const":
        return int(e.value)
    if e.op == "var":
        return known.get(e.value)
    values = [_exact(a, known) for a in e.args]
    if any(v is None for v in values):
        return None
    a, b = (values + [0])[:2]
    assert a is not None and b is not None
    return {"add": a + b, "sub": a - b, "mul": a * b}.get(e.op)
