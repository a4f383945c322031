"""Pseudo-code for the loop IR."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from symc.graph.dims import show, show_shape
from symc.loops.calls import CALLS
from symc.loops.expr import Expr, parts
from symc.loops.ir import (
    Accumulate,
    Alloc,
    Barrier,
    Bind,
    Branch,
    Buffer,
    Call,
    Check,
    For,
    Host,
    If,
    Kernel,
    Let,
    Load,
    Node,
    Program,
    Ref,
    Room,
    Statement,
    Step,
    Store,
)

__all__ = ["expression_text", "kernel_text", "program_text"]

_INFIX = {
    "or": ("|", 1), "xor": ("^", 2), "and": ("&", 3), "eq": ("==", 4), "ne": ("!=", 4), "lt": ("<", 4),
    "le": ("<=", 4), "gt": (">", 4), "ge": (">=", 4), "shl": ("<<", 5), "shr": (">>", 5), "add": ("+", 6),
    "sub": ("-", 6), "mul": ("*", 7), "div": ("/", 7), "floordiv": ("//", 7), "mod": ("%", 7),
}  # fmt: skip
_UPDATE = {"add": "+=", "mul": "*=", "or": "|=", "and": "&="}
_ATOM = 9


def program_text(program: Program) -> Iterator[str]:
    """Format a program: its buffers, its steps in order, and each kernel once."""
    symbols = ", ".join(show(s) for s in program.symbols)
    yield f"program {program.name}({symbols})"
    yield "  buffers"
    for k, b in enumerate(program.buffers):
        yield f"    B{k:<3} {b.role:<8} {b.name:<14} {b.dtype}{show_shape(b.shape)}{_memory(b)}"
    yield "  steps"
    kernels: dict[int, str] = {}
    distinct: list[Kernel] = []
    for step in program.steps:
        if isinstance(step, Step) and id(step.kernel) not in kernels:
            kernels[id(step.kernel)] = f"K{len(distinct)}"
            distinct.append(step.kernel)
    numbers = {id(step): k for k, step in enumerate(program.steps)}
    for number, nodes in enumerate(program.segments):
        if number:
            yield f"    segment {number}: memory is laid out for the values bound"
        yield from _tree(program, nodes, numbers, kernels, "")
    for kernel in distinct:
        yield ""
        yield from kernel_text(kernel, kernels[id(kernel)])


def _tree(
    program: Program, nodes: Sequence[Node], numbers: dict[int, int], kernels: dict[int, str], pad: str
) -> Iterator[str]:
    """Format the nodes of a program, one per line, with inner nodes indented."""
    for node in nodes:
        number = f"    {numbers.get(id(node), ''):<3} {pad}"
        if isinstance(node, Step):
            yield f"{number}{kernels[id(node.kernel)]}({_arguments(node)})  {node.name}{_lines(node)}"
        elif isinstance(node, Host):
            outs, ins = node.refs[: node.outputs], node.refs[node.outputs :]
            told = f"{', '.join(map(_ref, outs))} = python {node.name}({', '.join(map(_ref, ins))})"
            yield f"{number}{told}{_lines(node)}"
        elif isinstance(node, Bind):
            limit = "" if node.bound is None else f", at most {show(node.bound)}"
            yield f"{number}{show(node.symbol)} = {_ref(node.source)}{limit}"
        elif isinstance(node, Check):
            sign = ">=" if node.least else "=="
            yield f"{number}check {show(node.left)} {sign} {show(node.right)}, else message {node.code}"
        elif isinstance(node, Room):
            yield f"{number}room for {show(node.elements)} elements in B{node.buffer}"
        elif isinstance(node, Branch):
            yield f"{number}if {_ref(node.condition)}"
            yield from _tree(program, node.then, numbers, kernels, pad + "  ")
            if node.otherwise:
                yield f"{number}else"
                yield from _tree(program, node.otherwise, numbers, kernels, pad + "  ")
        else:
            until = "" if node.until is None else f" until {_ref(node.until)}"
            done = "" if node.done is None else f", {show(node.done)} of them"
            if node.rows is not None:
                done += f", rows {show(node.rows.first)} to {show(node.rows.last)} of {show(node.rows.count)}"
                if node.rows.size is not None:
                    done += f", none across multiples of {show(node.rows.size)}"
                if node.rows.own:
                    own = ", ".join(f"B{k}" for part in node.rows.own for k in part.buffers)
                    done += f", each with {own} of its own"
            yield f"{number}for {show(node.index)} < {show(node.count)}{until}{done}"
            yield from _tree(program, node.body, numbers, kernels, pad + "  ")


def _ref(ref: Ref) -> str:
    return f"B{ref.buffer}" if type(ref.offset) is int and ref.offset == 0 else f"B{ref.buffer}[{show(ref.offset)}:]"


def _memory(b: Buffer) -> str:
    if b.alias >= 0:
        return f"  in the memory of B{b.alias}"
    return f"  needed in steps {b.first} to {b.last}" if b.role == "temp" else ""


def _arguments(step: Step) -> str:
    buffers = ", ".join(map(_ref, step.refs))
    sizes = ", ".join(show(d) for d in step.dims)
    return f"{buffers}; {sizes}" if sizes else buffers


def _lines(step: Step | Host) -> str:
    found = dict.fromkeys(f"{os.path.basename(t.filename)}:{t.line}" for t in step.locations)
    return f"  # {', '.join(found)}" if found else ""


def kernel_text(kernel: Kernel, name: str = "") -> Iterator[str]:
    """Format a kernel: a line with its buffers and dims, then its statements, indented."""
    written = [f"b{k}: {d}{' out' if k in kernel.writes else ''}" for k, d in enumerate(kernel.buffers)]
    sizes = [f"n{k}" for k in range(kernel.dims)]
    yield f"kernel {name} {kernel.name}({', '.join(written)}{'; ' + ', '.join(sizes) if sizes else ''})"
    yield f"  # {expression_text(kernel.flops)} operations, {expression_text(kernel.bytes)} bytes"
    yield from _block(kernel.body, "  ")


def _block(body: Sequence[Statement], indent: str) -> Iterator[str]:
    for s in body:
        if isinstance(s, For):
            kind = "" if s.kind == "serial" else f"{s.kind} "
            yield f"{indent}{kind}for {s.index} < {expression_text(s.extent)}:"
            yield from _block(s.body, indent + "  ")
        elif isinstance(s, If):
            yield f"{indent}if {expression_text(s.condition)}:"
            yield from _block(s.body, indent + "  ")
        else:
            yield indent + _statement(s)
            if isinstance(s, Call) and s.epilogue is not None:
                e = s.epilogue
                sizes = f"{expression_text(e.rows)} x {expression_text(e.columns)}"
                yield f"{indent}epilogue for {e.row}, {e.count} elements from {e.first} on, of {sizes}:"
                yield from _block(e.body, indent + "  ")


def _statement(s: Any) -> str:
    if isinstance(s, Let):
        return f"{s.name} = {expression_text(s.value)}"
    if isinstance(s, Load):
        return f"{s.name} = {s.buffer}[{expression_text(s.index)}]"
    if isinstance(s, Store):
        return f"{s.buffer}[{expression_text(s.index)}] = {expression_text(s.value)}"
    if isinstance(s, Accumulate):
        at, value = f"{s.buffer}[{expression_text(s.index)}]", expression_text(s.value)
        return f"{at} {_UPDATE[s.op]} {value}" if s.op in _UPDATE else f"{at} = {s.op}({at}, {value})"
    if isinstance(s, Alloc):
        return f"{s.name} = new {s.dtype}[{expression_text(s.size)}]"
    if isinstance(s, Barrier):
        return "barrier"
    assert isinstance(s, Call)
    return _call(s) + (f"  # {s.buffers[0]} is read by the next call alone" if s.passes_on else "")


def _call(s: Call) -> str:
    called = CALLS.get(s.name.rsplit("_", 1)[0])
    params = [expression_text(p) for p in s.params]
    if called is not None:
        params = [f"{name}={value}" for name, value in zip(called.params, params)]
    return f"{s.name}({', '.join(s.buffers)}; {', '.join(params)})"


def expression_text(e: Expr, limit: int = 2000) -> str:
    """Format a scalar expression in infix notation, truncated after about ``limit`` characters."""
    text: dict[int, tuple[str, int]] = {}
    for x in parts(e):
        made, strength = _written(x, [text[id(a)] for a in x.args])
        text[id(x)] = (made if len(made) <= limit else "...", strength if len(made) <= limit else _ATOM)
    return text[id(e)][0]


def _written(x: Expr, args: list[tuple[str, int]]) -> tuple[str, int]:
    if x.op == "const":
        return _number(x.value), _ATOM
    if x.op == "var":
        return str(x.value), _ATOM
    if x.op in _INFIX:
        sign, strength = _INFIX[x.op]
        left = args[0][0] if args[0][1] >= strength else f"({args[0][0]})"
        right = args[1][0] if args[1][1] > strength else f"({args[1][0]})"
        return f"{left} {sign} {right}", strength
    if x.op == "neg":
        return (f"-{args[0][0]}" if args[0][1] >= 8 else f"-({args[0][0]})"), 8
    if x.op == "select":
        return f"{_inside(args[1])} if {_inside(args[0])} else {_inside(args[2])}", 0
    name = x.dtype if x.op == "cast" else x.op
    return f"{name}({', '.join(a[0] for a in args)})", _ATOM


def _inside(arg: tuple[str, int]) -> str:
    return arg[0] if arg[1] > 0 else f"({arg[0]})"


def _number(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)
