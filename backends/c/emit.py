"""Text: a program of the loop IR as one C file with one entry point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from symc.graph.collector import uncollected
from symc.graph.dims import Dim
from symc.loops.expr import Expr, call, index, maximum
from symc.loops.ir import (
    Accumulate,
    Alloc,
    Barrier,
    Bind,
    Branch,
    Call,
    Check,
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
from symc.runtime.segments import Segments
from symc_backends.c.dialect import CTYPE, C
from symc_backends.c.vector import can_vectorise, emit_simd

__all__ = ["emit"]

STACK_LIMIT = 16384
"""Elements of scratch memory that may live on the stack."""
SCRATCH_SLOTS = 16
PART = 400
"""Steps that one C function runs."""
RAISED = 1 << 40
"""The status of a call that ended because Python raised."""
CHUNK_WORK = 65536
"""Estimated scalar operations worth handing to another thread."""


@uncollected
def emit(program: Program) -> str:
    """One C file: a function per distinct kernel, and ``symc_entry(buffers, dims, segment)``, which runs the steps.

    With several segments there is ``symc_sizes(dims, segment, sizes)`` too, which tells what a segment lays out.
    """
    writer = _Entry(program)
    bodies = []
    for number, nodes in enumerate(program.segments):
        lines = writer.nodes(nodes, 1)
        if number == 0 and writer.status >= 0:
            lines.insert(0, f"    *(int64_t *)B[{writer.status}] = 0;")
        bodies.append(lines)
    head = [
        '#include "support.h"',
        '#include "symc_rt.h"',
        "",
        "struct args { void **b; const int64_t *n; };",
        "typedef int64_t symc_host(int64_t step, void **b, const int64_t *n, void **B);",
        f"#define SYMC_RAISED {RAISED}",
        _PROFILE,
    ]
    texts = [body.replace("@", name) for body, name in writer.functions.items()]
    parts, calls = [], []
    for number, lines in enumerate(bodies):
        more, lines = _parts(lines, f"part{number}_")
        parts += more
        calls += lines if len(bodies) == 1 else [f"    if (segment == {number}) {{", *lines, "    return 0; }"]
    entry = [
        "int64_t symc_entry(void **B, int64_t *D, int64_t segment) {",
        "    (void)B; (void)D; (void)segment;",
        *calls,
        "    return 0;",
        "}",
        "",
    ]
    return "\n".join([*head, *texts, *parts, *entry, *(_sizes(program, writer) if len(bodies) > 1 else [])])


class _Entry:
    """The nodes of a program as C statements, and the functions of the kernels they run."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.functions: dict[str, str] = {}
        self.known: dict[int, str] = {}
        self.symbols = {s: k for k, s in enumerate(program.symbols)}
        self.number = {id(step): k for k, step in enumerate(program.steps)}
        self.hosts = [step for step in program.steps if isinstance(step, Host)]
        self.status = next((k for k, b in enumerate(program.buffers) if b.role == "status"), -1)

    def nodes(self, nodes: Sequence[Node], depth: int) -> list[str]:
        lines: list[str] = []
        pad = "    " * depth
        for node in nodes:
            if isinstance(node, Step):
                lines.append(f"{pad}STEP({self.number[id(node)]}, {self._step(node)})")
                if self.status >= 0 and self.status in node.writes:
                    lines.append(f"{pad}if (*(int64_t *)B[{self.status}]) return *(int64_t *)B[{self.status}];")
            elif isinstance(node, Host):
                lines.append(f"{pad}STEP({self.number[id(node)]}, {self._host(node)})")
            elif isinstance(node, Bind):
                lines += [f"{pad}{line}" for line in self._bind(node)]
            elif isinstance(node, Check):
                test = f"{self.dim(node.left)} {'<' if node.least else '!='} {self.dim(node.right)}"
                lines.append(f"{pad}if ({test}) return {node.code};")
            elif isinstance(node, Room):
                lines.append(f"{pad}if ({self._room(node)}) return SYMC_RAISED;")
            elif isinstance(node, Branch):
                lines.append(f"{pad}if (*({self._pointer(node.condition, 'bool')})) {{")
                lines += self.nodes(node.then, depth + 1)
                if node.otherwise:
                    lines += [f"{pad}}} else {{", *self.nodes(node.otherwise, depth + 1)]
                lines.append(f"{pad}}}")
            else:
                lines += self._loop(node, depth)
        return lines

    def dim(self, dim: Dim) -> str:
        return dim_text(dim, self.symbols)

    def _pointer(self, ref: Ref, dtype: str) -> str:
        """The address that a reference stands for, typed."""
        start = f"({CTYPE[dtype]} *)B[{ref.buffer}]"
        return start if type(ref.offset) is int and ref.offset == 0 else f"{start} + {self.dim(ref.offset)}"

    def _address(self, ref: Ref, dtype: str) -> str:
        offset = type(ref.offset) is int and ref.offset == 0
        return f"B[{ref.buffer}]" if offset else f"(void *)({self._pointer(ref, dtype)})"

    def _step(self, step: Step) -> str:
        name = self.known.get(id(step.kernel))
        if name is None:
            body = _KernelText(step.kernel).text("@")
            name = self.functions.setdefault(body, f"k{len(self.functions)}")
            self.known[id(step.kernel)] = name
        buffers = ", ".join(self._address(r, d) for r, d in zip(step.refs, step.kernel.buffers)) or "0"
        sizes = ", ".join(self.dim(d) for d in step.dims) or "0"
        return f"{{ void *b[] = {{{buffers}}}; const int64_t n[] = {{{sizes}}}; {name}(b, n); }}"

    def _host(self, step: Host) -> str:
        """A call back into Python, through the function whose address lies behind the last buffer."""
        buffers = ", ".join(self._address(r, d) for r, d in zip(step.refs, step.dtypes)) or "0"
        sizes = ", ".join(self.dim(d) for d in step.dims) or "0"
        call = f"((symc_host *)B[{len(self.program.buffers)}])({self.hosts.index(step)}, b, n, B)"
        return f"{{ void *b[] = {{{buffers}}}; const int64_t n[] = {{{sizes}}}; if ({call}) return SYMC_RAISED; }}"

    def _room(self, node: Room) -> str:
        """A call back into Python for the memory of a buffer: steps from -1 down stand for buffers."""
        host = f"((symc_host *)B[{len(self.program.buffers)}])"
        return f"{host}({-1 - node.buffer}, 0, (const int64_t[]){{{self.dim(node.elements)}}}, B)"

    def _bind(self, node: Bind) -> list[str]:
        symbol = f"D[{self.symbols[node.symbol]}]"
        return [f"{symbol} = (int64_t)*({self._pointer(node.source, node.dtype)});"]

    def _loop(self, node: Loop, depth: int) -> list[str]:
        pad, i = "    " * depth, f"D[{self.symbols[node.index]}]"
        end = f"end{depth}_"
        lines = [
            f"{pad}{{ const int64_t {end} = {self.dim(node.count)}; int64_t done{depth}_ = 0;",
            f"{pad}for (int64_t i{depth}_ = 0; i{depth}_ < {end}; i{depth}_++) {{",
            f"{pad}    {i} = i{depth}_; done{depth}_ = i{depth}_ + 1;",
            *self.nodes(node.body, depth + 1),
        ]
        if node.until is not None:
            lines.append(f"{pad}    if (*({self._pointer(node.until, 'bool')})) break;")
        done = "" if node.done is None else f" D[{self.symbols[node.done]}] = done{depth}_;"
        return [*lines, f"{pad}}}{done} (void)done{depth}_; }}"]


