"""The state of a running call: addresses of its memory, values of symbols, and work put into the stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.config import config
from symc_backends.cuda.facts import Facts
from symc_backends.cuda.tasks import Prepared

__all__ = ["RunningCall"]

MARKS = 512
"""The number of tasks that are timed before their times are read."""


class RunningCall:
    """The state of a running call.

    Attributes
    ----------
    values : list of int
        Values of all symbols; 0 for those that are not bound yet.
    addresses : array of int64
        Addresses of the program buffers.
    given : dict of int to array
        Program buffers that were passed in host memory, flat, and values computed from them.
    held : list
        Objects that keep memory alive until the call ends. Later writes to this memory come later in the stream.
    rooms : dict of int to (memory, int)
        Memory allocated by ``Room`` nodes for their buffers, and its bytes.
    pending : bool
        Whether a step may have stored a status that was not checked yet.
    started : int
        The number of tasks put into the stream.
    """

    def __init__(self, owner: Facts, values: Sequence[int]) -> None:
        program = owner.program
        self.owner = owner
        self.device = owner.device
        self.values = [*values, *[0] * (len(program.symbols) - len(values))]
        self.addresses = np.zeros(len(program.buffers), "int64")
        self.given: dict[int, np.ndarray] = {}
        self.held: list[Any] = []
        self.rooms: dict[int, tuple[Any, int]] = {}
        self.pending = False
        self.started = 0
        self._marks: list[tuple[int, Any, Any]] = []

    def start(self, prepared: Prepared, pointers: np.ndarray) -> None:
        """Enqueue tasks for memory at these addresses."""
        device = self.device
        spare = device.scratch(prepared.spare) if prepared.spare else 0
        self.started += len(prepared.tasks)
        for task in prepared.tasks:
            task.point(pointers, spare)
            if self.owner.timed:
                self._timed(task)
            else:
                task.start(device)
            if config.cuda_blocking:
                task.wait(device)

    def _timed(self, task: Any) -> None:
        device = self.device
        first, second = device.driver.Event(), device.driver.Event()
        first.record(device.stream)
        task.start(device)
        second.record(device.stream)
        self._marks.append((task.number, first, second))
        if len(self._marks) >= MARKS:
            self.add_up_times()

    def add_up_times(self) -> None:
        """Accumulate the times of the started tasks, once they have finished."""
        if self._marks:
            self.device.synchronize()
            for number, first, second in self._marks:
                self.owner.times[number] += 1e-3 * first.time_till(second)
            self._marks.clear()

    def fetch(self, wanted: Sequence[tuple[int, np.ndarray]] = ()) -> int:
        """Copy memory to arrays, waiting once, and return the status; the arrays are valid only if it is 0."""
        status = np.zeros(1, "int64")
        pairs = [(pointer, array) for pointer, array in wanted if array.size]
        if self.pending:
            pairs.append((int(self.addresses[self.owner.status]), status))
            self.pending = False
        if pairs:
            self.device.fetch_all(pairs)
        return int(status[0])
