"""The checker of the loop IR: rules that every program must satisfy before it reaches a back end."""

from __future__ import annotations

from collections.abc import Sequence

from symc.graph.dtypes import HALF
from symc.loops.calls import CALLS
from symc.loops.expr import ONE, Expr, parts
from symc.loops.functions import FUNCTIONS
from symc.loops.ir import (
    Accumulate,
    Alloc,
    Barrier,
    Call,
    For,
    Host,
    If,
    Kernel,
    Let,
    Load,
    Program,
    Statement,
    Store,
)
from symc.loops.routines import named

__all__ = ["IRError", "check", "check_kernel"]

_COMBINE = ("add", "mul", "max", "min", "or", "and")
_KINDS = ("serial", "parallel", "simd", "unordered")


class IRError(AssertionError):
    """A program that violates a rule of the loop IR: a bug in symc, not in the user's program."""


def check(program: Program) -> None:
    """Check every kernel, and that each step binds the buffers, dims and dtypes that its kernel declares."""
    seen: set[int] = set()
    for step in program.steps:
        if isinstance(step, Host):
            _check_host(program, step)
            continue
        kernel = step.kernel
        if len(step.buffers) != len(kernel.buffers) or len(step.dims) != kernel.dims:
            bound = f"bound to {len(step.buffers)} buffers and {len(step.dims)} dims"
            raise IRError(f"{kernel.name}: {bound}, names {len(kernel.buffers)} and {kernel.dims}")
        for number, dtype in zip(step.buffers, kernel.buffers):
            buffer = program.buffers[number]
            if buffer.dtype != dtype:
                raise IRError(f"{kernel.name}: buffer {buffer.name} is {buffer.dtype}, the kernel wants {dtype}")
        for k in kernel.writes:
            buffer = program.buffers[step.buffers[k]]
            if buffer.role in ("input", "constant"):
                raise IRError(f"{kernel.name}: writes {buffer.name}, which is not the program's to write")
        if id(kernel) not in seen:
            seen.add(id(kernel))
            check_kernel(kernel)


def _check_host(program: Program, step: Host) -> None:
    if not len(step.refs) == len(step.shapes) == len(step.dtypes):
        raise IRError(f"{step.name}: {len(step.refs)} arrays, {len(step.shapes)} shapes, {len(step.dtypes)} dtypes")
    for number, dtype in zip(step.buffers, step.dtypes):
        if program.buffers[number].dtype != dtype:
            raise IRError(f"{step.name}: buffer {program.buffers[number].name} is not of dtype {dtype}")
    native = step.native
    if native is not None and native.code is None:
        wanted = named(native)
        if wanted is None:
            raise IRError(f"{step.name}: there is no routine {native.name!r}")
        signature = (len(wanted.outputs), len(wanted.inputs), len(wanted.params))
        if signature != (step.outputs, len(step.refs) - step.outputs, len(native.params)):
            raise IRError(f"{step.name}: the routine {native.name} takes other buffers or parameters")
    for number in step.writes:
        if program.buffers[number].role in ("input", "constant", "shared"):
            raise IRError(f"{step.name}: writes {program.buffers[number].name}, which is not the program's to write")


def check_kernel(kernel: Kernel) -> None:
    """Check definitions, dtypes, declared writes, and that simd loops contain only serial ones."""
    scope: dict[str, str] = {f"n{k}": "int64" for k in range(kernel.dims)}
    memory = {f"b{k}": d for k, d in enumerate(kernel.buffers)}
    _check_body(kernel, kernel.body, scope, memory, "")


def _fail(kernel: Kernel, s: object, problem: str) -> IRError:
    return IRError(f"kernel {kernel.name}: {problem}\n  in {s!r}")


def _check_expr(kernel: Kernel, s: Statement, e: Expr, scope: dict[str, str]) -> None:
    for x in parts(e):
        if x.op == "var":
            if scope.get(x.value) != x.dtype:
                raise _fail(kernel, s, f"{x.value} is {scope.get(x.value, 'not defined')}, used as {x.dtype}")
        elif x.op not in ("const", "cast"):
            if x.op not in FUNCTIONS:
                raise _fail(kernel, s, f"unknown function {x.op}")
            values = x.args[1:] if x.op == "select" else x.args
            if len({a.dtype for a in values}) > 1 and x.op not in ("shl", "shr"):
                raise _fail(kernel, s, f"{x.op} on dtypes {[a.dtype for a in x.args]}")
            if any(a.dtype == HALF for a in values) and x.op != "select":
                raise _fail(kernel, s, f"{x.op} on {HALF}, which is for storage: it is converted and selected only")


