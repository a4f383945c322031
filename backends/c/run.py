"""Execution: memory for temporaries, and calls."""

from __future__ import annotations

import math
import mmap
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import GuardError, located
from symc.loops.ir import Host, Program, roots
from symc.runtime.backend import Provide
from symc.runtime.segments import Segment, Segments, offsets_of
from symc.runtime.storage import Storage
from symc_backends.c import lapack, stored
from symc_backends.c.build import ffi, method
from symc_backends.c.tiers import when_optimised

__all__ = ["Executable", "TimedExecutable", "run"]

HUGE = 1 << 21
WORKSPACES = 32
"""The number of combinations of argument shapes for which a function keeps the layout of its working memory."""
LAYOUTS = 4
"""The number of layouts of a segment that a workspace keeps, if sizes depend on values."""
HOST = "int64_t(int64_t, void **, const int64_t *, void **)"


class Arena:
    """Aligned memory for temporaries; large arenas use huge pages, since page faults cost more than arithmetic."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.map: mmap.mmap | None = None
        if size >= HUGE:
            try:
                self.map = mmap.mmap(-1, size + HUGE)
            except OSError:
                raise MemoryError(f"there is too little memory for {size:,} bytes of temporaries") from None
            if hasattr(mmap, "MADV_HUGEPAGE"):
                whole = size // HUGE * HUGE  # a partly used huge page would be allocated as a whole
                self.map.madvise(mmap.MADV_HUGEPAGE, 0, whole)
            self.memory = np.frombuffer(self.map, dtype="uint8")
        else:
            self.memory = np.empty(size + 128, "uint8")
        start = self.memory.ctypes.data
        self.base = (start + 63) // 64 * 64


class Arenas:
    """The arenas of a function: as many as calls ever ran at the same time, whatever the shapes of their arguments.

    A call with a new batch size uses the memory of the one before: the first access to fresh memory would cost more
    than many a call.
    """

    def __init__(self) -> None:
        self.spare: list[Arena] = []
        self.lock = threading.Lock()

    def take(self, size: int, base: int) -> Arena:
        """Take an arena of at least ``size`` bytes: the one at the address ``base``, or the smallest, or a new one."""
        with self.lock:
            spare = list(self.spare)
            enough = [a for a in spare if a.size >= size]
            found = next((a for a in enough if a.base == base), None)
            found = found or min(enough, key=lambda a: a.size, default=None)
            too_small = None if found or not spare else max(spare, key=lambda a: a.size)
            for gone in (found, too_small):
                if gone is not None:
                    self.spare.remove(gone)
        return found or self.new(size)

    def new(self, size: int) -> Arena:
        """Allocate an arena, freeing unused ones if memory is short."""
        try:
            return Arena(size)
        except MemoryError:
            self.spare.clear()
        return Arena(size)

    def give(self, arena: Arena) -> None:
        """Return an arena. This may run in a finaliser, so that it must not wait for the lock."""
        self.spare.append(arena)


class Workspace:
    """The state of one running call: buffer addresses, values of symbols, and arenas for temporaries while it runs.

    ``sizes`` are those of the current layout of each segment; recently used layouts are kept. ``placed`` is the address
    for which the pointers of a segment's temporaries are set.
    """

    def __init__(self, owner: Executable, values: Sequence[int]) -> None:
        program = owner.program
        self.owner = owner
        self.program = program
        self.held = [stored.new_handle() for _ in range(owner.held)]
        handles = [owner.host, *owner.handles, *self.held]
        self.pointers = ffi.new("void *[]", len(program.buffers) + len(handles))
        for k, handle in enumerate(handles, len(program.buffers)):
            self.pointers[k] = handle
        self.dims = ffi.new("int64_t[]", max(len(program.symbols), 1))
        self.given = list(values)
        self.sizes: list[tuple[int, ...] | None] = [None] * len(owner.segments)
        self.layouts: list[tuple[dict[int, int], int]] = [({}, 0)] * len(owner.segments)
        self.kept: list[OrderedDict[tuple[int, ...], tuple[dict[int, int], int]]] = [
            OrderedDict() for _ in owner.segments
        ]
        self.arenas: list[Arena | None] = [None] * len(owner.segments)
        self.placed = [0] * len(owner.segments)
        self.rooms: dict[int, Arena] = {}

    def make_room(self, number: int, elements: int) -> None:
        """Allocate memory for this many elements of a buffer."""
        b = self.program.buffers[number]
        if elements < 0:
            raise GuardError(located(f"{b.name} would have {elements} elements", [], location=b.location))
        wanted = elements * np.dtype(b.dtype).itemsize
        arena = self.rooms.get(number)
        if arena is None or arena.size < wanted:
            if arena is not None:
                self.owner.arenas.give(arena)
            arena = self.rooms[number] = self.owner.arenas.take(wanted, 0)
        self.pointers[number] = ffi.cast("void *", arena.base)

    def lay_out(self, number: int, segment: Segment, arrays: list[Any], provide: Provide) -> int:
        """Allocate a segment's memory for the current symbol values; returns 0, or the status if a size is negative."""
        sizes = segment.sizes(list(self.dims)[: len(self.program.symbols)])
        if sizes != self.sizes[number]:
            for k, size in zip(segment.temporaries, sizes):
                if size < 0:
                    return -k - 1
            kept = self.kept[number]
            found = kept.get(sizes)
            if found is None:
                found = offsets_of(self.program, segment, sizes)
                while len(kept) >= LAYOUTS:
                    kept.popitem(last=False)
                kept[sizes] = found
            else:
                kept.move_to_end(sizes)
            self.layouts[number], self.sizes[number], self.placed[number] = found, sizes, 0
        self.hold(number)
        for k, shape in zip(segment.results, segment.shapes(sizes)):
            arrays[k] = provide(k, shape)
            self.pointers[k] = ffi.cast("void *", arrays[k].ctypes.data)
        return 0

    def hold(self, number: int) -> None:
        """Take an arena for a segment, and set the pointers of its temporaries unless they are set already."""
        (offsets, size), arena = self.layouts[number], self.arenas[number]
        if arena is not None and arena.size < size:
            self.arenas[number] = None
            self.owner.arenas.give(arena)
            arena = None
        if arena is None:
            arena = self.arenas[number] = self.owner.arenas.take(size, self.placed[number])
        if self.placed[number] != arena.base:
            for k, offset in offsets.items():
                self.pointers[k] = ffi.cast("void *", arena.base + offset)
            self.placed[number] = arena.base

    def release(self) -> None:
        """Return the arenas."""
        for number, arena in enumerate(self.arenas):
            if arena is not None:
                self.arenas[number] = None
                self.owner.arenas.give(arena)
        while self.rooms:
            self.owner.arenas.give(self.rooms.popitem()[1])


