"""Code generation: a program of the loop IR as one C file with one entry point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from symc.graph.collector import uncollected
from symc.graph.dims import Dim, quotient
from symc.loops.ir import Bind, Branch, Check, Host, Loop, Node, Program, Ref, Room, Rows, Step
from symc.runtime.segments import Segments
from symc_backends.c.dialect import CTYPE, C
from symc_backends.c.functions import Functions
from symc_backends.c.stored import held_buffers, operands_of, stored_buffers
from symc_backends.c.streaming import unread_results
from symc_backends.c.tables import MANY, SHORTEST, Tables
from symc_backends.c.units import in_units

__all__ = ["emit"]

PART = 400
"""Lines of steps in one C function."""
RAISED = 1 << 40
"""The status of a call that ended with a Python exception."""


@uncollected
def emit(program: Program) -> str:
    """Generate one C file: a function per kernel, and ``symc_entry(buffers, dims, segment)``, which runs the steps.

    With several segments there is also ``symc_sizes(dims, segment, sizes)``, which computes the sizes of a segment's
    memory.
    """
    writer = _Entry(program)
    bodies = []
    for number, nodes in enumerate(program.segments):
        lines = writer.nodes(nodes, 1)
        if number == 0 and writer.status >= 0:
            lines.insert(0, f"    *(int64_t *)B[{writer.status}] = 0;")
        bodies.append(lines)
    parts, calls = [], []
    for number, lines in enumerate(bodies):
        more, lines = _parts(lines, f"part{number}_")
        parts += more
        calls += lines if len(bodies) == 1 else [f"    if (segment == {number}) {{", *lines, "    return 0; }"]
    entry = [
        "typedef int64_t symc_host(int64_t step, void **b, const int64_t *n, void **B);",
        f"#define SYMC_RAISED {RAISED}",
        _PROFILE,
        *writer.tables.texts,
        *writer.ranges,
        *parts,
        "int64_t symc_entry(void **B, int64_t *D, int64_t segment) {",
        "    (void)B; (void)D; (void)segment;",
        *calls,
        "    return 0;",
        "}",
        "",
        *(_sizes(program, writer) if len(bodies) > 1 else []),
    ]
    half = any("of_half" in text or "half_of" in text for text in writer.functions.texts.values())
    written = writer.functions.texts.values()
    own = ['#include "kernels/half.h"'] if half else []
    own += ['#include "kernels/bfloat16.h"'] if any("bfloat16_" in t for t in written) else []
    own += ['#include "kernels/turn.h"'] if any("vturn_" in t or "vevery" in t for t in written) else []
    own += ['#include "kernels/zip.h"'] if any("vzip" in t or "vunzip" in t for t in written) else []
    own += ['#include "kernels/few.h"'] if any("vrepeat" in t or "vcycle_" in t for t in written) else []
    own += ['#include "kernels/narrow.h"'] if any("vindex32_" in t or "vburst_" in t for t in written) else []
    head = ['#include "kernels/support.h"', '#include "base/symc_rt.h"', *own, ""]
    head += ["struct args { void **b; const int64_t *n; };"]
    head += ["struct call { void **B; const int64_t *D; const void *here; };"] if writer.ranges else []
    head += writer.functions.called
    own_code = {
        h.native.name: h.native.code for h in writer.hosts if h.native is not None and h.native.code is not None
    }
    head += list(dict.fromkeys(code.support for code in own_code.values()))
    texts = writer.functions.texts | {
        name: f"KERNEL void {name}(void **b_, const int64_t *n_) {code.text}\n" for name, code in own_code.items()
    }
    return in_units(head, texts, entry, many_steps=bool(parts))


class _Entry:
    """Generator of the nodes of a program as C statements, and of the kernels they run as functions."""

    def __init__(self, program: Program) -> None:
        self.program = program
        steps = [step for step in program.steps if isinstance(step, Step)]
        self.functions = Functions(steps, unread_results(program))
        self.stored = stored_buffers(program)
        self.held = held_buffers(program)
        self.within: dict[int, int] = {}  # the buffers that are held in the loop that is being written
        self.unless_once = ""  # before a handle: whether several iterations of the loop read the same operand
        self.tables = Tables(self.functions, self.dim, self.handles)
        self.symbols = {s: k for k, s in enumerate(program.symbols)}
        self.ranges: list[str] = []  # functions that run loops on ranges of rows
        self.timer = "STEP"
        self.number = {id(step): k for k, step in enumerate(program.steps)}
        self.hosts = [step for step in program.steps if isinstance(step, Host)]
        self.status = next((k for k, b in enumerate(program.buffers) if b.role == "status"), -1)

    def _in_tables(self, nodes: Sequence[Node]) -> list[str]:
        """The statements of many nodes: runs of plain steps as tables, the others written out."""
        lines: list[str] = []
        plain = [isinstance(n, Step) and (self.status < 0 or self.status not in n.writes) for n in nodes]
        at = 0
        while at < len(nodes):
            end = at
            while end < len(nodes) and plain[end]:
                end += 1
            if end - at >= SHORTEST:
                run = [n for n in nodes[at:end] if isinstance(n, Step)]
                lines += self.tables.run(run, self.number[id(run[0])])
            else:
                end = max(end, at + 1)
                lines += self.nodes(nodes[at:end], 1, written_out=True)
            at = end
        return lines

    def nodes(self, nodes: Sequence[Node], depth: int, written_out: bool = False) -> list[str]:
        """The statements of nodes, in tables where there are many unless they are to be ``written_out``."""
        lines: list[str] = []
        pad = "    " * depth
        if depth == 1 and len(self.number) >= MANY and not written_out:
            return self._in_tables(nodes)
        for node in nodes:
            if isinstance(node, Step):
                lines.append(f"{pad}{self.timer}({self.number[id(node)]}, {self._step(node)})")
                if self.status >= 0 and self.status in node.writes:
                    lines.append(f"{pad}if (*(int64_t *)B[{self.status}]) return *(int64_t *)B[{self.status}];")
            elif isinstance(node, Host):
                lines.append(f"{pad}{self.timer}({self.number[id(node)]}, {self._host(node)})")
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
            elif self.within or not self.held.get(id(node)):
                lines += self._loop(node, depth)
            else:
                self.within = self.held[id(node)]
                lines += [f"{pad}symc_stored_renew(B[{self._held_at(k)}]);" for k in self.within.values()]
                lines += self._loop(node, depth)
                self.within = {}
        return lines

    def _held_at(self, number: int) -> int:
        """Where the handle of a held buffer is among the buffers."""
        return len(self.program.buffers) + 1 + len(self.stored) + number

    def dim(self, dim: Dim) -> str:
        return dim_text(dim, self.symbols)

    def _pointer(self, ref: Ref, dtype: str) -> str:
        """The typed address of a reference."""
        start = f"({CTYPE[dtype]} *)B[{ref.buffer}]"
        return start if type(ref.offset) is int and ref.offset == 0 else f"{start} + {self.dim(ref.offset)}"

    def _address(self, ref: Ref, dtype: str) -> str:
        offset = type(ref.offset) is int and ref.offset == 0
        return f"B[{ref.buffer}]" if offset else f"(void *)({self._pointer(ref, dtype)})"

    def handles(self, step: Step) -> list[int | None]:
        """Where the handles of a step's stored operands are among the buffers; None if an operand is not stored."""
        first = len(self.program.buffers) + 1
        numbers = [self.stored.get(step.refs[o.buffer].buffer) for o in operands_of(step.kernel)]
        return [None if k is None else first + k for k in numbers]

    def _handle_texts(self, step: Step) -> list[str]:
        """The handles of a step: of a variable that the call does not change, or of what the loop does not change."""
        found = []
        for operand, place in zip(operands_of(step.kernel), self.handles(step)):
            held = self.within.get(step.refs[operand.buffer].buffer)
            ways = [] if place is None else [f"B[{place}]"]
            if held is not None:
                ways.append(f"{self.unless_once}B[{self._held_at(held)}]")
            found.append(f"({ways[0]} ? {ways[0]} : {ways[1]})" if len(ways) == 2 else ways[0] if ways else "0")
        return found

    def _step(self, step: Step) -> str:
        name, constants = self.functions.of(step)
        addresses = [self._address(r, d) for r, d in zip(step.refs, step.kernel.buffers)]
        addresses += self._handle_texts(step)
        buffers = ", ".join(addresses) or "0"
        sizes = ", ".join([*map(self.dim, step.dims), *constants]) or "0"
        return f"{{ void *b[] = {{{buffers}}}; const int64_t n[] = {{{sizes}}}; {name}(b, n); }}"

    def _host(self, step: Host) -> str:
        """A callback into Python, through the function whose address follows the last buffer.

        It has the arrays and their dims. Native code is called first, and the callback only if it set a message.
        """
        buffers = [self._address(r, d) for r, d in zip(step.refs, step.dtypes)]
        sizes = ", ".join(self.dim(d) for d in step.dims) or "0"
        number = next(k for k, host in enumerate(self.hosts) if host is step)
        native, failed, first, condition = step.native, "", "", ""
        if native is not None:
            params = ", ".join(map(self.dim, native.params)) or "0"
            buffers.append("(void *)&failed_")
            first = f" {{ const int64_t p[] = {{{params}}}; {native.name}(b, p); }}"
            failed, condition = "const char *failed_ = 0; ", "failed_ && "
        arrays = f"{failed}void *b[] = {{{', '.join(buffers) or '0'}}};{first}"
        call = f"((symc_host *)B[{len(self.program.buffers)}])({number}, b, n, B)"
        return f"{{ {arrays} const int64_t n[] = {{{sizes}}}; if ({condition}{call}) return SYMC_RAISED; }}"

    def _room(self, node: Room) -> str:
        """A callback into Python for the memory of a buffer: negative step numbers denote buffers."""
        host = f"((symc_host *)B[{len(self.program.buffers)}])"
        return f"{host}({-1 - node.buffer}, 0, (const int64_t[]){{{self.dim(node.elements)}}}, B)"

    def _bind(self, node: Bind) -> list[str]:
        symbol = f"D[{self.symbols[node.symbol]}]"
        return [f"{symbol} = (int64_t)*({self._pointer(node.source, node.dtype)});"]

    def _loop(self, node: Loop, depth: int) -> list[str]:
        if node.rows is not None and self.timer == "STEP":
            return self._loop_by_rows(node, node.rows, depth)
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

    def _loop_by_rows(self, node: Loop, rows: Rows, depth: int) -> list[str]:
        """A function that runs the loop on a range of rows, with symbols of its own; and its call for all rows."""
        name, first, last = f"rows{len(self.ranges)}_", *(f"D[{self.symbols[s]}]" for s in (rows.first, rows.last))
        self.timer = "STEP_OF_RANGE" if rows.size is None else "STEP_OF_BLOCK"
        if rows.size is not None:
            self.unless_once = f"last_ - first_ == {self.dim(rows.size)} ? 0 : "
        lines = [*self._own_rows(rows), *self._loop(node, 1)]
        self.unless_once = ""
        self.timer = "STEP"
        count = len(self.symbols)
        self.ranges.append("\n".join([
            f"static void {name}(void *args_, int64_t first_, int64_t last_) {{",
            "    void **B = ((struct call *)args_)->B;",
            f"    int64_t D[{count}];",
            "    __builtin_memcpy(D, ((struct call *)args_)->D, sizeof D);",
            f"    {first} = first_; {last} = last_;",
            *lines,
            "}",
        ]))  # fmt: skip
        pad = "    " * depth
        if rows.size is not None:
            assert rows.block is not None
            sizes = ", ".join(map(self.dim, (rows.count, rows.size, rows.block)))
            return [f"{pad}{{ struct call call_ = {{B, D, SYMC_HERE}}; symc_row_blocks({name}, &call_, {sizes}); }}"]
        work = [f"{pad}    {first} = 0; {last} = {self.dim(rows.count)};"]
        for step in node.body:
            if isinstance(step, Step):
                sizes = "".join(f"const int64_t n{k} = {self.dim(d)}; (void)n{k}; " for k, d in enumerate(step.dims))
                work.append(f"{pad}    {{ {sizes}work_ += {C.scalar(step.kernel.flops)}; }}")
        call = f"symc_rows({name}, &call_, {self.dim(rows.count)}, {self.dim(node.count)}, work_);"
        return [
            f"{pad}{{ struct call call_ = {{B, D, 0}}; int64_t work_ = 0;",
            *work,
            f"{pad}    {call} }}",
        ]

    def _own_rows(self, rows: Rows) -> list[str]:
        """The beginning of a function for a range of rows: memory of its own for the values of these rows."""
        if not rows.own:
            return []
        handles = len(self.stored) + sum(map(len, self.held.values()))
        count = len(self.program.buffers) + (1 + handles if handles else 0)
        lines = [f"    void *own_[{count}];", "    B = __builtin_memcpy(own_, B, sizeof own_);"]
        starts, before = [], "0"
        for part in rows.own:
            starts.append(before)
            before = f"{before} + (last_ - first_) * {self.dim(part.bytes)} / 64 * 64 + 64"
        lines.append(f"    char *memory_ = symc_scratch(SYMC_SCRATCH_ROWS_SLOT, {before});")
        for part, start in zip(rows.own, starts):
            lines += [f"    B[{k}] = memory_ + {start};" for k in part.buffers]
        return lines