def _sizes(program: Program, writer: _Entry) -> list[str]:
    """The function that tells what each segment lays out, in the order of ``symc.runtime.segments``."""
    lines = ["void symc_sizes(const int64_t *D, int64_t segment, int64_t *S) {", "    (void)D;"]
    for number, segment in enumerate(Segments(program)):
        lines.append(f"    if (segment == {number}) {{")
        lines += [f"        S[{k}] = {writer.dim(d)};" for k, d in enumerate(segment.wanted)]
        lines.append("    }")
    return [*lines, "}", ""]


def _parts(lines: list[str], prefix: str) -> tuple[list[str], list[str]]:
    """A long list of steps cut into functions, and the calls of these: compilers take over-linear time over one."""
    if len(lines) <= PART:
        return [], lines
    parts: list[str] = []
    calls: list[str] = []
    chunk: list[str] = []
    for k, line in enumerate(lines):
        chunk.append(line)
        outermost = k + 1 == len(lines) or lines[k + 1].startswith("    STEP(")  # never inside a loop or branch
        if len(chunk) >= PART and outermost or k + 1 == len(lines):
            name = f"{prefix}{len(calls)}"
            parts += [
                f"static __attribute__((noinline)) int64_t {name}(void **B, int64_t *D) {{",
                "    (void)D;",
                *chunk,
                "    return 0;",
                "}",
            ]
            calls.append(f"    {{ const int64_t status = {name}(B, D); if (status) return status; }}")
            chunk = []
    return parts, calls


