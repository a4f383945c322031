"""A program's tree as the host walks it.

What needs no answer from the GPU (steps, and loops over such steps) is put into the stream as a ``Group``, which CUDA
graphs record. Everything else waits for the element that decides how to go on, and for the status with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from symc.config import config
from symc.graph import dims
from symc.loops.ir import Bind, Branch, Check, Host, Loop, Node, Ref, Step, walk
from symc_backends.cuda.call import Call
from symc_backends.cuda.emit import starts_of
from symc_backends.cuda.graphs import Graphs
from symc_backends.cuda.mapping import LibraryLaunch
from symc_backends.cuda.straight import Straight

if TYPE_CHECKING:
    from symc_backends.cuda.run import Executable

__all__ = ["Arranger", "Group", "Item", "run_all"]

KEPT = 64
"""Combinations of values for which a group keeps recordings."""


class Item(Protocol):
    """A part of the walk."""

    def run(self, call: Call) -> int:
        """Do it; gives 0, or the status that ends the call."""


def run_all(items: Sequence[Item], call: Call) -> int:
    """Run items in order, up to the first that ends the call."""
    for item in items:
        status = item.run(call)
        if status:
            return status
    return 0


class Place:
    """Where a reference points in a call."""

    def __init__(self, owner: Executable, ref: Ref) -> None:
        self.buffer = ref.buffer
        self.dtype = owner.program.buffers[ref.buffer].dtype
        width = np.dtype(self.dtype).itemsize
        self._offset = dims.compile([dims.mul(ref.offset, width)], owner.program.symbols)

    def address(self, call: Call) -> int:
        """The address of its first element."""
        return int(call.addresses[self.buffer]) + self._offset(call.values)[0]

    def element(self, call: Call) -> tuple[int, Any]:
        """The status, and the element there."""
        found = np.empty(1, self.dtype)
        return call.fetch([(self.address(call), found)]), found[0]


class FreeLoop:
    """A loop whose body needs no answer from the GPU."""

    def __init__(self, owner: Executable, loop: Loop, body: Sequence[Straight | FreeLoop]) -> None:
        self.body = body
        self.fails = any(part.fails for part in body)
        self.index = owner.position[loop.index]
        self.done = None if loop.done is None else owner.position[loop.done]
        self.count: Callable[[Sequence[int]], tuple[int, ...]] = dims.compile([loop.count], owner.program.symbols)
        counted = owner.positions([loop.count])
        self.symbols = [k for k in [*counted, *(k for part in body for k in part.symbols)] if k != self.index]
        self.moving = [k for part in body for k in part.moving if k != self.index]

    def start(self, call: Call) -> None:
        """Put all iterations into the stream."""
        values = call.values
        for k in range(self.count(values)[0]):
            values[self.index] = k
            for part in self.body:
                part.start(call)
        self.finish(call)

    def finish(self, call: Call) -> None:
        """Leave symbols as they are after the last iteration."""
        values, count = call.values, max(self.count(call.values)[0], 0)
        values[self.index] = max(count - 1, 0)
        for part in self.body:
            if isinstance(part, FreeLoop) and count:
                part.finish(call)
        values[self.index] = 0
        if self.done is not None:
            values[self.done] = count


class Group:
    """What needs no answer from the GPU: recorded where it comes again with the same values and addresses."""

    def __init__(self, parts: Sequence[Straight | FreeLoop]) -> None:
        self.parts = tuple(parts)
        self.fails = any(part.fails for part in parts)
        self.symbols = sorted({k for part in parts for k in (*part.symbols, *part.moving)})
        self.buffers = np.array(sorted({k for s in _straights(parts) for k in s.buffers.tolist()}), "intp")
        self.graphs: OrderedDict[tuple[int, ...], Graphs] = OrderedDict()

    def run(self, call: Call) -> int:
        if self.fails:
            call.pending = True
        if call.owner.timed or config.cuda_blocking:
            self.start(call)
            call.settle()
            return 0
        device = call.device
        key = (*device.scratch_place, *call.addresses[self.buffers].tolist())
        self._graphs(call.values).run(device, key, lambda: self.start(call))
        for part in self.parts:
            if isinstance(part, FreeLoop):
                part.finish(call)
        return 0

    def start(self, call: Call) -> int:
        """Put everything into the stream; gives the number of tasks."""
        before = call.started
        for part in self.parts:
            part.start(call)
        return call.started - before

    def _graphs(self, values: Sequence[int]) -> Graphs:
        key = tuple([values[k] for k in self.symbols])
        found = self.graphs.get(key)
        if found is None:
            while len(self.graphs) >= KEPT:
                self.graphs.popitem(last=False)
            found = self.graphs[key] = Graphs()
        else:
            self.graphs.move_to_end(key)
        return found


class Look:
    """Ends the call if a step has stored a status: what comes next cannot be guarded by it."""

    def run(self, call: Call) -> int:
        return call.fetch() if call.pending else 0


class Watched:
    """A loop that asks the GPU for something in its body, or after each iteration."""

    def __init__(self, owner: Executable, loop: Loop, body: Sequence[Item]) -> None:
        self.body = body
        self.index = owner.position[loop.index]
        self.done = None if loop.done is None else owner.position[loop.done]
        self.count = dims.compile([loop.count], owner.program.symbols)
        self.until = None if loop.until is None else Place(owner, loop.until)

    def run(self, call: Call) -> int:
        done = 0
        for k in range(self.count(call.values)[0]):
            call.values[self.index] = k
            status = run_all(self.body, call)
            if status:
                return status
            done = k + 1
            if self.until is not None:
                status, over = self.until.element(call)
                if status:
                    return status
                if over:
                    break
        call.values[self.index] = 0
        if self.done is not None:
            call.values[self.done] = done
        return 0


class Choice:
    """A branch."""

    def __init__(self, owner: Executable, branch: Branch, then: Sequence[Item], otherwise: Sequence[Item]) -> None:
        self.condition = Place(owner, branch.condition)
        self.then, self.otherwise = then, otherwise

    def run(self, call: Call) -> int:
        status, holds = self.condition.element(call)
        return status or run_all(self.then if holds else self.otherwise, call)


class Binding:
    """A symbol that becomes the value of a whole number."""

    def __init__(self, owner: Executable, node: Bind) -> None:
        self.symbol = owner.position[node.symbol]
        self.source = Place(owner, node.source)

    def run(self, call: Call) -> int:
        status, value = self.source.element(call)
        if not status:
            call.values[self.symbol] = int(value)
        return status


class Condition:
    """A check of two dims."""

    def __init__(self, owner: Executable, node: Check) -> None:
        self.code, self.least = node.code, node.least
        self.sides = dims.compile([dims.sub(node.left, node.right)], owner.program.symbols)

    def run(self, call: Call) -> int:
        (difference,) = self.sides(call.values)
        if difference == 0 or self.least and difference > 0:
            return 0
        return call.fetch() or self.code  # what went wrong earlier is told first


class HostItem:
    """A step that Python runs, on copies in the host's memory."""

    def __init__(self, owner: Executable, node: Host) -> None:
        self.node = node
        self.number = owner.number[id(node)]
        self.places = [Place(owner, ref) for ref in node.refs]
        self.sizes = dims.compile(node.dims, owner.program.symbols)

    def run(self, call: Call) -> int:
        node, device = self.node, call.device
        if call.owner.timed:
            device.synchronize()
        begin = perf_counter()
        arrays = self._arrays(call.values)
        pointers = [place.address(call) for place in self.places]
        outputs, inputs = arrays[: node.outputs], arrays[node.outputs :]
        status = call.fetch(list(zip(pointers[node.outputs :], inputs)))
        if status:
            return status
        for array in inputs:
            array.setflags(write=False)
        with device.released():
            node.callback(outputs, inputs)
        for array, pointer in zip(outputs, pointers):
            if array.size:
                device.send(array, pointer)
        call.owner.times[self.number] += perf_counter() - begin
        return 0

    def _arrays(self, values: Sequence[int]) -> list[np.ndarray]:
        sizes, at, arrays = self.sizes(values), 0, []
        for shape, dtype in zip(self.node.shapes, self.node.dtypes):
            arrays.append(np.empty(sizes[at : at + len(shape)], dtype))
            at += len(shape)
        return arrays


