"""The lowering of a library call with the group that processes its output as an epilogue."""

from __future__ import annotations

from dataclasses import replace

from symc.compiler.fusion import is_inline, row_axes
from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.nest import Nest
from symc.compiler.lowering.single import library_call
from symc.graph import Constant, Variable, dims
from symc.loops.expr import var
from symc.loops.ir import Epilogue, Step

__all__ = ["EpilogueLowering"]


class EpilogueLowering(Nest):
    """Lowering of a group with a ``call``, whose output has memory of its own or that of a value that is stored."""

    def lower(self) -> Step:
        """Create the step: the call, with loops over a range of columns as its epilogue."""
        node = self.group.call
        assert node is not None
        self.begin(KernelBuilder(f"{node.op.name}+{self.label}", self.ref_of))
        call, flops = library_call(node, self.k)
        split = self._split()
        rows, columns = [a for a in self.order if a < split], [a for a in self.order if a >= split]
        assert len(columns) == 1, "a row of the output of a call is one axis"
        self.push(None, None)
        self.spread(rows, var("row"))
        self.push(columns[0], var("first") + var("i"))
        self.store(self.group.stored)
        self.close("i", var("count"), "simd")
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
        return a < self._split() <= b or super()._divides(a, b)

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
