"""Sizes of grids, blocks and thread groups, once the dims of a call are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from symc.errors import CompileError
from symc.loops.expr import Expr
from symc.loops.ir import Let
from symc_backends.cuda.mapping import bound, inner_loops, walk
from symc_backends.cuda.threads import Threads
from symc_backends.cuda.tiles import ROWS, SHARED, SIDE, Tiles

__all__ = ["Grid", "grid_of", "is_wide"]

BLOCK = 256
"""Threads of a typical block."""
GROUP = 256
"""Threads of the largest typical thread group."""
BIG_GROUP = 512
"""Threads of a thread group if there are too few thread groups to occupy the GPU."""
SPARE_BLOCKS = 4
"""Blocks per multiprocessor if thread groups keep their arrays in spare memory."""
NARROW = 2**31 - 2**24
"""Larger positions need 64 bits; a grid's stride stays below the difference to 2^31."""


class Grid(NamedTuple):
    """The sizes of a launch.

    Each thread group has ``own`` bytes of private memory, in ``shared`` memory or in ``spare`` bytes of the arena.
    """

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared: int
    spare: int
    own: int


def grid_of(threads: Threads, dims: Mapping[str, int], processors: int) -> Grid | None:
    """Compute the sizes for these dims; None if there is nothing to do."""
    launch = threads.launch
    definitions = {s.name: s.value for s in walk([*launch.before, *launch.body]) if isinstance(s, Let)}

    def at_most(e: Expr) -> int | None:
        return bound(e, dims, definitions)

    if launch.shape == "flat":
        assert launch.loop is not None
        length = at_most(launch.loop.extent)
        if length is not None and length <= 0:
            return None
        blocks = 16 * processors if length is None else -(-length // (BLOCK * threads.pack))
        return Grid((max(1, min(blocks, 16 * processors)), 1, 1), (BLOCK, 1, 1), 0, 0, 0)
    count = 1 if launch.loop is None else at_most(launch.loop.extent)
    if count is not None and count <= 0:
        return None
    if isinstance(threads, Tiles):
        return Grid((min(count or 16 * processors, 2**31 - 1), 1, 1), (SIDE, ROWS, 1), 0, 0, 0)
    loops = [at_most(loop.extent) for loop in inner_loops(launch.body)]
    longest = None if None in loops else max((n for n in loops if n is not None), default=1)
    own = _own_bytes(threads, at_most)
    return _of_thread_groups(threads, 1 << 20 if count is None else count, longest, own, processors)


def _of_thread_groups(threads: Threads, count: int, longest: int | None, own: int, processors: int) -> Grid:
    thread_group = _thread_group(threads, count, longest, processors)
    thread_groups = max(1, BLOCK // thread_group) if thread_group <= 32 or not threads.talks else 1
    while thread_groups > 1 and (count < thread_groups * processors or own * thread_groups > SHARED):
        thread_groups //= 2
    blocks = -(-count // thread_groups)
    block = (thread_group, thread_groups, 1)
    if own <= SHARED:
        return Grid((min(blocks, 2**31 - 1), 1, 1), block, own * thread_groups, 0, own)
    blocks = min(blocks, SPARE_BLOCKS * processors)
    return Grid((blocks, 1, 1), block, 0, blocks * thread_groups * own, own)


def _thread_group(threads: Threads, count: int, longest: int | None, processors: int) -> int:
    if threads.columns:
        return threads.columns
    if threads.alone:
        return 1
    if longest is None:
        return GROUP
    wanted = max(1, -(-longest // threads.pack))
    most = BIG_GROUP if count < 2 * processors else GROUP
    return min(most, 1 << (wanted - 1).bit_length())


def _own_bytes(threads: Threads, at_most: Callable[[Expr], int | None]) -> int:
    total = 0
    for name, dtype, size in threads.arrays:
        length = at_most(size)
        if length is None:
            raise CompileError(f"kernel {threads.kernel.name}: the length of the array {name} has no known bound")
        total += -(-max(length, 0) * np.dtype(dtype).itemsize // 16) * 16
    return total


def is_wide(dims: Mapping[str, int], elements: int) -> bool:
    """Whether positions need 64 bits, for buffers of up to ``elements`` elements."""
    return elements >= NARROW or any(abs(n) >= NARROW for n in dims.values())
