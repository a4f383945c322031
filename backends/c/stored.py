"""Stored operands: arrays of which the run-time library keeps other forms between its calls.

A library call packs or transforms an operand before it multiplies. If the operand is a shared variable that the
function does not update, or a constant, the library keeps the result for as long as the operand does not change
(``stored.h`` in the run-time library). The handle of a shared variable belongs to its storage: functions that use the
variable in the same way share the packed form.

An operand that a loop reads in every iteration and does not change is *held*: its form is made once per loop. The
handle belongs to the workspace of one call, and the loop renews it when it begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from symc.graph.dim_parts import new_symbol, symbols_of
from symc.graph.dims import floordiv, maximum
from symc.loops.calls import CALLS
from symc.loops.ir import Bind, Branch, Call, Kernel, Loop, Node, Program, Step, roots, walk
from symc.runtime.storage import Storage
from symc_backends.c.library import Runtime, ffi, runtime

__all__ = ["Operand", "chain_function", "handles", "held_buffers", "new_handle", "operands_of", "stored_buffers"]


class Operand(NamedTuple):
    """An input of a call that may be stored: the call, and the buffer of the kernel."""

    call: Call
    buffer: int


def operands_of(kernel: Kernel) -> list[Operand]:
    """The inputs that may be stored of the library calls of which the kernel consists, in order."""
    found = []
    for s in kernel.body:
        if isinstance(s, Call):
            spec = CALLS.get(s.name.rsplit("_", 1)[0])
            names = () if spec is None else (*spec.outputs, *spec.inputs)
            found += [Operand(s, int(s.buffers[names.index(name)][1:])) for name in (spec.stored if spec else ())]
    return found


def chain_function(calls: Sequence[Call]) -> str:
    """The function of the library for calls that pass on their output, and the one that reads the last."""
    names = {s.name for s in calls}
    if names not in ({"conv2d_forward_f32"}, {"conv2d_forward_f64"}):
        raise ValueError(f"there is no function for a chain of {sorted(names)}")
    return f"symc_conv2d_chain_stored_{names.pop()[-3:]}"


def stored_buffers(program: Program) -> dict[int, int]:
    """Number the buffers of the program that stored operands are in, in order."""
    used = set()
    for step in program.steps:
        if isinstance(step, Step):
            used |= {step.refs[o.buffer].buffer for o in operands_of(step.kernel)}
    kept = [k for k in sorted(used) if program.buffers[k].role in ("shared", "constant")]
    return {k: position for position, k in enumerate(kept)}


def held_buffers(program: Program) -> dict[int, dict[int, int]]:
    """Number the buffers that are held in each outermost loop, by the loop's identity, one after another."""
    found: dict[int, dict[int, int]] = {}
    count = 0
    for loop in _outermost(program.body):
        kept = _held(program, loop)
        found[id(loop)] = {k: count + position for position, k in enumerate(kept)}
        count += len(kept)
    return found


def _outermost(nodes: Sequence[Node]) -> Iterator[Loop]:
    for node in nodes:
        if isinstance(node, Loop):
            yield node
        elif isinstance(node, Branch):
            yield from _outermost(node.then)
            yield from _outermost(node.otherwise)


def _held(program: Program, loop: Loop) -> list[int]:
    """The buffers of operands whose memory, dims and values are the same in all iterations of a loop."""
    nodes = list(walk((loop,)))
    varying, moving = set(), set()
    matrices: dict[
        Any, Any
    ] = {}  # the number of the matrix that a range of rows is in: its operand is the same for them
    for node in nodes:
        if isinstance(node, Loop):
            varying |= {node.index, node.done}
            if node.rows is not None:
                moving |= {node.rows.first, node.rows.last}
                if node.rows.size is not None:
                    number = floordiv(node.rows.first, maximum(node.rows.size, 1))
                    matrices |= {} if type(number) is int else {number: new_symbol("matrix")}
        elif isinstance(node, Bind):
            varying.add(node.symbol)
    memory = roots(program.buffers)
    written = {memory.get(k, k) for node in nodes for k in getattr(node, "writes", ())}
    used = set()
    for step in [node for node in nodes if isinstance(node, Step)]:
        for o in operands_of(step.kernel):
            ref = step.refs[o.buffer]
            fixed = all(varying.isdisjoint(symbols_of(d)) for d in (ref.offset, *step.dims))
            if fixed and not moving.isdisjoint(symbols_of(ref.offset)):
                fixed = moving.isdisjoint(symbols_of(ref.offset.xreplace(matrices)))
            root = memory.get(ref.buffer, ref.buffer)
            if fixed and root not in written and program.buffers[ref.buffer].role != "constant":
                used.add(ref.buffer)
    return sorted(used)


def new_handle(turn: np.ndarray | None = None, library: Runtime | None = None) -> Any:
    """A handle of the library for a variable with this turn, or for a constant."""
    library = library or runtime()
    made = library.symc_stored_new(ffi.NULL if turn is None else ffi.cast("int64_t *", turn.ctypes.data))
    release = library.symc_stored_free  # looked up now: the last handles are freed when modules are gone

    def free(handle: Any, turn: np.ndarray | None = turn) -> None:  # the turn lives as long as the handle
        release(handle)

    return ffi.gc(made, free)


def _handle_of(storage: Storage, library: Runtime) -> Any:
    """The handle of a shared variable."""
    key = ("c", id(library))
    found = storage.derived.get(key)
    if found is None:
        found = storage.derived.setdefault(key, new_handle(storage.turn, library))
    return found


def handles(program: Program, numbers: dict[int, int], storages: Sequence[Storage | None]) -> list[Any]:
    """The handles of the stored buffers; ``storages`` by slot, None for variables that change in the call."""
    found: list[Any] = []
    if not numbers:
        return found
    library = runtime()  # looks up the compiler, which takes longer than all that follows
    for k in numbers:
        b = program.buffers[k]
        if b.role == "constant":
            found.append(new_handle(None, library))
        else:
            storage = storages[b.slot]
            found.append(ffi.NULL if storage is None else _handle_of(storage, library))
    return found