def _sizes(program: Program, writer: _Entry) -> list[str]:
    """The function that computes the sizes of each segment's memory, in the order of ``symc.runtime.segments``."""
    lines = ["void symc_sizes(const int64_t *D, int64_t segment, int64_t *S) {", "    (void)D;"]
    for number, segment in enumerate(Segments(program)):
        lines.append(f"    if (segment == {number}) {{")
        lines += [f"        S[{k}] = {writer.dim(d)};" for k, d in enumerate(segment.wanted)]
        lines.append("    }")
    return [*lines, "}", ""]


def _parts(lines: list[str], prefix: str) -> tuple[list[str], list[str]]:
    """Split a long list of steps into functions and their calls: compile time is superlinear in the length."""
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
static _Thread_local char here_; /* of the blocks of rows, those that the calling thread runs count */
#define SYMC_HERE &here_
#define STEP_OF_RANGE(k, ...) { if (first_) { __VA_ARGS__ } else STEP(k, __VA_ARGS__) }
#define STEP_OF_BLOCK(k, ...) { if (((struct call *)args_)->here != &here_) { __VA_ARGS__ } else STEP(k, __VA_ARGS__) }
#define STEP(k, ...) { const double start_ = now_(); __VA_ARGS__ symc_times[k] += now_() - start_; }
#else
#define STEP(k, ...) __VA_ARGS__
#define SYMC_HERE 0
#define STEP_OF_RANGE(k, ...) __VA_ARGS__
#define STEP_OF_BLOCK(k, ...) __VA_ARGS__
#endif
"""


def dim_text(dim: Dim, symbols: dict[Any, int]) -> str:
    """Write a dim as a C expression over the array ``D`` of symbol values."""
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
        top, bottom = quotient(dim.args[0])
        return f"sx_floordiv_i64({dim_text(top, symbols)}, {dim_text(bottom, symbols)})"
    if isinstance(dim, (sympy.Max, sympy.Min)):
        name = "max" if isinstance(dim, sympy.Max) else "min"
        text = dim_text(dim.args[0], symbols)
        for a in dim.args[1:]:
            text = f"sx_{name}_i64({text}, {dim_text(a, symbols)})"
        return text
    raise TypeError(f"a dim of a form that has no C text: {dim!r}")
