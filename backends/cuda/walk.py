"""The items of the host's walk over a program's tree during a call.

Steps that need no result from the GPU on the host, and loops over such steps, form a ``Group``, which is recorded as a
CUDA graph. All other items wait for the element that decides how to continue, and for the status.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from symc.config import config
from symc.graph import dims
from symc.loops.ir import Bind, Branch, Check, Host, Loop, Ref, Room
from symc_backends.cuda.call import RunningCall
from symc_backends.cuda.facts import Facts
from symc_backends.cuda.graphs import Graphs
from symc_backends.cuda.shadows import value_of
from symc_backends.cuda.straight import Straight

__all__ = [
    "Binding", "Choice", "Condition", "FreeLoop", "Group", "HostItem", "Item", "Look", "Reservation", "Watched",
    "run_all",
]  # fmt: skip

KEPT = 64
"""The number of combinations of values for which a group keeps recordings."""


class Item(Protocol):
    """An item of the walk."""

    def run(self, call: RunningCall) -> int:
        """Run the item; returns 0, or the status that ends the call."""


def run_all(items: Sequence[Item], call: RunningCall) -> int:
    """Run items in order, until one ends the call."""
    for item in items:
        status = item.run(call)
        if status:
            return status
    return 0


class Place:
    """The location of a reference in a call."""

    def __init__(self, owner: Facts, ref: Ref) -> None:
        self.buffer = ref.buffer
        self.dtype = np.dtype(owner.program.buffers[ref.buffer].dtype)
        self._offset = dims.compile([ref.offset], owner.program.symbols)

    def address(self, call: RunningCall) -> int:
        """The address of its first element."""
        return int(call.addresses[self.buffer]) + self._offset(call.values)[0] * self.dtype.itemsize

    def given(self, call: RunningCall, size: int) -> np.ndarray | None:
        """The ``size`` elements there, if they can be computed from arguments in host memory."""
        found = value_of(self.buffer, call.owner.shadows, call.given)
        if found is None:
            return None
        offset = self._offset(call.values)[0]
        return found[offset : offset + size]

    def element(self, call: RunningCall) -> tuple[int, Any]:
        """Return the status, and the element there."""
        found = self.given(call, 1)
        if found is not None:
            return 0, found[0]
        found = np.empty(1, self.dtype)
        return call.fetch([(self.address(call), found)]), found[0]


class FreeLoop:
    """A loop whose body needs no result from the GPU on the host."""

    def __init__(self, owner: Facts, loop: Loop, body: Sequence[Straight | FreeLoop]) -> None:
        self.body = body
        self.fails: bool = any(part.fails for part in body)
        self.index = owner.position[loop.index]
        self.done = None if loop.done is None else owner.position[loop.done]
        self.count: Callable[[Sequence[int]], tuple[int, ...]] = dims.compile([loop.count], owner.program.symbols)
        counted = owner.positions([loop.count])
        inside = [k for part in body for k in part.symbols]
        self.symbols: list[int] = [k for k in (*counted, *inside) if k != self.index]
        self.moving: list[int] = [k for part in body for k in part.moving if k != self.index]

    def start(self, call: RunningCall) -> None:
        """Enqueue all iterations."""
        values = call.values
        for k in range(self.count(values)[0]):
            values[self.index] = k
            for part in self.body:
                part.start(call)
        self.finish(call)

    def finish(self, call: RunningCall) -> None:
        """Set symbols to their values after the last iteration."""
        values, count = call.values, max(self.count(call.values)[0], 0)
        values[self.index] = max(count - 1, 0)
        for part in self.body:
            if isinstance(part, FreeLoop) and count:
                part.finish(call)
        values[self.index] = 0
        if self.done is not None:
            values[self.done] = count


class Group:
    """Work that needs no result from the GPU on the host, recorded when values and addresses repeat."""

    def __init__(self, parts: Sequence[Straight | FreeLoop]) -> None:
        self.parts = tuple(parts)
        self.fails = any(part.fails for part in parts)
        self.symbols = sorted({k for part in parts for k in (*part.symbols, *part.moving)})
        self.buffers = np.array(sorted({k for s in _straights(parts) for k in s.buffers.tolist()}), "intp")
        self.graphs: OrderedDict[tuple[int, ...], Graphs] = OrderedDict()

    def run(self, call: RunningCall) -> int:
        if self.fails:
            call.pending = True
        if call.owner.timed or config.cuda_blocking:
            self.start(call)
            call.add_up_times()
            return 0
        device = call.device
        key = (*device.scratch_place, *call.addresses[self.buffers].tolist())
        self._graphs(call.values).run(device, key, lambda: self.start(call))
        for part in self.parts:
            if isinstance(part, FreeLoop):
                part.finish(call)
        return 0

    def start(self, call: RunningCall) -> int:
        """Enqueue everything; returns the number of tasks."""
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
    """A check of the status before steps that cannot be guarded by it."""

    def run(self, call: RunningCall) -> int:
        return call.fetch() if call.pending else 0


class Watched:
    """A loop that fetches values from the GPU in its body, or after each iteration."""

    def __init__(self, owner: Facts, loop: Loop, body: Sequence[Item]) -> None:
        self.body = body
        self.index = owner.position[loop.index]
        self.done = None if loop.done is None else owner.position[loop.done]
        self.count = dims.compile([loop.count], owner.program.symbols)
        self.until = None if loop.until is None else Place(owner, loop.until)

    def run(self, call: RunningCall) -> int:
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

    def __init__(self, owner: Facts, branch: Branch, then: Sequence[Item], otherwise: Sequence[Item]) -> None:
        self.condition = Place(owner, branch.condition)
        self.then, self.otherwise = then, otherwise

    def run(self, call: RunningCall) -> int:
        status, holds = self.condition.element(call)
        return status or run_all(self.then if holds else self.otherwise, call)


class Binding:
    """An item that binds a symbol to the value of an integer."""

    def __init__(self, owner: Facts, node: Bind) -> None:
        self.symbol = owner.position[node.symbol]
        self.source = Place(owner, node.source)

    def run(self, call: RunningCall) -> int:
        status, value = self.source.element(call)
        if not status:
            call.values[self.symbol] = int(value)
        return status


class Condition:
    """A check of two dims."""

    def __init__(self, owner: Facts, node: Check) -> None:
        self.code, self.least = node.code, node.least
        self.sides = dims.compile([dims.sub(node.left, node.right)], owner.program.symbols)

    def run(self, call: RunningCall) -> int:
        (difference,) = self.sides(call.values)
        if difference == 0 or self.least and difference > 0:
            return 0
        return call.fetch() or self.code  # earlier errors take precedence


class Reservation:
    """An allocation for a buffer whose size is known only now; iterations of a loop reuse it if it is large enough."""

    def __init__(self, owner: Facts, node: Room) -> None:
        self.buffer = node.buffer
        self.width = np.dtype(owner.program.buffers[node.buffer].dtype).itemsize
        self.elements = dims.compile([node.elements], owner.program.symbols)
        self.sharing = np.flatnonzero(owner.roots == node.buffer)

    def run(self, call: RunningCall) -> int:
        wanted = self.elements(call.values)[0] * self.width
        if wanted < 0:
            return call.fetch() or -self.buffer - 1
        memory, size = call.rooms.get(self.buffer, (None, -1))
        if size < wanted:
            memory, _ = call.rooms[self.buffer] = call.device.empty(wanted), wanted
        call.addresses[self.sharing] = int(memory)
        return 0


class HostItem:
    """A step in Python, on copies in host memory."""

    def __init__(self, owner: Facts, node: Host) -> None:
        self.node = node
        self.number = owner.number[id(node)]
        self.places = [Place(owner, ref) for ref in node.refs]
        self.sizes = dims.compile(node.dims, owner.program.symbols)

    def run(self, call: RunningCall) -> int:
        node, device = self.node, call.device
        if call.owner.timed:
            device.synchronize()
        begin = perf_counter()
        arrays, wanted = self._arrays(call)
        status = call.fetch(wanted)
        if status:
            return status
        outputs, inputs = arrays[: node.outputs], arrays[node.outputs :]
        for array in inputs:
            array.setflags(write=False)
        with device.released():
            node.callback(outputs, inputs)
        for array, place in zip(outputs, self.places):
            if array.size:
                device.send(array, place.address(call))
        call.owner.times[self.number] += perf_counter() - begin
        return 0

    def _arrays(self, call: RunningCall) -> tuple[list[np.ndarray], list[tuple[int, np.ndarray]]]:
        """Arrays for the outputs and inputs, and the addresses from which some of them must be copied."""
        sizes, at = self.sizes(call.values), 0
        arrays: list[np.ndarray] = []
        wanted = []
        for k, (place, shape) in enumerate(zip(self.places, self.node.shapes)):
            known = sizes[at : at + len(shape)]
            at += len(shape)
            found = place.given(call, math.prod(known)) if k >= self.node.outputs else None
            if found is None:
                arrays.append(np.empty(known, place.dtype))
                if k >= self.node.outputs:
                    wanted.append((place.address(call), arrays[-1]))
            else:
                arrays.append(found.reshape(known))
        return arrays, wanted


def _straights(parts: Sequence[Straight | FreeLoop]) -> list[Straight]:
    found: list[Straight] = []
    for part in parts:
        found += [part] if isinstance(part, Straight) else _straights(part.body)
    return found
