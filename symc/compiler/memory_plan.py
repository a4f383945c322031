"""The memory plan: offsets of all temporaries in one arena."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np

__all__ = ["ALIGN", "place"]

ALIGN = 64
EXHAUSTIVE = 128
"""The largest number of buffers for which a quadratic placement is also tried if the sweeps leave gaps."""
MANY = 20000
"""The largest number of buffers for which a second sweep is tried."""
GOOD = 1.02
"""The plan is accepted if it is within this factor of the lower bound."""

Lifetime = tuple[int, int]
"""The first and the last step that access a buffer; the last is before the first if none does."""


def place(lifetimes: Sequence[Lifetime], sizes: Sequence[int]) -> tuple[list[int], int]:
    """Compute offsets such that buffers alive at the same time never overlap, and the total size in bytes.

    Offsets are multiples of ``ALIGN``. Time is near-linear in the number of buffers: a sweep over the steps keeps a
    list of free ranges, and allocates each buffer in the smallest one that fits. Forward and backward sweeps fragment
    memory differently; the better one is used. For small programs, allocation by decreasing size is also tried.
    """
    spans = np.asarray(lifetimes, "int64").reshape(-1, 2)
    rounded = _rounded(sizes)
    best = _sweep(spans, rounded)
    if len(sizes) > MANY:
        return best
    enough = GOOD * lower_bound(lifetimes, sizes)
    if best[1] > enough:
        best = min(best, _sweep(-spans[:, ::-1], rounded), key=_total)
    if best[1] > enough and len(sizes) <= EXHAUSTIVE:
        best = min(best, _largest_first(lifetimes, rounded.tolist()), key=_total)
    return best


def lower_bound(lifetimes: Sequence[Lifetime], sizes: Sequence[int]) -> int:
    """The largest total of bytes alive at any step, with each buffer rounded up to ``ALIGN``."""
    spans = np.asarray(lifetimes, "int64").reshape(-1, 2)
    used = spans[:, 0] <= spans[:, 1]
    rounded = _rounded(sizes)[used]
    times = np.concatenate([spans[used, 0], spans[used, 1] + 1])
    change = np.concatenate([rounded, -rounded])
    return int(np.cumsum(change[np.lexsort((change, times))]).max(initial=0))


def _rounded(sizes: Sequence[int]) -> np.ndarray:
    return np.maximum(-(-np.asarray(sizes, "int64") // ALIGN), 1) * ALIGN


def _total(plan: tuple[list[int], int]) -> int:
    return plan[1]


def _sweep(spans: np.ndarray, sizes: np.ndarray) -> tuple[list[int], int]:
    """Allocate in order of steps; at equal steps the larger buffer comes first."""
    firsts, lasts, bytes_ = spans[:, 0].tolist(), spans[:, 1].tolist(), sizes.tolist()
    offsets = [0] * len(bytes_)
    memory = _Holes()
    used = np.flatnonzero(spans[:, 0] <= spans[:, 1])
    leaving = iter(used[np.argsort(spans[used, 1], kind="stable")].tolist())
    next_gone = next(leaving, -1)
    for k in used[np.lexsort((-sizes[used], spans[used, 0]))].tolist():
        first = firsts[k]
        while lasts[next_gone] < first:  # it came before ``k``, which has not left itself
            memory.free(offsets[next_gone], bytes_[next_gone])
            next_gone = next(leaving)
        offsets[k] = memory.take(bytes_[k])
    return offsets, memory.total


class _Holes:
    """The free ranges of an arena that grows at its end: best fit, with adjacent free ranges merged."""

    def __init__(self) -> None:
        self.total = 0
        self._size: dict[int, int] = {}  # of the hole that starts here
        self._start: dict[int, int] = {}  # of the hole that ends here
        self._sizes: list[int] = []  # sorted
        self._starts: dict[int, list[int]] = {}  # by size: a heap that may contain stale holes

    def take(self, size: int) -> int:
        """Allocate ``size`` bytes and return their start."""
        sizes, holes = self._sizes, self._size
        at = bisect_left(sizes, size)
        while at < len(sizes):
            fitting = sizes[at]
            starts = self._starts[fitting]
            while starts and holes.get(starts[0]) != fitting:
                heappop(starts)
            if starts:  # the lowest of the smallest holes that fit
                start = heappop(starts)
                del holes[start], self._start[start + fitting]
                if fitting > size:
                    self._add(start + size, fitting - size)
                return start
            del self._starts[fitting], sizes[at]
        start = self._start.pop(self.total, self.total)  # grow, from the hole at the end if there is one
        if start < self.total:
            del holes[start]
        self.total = start + size
        return start

    def free(self, start: int, size: int) -> None:
        """Free bytes."""
        holes = self._size
        before = self._start.pop(start, None)
        if before is not None:
            size += holes.pop(before)
            start = before
        after = holes.pop(start + size, None)
        if after is not None:
            del self._start[start + size + after]
            size += after
        self._add(start, size)

    def _add(self, start: int, size: int) -> None:
        self._size[start] = size
        self._start[start + size] = start
        known = self._starts.get(size)
        if known is None:
            self._starts[size] = [start]
            insort(self._sizes, size)
        else:
            heappush(known, start)


def _largest_first(lifetimes: Sequence[Lifetime], sizes: Sequence[int]) -> tuple[list[int], int]:
    """Allocate by decreasing size, each buffer at the lowest offset free during its lifetime. Time is quadratic."""
    offsets = [0] * len(sizes)
    placed: list[tuple[int, int, int, int]] = []  # (start, end, first, last), sorted
    total = 0
    for k in sorted(range(len(sizes)), key=lambda k: (-sizes[k], k)):
        first, last = lifetimes[k]
        if first > last:
            continue
        start = 0
        for s, e, f, l in placed:
            if f <= last and first <= l:
                if start + sizes[k] <= s:
                    break
                start = max(start, e)
        offsets[k] = start
        insort(placed, (start, start + sizes[k], first, last))
        total = max(total, start + sizes[k])
    return offsets, total
