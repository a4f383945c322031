"""Loops of kind ``simd``: over whole vectors, then over the lanes that remain.

A loop over long chains of operations processes several vectors at once, whose statements alternate; one that adds terms
to an element has several accumulators; one that stores past the caches begins its second round at a line, and if it is
cheap there is a loop without such stores beside it: in the caches, their tests take half of its time.
"""

from __future__ import annotations

import copy as copying
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from symc.graph.dtypes import BITS
from symc.loops.expr import Expr, coefficient, index, names_in, parts, substituted
from symc.loops.functions import FUNCTIONS
from symc.loops.ir import Accumulate, For, Let, Load, Store
from symc_backends.c.accumulators import Register, is_narrow
from symc_backends.c.dialect import LANES, TAG
from symc_backends.c.interleaving import interleaved, taken_in_turns
from symc_backends.c.lanes import is_affine, is_read, wide_tags, width_of
from symc_backends.c.narrow import SUFFIXES, NarrowLoads
from symc_backends.c.streaming import row_flags
from symc_backends.c.vector import VectorBody

__all__ = ["INTERLEAVED", "JAMMED", "emit_simd"]

UNROLL = 4
"""The number of accumulators of a reduction, so that an addition need not wait for the previous one."""
INTERLEAVED = 4
"""The number of vectors of a loop over costly elements whose statements alternate."""
LONG = 3
"""The number of costly functions from which on they do."""
MOST_INTERLEAVED = 40
"""The number of statements up to which they do, which bounds compile time and registers."""
MOST_TWICE = 16
"""The number of statements up to which a loop that may store past the caches is written without such stores, too."""
JAMMED = "/* interleaved */"
"""Marks a text in which they do: functions are called several times as often as in the formula."""


def emit_simd(
    loop: For,
    scalar: Callable[[Expr], str],
    pointer: Callable[[str], str],
    dtype_of: Callable[[str], str],
    is_register: Callable[[str], bool],
    streamed: Collection[str] = (),
    loads: NarrowLoads | None = None,
    ahead: Mapping[Load, str] | None = None,
) -> list[str]:
    """Generate C lines for a simd loop.

    ``scalar(e)`` writes a uniform expression, ``pointer(buffer)`` returns a buffer's address, ``dtype_of(buffer)`` its
    dtype, and ``is_register(buffer)`` whether it is a single element in a C variable. Stores to the buffers in
    ``streamed`` pass the caches where a C variable says so, see ``symc_backends.c.streaming``. ``loads`` are those at
    computed positions, see ``symc_backends.c.narrow``; ``ahead`` names a C variable for each load that fetches what is
    as far ahead, see ``symc_backends.c.ahead``.
    """
    return _SimdLoop(loop, scalar, pointer, dtype_of, streamed, loads, ahead or {}).lines(is_register)


