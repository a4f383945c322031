"""Execution: memory for the segments of a program, and calls."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.loops.ir import Bind, Host, Loop, Program, Step
from symc.runtime.backend import Provide
from symc.runtime.segments import Segments, offsets_of
from symc_backends.cuda.arrange import Arranger
from symc_backends.cuda.arrays import DeviceArray, upload
from symc_backends.cuda.build import Code
from symc_backends.cuda.call import RunningCall
from symc_backends.cuda.facts import Facts
from symc_backends.cuda.straight import Straight
from symc_backends.cuda.tasks import Task
from symc_backends.cuda.walk import Item, run_all

__all__ = ["Executable", "Layout", "run"]

LAYOUTS = 64
"""The number of combinations of values for which a function keeps the layout of a segment."""


def run(code: Code, program: Program, timed: bool = False) -> Executable:
    """Create an executable for ``code``; ``timed`` measures each step with events."""
    return Executable(code, program, timed)


class Layout:
    """The memory layout of a segment, for certain values of symbols.

    Attributes
    ----------
    negative : int
        The status of the call if a buffer would get a negative size, else 0.
    temporaries, offsets : array
        Temporaries, and their offsets in ``total`` bytes.
    results : list of (int, tuple of int)
        Results and their shapes.
    spare : int
        Scratch memory for all steps whose dims are known when the segment begins.
    """

    def __init__(self, owner: Executable, number: int, values: Sequence[int]) -> None:
        segment = owner.segments[number]
        sizes = segment.sizes(values)
        self.negative = next((-k - 1 for k, size in zip(segment.temporaries, sizes) if size < 0), 0)
        self.spare = self.total = 0
        if self.negative:
            return
        offsets, self.total = offsets_of(owner.program, segment, sizes)
        self.temporaries = np.array(list(offsets), "intp")
        self.offsets = np.array(list(offsets.values()), "int64")
        self.results = list(zip(segment.results, segment.shapes(sizes)))
        known = set(owner.known[number])
        straights = [s for s in owner.straights[number] if known.issuperset(s.symbols)]
        self.spare = max((s.prepared(values).spare for s in straights), default=0)


class Executable(Facts):
    """The executable; see ``symc.runtime.backend``. Calls from several threads are serialised in one stream."""

    def __init__(self, code: Code, program: Program, timed: bool) -> None:
        super().__init__(code, program, timed)
        buffers = program.buffers
        self.is_constant = [b.role == "constant" for b in buffers]
        self.constants: dict[int, DeviceArray] = {}
        launched = {n for step in program.steps if isinstance(step, Step) for n in step.buffers}
        self.launched = [k in launched for k in range(len(buffers))]
        self.segments = list(Segments(program))
        self.shares_arena = not any(isinstance(step, Host) for step in program.steps)
        self.known = self._known()
        self.items: list[list[Item]] = []
        self.straights: list[list[Straight]] = []
        arranger = Arranger(self)
        for nodes in program.segments:
            before = len(arranger.straights)
            self.items.append(arranger.items(nodes))
            self.straights.append(arranger.straights[before:])
        self.layouts: list[OrderedDict[tuple[int, ...], Layout]] = [OrderedDict() for _ in self.segments]

    def _known(self) -> list[list[int]]:
        """The positions of the symbols that are known at the beginning of each segment."""
        known = list(range(self.program.given))
        found = []
        for nodes in self.program.segments:
            found.append(list(known))
            for node in nodes:
                symbol = node.symbol if isinstance(node, Bind) else node.done if isinstance(node, Loop) else None
                if symbol is not None:
                    known.append(self.position[symbol])
        return found

    # --- calls ------------------------------------------------------------------------------------------------------

    def layout(self, number: int, values: Sequence[int]) -> Layout:
        """The layout of a segment for these values of symbols."""
        kept = self.layouts[number]
        key = tuple([values[k] for k in self.known[number]])
        found = kept.get(key)
        if found is None:
            while len(kept) >= LAYOUTS:
                kept.popitem(last=False)
            found = kept[key] = Layout(self, number, values)
        else:
            kept.move_to_end(key)
        return found

    def tasks(self, values: Sequence[int]) -> list[Task]:
        """All tasks for these values of the symbols: both sides of branches, each loop's body once."""
        return [task for group in self.straights for s in group for task in s.prepared(values).tasks]

    def __call__(self, arrays: Sequence[Any], values: Sequence[int], provide: Provide) -> tuple[int, list[int]]:
        with self.device:
            call = RunningCall(self, values)
            self._place(call, arrays)
            for number, items in enumerate(self.items):
                status = self._lay_out(call, number, provide) or run_all(items, call)
                if status:
                    return status, call.values
            return call.fetch(), call.values

    def _place(self, call: RunningCall, arrays: Sequence[Any]) -> None:
        """Find the addresses of arguments, shared variables and constants; arrays read by kernels are sent."""
        for k, array in enumerate(arrays):
            if array is None:
                continue
            if type(array) is not DeviceArray:
                call.given[k] = array.reshape(-1)
                if not self.launched[k]:
                    continue
                array = self._constant(k, array) if self.is_constant[k] else upload(self.device, array)
                call.held.append(array)
            call.addresses[k] = array.pointer

    def _constant(self, k: int, array: np.ndarray) -> DeviceArray:
        found = self.constants.get(k)
        if found is None:
            found = self.constants[k] = upload(self.device, array)
        return found

    def _lay_out(self, call: RunningCall, number: int, provide: Provide) -> int:
        """Allocate temporaries and results of a segment; returns 0, or the status if a size is negative.

        The first segment uses the arena that functions share, unless the program runs Python, which may call other
        functions.
        """
        layout = self.layout(number, call.values)
        if layout.negative:
            return layout.negative
        base = 0
        if layout.total and number == 0 and self.shares_arena:
            base = self.device.arena(layout.total)
        elif layout.total:
            memory = self.device.empty(layout.total)
            call.held.append(memory)
            base = int(memory)
        if layout.spare:
            self.device.scratch(layout.spare)
        call.addresses[layout.temporaries] = base + layout.offsets
        for k, shape in layout.results:
            array = provide(k, shape)
            call.held.append(array)
            call.addresses[k] = array.pointer
        call.addresses[:] = call.addresses[self.roots]
        return 0
