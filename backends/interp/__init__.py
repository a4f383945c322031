"""The interpreter: the living definition of the loop IR.

It runs programs statement by statement on NumPy arrays. A ``simd`` loop binds its index to all its values at once,
which is what "iterations are independent" means; everything else is done one iteration after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from symc.graph import dims
from symc.loops.calls import CALLS
from symc.loops.expr import FUNCTIONS, Expr
from symc.loops.ir import Accumulate, Alloc, Call, For, If, Kernel, Let, Load, Program, Statement, Store

__all__ = ["build", "emit", "run"]

_COMBINE = {
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "or": np.logical_or,
    "and": np.logical_and,
}


def emit(program: Program) -> str:
    """Nothing to write down: the program itself is interpreted."""
    return ""


def build(text: str, timed: int = 0) -> None:
    return None


def run(code: None, program: Program, timed: bool = False) -> Any:
    """An executable over the program; see ``symc.runtime.backend``."""
    times = np.zeros(len(program.steps))

    def execute(arrays: Sequence[np.ndarray | None], values: Sequence[int]) -> int:
        bound = dict(zip(program.symbols, values))
        memory = _memory(program, arrays, bound)
        with np.errstate(all="ignore"):
            for number, step in enumerate(program.steps):
                start = perf_counter()
                local = {f"b{k}": memory[n] for k, n in enumerate(step.buffers)}
                scope: dict[str, Any] = {f"n{k}": np.int64(dims.evaluate(d, bound)) for k, d in enumerate(step.dims)}
                _run_body(step.kernel, step.kernel.body, scope, local)
                times[number] += perf_counter() - start
                status = next(
                    (memory[n] for n, b in enumerate(program.buffers) if b.role == "status" and n in step.buffers), None
                )
                if status is not None and status[0]:
                    return int(status[0])
        return 0

    execute.times = times  # type: ignore[attr-defined]
    return execute


def _memory(program: Program, arrays: Sequence[np.ndarray | None], bound: dict[Any, int]) -> list[np.ndarray]:
    memory: list[Any] = [None] * len(program.buffers)
    for k, (b, array) in enumerate(zip(program.buffers, arrays)):
        if array is not None:
            memory[k] = array.reshape(-1)
        elif b.role == "status":
            memory[k] = np.zeros(1, b.dtype)
        elif b.alias < 0:
            size = int(np.prod([dims.evaluate(d, bound) for d in b.shape], dtype="int64"))
            memory[k] = np.empty(size, b.dtype)
            memory[k].view("uint8")[...] = 0xCB  # what is read before it is written must not look right
    for k in range(len(program.buffers)):
        root = k
        while memory[root] is None:
            root = program.buffers[root].alias
        memory[k] = memory[root]
    return memory


def evaluate(e: Expr, scope: dict[str, Any]) -> Any:
    """The value of a scalar expression."""
    if e.op == "const":
        return np.asarray(e.value, e.dtype)[()]
    if e.op == "var":
        return scope[e.value]
    args = [evaluate(a, scope) for a in e.args]
    if e.op == "cast":
        return np.asarray(args[0]).astype(e.dtype)[()]
    return np.asarray(FUNCTIONS[e.op].numpy(*args)).astype(e.dtype, copy=False)[()]


def _run_body(kernel: Kernel, body: Sequence[Statement], scope: dict[str, Any], memory: dict[str, np.ndarray]) -> None:
    for s in body:
        if isinstance(s, Let):
            scope[s.name] = evaluate(s.value, scope)
        elif isinstance(s, Load):
            scope[s.name] = memory[s.buffer][_checked(kernel, s, evaluate(s.index, scope), memory)]
        elif isinstance(s, Store):
            at = _checked(kernel, s, evaluate(s.index, scope), memory)
            memory[s.buffer][at] = evaluate(s.value, scope)
        elif isinstance(s, Accumulate):
            _accumulate(kernel, s, scope, memory)
        elif isinstance(s, For):
            extent = int(evaluate(s.extent, scope))
            if s.kind == "simd" and extent > 0:
                _run_body(kernel, s.body, {**scope, s.index: np.arange(extent)}, memory)
            elif s.kind != "simd":
                for i in range(extent):
                    _run_body(kernel, s.body, {**scope, s.index: np.int64(i)}, memory)
        elif isinstance(s, If):
            if evaluate(s.condition, scope):
                _run_body(kernel, s.body, scope, memory)
        elif isinstance(s, Alloc):
            memory[s.name] = np.empty(int(evaluate(s.size, scope)), s.dtype)
        elif isinstance(s, Call):
            _call(s, scope, memory)


def _checked(kernel: Kernel, s: Any, at: Any, memory: dict[str, np.ndarray]) -> Any:
    size = memory[s.buffer].size
    if np.any(np.asarray(at) < 0) or np.any(np.asarray(at) >= size):
        raise IndexError(f"kernel {kernel.name}: {s!r} leaves {s.buffer}, which has {size} elements")
    return at


def _accumulate(kernel: Kernel, s: Accumulate, scope: dict[str, Any], memory: dict[str, np.ndarray]) -> None:
    value = evaluate(s.value, scope)
    at = _checked(kernel, s, evaluate(s.index, scope), memory)
    buffer, combine = memory[s.buffer], _COMBINE[s.op]
    extent = next((len(v) for v in scope.values() if isinstance(v, np.ndarray) and v.ndim == 1), None)
    if extent is None:
        buffer[at] = combine(buffer[at], value)
    else:  # inside a simd loop: every lane contributes, also to one and the same element
        lanes = np.broadcast_to(value, extent).astype(buffer.dtype)
        combine.at(buffer, np.broadcast_to(at, extent), lanes)


def _call(s: Call, scope: dict[str, Any], memory: dict[str, np.ndarray]) -> None:
    routine = CALLS[s.name.rsplit("_", 1)[0]]
    buffers = [memory[b] for b in s.buffers]
    params = dict(zip(routine.params, (int(evaluate(p, scope)) for p in s.params)))
    routine.numpy(buffers[: len(routine.outputs)], buffers[len(routine.outputs) :], params)
