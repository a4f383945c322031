"""Conversion of a program's tree to the items of the walk over it."""

from __future__ import annotations

from collections.abc import Sequence

from symc.loops.ir import Bind, Branch, Check, Host, Loop, Node, Room, Step, walk
from symc_backends.cuda.emit import starts_of
from symc_backends.cuda.facts import Facts
from symc_backends.cuda.mapping import LibraryLaunch
from symc_backends.cuda.straight import Straight
from symc_backends.cuda.walk import (
    Binding,
    Choice,
    Condition,
    FreeLoop,
    Group,
    HostItem,
    Item,
    Look,
    Reservation,
    Watched,
)

__all__ = ["Arranger"]


class Arranger:
    """Builder of items from nodes.

    Kernels do nothing once a status is set. Library calls do not read the status, so the host checks it before a
    library call that overwrites memory visible to the caller.

    Attributes
    ----------
    straights : list of Straight
        All straights created so far.
    """

    def __init__(self, owner: Facts) -> None:
        self.owner = owner
        self.straights: list[Straight] = []
        self._clear = owner.status is not None
        self._pending = False  # whether a status may be set that was not checked yet

    def items(self, nodes: Sequence[Node]) -> list[Item]:
        """Build the items of nodes, in order."""
        items: list[Item] = []
        parts: list[Straight | FreeLoop] = []
        steps: list[Step] = []

        def end_steps() -> None:
            if steps or self._clear:
                parts.append(Straight(self.owner, steps, self._clear))
                self.straights.append(parts[-1])  # type: ignore[arg-type]
                steps.clear()
                self._clear = False

        def end_group() -> None:
            end_steps()
            if parts:
                items.append(Group(parts))
                parts.clear()

        for node in nodes:
            if isinstance(node, Step):
                if self._pending and self._overwrites(node):
                    end_group()
                    items.append(Look())
                    self._pending = False
                steps.append(node)
                self._pending |= self.owner.status in node.writes
                continue
            end_steps()
            made = self._item(node)
            if isinstance(made, FreeLoop):
                parts.append(made)
            else:
                end_group()
                items.append(made)
        end_group()
        return items

    def _item(self, node: Node) -> Item | FreeLoop:
        owner = self.owner
        if isinstance(node, Loop):
            # nodes late in the body precede nodes early in the next iteration
            self._pending |= any(isinstance(n, Step) and owner.status in n.writes for n in walk(node.body))
            pending = self._pending
            body = self.items(node.body)
            self._pending |= pending
            if node.until is None and all(isinstance(item, Group) for item in body):
                return FreeLoop(owner, node, [part for item in body for part in item.parts])  # type: ignore[attr-defined]
            return Watched(owner, node, body)
        if isinstance(node, Check):
            return Condition(owner, node)
        if isinstance(node, Room):
            return Reservation(owner, node)
        source = node.source if isinstance(node, Bind) else node.condition if isinstance(node, Branch) else None
        if source is None or not owner.may_be_given(source):
            self._pending = False  # every fetch from the GPU also reads the status
        if isinstance(node, Branch):
            before = self._pending
            then = self.items(node.then)
            pending, self._pending = self._pending, before
            otherwise = self.items(node.otherwise)
            self._pending |= pending
            return Choice(owner, node, then, otherwise)
        if isinstance(node, Bind):
            return Binding(owner, node)
        assert isinstance(node, Host)
        return HostItem(owner, node)

    def _overwrites(self, step: Step) -> bool:
        """Whether a library writes a shared variable's value in place."""
        starts = starts_of(self.owner.program)[self.owner.number[id(step)]]
        if not any(isinstance(start, LibraryLaunch) for start in starts):
            return False
        buffers = self.owner.program.buffers
        return any(buffers[self.owner.roots[n]].role == "shared" for n in step.writes)
