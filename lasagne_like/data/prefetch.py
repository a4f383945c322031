"""Work ahead in background threads, with results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

__all__ = ["in_background"]


def in_background(task: Callable[[int], Any], count: int, workers: int, ahead: int) -> Iterator[Any]:
    """Yield ``task(0), ..., task(count - 1)``, computed in threads before they are asked for.

    Parameters
    ----------
    task : callable
        The computation of one result.
    count : int
        The number of results.
    workers : int
        The number of threads; 0 computes each result in the calling thread when it is asked for.
    ahead : int
        The largest number of results that wait or are being computed.

    Yields
    ------
    The results, in order. An exception of a task is raised in its place. The threads have ended when the iterator is
    exhausted, closed or no longer referenced.
    """
    if not workers:
        for number in range(count):
            yield task(number)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="symc-loader")
    waiting: deque[Future] = deque()
    try:
        for number in range(count):
            while len(waiting) < ahead and number + len(waiting) < count:
                waiting.append(pool.submit(task, number + len(waiting)))
            yield waiting.popleft().result()
    finally:
        waiting.clear()
        pool.shutdown(wait=True, cancel_futures=True)
