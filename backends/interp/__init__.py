"""The interpreter: the reference implementation of the loop IR.

It runs programs statement by statement on NumPy arrays. A ``simd`` loop binds its index to all its values at once,
since its iterations are independent; all other loops run one iteration after another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from symc.graph import dims
from symc.loops.calls import CALLS
from symc.loops.expr import Expr
from symc.loops.functions import FUNCTIONS
from symc.loops.ir import (
    Accumulate,
    Alloc,
    Bind,
    Branch,
    Call,
    Check,
    Epilogue,
    For,
    Host,
    If,
    Kernel,
    Let,
    Load,
    Loop,
    Node,
    Program,
    Ref,
    Room,
    Statement,
    Step,
    Store,
)
from symc.runtime.backend import Provide
from symc.runtime.segments import Segment, Segments

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
    """Return an empty text: the program itself is interpreted."""
    return ""


def build(text: str, timed: int = 0) -> None:
    return None


def run(code: None, program: Program, timed: bool = False) -> Any:
    """Create an executable for the program; see ``symc.runtime.backend``."""
    return Executable(program)


class Executable:
    """The interpreter's executable; see ``symc.runtime.backend``."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.segments = Segments(program)
        self.times = np.zeros(max(len(program.steps), 1))
        self.number = {id(step): k for k, step in enumerate(program.steps)}
        self.status = next((k for k, b in enumerate(program.buffers) if b.role == "status"), -1)

    def __call__(
        self, arrays: Sequence[np.ndarray | None], values: Sequence[int], provide: Provide
    ) -> tuple[int, list[int]]:
        call = _Call(self, arrays, values)
        with np.errstate(all="ignore"):
            for nodes, segment in zip(self.program.segments, self.segments):
                failed = call.lay_out(segment, provide)
                status = failed or call.run(nodes)
                if status:
                    return status, call.values()
        return 0, call.values()