_PROFILE = """#ifdef SYMC_PROFILE
#include <time.h>
static inline double now_(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}
double symc_times[SYMC_PROFILE];
#define STEP(k, ...) { const double start_ = now_(); __VA_ARGS__ symc_times[k] += now_() - start_; }
#else
#define STEP(k, ...) __VA_ARGS__
#endif
"""


def dim_text(dim: Dim, symbols: dict[Any, int]) -> str:
    """A dim as a C expression over the array ``D`` of symbol values."""
    if type(dim) is int:
        return str(dim)
    if dim in symbols:
        return f"D[{symbols[dim]}]"
    if isinstance(dim, sympy.Integer):
        return str(int(dim))
    if isinstance(dim, sympy.Add):
        return "(" + " + ".join(dim_text(a, symbols) for a in dim.args) + ")"
    if isinstance(dim, sympy.Mul):
        return "(" + " * ".join(dim_text(a, symbols) for a in dim.args) + ")"
    if isinstance(dim, sympy.Pow) and isinstance(dim.exp, sympy.Integer) and dim.exp > 0:
        return "(" + " * ".join([dim_text(dim.base, symbols)] * int(dim.exp)) + ")"
    if isinstance(dim, sympy.floor):
        top, bottom = sympy.fraction(sympy.together(dim.args[0]))
        return f"sx_floordiv_i64({dim_text(top, symbols)}, {dim_text(bottom, symbols)})"
    if isinstance(dim, (sympy.Max, sympy.Min)):
        name = "max" if isinstance(dim, sympy.Max) else "min"
        text = dim_text(dim.args[0], symbols)
        for a in dim.args[1:]:
            text = f"sx_{name}_i64({text}, {dim_text(a, symbols)})"
        return text
    raise TypeError(f"a dim of a form that has no C text: {dim!r}")


def _on_stack(s: Alloc) -> bool:
    return s.size.op == "const" and s.size.value <= STACK_LIMIT


def scratch_slots(kernel: Kernel) -> dict[str, int]:
    """The names of a kernel's arrays that lie in the threads' scratch memory, and the slot of each."""
    found: dict[str, int] = {}
    stack = list(kernel.body)[::-1]
    while stack:
        s = stack.pop()
        if isinstance(s, Alloc) and not _on_stack(s) and len(found) < SCRATCH_SLOTS:
            found.setdefault(s.name, len(found))
        elif isinstance(s, (For, If)):
            stack.extend(s.body[::-1])
    return found


def chunk_grain(loop: For) -> Expr:
    """How many iterations of a parallel loop are worth handing to another thread."""
    if loop.work is None:
        return index(1)
    return maximum(call("floordiv", index(CHUNK_WORK), maximum(loop.work, index(1))), index(1))


