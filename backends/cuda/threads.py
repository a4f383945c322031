"""Code generation for one launch: the statements of every thread of a thread group.

Statements outside simd loops are executed redundantly by all threads of a thread group, except that only one thread
writes to memory. The iterations of a simd loop are distributed among the threads; register accumulators are combined at
the end of the loop. The thread group synchronises before a thread may read an element that another thread wrote, or
write an element that another thread may still read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from symc.loops.expr import ZERO, Expr, coefficient, names_in, substituted
from symc.loops.ir import SUM_TERMS, Accumulate, Alloc, Barrier, For, If, Kernel, Let, Load, Statement, Store
from symc_backends.cuda.dialect import CTYPE, CUDA, Indices, allocations
from symc_backends.cuda.mapping import Launch, inner_loops, touched, walk
from symc_backends.dialect import identity

__all__ = ["Threads"]

PACK = 4
"""The largest number of elements that a thread moves at once."""
PACK_BYTES = 16
"""The number of bytes that a thread moves at once."""
LONG_BODY = 60
"""The number of statements from which a loop's body is not duplicated."""


def affine_step(loop: For, at: Expr) -> Expr | None:
    """The stride of a position in ``loop`` between iterations; None if it is irregular."""
    plain = plain_position(loop, at)
    others = moving(loop) - {loop.index}
    return None if not others.isdisjoint(names_in(plain)) else coefficient(plain, loop.index)


def moving(loop: For) -> set[str]:
    """The names whose values change from one iteration of ``loop`` to the next."""
    found = {loop.index}
    for s in loop.body:
        source = s.value if isinstance(s, Let) else s.index if isinstance(s, Load) else None
        if source is not None and not found.isdisjoint(names_in(source)):
            found.add(s.name)  # type: ignore[union-attr]
    return found


def plain_position(loop: For, at: Expr) -> Expr:
    """Substitute the loop's own integer definitions in a position."""
    definitions = {s.name: s.value for s in loop.body if isinstance(s, Let) and s.value.dtype == "int64"}
    return substituted(at, definitions)