class _Call:
    """The memory of one call, as flat arrays, and the values of the program's symbols."""

    def __init__(self, owner: Executable, arrays: Sequence[np.ndarray | None], values: Sequence[int]) -> None:
        self.owner = owner
        self.program = owner.program
        self.bound: dict[Any, int] = dict(zip(self.program.symbols, values))
        self.memory: list[Any] = [None if a is None else a.reshape(-1) for a in arrays]

    def values(self) -> list[int]:
        return [self.bound.get(s, 0) for s in self.program.symbols]

    def lay_out(self, segment: Segment, provide: Provide) -> int:
        sizes = segment.sizes(self.values())
        buffers = self.program.buffers
        for k, size in zip(segment.temporaries, sizes):
            if size < 0:
                return -k - 1
            if buffers[k].role == "status":
                self.memory[k] = np.zeros(1, "int64")
            else:
                self.memory[k] = np.empty(size, buffers[k].dtype)
                self.memory[k].view("uint8")[...] = 0xCB  # values that are read before they are written must look wrong
        for k, shape in zip(segment.results, segment.shapes(sizes)):
            self.memory[k] = provide(k, shape).reshape(-1)
        for k in range(len(buffers)):
            root = k
            while self.memory[root] is None and buffers[root].alias >= 0:
                root = buffers[root].alias
            self.memory[k] = self.memory[root]
        return 0

    def at(self, ref: Ref) -> np.ndarray:
        """The memory from ``ref`` on."""
        return self.memory[ref.buffer][dims.evaluate(ref.offset, self.bound) :]

    def run(self, nodes: Sequence[Node]) -> int:
        """Run nodes in order; returns 0, or the number of the message that ended the call."""
        for node in nodes:
            status = 0
            if isinstance(node, (Step, Host)):
                start = perf_counter()
                status = self._step(node) if isinstance(node, Step) else self._host(node)
                self.owner.times[self.owner.number[id(node)]] += perf_counter() - start
            elif isinstance(node, Bind):
                value = self.bound[node.symbol] = int(self.at(node.source)[0])
                if node.bound is not None and value > dims.evaluate(node.bound, self.bound):
                    raise AssertionError(f"{node.symbol} is {value}, more than the {node.bound} allocated")
            elif isinstance(node, Check):
                left, right = (dims.evaluate(d, self.bound) for d in (node.left, node.right))
                status = 0 if left == right or node.least and left > right else node.code
            elif isinstance(node, Room):
                size = dims.evaluate(node.elements, self.bound)
                if size < 0:
                    return -node.buffer - 1
                self.memory[node.buffer] = np.empty(size, self.program.buffers[node.buffer].dtype)
            elif isinstance(node, Branch):
                status = self.run(node.then if self.at(node.condition)[0] else node.otherwise)
            elif isinstance(node, Loop):
                status = self._loop(node)
            if status:
                return status
        return 0

    def _step(self, step: Step) -> int:
        local = {f"b{k}": self.memory[ref.buffer] for k, ref in enumerate(step.refs)}
        scope: dict[str, Any] = {f"n{k}": np.int64(dims.evaluate(d, self.bound)) for k, d in enumerate(step.dims)}
        scope |= {f"&b{k}": dims.evaluate(ref.offset, self.bound) for k, ref in enumerate(step.refs)}
        _run_body(step.kernel, step.kernel.body, scope, local)
        return int(self.memory[self.owner.status][0]) if self.owner.status in step.writes else 0

    def _host(self, step: Host) -> int:
        arrays = []
        for ref, shape in zip(step.refs, step.shapes):
            known = [dims.evaluate(d, self.bound) for d in shape]
            arrays.append(self.at(ref)[: math.prod(known)].reshape(known))
        for array in arrays[step.outputs :]:
            array.setflags(write=False)
        step.callback(arrays[: step.outputs], arrays[step.outputs :])
        return 0

    def _loop(self, loop: Loop) -> int:
        if loop.rows is None:
            return self._iterations(loop)
        rows = dims.evaluate(loop.rows.count, self.bound)
        size = rows if loop.rows.size is None else dims.evaluate(loop.rows.size, self.bound)
        for start in reversed(range(0, rows, size or 1)):  # any ranges, in any order
            for first, last in ((start + size // 2, start + size), (start, start + size // 2)):
                self.bound[loop.rows.first], self.bound[loop.rows.last] = first, last
                for part in loop.rows.own:
                    nbytes = (last - first) * dims.evaluate(part.bytes, self.bound)
                    own = np.full(nbytes, 0xCB, "uint8")
                    for k in part.buffers:
                        self.memory[k] = own.view(self.program.buffers[k].dtype)
                status = self._iterations(loop)
                if status:
                    return status
        return 0

    def _iterations(self, loop: Loop) -> int:
        done = 0
        for k in range(dims.evaluate(loop.count, self.bound)):
            self.bound[loop.index] = k
            status = self.run(loop.body)
            if status:
                return status
            done = k + 1
            if loop.until is not None and self.at(loop.until)[0]:
                break
        if loop.done is not None:
            self.bound[loop.done] = done
        return 0


def evaluate(e: Expr, scope: dict[str, Any]) -> Any:
    """Evaluate a scalar expression."""
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
            scope[s.name] = memory[s.buffer][_checked(kernel, s, evaluate(s.index, scope), scope, memory)].copy()
        elif isinstance(s, Store):
            at = _checked(kernel, s, evaluate(s.index, scope), scope, memory)
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
            lanes = next((v.shape for v in scope.values() if isinstance(v, np.ndarray) and v.ndim == 1), ())
            memory[s.name] = np.empty((int(evaluate(s.size, scope)), *lanes), s.dtype)  # in a simd loop: one per lane
        elif isinstance(s, Call):
            _call(s, scope, memory)
            if s.epilogue is not None:
                _run_epilogue(kernel, s.epilogue, scope, memory)


def _run_epilogue(kernel: Kernel, e: Epilogue, scope: dict[str, Any], memory: dict[str, np.ndarray]) -> None:
    columns = np.int64(evaluate(e.columns, scope))
    for row in range(int(evaluate(e.rows, scope))):
        place = {e.row: np.int64(row), e.first: np.int64(0), e.count: columns}
        _run_body(kernel, e.body, {**scope, **place}, memory)


def _checked(kernel: Kernel, s: Any, at: Any, scope: dict[str, Any], memory: dict[str, np.ndarray]) -> Any:
    """The position in the whole buffer; a loop that runs backwards also reads in front of where its operand begins."""
    size = memory[s.buffer].size
    at = at + scope.get(f"&{s.buffer}", 0)
    if np.any(np.asarray(at) < 0) or np.any(np.asarray(at) >= size):
        raise IndexError(f"kernel {kernel.name}: {s!r} leaves {s.buffer}, which has {size} elements")
    return at


def _accumulate(kernel: Kernel, s: Accumulate, scope: dict[str, Any], memory: dict[str, np.ndarray]) -> None:
    value = evaluate(s.value, scope)
    at = _checked(kernel, s, evaluate(s.index, scope), scope, memory)
    buffer, combine = memory[s.buffer], _COMBINE[s.op]
    extent = next((len(v) for v in scope.values() if isinstance(v, np.ndarray) and v.ndim == 1), None)
    if extent is None:
        buffer[at] = combine(buffer[at], value)
    else:  # inside a simd loop: every lane contributes, even to the same element
        lanes = np.broadcast_to(value, extent).astype(buffer.dtype)
        if np.ndim(at) == 0:
            together = combine.reduce(lanes, dtype=buffer.dtype)  # integers wrap around in their own dtype
            buffer[at] = combine(buffer[at], together)
        else:
            combine.at(buffer, np.broadcast_to(at, extent), lanes)


def _call(s: Call, scope: dict[str, Any], memory: dict[str, np.ndarray]) -> None:
    called = CALLS[s.name.rsplit("_", 1)[0]]
    buffers = [memory[b][scope.get(f"&{b}", 0) :] for b in s.buffers]
    params = dict(zip(called.params, (int(evaluate(p, scope)) for p in s.params)))
    called.numpy(buffers[: len(called.outputs)], buffers[len(called.outputs) :], params)
