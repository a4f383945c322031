"""One running call: where its memory lies, the values of symbols, and what it has put into the stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symc.config import config
from symc_backends.cuda.straight import Prepared

if TYPE_CHECKING:
    from symc_backends.cuda.run import Executable

__all__ = ["Call"]

MARKS = 512
"""Tasks that are timed before their times are read."""


class Call:
    """One running call.

    Attributes
    ----------
    values : list of int
        Of all symbols; 0 for those that are not bound yet.
    addresses : array of int64
        Where each program buffer lies.
    given : dict of int to array
        The program buffers that the caller handed over in the host's memory, flat; and what follows from them.
    held : list
        What keeps memory alive until the call ends. Whatever is written there later comes later in the stream.
    rooms : dict of int to (memory, int)
        Memory of buffers that a ``Room`` sized, and its bytes.
    pending : bool
        May a step have stored a status that nobody has looked at?
    started : int
        Tasks put into the stream.
    """

    def __init__(self, owner: Executable, values: Sequence[int]) -> None:
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
        """Put tasks into the stream, for memory at these addresses."""
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
            self.settle()

    def settle(self) -> None:
        """Add up the times of what was started, once it has run."""
        if self._marks:
            self.device.synchronize()
            for number, first, second in self._marks:
                self.owner.times[number] += 1e-3 * first.time_till(second)
            self._marks.clear()

    def fetch(self, wanted: Sequence[tuple[int, np.ndarray]] = ()) -> int:
        """Read memory from addresses into arrays, waiting once; gives the status, with which that means nothing."""
        status = np.zeros(1, "int64")
        pairs = [(pointer, array) for pointer, array in wanted if array.size]
        if self.pending:
            pairs.append((int(self.addresses[self.owner.status]), status))
            self.pending = False
        if pairs:
            self.device.fetch_all(pairs)
        return int(status[0])
