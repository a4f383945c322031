"""Running: what a call starts for its dims, memory for temporaries, and the call itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.compiler.memory_plan import bytes_of, layout, lengths_of
from symc.config import config
from symc.graph import dims
from symc.loops.ir import Program, Step
from symc_backends.cuda.arrays import DeviceArray, upload
from symc_backends.cuda.build import Code
from symc_backends.cuda.emit import Start, starts_of
from symc_backends.cuda.graphs import Graphs
from symc_backends.cuda.grids import grid_of, is_wide
from symc_backends.cuda.library_calls import bind
from symc_backends.cuda.tasks import ClearTask, KernelTask, LibraryTask, Task
from symc_backends.interp import evaluate

__all__ = ["Executable", "run"]

WORKSPACES = 64
"""Combinations of dims for which a function remembers its launches."""


def run(code: Code, program: Program, timed: bool = False) -> Executable:
    """Something that runs ``code``; ``timed`` measures each step with events."""
    return Executable(code, program, timed)


class Workspace:
    """What a call with given dims starts, in order, and where its temporaries lie in the arena.

    Attributes
    ----------
    tasks : list of Task
    arena : int
        Bytes of the arena, spare memory included, which begins after ``temporaries`` bytes.
    watched : bool
        Must the status be looked at between tasks, because a library would write over what the user holds?
    """

    def __init__(self, owner: Executable, values: Sequence[int]) -> None:
        program = owner.program
        bound = dict(zip(program.symbols, values))
        self.lengths = lengths_of(program, values)
        offsets, self.temporaries = layout(program.buffers, bytes_of(program, values))
        self.offsets = [(k, o) for k, o in enumerate(offsets) if o is not None]
        elsewhere = [k for k, o in enumerate(offsets) if o is None]
        self.aliases = [(k, program.buffers[k].alias) for k in elsewhere if program.buffers[k].alias >= 0]
        self.tasks: list[Task] = []
        if owner.status is not None and program.steps:
            self.tasks.append(ClearTask(program.steps[0], owner.status))
        for number, (step, starts) in enumerate(zip(program.steps, starts_of(program))):
            known = {f"n{k}": int(dims.evaluate(d, bound)) for k, d in enumerate(step.dims)}
            for start in starts:
                task = self._task(owner, number, step, start, known)
                if task is not None:
                    self.tasks.append(task)
        self.arena = self.temporaries + max((t.spare for t in self.tasks), default=0)
        self.watched = owner.status is not None and any(_overwrites(program, t) for t in self.tasks)
        self.graphs = Graphs()

    def _task(self, owner: Executable, number: int, step: Step, start: Any, known: dict[str, int]) -> Task | None:
        device = owner.device
        if not isinstance(start, Start):
            params = tuple(int(evaluate(p, known)) for p in start.call.params)
            buffers = [step.buffers[int(b[1:])] for b in start.call.buffers]
            return LibraryTask(number, step, bind(start.call.name, params, device), buffers)
        grid = grid_of(start.threads, known, device.processors)
        if grid is None:
            return None
        elements = max((self.lengths[n] for n in step.buffers), default=0)
        function = owner.code.function(start.name, is_wide(known, elements))
        status = owner.status if start.guarded else None
        return KernelTask(number, step, function, grid, list(known.values()), bool(start.threads.arrays), status)

    def point(self, addresses: Sequence[int], base: int) -> None:
        """Write the addresses of all buffers into the arguments of the tasks."""
        pointers = np.array(addresses, "uint64")
        for task in self.tasks:
            task.point(pointers, base + self.temporaries)


def _overwrites(program: Program, task: Task) -> bool:
    """Does a library write straight over a shared variable's old value?"""
    written = [program.buffers[task.step.buffers[k]] for k in task.step.kernel.writes]
    return isinstance(task, LibraryTask) and any(b.role == "update" and b.alias >= 0 for b in written)


class Executable:
    """See ``symc.runtime.backend``. Calls of many threads take turns: the GPU has one stream of work."""

    def __init__(self, code: Code, program: Program, timed: bool) -> None:
        self.code = code
        self.program = program
        self.device = code.device
        self.timed = timed
        self.times = np.zeros(max(len(program.steps), 1))
        self.workspaces: dict[tuple[int, ...], Workspace] = {}
        self.constants: dict[int, DeviceArray] = {}
        self.is_constant = [b.role == "constant" for b in program.buffers]
        self.status = next((k for k, b in enumerate(program.buffers) if b.role == "status"), None)

    def workspace(self, values: Sequence[int]) -> Workspace:
        """What a call with these dims starts."""
        key = tuple(values)
        found = self.workspaces.get(key)
        if found is None:
            if len(self.workspaces) >= WORKSPACES:
                self.workspaces.clear()
            found = self.workspaces[key] = Workspace(self, key)
        return found

    def __call__(self, arrays: Sequence[Any], values: Sequence[int]) -> int:
        with self.device as device:
            workspace = self.workspace(values)
            base = device.arena(workspace.arena)
            addresses, held = self._place(workspace, arrays, base)
            if self.timed:
                workspace.point(addresses, base)
                self._timed(workspace)
            elif workspace.watched or config.cuda_blocking:
                workspace.point(addresses, base)
                return self._watched(workspace, addresses)
            else:
                workspace.graphs.run(
                    device, workspace.tasks, (base, *addresses), lambda: workspace.point(addresses, base)
                )
            del held  # whatever is written there from now on comes later in the stream
            return self._trouble(addresses)

    def _place(self, workspace: Workspace, arrays: Sequence[Any], base: int) -> tuple[list[int], list[DeviceArray]]:
        """Where every buffer lies in this call; arguments and constants from the host are sent.

        The second list keeps what was sent alive.
        """
        held: list[DeviceArray] = []
        addresses = [0] * len(arrays)
        for k, array in enumerate(arrays):
            if type(array) is DeviceArray:
                addresses[k] = array.pointer
            elif array is not None:
                array = self._constant(k, array) if self.is_constant[k] else upload(self.device, array)
                held.append(array)
                addresses[k] = array.pointer
        for k, offset in workspace.offsets:
            addresses[k] = base + offset
        for k, source in workspace.aliases:
            addresses[k] = addresses[source]
        return addresses, held

    def _constant(self, k: int, array: np.ndarray) -> DeviceArray:
        found = self.constants.get(k)
        if found is None:
            found = self.constants[k] = upload(self.device, array)
        return found

    def _trouble(self, addresses: Sequence[int]) -> int:
        """The status that the kernels left, once they are done; 0 at once where there is none."""
        if self.status is None:
            return 0
        found = np.zeros(1, "int64")
        self.device.fetch(addresses[self.status], found)
        return int(found[0])

    def _watched(self, workspace: Workspace, addresses: Sequence[int]) -> int:
        """Run task by task; stop after a step that reports trouble, before any other changes what the user holds."""
        for k, task in enumerate(workspace.tasks):
            task.start(self.device)
            if config.cuda_blocking:
                task.wait(self.device)
            last = k + 1 == len(workspace.tasks) or workspace.tasks[k + 1].number != task.number
            if last and self.status in task.step.buffers and (found := self._trouble(addresses)):
                return found
        return 0

    def _timed(self, workspace: Workspace) -> None:
        """Run with an event before and after every task."""
        device, driver = self.device, self.device.driver
        marks = []
        for task in workspace.tasks:
            first, second = driver.Event(), driver.Event()
            first.record(device.stream)
            task.start(device)
            second.record(device.stream)
            marks.append((task.number, first, second))
        device.synchronize()
        for number, first, second in marks:
            self.times[number] += 1e-3 * first.time_till(second)
