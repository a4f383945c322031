"""Code generation for one kernel: a C function, and functions for the bodies of its parallel loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from symc.config import config
from symc.loops.expr import Expr, call, index, maximum, names_in, parts, var
from symc.loops.ir import Accumulate, Alloc, Barrier, Call, Epilogue, For, If, Kernel, Let, Load, Statement, Store
from symc_backends.c.ahead import is_large, rows_ahead
from symc_backends.c.blocks import emit_blocks
from symc_backends.c.bursts import SHORT, emit_bursts, is_reduction, scattered_loads
from symc_backends.c.dialect import CTYPE, C
from symc_backends.c.fetching import with_later_rows
from symc_backends.c.jam import emit_jammed
from symc_backends.c.narrow import LARGEST, NarrowLoads
from symc_backends.c.next_tile import next_tiles
from symc_backends.c.odometer import odometer
from symc_backends.c.periodic import emit_periodic, periodic
from symc_backends.c.plain import plain_form
from symc_backends.c.recurrence import can_carry, emit_recurrence, goes_through_steps
from symc_backends.c.scalar_loops import emit_scalar
from symc_backends.c.scattered import NARROWEST, by_columns, by_elements
from symc_backends.c.simd_loops import emit_simd
from symc_backends.c.stored import chain_function, operands_of
from symc_backends.c.streaming import finished, flags, streamed_buffers
from symc_backends.c.stretches import emit_stretches
from symc_backends.c.vector import can_vectorise

__all__ = ["KernelText", "chunk_grain", "scratch_slots"]

STACK_LIMIT = 16384
"""The largest number of scratch elements allocated on the stack."""
SCRATCH_SLOTS = 16
FEWEST = 8
"""The length from which on a loop that jumps is run with vectors."""
CHUNK_WORK = 65536
"""The estimated number of scalar operations worth running on another thread."""


_CHEAP = frozenset("add sub mul neg abs min max and or not select cast lt le gt ge eq ne".split())
"""Functions of scalars that count as one operation; others count as ten."""


def _on_stack(s: Alloc) -> bool:
    return s.size.op == "const" and s.size.value <= STACK_LIMIT


def scratch_slots(kernel: Kernel) -> dict[str, int]:
    """Map the names of a kernel's arrays in the threads' scratch memory to their slots."""
    found: dict[str, int] = {}
    stack = list(kernel.body)[::-1]
    while stack:
        s = stack.pop()
        if isinstance(s, Alloc) and not _on_stack(s) and len(found) < SCRATCH_SLOTS:
            found.setdefault(s.name, len(found))
        elif isinstance(s, (For, If)):
            stack.extend(s.body[::-1])
    return found


def _reading(body: Sequence[Statement], buffer: str, other: str) -> tuple[Statement, ...]:
    """The statements, with loads from ``other`` in place of those from ``buffer``."""

    def changed(s: Statement) -> Statement:
        if isinstance(s, (For, If)):
            return replace(s, body=_reading(s.body, buffer, other))
        return replace(s, buffer=other) if isinstance(s, Load) and s.buffer == buffer else s

    return tuple(map(changed, body))


def chunk_grain(loop: For) -> Expr:
    """The number of iterations of a parallel loop worth running on another thread."""
    work = body_work(loop.body) if loop.work is None else loop.work
    if work is None:
        return index(1)
    return maximum(call("floordiv", index(CHUNK_WORK), maximum(work, index(1))), index(1))


def body_work(body: Sequence[Statement]) -> Expr | None:
    """Estimate the scalar operations of statements, by the kernel's dims; None if they depend on anything else."""
    total = index(0)
    for s in body:
        one: Expr | None = index(1)
        if isinstance(s, Call):
            return None
        if isinstance(s, (Let, Store, Accumulate)):
            one = index(1 + sum(1 if x.op in _CHEAP else 10 for x in parts(s.value) if x.args))
        if isinstance(s, For):
            inner = body_work(s.body)
            one = None if inner is None or not all(map(_is_dim, names_in(s.extent))) else s.extent * inner
        elif isinstance(s, If):
            one = body_work(s.body)
        if one is None:
            return None
        total = total + one
    return total


