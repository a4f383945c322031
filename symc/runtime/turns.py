"""Readers-writer locks for shared variables: calls that update a variable exclude all others; readers run concurrently.

Every storage has a ``turn``: an array of three numbers. The first counts the active readers, or is -1 while a writer is
active; the second counts the writes so far. They change only under ``LOCK``; fast paths in C use the same lock and the
same array. The third counts the callers who hold the array and may write to it without taking turns.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

__all__ = ["CHANGED", "COUNTS", "LOCK", "WRITES", "taken"]

LOCK = threading.Lock()
CHANGED = threading.Condition(LOCK)
COUNTS = np.zeros(2, "int64")
"""The number of waiting threads, which the end of a turn wakes; the number of writes so far to any shared variable."""
WRITES = memoryview(COUNTS)[1:]  # type: ignore[arg-type]  # of numpy's stubs
_mine = threading.local()


@contextmanager
def taken(reads: Sequence[np.ndarray], writes: Sequence[np.ndarray]) -> Iterator[None]:
    """Acquire these turns together, waiting until that is possible. A thread does not wait for itself."""
    if not reads and not writes:
        yield
        return
    held: set[int] = _mine.__dict__.setdefault("held", set())
    written = {id(t): t for t in writes if id(t) not in held}
    read = {id(t): t for t in reads if id(t) not in held and id(t) not in written}
    with CHANGED:
        COUNTS[0] += 1
        try:
            CHANGED.wait_for(lambda: _free(read.values(), written.values()))
        finally:
            COUNTS[0] -= 1
        for t in written.values():
            t[0] = -1
        for t in read.values():
            t[0] += 1
    held.update(written, read)
    try:
        yield
    finally:
        held.difference_update(written, read)
        with CHANGED:
            for t in written.values():
                t[0] = 0
            for t in writes:  # also those that an outer call of this thread holds
                t[1] += 1
                COUNTS[1] += 1
            for t in read.values():
                t[0] -= 1
            CHANGED.notify_all()


def _free(read: object, written: object) -> bool:
    return all(t[0] == 0 for t in written) and all(t[0] >= 0 for t in read)  # type: ignore[attr-defined]