def _check_index(kernel: Kernel, s: Statement, e: Expr, scope: dict[str, str]) -> None:
    _check_expr(kernel, s, e, scope)
    if e.dtype != "int64":
        raise _fail(kernel, s, f"an index of dtype {e.dtype}")


def _check_body(
    kernel: Kernel, body: Sequence[Statement], scope: dict[str, str], memory: dict[str, str], inside: str
) -> None:
    scope, memory = dict(scope), dict(memory)
    for s in body:
        if isinstance(s, (Let, Load)):
            if s.name in scope:
                raise _fail(kernel, s, f"{s.name} is defined twice")
            if isinstance(s, Load):
                _check_access(kernel, s, s.buffer, s.index, s.dtype, scope, memory)
                scope[s.name] = s.dtype
            else:
                _check_expr(kernel, s, s.value, scope)
                scope[s.name] = s.value.dtype
        elif isinstance(s, (Store, Accumulate)):
            _check_expr(kernel, s, s.value, scope)
            _check_access(kernel, s, s.buffer, s.index, s.value.dtype, scope, memory)
            if s.buffer.startswith("b") and s.buffer[1:].isdigit() and int(s.buffer[1:]) not in kernel.writes:
                raise _fail(kernel, s, f"writes {s.buffer}, which the kernel does not declare")
            if isinstance(s, Accumulate) and s.op not in _COMBINE:
                raise _fail(kernel, s, f"unknown combination {s.op}")
            if isinstance(s, Accumulate) and s.value.dtype == HALF:
                raise _fail(kernel, s, f"accumulates in {HALF}, which is for storage")
        elif isinstance(s, For):
            if s.kind not in _KINDS or inside == "simd" and s.kind != "serial":
                text = "only a serial loop may be inside a simd loop" if inside == "simd" else f"unknown kind {s.kind}"
                raise _fail(kernel, s, text)
            _check_index(kernel, s, s.extent, scope)
            if s.index in scope:
                raise _fail(kernel, s, f"{s.index} is defined twice")
            _check_body(kernel, s.body, {**scope, s.index: "int64"}, memory, inside if inside == "simd" else s.kind)
        elif isinstance(s, If):
            _check_expr(kernel, s, s.condition, scope)
            _check_body(kernel, s.body, scope, memory, inside)
        elif isinstance(s, Alloc):
            if inside == "simd" and not s.size.same(ONE):
                raise _fail(kernel, s, "more than a register is allocated inside a simd loop")
            _check_index(kernel, s, s.size, scope)
            memory[s.name] = s.dtype
        elif isinstance(s, Call):
            _check_call(kernel, s, scope, memory)
        elif not isinstance(s, Barrier):
            raise _fail(kernel, s, "unknown statement")


def _check_access(
    kernel: Kernel, s: Statement, buffer: str, at: Expr, dtype: str, scope: dict[str, str], memory: dict[str, str]
) -> None:
    _check_index(kernel, s, at, scope)
    if memory.get(buffer) != dtype:
        raise _fail(kernel, s, f"{buffer} is {memory.get(buffer, 'not defined')}, accessed as {dtype}")


def _check_call(kernel: Kernel, s: Call, scope: dict[str, str], memory: dict[str, str]) -> None:
    called = CALLS.get(s.name.rsplit("_", 1)[0])
    if called is None:
        raise _fail(kernel, s, f"unknown library call {s.name}")
    if len(s.buffers) != len(called.outputs) + len(called.inputs) or len(s.params) != len(called.params):
        raise _fail(
            kernel, s, f"{s.name} takes buffers {called.outputs + called.inputs} and parameters {called.params}"
        )
    for b in s.buffers:
        if b not in memory:
            raise _fail(kernel, s, f"{b} is not defined")
    for p in s.params:
        _check_index(kernel, s, p, scope)
    if s.epilogue is not None:
        if not called.row_axes:
            raise _fail(kernel, s, f"{s.name} takes no epilogue")
        e = s.epilogue
        for size in (e.rows, e.columns):
            _check_index(kernel, s, size, scope)
        taken = [name for name in (e.row, e.first, e.count) if name in scope]
        if taken:
            raise _fail(kernel, s, f"{taken[0]} is defined twice")
        _check_body(kernel, e.body, {**scope, **dict.fromkeys((e.row, e.first, e.count), "int64")}, memory, "parallel")