def _is_dim(name: str) -> bool:
    return name.startswith("n") and name[1:].isdigit()


class KernelText:
    """Generator of one kernel's C function and the bodies of its parallel loops; ``@`` is replaced by its name."""

    def __init__(self, kernel: Kernel, unread: frozenset[int] = frozenset()) -> None:
        self.kernel = kernel
        self.memory: dict[str, tuple[str, bool]] = {f"b{k}": (d, False) for k, d in enumerate(kernel.buffers)}
        self.tasks: list[str] = []
        self.shared_out = False
        self.slots = scratch_slots(kernel)
        self.sizes = {f"b{k}": size for k, size in kernel.sizes.items() if size.op != "const" or size.value <= LARGEST}
        self.narrow: NarrowLoads | None = None  # those of the loop that is being written
        self.ahead: dict[Load, str] = {}  # the variables with distances
        self.first: dict[int, list[str]] = {}  # C with which the iterations of loops begin, by the ids of these
        self.without_vectors = config.isa == "scalar"
        self.streamed = {} if self.without_vectors else streamed_buffers(kernel, unread)

    def text(self, name: str) -> str:
        prelude = self._prelude()
        body = self.block(self.kernel.body, [])
        end = finished(self.streamed, body)
        main = [f"KERNEL void {name}(void **b, const int64_t *n) {{", *prelude, *body, *end, "}"]
        return "\n".join([*self.tasks, *main, ""])

    def _prelude(self) -> list[str]:
        lines = ["(void)b; (void)n;"]
        for k, dtype in enumerate(self.kernel.buffers):
            const = "" if k in self.kernel.writes else "const "
            lines.append(f"{const}{CTYPE[dtype]} *b{k} = b[{k}]; (void)b{k};")
        lines += [f"const int64_t n{k} = n[{k}]; (void)n{k};" for k in range(self.kernel.dims)]
        return lines + flags(self.kernel, self.streamed, C.scalar)

    def pointer(self, buffer: str) -> str:
        return buffer

    def dtype_of(self, buffer: str) -> str:
        return self.memory[buffer][0]

    def is_register(self, buffer: str) -> bool:
        return self.memory[buffer][1]

    def block(self, body: Sequence[Statement], before: list[Statement]) -> list[str]:
        lines: list[str] = []
        seen = list(before)
        chain: list[Call] = []
        for s in body:
            if isinstance(s, Call) and (chain or s.passes_on):
                chain.append(s)
                if not s.passes_on:
                    lines += self._chain(chain, seen)
                    chain = []
                continue
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
            return self._call(s, seen)
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

    def _call(self, s: Call, seen: list[Statement]) -> list[str]:
        buffers = ", ".join(f"(void *){b}" for b in s.buffers)
        params = ", ".join(C.scalar(p) for p in s.params)
        given = f"const int64_t cp[] = {{{params}}};"
        places = [len(self.kernel.buffers) + k for k, o in enumerate(operands_of(self.kernel)) if o.call is s]
        if not places:
            return [f"{{ void *const cb[] = {{{buffers}}}; {given} symc_{s.name}(cb, cp); }}"]
        (name, tag), form, before = s.name.rsplit("_", 1), "stored", ""
        if s.epilogue is not None:
            form, buffers = "epilogue", f"{buffers}, (void *)&e_"
            described = self._described(s.epilogue, s.buffers[0], seen)
            before = f"struct args a_ = {{b, n}}; const symc_epilogue e_ = {described}; "
        handles = f"symc_stored *const cs[] = {{{', '.join(f'b[{k}]' for k in places)}}};"
        call = f"symc_{name}_{form}_{tag}(cb, cp, cs);"
        return [f"{{ {before}void *const cb[] = {{{buffers}}}; {given} {handles} {call} }}"]

    def _chain(self, calls: list[Call], seen: list[Statement]) -> list[str]:
        """One call of the library for convolutions, each of which reads the output of the one before."""
        before, buffers, params = "struct args a_ = {b, n}; ", [], [str(len(calls))]
        for k, s in enumerate(calls):
            finish = "0"
            if s.epilogue is not None:
                described = self._described(s.epilogue, s.buffers[0], seen, s.passes_on)
                before += f"const symc_epilogue e{k}_ = {described}; "
                finish = f"(void *)&e{k}_"
            buffers += [*(f"(void *){b}" for b in s.buffers), finish]
            params += [C.scalar(p) for p in s.params]
        places = [len(self.kernel.buffers) + k for k in range(len(operands_of(self.kernel)))]
        handles = f"symc_stored *const cs[] = {{{', '.join(f'b[{k}]' for k in places)}}};"
        given = f"void *const cb[] = {{{', '.join(buffers)}}}; const int64_t cp[] = {{{', '.join(params)}}};"
        return [f"{{ {before}{given} {handles} {chain_function(calls)}(cb, cp, cs); }}"]

    def _described(self, e: Epilogue, output: str, seen: list[Statement], elsewhere: bool = False) -> str:
        """The initialiser of the ``symc_epilogue`` of a call; what a plain one does, the library may do itself."""
        members = [self._epilogue(e, output, seen, elsewhere), "&a_", output]
        plain = plain_form(e, output, self.dtype_of(output))
        if plain is None:
            members += ["0"] * 7
        else:
            members += [plain.terms, C.scalar(plain.period)]
            members += [C.literal(x, "float64") for x in (plain.low, plain.high)]
            members += [name or "0" for name in (plain.bits, plain.kept, plain.added)]
        return f"{{{', '.join(members)}}}"

    def _epilogue(self, e: Epilogue, output: str, seen: list[Statement], elsewhere: bool = False) -> str:
        """The epilogue of a call becomes a function of ranges of rows and columns; returns its name.

        The function receives the memory in which the call has put those elements of its output; results may be stored
        in the output's own memory, or ``elsewhere`` if the call says so.
        """
        name = f"@_{len(self.tasks)}"
        self.memory["computed"] = (self.dtype_of(output), False)
        body = self.block(_reading(e.body, output, "computed"), seen)
        loop = [f"for (int64_t {e.row} = row_; {e.row} < row_ + rows_; {e.row}++) {{", *body, "}"]
        target = f"if (results_) {output} = results_;" if elsewhere else "(void)results_;"
        self.tasks.append("\n".join([
            f"static void {name}(void *args_, void *output_, void *results_, int64_t row_, int64_t rows_, "
            f"int64_t {e.first}, int64_t {e.count}) {{",
            "void **b = ((struct args *)args_)->b; const int64_t *n = ((struct args *)args_)->n;",
            *self._prelude(), f"const {CTYPE[self.dtype_of(output)]} *computed = output_;", target,
            *self.block(seen, []), *loop, "}",
        ]))  # fmt: skip
        return name

    def _loop(self, s: For, seen: list[Statement]) -> list[str]:
        if s.kind == "simd" and self.without_vectors:
            return self._elements(s, seen)
        if s.kind == "simd" and can_carry(s):
            return self._recurrence(s, seen)
        if s.kind == "simd" and (shared := periodic(s)) is not None:
            return emit_periodic(s, shared, C.scalar, self.pointer, self.streamed)
        if s.kind == "simd" and can_vectorise(s):
            forms = (lambda stretch: self._simd(stretch, seen)), (lambda stretch: self._elements(stretch, seen))
            stretches = emit_stretches(s, C.scalar, *forms)
            return self._simd(s, seen) if stretches is None else self._or_scalar(s, stretches, seen)
        if s.kind == "parallel" and not self.shared_out:
            return self._parallel(s, seen)
        if s.kind == "unordered" and (few := by_elements(s)) is not None:
            return self._loop(few, seen)
        if s.kind == "unordered" and not self.shared_out and (split := by_columns(s, "begin_", "end_")) is not None:
            return self._by_columns(*split, seen)
        turns = s.kind != "simd" and not self.without_vectors
        blocks = emit_blocks(s, C.scalar, self.pointer, lambda: self.block(s.body, seen)) if turns else None
        if blocks is not None:
            return blocks
        i, extent = s.index, C.scalar(s.extent)
        together = None if self.without_vectors else self._jammed(s, seen)
        if together is not None:
            return together
        return self._rows(s, "0", f"{i}_end", f", {i}_end = {extent}", seen)

    def _recurrence(self, s: For, seen: list[Statement]) -> list[str]:
        """A loop over elements around one over steps: a single element is no vector, which its steps would wait for."""
        if s.extent.op == "const" and s.extent.value == 1:
            return self._elements(s, seen)
        vectors = emit_recurrence(s, C.scalar, self.pointer, self.dtype_of)
        if s.extent.op == "const" or not goes_through_steps(s):
            return vectors
        return [f"if ({C.scalar(s.extent)} == 1) {{", *self._elements(s, seen), "} else {", *vectors, "}"]

    def _rows(self, s: For, begin: str, end: str, more: str, seen: list[Statement]) -> list[str]:
        """A loop from ``begin`` to ``end``; its head declares ``more``."""
        i, digits = s.index, odometer(s, begin, C.scalar)
        head = f"for (int64_t {i} = {begin}{more}; {i} < {end}; {i}++) {{"
        distances = self._distances(s)  # which the body reads
        tiles = (
            None
            if self.without_vectors or id(s) in self.first
            else next_tiles(s, is_large(self.kernel, C.scalar), C.scalar)
        )
        if tiles is not None:
            self.first |= {id(tiles.tiles): tiles.found, id(tiles.rows): tiles.fetched}
        body = self.block(digits.body, [*seen, *digits.counted])
        body = body if self.without_vectors else with_later_rows(s, end, body, self.sizes, C.scalar)
        lines = [*distances, *digits.before, head, *self.first.get(id(s), ()), *body, *digits.after, "}"]
        return ["{", *lines, "}"] if digits.before else lines

    def _distances(self, rows: For) -> list[str]:
        """C in front of a loop over rows that defines how far ahead they are fetched."""
        if self.without_vectors:
            return []
        lines = []
        for load, (distance, light) in rows_ahead(rows, {f"b{k}" for k in range(len(self.kernel.buffers))}).items():
            name = self.ahead[load] = f"ahead{len(self.ahead)}_"
            fetches = is_large(self.kernel, C.scalar) + (" && !symc_follows_rows()" if light else "")
            lines.append(f"const int64_t {name} = {fetches} ? {C.scalar(distance)} : 0; (void){name};")
        return lines

    def _jammed(self, s: For, seen: list[Statement]) -> list[str] | None:
        given = {f"b{k}" for k in range(len(self.kernel.buffers))}
        return emit_jammed(s, C.scalar, lambda body: self.block(body, seen), lambda name: name not in given, self.sizes)

    def _or_scalar(self, s: For, vectors: list[str], seen: list[Statement]) -> list[str]:
        """Lines for a loop whose length is known in a call: very short ones are run element by element."""
        costs = (x for one in s.body if isinstance(one, (Let, Store, Accumulate)) for x in parts(one.value) if x.args)
        if s.extent.op == "const" or not all(x.op in _CHEAP for x in costs):
            return vectors
        return [f"if ({C.scalar(s.extent)} < {FEWEST}) {{", *self._elements(s, seen), "} else {", *vectors, "}"]

    def _elements(self, s: For, seen: list[Statement]) -> list[str]:
        """A simd loop element by element."""
        return emit_scalar(
            s, C.scalar, self.element, self.dtype_of, lambda body, new: self._with_memory(body, new, True, seen)
        )

    def _simd(self, s: For, seen: list[Statement]) -> list[str]:
        """A simd loop with vectors; element by element, if it reads at computed positions from very large memory."""
        loads = [] if self.narrow is not None else scattered_loads(s, self.sizes)
        if not loads:
            ahead = {one: self.ahead[one] for one in s.body if isinstance(one, Load) and one in self.ahead}
            return emit_simd(
                s, C.scalar, self.pointer, self.dtype_of, self.is_register, self.streamed, self.narrow, ahead
            )
        narrow = self.narrow = NarrowLoads(s, {one.buffer: self.sizes[one.buffer] for one in loads}, C.scalar)

        def block(body: Sequence[Statement], arrays: dict[str, str], variables: dict[str, str]) -> list[str]:
            self._with_memory([], variables, True, seen)
            return self._with_memory(body, arrays, False, seen)

        lines = emit_bursts(s, loads, C.scalar, self.element, self.dtype_of, block, narrow)
        if lines is None:
            lines = self._simd(s, seen)
        elif s.extent.op != "const" and is_reduction(s):
            lines = [f"if ({C.scalar(s.extent)} < {SHORT}) {{", *self._simd(s, seen), "} else {", *lines, "}"]
        self.narrow = None
        if not narrow.guards:
            return lines
        return [f"if ({' && '.join(narrow.guards)}) {{", *lines, "} else {", *self._elements(s, seen), "}"]

    def _with_memory(
        self, body: Sequence[Statement], new: dict[str, str], registers: bool, seen: list[Statement]
    ) -> list[str]:
        """The text of statements that use C variables, ``registers`` or arrays, which the kernel does not have."""
        self.memory |= {name: (dtype, registers) for name, dtype in new.items()}
        return self.block(body, seen)

    def _parallel(self, s: For, seen: list[Statement]) -> list[str]:
        """The loop's body becomes a function of a range; values computed before it are recomputed there."""

        def loop() -> list[str]:
            return self._rows(s, "begin_", "end_", "", seen)

        return self._task(loop, C.scalar(s.extent), C.scalar(chunk_grain(s)), seen)

    def _by_columns(self, columns: Expr, rows: For, seen: list[Statement]) -> list[str]:
        """A loop over rows becomes a function of a range of columns; each thread has one range, if they are wide."""
        share = call("floordiv", columns + (var("threads_") - 1), var("threads_"))
        least = call("floordiv", index(CHUNK_WORK), maximum(rows.extent, index(1)))
        grain = C.scalar(maximum(maximum(share, index(NARROWEST)), least))
        task = self._task(lambda: self.block([rows], seen), C.scalar(columns), grain, seen)
        return ["{ const int64_t threads_ = symc_num_threads();", *task, "}"]

    def _task(self, loop: Callable[[], list[str]], extent: str, grain: str, seen: list[Statement]) -> list[str]:
        """Lines that run a loop over the range from ``begin_`` to ``end_``, which becomes a function, on threads."""
        task = f"@_{len(self.tasks)}"
        slot = len(self.tasks)
        self.tasks.append("")
        prelude = [*self._prelude(), *self.block(seen, [])]
        self.shared_out = True  # parallel loops inside run in order: there are enough threads
        lines = loop()
        self.shared_out = False
        self.tasks[slot] = "\n".join([
            f"static void {task}(void *args_, int64_t begin_, int64_t end_) {{",
            "void **b = ((struct args *)args_)->b; const int64_t *n = ((struct args *)args_)->n;",
            *prelude, *lines, *finished(self.streamed, lines), "}",
        ])  # fmt: skip
        return [f"{{ struct args a_ = {{b, n}}; symc_parallel({task}, &a_, {extent}, {grain}); }}"]
