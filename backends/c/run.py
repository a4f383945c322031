"""Running: memory for temporaries, and the call itself."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.compiler.memory_plan import bytes_of, layout
from symc.loops.ir import Program
from symc_backends.c.build import ffi

__all__ = ["Executable", "TimedExecutable", "run"]

HUGE = 1 << 21


class Arena:
    """Aligned memory for temporaries; large ones ask for huge pages, since page faults cost more than arithmetic."""

    def __init__(self, size: int) -> None:
        self.map: mmap.mmap | None = None
        if size >= HUGE:
            try:
                self.map = mmap.mmap(-1, size + HUGE)
            except OSError:
                raise MemoryError(f"there is no room for {size:,} bytes of temporaries") from None
            if hasattr(mmap, "MADV_HUGEPAGE"):
                whole = size // HUGE * HUGE  # a huge page of which little is used would be taken whole
                self.map.madvise(mmap.MADV_HUGEPAGE, 0, whole)
            self.memory = np.frombuffer(self.map, dtype="uint8")
        else:
            self.memory = np.empty(size + 128, "uint8")
        start = self.memory.ctypes.data
        self.base = (start + 63) // 64 * 64


class Workspace:
    """What one running call needs: the array of buffer addresses, with temporaries in an arena of its own."""

    def __init__(self, program: Program, values: Sequence[int]) -> None:
        offsets, total = layout(program.buffers, bytes_of(program, values))
        self.arena = Arena(total)
        self.pointers = ffi.new("void *[]", max(len(program.buffers), 1))
        self.dims = ffi.new("int64_t[]", list(values) or [0])
        for k, offset in enumerate(offsets):
            if offset is not None:
                self.pointers[k] = ffi.cast("void *", self.arena.base + offset)
        self.given = [k for k, (b, o) in enumerate(zip(program.buffers, offsets)) if o is None and b.alias < 0]
        self.aliases = [
            (k, b.alias) for k, (b, o) in enumerate(zip(program.buffers, offsets)) if o is None and b.alias >= 0
        ]


class Executable:
    """See ``symc.runtime.backend``. Safe from many threads: each running call has a workspace of its own."""

    def __init__(self, library: Any, program: Program) -> None:
        self.library = library
        self.entry = library.symc_entry
        self.program = program
        self.free: dict[tuple[int, ...], list[Workspace]] = {}

    def __call__(self, arrays: Sequence[np.ndarray | None], values: Sequence[int]) -> int:
        key = tuple(values)
        free = self.free.get(key)
        if free is None:
            if len(self.free) > 32:
                self.free.clear()
            free = self.free.setdefault(key, [])
        try:
            workspace = free.pop()
        except IndexError:
            workspace = self._workspace(key)
        pointers = workspace.pointers
        for k in workspace.given:
            array = arrays[k]
            assert array is not None
            pointers[k] = ffi.cast("void *", array.ctypes.data)
        for k, source in workspace.aliases:
            pointers[k] = pointers[source]
        status = self.entry(pointers, workspace.dims)
        free.append(workspace)
        return int(status)

    def _workspace(self, key: tuple[int, ...]) -> Workspace:
        """A new workspace; where there is no room for it, those of other dims that wait for their next call go."""
        try:
            return Workspace(self.program, key)
        except MemoryError:
            for workspaces in list(self.free.values()):
                workspaces.clear()
        return Workspace(self.program, key)

    def lend(self, values: Sequence[int]) -> Loan | None:
        """A workspace for ``values`` that comes back when the loan is dropped."""
        free = self.free.get(tuple(values))
        return Loan(free, free.pop()) if free else None


class Loan:
    """A workspace lent to somebody."""

    def __init__(self, home: list[Workspace], workspace: Workspace) -> None:
        self.home = home
        self.workspace = workspace

    def __del__(self) -> None:
        self.home.append(self.workspace)


class TimedExecutable(Executable):
    """Adds up in ``times`` the seconds that each step takes.

    The clock's array belongs to the loaded file, which two functions of equal text share, so calls take turns.
    """

    turn = threading.Lock()

    def __init__(self, library: Any, program: Program) -> None:
        super().__init__(library, program)
        self.times = np.zeros(max(len(program.steps), 1))
        self.clock = np.frombuffer(ffi.buffer(library.symc_times, self.times.nbytes), "float64")

    def __call__(self, arrays: Sequence[np.ndarray | None], values: Sequence[int]) -> int:
        with self.turn:
            self.clock[:] = 0
            status = super().__call__(arrays, values)
            self.times += self.clock
        return status


def run(code: Any, program: Program, timed: bool = False) -> Executable:
    """Something that runs ``code``; ``timed`` says that it was built to measure its steps."""
    return TimedExecutable(code, program) if timed else Executable(code, program)
