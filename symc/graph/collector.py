"""Suspension of Python's garbage collector while large graphs are built.

The collector repeatedly traverses all live objects while new ones are created. A pass that builds hundreds of thousands
of nodes creates hardly any garbage, but would spend half of its time in the collector. What a large pass leaves behind
is declared old, so that the collector does not go through all of it as soon as it is resumed.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

__all__ = ["uncollected"]

P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.Lock()
_inside = 0
_was_enabled = False
_unseen = 0  # objects declared old that no full collection has seen
_survived = 0  # objects that the last full collection left

LARGE = 200_000
"""The number of new objects from which a pass is large."""
MOST = 5_000_000
"""The number of new objects after which a full collection is due: garbage must not grow without bound.

After that, one is due when as many are new as the last one left, so that collections take time in proportion to the
objects that are made.
"""


def _enter() -> None:
    global _inside, _was_enabled
    with _lock:
        if _inside == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0 and _was_enabled:
            _grow_old()
            gc.enable()


def _grow_old() -> None:
    """Move new objects to the oldest generation, if they are many, without going through them."""
    global _unseen, _survived
    fresh = gc.get_count()[0]
    if fresh < LARGE or gc.get_freeze_count():  # what someone froze would be thawed
        return
    _unseen += fresh
    if _unseen > max(MOST, _survived):
        gc.collect()
        _unseen, _survived = 0, len(gc.get_objects())
    else:
        gc.freeze()
        gc.unfreeze()


def uncollected(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that the garbage collector is suspended during calls, which may be nested and concurrent."""

    @wraps(function)
    def resting(*args: P.args, **kwargs: P.kwargs) -> R:
        _enter()
        try:
            return function(*args, **kwargs)
        finally:
            _leave()

    return resting