class Executable:
    """The executable; see ``symc.runtime.backend``. Thread-safe: each running call has its own workspace."""

    def __init__(self, library: Any, program: Program) -> None:
        self.library = library
        self.entry = library.symc_entry
        self.earlier: Any = None  # code that calls may still be running
        when_optimised(library, self._take_over)
        self.program = program
        self.segments = list(Segments(program))
        buffers = program.buffers
        self.given = [k for k, b in enumerate(buffers) if b.role in ("input", "shared", "constant")]
        self.aliases = sorted(roots(buffers).items())
        self.hosts = [step for step in program.steps if isinstance(step, Host)]
        dynamic = any(b.dynamic for b in buffers)
        self.needs_python = dynamic or any(host.native is None for host in self.hosts)  # in every call
        self.calls_back = dynamic or bool(self.hosts)  # in some calls: if native code fails
        if any(host.native is not None and host.native.lapack for host in self.hosts):
            lapack.load()
        self.running = threading.local()
        self.callback = ffi.callback(HOST, self._host, error=1) if self.calls_back else None
        self.host = ffi.NULL if self.callback is None else ffi.cast("void *", self.callback)
        self.free: OrderedDict[tuple[int, ...], list[Workspace]] = OrderedDict()
        self.arenas = Arenas()
        self.stored = stored.stored_buffers(program)
        self.handles: list[Any] = [ffi.NULL] * len(self.stored)
        self.held = sum(map(len, stored.held_buffers(program).values()))

    def _take_over(self, library: Any) -> None:
        """Run optimised code from now on."""
        self.earlier, self.library, self.entry = self.library, library, library.symc_entry

    def hold(self, storages: Sequence[Storage | None]) -> None:
        """Let library calls keep forms of their operands; see ``symc.runtime.backend``. Before the first call."""
        self.handles = stored.handles(self.program, self.stored, storages)

    def __call__(
        self, arrays: Sequence[np.ndarray | None], values: Sequence[int], provide: Provide
    ) -> tuple[int, list[int]]:
        key = tuple(values)
        home, workspace = self._take(key)
        pointers, bound = workspace.pointers, list(arrays)
        for k in self.given:
            array = bound[k]
            assert array is not None
            pointers[k] = ffi.cast("void *", array.ctypes.data)
        workspace.dims[0 : len(key)] = workspace.given
        status = 0
        outer = getattr(self.running, "workspace", None)
        self.running.workspace = workspace
        try:
            for number, segment in enumerate(self.segments):
                status = workspace.lay_out(number, segment, bound, provide)
                if status:
                    break
                for k, source in self.aliases:
                    pointers[k] = pointers[source]
                status = self.entry(pointers, workspace.dims, number)
                if status:
                    break
        finally:
            self.running.workspace = outer
            workspace.release()
            home.append(workspace)
        self.raise_again()
        return int(status), list(workspace.dims)

    def raise_again(self) -> None:
        """Raise the exception that ended this thread's last call in a step in Python, if there is one."""
        raised = getattr(self.running, "raised", None)
        self.running.raised = None
        if raised is not None:
            raise raised

    def _take(self, key: tuple[int, ...]) -> tuple[list[Workspace], Workspace]:
        """Take an unused workspace for these values; also returns the list to which it must be returned."""
        home = self.free.get(key)
        if home is None:
            home = self.free.setdefault(key, [])
            while len(self.free) > WORKSPACES:
                self.free.popitem(last=False)
        try:
            return home, home.pop()
        except IndexError:
            return home, Workspace(self, key)

    def _host(self, step: int, b: Any, n: Any, _: Any) -> int:
        """The callback of the code, for steps in Python and for memory."""
        try:
            if step < 0:
                self.running.workspace.make_room(-1 - step, n[0])
                return 0
            host = self.hosts[step]
            if host.native is not None and host.native.error is not None:  # the native code failed: it set a message
                message = ffi.cast("const char **", b[len(host.refs)])[0]
                raise host.native.error(ffi.string(message).decode(errors="replace"))
            arrays, at = [], 0
            for k, (shape, dtype) in enumerate(zip(host.shapes, host.dtypes)):
                known = tuple(n[at + axis] for axis in range(len(shape)))
                at += len(shape)
                arrays.append(_array(b[k], known, dtype, writable=k < host.outputs))
            host.callback(arrays[: host.outputs], arrays[host.outputs :])
        except BaseException as problem:
            self.running.raised = problem
            return 1
        return 0

    def lend(self, values: Sequence[int]) -> Loan | None:
        """Lend a workspace for ``values``, which is returned when the loan is deleted."""
        home = self.free.get(tuple(values))
        try:
            workspace = home.pop() if home else None
        except IndexError:  # another thread took it
            workspace = None
        if home is None or workspace is None:
            return None
        loan = Loan(home, workspace)
        for number, sizes in enumerate(workspace.sizes):
            if sizes is None:
                return None  # a failed call did not come this far
            workspace.hold(number)
        for k, source in self.aliases:
            workspace.pointers[k] = workspace.pointers[source]
        return loan


