"""The outermost scope: arguments, shared variables, results, and where their updates are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from symc.compiler.lowering.program import used
from symc.compiler.lowering.scope import Scope
from symc.compiler.lowering.sharing import copy_step, fails, same_positions, viewed
from symc.compiler.lowering.single import lower_single
from symc.graph import Variable, dims
from symc.loops.ir import Host, Node, Ref, Step, walk

__all__ = ["Root"]


COPY_BACK = 1 << 16
"""The number of bytes up to which a new value is copied over the old one at the end of a call instead of swapped."""


class Root(Scope):
    """The outermost scope: arguments, shared variables, results, updates."""

    def sources(self, leaves: Mapping[Variable, Variable], is_shared: Callable[[Variable], bool]) -> None:
        """Create buffers of arguments and shared variables; ``leaves`` maps the user's variables to the compiler's."""
        slots = {"input": 0, "shared": 0}
        for leaf, source in leaves.items():
            if source in self.place:
                continue
            role = "shared" if is_shared(leaf) else "input"
            self.place[source] = Ref(self.add(source, role, slots[role]))
            slots[role] += 1

    def results(self, updates: Sequence[tuple[Variable, int]]) -> tuple[list[Node], list[int]]:
        """Lower the program; ``updates`` pairs shared variables with the positions of their next values.

        Returns the nodes, and the buffers of shared variables that they overwrite.
        """
        targets = [Ref(self.add(v, "output", slot)) for slot, v in enumerate(self.outputs)]
        self.renewed = {targets[k].buffer for _, k in updates}
        self.lower(targets)
        written, copied = self._place_updates([(self.place[s].buffer, targets[k].buffer, k) for s, k in updates])
        for old, new, position in copied:
            size = dims.product(self.outputs[position].type.shape)
            if type(size) is int and size * np.dtype(self.builder.buffers[new].dtype).itemsize <= COPY_BACK:
                self.builder.buffers[new].role = "temp"
                self.builder.home[new] = self
                self.nodes.append(copy_step(Ref(new), Ref(old), self.outputs[position]))
                written.append(old)
        return self.nodes, written

    def _place_updates(self, updates: Sequence[tuple[int, int, int]]) -> tuple[list[int], list[tuple[int, int, int]]]:
        """Let new values be written over the old ones, where no reader and no failure comes later.

        Gives the buffers that are overwritten, and those of ``updates`` (old buffer, new one, position among the
        outputs) that keep memory of their own.
        """
        uses, writes, barrier = self._accesses()
        buffers = self.builder.buffers
        written: list[int] = []
        apart: list[tuple[int, int, int]] = []
        for old, new, position in updates:
            made = buffers[new]
            made.role = "update"
            if new not in writes or made.shape != buffers[old].shape:
                continue
            readers, first_write, writer = uses.get(old, []), writes[new][0], writes[new][-1]
            step: Node | None = None
            if first_write > barrier and all(k < first_write for k in readers):
                step = self.nodes[writer]
            elif first_write > barrier and all(k <= first_write for k in readers) and first_write == writer:
                step = self._over(self.nodes[writer], old, new)
            if step is not None:
                made.alias = old
                written.append(old)
                self.nodes[writer] = step
            else:
                apart.append((old, new, position))
        return written, apart

    def _over(self, step: Node, old: int, new: int) -> Node | None:
        """The step that makes ``new`` of ``old``, now in its memory; None if it would read what it has written."""
        made = self._without_copy(step, old)
        if made is not step:
            return None if old in used(made) else made
        return step if isinstance(step, Step) and same_positions(step, old, new) else None

    def _without_copy(self, step: Node, old: int) -> Node:
        """The step that changes some elements of ``old``, without a copy of those that stay."""
        if id(step) not in self.copying:
            return step
        _, unit, source = self.copying[id(step)]
        base, offset = viewed(source)
        if offset != 0 or self.place[base].buffer != old:
            return step
        (made,) = lower_single(unit, self.ref_of, True, self.builder.status, self.builder.messages)
        return made

    def _accesses(self) -> tuple[dict[int, list[int]], dict[int, list[int]], int]:
        """By buffer, the positions of nodes that use it and of those that write it; the last that may fail."""
        uses: dict[int, list[int]] = {}
        writes: dict[int, list[int]] = {}
        barrier = -1
        for k, node in enumerate(self.nodes):
            for inner in walk([node]):
                for number in dict.fromkeys(used(inner)):
                    uses.setdefault(number, []).append(k)
                if isinstance(inner, (Step, Host)):
                    for number in inner.writes:
                        writes.setdefault(number, []).append(k)
                if fails(inner, self.builder.buffers):
                    barrier = k
        return uses, writes, barrier
