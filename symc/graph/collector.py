"""Python's garbage collector and large graphs.

The collector walks every object that is alive again and again while new ones are made. A pass that builds hundreds of
thousands of nodes leaves hardly any garbage, and pays for those walks with half of its time.
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
            gc.enable()


def uncollected(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, during which the garbage collector rests; calls may be nested and come from many threads."""

    @wraps(function)
    def resting(*args: P.args, **kwargs: P.kwargs) -> R:
        _enter()
        try:
            return function(*args, **kwargs)
        finally:
            _leave()

    return resting