def _straights(parts: Sequence[Straight | FreeLoop]) -> list[Straight]:
    found: list[Straight] = []
    for part in parts:
        found += [part] if isinstance(part, Straight) else _straights(part.body)
    return found


class Arranger:
    """Makes items of nodes.

    Kernels do nothing once a status is set. Library calls cannot know of it, so that the host looks at the status
    before one that writes over what the caller can see.

    Attributes
    ----------
    straights : list of Straight
        All that were made.
    """

    def __init__(self, owner: Executable) -> None:
        self.owner = owner
        self.straights: list[Straight] = []
        self._clear = owner.status is not None
        self._pending = False  # may a status be set that nobody looked at?

    def items(self, nodes: Sequence[Node]) -> list[Item]:
        """The items of nodes in order."""
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
            # what comes late in the body comes before what comes early
            self._pending |= any(isinstance(n, Step) and owner.status in n.writes for n in walk(node.body))
            pending = self._pending
            body = self.items(node.body)
            self._pending |= pending
            if node.until is None and all(isinstance(item, Group) for item in body):
                return FreeLoop(owner, node, [part for item in body for part in item.parts])  # type: ignore[attr-defined]
            return Watched(owner, node, body)
        if isinstance(node, Check):
            return Condition(owner, node)
        self._pending = False  # all that follow fetch the status as well
        if isinstance(node, Branch):
            then = self.items(node.then)
            pending, self._pending = self._pending, False
            otherwise = self.items(node.otherwise)
            self._pending |= pending
            return Choice(owner, node, then, otherwise)
        return Binding(owner, node) if isinstance(node, Bind) else HostItem(owner, node)  # type: ignore[arg-type]

    def _overwrites(self, step: Step) -> bool:
        """Does a library write straight over a shared variable's value?"""
        starts = starts_of(self.owner.program)[self.owner.number[id(step)]]
        if not any(isinstance(start, LibraryLaunch) for start in starts):
            return False
        buffers = self.owner.program.buffers
        return any(buffers[self.owner.roots[n]].role == "shared" for n in step.writes)
