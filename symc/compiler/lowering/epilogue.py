"""The lowering of library calls with the groups that process their output as epilogues, alone and in chains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from symc.compiler.fusion import FusionGroup, Unit, is_inline, row_axes, rows_of_vectors
from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.nest import Nest
from symc.compiler.lowering.single import library_call
from symc.graph import Constant, Variable, dims
from symc.loops.expr import ZERO, var
from symc.loops.ir import Call, Epilogue, Ref, Statement, Step

__all__ = ["EpilogueLowering", "lower_chain"]


class EpilogueLowering(Nest):
    """Lowering of a group with a ``call``, whose output has memory of its own or that of a value that is stored."""

    @property
    def name(self) -> str:
        """The name of its kernel."""
        assert self.group.call is not None
        return f"{self.group.call.op.name}+{self.label}"

    def lower(self, builder: KernelBuilder | None = None) -> Step:
        """Create the step: the call, with loops over a range of columns as its epilogue.

        With a ``builder``, the step uses the names of that kernel.
        """
        node = self.group.call
        assert node is not None
        self.begin(builder or KernelBuilder(self.name, self.ref_of))
        call, flops = library_call(node, self.k)
        split = self._split()
        rows, columns = [a for a in self.order if a < split], [a for a in self.order if a >= split]
        vector = [columns.pop()] if rows_of_vectors(node) else []
        assert len(columns) + len(vector) in (1, 2), "a row of the output of a call is one axis, or one of vectors"
        self.push(None, None)
        self.spread(rows, var("row"))
        self.push(*((columns[0], var("first") + var("i")) if columns else (None, None)))
        if vector:
            self.push(vector[0], var("j"))
        self.store(self.group.stored)
        if vector:
            self.close("j", self.total(vector), "simd")
        self.close("i", var("count"), "serial" if vector else "simd")
        body = tuple(self.levels.pop().statements)
        epilogue = Epilogue(self.total(rows), self.total(columns), "row", "first", "count", body)
        self.put(replace(call, epilogue=epilogue))
        step = self.finish()
        return replace(step, kernel=replace(step.kernel, flops=flops + step.kernel.flops))

    def _split(self) -> int:
        """The number of axes before those of a row."""
        assert self.group.call is not None
        return len(self.group.axes) - row_axes(self.group.call)

    def _divides(self, a: int, b: int) -> bool:
        assert self.group.call is not None
        last = rows_of_vectors(self.group.call) and b == len(self.group.axes) - 1
        return last or a < self._split() <= b or super()._divides(a, b)

    def _sizes_touched(self) -> list[tuple[str, dims.Dim]]:
        """The operands of the call, its output once, and the other operands of the epilogue."""
        node = self.group.call
        assert node is not None
        moved: dict[Variable, None] = dict.fromkeys(node.inputs)
        for member in self.group.members:
            for base, _ in self.reads_of(member, self.iteration_maps[member.outputs[0]]):
                if base not in self.node_of and base not in node.outputs and not isinstance(base, Constant):
                    if not is_inline(base) or base in self.stored:
                        moved[base] = None
        return [(v.dtype, dims.product(v.type.shape)) for v in (*moved, *self.group.stored)]


def lower_chain(
    units: Sequence[Unit], stored: set[Variable], ref_of: Callable[[Variable], Ref], new: Callable[..., Ref]
) -> Step:
    """Create the step of a chain of calls, each of which reads the output of the one before."""
    builder = KernelBuilder("", ref_of)
    values: list[Statement] = []  # of operands that are the same for all elements
    calls: list[Call] = []
    names: list[str] = []
    locations: list[Any] = []
    flops, moved = ZERO, ZERO
    for unit in units:
        if isinstance(unit, FusionGroup):
            lowering = EpilogueLowering(unit, stored, ref_of, new)
            step = lowering.lower(builder)
            names.append(lowering.name)
        else:
            statement, builder.flops = library_call(unit, builder)
            sizes = [(v.dtype, dims.product(v.type.shape)) for v in (*unit.inputs, *unit.outputs)]
            step = builder.step([statement], [unit.outputs[0].location], sizes)
            names.append(unit.op.name)
        *before, call = step.kernel.body
        assert isinstance(call, Call)
        values += before
        calls.append(replace(call, passes_on=unit is not units[-1]))
        locations += step.locations
        flops, moved = flops + step.kernel.flops, moved + step.kernel.bytes
    builder.name, builder.flops = " > ".join(names), flops
    step = builder.step([*values, *calls], locations)
    return replace(step, kernel=replace(step.kernel, bytes=moved))
