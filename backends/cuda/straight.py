"""Straight sequences of steps, whose launches are prepared once per combination of dims."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np

from symc.graph import dims
from symc.loops.ir import Ref, Step
from symc_backends.cuda.call import RunningCall
from symc_backends.cuda.emit import Start, starts_of
from symc_backends.cuda.facts import Facts
from symc_backends.cuda.grids import grid_of, is_wide
from symc_backends.cuda.library_calls import bind
from symc_backends.cuda.mapping import LibraryLaunch
from symc_backends.cuda.tasks import ClearTask, KeepTask, KernelTask, LibraryTask, Prepared, Task
from symc_backends.interp import evaluate

__all__ = ["Straight"]

PREPARED = 128
"""The number of combinations of dims for which launches are kept."""
ALIGNED = 16
"""The alignment that cuDNN requires, in bytes."""


class Straight:
    """A sequence of steps without control flow.

    Launches depend only on dims and are kept. Offsets of references are applied when steps are started, so that
    iterations of a loop share launches.

    Attributes
    ----------
    symbols : list of int
        Positions of the symbols on which launches depend.
    moving : list of int
        Positions of the symbols on which offsets depend.
    buffers : array of int
        The program buffer of each slot of the tasks.
    fails : bool
        Whether a step may store a status.
    """

    def __init__(self, owner: Facts, steps: Sequence[Step], clear: bool = False) -> None:
        program = owner.program
        self.owner = owner
        self.steps = tuple(steps)
        self.clear = clear
        self.fails = any(owner.status in step.writes for step in steps)
        self._slots: dict[Ref, int] = {}
        self._status = -1 if owner.status is None else self._slot(Ref(owner.status))
        self._kept = -1 if owner.status is None else self._slot(Ref(owner.status, 1))
        self._places = [[self._slot(ref) for ref in step.refs] for step in steps]
        self.buffers = np.array([r.buffer for r in self._slots], "intp")
        widths = [np.dtype(program.buffers[r.buffer].dtype).itemsize for r in self._slots]
        offsets = [dims.mul(r.offset, width) for r, width in zip(self._slots, widths)]
        self.moving = owner.positions(offsets)
        self._evaluate_offsets = dims.compile(offsets, program.symbols)
        self._fixed = None if self.moving else np.array(self._evaluate_offsets([]), "int64")
        self._convolved = np.array(sorted(set(self._convolutions())), "intp")
        used = sorted({n for step in steps for n in step.buffers})
        self._used = {n: k for k, n in enumerate(used)}
        lengths = [owner.elements(n) for n in used]
        wanted = [*lengths, *(d for step in steps for d in step.dims)]
        self.symbols = owner.positions(wanted)
        self._evaluate = dims.compile(wanted, program.symbols)
        self._prepared: OrderedDict[tuple[int, ...], Prepared] = OrderedDict()

    def _slot(self, ref: Ref) -> int:
        return self._slots.setdefault(ref, len(self._slots))

    def _convolutions(self) -> Iterator[int]:
        """The slots that convolutions read and write."""
        for step, places in zip(self.steps, self._places):
            for start in starts_of(self.owner.program)[self.owner.number[id(step)]]:
                if isinstance(start, LibraryLaunch) and start.call.name.startswith("conv2d"):
                    yield from (places[int(b[1:])] for b in start.call.buffers)

    def start(self, call: RunningCall) -> None:
        """Enqueue all steps."""
        offsets = self._fixed
        if offsets is None:
            offsets = np.array(self._evaluate_offsets(call.values), "int64")
        pointers = call.addresses[self.buffers] + offsets
        aligned = not self._convolved.size or not (pointers[self._convolved] % ALIGNED).any()
        call.start(self.prepared(call.values, aligned), pointers.view("uint64"))

    def prepared(self, values: Sequence[int], aligned: bool = True) -> Prepared:
        """Return the launches for these values of all symbols; ``aligned`` permits cuDNN."""
        key = (aligned, *[values[k] for k in self.symbols])
        found = self._prepared.get(key)
        if found is None:
            while len(self._prepared) >= PREPARED:
                self._prepared.popitem(last=False)
            tasks = list(self._tasks(values, aligned))
            found = self._prepared[key] = Prepared(tasks, max((t.spare for t in tasks), default=0))
        else:
            self._prepared.move_to_end(key)
        return found

    def _tasks(self, values: Sequence[int], aligned: bool) -> Iterator[Task]:
        numbers = self._evaluate(values)
        lengths, at = numbers[: len(self._used)], len(self._used)
        first = self.owner.number[id(self.steps[0])] if self.steps else 0
        fresh = self.clear  # no error is possible so far
        if self.clear:
            yield ClearTask(first, self._status)
        for step, places in zip(self.steps, self._places):
            number = self.owner.number[id(step)]
            known = {f"n{k}": n for k, n in enumerate(numbers[at : at + len(step.dims)])}
            at += len(step.dims)
            guard = None if self._status < 0 else self._status
            if self.owner.status in step.writes:
                guard = self._kept
                if not fresh:
                    yield KeepTask(number, self._status)
                fresh = False
            longest = max((lengths[self._used[n]] for n in step.buffers), default=0)
            for start in starts_of(self.owner.program)[number]:
                if isinstance(start, LibraryLaunch):
                    params = [int(evaluate(p, known)) for p in start.call.params]
                    bound = bind(start.call.name, params, self.owner.device, aligned)
                    yield LibraryTask(number, step, bound, [places[int(b[1:])] for b in start.call.buffers])
                else:
                    yield from self._launch(number, step, start, places, known, longest, guard)

    def _launch(
        self,
        number: int,
        step: Step,
        start: Start,
        places: Sequence[int],
        known: dict[str, int],
        longest: int,
        guard: int | None,
    ) -> Iterator[Task]:
        grid = grid_of(start.threads, known, self.owner.device.processors)
        if grid is not None:
            function = self.owner.code.function(start.name, is_wide(known, longest))
            private = bool(start.threads.arrays)
            yield KernelTask(number, step, function, grid, places, list(known.values()), private, guard)