class Threads:
    """Generator of the body of one launch.

    Attributes
    ----------
    lines : list of str
        The statements, for one iteration of the launch's loop.
    arrays : list of (name, dtype, size)
        The private arrays of a thread group, in shared memory or, if they are too long, in spare memory.
    columns : int
        The required number of threads per thread group, because each keeps one column in a register; 0 if any number is
        allowed.
    talks : bool
        Whether the threads of a thread group communicate.
    pack : int
        The largest number of elements that one thread moves at once.
    """

    def __init__(self, kernel: Kernel, launch: Launch) -> None:
        self.kernel = kernel
        self.launch = launch
        everything = [*launch.before, *([launch.loop] if launch.loop else launch.body)]
        self.indices = Indices(kernel.dims, everything)
        self.memory: dict[str, str] = {f"b{k}": d for k, d in enumerate(kernel.buffers)}
        self.registers: dict[str, str] = {}
        self.arrays: list[tuple[str, str, Expr]] = []
        self.atomic = launch.loop is not None and launch.loop.kind == "unordered"
        self.alone = launch.shape != "flat" and not inner_loops(launch.body)
        self.talks = False
        self.pack = 1
        self.columns = self._columns(launch.body)
        self.totals: dict[str, int] = {}
        self.written: set[str] = set()
        self.read: set[str] = set()
        self.peeked: set[str] = set()
        if launch.shape == "flat":
            assert launch.loop is not None
            self.lines = self._simd(launch.loop)
        else:
            self.lines = self._block(launch.body)
            if self.arrays and not self.alone:
                self.lines.append(self._sync())  # before the next iteration reuses them

    # --- private memory -------------------------------------------------------------------------------------------

    def _columns(self, body: Sequence[Statement]) -> int:
        """The common length of private arrays in which every simd loop accesses only the element of its own index."""
        lengths = set()
        for a in allocations(body):
            if a.size.op == "const" and a.size.value == 1:
                continue
            if a.size.op != "const" or not self._own_column(a, body):
                return 0
            lengths.add(a.size.value)
        (length,) = lengths if len(lengths) == 1 else (0,)
        return length if length & (length - 1) == 0 and length <= 512 else 0

    @staticmethod
    def _own_column(a: Alloc, body: Sequence[Statement]) -> bool:
        uses = 0
        for loop in inner_loops(body):
            for s in loop.body:
                if isinstance(s, (Load, Store, Accumulate)) and s.buffer == a.name:
                    uses += 1
                    if not (s.index.op == "var" and s.index.value == loop.index):
                        return False
        every = sum(isinstance(s, (Load, Store, Accumulate)) and s.buffer == a.name for s in walk(body))
        return uses == every

    def _alloc(self, s: Alloc) -> list[str]:
        single = s.size.op == "const" and s.size.value == 1
        if single or self.columns:
            self.registers[s.name] = s.dtype
            return [f"{CTYPE[s.dtype]} {s.name};"]
        self.arrays.append((s.name, s.dtype, s.size))
        self.memory[s.name] = s.dtype
        ctype = CTYPE[s.dtype]
        size = self.indices.position(s.size)
        return [f"{ctype} *{s.name} = ({ctype} *)own_; own_ += ((int64_t){size} * sizeof({ctype}) + 15) / 16 * 16;"]

    # --- synchronising --------------------------------------------------------------------------------------------

    def _sync(self) -> str:
        self.talks = True
        self.written.clear()
        self.read.clear()
        self.peeked.clear()
        return "group_sync();"

    def _before(self, s: Statement) -> list[str]:
        """The synchronisation that a statement needs, if any; also records the memory that it accesses."""
        if self.alone:
            return []
        reads: set[str] = set()
        writes: set[str] = set()
        for x in walk([s]):
            if isinstance(x, Load):
                reads.add(x.buffer)
            elif isinstance(x, (Store, Accumulate)):
                writes.add(x.buffer)
        reads &= self.memory.keys()
        writes &= self.memory.keys()
        waits = bool((reads | writes) & self.written or writes & self.read)
        if isinstance(s, (Store, Accumulate)) and writes:
            # An update may share memory with an operand of another name that other threads may still read.
            waits = waits or self.memory[s.buffer] in self.peeked
        lines = [self._sync()] if waits else []
        self.written |= writes
        self.read |= reads
        if isinstance(s, Load) and reads:
            self.peeked.add(self.memory[s.buffer])
        return lines

    # --- statements of the thread group -----------------------------------------------------------------------------

    def _block(self, body: Sequence[Statement]) -> list[str]:
        lines: list[str] = []
        for s in body:
            if isinstance(s, (For, If)) and not (isinstance(s, For) and s.kind == "simd"):
                lines += self._nested(s)
            else:
                lines += self._before(s)
                lines += self._statement(s)
        return lines

    def _nested(self, s: For | If) -> list[str]:
        """A loop or a condition that all threads of the thread group execute together."""
        memory = touched(s) & self.memory.keys()
        lines = [self._sync()] if not self.alone and memory & (self.written | self.read) else []
        if isinstance(s, If):
            lines.append(f"if ({self.indices.value(s.condition)}) {{")
        else:
            lines.append(_for(s, self.indices.position(s.extent)))
        lines += self._block(s.body)
        changes = any(isinstance(x, (Store, Accumulate)) and x.buffer in self.memory for x in walk(s.body))
        if isinstance(s, For) and changes and not self.alone:
            lines.append(self._sync())  # before the next iteration
        return [*lines, "}"]

    def _statement(self, s: Statement) -> list[str]:
        if isinstance(s, For):
            return self._simd(s)
        if isinstance(s, Alloc):
            return self._alloc(s)
        if isinstance(s, Barrier):
            return [] if self.alone else [self._sync()]
        text = self._simple(s)
        if isinstance(s, (Store, Accumulate)) and s.buffer in self.memory and not self.alone:
            return [f"if (lane_ == 0) {{ {text} }}"]
        return [text]

    def _simple(self, s: Statement, meeting: bool = False) -> str:
        """Write a statement of a single thread; with ``meeting``, other threads may write to the same element."""
        if isinstance(s, Let):
            return self.indices.defined(s)
        if isinstance(s, Load):
            return self.indices.loaded(s, self._element(s.buffer, s.index))
        if isinstance(s, Store):
            return f"{self._element(s.buffer, s.index)} = {self.indices.value(s.value)};"
        assert isinstance(s, Accumulate)
        target, value = self._element(s.buffer, s.index), self.indices.value(s.value)
        dtype = s.value.dtype
        if (self.atomic or meeting) and s.buffer in self.memory:
            if s.op == "add" and dtype in ("float32", "float64"):
                return f"atomic_sum(&{target}, {value});"
            return f"atomic_combine<{CTYPE[dtype]}>(&{target}, {value}, {_combiner(s.op, dtype)});"
        return f"{target} = {CUDA.call(s.op, [target, value], dtype)};"

    def _element(self, buffer: str, at: Expr) -> str:
        return buffer if buffer in self.registers else f"{buffer}[{self.indices.position(at)}]"

    # --- loops whose iterations are distributed among threads -------------------------------------------------------

    def _simd(self, loop: For) -> list[str]:
        gathered = [s for s in loop.body if isinstance(s, Accumulate) and self._is_shared(loop, s)]
        lines = ["{", f"const idx end_ = {self.indices.position(loop.extent)};"]
        gathers = {s.buffer: s for s in gathered}  # one per register
        names = {buffer: f"{buffer}_" for buffer in gathers}
        for buffer, s in gathers.items():
            dtype = self.registers[names[buffer]] = s.value.dtype
            lines.append(f"{CTYPE[dtype]} {names[buffer]} = {CUDA.literal(identity(s.op, dtype), dtype)};")
        self._totals(loop, gathers)
        lines += [f"double {b}_total_ = 0; int {b}_count_ = 0;" for b in self.totals]
        moves = moving(loop)
        fixed = [s for s in loop.body if isinstance(s, (Let, Load)) and s.name not in moves]
        body = [self._own(s, names) for s in loop.body if s not in fixed]
        if fixed:  # the same in every iteration, if there is one
            lines += ["if (end_ > 0) {", *[self._simple(s) for s in fixed]]
        first = "lane_"
        packs = self._packs(loop, body)
        if packs is not None:
            lines += ["idx rest_ = 0;", *self._packed(loop, body, packs)]
            first = "rest_ + lane_"
        lines.append(f"for (idx {loop.index} = {first}; {loop.index} < end_; {loop.index} += group_size_) {{")
        for own in body:
            lines += self._lane_statement(loop, own)
        lines += self._counted(1)
        lines += ["}", "}"] if fixed else ["}"]
        for buffer, s in gathers.items():
            dtype = s.value.dtype
            if buffer in self.totals:
                lines.append(f"{names[buffer]} = ({CTYPE[dtype]})({buffer}_total_ + {names[buffer]});")
            whole = f"group_reduce<{CTYPE[dtype]}>({names[buffer]}, {_combiner(s.op, dtype)})"
            lines.append(f"{buffer} = {CUDA.call(s.op, [buffer, whole], dtype)};")
            self.talks = True
        return [*lines, "}"]

    def _totals(self, loop: For, gathers: Mapping[str, Accumulate]) -> None:
        """Record the float sums that may accumulate too many terms per thread to be accurate."""
        longest = loop.extent.value if loop.extent.op == "const" else None
        self.totals = {
            buffer: SUM_TERMS[s.value.dtype]
            for buffer, s in gathers.items()
            if s.op == "add" and s.value.dtype in SUM_TERMS
            and (longest is None or longest > SUM_TERMS[s.value.dtype])
        }  # fmt: skip

    def _counted(self, terms: int) -> list[str]:
        """Count ``terms`` more terms, and add a sum to its total when it has enough of them."""
        return [
            f"if (({b}_count_ += {terms}) >= {most}) {{ {b}_total_ += {b}_; {b}_ = 0; {b}_count_ = 0; }}"
            for b, most in self.totals.items()
        ]

    def _is_shared(self, loop: For, s: Accumulate) -> bool:
        """Whether all iterations accumulate in the same register."""
        return s.buffer in self.registers and not (self.columns and loop.index in names_in(s.index))

    @staticmethod
    def _own(s: Statement, names: dict[str, str]) -> Statement:
        """Replace a shared register in a statement by the thread's own accumulator."""
        if isinstance(s, Accumulate) and s.buffer in names:
            return Accumulate(names[s.buffer], s.index, s.value, s.op)
        return s

    def _lane_statement(self, loop: For, s: Statement) -> list[str]:
        if isinstance(s, If):
            inside = [line for x in s.body for line in self._lane_statement(loop, x)]
            return [f"if ({self.indices.value(s.condition)}) {{", *inside, "}"]
        step = affine_step(loop, s.index) if isinstance(s, Accumulate) else None
        apart = step is not None and not (step.op == "const" and step.value == 0)
        return [self._simple(s, meeting=isinstance(s, Accumulate) and not apart)]

    def _packs(self, loop: For, body: Sequence[Statement]) -> dict[int, str] | None:
        """The statements that move neighbouring elements, and their start positions; None if packs bring no benefit."""
        if len(body) > LONG_BODY or any(isinstance(s, If) for s in body) or self.columns:
            return None
        found: dict[int, str] = {}
        for k, s in enumerate(body):
            if not isinstance(s, (Load, Store, Accumulate)) or s.buffer in self.registers:
                continue
            step = affine_step(loop, s.index)
            unit = step is not None and step.op == "const" and step.value == 1
            if isinstance(s, Accumulate) or (isinstance(s, Store) and not unit):
                return None
            if unit:
                start = substituted(plain_position(loop, s.index), {loop.index: ZERO})
                found[k] = f"{s.buffer} + {self.indices.position(start)}"
        return found or None

    def _packed(self, loop: For, body: Sequence[Statement], packs: dict[int, str]) -> list[str]:
        """The loop over whole packs, if memory is aligned to them; ``rest_`` is where it stops."""
        sizes = {k: np.dtype(self.memory[body[k].buffer]).itemsize for k in packs}  # type: ignore[union-attr]
        width = max(1, min(PACK, PACK_BYTES // max(sizes.values())))
        self.pack = max(self.pack, width)
        i = loop.index
        starts = {start: width * sizes[k] for k, start in packs.items()}
        aligned = " && ".join(f"(uint64_t)({start}) % {size} == 0" for start, size in starts.items())
        loads, inside, stores = [], [], []
        for k, s in enumerate(body):
            if k not in packs:
                inside.append(self._simple(s))
                continue
            assert isinstance(s, (Load, Store))
            pack = f"Pack<{CTYPE[self.memory[s.buffer]]}, {width}>"
            if isinstance(s, Load):
                loads.append(f"const {pack} {s.name}_ = *(const {pack} *)({packs[k]} + first_);")
                inside.append(self.indices.loaded(s, f"{s.name}_.v[v_]"))
            else:
                loads.append(f"{pack} store{k}_;")
                inside.append(f"store{k}_.v[v_] = {self.indices.value(s.value)};")
                stores.append(f"*({pack} *)({packs[k]} + first_) = store{k}_;")
        return [
            f"if ({aligned}) {{",
            f"rest_ = end_ - end_ % {width};",
            f"for (idx first_ = lane_ * {width}; first_ < rest_; first_ += group_size_ * {width}) {{",
            *loads,
            "#pragma unroll",
            f"for (int v_ = 0; v_ < {width}; v_++) {{",
            f"const idx {i} = first_ + v_; (void){i};",
            *inside,
            "}",
            *self._counted(width),
            *stores,
            "}",
            "}",
        ]


def _for(s: For, extent: str) -> str:
    return f"for (idx {s.index} = 0, {s.index}_end = {extent}; {s.index} < {s.index}_end; {s.index}++) {{"


def _combiner(op: str, dtype: str) -> str:
    """Write a function object that combines two values."""
    ctype = CTYPE[dtype]
    return f"[]({ctype} a, {ctype} b) {{ return ({ctype}){CUDA.call(op, ['a', 'b'], dtype)}; }}"
