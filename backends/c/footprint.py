"""Memory of a call before it runs: the arena, and the scratch blocks of all threads.

The run-time library counts its own scratch memory: its functions are called in a measuring mode, in which they plan
their work and request memory as usual, but touch no array. The estimate therefore cannot differ from the actual use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from symc.graph import dims
from symc.loops.ir import ROWS_IN_BLOCKS, Alloc, Branch, Call, For, Host, If, Loop, Program, Step, walk
from symc.runtime.memory_use import Memory
from symc.runtime.segments import offsets_of
from symc_backends.c import stored
from symc_backends.c.build import ffi, runtime
from symc_backends.c.kernel_text import chunk_grain, scratch_slots
from symc_backends.c.run import Executable
from symc_backends.interp import evaluate

__all__ = ["footprint"]

ROWS_SLOT = 31
"""The slot of scratch memory for the values that blocks of rows pass on, as in runtime/base/symc_rt.h."""


def footprint(executable: Executable, values: Sequence[int]) -> Memory:
    """The memory of a call besides its arrays; see ``symc.runtime.backend``."""
    program = executable.program
    bound = dict(zip(program.symbols, values))
    total = 0
    for segment in executable.segments:
        total += offsets_of(program, segment, segment.sizes(list(values)))[1]
    library = runtime()
    scratch: list[tuple[Any, int]] = []
    before = 0
    _check(library.symc_measure_begin())
    try:
        threads = _set_rows(library, program, bound)
        for step in program.steps:
            if threads.get(id(step), _ALONE).threads == 0:
                continue
            if isinstance(step, Host) and step.native is not None and step.native.code is None:
                params = [int(dims.evaluate(d, bound)) for d in step.native.params]
                _request(library, step.native.name, len(step.refs), params)
            if isinstance(step, Step):
                known = {f"n{k}": int(dims.evaluate(d, bound)) for k, d in enumerate(step.dims)}
                _measure(library, step, known, threads.get(id(step), _ALONE), executable)
            now = int(library.symc_measured())
            if now > before:
                scratch.append((step, now - before))
            before = now
    finally:
        library.symc_measure_end()
    return Memory(total, scratch)


class _Ranges(NamedTuple):
    """How many threads run ranges of a step's rows at the same time, and how many forms of its operands they keep.

    With one thread, all threads run the step; with none, it does not run.
    """

    threads: int
    forms: int = 0


_ALONE = _Ranges(1)


def _skipped(program: Program, bound: Mapping[Any, int]) -> set[int]:
    """The loops over blocks of rows, by identity, instead of which a call with these sizes runs steps of all rows."""
    found: set[int] = set()
    for decide, branch in zip(program.body, program.body[1:]):
        if isinstance(branch, Branch) and isinstance(decide, Step) and decide.name == ROWS_IN_BLOCKS:
            if not dims.evaluate(decide.dims[0], bound):
                found.update(map(id, branch.then))
    return found


def _set_rows(library: Any, program: Program, bound: dict[Any, int]) -> dict[int, _Ranges]:
    """Set the symbols of loops over rows for their longest range; returns the ranges of steps in loops with several."""
    found: dict[int, _Ranges] = {}
    skipped = _skipped(program, bound)
    for loop in walk(program.body):
        if not isinstance(loop, Loop) or loop.rows is None:
            continue
        count, work = int(dims.evaluate(loop.rows.count, bound)), 0
        bound[loop.rows.first], bound[loop.rows.last] = 0, count
        steps = [node for node in loop.body if isinstance(node, Step)]
        if id(loop) in skipped:
            found |= {id(step): _Ranges(0) for step in steps}
            continue
        if loop.rows.size is not None and loop.rows.block is not None:
            size, block = (int(dims.evaluate(d, bound)) for d in (loop.rows.size, loop.rows.block))
            matrices = count // max(size, 1)
            rows = int(library.symc_rows_of_block(matrices, size, block))
            bound[loop.rows.last] = rows
            blocks = -(-size // max(rows, 1)) * matrices
            threads = max(min(blocks, int(library.symc_num_threads())), 1)
            for step in steps:
                several = any(loop.rows.first in dims.symbols_of(r.offset) for r in step.refs[2:])
                found[id(step)] = _Ranges(threads, 0 if rows == size else matrices if several else 1)
            nbytes = sum(rows * int(dims.evaluate(part.bytes, bound)) // 64 * 64 + 64 for part in loop.rows.own)
            _check(library.symc_measure_scratch_of_each(ROWS_SLOT, nbytes, threads))
            continue
        for step in steps:
            known = {f"n{k}": np.int64(dims.evaluate(d, bound)) for k, d in enumerate(step.dims)}
            work += int(evaluate(step.kernel.flops, known))
        ranges = int(library.symc_row_ranges(count, int(dims.evaluate(loop.count, bound)), work))
        if ranges > 1:
            bound[loop.rows.last] = -(-count // ranges)
            found |= {id(step): _Ranges(ranges) for step in steps}
    return found


def _measure(library: Any, step: Step, known: Mapping[str, int], ranges: _Ranges, executable: Executable) -> None:
    """Request all scratch memory that a kernel requests; with several ``ranges``, when threads run the kernel whole."""
    kernel, each = step.kernel, ranges.threads if ranges.threads > 1 or ranges.forms else 0
    slots = scratch_slots(kernel)
    operands = stored.operands_of(kernel)
    chain: list[Call] = []
    for s, loop in _requests(kernel.body, None):
        if isinstance(s, Call) and (chain or s.passes_on):
            chain.append(s)
            if not s.passes_on:
                _measure_chain(library, chain, step, known, executable)
                chain = []
            continue
        n, grain = 1, 1
        if loop is not None:
            n, grain = int(evaluate(loop.extent, dict(known))), int(evaluate(chunk_grain(loop), dict(known)))
        if isinstance(s, Alloc):
            if s.name in slots:
                nbytes = int(evaluate(s.size, dict(known))) * np.dtype(s.dtype).itemsize
                if each:
                    _check(library.symc_measure_scratch_of_each(slots[s.name], nbytes, each))
                else:
                    _check(library.symc_measure_scratch(slots[s.name], nbytes, n, grain))
            continue
        params = [int(evaluate(p, dict(known))) for p in s.params]
        handles = [_handle(executable, step.refs[o.buffer].buffer) for o in operands if o.call is s]
        if handles and (not each or ranges.forms):
            name, tag = s.name.rsplit("_", 1)
            function = library.address(f"symc_{name}_stored_{tag}")
            nothing, held = ffi.new("void *[]", len(s.buffers)), ffi.new("symc_stored *[]", handles)
            given = ffi.new("int64_t[]", params)
            if each:
                _check(library.symc_measure_each_stored(function, nothing, given, held, each, ranges.forms))
            else:
                _check(library.symc_measure_stored_call(function, nothing, given, held))
        else:
            _request(library, f"symc_{s.name}", len(s.buffers), params, each)


def _measure_chain(
    library: Any, calls: Sequence[Call], step: Step, known: Mapping[str, int], executable: Executable
) -> None:
    """Request all scratch memory of calls that pass on their output."""
    params = [len(calls), *(int(evaluate(p, dict(known))) for s in calls for p in s.params)]
    handles = [_handle(executable, step.refs[o.buffer].buffer) for o in stored.operands_of(step.kernel)]
    nothing = ffi.new("void *[]", sum(len(s.buffers) + 1 for s in calls))
    function = library.address(stored.chain_function(calls))
    held = ffi.new("symc_stored *[]", handles)
    _check(library.symc_measure_stored_call(function, nothing, ffi.new("int64_t[]", params), held))


def _handle(executable: Executable, number: int) -> Any:
    """The handle of an operand in a buffer; that of a held one is made for the measurement."""
    place = executable.stored.get(number)
    found = ffi.NULL if place is None else executable.handles[place]
    held = any(number in buffers for buffers in stored.held_buffers(executable.program).values())
    return stored.new_handle() if found == ffi.NULL and held else found


def _request(library: Any, name: str, buffers: int, params: Sequence[int], each: int = 0) -> None:
    """Request the scratch memory of a call of the run-time library, or of ``each`` such calls at the same time."""
    nothing = ffi.new("void *[]", buffers + 1)
    function = library.address(name)
    given = ffi.new("int64_t[]", list(params))
    if each:
        _check(library.symc_measure_each(function, nothing, given, each))
    else:
        _check(library.symc_measure_call(function, nothing, given))


def _check(measured: int) -> None:
    if not measured:
        raise MemoryError("there is too little memory to measure how much memory a call would take")


def _requests(body: Sequence[Any], loop: For | None) -> Iterator[tuple[Alloc | Call, For | None]]:
    """Statements that use scratch memory, each with the parallel loop whose threads run it."""
    for s in body:
        if isinstance(s, (Alloc, Call)):
            yield s, loop
        elif isinstance(s, For):
            yield from _requests(s.body, s if loop is None and s.kind == "parallel" else loop)
        elif isinstance(s, If):
            yield from _requests(s.body, loop)
