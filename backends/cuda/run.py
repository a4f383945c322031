"""Running: what a call starts for its dims, memory for temporaries, and the call itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc import dims
from symc.config import config
from symc.loops.ir import Program, Step
from symc.memory import layout
from symc_backends.cuda.arrays import DeviceArray, upload
from symc_backends.cuda.build import Code
from symc_backends.cuda.emit import Start, starts_of
from symc_backends.cuda.graphs import Graphs
from symc_backends.cuda.grids import grid_of, is_wide
from symc_backends.cuda.routines import bind
from symc_backends.cuda.tasks import KernelTask, RoutineTask, Task
from symc_backends.interp import evaluate

__all__ = ["Executable", "run"]

FRAMES = 64
"""Combinations of dims for which a function remembers its launches."""


def run(code: Code, program: Program, timed: bool = False) -> Executable:
    """Something that runs ``code``; ``timed`` measures each step with events."""
    return Executable(code, program, timed)


class Frame:
    """What a call with given dims starts, in order, and where its temporaries lie in the arena."""

    def __init__(self, owner: Executable, values: Sequence[int]) -> None:
        self.program = program = owner.program
        bound = dict(zip(program.symbols, values))
        self.lengths = [
            int(np.prod([dims.evaluate(d, bound) for d in b.shape], dtype="int64")) for b in program.buffers
        ]
        sizes = [n * np.dtype(b.dtype).itemsize for n, b in zip(self.lengths, program.buffers)]
        offsets, total = layout(program.buffers, sizes)
        self.offsets = [(k, o) for k, o in enumerate(offsets) if o is not None]
        self.aliases = [
            (k, b.alias) for k, (b, o) in enumerate(zip(program.buffers, offsets)) if o is None and b.alias >= 0
        ]
        self.tasks: list[Task] = []
        for number, (step, starts) in enumerate(zip(program.steps, starts_of(program))):
            known = {f"n{k}": int(dims.evaluate(d, bound)) for k, d in enumerate(step.dims)}
            for start in starts:
                task = self._task(owner.code, number, step, start, known)
                if task is not None:
                    self.tasks.append(task)
        self.spare = total
        self.arena = total + max((t.spare for t in self.tasks), default=0)
        self.pointers = np.zeros(len(program.buffers), "uint64")
        self.filled = False
        self.graphs = Graphs()

    def _task(self, code: Code, number: int, step: Step, start: Any, known: dict[str, int]) -> Task | None:
        if isinstance(start, Start):
            grid = grid_of(start.threads, known, code.device.processors)
            if grid is None:
                return None
            elements = max((self.lengths[n] for n in step.buffers), default=0)
            function = code.function(start.name, is_wide(step.kernel, known, elements))
            return KernelTask(number, step, function, grid, list(known.values()), bool(start.threads.arrays))
        params = tuple(int(evaluate(p, known)) for p in start.call.params)
        buffers = [step.buffers[int(b[1:])] for b in start.call.buffers]
        return RoutineTask(number, step, bind(start.call.name, params, code.device), buffers)


class Executable:
    """See ``symc.backend``. Calls of many threads take turns: the GPU has one stream of work."""

    def __init__(self, code: Code, program: Program, timed: bool) -> None:
        self.code = code
        self.program = program
        self.device = code.device
        self.timed = timed
        self.times = np.zeros(max(len(program.steps), 1))
        self.frames: dict[tuple[int, ...], Frame] = {}
        self.constants: dict[int, DeviceArray] = {}
        self.status = next((k for k, b in enumerate(program.buffers) if b.role == "status"), None)

    def frame(self, values: Sequence[int]) -> Frame:
        """What a call with these dims starts."""
        key = tuple(values)
        found = self.frames.get(key)
        if found is None:
            if len(self.frames) >= FRAMES:
                self.frames.clear()
            found = self.frames[key] = Frame(self, key)
        return found

    def __call__(self, arrays: Sequence[Any], values: Sequence[int]) -> int:
        with self.device as device:
            frame = self.frame(values)
            base = device.arena(frame.arena)
            held = self._place(frame, arrays, base)
            if self.timed:
                status = self._timed(frame, base)
            elif self.status is not None or config.cuda_blocking:
                status = self._watched(frame, base)
            else:
                frame.graphs.run(device, frame.tasks, base + frame.spare, frame.pointers.tobytes())
                status = 0
            del held  # whatever is written there from now on comes later in the stream
        return status

    def _place(self, frame: Frame, arrays: Sequence[Any], base: int) -> list[DeviceArray]:
        """Where every buffer lies in this call; arguments and constants from the host are sent."""
        held: list[DeviceArray] = []
        addresses = [0] * len(arrays)
        for k, array in enumerate(arrays):
            if array is None:
                continue
            if not isinstance(array, DeviceArray):
                array = self._constant(k, array) if self.program.buffers[k].role == "constant" else self._sent(array)
            held.append(array)
            addresses[k] = array.pointer
        for k, offset in frame.offsets:
            addresses[k] = base + offset
        for k, source in frame.aliases:
            addresses[k] = addresses[source]
        pointers = np.array(addresses, "uint64")
        if not frame.filled or not np.array_equal(pointers, frame.pointers):
            frame.pointers = pointers
            frame.filled = True
            for task in frame.tasks:
                task.point(pointers, base + frame.spare)
        return held

    def _sent(self, array: np.ndarray) -> DeviceArray:
        return upload(self.device, array)

    def _constant(self, k: int, array: np.ndarray) -> DeviceArray:
        found = self.constants.get(k)
        if found is None:
            found = self.constants[k] = upload(self.device, array)
        return found

    def _watched(self, frame: Frame, base: int) -> int:
        """Run task by task; stop after a step that reports trouble, before any other changes what the user holds."""
        device = self.device
        status = None if self.status is None else int(frame.pointers[self.status])
        if status is not None:
            device.clear(status, 8)
        found = np.zeros(1, "int64")
        for k, task in enumerate(frame.tasks):
            task.start(device)
            if config.cuda_blocking:
                task.wait(device)
            last = k + 1 == len(frame.tasks) or frame.tasks[k + 1].number != task.number
            if status is not None and last and self.status in task.step.buffers:
                device.fetch(status, found)
                if found[0]:
                    return int(found[0])
        return 0

    def _timed(self, frame: Frame, base: int) -> int:
        """As ``_watched``, with an event before and after every task."""
        device = self.device
        driver = device.driver
        if self.status is not None:
            device.clear(int(frame.pointers[self.status]), 8)
        marks = []
        for task in frame.tasks:
            first, second = driver.Event(), driver.Event()
            first.record(device.stream)
            task.start(device)
            second.record(device.stream)
            marks.append((task.number, first, second))
        device.synchronize()
        for number, first, second in marks:
            self.times[number] += 1e-3 * first.time_till(second)
        if self.status is None:
            return 0
        found = np.zeros(1, "int64")
        device.fetch(int(frame.pointers[self.status]), found)
        return int(found[0])