def _array(pointer: Any, shape: tuple[int, ...], dtype: str, writable: bool) -> np.ndarray:
    """Wrap the memory at an address as an array."""
    count = math.prod(shape)
    if not count:
        return np.empty(shape, dtype)
    found = np.frombuffer(ffi.buffer(pointer, count * np.dtype(dtype).itemsize), dtype).reshape(shape)
    found.setflags(write=writable)
    return found


class Loan:
    """A workspace on loan; it is returned when this object is deleted."""

    def __init__(self, home: list[Workspace], workspace: Workspace) -> None:
        self.home = home
        self.workspace = workspace

    def __del__(self) -> None:
        self.workspace.release()
        self.home.append(self.workspace)


class TimedExecutable(Executable):
    """An executable that accumulates the seconds of each step in ``times``.

    The array of times belongs to the loaded library, which functions with equal text share, so calls are serialised.
    """

    turn = threading.Lock()
    method = staticmethod(method)

    def __init__(self, library: Any, program: Program) -> None:
        super().__init__(library, program)
        self.times = np.zeros(max(len(program.steps), 1))
        self.clock = np.frombuffer(ffi.buffer(library.symc_times, self.times.nbytes), "float64")

    def __call__(
        self, arrays: Sequence[np.ndarray | None], values: Sequence[int], provide: Provide
    ) -> tuple[int, list[int]]:
        with self.turn:
            self.clock[:] = 0
            found = super().__call__(arrays, values, provide)
            self.times += self.clock
        return found


def run(code: Any, program: Program, timed: bool = False) -> Executable:
    """Create an executable for ``code``; with ``timed``, code built to measure its steps."""
    return TimedExecutable(code, program) if timed else Executable(code, program)