class _KernelText:
    """The C function (and the bodies of its parallel loops) for one kernel; ``@`` stands for its name."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.memory: dict[str, tuple[str, bool]] = {f"b{k}": (d, False) for k, d in enumerate(kernel.buffers)}
        self.tasks: list[str] = []
        self.shared_out = False
        self.slots = scratch_slots(kernel)

    def text(self, name: str) -> str:
        prelude = self._prelude()
        body = self.block(self.kernel.body, [])
        main = [f"static void {name}(void **b, const int64_t *n) {{", *prelude, *body, "}"]
        return "\n".join([*self.tasks, *main, ""])

    def _prelude(self) -> list[str]:
        lines = ["(void)b; (void)n;"]
        for k, dtype in enumerate(self.kernel.buffers):
            const = "" if k in self.kernel.writes else "const "
            lines.append(f"{const}{CTYPE[dtype]} *b{k} = b[{k}]; (void)b{k};")
        lines += [f"const int64_t n{k} = n[{k}]; (void)n{k};" for k in range(self.kernel.dims)]
        return lines

    def pointer(self, buffer: str) -> str:
        return buffer

    def dtype_of(self, buffer: str) -> str:
        return self.memory[buffer][0]

    def is_register(self, buffer: str) -> bool:
        return self.memory[buffer][1]

    def block(self, body: Sequence[Statement], before: list[Statement]) -> list[str]:
        lines: list[str] = []
        seen = list(before)
        for s in body:
            lines += self.statement(s, seen)
            if isinstance(s, (Let, Load)):
                seen.append(s)
        return lines

    def element(self, buffer: str, at: Expr) -> str:
        return buffer if self.is_register(buffer) else f"{buffer}[{C.scalar(at)}]"

    def statement(self, s: Statement, seen: list[Statement]) -> list[str]:
        if isinstance(s, Let):
            return [f"const {CTYPE[s.value.dtype]} {s.name} = {C.scalar(s.value)};"]
        if isinstance(s, Load):
            return [f"const {CTYPE[s.dtype]} {s.name} = {self.element(s.buffer, s.index)};"]
        if isinstance(s, Store):
            return [f"{self.element(s.buffer, s.index)} = {C.scalar(s.value)};"]
        if isinstance(s, Accumulate):
            target = self.element(s.buffer, s.index)
            return [f"{target} = {C.call(s.op, [target, C.scalar(s.value)], self.dtype_of(s.buffer))};"]
        if isinstance(s, If):
            return [f"if ({C.scalar(s.condition)}) {{", *self.block(s.body, seen), "}"]
        if isinstance(s, Alloc):
            return self._alloc(s)
        if isinstance(s, Call):
            return self._call(s)
        if isinstance(s, Barrier):
            return []
        return self._loop(s, seen)

    def _alloc(self, s: Alloc) -> list[str]:
        ctype = CTYPE[s.dtype]
        single = s.size.op == "const" and s.size.value == 1
        self.memory[s.name] = (s.dtype, single)
        if single:
            return [f"{ctype} {s.name};"]
        if _on_stack(s):
            return [f"{ctype} {s.name}[{max(s.size.value, 1)}] __attribute__((aligned(64)));"]
        if s.name in self.slots:
            size = f"sizeof({ctype}) * (size_t)({C.scalar(s.size)})"
            return [f"{ctype} *{s.name} = symc_scratch({self.slots[s.name]}, {size});"]
        return [f"{ctype} {s.name}[{C.scalar(s.size)} + 1];"]

    def _call(self, s: Call) -> list[str]:
        buffers = ", ".join(f"(void *){b}" for b in s.buffers)
        params = ", ".join(C.scalar(p) for p in s.params)
        return [f"{{ void *const cb[] = {{{buffers}}}; const int64_t cp[] = {{{params}}}; symc_{s.name}(cb, cp); }}"]

    def _loop(self, s: For, seen: list[Statement]) -> list[str]:
        if s.kind == "simd" and can_vectorise(s):
            return emit_simd(s, C.scalar, self.pointer, self.dtype_of, self.is_register)
        if s.kind == "parallel" and not self.shared_out:
            return self._parallel(s, seen)
        i, extent = s.index, C.scalar(s.extent)
        head = f"for (int64_t {i} = 0, {i}_end = {extent}; {i} < {i}_end; {i}++) {{"
        return [head, *self.block(s.body, seen), "}"]

    def _parallel(self, s: For, seen: list[Statement]) -> list[str]:
        """The loop's body becomes a function of a range; what was computed before it is computed there again."""
        task = f"@_{len(self.tasks)}"
        slot = len(self.tasks)
        self.tasks.append("")
        prelude = [*self._prelude(), *self.block(seen, [])]
        self.shared_out = True  # parallel loops inside run in order: there are threads enough
        loop = [f"for (int64_t {s.index} = begin_; {s.index} < end_; {s.index}++) {{", *self.block(s.body, seen), "}"]
        self.shared_out = False
        self.tasks[slot] = "\n".join([
            f"static void {task}(void *args_, int64_t begin_, int64_t end_) {{",
            "void **b = ((struct args *)args_)->b; const int64_t *n = ((struct args *)args_)->n;",
            *prelude, *loop,  "}",
        ])  # fmt: skip
        extent, grain = C.scalar(s.extent), C.scalar(chunk_grain(s))
        return [f"{{ struct args a_ = {{b, n}}; symc_parallel({task}, &a_, {extent}, {grain}); }}"]