class _SimdLoop:
    """The text of one loop.

    Attributes
    ----------
    registers : dict of int to Register
        The accumulators, by the positions of their statements in the body.
    unroll : int
        The number of copies of the body, each with a vector of every accumulator.
    width : int
        How many times as many lanes as usual the first vectors have, see ``symc_backends.c.lanes``.
    turns : dict of int to Turns
        Stores whose elements take turns in memory, see ``symc_backends.c.interleaving``; ``taken`` are such loads.
    skipped : str
        The number of elements before the first line that is stored past the caches; "" if none ever is.
    """

    def __init__(
        self,
        loop: For,
        scalar: Callable[[Expr], str],
        pointer: Callable[[str], str],
        dtype_of: Callable[[str], str],
        streamed: Collection[str],
        loads: NarrowLoads | None,
        ahead: Mapping[Load, str],
    ) -> None:
        self.loop = loop
        self.ahead = ahead
        self.scalar = scalar
        self.pointer = pointer
        self.streamed = streamed
        self.loads = loads
        unroll = UNROLL if len(loop.body) <= 14 else 1
        self.registers = {
            k: Register(_widening(s, loop), f"v{k}_{loop.index}", dtype_of(s.buffer), unroll, loop.extent)
            for k, s in enumerate(loop.body)
            if isinstance(s, Accumulate) and loop.index not in names_in(s.index)
        }
        self.unroll = unroll if self.registers else 1
        self.width = width_of(loop, {k: register.statement for k, register in self.registers.items()})
        self.skipped = "" if self.registers else _first_streamed(loop, scalar, pointer, streamed)
        self.addresses: dict[int, tuple[Expr, Expr, Expr | None]] = {}
        self.turns = interleaved(loop)
        self.taken = taken_in_turns(loop)
        self.in_turns = {id(s) for turns in self.turns.values() for s in turns.stores}
        self.in_turns |= {id(s) for taken in self.taken.values() for s in taken.loads}

    def lines(self, is_register: Callable[[str], bool]) -> list[str]:
        i, scalar, pointer = self.loop.index, self.scalar, self.pointer
        lines = [f"{{ const int64_t end = {scalar(self.loop.extent)}; int64_t {i} = 0;"]
        lines += row_flags(self.loop, self.streamed)
        for register in self.registers.values():
            lines += register.declared()
        sums = [register for register in self.registers.values() if register.total]
        if sums:
            most = f"{min(register.terms for register in sums)} * {self.unroll} * {LANES}"
            lines.append(f"const int64_t most = {most};")
        if self.skipped:
            lines.append(f"int64_t skip = {self.skipped};")
        if self.width > 1:
            lines += self._wide(sums)
        lines += self._summed(sums, 1) if sums else self._plain()
        if self.unroll > 1:
            lines += self._whole(1, "end")
        lines.append(f"if ({i} < end) {{ const int64_t left = end - {i};")
        lines += self.body(0, True, i)
        lines.append("}")
        for register in self.registers.values():
            s = register.statement
            target = pointer(s.buffer) if is_register(s.buffer) else f"{pointer(s.buffer)}[{scalar(s.index)}]"
            lines.append(register.finished(target))
        lines.append("}")
        return lines

    def body(self, copy: int, partial: bool, position: str, width: int = 1) -> list[str]:
        """One copy of the loop's body, for the vector at ``position`` or its first ``left`` lanes."""
        b = VectorBody(self.loop, self.scalar, partial, position, self.streamed, self.addresses, self.loads, width)
        for k, s in enumerate(self.loop.body):
            if not is_read(s, width):
                continue
            if isinstance(s, Let):
                b.let(s)
            elif isinstance(s, Load):
                if partial or width > 1 or id(s) not in self.in_turns:
                    b.load(s, self.pointer(s.buffer))
                elif k in self.taken:
                    b.load_turns(self.taken[k], self.pointer(s.buffer))
            elif isinstance(s, Store):
                if partial or id(s) not in self.in_turns:
                    b.store(s, self.pointer(s.buffer))
                elif k in self.turns:
                    b.store_turns(self.turns[k], self.pointer)
            elif isinstance(s, Accumulate):
                if k in self.registers:
                    register = self.registers[k]
                    b.accumulate_register(register.statement, register.names[copy], register.dtype)
                else:
                    b.accumulate_memory(s, self.pointer(s.buffer))
        return b.lines

    def _whole(self, copies: int, stop: str, width: int = 1) -> list[str]:
        """The loop up to ``stop`` over groups of ``copies`` vectors."""
        i = self.loop.index
        step = f"{copies * width} * {LANES}" if copies * width > 1 else LANES
        inside = self._fetches(copies * width)
        for copy in range(copies):
            inside += ["{" if copy == 0 else f"{{ const int64_t i_{copy} = {i} + {copy * width} * {LANES};"]
            inside += [*self.body(copy, False, i if copy == 0 else f"i_{copy}", width), "}"]
        return [f"for (; {i} + {step} <= {stop}; {self._advance(step)}) {{", *inside, "}"]

    def _fetches(self, copies: int) -> list[str]:
        """C that asks for elements which are read later than those of ``copies`` vectors."""
        lines = []
        for s, distance in self.ahead.items():
            first = f"{self.pointer(s.buffer)} + {self.scalar(s.index)} + {distance}"
            each = (f"vfetch_{TAG[s.dtype]}({first}, {copy});" for copy in range(copies))
            lines.append(f"if ({distance}) {{ {' '.join(each)} }}")
        return lines

    def _wide(self, sums: list[Register]) -> list[str]:
        """The loop over vectors of more lanes."""
        tags, masks = wide_tags(self.width)
        types = [
            (register, masks["bool"], tags[register.dtype])
            for register in self.registers.values()
            if not register.is_narrow
        ]
        lines = ["{"]
        for register, mask, tag in types:
            lines += register.widened(mask, tag)
        lines += self._summed(sums, self.width) if sums else self._whole(self.unroll, "end", self.width)
        for register, mask, tag in types:
            lines += register.narrowed(mask, tag)
        return [*lines, "}"]

    def _plain(self) -> list[str]:
        alternating = not self.registers and _is_long(self.loop)
        return [*self._near(), *(self._interleaved() if alternating else []), *self._whole(self.unroll, "end")]

    def _near(self) -> list[str]:
        """The loop for results that are stored as usual, if it is cheap and others may be stored past the caches."""
        stores = [s for s in self.loop.body if isinstance(s, Store) and s.buffer in self.streamed]
        far = dict.fromkeys(f"far_{s.buffer}" for s in stores)
        if not far or self.registers or not _is_cheap(self.loop):
            return []
        near = copying.copy(self)
        near.streamed, near.skipped = (), ""
        return [f"if (!({' | '.join(far)})) {{", *near._whole(1, "end"), "}"]

    def _summed(self, sums: list[Register], width: int) -> list[str]:
        """The loop in rounds, after each of which the vectors of sums are added to their totals."""
        i, group = self.loop.index, f"{self.unroll * width} * {LANES}"
        lines = [f"for (; {i} + {group} <= end;) {{"]
        lines.append(f"const int64_t stop = {i} + most < end ? {i} + most : end;")
        lines += self._whole(self.unroll, "stop", width)
        lines.append(f"if ({i} + {group} > end) break;")
        for register in sums:
            lines += register.flushed()
        return [*lines, "}"]

    def _advance(self, step: str) -> str:
        """The text that moves the loop on by ``step``, or the first time by ``skip`` if that is not zero."""
        i = self.loop.index
        return f"{i} += skip ? skip : {step}, skip = 0" if self.skipped else f"{i} += {step}"

    def _interleaved(self) -> list[str]:
        """The loop over groups of vectors, whose statements alternate, so that their latencies overlap."""
        i = self.loop.index
        own = "|".join(s.name for s in self.loop.body if isinstance(s, (Let, Load)))
        names = re.compile(rf"\b((?:{own})(?:{'|'.join(SUFFIXES)})?)\b")
        step = f"{INTERLEAVED} * {LANES}"
        lines = [f"{JAMMED} for (; {i} + {step} <= end; {self._advance(step)}) {{"]
        copies = []
        for copy in range(INTERLEAVED):
            lines.append(f"const int64_t {i}_{copy} = {i} + {copy} * {LANES};")
            copies.append([names.sub(rf"\1_{copy}", line) for line in self.body(0, False, f"{i}_{copy}")])
        lines += self._fetches(INTERLEAVED)
        return [*lines, *(line for same in zip(*copies) for line in same), "}"]


