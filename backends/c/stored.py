"""Stored operands: shared variables and constants of which the run-time library keeps other forms between calls.

A library call packs or transforms an operand before it multiplies. If the operand is a shared variable that the
function does not update, or a constant, the library keeps the result for as long as the operand does not change
(``stored.h`` in the run-time library). The handle of a shared variable belongs to its storage: functions that use the
variable in the same way share the packed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from symc.loops.calls import CALLS
from symc.loops.ir import Call, Kernel, Program, Step
from symc.runtime.storage import Storage
from symc_backends.c.library import ffi, runtime

__all__ = ["Operand", "handles", "operands_of", "stored_buffers"]


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


def stored_buffers(program: Program) -> dict[int, int]:
    """Number the buffers of the program that stored operands are in, in order."""
    used = set()
    for step in program.steps:
        if isinstance(step, Step):
            used |= {step.refs[o.buffer].buffer for o in operands_of(step.kernel)}
    kept = [k for k in sorted(used) if program.buffers[k].role in ("shared", "constant")]
    return {k: position for position, k in enumerate(kept)}


def _new_handle(turn: np.ndarray | None = None) -> Any:
    """A handle of the library for a variable with this turn, or for a constant."""
    library = runtime()
    made = library.symc_stored_new(ffi.NULL if turn is None else ffi.cast("int64_t *", turn.ctypes.data))

    def free(handle: Any, turn: np.ndarray | None = turn) -> None:  # the turn lives as long as the handle
        library.symc_stored_free(handle)

    return ffi.gc(made, free)


def _handle_of(storage: Storage) -> Any:
    """The handle of a shared variable."""
    key = ("c", id(runtime()))
    found = storage.derived.get(key)
    if found is None:
        found = storage.derived.setdefault(key, _new_handle(storage.turn))
    return found


def handles(program: Program, numbers: dict[int, int], storages: Sequence[Storage | None]) -> list[Any]:
    """The handles of the stored buffers; ``storages`` by slot, None for variables that change in the call."""
    found = []
    for k in numbers:
        b = program.buffers[k]
        if b.role == "constant":
            found.append(_new_handle())
        else:
            storage = storages[b.slot]
            found.append(ffi.NULL if storage is None else _handle_of(storage))
    return found