def _widening(s: Accumulate, loop: For) -> Accumulate:
    """The statement, with the conversion of a narrow integer instead of a name for it."""
    for let in loop.body:
        if isinstance(let, Let) and s.value.op == "var" and let.name == s.value.value:
            whole = replace(s, value=let.value)
            return whole if is_narrow(whole) else s
    return s


def _first_streamed(
    loop: For, scalar: Callable[[Expr], str], pointer: Callable[[str], str], streamed: Collection[str]
) -> str:
    """The number of elements in front of the first line that is stored past the caches; "" if none ever is.

    The first vectors of a loop are stored as usual. The second ones begin at that line, and repeat the rest: so the
    loop may not add to memory, nor store to memory that it may read.
    """
    stores = [s for s in loop.body if not isinstance(s, (Let, Load))]
    if not all(isinstance(s, Store) and s.buffer in streamed for s in stores):
        return ""
    past = " && ".join(dict.fromkeys(f"far_{s.buffer}" for s in stores if isinstance(s, Store)))
    definitions = {s.name: s.value for s in loop.body if isinstance(s, Let) and s.value.dtype == "int64"}
    inside = {s.name for s in loop.body if isinstance(s, (Let, Load))}
    for s in stores:
        assert isinstance(s, Store)
        at = substituted(s.index, {k: e for k, e in definitions.items() if is_affine(e)})
        stride = coefficient(at, loop.index)
        if stride is not None and stride.op == "const" and stride.value == 1 and inside.isdisjoint(names_in(at)):
            start = scalar(substituted(at, {loop.index: index(0)}))
            return f"{past} ? vhead_{TAG[s.value.dtype]}({pointer(s.buffer)} + {start}) : 0"
    return ""


def _is_cheap(loop: For) -> bool:
    """Whether an iteration is a few instructions."""
    used = (FUNCTIONS[x.op] for s in loop.body if isinstance(s, Let) for x in parts(s.value) if x.op in FUNCTIONS)
    return len(loop.body) <= MOST_TWICE and all(f.instruction or not f.costly for f in used)


def _is_long(loop: For) -> bool:
    """Whether an iteration is too long a chain of operations for the processor to begin the next one meanwhile."""
    slow = 0
    for s in loop.body:
        if isinstance(s, Accumulate) or isinstance(s, Load) and BITS.get(s.dtype) == 64:
            return False
        if isinstance(s, Let):
            slow += sum(x.op in FUNCTIONS and FUNCTIONS[x.op].costly for x in parts(s.value))
    return slow >= LONG and len(loop.body) <= MOST_INTERLEAVED
